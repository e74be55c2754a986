//! The subjects: keepalived and Catamaran as a pair of routers with the same
//! parameters, and what their processes cost.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::INTERFACE;
use catamaran::pure::vrrp::timers::active_down_interval;
use catamaran::pure::vrrp::{Centiseconds, Priority, Version};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::lan::{A, B, Lan, NAMES, PREFIX, PRIORITIES, ROUTERS, VIRTUAL};
use super::podman::Podman;
use super::world::Host;
use super::{Result, failed, wait_until};

/// How long a daemon may take from its start to its part in the election.
const START: Duration = Duration::from_secs(5);

const VRID: u8 = 51;
const PASSWORD: &str = "1111";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Keepalived,
    Catamaran,
    /// Catamaran's image under podman: [`image`] has it.
    Container,
}

impl Subject {
    /// Those that need nothing but their program.
    pub const ALL: [Self; 2] = [Self::Keepalived, Self::Catamaran];

    /// Its column's heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Catamaran => "catamaran",
            Self::Container => "container",
        }
    }

    fn document(self, router: usize, pace: Pace) -> String {
        match self {
            Self::Keepalived => keepalived_document(router, pace),
            Self::Catamaran | Self::Container => catamaran_document(pace),
        }
    }

    fn command(self, router: usize, host: &Host, document: &str) -> Command {
        let name = NAMES[router];
        match self {
            Self::Keepalived => {
                let mut command = Command::new("keepalived");
                // In the foreground, the log to standard error, virtual routers only.
                command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file", document]);
                command.args(["--pid", &format!("/run/keepalived-{name}.pid")]);
                command.args(["--vrrp_pid", &format!("/run/vrrp-{name}.pid")]);
                command
            }
            Self::Catamaran => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
                command.args(["run", "--config", document, "--node", name]);
                command
            }
            Self::Container => {
                let (podman, image) = image();
                podman.run(host, image, name, Path::new(document))
            }
        }
    }

    /// What a log line has in it that tells of this state.
    fn says(self, state: State) -> &'static str {
        match (self, state) {
            (Self::Keepalived, State::Active) => "Entering MASTER STATE",
            (Self::Keepalived, State::Backup) => "Entering BACKUP STATE",
            (Self::Catamaran | Self::Container, State::Active) => " active virtual_router=",
            (Self::Catamaran | Self::Container, State::Backup) => " backup virtual_router=",
        }
    }
}

fn keepalived_document(router: usize, pace: Pace) -> String {
    let (state, priority) = (["MASTER", "BACKUP"][router], PRIORITIES[router]);
    let version = pace.version().get();
    let authentication = match pace.version() {
        Version::V2 => {
            format!("authentication {{\n        auth_type PASS\n        auth_pass {PASSWORD}\n    }}")
        }
        Version::V3 => String::new(),
    };
    format!(
        "global_defs {{\n    router_id {}\n    vrrp_version {version}\n}}\n\
         vrrp_instance apiserver {{\n    state {state}\n    interface {INTERFACE}\n    \
         virtual_router_id {VRID}\n    priority {priority}\n    advert_int {}\n    {authentication}\n    \
         virtual_ipaddress {{\n        {VIRTUAL}/{PREFIX}\n    }}\n}}\n",
        NAMES[router],
        pace.interval.as_secs_f64(),
    )
}

fn catamaran_document(pace: Pace) -> String {
    let mut text = nodes();
    let _ = writeln!(
        text,
        "[virtual-routers.apiserver]\nvrid = {VRID}\naddresses = [\"{VIRTUAL}/{PREFIX}\"]\n\
         version = {}\nadvertisement-interval = \"{}\"",
        pace.version().get(),
        pace.name()
    );
    if pace.version() == Version::V2 {
        let _ = writeln!(text, "authentication = {{ pass = \"{PASSWORD}\" }}");
    }
    text
}

/// Catamaran's part of a document that names the routers.
pub fn nodes() -> String {
    let mut text = String::new();
    for ((name, address), priority) in NAMES.iter().zip(ROUTERS).zip(PRIORITIES) {
        let _ = writeln!(
            text,
            "[nodes.{name}]\naddress = \"{address}\"\ninterface = \"{INTERFACE}\"\npriority = {priority}"
        );
    }
    text
}

/// An advertisement interval, with the version that can say it: whole seconds
/// in version 2 with a password, as the founding case has it, others in version 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
}

impl Pace {
    pub const ALL: [Self; 3] = [Self::of(1_000), Self::of(100), Self::of(10)];

