//! A real daemon in a host, and pairs of them.

#![allow(dead_code)] // Each test file uses its own part.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use catamaran::app::election::status::RouterStatus;
use catamaran::app::status::Status;
use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, World};
use catamaran::shell::admin::{Place, Question, ask};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::enclosed::{found, run};

/// Two nodes; 100 ms, so that tests are quick.
pub const NODES: &str = r#"
[nodes.lb-a]
address = "192.0.2.1"
interface = "ens32"
priority = 200
[nodes.lb-b]
address = "192.0.2.2"
interface = "ens32"
priority = 100
"#;

pub const ROUTER: &str = r#"
[virtual-routers.front]
vrid = 51
addresses = ["192.0.2.250/24"]
advertisement-interval = "100ms"
"#;

pub const VIRTUAL: &str = "192.0.2.250";

/// A daemon in a host; killed when it is dropped.
pub struct Daemon {
    pub host: Host,
    pub process: Child,
    pub admin: Place,
}

impl Daemon {
    pub fn start(host: &Host, document: &str) -> Self {
        Self::start_as(host, document, Some(host.name()))
    }

    /// As this node, or as none.
    pub fn start_as(host: &Host, document: &str, node: Option<&str>) -> Self {
        let file = |end: &str| Path::new(FOLDER).join(format!("{}.{end}", host.name()));
        std::fs::write(file("toml"), document).unwrap();
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(file("log"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
        command
            .args(["run", "--config"])
            .arg(file("toml"))
            .args(node.iter().flat_map(|node| ["--node", node]))
            .env("CATAMARAN_ADMIN", file("sock"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self {
            host: host.clone(),
            process: host.within(|| command.spawn()).unwrap(),
            admin: Place::Path(file("sock")),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    pub async fn status(&self) -> Option<Status> {
        let answer = ask(&self.admin, Question::Status).await.ok()?;
        Some(serde_json::from_str(&answer).unwrap())
    }

    /// Its only virtual router, once it satisfies a condition.
    pub async fn router(&self, what: &str, is_so: impl Fn(&RouterStatus) -> bool) -> RouterStatus {
        let what = format!("{}: {what}", self.host.name());
        found(&what, async || {
            let router = self.status().await?.virtual_routers.pop()?;
            is_so(&router).then_some(router)
        })
        .await
    }

    pub async fn is(&self, state: &str) -> RouterStatus {
        self.router(state, |router| router.state == state).await
    }

    /// End it as a service manager does, and see that it went well.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), None);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How often something has happened to a virtual router; what never has is not
/// among its counters.
pub fn count(router: &RouterStatus, what: &str) -> u64 {
    router.counters.get(what).copied().unwrap_or_default()
}

/// Whether an interface of this host has the address.
pub fn has(host: &Host, address: &str) -> bool {
    run(host, "ip -oneline address show").contains(&format!(" {address}/"))
}

pub async fn gains(host: &Host, address: &str) {
    found(&format!("{address} on {}", host.name()), async || {
        has(host, address).then_some(())
    })
    .await;
}

pub async fn loses(host: &Host, address: &str) {
    found(&format!("no {address} on {}", host.name()), async || {
        (!has(host, address)).then_some(())
    })
    .await;
}

pub fn hosts(world: &mut World) -> (Host, Host) {
    let mut host = |name, address| world.host(name, &[address]).unwrap();
    (host("lb-a", "192.0.2.1/24"), host("lb-b", "192.0.2.2/24"))
}

/// Two daemons with one document; the first is Active.
pub async fn pair(world: &mut World, document: &str) -> (Daemon, Daemon) {
    let (a, b) = hosts(world);
    let daemons = (Daemon::start(&a, document), Daemon::start(&b, document));
    daemons.0.is("active").await;
    daemons.1.is("backup").await;
    assert!(has(&a, VIRTUAL));
    assert!(!has(&b, VIRTUAL));
    daemons
}

pub fn document(rest: &str) -> String {
    format!("{NODES}{ROUTER}{rest}")
}

/// An endpoint that echoes, on a thread.
pub fn echo(host: &Host, address: SocketAddr) {
    let listener = host.within(|| TcpListener::bind(address)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut copy = stream.try_clone().unwrap();
                // Whoever resets the connection ends the echo.
                let _ = std::io::copy(&mut copy, &mut stream);
            });
        }
    });
}
