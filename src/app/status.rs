//! What operators are shown of the daemon. Times are seconds since 1970.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

use super::election::Command;
use super::election::status::{RouterStatus, seconds};
use super::supervised::{Member, Standing, Supervised};
use crate::pure::config::Wish;
use crate::shell::forward::proxy::Listener;

/// The daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its version.
    pub version: String,
    /// The node of the document that it is.
    pub node: Option<String>,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: f64,
    /// What it does at all.
    pub phase: Phase,
    /// In document order.
    pub virtual_routers: Vec<RouterStatus>,
    /// In document order.
    pub listeners: Vec<ListenerStatus>,
    /// In document order.
    pub pools: Vec<PoolStatus>,
}

/// What the daemon does at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It waits for the first probes; connections wait in the kernel.
    Settling,
    /// It accepts connections and takes part in elections.
    Serving,
    /// As `Serving`, but its virtual routers have ended before it.
    WithoutElections,
    /// It ends: other nodes get the virtual addresses, then connections finish.
    Ending,
}

impl Status {
    /// Why clients should not be sent here, in one sentence; `None` when they
    /// should be.
    pub fn unready(&self) -> Option<String> {
        let takes_part = |router: &&RouterStatus| matches!(router.state.as_str(), "active" | "backup");
        match self.phase {
            Phase::Settling => Some("endpoints are being probed for the first time".into()),
            Phase::Ending => Some("the daemon is about to end".into()),
            Phase::WithoutElections => Some("the virtual routers have ended".into()),
            Phase::Serving => {
                let router = self.virtual_routers.iter().find(|router| !takes_part(router))?;
                let RouterStatus { name, state, why, .. } = router;
                Some(format!(
                    "virtual router {name} takes no part in elections: {state}, {why}"
                ))
            }
        }
    }
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListenerStatus {
    /// Its name in the document.
    pub name: String,
    /// The addresses it is bound to.
    pub bound: Vec<String>,
    /// Where its connections go.
    pub pool: String,
    /// Open now.
    pub connections: u32,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolStatus {
    /// Its name in the document.
    pub name: String,
    /// In document order.
    pub endpoints: Vec<EndpointStatus>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointStatus {
    /// Its name in the document.
    pub name: String,
    /// Where connections go.
    pub address: String,
    /// The operator's wish: `enabled`, `drain` or `disabled`.
    pub state: String,
    /// What is believed: `unknown`, `up` or `down`.
    pub health: String,
    /// It takes connections: wish and belief together.
    pub ready: bool,
    /// Open now.
    pub connections: u32,
}

/// Where a status is taken from.
#[derive(Clone)]
pub struct Sources {
    /// The node's name.
    pub node: Option<String>,
    /// When the daemon started.
    pub started: SystemTime,
    /// What it does at all.
    pub phase: watch::Receiver<Phase>,
    /// What it is made of now.
    pub parts: watch::Receiver<Parts>,
}

/// What the daemon is made of, by its document of the moment.
#[derive(Clone)]
pub struct Parts {
    /// Its listeners, and where they are bound.
    pub listeners: Vec<(Arc<Listener>, Vec<String>)>,
    /// Its pools.
    pub pools: Vec<Arc<Supervised>>,
    /// To its virtual routers, if it has any.
    pub election: Option<UnboundedSender<Command>>,
}

impl Sources {
    /// The status of this moment.
    pub async fn status(&self) -> Status {
        let parts = self.parts.borrow().clone();
        let virtual_routers = parts.virtual_routers().await;
        let phase = match *self.phase.borrow() {
            Phase::Serving if virtual_routers.is_none() => Phase::WithoutElections,
            phase => phase,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.node.clone(),
            pid: std::process::id(),
            started: seconds(self.started),
            phase,
            virtual_routers: virtual_routers.unwrap_or_default(),
            listeners: parts.listeners.iter().map(listener).collect(),
            pools: parts.pools.iter().map(|pool| self::pool(pool)).collect(),
        }
    }
}

impl Parts {
    /// `None` when they have ended.
    async fn virtual_routers(&self) -> Option<Vec<RouterStatus>> {
        let Some(election) = &self.election else {
            return Some(Vec::new());
        };
        let (ask, answer) = oneshot::channel();
        election.send(Command::Status(ask)).ok()?;
        answer.await.ok()
    }
}

fn listener((listener, bound): &(Arc<Listener>, Vec<String>)) -> ListenerStatus {
    ListenerStatus {
        name: listener.name.clone(),
        bound: bound.clone(),
        pool: listener.pool.name.clone(),
        connections: listener.budget.used(),
    }
}

fn pool(pool: &Supervised) -> PoolStatus {
    let endpoint = |(member, wish, standing, ready): (Arc<Member>, Wish, Standing, bool)| EndpointStatus {
        name: member.endpoint().name.clone(),
        address: member.endpoint().address.to_string(),
        state: match wish {
            Wish::Enabled => "enabled",
            Wish::Drain => "drain",
            Wish::Disabled => "disabled",
        }
        .into(),
        health: match standing {
            Standing::Unknown => "unknown",
            Standing::Up => "up",
            Standing::Down => "down",
        }
        .into(),
        ready,
        connections: member.endpoint().budget.used(),
    };
    PoolStatus {
        name: pool.pool().name.clone(),
        endpoints: pool.standings().into_iter().map(endpoint).collect(),
    }
}
