//! Faults of a load balancer: figures, a table of them, and what is expected.

use std::time::Duration;

use serde::Serialize;

use super::table::Table;
use super::{Expectation, SLOW, answered, longest_gap, open_at};
use crate::commands::lab::client::{End, Short};
use crate::commands::lab::prober;
use crate::commands::lab::story::load_balancer_faults::{Episode, Fault, Move};
use crate::commands::lab::story::{Setup, Told, since};

/// The longest outage where nobody has died: a hand-over, a return. Less than
/// the Skew_Time (609 ms) that the second one would wait if it did not know its rank.
const PLANNED: Duration = Duration::from_millis(500);

/// How long after the decision the link may take to learn of it.
const LEARNT: Duration = Duration::from_millis(500);

/// A fault, and what came of it each time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadBalancerFault {
    /// What befell the preferred load balancer.
    pub fault: Fault,
    /// How long the outage may be.
    pub outage_bound: f64,
    /// In their order.
    pub trials: Vec<Trial>,
}

/// The address went to the other one, and returned.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// Who had the address before.
    pub before: Vec<String>,
    /// From the fault to the moment before it was taken away.
    pub away: Moved,
    /// From then on.
    pub back: Moved,
}

/// The figures of one move of the address, as clients saw it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// From here, …
    pub from: String,
    /// … to there.
    pub to: String,
    /// Why the other one took over.
    pub why: Option<String>,
    /// From the cause until the other one was active.
    pub active_after: Option<f64>,
    /// From the cause until the former one had the address no more.
    pub left_after: Option<f64>,
    /// How long both had it.
    pub held_by_both: f64,
    /// Who had it at the end.
    pub holders: Vec<String>,
    /// The longest time in which none of the fine attempts was answered.
    pub outage: f64,
    /// The same of requests.
    pub longest_gap: f64,
    /// Requests begun.
    pub requests: usize,
    /// Of those, the ones that had a connection when the address moved, and were reset.
    pub cut_off: usize,
    /// Those that failed in other ways …
    pub lost: usize,
    /// … or after the other one had taken over.
    pub lost_afterwards: usize,
    /// How the last of those failed.
    pub lost_how: Option<String>,
    /// Answers that took longer than a second.
    pub slow: usize,
    /// Watches open at the cause.
    pub watches: usize,
    /// Of those, how many ended by a reset.
    pub watches_reset: usize,
    /// From the cause to the end of the last; none when one did not end.
    pub watches_ended_after: Option<f64>,
}

impl LoadBalancerFault {
    /// Those that there were.
    pub(super) fn all(told: &Told) -> Vec<Self> {
        let trials = |fault| {
            let episodes = told.load_balancer_faults.iter();
            let of_it = episodes.filter(move |episode| episode.fault == fault);
            of_it.map(|episode| Trial::new(told, episode)).collect()
        };
        let faults = Fault::ALL.map(|fault| Self {
            fault,
            outage_bound: bounds(fault, &told.setup).0.as_secs_f64(),
            trials: trials(fault),
        });
        faults
            .into_iter()
            .filter(|fault| !fault.trials.is_empty())
            .collect()
    }

    /// What is expected of it, each time.
    pub(super) fn expectations(&self, told: &Told) -> Vec<Expectation> {
        let mut expectations: Vec<Expectation> = Vec::new();
        for new in self
            .trials
            .iter()
            .flat_map(|trial| self.of_trial(trial, &told.setup))
        {
            match expectations.iter_mut().find(|old| old.what == new.what) {
                // The first disappointment counts, otherwise the last success.
                Some(old) if old.held => *old = new,
                Some(_) => {}
                None => expectations.push(new),
            }
        }
        expectations
    }

