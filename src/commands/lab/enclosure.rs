//! A place of its own on this machine, without root where the kernel allows it.
//!
//! ```text
//!  catamaran lab              waits; hands on Enter and the end
//!    └─ lab-inside between    new user, mount, PID, network and host name namespaces
//!         └─ the program      first process of the PID namespace
//!              └─ …           everything it starts
//! ```
//!
//! Nothing survives the outermost process, however it ends: each process asks
//! the kernel to be killed with its parent, the kernel kills what is left of a
//! PID namespace when its first process ends, and namespaces and the tmpfs
//! with all files go with their last process. No file is ever written outside.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};
use tokio::signal::unix::{SignalKind, signal};

/// Where programs inside may write: a folder on a tmpfs that goes with the enclosure.
pub const FOLDER: &str = "/run/catamaran";

/// Names of network namespaces, where `ip netns` looks for them too.
pub(super) const NAMED_NETWORKS: &str = "/run/netns";

/// Holds the process id of the first process as the outside sees it.
const PID_OUTSIDE: &str = "/run/catamaran/pid-outside";

/// How long the inside may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How this process may make namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enclosure {
    /// Inside a user namespace: no privilege needed.
    UserNamespace,
    /// As root, without a user namespace.
    Root,
}

impl Enclosure {
    /// Try what the kernel allows; a user namespace is preferred, also for root.
    ///
    /// # Errors
    /// What the kernel refused, and what to do about it.
    pub fn find() -> Result<Self, Refusal> {
        let refused = match Self::UserNamespace.try_out() {
            Ok(()) => return Ok(Self::UserNamespace),
            Err(refused) => refused,
        };
        if !geteuid().is_root() {
            return Err(Refusal {
                user_namespace: refused,
                root: None,
            });
        }
        match Self::Root.try_out() {
            Ok(()) => Ok(Self::Root),
            Err(root) => Err(Refusal {
                user_namespace: refused,
                root: Some(root),
            }),
        }
    }

    /// Run a program inside and wait for its end; call it before any runtime exists.
    ///
    /// SIGINT, SIGTERM and SIGHUP end the inside. The program's standard input
    /// is a [`Lifeline`]; with `enter`, a line typed outside arrives there.
    ///
    /// # Errors
    /// When the processes in between cannot be started.
    pub fn run(self, program: &[OsString], enter: bool) -> io::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hang_up = signal(SignalKind::hangup())?;
            let (near, far) = UnixStream::pair()?;
            let mut between = tokio::process::Command::from(self.between("run", program));
            // A process group of its own, so that Ctrl-C reaches only this process.
            let mut child = between
                .stdin(Stdio::from(OwnedFd::from(far)))
                .process_group(0)
                .spawn()?;
            // The command holds the far end of the lifeline too.
            drop(between);
            if enter {
                let lifeline = near.try_clone()?;
                thread::spawn(move || hand_on_lines(lifeline));
            }
            let ended_by = tokio::select! {
                status = child.wait() => return Ok(exit_code(status?)),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hang_up.recv() => SignalKind::hangup(),
            };
            near.shutdown(std::net::Shutdown::Both)?;
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                child.kill().await?;
            }
            Ok(ExitCode::from(
                u8::try_from(128 + ended_by.as_raw_value()).unwrap_or(1),
            ))
        })
    }

    pub(super) fn named(word: &str) -> Self {
        if word == Self::Root.word() {
            Self::Root
        } else {
            Self::UserNamespace
        }
    }

    /// What a user types to look around in the enclosure of which `pid` is the
    /// first process, as the outside sees it.
    pub fn way_in(self, pid: u32) -> String {
        match self {
            Self::UserNamespace => {
                format!("nsenter --target {pid} --user --mount --net --pid --preserve-credentials")
            }
            Self::Root => format!("nsenter --target {pid} --mount --net --pid"),
        }
    }

    fn try_out(self) -> Result<(), String> {
        let (near, far) = UnixStream::pair().map_err(|error| error.to_string())?;
        let output = self
            .between("try", &[])
            .stdin(Stdio::from(OwnedFd::from(far)))
            .output()
            .map_err(|error| format!("cannot start a process: {error}"))?;
        drop(near);
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_string())
    }

    fn between(self, what: &str, program: &[OsString]) -> Command {
        let mut command = itself(["between", self.word(), what, "--"]);
        command.args(program);
        command
    }

    /// [`Enclosure::named`] with this word gives it back.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::Root => "root",
        }
    }
}

/// Why there can be no enclosure.
#[derive(Debug)]
pub struct Refusal {
    user_namespace: String,
    root: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the kernel refuses a world of its own to this process")?;
        writeln!(f, "  in a user namespace: {}", self.user_namespace)?;
        match &self.root {
            Some(refused) => writeln!(f, "  as root without one: {refused}")?,
            None => writeln!(f, "  as root without one: this is not root")?,
        }
        for (setting, value, way_out) in [
            (
                "kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "AppArmor restricts user namespaces: run this as root, or allow them with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
            ),
            (
                "kernel/unprivileged_userns_clone",
                "0",
                "user namespaces are switched off: run this as root, or allow them with `sysctl kernel.unprivileged_userns_clone=1`",
            ),
            (
                "user/max_user_namespaces",
                "0",
                "no user namespace is allowed: run this as root, or allow some with `sysctl user.max_user_namespaces=1000`",
            ),
        ] {
            let found = fs::read_to_string(Path::new("/proc/sys").join(setting));
            if found.is_ok_and(|found| found.trim() == value) {
                return write!(f, "{way_out}");
            }
        }
        match self.root {
            None => write!(f, "run this as root, or allow user namespaces to this user"),
            Some(_) => write!(
                f,
                "this looks like a container: run this outside of it, or give the container more (`--privileged`)"
            ),
        }
    }
}

