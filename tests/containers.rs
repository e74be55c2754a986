//! The images under podman: load balancers and apiservers in containers, each in
//! the network of a machine of its own, with the capabilities that are
//! documented and not one more.

#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/podman.rs"]
mod podman;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use catamaran::app::status::Status;
use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, World};
use enclosed::{enclosed_as_root, found, run};
use installed::possible;
use nix::sys::signal::{Signal, kill};
use podman::Podman;

const VIRTUAL: &str = "211.183.3.250";

/// The founding document, for stand-ins whose certificates nobody has signed.
fn founding() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/founding.toml");
    let text = fs::read_to_string(path).unwrap();
    text.replace(r#"ca = "/etc/kubernetes/pki/ca.crt""#, "verify = false")
}

/// An image that this very binary makes; its id.
fn build(podman: &Podman, image: &str) -> String {
    let archive = Path::new(FOLDER).join(format!("{image}.tar"));
    let built = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["image", "build", image, "--output"])
        .arg(&archive)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    podman.load(&archive)
}

fn write(name: &str, document: &str) -> PathBuf {
    let path = Path::new(FOLDER).join(format!("{name}.toml"));
    fs::write(&path, document).unwrap();
    path
}

/// Start a container; podman stays with it.
fn start(mut command: Command, name: &str) -> Child {
    let log = fs::File::create(Path::new(FOLDER).join(format!("{name}.log"))).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// What the load balancer in a container says of itself.
fn status(podman: &Podman, name: &str) -> Option<Status> {
    let said = podman
        .ask(["exec", name, "/catamaran", "status", "--json"])
        .ok()?;
    Some(serde_json::from_str(&said).unwrap())
}

async fn is(podman: &Podman, name: &str, state: &str) {
    found(&format!("{name}: {state}"), async || {
        let status = status(podman, name)?;
        (status.virtual_routers[0].state == state).then_some(())
    })
    .await;
}

fn has(host: &Host, address: &str) -> bool {
    run(host, "ip -oneline address show").contains(&format!(" {address}/"))
}

/// Who answers at the virtual address, if anybody does.
fn served_by(client: &Host) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--insecure",
        "--max-time",
        "1",
        "--dump-header",
        "-",
        "--output",
        "/dev/null",
    ])
    .arg(format!("https://{VIRTUAL}:6443/healthz"));
    let output = client.within(|| curl.output().unwrap());
    let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let served_by = head.lines().find_map(|line| line.strip_prefix("x-served-by: "));
    head.contains(" 200")
        .then(|| served_by.unwrap_or_default().trim().to_string())
}

async fn is_served(client: &Host) {
    found("an answer at the virtual address", async || served_by(client)).await;
}

#[test]
fn founding_case_runs_out_of_containers_and_survives_the_death_of_one() {
    if !possible(Podman::is_missing()) {
        return;
    }
    enclosed_as_root(async |mut world| {
        let podman = Podman::set_up();
        let (balancer, apiserver) = (build(&podman, "load-balancer"), build(&podman, "lab-apiserver"));
        let mut host = |name: &str, address: &str| world.host(name, &[address]).unwrap();
        let masters = [
            host("master1", "211.183.3.100/24"),
            host("master2", "211.183.3.101/24"),
            host("master3", "211.183.3.102/24"),
        ];
        let (a, b) = (host("lb-a", "211.183.3.251/24"), host("lb-b", "211.183.3.252/24"));
        let client = host("worker", "211.183.3.110/24");
        let mut started = Vec::new();
        for master in &masters {
            started.push(start(
                podman.bare(master, &apiserver, master.name()),
                master.name(),
            ));
        }
        let document = write("cluster", &founding());
        for router in [&a, &b] {
            let container = podman.run(router, &balancer, router.name(), &document);
            started.push(start(container, router.name()));
        }
        is(&podman, "lb-a", "active").await;
        is(&podman, "lb-b", "backup").await;
        found("ready", async || {
            podman
                .ask(["exec", "lb-b", "/catamaran", "status", "--ready"])
                .ok()
        })
        .await;
        is_served(&client).await;

        // An apiserver that answers no more is asked no more.
        podman.ask(["kill", "master1"]).unwrap();
        found("an endpoint that is down", async || {
            let endpoints = status(&podman, "lb-a")?.pools.remove(0).endpoints;
            endpoints.iter().any(|endpoint| !endpoint.ready).then_some(())
        })
        .await;
        is_served(&client).await;

        // Nobody helps: the daemon is dead, and its address goes.
        kill(podman.process("lb-a").unwrap(), Signal::SIGKILL).unwrap();
        is(&podman, "lb-b", "active").await;
        is_served(&client).await;
        found("no address of the dead", async || {
            (!has(&a, VIRTUAL)).then_some(())
        })
        .await;

        started.push(start(podman.run(&a, &balancer, "lb-a", &document), "lb-a"));
        is(&podman, "lb-a", "active").await;
        is_served(&client).await;

        // As podman does it, well within its grace period of ten seconds.
        podman.ask(["stop", "lb-a"]).unwrap();
        is(&podman, "lb-b", "active").await;
        is_served(&client).await;
        assert!(!has(&a, VIRTUAL));
        podman.ask(["stop", "--all"]).unwrap();
        assert!(!has(&b, VIRTUAL));
        for mut container in started {
            container.wait().unwrap();
        }
    });
}

#[test]
fn capability_that_is_missing_is_named() {
    if !possible(Podman::is_missing()) {
        return;
    }
    enclosed_as_root(async |mut world| {
        let podman = Podman::set_up();
        let balancer = build(&podman, "load-balancer");
        let host = world.host("lb-a", &["211.183.3.251/24"]).unwrap();
        let high = write("high", &founding());
        let low = write("low", &founding().replace("*:6443", "*:443"));
        for (document, missing, named) in [
            (&high, "NET_ADMIN", "this process lacks NET_ADMIN:"),
            (&high, "NET_RAW", "this process lacks NET_RAW:"),
            (&low, "NET_BIND_SERVICE", "want the capability NET_BIND_SERVICE:"),
        ] {
            let all = podman.run(&host, &balancer, "lb-a", document);
            let output = podman::without(&all, missing).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(named), "{said}");
        }
    });
}

#[test]
fn balancer_alone_wants_no_capability_and_its_document_may_be_a_variable() {
    if !possible(Podman::is_missing()) {
        return;
    }
    enclosed_as_root(async |_: World| {
        let podman = Podman::set_up();
        let balancer = build(&podman, "load-balancer");
        let founding = founding();
        let (_, balancing) = founding.split_once("[listeners").unwrap();
        let document = format!("--env=CATAMARAN_DOCUMENT=[listeners{balancing}");
        let mut command = podman.command(["run", "--rm", "--name=lb-a", "--cap-drop=all", "--read-only"]);
        command.args(["--cgroup-parent=/catamaran-tests", "--read-only-tmpfs=false"]);
        command.args(["--net=host", &document, &balancer]);
        let mut container = start(command, "lb-a");
        found("ready", async || {
            podman
                .ask(["exec", "lb-a", "/catamaran", "status", "--ready"])
                .ok()
        })
        .await;
        let status = status(&podman, "lb-a").unwrap();
        assert_eq!(status.pools[0].endpoints.len(), 3);
        podman.ask(["stop", "lb-a"]).unwrap();
        assert!(container.wait().unwrap().success());
    });
}
