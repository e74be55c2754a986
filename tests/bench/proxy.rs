//! `cargo bench --bench proxy [-- --quick] [-- --json]`: Catamaran's user space
//! proxy against HAProxy and against no load balancer, side by side in one run.
//!
//! Client, load balancer and server are network namespaces on one bridge, made by
//! the run itself: root or user namespaces are all it needs, and nothing is left
//! when it ends, however it ends. All of them share this machine's cores, so what
//! a load balancer burns the others lack: compare columns, not machines.
//!
//! Fair play: two threads each; one log line per connection each, to a file (and
//! the run fails when lines are missing); no health checks; three endpoints, round
//! robin; a fresh process for each round. HAProxy runs as in the founding case,
//! with `option splice-auto` (which leaves most streams of this benchmark alone),
//! and told to splice always; the ratio is to the best of the three. Rounds take
//! turns and medians are printed, because machines are noisy.
//!
//! Memory is the load balancer's own (resident set), not what the kernel holds
//! for its sockets.

mod support;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use support::load::{self, Counted};
use support::subject::{self, Running, Subject};
use support::world::{INSIDE, World, enclose};
use support::{Result, failed, sink};

/// Connections of the latency measure, and requests a second on all together:
/// well below what any of the subjects can do.
const LATENCY_CONNECTIONS: usize = 64;
const LATENCY_RATE: f64 = 4_000.0;

/// Times the latency measure is taken in each round, on new connections each
/// time. Its tail depends on which core each thread was last seen on, and that
/// hardly changes while connections stay open: one set of them shows one case.
const LATENCY_SETS: usize = 4;

/// Streams of the parallel throughput measure.
const STREAMS: usize = 64;

/// Connections that HAProxy is told of besides the idle ones. It takes descriptors
/// for all of them at its start, and for pipes, so there cannot be many.
const SPARE: usize = 500;

