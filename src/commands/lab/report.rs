//! What the story comes to: figures, tables of them, and whether every
//! expectation held.

mod endpoint_faults;
mod load_balancer_faults;
mod table;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use self::endpoint_faults::EndpointFault;
use self::load_balancer_faults::LoadBalancerFault;
use self::table::{BROKEN, HELD, Paint};
use super::client::{Short, Watch};
use super::founding_case::CONTROL_PLANES;
use super::story::{Told, since};

/// An answer that took longer counts as slow.
const SLOW: Duration = Duration::from_secs(1);

/// Open connections of an endpoint that goes down are reset within this time.
const RESET_BOUND: Duration = Duration::from_millis(100);

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
    /// From advertisement to advertisement.
    pub advertisement_interval: f64,
    /// While all was well: answers by endpoint.
    pub steady: BTreeMap<String, usize>,
    /// One for each fault of an endpoint.
    pub endpoint_faults: Vec<EndpointFault>,
    /// One for each fault of a load balancer.
    pub load_balancer_faults: Vec<LoadBalancerFault>,
    /// What was expected, and what came.
    pub expectations: Vec<Expectation>,
}

/// Something that ought to be true.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expectation {
    /// Of whom: an endpoint, a fault of a load balancer, or "all" while all was well.
    pub of: String,
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
        let mut expectations = vec![expect_even(&steady), expect_no_loss_while_steady(told)];
        let of_endpoints = told.endpoint_faults.iter();
        let endpoint_faults: Vec<_> = of_endpoints
            .map(|episode| EndpointFault::new(told, episode))
            .collect();
        let load_balancer_faults = LoadBalancerFault::all(told);
        let of_endpoints = endpoint_faults.iter().map(|fault| fault.expectations(told));
        expectations.extend(of_endpoints.flatten());
        let of_load_balancers = load_balancer_faults.iter().map(|fault| fault.expectations(told));
        expectations.extend(of_load_balancers.flatten());
        Self {
            passed: expectations.iter().all(|expectation| expectation.held),
            interval: told.setup.timing.interval.as_secs_f64(),
            timeout: told.setup.timing.timeout.as_secs_f64(),
            advertisement_interval: told.setup.timing.advertisement_interval.as_secs_f64(),
            steady,
            endpoint_faults,
            load_balancer_faults,
            expectations,
        }
    }

    /// The tables and the verdict, for people.
    pub fn print(&self) {
        let paint = Paint {
            colours: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let mut out = String::from("\n");
        for Expectation {
            what, held, found, ..
        } in self.expectations.iter().filter(|one| one.of == ALL)
        {
            let word = match held {
                true => paint.good(HELD),
                false => paint.bad(BROKEN),
            };
            out += &format!("{what}: {found}, {word}\n");
        }
        if !self.endpoint_faults.is_empty() {
            let table = endpoint_faults::table(&self.endpoint_faults, &self.expectations);
            out += &format!("\n{}", table.lines(&paint));
        }
        if !self.load_balancer_faults.is_empty() {
            let table = load_balancer_faults::table(&self.load_balancer_faults, &self.expectations);
            out += &format!("\n{}", table.lines(&paint));
        }
        out.push('\n');
        let broken: Vec<_> = self.expectations.iter().filter(|one| !one.held).collect();
        for Expectation { of, what, found, .. } in &broken {
            out += &format!("{}  {of}: {what} ({found})\n", paint.bad(BROKEN));
        }
        out += &match broken.len() {
            0 => paint.good(&format!("All {} expectations held.", self.expectations.len())),
            1 => paint.bad("1 expectation did not hold."),
            many => paint.bad(&format!("{many} expectations did not hold.")),
        };
        out.push('\n');
        // With nobody to read it there is nobody to tell.
        let _ = io::stdout().write_all(out.as_bytes());
    }
}

/// Whom an expectation is of that is of nobody in particular.
const ALL: &str = "all";

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
        of: ALL.into(),
        what: "While all was well, each endpoint answered its share of requests".into(),
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
        of: ALL.into(),
        what: "Requests lost meanwhile".into(),
        held: lost.is_empty(),
        found: lost
            .first()
            .map_or("0".into(), |first| format!("{}: {first}", lost.len())),
    }
}

fn open_at(watch: &Watch, at: SystemTime) -> bool {
    let ended_before = watch.ended.as_ref().is_some_and(|(ended, _)| *ended < at);
    watch.opened <= at && !ended_before
}

/// When requests were answered.
fn answered(requests: &[&Short]) -> impl Iterator<Item = SystemTime> {
    let answered = requests.iter().filter(|short| short.outcome.is_ok());
    answered.map(|short| short.ended)
}

/// The longest time between two answers; the beginning and the end count as answers.
fn longest_gap(answers: impl Iterator<Item = SystemTime>, from: SystemTime, to: SystemTime) -> Duration {
    let mut moments: Vec<_> = answers
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
