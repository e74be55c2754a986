//! Daemons that are allowed little, as in a container: what works without a
//! right, and which right is named where it does not.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use catamaran::commands::lab::world::Host;
use daemon::{Daemon, document, echo, hosts};
use enclosed::{enclosed, found, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const CATAMARAN: &str = env!("CARGO_BIN_EXE_catamaran");

const ADMIN: &str = "@catamaran";

/// Nothing but what the kernel gives every process.
const WITHOUT_RIGHTS: &[&str] = &["setpriv", "--bounding-set=-all", "--no-new-privs"];

fn balancer(bind: &str) -> String {
    format!(
        "[listeners.web]\nbind = [\"{bind}\"]\npool = \"web\"\n\
         [pools.web.endpoints]\none = \"127.0.0.1:9000\"\n"
    )
}

/// `catamaran ARGUMENTS` by a command that takes something away from it, with a
/// document that is in no file.
fn command(by: &[&str], arguments: &[&str], document: &str) -> Command {
    let words: Vec<&str> = by.iter().chain(&[CATAMARAN]).chain(arguments).copied().collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("CATAMARAN_DOCUMENT", document)
        .env_remove("CATAMARAN_ADMIN")
        .stdin(Stdio::null());
    command
}

/// A daemon in a host; killed when it is dropped.
struct Confined(Child);

impl Confined {
    fn start(host: &Host, by: &[&str], document: &str) -> Self {
        let mut command = command(by, &["run", "--admin", ADMIN], document);
        Self(host.within(|| command.stderr(Stdio::piped()).spawn()).unwrap())
    }

    /// End it as a service manager does, and give its log.
    fn stop(mut self) -> String {
        kill(
            Pid::from_raw(i32::try_from(self.0.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success() && status.signal().is_none(), "{status}: {log}");
        log
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `status --ready` as a health command runs it.
fn readiness(host: &Host, admin: &str) -> Output {
    let mut command = command(&[], &["status", "--ready", "--admin", admin], "");
    host.within(|| command.output()).unwrap()
}

async fn ready(host: &Host, admin: &str) {
    let output = found("ready", async || {
        Some(readiness(host, admin)).filter(|output| output.status.success())
    });
    let output = output.await;
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

async fn unready(host: &Host, admin: &str, why: &str) {
    found(why, async || {
        let output = readiness(host, admin);
        let said = String::from_utf8(output.stderr).unwrap();
        let one_sentence = said.starts_with("catamaran: not ready: ") && said.lines().count() == 1;
        (output.status.code() == Some(1) && one_sentence && said.contains(why)).then_some(())
    })
    .await;
}

/// What comes back through a listener.
fn echoed(host: &Host, front: &str) -> String {
    let front: SocketAddr = front.parse().unwrap();
    host.within(|| {
        let mut stream = TcpStream::connect(front).unwrap();
        stream.write_all(b"ask").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
}

#[test]
fn balancer_alone_wants_no_right_and_no_file() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        echo(&host, "127.0.0.1:9000".parse().unwrap());
        let daemon = Confined::start(&host, WITHOUT_RIGHTS, &balancer("*:6443"));
        ready(&host, ADMIN).await;
        assert_eq!(echoed(&host, "192.0.2.1:6443"), "ask");
        assert_eq!(echoed(&host, "[::1]:6443"), "ask");
        let log = daemon.stop();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    });
}

#[test]
fn port_of_the_privileged_names_the_capability() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        run(&host, "sysctl -qw net.ipv4.ip_unprivileged_port_start=1000");
        let mut refused = command(WITHOUT_RIGHTS, &["run"], &balancer("*:999"));
        let output = host.within(|| refused.output()).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("listener web: cannot bind *:999: Permission denied"),
            "{said}"
        );
        let way_out = "ports below 1000 want the capability NET_BIND_SERVICE: grant with \
                       `--cap-add=NET_BIND_SERVICE` to podman run, or \
                       `AmbientCapabilities=CAP_NET_BIND_SERVICE` in a systemd unit";
        assert!(said.contains(way_out), "{said}");

        let with_it = &[
            "setpriv",
            "--bounding-set=-all,+net_bind_service",
            "--no-new-privs",
        ];
        let daemon = Confined::start(&host, with_it, &balancer("*:999"));
        ready(&host, ADMIN).await;
        daemon.stop();
    });
}

#[test]
fn star_is_ipv4_where_ipv6_is_switched_off() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        run(&host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
        echo(&host, "127.0.0.1:9000".parse().unwrap());
        let daemon = Confined::start(&host, WITHOUT_RIGHTS, &balancer("*:6443"));
        ready(&host, ADMIN).await;
        assert_eq!(echoed(&host, "192.0.2.1:6443"), "ask");
        daemon.stop();
    });
}

/// The usual place of the admin socket on a file system that is read-only.
#[test]
fn read_only_place_of_the_admin_socket_is_told_with_the_way_out() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let read_only = "mount -t tmpfs -o ro none /run && exec \"$0\" \"$@\"";
        let by = ["unshare", "--mount", "sh", "-c", read_only];
        let sentence = "cannot listen at /run/catamaran/admin.sock: Read-only file system (os error 30); \
                        --admin @catamaran needs no file";

        // Whoever has said where wants it there.
        let arguments = ["run", "--admin", "/run/catamaran/admin.sock"];
        let mut wished = command(&by, &arguments, &balancer("*:6443"));
        let output = host.within(|| wished.output()).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(sentence), "{said}");

        // With that way out, it needs nothing that can be written to.
        let daemon = Confined::start(&host, &by, &balancer("*:6443"));
        ready(&host, ADMIN).await;
        daemon.stop();

        // Nobody has said where: it serves without.
        let mut unasked = command(&by, &["run"], &balancer("*:6443"));
        let process = host.within(|| unasked.stderr(Stdio::piped()).spawn()).unwrap();
        let daemon = Confined(process);
        found("accepts connections", async || {
            host.within(|| TcpStream::connect("192.0.2.1:6443")).ok()
        })
        .await;
        let log = daemon.stop();
        assert!(
            log.contains("there is no admin socket") && log.contains(sentence),
            "{log}"
        );
    });
}

#[test]
fn router_is_ready_while_it_takes_part_in_elections() {
    enclosed(async |mut world| {
        let (a, _) = hosts(&mut world);
        // Nobody is there who could take over, so that it waits for somebody.
        let daemon = Daemon::start(&a, &document("").replace("100ms", "1s"));
        let admin = daemon.admin.to_string();
        ready(&a, &admin).await;
        a.set_cable(false).unwrap();
        unready(
            &a,
            &admin,
            "virtual router front takes no part in elections: fault",
        )
        .await;
        a.set_cable(true).unwrap();
        ready(&a, &admin).await;
        daemon.is("active").await;
        daemon.signal(Signal::SIGTERM);
        unready(&a, &admin, "the daemon is about to end").await;
        daemon.stop();
    });
}
