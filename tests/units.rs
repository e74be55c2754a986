//! The services under a real systemd, with all their hardening: the founding
//! pair's first load balancer as `catamaran image manifest systemd` writes it and
//! as the NixOS modules have it, the second one without a service manager.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/systemd.rs"]
mod systemd;
#[path = "support/unit.rs"]
mod unit;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use catamaran::commands::lab::certificates::Authority;
use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, World};
use daemon::{Daemon, gains, loses};
use enclosed::{enclosed_as_root, found, run};
use installed::possible;
use serde_json::{Value, json};
use systemd::{PROGRAM, Systemd};
use unit::unit_text;

const VIRTUAL: &str = "211.183.3.250";

/// Where the founding documents have the certificate of the apiservers' authority.
const CA: [&str; 2] = ["/etc/kubernetes/pki/ca.crt", "/run/secrets/kubernetes-ca.crt"];

/// What a machine has for the service.
struct Service {
    unit: String,
    /// The name of the document's file in /etc/catamaran, and its format's end.
    file: &'static str,
    document: Value,
}

/// The clone's `tests/…`.
fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)).unwrap()
}

/// As any distribution has it.
fn of_manifest() -> Service {
    let output = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["image", "manifest", "systemd", "--node", "lb-a", "--config"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/manifests/founding.toml"
        ))
        .output()
        .unwrap();
    assert!(output.status.success());
    Service {
        unit: String::from_utf8(output.stdout).unwrap(),
        file: "cluster.toml",
        document: toml::from_str(&file("manifests/founding.toml")).unwrap(),
    }
}

/// As lb-a of the founding cluster has it on NixOS.
fn of_modules() -> Service {
    let host: Value = serde_json::from_str(&file("nix/hosts/founding/lb-a.json")).unwrap();
    let unit = unit_text(&host["systemd.services"]["catamaran"]);
    let mut document = host["services.catamaran.document"].clone();
    // Where the unit's credentials are.
    let credentials = "/run/credentials/catamaran.service";
    document["checks"]["apiserver"]["tls"]["ca"] = json!(format!("{credentials}/check-apiserver-ca"));
    document["virtual-routers"]["apiserver"]["authentication"]["pass-file"] =
        json!(format!("{credentials}/virtual-router-apiserver-pass-file"));
    Service {
        unit: unit.replace("/nix/store/…-catamaran/bin/catamaran", PROGRAM),
        file: "cluster.json",
        document,
    }
}

impl Service {
    fn text(&self, document: &Value) -> String {
        match self.file {
            "cluster.json" => document.to_string(),
            _ => toml::to_string(document).unwrap(),
        }
    }
}

#[test]
fn unit_of_the_manifest_lives_under_systemd() {
    if possible(Systemd::is_missing()) {
        enclosed_as_root(async |world| life(world, of_manifest()).await);
    }
}

#[test]
fn unit_of_the_nixos_modules_lives_under_systemd() {
    if possible(Systemd::is_missing()) {
        enclosed_as_root(async |world| life(world, of_modules()).await);
    }
}

