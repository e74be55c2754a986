//! One endpoint after the other in trouble, and healed.

use std::time::SystemTime;

use tokio::time::{sleep, timeout};

use super::{SLACK, Stage, WITHOUT, since};
use crate::commands::lab::client::Short;
use crate::commands::lab::daemon_log::Change;
use crate::commands::lab::endpoint::Endpoint;
use crate::commands::lab::load_balancer::LoadBalancer;
use crate::commands::lab::progress::Progress;
use crate::commands::lab::stand_in::Condition;

/// Watches that an endpoint has when something befalls it, at least.
const WATCHES: usize = 3;

/// What befalls an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its own etcd is gone: it serves, but its health paths answer 500.
    Failing,
    /// It is stopped: connections are accepted and never answered.
    Frozen,
    /// It is killed: connections are refused.
    Killed,
}

impl Fault {
    /// What happens, for people.
    pub fn happens(self) -> &'static str {
        match self {
            Self::Failing => "loses its etcd: /healthz answers 500",
            Self::Frozen => "freezes: accepts and never answers",
            Self::Killed => "is killed: refuses connections",
        }
    }

    async fn inject(self, endpoint: &mut Endpoint) -> Result<(), String> {
        match self {
            Self::Failing => endpoint.set(Condition::EtcdGone).await,
            Self::Frozen => endpoint.freeze(),
            Self::Killed => endpoint.kill().await,
        }
    }

    async fn heal(self, endpoint: &mut Endpoint) -> Result<(), String> {
        match self {
            Self::Failing => endpoint.set(Condition::Healthy).await,
            Self::Frozen => endpoint.thaw(),
            Self::Killed => endpoint.restart().await,
        }
    }
}

/// One fault, from injection to recovery.
#[derive(Clone, Debug)]
pub struct Episode {
    /// What befell …
    pub fault: Fault,
    /// … whom, …
    pub endpoint: String,
    /// … and when.
    pub injected: SystemTime,
    /// The daemon's decision; `None` when it made none in time.
    pub down: Option<Change>,
    /// When the fault was taken away.
    pub healed: SystemTime,
    /// The daemon's second decision.
    pub up: Option<Change>,
    /// When a client was served by the endpoint again.
    pub served_again: Option<SystemTime>,
}

impl Stage {
    /// Each fault befalls an endpoint of its own.
    pub(super) async fn play_endpoint_faults(&mut self, progress: &Progress) -> Result<Vec<Episode>, String> {
        let mut episodes = Vec::new();
        for (number, fault) in [Fault::Failing, Fault::Frozen, Fault::Killed]
            .into_iter()
            .enumerate()
        {
            episodes.push(self.endpoint_fault(number, fault, progress).await?);
        }
        Ok(episodes)
    }

    async fn endpoint_fault(
        &mut self,
        number: usize,
        fault: Fault,
        progress: &Progress,
    ) -> Result<Episode, String> {
        let endpoint = &mut self.endpoints[number];
        let name = endpoint.name().to_string();
        self.clients.watch(Some(&name), WATCHES).await?;
        let active = |it: &&LoadBalancer| it.is_active();
        let daemon = self.load_balancers.iter().find(active);
        let daemon = daemon.ok_or("no load balancer is active")?;

        progress.say(&format!("{name} {}", fault.happens()));
        let injected = SystemTime::now();
        fault.inject(endpoint).await?;
        let down = daemon
            .change(&name, false, injected, self.setup.detection_bound() * 2)
            .await
            .ok();
        match &down {
            Some(down) => progress.say(&format!(
                "{name} is down after {:.1} s and {} probes: {}",
                since(injected, down.at).as_secs_f64(),
                down.probes,
                down.detail
            )),
            None => progress.say(&format!("{name} was not found out")),
        }
        sleep(WITHOUT).await;

        let healed = SystemTime::now();
        fault.heal(endpoint).await?;
        let (mut up, mut served_again) = (None, None);
        if down.is_some() {
            up = daemon
                .change(&name, true, healed, self.setup.recovery_bound() * 2)
                .await
                .ok();
            let served = self.served_by(&name, up.as_ref().map_or(healed, |up| up.at));
            served_again = timeout(SLACK * 5, served).await.ok();
        }
        match &up {
            Some(up) => progress.say(&format!(
                "{name} is up again {:.1} s after its recovery",
                since(healed, up.at).as_secs_f64()
            )),
            None => progress.say(&format!("{name} did not come back")),
        }
        Ok(Episode {
            fault,
            endpoint: name,
            injected,
            down,
            healed,
            up,
            served_again,
        })
    }

    async fn served_by(&self, endpoint: &str, since: SystemTime) -> SystemTime {
        loop {
            {
                let seen = self.clients.seen();
                let by_it = |short: &&Short| {
                    short.started >= since && short.outcome.as_deref().is_ok_and(|name| name == endpoint)
                };
                if let Some(short) = seen.shorts.iter().rev().find(by_it) {
                    return short.ended;
                }
            }
            sleep(self.setup.every).await;
        }
    }
}