    /// So many milliseconds.
    pub const fn of(milliseconds: u64) -> Self {
        Self {
            interval: Duration::from_millis(milliseconds),
        }
    }

    /// Reads `10ms` or `1s`.
    pub fn read(word: &str) -> Option<Self> {
        let milliseconds = match word.strip_suffix("ms") {
            Some(number) => number.parse().ok()?,
            None => word.strip_suffix('s')?.parse::<u64>().ok()?.checked_mul(1_000)?,
        };
        let pace = Self::of(milliseconds);
        Centiseconds::from_duration(pace.version(), pace.interval).map(|_| pace)
    }

    pub fn name(self) -> String {
        format!("{:?}", self.interval)
    }

    pub fn interval(self) -> Duration {
        self.interval
    }

    pub fn version(self) -> Version {
        match self.interval.subsec_millis() {
            0 => Version::V2,
            _ => Version::V3,
        }
    }

    /// How long the second router waits by the RFC.
    pub fn active_down_interval(self) -> Duration {
        let interval = Centiseconds::from_duration(self.version(), self.interval).expect("read so");
        let priority = Priority::new(PRIORITIES[B]).expect("a priority");
        active_down_interval(self.version(), priority, interval)
    }
}

/// What a daemon believes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    Backup,
}

/// podman, and the image that it has; made by the first call.
pub fn image() -> &'static (Podman, String) {
    static IMAGE: OnceLock<(Podman, String)> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let archive = Path::new(FOLDER).join("load-balancer.tar");
        let built = Command::new(env!("CARGO_BIN_EXE_catamaran"))
            .args(["image", "build", "load-balancer", "--output"])
            .arg(&archive)
            .stdout(Stdio::null())
            .status();
        assert!(built.is_ok_and(|status| status.success()), "no image is built");
        let podman = Podman::set_up();
        let image = podman.load(&archive);
        (podman, image)
    })
}

/// Both routers at work.
pub struct Pair {
    pub daemons: [Daemon; 2],
}

impl Pair {
    /// Starts both and waits until the preferred one holds the address and the
    /// other follows it.
    pub fn start(lan: &Lan, subject: Subject, pace: Pace) -> Result<Self> {
        Self::start_with(lan, subject, pace, "")
    }

    /// The same, with more in the document (Catamaran's are the same on both).
    pub fn start_with(lan: &Lan, subject: Subject, pace: Pace, more: &str) -> Result<Self> {
        lan.tidy()?;
        let start = |router: usize| {
            let document = subject.document(router, pace) + more;
            Daemon::start(subject, router, &lan.routers[router].host, &document)
        };
        let pair = Self {
            daemons: [start(A)?, start(B)?],
        };
        let settled = || {
            let [a, b] = &lan.routers;
            a.holding.now() && !b.holding.now() && pair.states() == [Some(State::Active), Some(State::Backup)]
        };
        if wait_until(START + pace.active_down_interval(), settled) {
            Ok(pair)
        } else {
            Err(pair.explain("the preferred router does not become active"))
        }
    }

    pub fn states(&self) -> [Option<State>; 2] {
        [self.daemons[A].state(), self.daemons[B].state()]
    }

    /// What went wrong, with the ends of both logs.
    pub fn explain(&self, why: &str) -> String {
        let mut text = why.to_string();
        for daemon in &self.daemons {
            let log = daemon.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
            let _ = write!(text, "\n the end of the log {}:\n  {last}", daemon.log);
        }
        text
    }
}

/// A daemon and all its processes. Killed when dropped.
pub struct Daemon {
    subject: Subject,
    child: Child,
    /// The first process of its container, where it is in one.
    contained: Option<Pid>,
    log: String,
}

