//! The daemon under a service manager, as systemd's protocol has it: what it
//! tells when, and that it is not reported alive when a part of it hangs.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use catamaran::commands::lab::enclosure::FOLDER;
use daemon::{document, hosts};
use enclosed::{PATIENCE, enclosed};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A loopback address that no other process of these tests has.
fn own_address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | high, middle, low)
}

/// What listens where systemd does.
struct Manager(UnixDatagram);

impl Manager {
    fn at(name: &str) -> Self {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        Self(UnixDatagram::bind_addr(&address.unwrap()).unwrap())
    }

    fn told_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 1024];
        match self.0.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                None
            }
        }
    }

    /// The next message that begins so; others in between are given, too.
    fn told(&self, wanted: &str) -> Vec<String> {
        let began = Instant::now();
        let mut all = Vec::new();
        while began.elapsed() < PATIENCE {
            let Some(message) = self.told_within(PATIENCE) else {
                break;
            };
            all.push(message);
            if all.last().unwrap().starts_with(wanted) {
                return all;
            }
        }
        panic!("{wanted:?} was not told, but {all:?}");
    }

    /// Nothing of that kind is told for a time in which it was due three times.
    fn is_not_told(&self, wanted: &str, due_each: Duration) {
        let until = Instant::now() + 3 * due_each;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            // What was on its way already, or about something else.
            let Some(message) = self.told_within(left.max(Duration::from_millis(1))) else {
                return;
            };
            let early = until.duration_since(Instant::now()) > 2 * due_each;
            assert!(early || !message.starts_with(wanted), "{message}");
        }
    }
}

/// A balancer of one pool whose endpoints never go down.
fn balancer(port: u16) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    let text = format!(
        "[daemon]\nthreads = 2\ndrain-timeout = \"2s\"\n\
         [listeners.a]\nbind = [\"{}:{port}\"]\npool = \"a\"\n\
         [pools.a.endpoints]\none = \"127.0.0.1:1\"\ntwo = \"127.0.0.1:2\"\n",
        own_address()
    );
    fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().into())
}

/// Killed when it is dropped.
struct Service(Child);

impl Service {
    fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    /// Hold one of its threads, as a fault that keeps it busy would.
    fn hold(&self, name: &str) -> Held {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let is_it = |path: &std::path::PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|found| found.trim_end() == name)
        };
        let path = tasks.map(|entry| entry.unwrap().path()).find(is_it);
        let path = path.unwrap_or_else(|| panic!("no thread {name}"));
        let thread = Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        let stopped = waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        assert!(matches!(stopped, WaitStatus::PtraceEvent(..)), "{stopped:?}");
        Held(thread)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A thread that goes on when this is dropped.
struct Held(Pid);

impl Drop for Held {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn life_is_told_from_its_start_to_its_end() {
    let (folder, path) = balancer(2001);
    let file = folder.path().join("notify").to_str().unwrap().to_string();
    let abstract_name = format!("@catamaran-life-{}", std::process::id());
    for name in [file, abstract_name] {
        let manager = Manager::at(&name);
        let mut service = Service::start(
            Command::new(env!("CARGO_BIN_EXE_catamaran"))
                .args(["run", "-c", &path, "--admin"])
                .arg(folder.path().join("admin.sock"))
                .env("NOTIFY_SOCKET", &name)
                .env_remove("WATCHDOG_USEC"),
        );
        manager.told("READY=1");
        let all = manager.told("STATUS=2 of 2 endpoints ready");
        // Nobody has asked whether it is alive.
        assert!(!all.iter().any(|message| message == "WATCHDOG=1"), "{all:?}");
        kill(service.pid(), Signal::SIGTERM).unwrap();
        let all = manager.told("STOPPING=1");
        let stopping = all.last().unwrap();
        // The drain-timeout, and what ending takes.
        assert_eq!(stopping, "STOPPING=1\nEXTEND_TIMEOUT_USEC=7000000");
        assert!(service.0.wait().unwrap().success());
    }
}

#[test]
fn reload_is_told_from_its_begin_to_its_end_whatever_comes_of_it() {
    let (folder, path) = balancer(2004);
    let name = folder.path().join("notify").to_str().unwrap().to_string();
    let manager = Manager::at(&name);
    let service = Service::start(
        Command::new(env!("CARGO_BIN_EXE_catamaran"))
            .args(["run", "-c", &path, "--admin"])
            .arg(folder.path().join("admin.sock"))
            .env("NOTIFY_SOCKET", &name)
            .env_remove("WATCHDOG_USEC"),
    );
    manager.told("READY=1");
    let good = fs::read_to_string(&path).unwrap();
    for document in [good.replace("two = ", "other = "), "nonsense".into()] {
        fs::write(&path, document).unwrap();
        kill(service.pid(), Signal::SIGHUP).unwrap();
        let all = manager.told("RELOADING=1");
        let since = all.last().unwrap().strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.unwrap().parse::<u64>().unwrap() > 0, "{all:?}");
        manager.told("READY=1");
    }
}

#[test]
fn socket_that_cannot_be_named_is_no_start() {
    let (_folder, path) = balancer(2002);
    let output = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["run", "-c", &path])
        .env("NOTIFY_SOCKET", format!("/{}", "n".repeat(200)))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("NOTIFY_SOCKET"), "{said}");
}

/// Half of it is how often a daemon reports.
const WATCHDOG: Duration = Duration::from_millis(600);

fn watched(command: &mut Command, name: &str) -> Service {
    Service::start(
        command
            .env("NOTIFY_SOCKET", name)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .env_remove("WATCHDOG_PID"),
    )
}

fn hung_thread_is_noticed(manager: &Manager, service: &Service, thread: &str) {
    manager.told("WATCHDOG=1");
    let began = Instant::now();
    manager.told("WATCHDOG=1");
    assert!(began.elapsed() < WATCHDOG, "{:?}", began.elapsed());
    let held = service.hold(thread);
    manager.is_not_told("WATCHDOG=1", WATCHDOG / 2);
    drop(held);
    manager.told("WATCHDOG=1");
}

#[test]
fn hung_core_is_not_reported_alive() {
    let (folder, path) = balancer(2003);
    let name = folder.path().join("notify").to_str().unwrap().to_string();
    let manager = Manager::at(&name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command.args(["run", "-c", &path, "--admin"]);
    let service = watched(command.arg(folder.path().join("admin.sock")), &name);
    manager.told("READY=1");
    hung_thread_is_noticed(&manager, &service, "core-1");
}

#[test]
fn hung_election_is_not_reported_alive() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let path = format!("{FOLDER}/cluster.toml");
        fs::write(&path, document("")).unwrap();
        let name = format!("{FOLDER}/notify");
        let manager = Manager::at(&name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
        command.args(["run", "-c", &path, "--node", "lb-a", "--admin"]);
        command.arg(format!("{FOLDER}/admin.sock"));
        let service = host.within(|| watched(&mut command, &name));
        manager.told("READY=1");
        manager.told("STATUS=active for front");
        hung_thread_is_noticed(&manager, &service, "vrrp");
    });
}