/// The process between the outside and the first process inside: makes the
/// namespaces, starts the program, passes its exit code on.
pub(super) fn between(enclosure: Enclosure, program: Option<&[OsString]>) -> ExitCode {
    let done = die_with_parent()
        .and_then(|()| enter(enclosure))
        .and_then(|()| match program {
            None => try_mounts(),
            Some(program) => {
                let mut command = itself(["first", "--"]);
                let status = command.args(program).status();
                status
                    .map(exit_code)
                    .map_err(|error| format!("cannot start a process: {error}"))
            }
        });
    done.unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::FAILURE
    })
}

/// The first process inside: makes the private file systems, then becomes `program`.
pub(super) fn first(program: &[OsString]) -> ExitCode {
    let prepared = die_with_parent().and_then(|()| {
        // The old /proc still shows the outside's numbers.
        let outside = fs::read_link("/proc/self").unwrap_or_default();
        mount_private()?;
        fs::write(PID_OUTSIDE, outside.as_os_str().as_encoded_bytes())
            .map_err(|error| format!("cannot write {PID_OUTSIDE}: {error}"))
    });
    let (Ok(()), Some((name, arguments))) = (&prepared, program.split_first()) else {
        eprintln!("{}", prepared.err().unwrap_or_else(|| "nothing to run".into()));
        return ExitCode::FAILURE;
    };
    let error = Command::new(name).args(arguments).exec();
    eprintln!("cannot run {}: {error}", name.display());
    ExitCode::FAILURE
}

/// Inside: the process id of the first process as the outside sees it.
pub fn pid_outside() -> Option<u32> {
    fs::read_to_string(PID_OUTSIDE).ok()?.trim().parse().ok()
}

/// This very program with a hidden subcommand.
pub(super) fn itself<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("catamaran").arg("lab-inside").args(arguments);
    command
}

/// The same for [`Enclosure::run`].
pub(super) fn itself_as_words(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    ["/proc/self/exe", "lab-inside"]
        .map(OsString::from)
        .into_iter()
        .chain(arguments)
        .collect()
}

/// Standard input of a program inside: ends when the outside ends.
pub struct Lifeline(tokio::net::UnixStream);

impl Lifeline {
    /// Take it from standard input, in a runtime.
    ///
    /// # Errors
    /// When standard input is not a lifeline.
    pub fn take() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        Ok(Self(tokio::net::UnixStream::from_std(stream)?))
    }

    /// Wait for a line typed outside (`true`) or the outside's end (`false`).
    pub async fn line(&mut self) -> bool {
        use tokio::io::AsyncReadExt;
        let mut bytes = [0; 64];
        matches!(self.0.read(&mut bytes).await, Ok(1..))
    }
}

fn hand_on_lines(mut lifeline: UnixStream) {
    for line in io::stdin().lines() {
        if line.is_err() || lifeline.write_all(b"\n").is_err() {
            return;
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Ask to be killed with the parent, and see whether that came too late.
fn die_with_parent() -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("prctl(PR_SET_PDEATHSIG): {error}"))?;
    let lifeline = || -> io::Result<bool> {
        let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        let ended = matches!(stream.read(&mut [0]), Ok(0));
        stream.set_nonblocking(false)?;
        Ok(ended)
    };
    match lifeline() {
        Ok(false) => Ok(()),
        Ok(true) => Err("the process outside has ended".into()),
        Err(error) => Err(format!("standard input is not a lifeline: {error}")),
    }
}

fn enter(enclosure: Enclosure) -> Result<(), String> {
    if enclosure == Enclosure::UserNamespace {
        // Taken before: inside, unmapped ids are all "nobody".
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| format!("unshare(CLONE_NEWUSER): {error}"))?;
        // A process without privilege may map its group only after it gave up setgroups(2):
        // user_namespaces(7).
        for (file, text) in [
            ("setgroups", "deny".to_string()),
            ("uid_map", format!("0 {user} 1")),
            ("gid_map", format!("0 {group} 1")),
        ] {
            fs::write(Path::new("/proc/self").join(file), text)
                .map_err(|error| format!("cannot write /proc/self/{file}: {error}"))?;
        }
    }
    for (flag, name) in [
        (CloneFlags::CLONE_NEWNS, "CLONE_NEWNS"),
        (CloneFlags::CLONE_NEWNET, "CLONE_NEWNET"),
        (CloneFlags::CLONE_NEWUTS, "CLONE_NEWUTS"),
        (CloneFlags::CLONE_NEWPID, "CLONE_NEWPID"),
    ] {
        unshare(flag).map_err(|error| format!("unshare({name}): {error}"))?;
    }
    Ok(())
}

fn try_mounts() -> Result<ExitCode, String> {
    mount_private().map(|()| ExitCode::SUCCESS)
}

fn mount_private() -> Result<(), String> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|error| format!("cannot make mounts private: {error}"))?;
    mount(
        Some("catamaran"),
        "/run",
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(|error| format!("cannot mount a tmpfs on /run: {error}"))?;
    for folder in [FOLDER, NAMED_NETWORKS] {
        fs::create_dir(folder).map_err(|error| format!("cannot create {folder}: {error}"))?;
    }
    // Only for those who look around with ps; containers that hide parts of /proc refuse it.
    let _ = mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        NONE,
    );
    Ok(())
}
