//! `cargo bench --bench failover [-- --quick] [-- --json] [-- --trials N]
//! [-- --interval I] [-- --subject NAME]`: how long clients miss a virtual address
//! that moves, with keepalived and with Catamaran, side by side in one run.
//!
//! `-- --saturate MINUTES` (interval 10 ms unless told otherwise) counts false
//! takeovers instead, while traffic through the active router takes all cores.
//! `-- --as-root` does without a user namespace, in which nobody may have
//! real-time priority.
//!
//! Two routers and a client are network namespaces on one bridge, made by the
//! run itself: root or user namespaces are all it needs, and nothing is left
//! when it ends, however it ends.
//!
//! Fair play: the same parameters and one priority each (200 and 100); a fresh
//! pair for each trial; the subjects take turns; the event comes at the same
//! moment between two advertisements for both, another one in each trial, since
//! a silence lasts as long as it still takes. The answers at the virtual address
//! are this program's own, the same for both, so the daemons only move the
//! address. Catamaran runs without listeners, pools and checks (keepalived has
//! none); its process still contains the balancer and its threads.
//!
//! An outage is the longest that a client waited for an answer that asks every
//! half a millisecond; "noise" is the same before the event. A crashed node has
//! its cable cut and its processes killed at once.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use catamaran::commands::lab::world::World;
use serde_json::json;
use support::lan::Lan;
use support::routers::{Memory, Pace, Subject, keepalived_version};
use support::trial::{Event, WATCH, costs, trial};
use support::world::{INSIDE, enclose};
use support::{Result, saturation};

/// What a graceful stop may cost, at every interval.
const GRACEFUL: Duration = Duration::from_millis(10);

/// How long beyond the down interval a dead router may have the address.
const LEFT: Duration = Duration::from_secs(3);

const USAGE: &str = "this benchmark knows --quick, --json, --as-root, --trials NUMBER, \
    --interval TIME (such as 10ms), --subject NAME, --saturate MINUTES";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::read(&arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}: {USAGE}");
            return ExitCode::from(2);
        }
    };
    if !options.inside {
        eprintln!("error: {}", enclose(options.as_root, &arguments));
        return ExitCode::FAILURE;
    }
    let done = match options.saturate {
        Some(time) => saturation(&options, time),
        None => run(&options).map(|report| match options.json {
            true => println!("{:#}", report.json()),
            false => report.print(),
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    inside: bool,
    as_root: bool,
    json: bool,
    trials: usize,
    /// The one that was asked for.
    pace: Option<Pace>,
    subjects: Vec<Subject>,
    /// How long elections go on under load; otherwise events are measured.
    saturate: Option<Duration>,
    /// How long processor time is measured, in each trial.
    idle: Duration,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            inside: false,
            as_root: false,
            json: false,
            trials: 5,
            pace: None,
            subjects: Subject::ALL.to_vec(),
            saturate: None,
            idle: Duration::from_secs(5),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                INSIDE => options.inside = true,
                // cargo itself passes it.
                "--bench" => {}
                "--json" => options.json = true,
                "--as-root" => options.as_root = true,
                "--quick" => (options.trials, options.idle) = (1, Duration::from_secs(2)),
                "--trials" => {
                    let number = value()?;
                    options.trials = number.parse().map_err(|_| format!("--trials {number}"))?;
                }
                "--interval" => {
                    let time = value()?;
                    options.pace = Some(Pace::read(time).ok_or(format!("--interval {time}"))?);
                }
                "--subject" => {
                    let name = value()?;
                    options.subjects.retain(|subject| subject.name() == name);
                    if options.subjects.is_empty() {
                        return Err(format!("--subject {name}"));
                    }
                }
                "--saturate" => {
                    let minutes = value()?;
                    let seconds = minutes.parse::<f64>().map(|minutes| minutes * 60.0);
                    let time = seconds
                        .ok()
                        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                    options.saturate = Some(time.ok_or(format!("--saturate {minutes}"))?);
                }
                _ => return Err(word.clone()),
            }
        }
        if options.subjects.contains(&Subject::Keepalived) && keepalived_version().is_none() {
            eprintln!(
                "keepalived is not installed: measuring without it. Get it with `apt-get install keepalived`."
            );
            options.subjects = vec![Subject::Catamaran];
        }
        Ok(options)
    }
}