impl Daemon {
    /// Starts it on one of the machines.
    pub fn start(subject: Subject, router: usize, host: &Host, document: &str) -> Result<Self> {
        let path = |kind: &str| format!("{FOLDER}/{}-{}.{kind}", subject.name(), NAMES[router]);
        let (file, log) = (path("conf"), path("log"));
        fs::write(&file, document).map_err(failed(&file))?;
        let out = File::create(&log).map_err(failed(&log))?;
        let both = out.try_clone().map_err(failed(&log))?;
        let mut command = subject.command(router, host, &file);
        command.stdin(Stdio::null()).stdout(out).stderr(both);
        // A group of its own, so that one signal reaches all its processes at once.
        command.process_group(0);
        let child = match subject {
            Subject::Keepalived | Subject::Catamaran => host.within(|| command.spawn()),
            // podman itself stays where it finds its control groups.
            Subject::Container => command.spawn(),
        };
        let mut daemon = Self {
            subject,
            child: child.map_err(failed(subject.name()))?,
            contained: None,
            log,
        };
        if subject == Subject::Container {
            let (podman, _) = image();
            let mut runs = || {
                daemon.contained = podman.process(NAMES[router]);
                daemon.contained.is_some()
            };
            if !wait_until(START, &mut runs) {
                return Err(format!("no container runs; podman: {}", daemon.log()));
            }
        }
        Ok(daemon)
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.contained.map_or_else(|| self.group(), Ok)?, signal).map_err(failed("kill"))
    }

    /// Sends a signal to all its processes in one step.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        match self.contained {
            // It is alone there.
            Some(process) => kill(process, signal).map_err(failed("kill")),
            None => killpg(self.group()?, signal).map_err(failed("killpg")),
        }
    }

    /// Its last word about its state.
    pub fn state(&self) -> Option<State> {
        self.changes().last().copied()
    }

    /// The states it went through, as its log has them.
    pub fn changes(&self) -> Vec<State> {
        self.log().lines().filter_map(|line| self.told(line)).collect()
    }

    /// The lines of its log that tell of them.
    pub fn lines_of_changes(&self) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter(|line| self.told(line).is_some());
        lines.map(ToString::to_string).collect()
    }

    fn told(&self, line: &str) -> Option<State> {
        [State::Active, State::Backup]
            .into_iter()
            .find(|state| line.contains(self.subject.says(*state)))
    }

    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Processor time of all its threads so far, in user space and in the kernel.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for process in self.processes()? {
            let threads = fs::read_dir(format!("/proc/{process}/task")).map_err(failed("/proc"))?;
            for thread in threads.flatten() {
                let path = thread.path().join("schedstat");
                let text = fs::read_to_string(&path).map_err(failed("schedstat"))?;
                // The first of its numbers is the time on a processor.
                let used = text.split(' ').next().and_then(|used| used.parse::<u64>().ok());
                nanoseconds += used.ok_or("schedstat: no number")?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory of all its processes: what is theirs alone, and of files
    /// what the largest has mapped, since the others share that with it. `Pss`
    /// would share it with the other router too, which is another machine.
    pub fn memory(&self) -> Result<Memory> {
        let (mut own, mut files) = (0, 0);
        for process in self.processes()? {
            let path = format!("/proc/{process}/smaps_rollup");
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            let kibibytes = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                let size = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
                size.ok_or(format!("{path}: no {name}"))
            };
            own += kibibytes("Pss_Anon:")?;
            files = files.max(kibibytes("Rss:")? - kibibytes("Anonymous:")?);
        }
        Ok(Memory {
            own: own * 1024,
            files: files * 1024,
        })
    }

    /// The processes of its group.
    fn processes(&self) -> Result<Vec<u32>> {
        let group = self.group()?.to_string();
        let is_of_group = |process: &u32| {
            let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
            // proc_pid_stat(5): the group is the third field after the name in parentheses.
            stat.ok()
                .and_then(|stat| Some(stat.rsplit_once(") ")?.1.split(' ').nth(2)? == group))
                .unwrap_or(false)
        };
        let entries = fs::read_dir("/proc").map_err(failed("/proc"))?;
        let processes = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(processes.filter(is_of_group).collect())
    }

    fn group(&self) -> Result<Pid> {
        let id = i32::try_from(self.child.id()).map_err(failed("a process id"))?;
        Ok(Pid::from_raw(id))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.signal_all(Signal::SIGKILL);
        if self.contained.is_some() {
            // podman ends once it has removed what is left of the container.
            let _ = self.child.wait();
            return;
        }
        if let Ok(group) = self.group() {
            // The first process of the enclosure is this one: orphans become
            // its children, and all are gone when there are none left to wait for.
            while waitpid(Pid::from_raw(-group.as_raw()), None).is_ok() {}
        }
    }
}

/// Bytes of memory of a daemon.
pub struct Memory {
    /// What is its alone.
    pub own: u64,
    /// What it has mapped of files: the kernel shares it, and may drop it and
    /// read it again.
    pub files: u64,
}

/// keepalived's own words about its version, if it is installed.
pub fn keepalived_version() -> Option<String> {
    let output = Command::new("keepalived").arg("--version").output().ok()?;
    // It writes them to standard error.
    let text = String::from_utf8(output.stderr).ok()?;
    text.lines().next().map(ToString::to_string)
}