    fn of_trial(&self, trial: &Trial, setup: &Setup) -> Vec<Expectation> {
        let Trial { before, away, back } = trial;
        let expectation = |what: &str, held: bool, found: String| Expectation {
            of: name(self.fault).into(),
            what: what.into(),
            held,
            found,
        };
        let (_, both) = bounds(self.fault, setup);
        let leaving = setup.leaving_bound().as_secs_f64();
        let planned = self.fault == Fault::Stopped;
        let seconds = |found: f64, bound: f64| format!("{found:.3} s of {bound:.3} s");
        let short = PLANNED.as_secs_f64();
        let how = |moved: &Moved| moved.lost_how.clone().unwrap_or_default();
        vec![
            expectation(
                "afterwards exactly one had it",
                *before == [away.from.clone()]
                    && away.holders == [away.to.clone()]
                    && back.holders == [back.to.clone()],
                [before, &away.holders, &back.holders]
                    .map(|names| names.join(" and "))
                    .join(", "),
            ),
            expectation(
                "outage short enough",
                away.outage <= self.outage_bound,
                seconds(away.outage, self.outage_bound),
            ),
            expectation(
                "no request lost in vain",
                away.lost_afterwards == 0 && (!planned || away.lost == 0),
                format!(
                    "{}, {} of them after the move {}",
                    away.lost,
                    away.lost_afterwards,
                    how(away)
                ),
            ),
            expectation(
                "address left lb-a in time",
                away.left_after.is_some_and(|after| after <= leaving),
                format!("{} of {leaving:.1} s", spread(&[away.left_after])),
            ),
            expectation(
                "… and was not on both for long",
                away.held_by_both <= both.as_secs_f64() && back.held_by_both <= short,
                format!("{:.3} s, then {:.3} s", away.held_by_both, back.held_by_both),
            ),
            expectation(
                "each watch ended, to be opened again",
                away.watches > 0 && away.watches_ended_after.is_some(),
                format!("{} of {}", spread(&[away.watches_ended_after]), away.watches),
            ),
            expectation(
                "return hardly noticed",
                back.active_after.is_some() && back.outage <= short && back.lost == 0,
                format!(
                    "{}, {} lost {}",
                    seconds(back.outage, short),
                    back.lost,
                    how(back)
                ),
            ),
        ]
    }
}

/// The longest outage, and the longest time in which both have the address.
fn bounds(fault: Fault, setup: &Setup) -> (Duration, Duration) {
    let takeover = setup.takeover_bound();
    match fault {
        Fault::Stopped => (PLANNED, PLANNED),
        Fault::CutOff => (takeover, PLANNED),
        // It may have been renewed just before, and its advertisement been missed just after.
        Fault::Killed | Fault::Hung => {
            let leaving = setup.leaving_bound();
            (takeover, leaving - setup.timing.advertisement_interval * 2)
        }
    }
}

impl Trial {
    fn new(told: &Told, episode: &Episode) -> Self {
        Self {
            before: episode.before.clone(),
            away: Moved::new(told, &episode.away),
            back: Moved::new(told, &episode.back),
        }
    }
}

impl Moved {
    fn new(told: &Told, it: &Move) -> Self {
        let after = |at| since(it.begun, at).as_secs_f64();
        let requests = told.seen.shorts.iter();
        let requests: Vec<_> = requests
            .filter(|short| short.ended >= it.begun && short.started < it.over)
            .collect();
        let settled = it.taken.as_ref().map(|taken| taken.at + LEARNT);
        let afterwards = |short: &Short| settled.is_some_and(|settled| short.started > settled);
        let failed = || requests.iter().filter(|short| short.outcome.is_err());
        let cut_off = |short: &Short| short.outcome == Err(End::Reset) && !afterwards(short);

        let watches = told.seen.watches.iter();
        let watches: Vec<_> = watches.filter(|watch| open_at(watch, it.begun)).collect();
        let ends = watches.iter().map(|watch| {
            let (at, end) = watch.ended.as_ref()?;
            (*at < it.over).then_some((*at, end))
        });
        let last = ends.clone().collect::<Option<Vec<_>>>();
        let last = last.and_then(|ends| ends.into_iter().map(|(at, _)| at).max());
        Self {
            from: it.from.clone(),
            to: it.to.clone(),
            why: it.taken.as_ref().map(|taken| taken.why.clone()),
            active_after: it.taken.as_ref().map(|taken| after(taken.at)),
            left_after: it.left.map(after),
            held_by_both: match (it.had, it.left) {
                (Some(had), Some(left)) => since(had, left),
                (Some(had), None) => since(had, it.over),
                (None, _) => Duration::ZERO,
            }
            .as_secs_f64(),
            holders: it.holders.clone(),
            outage: longest_gap(told.probed.iter().copied(), it.begun, it.over).as_secs_f64(),
            longest_gap: longest_gap(answered(&requests), it.begun, it.over).as_secs_f64(),
            requests: requests.len(),
            cut_off: failed().filter(|short| cut_off(short)).count(),
            lost: failed().filter(|short| !cut_off(short)).count(),
            lost_afterwards: failed().filter(|short| afterwards(short)).count(),
            lost_how: failed()
                .filter(|short| !cut_off(short))
                .filter_map(|short| short.outcome.as_ref().err())
                .next_back()
                .map(ToString::to_string),
            slow: requests
                .iter()
                .filter(|short| short.outcome.is_ok() && since(short.started, short.ended) > SLOW)
                .count(),
            watches: watches.len(),
            watches_reset: ends.filter(|end| matches!(end, Some((_, End::Reset)))).count(),
            watches_ended_after: last.map(after),
        }
    }
}

