//! The preferred load balancer in trouble, in one way after the other, and back
//! again: the virtual address goes to the other one, and returns.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::{Setup, Stage, WITHOUT, since};
use crate::commands::lab::daemon_log::Transition;
use crate::commands::lab::founding_case::{self, VIRTUAL};
use crate::commands::lab::load_balancer::LoadBalancer;
use crate::commands::lab::prober::Prober;
use crate::commands::lab::progress::{Progress, shown};

/// Watches that are open when something befalls a load balancer, at least.
const WATCHES: usize = 9;

/// How long after its return the load balancer is watched.
const SETTLE: Duration = Duration::from_secs(1);

/// What befalls a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its daemon is told to stop.
    Stopped,
    /// Its daemon is killed.
    Killed,
    /// Its daemon hangs, and its kernel answers for it.
    Hung,
    /// Its cable is pulled.
    CutOff,
}

impl Fault {
    /// In this order.
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Killed, Self::Hung, Self::CutOff];

    /// What happens, for people.
    fn happens(self) -> &'static str {
        match self {
            Self::Stopped => "is told to stop (SIGTERM)",
            Self::Killed => "is killed (SIGKILL)",
            Self::Hung => "hangs (SIGSTOP)",
            Self::CutOff => "is cut off: its cable is pulled",
        }
    }

    /// What takes it away, for people.
    fn ends(self) -> &'static str {
        match self {
            Self::Stopped | Self::Killed => "is started again",
            Self::Hung => "goes on (SIGCONT)",
            Self::CutOff => "has its cable plugged in again",
        }
    }

    async fn inject(self, load_balancer: &mut LoadBalancer) -> Result<(), String> {
        match self {
            Self::Stopped => load_balancer.terminate(),
            Self::Killed => load_balancer.kill().await,
            Self::Hung => load_balancer.freeze(),
            Self::CutOff => load_balancer.set_cable(false),
        }
    }

    /// The work that is left before it can be taken away.
    async fn await_end(self, load_balancer: &mut LoadBalancer) -> Result<(), String> {
        match self {
            Self::Stopped => load_balancer.ended().await,
            Self::Killed | Self::Hung | Self::CutOff => Ok(()),
        }
    }

    async fn heal(self, load_balancer: &mut LoadBalancer) -> Result<(), String> {
        match self {
            Self::Stopped | Self::Killed => load_balancer.start_again().await,
            Self::Hung => load_balancer.thaw(),
            Self::CutOff => load_balancer.set_cable(true),
        }
    }
}

/// One fault, from injection to the return of the address.
#[derive(Clone, Debug)]
pub struct Episode {
    /// What befell the preferred load balancer.
    pub fault: Fault,
    /// Who had the address before.
    pub before: Vec<String>,
    /// It goes to the other one.
    pub away: Move,
    /// It returns, the fault taken away.
    pub back: Move,
}

/// The address goes from one load balancer to the other.
#[derive(Clone, Debug)]
pub struct Move {
    /// From here, …
    pub from: String,
    /// … to there.
    pub to: String,
    /// When its cause came.
    pub begun: SystemTime,
    /// The decision of the daemon that took over; `None` when there was none in time.
    pub taken: Option<Transition>,
    /// When the kernel of the one that took over had the address.
    pub had: Option<SystemTime>,
    /// When the kernel of the other one had it no more.
    pub left: Option<SystemTime>,
    /// When it was looked at for the last time, …
    pub over: SystemTime,
    /// … and who had the address by then.
    pub holders: Vec<String>,
}

/// When the finer attempts were answered, in that order.
pub type Probed = Vec<SystemTime>;

impl Stage {
    /// Each fault, as often as was asked for.
    pub(super) async fn play_load_balancer_faults(
        &mut self,
        progress: &Progress,
    ) -> Result<(Vec<Episode>, Probed), String> {
        let prober = Prober::start(&self.worker, founding_case::socket(&VIRTUAL))?;
        sleep(SETTLE).await;
        let mut episodes = Vec::new();
        for trial in 1..=self.setup.trials {
            if self.setup.trials > 1 {
                progress.say(&format!("trial {trial} of {}", self.setup.trials));
            }
            for fault in Fault::ALL {
                sleep(self.any_moment(episodes.len())).await;
                episodes.push(self.load_balancer_fault(fault, progress).await?);
            }
        }
        Ok((episodes, prober.answered()))
    }

    /// A part of the advertisement interval, another one each time: what befalls
    /// a load balancer does not wait for its advertisements.
    fn any_moment(&self, number: usize) -> Duration {
        // Multiples of the golden ratio spread as evenly as can be.
        let part = (number as f64 * 0.618_034).fract();
        self.setup.timing.advertisement_interval.mul_f64(part)
    }

    async fn load_balancer_fault(&mut self, fault: Fault, progress: &Progress) -> Result<Episode, String> {
        self.clients.watch(None, WATCHES).await?;
        let before = self.holders();
        let name = self.load_balancers[0].name().to_string();

        progress.say(&format!("{name} {}", fault.happens()));
        let begun = SystemTime::now();
        fault.inject(&mut self.load_balancers[0]).await?;
        let mut away = self.moves(begun, [0, 1], progress).await;
        fault.await_end(&mut self.load_balancers[0]).await?;
        sleep(WITHOUT).await;
        self.clients.watches_end(begun).await;
        away.over = SystemTime::now();
        away.holders = self.holders();

        progress.say(&format!("{name} {}", fault.ends()));
        let healed = SystemTime::now();
        fault.heal(&mut self.load_balancers[0]).await?;
        let mut back = self.moves(healed, [1, 0], progress).await;
        sleep(SETTLE).await;
        back.over = SystemTime::now();
        back.holders = self.holders();
        Ok(Episode {
            fault,
            before,
            away,
            back,
        })
    }

    async fn moves(&self, begun: SystemTime, [from, to]: [usize; 2], progress: &Progress) -> Move {
        let (from, to) = (&self.load_balancers[from], &self.load_balancers[to]);
        let patience = patience(&self.setup);
        let taken = to.becomes_active(begun, patience).await.ok();
        match &taken {
            Some(taken) => progress.say(&format!(
                "{} is active after {}: {}",
                to.name(),
                shown(since(begun, taken.at)),
                taken.why
            )),
            None => progress.say(&format!("{} does not become active", to.name())),
        }
        let had = to.holding.change(true, begun, patience).await;
        let left = from.holding.change(false, begun, patience).await;
        match left {
            Some(left) => progress.say(&format!(
                "the address has left {} after {}",
                from.name(),
                shown(since(begun, left))
            )),
            None => progress.say(&format!("{} still has the address", from.name())),
        }
        Move {
            from: from.name().into(),
            to: to.name().into(),
            begun,
            taken,
            had,
            left,
            over: begun,
            holders: Vec::new(),
        }
    }

    fn holders(&self) -> Vec<String> {
        let holding = self.load_balancers.iter().filter(|it| it.holding.held());
        holding.map(|it| it.name().to_string()).collect()
    }
}

/// Longer than any of it may take: a start, a probe of each endpoint, an election.
fn patience(setup: &Setup) -> Duration {
    setup.leaving_bound() * 2 + setup.timing.timeout + Duration::from_secs(5)
}
