//! What the story comes to: figures, a table of them, and whether every
//! expectation held.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::client::{End, Short, Watch};
use super::founding_case::{CONTROL_PLANES, FALL};
use super::story::{Episode, Fault, Told, since};

/// An answer that took longer counts as slow.
const SLOW: Duration = Duration::from_secs(1);

/// Open connections of an endpoint that goes down are reset within this time.
const RESET_BOUND: Duration = Duration::from_millis(100);

/// Lines that say how far the story is.
pub struct Progress {
    began: Instant,
    to_stderr: bool,
}

impl Progress {
    /// From now on; on standard error when standard output is for machines.
    pub fn new(to_stderr: bool) -> Self {
        Self {
            began: Instant::now(),
            to_stderr,
        }
    }

    /// Say a line.
    pub fn say(&self, line: &str) {
        let line = format!("[{:5.1} s] {line}\n", self.began.elapsed().as_secs_f64());
        // With nobody to read it there is nobody to tell.
        let _ = match self.to_stderr {
            true => io::stderr().write_all(line.as_bytes()),
            false => io::stdout().write_all(line.as_bytes()),
        };
    }
}

/// The figures of a story. Durations are in seconds unless their name says otherwise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Every expectation held.
    pub passed: bool,
    /// From probe to probe.
    pub interval: f64,
    /// Time for one probe.
    pub timeout: f64,
    /// While all was well: answers by endpoint.
    pub steady: BTreeMap<String, usize>,
    /// One for each fault.
    pub episodes: Vec<EpisodeReport>,
    /// What was expected, and what came.
    pub expectations: Vec<Expectation>,
}

/// The figures of one fault, as clients saw it from the fault to the recovery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EpisodeReport {
    /// What befell …
    pub fault: Fault,
    /// … whom.
    pub endpoint: String,
    /// From the fault to the decision that the endpoint is down.
    pub detection: Option<f64>,
    /// Failed probes that the decision took.
    pub probes: Option<u64>,
    /// What the last of them found.
    pub cause: String,
    /// Requests begun.
    pub requests: usize,
    /// Of those, the ones that failed on the endpoint …
    pub lost_with_endpoint: usize,
    /// … and the ones that failed although they went elsewhere.
    pub lost_elsewhere: usize,
    /// Answers that took longer than a second.
    pub slow: usize,
    /// The longest time in which no request was answered.
    pub longest_gap: f64,
    /// Requests that the endpoint answered although they began after the decision.
    pub answered_while_down: usize,
    /// Connections open on the endpoint at the fault, or stuck on it at the decision.
    pub open: usize,
    /// Of those, how many ended by a reset.
    pub reset: usize,
    /// How many did not end in time.
    pub late: usize,
    /// From the decision to the end of the last; negative when all ended before.
    pub ended_after_decision_ms: Option<f64>,
    /// From the fault to the end of the last.
    pub ended_after_fault: Option<f64>,
    /// From the healing to the decision that the endpoint is up.
    pub recovery: Option<f64>,
    /// A client was served by it afterwards.
    pub served_again: bool,
}

/// Something that ought to be true.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expectation {
    /// What.
    pub what: String,
    /// It is.
    pub held: bool,
    /// What was found.
    pub found: String,
}

impl Report {
    /// Draw up the figures.
    pub fn new(told: &Told) -> Self {
        let steady = steady(told);
        let episodes: Vec<_> = told
            .episodes
            .iter()
            .map(|episode| EpisodeReport::new(told, episode))
            .collect();
        let mut expectations = vec![expect_even(&steady), expect_no_loss_while_steady(told)];
        for episode in &episodes {
            episode.expect(told, &mut expectations);
        }
        Self {
            passed: expectations.iter().all(|expectation| expectation.held),
            interval: told.setup.interval.as_secs_f64(),
            timeout: told.setup.timeout.as_secs_f64(),
            steady,
            episodes,
            expectations,
        }
    }

