//! `cargo bench --bench containers [-- --quick] [-- --json]`: what a container
//! costs. The image that `catamaran image build` makes, under podman, beside the
//! same binary without a container, and beside Debian's HAProxy packed alike:
//! from scratch, with the libraries that it needs and nothing else.
//!
//! Root only, and podman, runc and haproxy: everything happens in namespaces and
//! on a tmpfs of the run's own. Containers have the README's capabilities, a
//! read-only root and the network namespace of a machine of the lab, where they
//! are load balancers as any other.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::World;
use nix::sys::signal::{Signal, kill};
use serde_json::json;
use support::lan::{A, Lan, ROUTERS};
use support::podman::Podman;
use support::routers::{Pace, Subject, image, nodes};
use support::trial::{Event, trial};
use support::world::{INSIDE, enclose};
use support::{Result, failed, wait_until};

/// Between advertisements while outages are measured.
const PACES: [Pace; 2] = [Pace::of(1_000), Pace::of(100)];

/// What befalls the active load balancer.
const EVENTS: [Event; 2] = [Event::Stop, Event::Crash];

const SUBJECTS: [Subject; 2] = [Subject::Catamaran, Subject::Container];

/// How many times as long an outage may be with containers.
const AS_LONG: f64 = 1.2;

/// Below this an outage is the noise of the machine, not of what is measured.
const NOISE: f64 = 5.0;

const PORT: u16 = 6443;