/// A word for it, at the head of a column.
fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Stopped => "stopped",
        Fault::Killed => "killed",
        Fault::Hung => "hung",
        Fault::CutOff => "cut off",
    }
}

/// One column for each fault; of several trials least/median/most are shown.
pub(super) fn table(faults: &[LoadBalancerFault], expectations: &[Expectation]) -> Table {
    let mut columns = Columns {
        faults,
        table: Table::default(),
    };
    columns.row("lb-a is …", |it| name(it.fault).into());
    columns.row("", |it| {
        match it.fault {
            Fault::Stopped => "(SIGTERM)",
            Fault::Killed => "(SIGKILL)",
            Fault::Hung => "(SIGSTOP)",
            Fault::CutOff => "(cable)",
        }
        .into()
    });
    columns.times("lb-b active after", |trial| trial.away.active_after);
    columns.times("address off lb-a after", |trial| trial.away.left_after);
    columns.times("  on both for", |trial| Some(trial.away.held_by_both));
    let caption = format!("outage, looked for each {} ms", prober::EVERY.as_millis());
    columns.times(&caption, |trial| Some(trial.away.outage));
    columns.row("  at most", |it| spread(&[Some(it.outage_bound)]));
    columns.counts("requests of clients", |trial| trial.away.requests);
    columns.counts("  reset as the address moved", |trial| trial.away.cut_off);
    columns.counts("  lost in other ways", |trial| trial.away.lost);
    columns.counts("  answered after over 1 s", |trial| trial.away.slow);
    columns.counts("watches open", |trial| trial.away.watches);
    columns.counts("  of those reset", |trial| trial.away.watches_reset);
    columns.times("  all ended, after the fault", |trial| {
        trial.away.watches_ended_after
    });
    columns.times("lb-a active again after", |trial| trial.back.active_after);
    columns.times("  outage", |trial| Some(trial.back.outage));
    columns.counts("  requests reset", |trial| trial.back.cut_off);
    columns.counts("  requests lost", |trial| trial.back.lost);
    let mut table = columns.table;
    table.verdicts(faults.iter().map(|it| name(it.fault)), expectations);
    table
}

struct Columns<'a> {
    faults: &'a [LoadBalancerFault],
    table: Table,
}

impl Columns<'_> {
    fn row(&mut self, caption: &str, cell: impl Fn(&LoadBalancerFault) -> String) {
        self.table.row(caption, self.faults.iter().map(cell).collect());
    }

    fn times(&mut self, caption: &str, value: impl Fn(&Trial) -> Option<f64>) {
        self.row(caption, |it| {
            spread(&it.trials.iter().map(&value).collect::<Vec<_>>())
        });
    }

    fn counts(&mut self, caption: &str, value: impl Fn(&Trial) -> usize) {
        self.row(caption, |it| {
            let mut counts: Vec<_> = it.trials.iter().map(&value).collect();
            counts.sort_unstable();
            least_median_most(&counts, usize::to_string)
        });
    }
}

/// Times of several trials, all in the unit of the longest.
fn spread(times: &[Option<f64>]) -> String {
    let Some(mut times) = times.iter().copied().collect::<Option<Vec<_>>>() else {
        return "never".into();
    };
    times.sort_by(f64::total_cmp);
    match times.last() {
        Some(most) if *most >= 1.0 => least_median_most(&times, |time| format!("{time:.2}")) + " s",
        _ => least_median_most(&times, |time| format!("{:.0}", time * 1e3)) + " ms",
    }
}

fn least_median_most<T>(sorted: &[T], show: impl Fn(&T) -> String) -> String {
    match sorted {
        [] => "-".into(),
        [one] => show(one),
        [least, .., most] => {
            let median = &sorted[(sorted.len() - 1) / 2];
            [least, median, most].map(show).join("/")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_unit_of_the_longest() {
        assert_eq!(spread(&[Some(0.0123)]), "12 ms");
        assert_eq!(spread(&[Some(0.003), Some(0.001), Some(0.002)]), "1/2/3 ms");
        assert_eq!(spread(&[Some(2.5), Some(0.5)]), "0.50/0.50/2.50 s");
    }

    #[test]
    fn what_did_not_happen_once_is_not_averaged_away() {
        assert_eq!(spread(&[Some(0.1), None, Some(0.2)]), "never");
    }
}