/// What is measured, of one subject at one pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Outage(Event),
    Noise(Event),
    Lost(Event),
    /// How long the address stays on a router whose daemon is dead.
    Left(Event),
    /// How long both routers have it.
    Both(Event),
    ActiveCpu,
    BackupCpu,
    ActiveMemory,
    ActiveOwnMemory,
    BackupMemory,
    BackupOwnMemory,
}

impl Measure {
    fn all() -> Vec<Self> {
        let of_event = |event: Event| {
            let dead: &[fn(Event) -> Self] = match event.leaves_the_address() {
                true => &[Self::Left, Self::Both],
                false => &[],
            };
            let always: [fn(Event) -> Self; 3] = [Self::Outage, Self::Noise, Self::Lost];
            let measures = always.into_iter().chain(dead.iter().copied());
            measures.map(move |measure| measure(event)).collect::<Vec<_>>()
        };
        let costs = [
            Self::ActiveCpu,
            Self::BackupCpu,
            Self::ActiveMemory,
            Self::ActiveOwnMemory,
            Self::BackupMemory,
            Self::BackupOwnMemory,
        ];
        Event::ALL.into_iter().flat_map(of_event).chain(costs).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Outage(event) => format!("{}: outage (ms)", event.name()),
            Self::Noise(_) => "  noise before it (ms)".into(),
            Self::Lost(_) => "  probes lost".into(),
            Self::Left(_) => "  address stays there (ms)".into(),
            Self::Both(_) => "  both have it (ms)".into(),
            Self::ActiveCpu => "CPU while active (s/min)".into(),
            Self::BackupCpu => "CPU while backup (s/min)".into(),
            Self::ActiveMemory => "memory while active (MiB)".into(),
            Self::BackupMemory => "memory while backup (MiB)".into(),
            Self::ActiveOwnMemory | Self::BackupOwnMemory => "  without files (MiB)".into(),
        }
    }

    fn key(self) -> String {
        match self {
            Self::Outage(event) => format!("{}_outage_ms", event.key()),
            Self::Noise(event) => format!("{}_noise_ms", event.key()),
            Self::Lost(event) => format!("{}_probes_lost", event.key()),
            Self::Left(event) => format!("{}_address_left_ms", event.key()),
            Self::Both(event) => format!("{}_both_hold_ms", event.key()),
            Self::ActiveCpu => "active_cpu_s_per_min".into(),
            Self::BackupCpu => "backup_cpu_s_per_min".into(),
            Self::ActiveMemory => "active_memory_mib".into(),
            Self::BackupMemory => "backup_memory_mib".into(),
            Self::ActiveOwnMemory => "active_own_memory_mib".into(),
            Self::BackupOwnMemory => "backup_own_memory_mib".into(),
        }
    }
}

struct Value {
    pace: Pace,
    subject: Subject,
    measure: Measure,
    value: f64,
}

/// Every value measured, in the order of its measuring.
struct Report {
    keepalived: Option<String>,
    trials: usize,
    paces: Vec<Pace>,
    values: Vec<Value>,
}

fn run(options: &Options) -> Result<Report> {
    let mut subjects = options.subjects.clone();
    let lan = Lan::build(&mut World::new()?)?;
    let mut report = Report {
        keepalived: keepalived_version(),
        trials: options.trials,
        paces: options.pace.map_or(Pace::ALL.to_vec(), |pace| vec![pace]),
        values: Vec::new(),
    };
    for number in 0..options.trials {
        // In the middles of equal parts of an interval.
        let phase = (number as f64 + 0.5) / options.trials as f64;
        // Whoever comes first finds another machine than whoever comes last.
        subjects.rotate_left(1);
        for pace in &report.paces.clone() {
            eprintln!("trial {} of {} at {}", number + 1, options.trials, pace.name());
            for subject in &subjects {
                for (measure, value) in measure_costs(&lan, *subject, *pace, options.idle)? {
                    report.add(*pace, *subject, measure, value);
                }
            }
            for event in Event::ALL {
                for subject in &subjects {
                    for (measure, value) in measure_event(&lan, *subject, *pace, event, phase)? {
                        report.add(*pace, *subject, measure, value);
                    }
                }
            }
        }
    }
    Ok(report)
}