    /// The table and the verdict, for people.
    pub fn print(&self) {
        let paint = Paint {
            colours: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let mut out = String::from("\n");
        let shares: Vec<_> = self
            .steady
            .iter()
            .map(|(name, answers)| format!("{name} {answers}"))
            .collect();
        out += &format!("While all was well, answers came from {}.\n\n", shares.join(", "));
        for row in self.rows() {
            let [caption, cells @ ..] = &row[..] else { continue };
            out += &format!("{caption:<32}");
            for cell in cells {
                out += &format!("{cell:<20}");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out.push('\n');
        for expectation in &self.expectations {
            let (word, colour) = if expectation.held {
                ("held", 32)
            } else {
                ("BROKEN", 31)
            };
            let word = paint.paint(&format!("{word:<6}"), colour);
            out += &format!("{word}  {} ({})\n", expectation.what, expectation.found);
        }
        let broken = self
            .expectations
            .iter()
            .filter(|expectation| !expectation.held)
            .count();
        let verdict = match broken {
            0 => paint.paint("Every expectation held.", 32),
            1 => paint.paint("1 expectation did not hold.", 31),
            _ => paint.paint(&format!("{broken} expectations did not hold."), 31),
        };
        out += &format!("\n{verdict}\n");
        // With nobody to read it there is nobody to tell.
        let _ = io::stdout().write_all(out.as_bytes());
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |caption: &str, cell: &dyn Fn(&EpisodeReport) -> String| {
            std::iter::once(caption.to_string())
                .chain(self.episodes.iter().map(cell))
                .collect()
        };
        let seconds = |value: Option<f64>| value.map_or("never".into(), |value| format!("{value:.2} s"));
        vec![
            row("", &|episode| episode.endpoint.clone()),
            row("", &|episode| {
                match episode.fault {
                    Fault::Failing => "/healthz says 500",
                    Fault::Frozen => "frozen",
                    Fault::Killed => "killed",
                }
                .into()
            }),
            row("out of rotation after", &|episode| seconds(episode.detection)),
            row("failed probes (fall = 3)", &|episode| {
                episode.probes.map_or("-".into(), |probes| probes.to_string())
            }),
            row("seen by the probes", &|episode| episode.cause.clone()),
            row("requests of clients", &|episode| episode.requests.to_string()),
            row("  lost with the endpoint", &|episode| {
                episode.lost_with_endpoint.to_string()
            }),
            row("  lost elsewhere", &|episode| episode.lost_elsewhere.to_string()),
            row("  answered after over 1 s", &|episode| episode.slow.to_string()),
            row("longest time without answer", &|episode| {
                format!("{:.0} ms", episode.longest_gap * 1e3)
            }),
            row("connections open on it", &|episode| episode.open.to_string()),
            row("  of those reset", &|episode| episode.reset.to_string()),
            row("  all ended, after the fault", &|episode| {
                seconds(episode.ended_after_fault)
            }),
            row(
                "  … after the decision",
                &|episode| match episode.ended_after_decision_ms {
                    None => "never".into(),
                    Some(early) if early < -1e3 => "long before".into(),
                    Some(milliseconds) => format!("{milliseconds:.1} ms"),
                },
            ),
            row("back in rotation after", &|episode| seconds(episode.recovery)),
        ]
    }
}

impl EpisodeReport {
    fn new(told: &Told, episode: &Episode) -> Self {
        let name = &episode.endpoint;
        let decided = episode.down.as_ref().map(|down| down.at);
        let over = episode.up.as_ref().map_or(episode.healed, |up| up.at);
        let requests: Vec<_> = told
            .seen
            .shorts
            .iter()
            .filter(|short| short.ended >= episode.injected && short.started <= over)
            .collect();
        let went_to_it = |short: &Short| {
            short
                .client
                .is_some_and(|client| told.connections.endpoint(client, short.started) == Some(name))
        };
        let lost = requests.iter().filter(|short| short.outcome.is_err());
        let (lost_with_endpoint, lost_elsewhere): (Vec<&Short>, Vec<&Short>) = lost
            .copied()
            // Who went to it after the decision should not have.
            .partition(|short| {
                went_to_it(short) && decided.is_none_or(|at| short.started <= at + RESET_BOUND)
            });
        let answered_while_down = requests.iter().filter(|short| {
            decided.is_some_and(|at| short.started > at + RESET_BOUND)
                && short.ended < over
                && short.outcome.as_ref().is_ok_and(|by| by == name)
        });

        let watches: Vec<_> = told
            .seen
            .watches
            .iter()
            .filter(|watch| open_at(watch, name, episode.injected))
            .collect();
        let stuck = lost_with_endpoint
            .iter()
            .filter(|short| decided.is_some_and(|at| short.ended > at));
        let of_watches = watches
            .iter()
            .map(|watch| watch.ended.as_ref().map(|(at, end)| (*at, end)));
        let of_stuck = stuck.map(|short| short.outcome.as_ref().err().map(|end| (short.ended, end)));
        let ends: Vec<Option<(SystemTime, &End)>> = of_watches.chain(of_stuck).collect();
        let reset = ends
            .iter()
            .filter(|end| matches!(end, Some((_, End::Reset))))
            .count();
        let ends: Vec<_> = ends.iter().map(|end| end.map(|(at, _)| at)).collect();
        let last = ends
            .iter()
            .copied()
            .collect::<Option<Vec<_>>>()
            .and_then(|ends| ends.into_iter().max());
        let late = |end: &&Option<SystemTime>| {
            decided.is_none_or(|decided| end.is_none_or(|end| since(decided, end) > RESET_BOUND))
        };
        Self {
            fault: episode.fault,
            endpoint: name.clone(),
            detection: decided.map(|at| since(episode.injected, at).as_secs_f64()),
            probes: episode.down.as_ref().map(|down| down.probes),
            cause: episode
                .down
                .as_ref()
                .map_or("-".into(), |down| down.cause.clone()),
            requests: requests.len(),
            lost_with_endpoint: lost_with_endpoint.len(),
            lost_elsewhere: lost_elsewhere.len(),
            slow: requests
                .iter()
                .filter(|short| short.outcome.is_ok() && since(short.started, short.ended) > SLOW)
                .count(),
            longest_gap: longest_gap(&requests, episode.injected, over).as_secs_f64(),
            answered_while_down: answered_while_down.count(),
            open: ends.len(),
            reset,
            late: ends.iter().filter(late).count(),
            ended_after_decision_ms: decided.zip(last).map(|(decided, last)| {
                let after = since(decided, last).as_secs_f64();
                (after - since(last, decided).as_secs_f64()) * 1e3
            }),
            ended_after_fault: last.map(|last| since(episode.injected, last).as_secs_f64()),
            recovery: episode
                .up
                .as_ref()
                .map(|up| since(episode.healed, up.at).as_secs_f64()),
            served_again: episode.served_again.is_some(),
        }
    }

    fn expect(&self, told: &Told, expectations: &mut Vec<Expectation>) {
        let name = &self.endpoint;
        let mut expect =
            |what: String, held: bool, found: String| expectations.push(Expectation { what, held, found });
        expect(
            format!("{name} leaves within {FALL} probes"),
            self.probes.is_some_and(|probes| probes <= FALL),
            self.probes
                .map_or("it did not leave".into(), |probes| format!("{probes}")),
        );
        let bound = told.setup.detection_bound().as_secs_f64();
        expect(
            format!("… and within {bound:.1} s"),
            self.detection.is_some_and(|detection| detection <= bound),
            self.detection
                .map_or("never".into(), |detection| format!("{detection:.2} s")),
        );
        expect(
            "… its open connections end at most 100 ms after that".into(),
            self.open > 0 && self.late == 0,
            format!("{} of {}", self.open - self.late, self.open),
        );
        if self.fault != Fault::Killed {
            expect(
                "… each of them by a reset".into(),
                self.reset == self.open,
                format!("{} of {}", self.reset, self.open),
            );
        }
        expect(
            "… no new one reaches it while it is down".into(),
            self.answered_while_down == 0,
            format!("{}", self.answered_while_down),
        );
        expect(
            "… no request to a ready endpoint is lost".into(),
            self.lost_elsewhere == 0,
            format!("{} of {}", self.lost_elsewhere, self.requests),
        );
        expect(
            "… and healed, it serves again".into(),
            self.recovery.is_some() && self.served_again,
            self.recovery
                .map_or("never".into(), |recovery| format!("{recovery:.2} s")),
        );
    }
}

fn steady(told: &Told) -> BTreeMap<String, usize> {
    let mut answers: BTreeMap<_, _> = CONTROL_PLANES
        .iter()
        .map(|machine| (machine.name.to_string(), 0))
        .collect();
    for short in steady_shorts(told) {
        if let Ok(endpoint) = &short.outcome {
            *answers.entry(endpoint.clone()).or_default() += 1;
        }
    }
    answers
}

fn steady_shorts(told: &Told) -> impl Iterator<Item = &Short> {
    let (from, to) = told.steady;
    told.seen
        .shorts
        .iter()
        .filter(move |short| short.started >= from && short.started < to)
}

fn expect_even(steady: &BTreeMap<String, usize>) -> Expectation {
    let (least, most) = (
        steady.values().min().copied().unwrap_or(0),
        steady.values().max().copied().unwrap_or(0),
    );
    Expectation {
        what: "while all is well, each endpoint answers its share".into(),
        // Each core goes round by itself, so shares differ by a few.
        held: least > 0 && most <= least + least / 5 + 4,
        found: format!("{least} to {most}"),
    }
}

fn expect_no_loss_while_steady(told: &Told) -> Expectation {
    let lost: Vec<_> = steady_shorts(told)
        .filter_map(|short| short.outcome.as_ref().err())
        .collect();
    Expectation {
        what: "… and no request is lost".into(),
        held: lost.is_empty(),
        found: lost
            .first()
            .map_or("0".into(), |first| format!("{}: {first}", lost.len())),
    }
}

fn open_at(watch: &Watch, endpoint: &str, at: SystemTime) -> bool {
    let ended_before = watch.ended.as_ref().is_some_and(|(ended, _)| *ended < at);
    watch.endpoint == endpoint && watch.opened <= at && !ended_before
}

/// The longest time between two answers; the beginning and the end count as answers.
fn longest_gap(requests: &[&Short], from: SystemTime, to: SystemTime) -> Duration {
    let answered = requests
        .iter()
        .filter(|short| short.outcome.is_ok())
        .map(|short| short.ended);
    let mut moments: Vec<_> = answered
        .filter(|at| (from..to).contains(at))
        .chain([from, to])
        .collect();
    moments.sort();
    moments
        .windows(2)
        .map(|pair| since(pair[0], pair[1]))
        .max()
        .unwrap_or_default()
}

struct Paint {
    colours: bool,
}

impl Paint {
    fn paint(&self, text: &str, colour: u8) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
