//! Faults of endpoints: figures, a table of them, and what is expected.

use std::time::SystemTime;

use serde::Serialize;

use super::table::{Table, milliseconds, seconds};
use super::{Expectation, RESET_BOUND, SLOW, answered, longest_gap, open_at};
use crate::commands::lab::client::{End, Short};
use crate::commands::lab::founding_case::FALL;
use crate::commands::lab::story::endpoint_faults::{Episode, Fault};
use crate::commands::lab::story::{Told, since};

/// The figures of one fault, as clients saw it from the fault to the recovery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointFault {
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

impl EndpointFault {
    pub(super) fn new(told: &Told, episode: &Episode) -> Self {
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
            .filter(|watch| watch.endpoint == *name && open_at(watch, episode.injected))
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
            longest_gap: longest_gap(answered(&requests), episode.injected, over).as_secs_f64(),
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

    /// What is expected of it.
    pub(super) fn expectations(&self, told: &Told) -> Vec<Expectation> {
        let bound = told.setup.detection_bound().as_secs_f64();
        let within = |value: Option<f64>, bound: f64| value.is_some_and(|value| value <= bound);
        let mut expectations = vec![
            self.expectation(
                format!("it leaves within {FALL} probes"),
                self.probes.is_some_and(|probes| probes <= FALL),
                self.probes
                    .map_or("it did not leave".into(), |probes| format!("{probes}")),
            ),
            self.expectation(
                format!("… and within {bound:.1} s"),
                within(self.detection, bound),
                seconds(self.detection),
            ),
            self.expectation(
                "connections open on it end in 100 ms".into(),
                self.open > 0 && self.late == 0,
                format!("{} of {}", self.open - self.late, self.open),
            ),
            self.expectation(
                "no new one reaches it while down".into(),
                self.answered_while_down == 0,
                format!("{}", self.answered_while_down),
            ),
            self.expectation(
                "no request to others is lost".into(),
                self.lost_elsewhere == 0,
                format!("{} of {}", self.lost_elsewhere, self.requests),
            ),
            self.expectation(
                "healed, it serves again".into(),
                self.recovery.is_some() && self.served_again,
                seconds(self.recovery),
            ),
        ];
        // The kernel of one that is killed closes its connections by itself.
        if self.fault != Fault::Killed {
            expectations.insert(
                3,
                self.expectation(
                    "… each by a reset".into(),
                    self.reset == self.open,
                    format!("{} of {}", self.reset, self.open),
                ),
            );
        }
        expectations
    }

    fn expectation(&self, what: String, held: bool, found: String) -> Expectation {
        Expectation {
            of: self.endpoint.clone(),
            what,
            held,
            found,
        }
    }
}

/// One column for each fault.
pub(super) fn table(faults: &[EndpointFault], expectations: &[Expectation]) -> Table {
    let mut table = Table::default();
    let mut row = |caption: &str, cell: &dyn Fn(&EndpointFault) -> String| {
        table.row(caption, faults.iter().map(cell).collect());
    };
    row("", &|fault| fault.endpoint.clone());
    row("", &|fault| {
        match fault.fault {
            Fault::Failing => "/healthz says 500",
            Fault::Frozen => "frozen",
            Fault::Killed => "killed",
        }
        .into()
    });
    row("out of rotation after", &|fault| seconds(fault.detection));
    row("failed probes (fall = 3)", &|fault| {
        fault.probes.map_or("-".into(), |probes| probes.to_string())
    });
    row("seen by the probes", &|fault| fault.cause.clone());
    row("requests of clients", &|fault| fault.requests.to_string());
    row("  lost with the endpoint", &|fault| {
        fault.lost_with_endpoint.to_string()
    });
    row("  lost elsewhere", &|fault| fault.lost_elsewhere.to_string());
    row("  answered after over 1 s", &|fault| fault.slow.to_string());
    row("longest time without answer", &|fault| {
        milliseconds(fault.longest_gap * 1e3)
    });
    row("connections open on it", &|fault| fault.open.to_string());
    row("  of those reset", &|fault| fault.reset.to_string());
    row("  all ended, after the fault", &|fault| {
        seconds(fault.ended_after_fault)
    });
    row(
        "  … after the decision",
        &|fault| match fault.ended_after_decision_ms {
            None => "never".into(),
            Some(early) if early < -1e3 => "long before".into(),
            Some(late) => format!("{late:.1} ms"),
        },
    );
    row("back in rotation after", &|fault| seconds(fault.recovery));
    table.verdicts(faults.iter().map(|fault| fault.endpoint.as_str()), expectations);
    table
}