/// Idle connections of the memory measure.
const IDLE: usize = 5_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let inside = arguments.first().is_some_and(|first| first == INSIDE);
    // cargo itself passes --bench.
    if let Some(unknown) = arguments
        .iter()
        .skip(usize::from(inside))
        .find(|word| !["--bench", "--quick", "--json"].contains(&word.as_str()))
    {
        eprintln!("{unknown}: this benchmark knows --quick and --json");
        return ExitCode::from(2);
    }
    if !inside {
        eprintln!("error: {}", enclose(false, &arguments));
        return ExitCode::FAILURE;
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    match run(if has("--quick") { &QUICK } else { &FULL }) {
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

/// The ways HAProxy runs.
const HAPROXY: [Subject; 3] = [Subject::Haproxy, Subject::HaproxyAuto, Subject::HaproxySplice];

/// How long to measure.
struct Plan {
    rounds: usize,
    phase: Duration,
}

const FULL: Plan = Plan {
    rounds: 5,
    phase: Duration::from_millis(1_500),
};
const QUICK: Plan = Plan {
    rounds: 3,
    phase: Duration::from_millis(300),
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    OneStream,
    ManyStreams,
    CpuPerGigabyte,
    Connections,
    CpuPerConnection,
    MedianLatency,
    TailLatency,
    Memory,
}

impl Measure {
    const ALL: [Self; 8] = [
        Self::OneStream,
        Self::ManyStreams,
        Self::CpuPerGigabyte,
        Self::Connections,
        Self::CpuPerConnection,
        Self::MedianLatency,
        Self::TailLatency,
        Self::Memory,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OneStream => "throughput, 1 stream (Gbit/s)",
            Self::ManyStreams => "throughput, 64 streams (Gbit/s)",
            Self::CpuPerGigabyte => "CPU per gigabyte (s)",
            Self::Connections => "new connections (1/s)",
            Self::CpuPerConnection => "CPU per connection (µs)",
            Self::MedianLatency => "request latency, p50 (µs)",
            Self::TailLatency => "request latency, p99 (µs)",
            Self::Memory => "memory per idle connection (KiB)",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::OneStream => "throughput_1_gbit_s",
            Self::ManyStreams => "throughput_64_gbit_s",
            Self::CpuPerGigabyte => "cpu_per_gigabyte_s",
            Self::Connections => "connections_s",
            Self::CpuPerConnection => "cpu_per_connection_us",
            Self::MedianLatency => "latency_p50_us",
            Self::TailLatency => "latency_p99_us",
            Self::Memory => "memory_per_idle_connection_kib",
        }
    }

    fn more_is_better(self) -> bool {
        match self {
            Self::OneStream | Self::ManyStreams | Self::Connections => true,
            Self::CpuPerGigabyte
            | Self::CpuPerConnection
            | Self::MedianLatency
            | Self::TailLatency
            | Self::Memory => false,
        }
    }
}

/// Every value measured, in the order of its measuring.
struct Report {
    subjects: Vec<Subject>,
    haproxy: Option<String>,
    idle: usize,
    rounds: usize,
    values: Vec<(Subject, Measure, f64)>,
}

fn run(plan: &Plan) -> Result<Report> {
    let world = World::build()?;
    let files = raise_limit()?;
    sink::start(&world.server)?;
    let haproxy = subject::haproxy_version();
    let mut subjects = vec![Subject::Direct, Subject::Catamaran];
    if haproxy.is_some() {
        subjects.extend(HAPROXY);
    } else {
        eprintln!("HAProxy is not installed: measuring without it. Get it with `apt-get install haproxy`.");
    }
    // This process holds both ends, and needs some files besides.
    let idle = IDLE.min(files.saturating_sub(1_000) / 2);
    let mut report = Report {
        subjects,
        haproxy,
        idle,
        rounds: plan.rounds,
        values: Vec::new(),
    };
    for round in 1..=plan.rounds {
        // Whoever comes first finds another machine than whoever comes last.
        let mut order = report.subjects.clone();
        order.rotate_left(round % report.subjects.len());
        for subject in order {
            eprintln!("round {round} of {}: {}", plan.rounds, subject.name());
            let running = Running::start(subject, &world, idle + SPARE)?;
            match measure(&world, subject, &running, idle, plan.phase) {
                Ok(values) => {
                    report.values.extend(
                        values
                            .into_iter()
                            .map(|(measure, value)| (subject, measure, value)),
                    );
                }
                Err(why) => return Err(running.explain(&why)),
            }
        }
    }
    Ok(report)
}

/// Raises the soft limit of open files, for the children too.
fn raise_limit() -> Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("getrlimit"))?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed("setrlimit"))?;
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}

/// Everything about one fresh process.
fn measure(
    world: &World,
    subject: Subject,
    running: &Running,
    idle: usize,
    phase: Duration,
) -> Result<Vec<(Measure, f64)>> {
    let (client, addresses) = (&world.client, subject.addresses());
    let cpu = || running.cpu();
    let mut values = Vec::new();

    let memory = memory(world, subject, running, idle).map_err(failed("idle connections"))?;
    values.extend(memory.map(|bytes| (Measure::Memory, bytes / 1024.0)));

    let gigabits = |counted: Counted| counted.count * 8.0 / 1e9 / counted.seconds;
    let one = load::bulk(client, addresses, 1, phase, &cpu).map_err(failed("1 stream"))?;
    values.push((Measure::OneStream, gigabits(one)));
    let many = load::bulk(client, addresses, STREAMS, phase, &cpu).map_err(failed("64 streams"))?;
    values.push((Measure::ManyStreams, gigabits(many)));
    values.extend(
        many.cpu
            .map(|cpu| (Measure::CpuPerGigabyte, cpu / (many.count / 1e9))),
    );

    let mut latencies = Vec::new();
    for _ in 0..LATENCY_SETS {
        let set = load::latencies(client, addresses, LATENCY_CONNECTIONS, LATENCY_RATE, phase);
        latencies.extend(set.map_err(failed("requests at a fixed rate"))?);
    }
    latencies.sort_by(f64::total_cmp);
    values.push((Measure::MedianLatency, quantile(&latencies, 0.50)));
    values.push((Measure::TailLatency, quantile(&latencies, 0.99)));

    let lines = running.log_lines()?;
    let opened = load::connections(client, addresses, phase, &cpu).map_err(failed("new connections"))?;
    values.push((Measure::Connections, opened.count / opened.seconds));
    values.extend(
        opened
            .cpu
            .map(|cpu| (Measure::CpuPerConnection, cpu / opened.count * 1e6)),
    );
    // Nobody wins by not logging.
    if let (Some(before), Some(after)) = (lines, running.log_lines()?)
        && ((after - before) as f64) < opened.count * 0.99
    {
        return Err(format!(
            "{} connections, but {} log lines",
            opened.count,
            after - before
        ));
    }
    Ok(values)
}

