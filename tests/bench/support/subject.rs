//! What is measured: nothing, Catamaran, HAProxy, started afresh in the load
//! balancer's namespace.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, getppid, sysconf};

use super::load;
use super::sink::{BULK, ECHO};
use super::world::{self, ENDPOINTS, LB, World};
use super::{Result, failed};

/// The hidden first argument by which this program starts another one in a host.
pub const LAUNCH: &str = "launch-in-host";

/// A way from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// No load balancer.
    Direct,
    /// Ours.
    Catamaran,
    /// HAProxy as in the founding case.
    Haproxy,
    /// The same with `option splice-auto`: it splices when it sees fit.
    HaproxyAuto,
    /// The same told to splice always.
    HaproxySplice,
}

impl Subject {
    /// Its column's heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Catamaran => "catamaran",
            Self::Haproxy => "haproxy",
            Self::HaproxyAuto => "haproxy auto",
            Self::HaproxySplice => "haproxy splice",
        }
    }

    /// Where the client connects, in turns.
    pub fn addresses(self) -> &'static [Ipv4Addr] {
        match self {
            Self::Direct => &ENDPOINTS,
            Self::Catamaran | Self::Haproxy | Self::HaproxyAuto | Self::HaproxySplice => &[LB],
        }
    }

    /// Its configuration, for at most so many connections.
    fn document(self, connections: usize) -> Option<String> {
        match self {
            Self::Direct => None,
            Self::Catamaran => Some(catamaran_document()),
            Self::Haproxy => Some(haproxy_document(connections, &[])),
            Self::HaproxyAuto => Some(haproxy_document(connections, &["option splice-auto"])),
            Self::HaproxySplice => Some(haproxy_document(
                connections,
                &["option splice-request", "option splice-response"],
            )),
        }
    }

    fn command(self, document: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Direct => &[],
            Self::Catamaran => &[env!("CARGO_BIN_EXE_catamaran"), "run", "--config", document],
            // -db: stay one process in the foreground.
            Self::Haproxy | Self::HaproxyAuto | Self::HaproxySplice => &["haproxy", "-db", "-f", document],
        };
        words.iter().map(ToString::to_string).collect()
    }
}

fn catamaran_document() -> String {
    let mut text = "[daemon]\nthreads = 2\n".to_string();
    for (name, port) in [("echo", ECHO), ("bulk", BULK)] {
        text += &format!("[listeners.{name}]\nbind = [\"{LB}:{port}\"]\npool = \"{name}\"\n");
        text += &format!("[pools.{name}]\nbalance = \"round-robin\"\n[pools.{name}.endpoints]\n");
        for (number, address) in (1..).zip(ENDPOINTS) {
            text += &format!("master{number} = \"{address}:{port}\"\n");
        }
    }
    text
}

fn haproxy_document(connections: usize, options: &[&str]) -> String {
    let options: String = options.iter().map(|option| format!("    {option}\n")).collect();
    let mut text = format!(
        "global\n    log stdout format raw local0\n    nbthread 2\n    maxconn {connections}\n\
         defaults\n    log global\n    mode tcp\n    option tcplog\n{options}    \
         timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n    maxconn {connections}\n"
    );
    for (name, port) in [("echo", ECHO), ("bulk", BULK)] {
        text += &format!("frontend {name}\n    bind {LB}:{port}\n    default_backend {name}\n");
        text += &format!("backend {name}\n    balance roundrobin\n");
        for (number, address) in (1..).zip(ENDPOINTS) {
            text += &format!("    server master{number} {address}:{port}\n");
        }
    }
    text
}

/// A subject that carries connections now. Killed when dropped.
pub struct Running {
    subject: Subject,
    child: Option<Child>,
    /// Its log, in a file without a name. HAProxy writes to standard output,
    /// Catamaran to standard error: one line per connection each.
    log: File,
}