/// A container that does not answer by then does not start.
const START: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let known = [INSIDE, "--bench", "--quick", "--json"];
    if let Some(unknown) = arguments.iter().find(|word| !known.contains(&word.as_str())) {
        eprintln!("{unknown}: this benchmark knows --quick and --json");
        return ExitCode::from(2);
    }
    if let Some(why) = Podman::is_missing() {
        eprintln!("error: {why}");
        return ExitCode::FAILURE;
    }
    if !has(INSIDE) {
        eprintln!("error: {}", enclose(true, &arguments));
        return ExitCode::FAILURE;
    }
    match run(if has("--quick") { 1 } else { 5 }) {
        Ok(report) => {
            if has("--json") {
                println!("{:#}", report.json());
            } else {
                report.print();
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Milliseconds, in the order of their measuring.
#[derive(Default)]
struct Report {
    outages: Vec<(Pace, Event, Subject, f64)>,
    starts: Vec<(Image, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Image {
    Catamaran,
    Haproxy,
}

fn run(trials: usize) -> Result<Report> {
    let lan = Lan::build(&mut World::new()?)?;
    let haproxy = pack_haproxy()?;
    let mut report = Report::default();
    for number in 0..trials {
        let phase = (number as f64 + 0.5) / trials as f64;
        eprintln!("trial {} of {trials}", number + 1);
        for pace in PACES {
            for event in EVENTS {
                // Whoever comes first finds another machine than whoever comes last.
                let mut subjects = SUBJECTS;
                subjects.rotate_left(number % SUBJECTS.len());
                for subject in subjects {
                    let found = trial(&lan, subject, pace, event, phase)?;
                    let outage = found.outage.as_secs_f64() * 1_000.0;
                    report.outages.push((pace, event, subject, outage));
                }
            }
        }
        lan.tidy()?;
        for of in [Image::Catamaran, Image::Haproxy] {
            let took = start(&lan, of, &haproxy)?;
            report.starts.push((of, took.as_secs_f64() * 1_000.0));
        }
    }
    Ok(report)
}

/// HAProxy and the libraries that it is linked with, as an image.
fn pack_haproxy() -> Result<String> {
    const PROGRAM: &str = "/usr/sbin/haproxy";
    let linked = Command::new("ldd").arg(PROGRAM).output().map_err(failed("ldd"))?;
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let files: Vec<&str> = linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .collect();
    if files.is_empty() {
        return Err(format!("{PROGRAM} is not there: apt-get install haproxy"));
    }
    let archive = format!("{FOLDER}/haproxy.tar");
    let packed = Command::new("tar")
        .args([
            "--create",
            "--dereference",
            "--absolute-names",
            "--file",
            &archive,
            PROGRAM,
        ])
        .args(files)
        .status();
    if !packed.map_err(failed("tar"))?.success() {
        return Err("tar cannot pack HAProxy".into());
    }
    let (podman, _) = image();
    podman.ask([
        "import",
        "--quiet",
        "--change=ENTRYPOINT [\"/usr/sbin/haproxy\", \"-db\", \"-f\", \"/etc/catamaran/cluster.toml\"]",
        &archive,
    ])
}

/// From `podman run` to the first connection that is accepted.
fn start(lan: &Lan, of: Image, haproxy: &str) -> Result<Duration> {
    let (podman, catamaran) = image();
    let address = SocketAddr::from((ROUTERS[A], PORT));
    let (image, name, text) = match of {
        Image::Catamaran => (
            catamaran.as_str(),
            "catamaran",
            format!(
                "{}[listeners.api]\nbind = [\"{address}\"]\npool = \"api\"\n\
                 [pools.api.endpoints]\nmaster1 = \"192.0.2.31:6443\"\n",
                nodes()
            ),
        ),
        Image::Haproxy => (
            haproxy,
            "haproxy",
            format!(
                "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n\
                 frontend api\n    bind {address}\n    default_backend api\n\
                 backend api\n    server master1 192.0.2.31:6443\n"
            ),
        ),
    };
    let document = format!("{FOLDER}/start-{name}.conf");
    fs::write(&document, text).map_err(failed(&document))?;
    let mut command = podman.run(&lan.routers[A].host, image, name, Path::new(&document));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().map_err(failed("podman"))?;
    let answers = || {
        lan.client
            .within(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    };
    let started = wait_until(START, answers);
    let took = began.elapsed();
    if let Some(process) = podman.process(name) {
        kill(process, Signal::SIGKILL).map_err(failed("kill"))?;
    }
    child.wait().map_err(failed("podman"))?;
    started
        .then_some(took)
        .ok_or_else(|| format!("the container of {name} accepts no connection"))
}

impl Report {
    fn outage(&self, pace: Pace, event: Event, subject: Subject) -> f64 {
        let of = |value: &&(Pace, Event, Subject, f64)| (value.0, value.1, value.2) == (pace, event, subject);
        median(self.outages.iter().filter(of).map(|value| value.3))
    }

    fn start(&self, image: Image) -> f64 {
        let starts = self.starts.iter().filter(|(of, _)| *of == image);
        median(starts.map(|(_, took)| *took))
    }

    fn print(&self) {
        println!("Medians; at most {AS_LONG} times as long with containers, beyond {NOISE} ms of noise.\n");
        println!(
            "{:42}{:>12}{:>12}{:>8}",
            "outage (ms)", "bare", "container", "times"
        );
        for pace in PACES {
            for event in EVENTS {
                let [bare, contained] = SUBJECTS.map(|subject| self.outage(pace, event, subject));
                let holds = match contained <= bare * AS_LONG || contained <= bare + NOISE {
                    true => "holds",
                    false => "does not hold",
                };
                let what = format!("{} at {}", event.name(), pace.name());
                println!(
                    "{what:42}{bare:>12.1}{contained:>12.1}{:>8.2}  {holds}",
                    contained / bare
                );
            }
        }
        let [ours, theirs] = [Image::Catamaran, Image::Haproxy].map(|image| self.start(image));
        println!(
            "\n{:42}{:>12}{:>12}{:>8}",
            "podman run (ms)", "catamaran", "haproxy", "times"
        );
        let what = "to the first accepted connection";
        println!("{what:42}{ours:>12.0}{theirs:>12.0}{:>8.2}", ours / theirs);
    }

    fn json(&self) -> serde_json::Value {
        let outages = PACES.into_iter().flat_map(|pace| {
            EVENTS.map(|event| {
                let [bare, contained] = SUBJECTS.map(|subject| self.outage(pace, event, subject));
                json!({
                    "event": event.key(),
                    "interval": pace.name(),
                    "bare_ms": bare,
                    "container_ms": contained,
                })
            })
        });
        json!({
            "outages": outages.collect::<Vec<_>>(),
            "start_ms": {
                "catamaran": self.start(Image::Catamaran),
                "haproxy": self.start(Image::Haproxy),
            },
        })
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
