//! One trial: a fresh pair of routers, an event, and what came of it.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::asking::Asking;
use super::lan::{A, B, Lan};
use super::routers::{Memory, Pace, Pair, Subject};
use super::{Result, failed, wait_until};

/// How long the client asks before the event; what it waits then is noise.
const BEFORE: Duration = Duration::from_millis(300);

/// How long it asks after the other router has answered.
const AFTER: Duration = Duration::from_millis(500);

/// An address that a dead router has for this long stays.
pub const WATCH: Duration = Duration::from_secs(10);

/// Beyond any interval of silence: nobody takes over any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens to the preferred router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM to the daemon.
    Stop,
    /// Its cable is pulled and its processes are killed.
    Crash,
    /// Its cable is pulled.
    Cut,
    /// SIGKILL to all processes of the daemon; the machine lives.
    Kill,
    /// SIGSTOP to all processes of the daemon.
    Hang,
}

impl Event {
    pub const ALL: [Self; 5] = [Self::Stop, Self::Crash, Self::Cut, Self::Kill, Self::Hang];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "graceful stop",
            Self::Crash => "crash of the node",
            Self::Cut => "link cut",
            Self::Kill => "SIGKILL",
            Self::Hang => "hang (SIGSTOP)",
        }
    }

    pub fn key(self) -> &'static str {
        match self {
            Self::Stop => "graceful_stop",
            Self::Crash => "crash",
            Self::Cut => "link_cut",
            Self::Kill => "sigkill",
            Self::Hang => "sigstop",
        }
    }

    /// The daemon is dead and its machine goes on answering.
    pub fn leaves_the_address(self) -> bool {
        match self {
            Self::Kill | Self::Hang => true,
            Self::Stop | Self::Crash | Self::Cut => false,
        }
    }

    fn happen(self, lan: &Lan, pair: &Pair) -> Result<()> {
        let daemon = &pair.daemons[A];
        let cut = || lan.routers[A].host.set_cable(false);
        match self {
            Self::Stop => daemon.signal(Signal::SIGTERM),
            Self::Cut => cut(),
            Self::Kill => daemon.signal_all(Signal::SIGKILL),
            Self::Hang => daemon.signal_all(Signal::SIGSTOP),
            Self::Crash => {
                cut()?;
                daemon.signal_all(Signal::SIGKILL)
            }
        }
    }
}

/// What a trial found.
pub struct Found {
    /// The longest that the client waited for an answer.
    pub outage: Duration,
    /// The same before the event: what the machine itself adds.
    pub noise: Duration,
    /// Probes without an answer.
    pub lost: usize,
    /// How long the router to which it happened went on having the address;
    /// `None`: it still had it when nobody watched any more.
    pub left: Option<Duration>,
    /// How long both had it.
    pub both: Duration,
}

/// Lets `event` happen this part of an interval after an advertisement: how
/// long a silence lasts depends on that.
pub fn trial(lan: &Lan, subject: Subject, pace: Pace, event: Event, phase: f64) -> Result<Found> {
    let pair = Pair::start(lan, subject, pace)?;
    let asking = Asking::start(&lan.client)?;
    let began = Instant::now();
    if !wait_until(PATIENCE, || asking.answered(A, began).is_some()) {
        return Err(pair.explain("the client gets no answer"));
    }
    let quiet = Instant::now();
    thread::sleep(BEFORE);
    let heard = lan.next_advertisement(PATIENCE)?;
    let due = heard + pace.interval().mul_f64(phase);
    thread::sleep(due.saturating_duration_since(Instant::now()));

    let at = Instant::now();
    event.happen(lan, &pair)?;
    let taken_over = || asking.answered(B, at).is_some();
    if !wait_until(pace.active_down_interval() + PATIENCE, taken_over) {
        return Err(pair.explain("the other router does not answer"));
    }
    if event.leaves_the_address() {
        let rest = WATCH.saturating_sub(at.elapsed());
        wait_until(rest, || !lan.routers[A].holding.now());
    }
    thread::sleep(AFTER);
    let end = Instant::now();
    let asked = asking.finish();

    let [a, b] = [A, B].map(|router| lan.routers[router].holding.spans(at, end));
    Ok(Found {
        outage: asked.outage(at, end),
        noise: asked.outage(quiet, heard),
        lost: asked.lost(at, end),
        left: match a.last() {
            Some((_, last)) if *last < end => Some(*last - at),
            Some(_) => None,
            None => Some(Duration::ZERO),
        },
        both: overlap(&a, &b),
    })
}

fn overlap(one: &[(Instant, Instant)], other: &[(Instant, Instant)]) -> Duration {
    let common = |&(begin, end): &(Instant, Instant)| -> Duration {
        let with = |&(from, to): &(Instant, Instant)| end.min(to).saturating_duration_since(begin.max(from));
        other.iter().map(with).sum()
    };
    one.iter().map(common).sum()
}

/// What a daemon takes while nothing happens.
pub struct Cost {
    /// Seconds of processor time a minute.
    pub cpu: f64,
    /// What it has.
    pub memory: Memory,
}

/// Of the active router and of the other, over some time.
pub fn costs(lan: &Lan, subject: Subject, pace: Pace, time: Duration) -> Result<[Cost; 2]> {
    let pair = Pair::start(lan, subject, pace)?;
    let read = |router: usize| Ok::<_, String>((Instant::now(), pair.daemons[router].cpu()?));
    let before = [read(A)?, read(B)?];
    thread::sleep(time);
    let after = [read(A)?, read(B)?];
    let cost = |router: usize| {
        let ((from, used), (to, in_all)) = (before[router], after[router]);
        let memory = pair.daemons[router].memory().map_err(failed("memory"))?;
        Ok::<_, String>(Cost {
            cpu: (in_all - used).as_secs_f64() / (to - from).as_secs_f64() * 60.0,
            memory,
        })
    };
    Ok([cost(A)?, cost(B)?])
}