impl Running {
    /// Starts a subject for at most so many connections and waits until it answers. Call it on a thread that
    /// lives as long as the subject shall.
    pub fn start(subject: Subject, world: &World, connections: usize) -> Result<Self> {
        let file = || tempfile::tempfile().map_err(failed("no temporary file"));
        let log = file()?;
        let mut running = Self {
            subject,
            child: None,
            log,
        };
        if let Some(text) = subject.document(connections) {
            let mut document = file()?;
            document
                .write_all(text.as_bytes())
                .map_err(failed("cannot write a document"))?;
            let path = world::path_of(document.as_raw_fd());
            let log = || {
                running
                    .log
                    .try_clone()
                    .map(Stdio::from)
                    .map_err(failed("no descriptor"))
            };
            let child = Command::new("/proc/self/exe")
                .args([LAUNCH.as_ref(), world.lb.path().as_os_str()])
                .arg(std::process::id().to_string())
                .args(subject.command(&path.to_string_lossy()))
                .stdin(Stdio::null())
                .stdout(log()?)
                .stderr(log()?)
                .spawn()
                .map_err(failed("cannot start a process"))?;
            running.child = Some(child);
            running.wait_until_it_answers(world)?;
        }
        Ok(running)
    }

    fn wait_until_it_answers(&mut self, world: &World) -> Result<()> {
        let began = Instant::now();
        loop {
            let try_out = || load::exchange(SocketAddr::from((LB, ECHO)), b"?").map(drop);
            let Err(error) = world.client.within(try_out) else {
                return Ok(());
            };
            let child = self.child.as_mut().expect("just started");
            let ended = child.try_wait().map_err(failed("wait"))?;
            if ended.is_some() || began.elapsed() > Duration::from_secs(10) {
                return Err(self.explain(&format!("does not answer ({error})")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What went wrong, with the end of the subject's own log.
    pub fn explain(&mut self, why: &str) -> String {
        let mut bytes = Vec::new();
        let read = self.log.rewind().and_then(|()| self.log.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
        format!(
            "{}: {why}\n  its log ({} bytes):\n  {last}",
            self.subject.name(),
            read.unwrap_or(0)
        )
    }

    /// Lines in its log: one for each connection that ended, at least.
    pub fn log_lines(&self) -> Result<Option<u64>> {
        if self.child.is_none() {
            return Ok(None);
        }
        let text = fs::read(world::path_of(self.log.as_raw_fd())).map_err(failed("its log"))?;
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        Ok(Some(u64::try_from(lines).map_err(failed("its log"))?))
    }

    /// Bytes of memory it has, shared pages included; `None` for no process.
    pub fn resident(&self) -> Result<Option<f64>> {
        self.about("status")?
            .map(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                let kibibytes =
                    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
                kibibytes
                    .map(|kibibytes| kibibytes * 1024.0)
                    .ok_or_else(|| "no VmRSS".to_string())
            })
            .transpose()
    }

    /// Seconds of processor time it used so far, in user space and for it in the
    /// kernel; `None` for no process.
    pub fn cpu(&self) -> Result<Option<f64>> {
        let ticks = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .ok_or("no clock ticks")?;
        self.about("stat")?
            .map(|text| {
                // proc_pid_stat(5): utime and stime are fields 14 and 15, counted
                // from the name in parentheses, which is the second.
                let (_, fields) = text.rsplit_once(") ").ok_or("no name")?;
                let used: Option<f64> = fields
                    .split(' ')
                    .skip(11)
                    .take(2)
                    .map(|field| field.parse::<f64>().ok())
                    .sum();
                #[expect(clippy::cast_precision_loss, reason = "about 100")]
                used.map(|used| used / ticks as f64)
                    .ok_or_else(|| "no times".to_string())
            })
            .transpose()
    }

    fn about(&self, file: &str) -> Result<Option<String>> {
        let Some(child) = &self.child else { return Ok(None) };
        let path = format!("/proc/{}/{file}", child.id());
        fs::read_to_string(&path).map(Some).map_err(failed(&path))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Becomes the program in `arguments` (namespace, parent's process id, program,
/// its arguments), in that namespace, to be killed with its parent.
pub fn launch(arguments: &[String]) -> ExitCode {
    let become_it = || -> Result<()> {
        let [namespace, parent, program, rest @ ..] = arguments else {
            return Err("nothing to launch".into());
        };
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("prctl(PR_SET_PDEATHSIG)"))?;
        if getppid().to_string() != *parent {
            return Err("the parent has ended".into());
        }
        let namespace = File::open(namespace).map_err(failed(namespace))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(failed("setns"))?;
        Err(failed(program)(Command::new(program).args(rest).exec()))
    };
    eprintln!("cannot launch: {}", become_it().err().unwrap_or_default());
    ExitCode::FAILURE
}

/// HAProxy's own words about its version, if it is installed.
pub fn haproxy_version() -> Option<String> {
    let output = Command::new("haproxy").arg("-v").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(ToString::to_string)
}