/// A service from its start to its end.
async fn life(mut world: World, service: Service) {
    let mut host = |name: &str, last: u8| world.host(name, &[&format!("211.183.3.{last}/24")]).unwrap();
    let (a, b) = (host("lb-a", 251), host("lb-b", 252));
    let worker = host("worker", 110);
    let masters = [host("master1", 100), host("master2", 101), host("master3", 102)];
    let authority = Authority::new().unwrap();
    let _apiservers: Vec<_> = masters
        .iter()
        .map(|master| apiserver(master, &authority))
        .collect();
    let other = Daemon::start(&b, &other_document());
    other.is("active").await;

    let system = Systemd::boot(&a, |root| {
        let write = |path: &str, text: &str| {
            let path = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("/etc/systemd/system/catamaran.service", &service.unit);
        write(CA[0], &authority.pem());
        write(
            &format!("/etc/catamaran/{}", service.file),
            &service.text(&service.document),
        );
    })
    .await;
    // Not before it has booted: /run is its own.
    put(&system, CA[1], &authority.pem());
    put(&system, "/run/secrets/vrrp-password", "1111\n");

    // Once it has started it serves; it takes the address back by its rank.
    system.ask(["systemctl", "start", "catamaran"]).unwrap();
    gains(&a, VIRTUAL).await;
    other.is("backup").await;
    is_served(&worker, 6443).await;
    let exposure = system
        .ask(["systemd-analyze", "security", "--no-pager", "catamaran"])
        .unwrap();
    let (_, level) = exposure.rsplit_once("catamaran.service: ").unwrap();
    println!("exposure as systemd sees it: {level}");
    assert!(
        level.split(' ').next().unwrap().parse::<f64>().unwrap() <= 2.0,
        "{exposure}"
    );

    reloads(&system, &service, &worker).await;

    // One that hangs is killed and started anew by systemd; the other one helps out.
    let hung = system.property("catamaran", "MainPID");
    system.ask(["kill", "-STOP", &hung]).unwrap();
    gains(&b, VIRTUAL).await;
    loses(&a, VIRTUAL).await;
    gains(&a, VIRTUAL).await;
    assert_ne!(system.property("catamaran", "MainPID"), hung);
    assert_eq!(system.property("catamaran", "NRestarts"), "1");
    is_served(&worker, 6443).await;

    // What one that is killed has left is swept before the next one starts.
    system
        .ask([
            "systemctl",
            "kill",
            "--kill-who=main",
            "--signal=KILL",
            "catamaran",
        ])
        .unwrap();
    found("a second start", async || {
        (system.property("catamaran", "NRestarts") == "2").then_some(())
    })
    .await;
    gains(&a, VIRTUAL).await;
    is_served(&worker, 6443).await;
    let journal = journal(&system);
    assert!(
        journal.contains("removed a virtual address that a former life left"),
        "{journal}"
    );

    system.ask(["systemctl", "stop", "catamaran"]).unwrap();
    assert_eq!(system.property("catamaran", "Result"), "success");
    assert!(!daemon::has(&a, VIRTUAL));
    gains(&b, VIRTUAL).await;
    is_served(&worker, 6443).await;
    // Nothing but what the host had before.
    let addresses = run(&a, "ip -oneline -4 address show");
    assert_eq!(addresses.lines().count(), 2, "{addresses}");
}

/// Another document is read while the process and a connection go on; a wrong one
/// is refused.
async fn reloads(system: &Systemd, service: &Service, worker: &Host) {
    let process = system.property("catamaran", "MainPID");
    let mut held = worker.within(|| TcpStream::connect((VIRTUAL, 6443))).unwrap();
    held.set_nonblocking(true).unwrap();
    let place = format!("/etc/catamaran/{}", service.file);
    let mut document = service.document.clone();
    document["listeners"]["second"] = json!({ "bind": ["*:7443"], "pool": "apiserver" });
    put(system, &place, &service.text(&document));
    system.ask(["systemctl", "reload", "catamaran"]).unwrap();
    is_served(worker, 7443).await;

    document["listeners"]["second"]["pool"] = json!("apisrever");
    put(system, &place, &service.text(&document));
    system.ask(["systemctl", "reload", "catamaran"]).unwrap_err();
    let journal = system
        .ask(["journalctl", "--unit=catamaran", "--no-pager"])
        .unwrap();
    assert!(journal.contains("listeners.second.pool"), "{journal}");
    is_served(worker, 7443).await;
    put(system, &place, &service.text(&service.document));
    system.ask(["systemctl", "reload", "catamaran"]).unwrap();
    assert_eq!(system.property("catamaran", "MainPID"), process);
    let nothing = held.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

fn journal(system: &Systemd) -> String {
    system
        .ask(["journalctl", "--unit=catamaran", "--no-pager"])
        .unwrap()
}

/// The founding pair's second load balancer, where files are no secrets.
fn other_document() -> String {
    let document = file("manifests/founding.toml");
    let ca = format!("ca = {:?}", CA[0]);
    assert!(document.contains(&ca));
    document.replace(&ca, "verify = false")
}

/// A stand-in for an apiserver, with a certificate of the authority.
fn apiserver(host: &Host, authority: &Authority) -> Child {
    let address: IpAddr = match host.name() {
        "master1" => [211, 183, 3, 100],
        "master2" => [211, 183, 3, 101],
        _ => [211, 183, 3, 102],
    }
    .into();
    let identity = authority.apiserver(host.name(), &[address]).unwrap();
    let path = |end: &str| Path::new(FOLDER).join(format!("{}.{end}", host.name()));
    fs::write(path("crt"), identity.certificate).unwrap();
    fs::write(path("key"), identity.key).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command
        .args(["lab-inside", "stand-in", "--alone", "--name", host.name()])
        .args(["--listen", &format!("{address}:6443"), "--certificate"])
        .arg(path("crt"))
        .arg("--key")
        .arg(path("key"))
        .stdin(Stdio::null());
    host.within(|| command.spawn()).unwrap()
}

/// Write a file in a system that runs.
fn put(system: &Systemd, path: &str, text: &str) {
    let script = "mkdir -p \"$(dirname \"$0\")\"; cat >\"$0\"";
    let mut command = system.command(["sh", "-euc", script, path]);
    let mut shell = command.stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

async fn is_served(worker: &Host, port: u16) {
    found("an answer at the virtual address", async || {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--insecure",
            "--fail",
            "--max-time",
            "1",
            "--output",
            "/dev/null",
        ])
        .arg(format!("https://{VIRTUAL}:{port}/healthz"));
        worker.within(|| curl.status().unwrap()).success().then_some(())
    })
    .await;
}