/// Bytes of the subject's memory for each of `count` idle connections.
fn memory(world: &World, subject: Subject, running: &Running, count: usize) -> Result<Option<f64>> {
    let (client, addresses) = (&world.client, subject.addresses());
    // What is allocated once, by the first connections, does not count.
    load::reset(load::idle(client, addresses, 64)?)?;
    let settle = || thread::sleep(Duration::from_millis(200));
    settle();
    let before = running.resident()?;
    let streams = load::idle(client, addresses, count)?;
    settle();
    let after = running.resident()?;
    load::reset(streams)?;
    settle();
    Ok(after
        .zip(before)
        .map(|(after, before)| (after - before) / count as f64))
}

/// The value below which this part of the sorted samples lies.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted[place.min(sorted.len() - 1)]
}

impl Report {
    /// The median over the rounds; `None` where there is nothing to measure.
    fn median(&self, subject: Subject, measure: Measure) -> Option<f64> {
        let of = |value: &&(Subject, Measure, f64)| (value.0, value.1) == (subject, measure);
        let mut values: Vec<f64> = self.values.iter().filter(of).map(|value| value.2).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// How many times as good as the best HAProxy Catamaran is.
    fn ratio(&self, measure: Measure) -> Option<f64> {
        let ours = self.median(Subject::Catamaran, measure)?;
        let theirs = HAPROXY.map(|subject| self.median(subject, measure));
        let theirs = theirs.into_iter().flatten();
        Some(if measure.more_is_better() {
            ours / theirs.max_by(f64::total_cmp)?
        } else {
            theirs.min_by(f64::total_cmp)? / ours
        })
    }

    fn print(&self) {
        let cpus = thread::available_parallelism().map_or(0, usize::from);
        println!(
            "Medians of {} rounds that take turns; client, load balancer and server share {cpus} cores.",
            self.rounds
        );
        if let Some(version) = &self.haproxy {
            println!("{version}");
        }
        println!("ratio: how many times as good as the best HAProxy; above 1 speaks for Catamaran.");
        println!(
            "Memory at {} idle connections; latency at {LATENCY_RATE} requests/s on {LATENCY_SETS} times {LATENCY_CONNECTIONS} connections.\n",
            self.idle
        );
        print!("{:34}", "");
        for subject in &self.subjects {
            print!("{:>16}", subject.name());
        }
        println!("{:>8}", "ratio");
        for measure in Measure::ALL {
            print!("{:34}", measure.name());
            for subject in &self.subjects {
                print!("{:>16}", self.median(*subject, measure).map_or("-".into(), shown));
            }
            println!(
                "{:>8}",
                self.ratio(measure)
                    .map_or("-".into(), |ratio| format!("{ratio:.2}"))
            );
        }
    }

    fn json(&self) -> serde_json::Value {
        let measures = Measure::ALL.map(|measure| {
            let medians = self.subjects.iter().map(|subject| {
                (
                    subject.name().replace(' ', "_"),
                    json!(self.median(*subject, measure)),
                )
            });
            let mut object: serde_json::Map<String, serde_json::Value> = medians.collect();
            object.insert("ratio".into(), json!(self.ratio(measure)));
            (measure.key().to_string(), serde_json::Value::Object(object))
        });
        json!({
            "rounds": self.rounds,
            "idle_connections": self.idle,
            "latency_rate_s": LATENCY_RATE,
            "haproxy": self.haproxy,
            "measures": measures.into_iter().collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Three digits that matter.
fn shown(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