fn measure_costs(lan: &Lan, subject: Subject, pace: Pace, idle: Duration) -> Result<Vec<(Measure, f64)>> {
    let [active, backup] = costs(lan, subject, pace, idle)?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let in_all = |memory: &Memory| mebibytes(memory.own + memory.files);
    Ok(vec![
        (Measure::ActiveCpu, active.cpu),
        (Measure::BackupCpu, backup.cpu),
        (Measure::ActiveMemory, in_all(&active.memory)),
        (Measure::ActiveOwnMemory, mebibytes(active.memory.own)),
        (Measure::BackupMemory, in_all(&backup.memory)),
        (Measure::BackupOwnMemory, mebibytes(backup.memory.own)),
    ])
}

fn measure_event(
    lan: &Lan,
    subject: Subject,
    pace: Pace,
    event: Event,
    phase: f64,
) -> Result<Vec<(Measure, f64)>> {
    let found = trial(lan, subject, pace, event, phase)?;
    let mut values = vec![
        (Measure::Outage(event), milliseconds(found.outage)),
        (Measure::Noise(event), milliseconds(found.noise)),
        (Measure::Lost(event), found.lost as f64),
    ];
    if event.leaves_the_address() {
        let left = found.left.map_or(f64::INFINITY, milliseconds);
        values.push((Measure::Left(event), left));
        values.push((Measure::Both(event), milliseconds(found.both)));
    }
    Ok(values)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn saturation(options: &Options, time: Duration) -> Result<()> {
    let mut world = World::new()?;
    let lan = Lan::build(&mut world)?;
    saturation::build(&mut world, &lan)?;
    let pace = options.pace.unwrap_or(Pace::of(10));
    let mut found = serde_json::Map::new();
    for subject in &options.subjects {
        eprintln!(
            "{} at {}, {} s of load",
            subject.name(),
            pace.name(),
            time.as_secs()
        );
        let saturated = saturation::saturate(&lan, *subject, pace, time)?;
        if options.json {
            found.insert(subject.name().into(), saturated.json());
        } else {
            saturated.print(*subject, pace, time);
        }
    }
    if options.json {
        println!(
            "{:#}",
            json!({"interval": pace.name(), "seconds": time.as_secs_f64(), "subjects": found})
        );
    }
    Ok(())
}

impl Report {
    fn add(&mut self, pace: Pace, subject: Subject, measure: Measure, value: f64) {
        self.values.push(Value {
            pace,
            subject,
            measure,
            value,
        });
    }

    /// Sorted; empty where there is nothing to measure.
    fn values(&self, pace: Pace, subject: Subject, measure: Measure) -> Vec<f64> {
        let of = |value: &&Value| (value.pace, value.subject, value.measure) == (pace, subject, measure);
        let mut values: Vec<f64> = self.values.iter().filter(of).map(|value| value.value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, pace: Pace, subject: Subject, measure: Measure) -> Option<f64> {
        let values = self.values(pace, subject, measure);
        values.get(values.len() / 2).copied()
    }

    /// How many times keepalived's value is ours.
    fn ratio(&self, pace: Pace, measure: Measure) -> Option<f64> {
        let median = |subject| self.median(pace, subject, measure);
        let ratio = median(Subject::Keepalived)? / median(Subject::Catamaran)?;
        // Nothing by nothing, and what stays, have none.
        ratio.is_finite().then_some(ratio)
    }

    /// What is asked of Catamaran, and whether it is so; `None` where nothing is.
    fn target(&self, pace: Pace, measure: Measure) -> Option<(String, bool)> {
        let ours = self.median(pace, Subject::Catamaran, measure)?;
        let bound = match measure {
            Measure::Outage(Event::Stop) => milliseconds(GRACEFUL),
            Measure::Outage(Event::Crash | Event::Cut) => self.median(pace, Subject::Keepalived, measure)?,
            Measure::Left(_) => milliseconds(LEFT + pace.active_down_interval()),
            Measure::Outage(Event::Kill | Event::Hang)
            | Measure::Noise(_)
            | Measure::Lost(_)
            | Measure::Both(_)
            | Measure::ActiveCpu
            | Measure::BackupCpu
            | Measure::ActiveMemory
            | Measure::ActiveOwnMemory
            | Measure::BackupMemory
            | Measure::BackupOwnMemory => return None,
        };
        Some((format!("≤ {}", shown(bound)), ours <= bound))
    }

    fn print(&self) {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "Medians (least–most) of {} trials that take turns; all machines share {cpus} cores.",
            self.trials
        );
        if let Some(version) = &self.keepalived {
            println!("{version}");
        }
        println!("ratio: keepalived's value by Catamaran's; above 1 speaks for Catamaran.");
        println!(
            "An address that a dead router still has after {} s \"stays\".",
            WATCH.as_secs()
        );
        for pace in &self.paces {
            println!(
                "\ninterval {}, version {}; the second router's Active_Down_Interval is {} ms\n",
                pace.name(),
                pace.version().get(),
                shown(milliseconds(pace.active_down_interval())),
            );
            print!("{:36}", "");
            for subject in Subject::ALL {
                print!("{:>26}", subject.name());
            }
            println!("{:>8}  target", "ratio");
            for measure in Measure::all() {
                self.print_line(*pace, measure);
            }
        }
    }

    fn print_line(&self, pace: Pace, measure: Measure) {
        print!("{:36}", measure.name());
        for subject in Subject::ALL {
            let values = self.values(pace, subject, measure);
            let cell = match (values.first(), self.median(pace, subject, measure), values.last()) {
                (Some(least), Some(median), Some(most)) if least < most => {
                    format!("{} ({}–{})", shown(median), shown(*least), shown(*most))
                }
                (Some(_), Some(median), Some(_)) => shown(median),
                _ => "-".into(),
            };
            print!("{cell:>26}");
        }
        let ratio = self
            .ratio(pace, measure)
            .map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let target = match self.target(pace, measure) {
            Some((bound, true)) => format!("{bound}: holds"),
            Some((bound, false)) => format!("{bound}: MISSED"),
            None => String::new(),
        };
        println!("{ratio:>8}  {target}");
    }

    fn json(&self) -> serde_json::Value {
        let of_subject = |pace, subject, measure| {
            let values = self.values(pace, subject, measure);
            // JSON knows no infinity: an address that stays has null.
            json!({
                "median": self.median(pace, subject, measure),
                "min": values.first(),
                "max": values.last(),
            })
        };
        let of_measure = |pace, measure: Measure| {
            let target = self.target(pace, measure);
            let object = json!({
                "keepalived": of_subject(pace, Subject::Keepalived, measure),
                "catamaran": of_subject(pace, Subject::Catamaran, measure),
                "ratio": self.ratio(pace, measure),
                "target": target.as_ref().map(|(bound, _)| bound),
                "holds": target.map(|(_, holds)| holds),
            });
            (measure.key(), object)
        };
        let of_pace = |pace: &Pace| {
            let measures = Measure::all()
                .into_iter()
                .map(|measure| of_measure(*pace, measure));
            let measures: serde_json::Map<String, serde_json::Value> = measures.collect();
            (pace.name(), serde_json::Value::Object(measures))
        };
        json!({
            "trials": self.trials,
            "keepalived": self.keepalived,
            "intervals": self.paces.iter().map(of_pace).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Three digits that matter.
fn shown(value: f64) -> String {
    match value {
        value if value.is_infinite() => "stays".into(),
        value if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
