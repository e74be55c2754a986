//! What the service manager is told while the daemon runs: what it does, and
//! that its parts that matter make progress.
//!
//! A core or the virtual routers' thread that hangs is not reported alive any
//! more: a restart is the better of two evils then, for clients would go on
//! being sent to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::status::{Phase, Sources, Status};
use crate::shell::forward::proxy::Cores;
use crate::shell::service_manager::{News, ServiceManager};

/// How old the line about what it does may be.
const LOOK: Duration = Duration::from_secs(1);

/// The parts that matter.
pub struct Vitals {
    /// Where a status is taken from, the virtual routers' thread among it.
    pub sources: Sources,
    /// The cores that carry connections.
    pub cores: Cores,
}

impl Vitals {
    /// Report for as long as it is polled.
    pub async fn report(self, manager: Arc<ServiceManager>) {
        let between = manager.watchdog().map_or(LOOK, |most| LOOK.min(most / 2));
        let mut tick = interval(between);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut said, mut hung) = (String::new(), None);
        loop {
            tick.tick().await;
            match self.look(between).await {
                Ok(status) => {
                    hung = None;
                    if manager.watchdog().is_some() {
                        manager.tell(&News::Alive);
                    }
                    let line = line(&status);
                    if line != said {
                        manager.tell(&News::Status(line.clone()));
                        said = line;
                    }
                }
                Err(who) if hung.as_ref() != Some(&who) => {
                    tracing::error!("{who}: no progress");
                    hung = Some(who);
                }
                Err(_) => {}
            }
        }
    }

    /// The status, if every part answers within this time; else who does not.
    async fn look(&self, within: Duration) -> Result<Status, String> {
        let until = Instant::now() + within;
        for (index, core) in self.cores.iter().enumerate() {
            let answer = timeout_at(until, core.answer()).await;
            answer.map_err(|_| format!("core {index}"))?;
        }
        match timeout_at(until, self.sources.status()).await {
            Ok(status) if status.phase != Phase::WithoutElections => Ok(status),
            Ok(_) | Err(_) => Err("the virtual routers".into()),
        }
    }
}

/// What it does, in one line.
fn line(status: &Status) -> String {
    let mut parts = Vec::new();
    for state in ["active", "backup", "fault", "initialize"] {
        let routers = status.virtual_routers.iter();
        let names: Vec<&str> = routers
            .filter(|router| router.state == state)
            .map(|router| router.name.as_str())
            .collect();
        if !names.is_empty() {
            parts.push(format!("{state} for {}", names.join(", ")));
        }
    }
    let endpoints = || status.pools.iter().flat_map(|pool| &pool.endpoints);
    let ready = endpoints().filter(|endpoint| endpoint.ready).count();
    parts.push(format!("{ready} of {} endpoints ready", endpoints().count()));
    let doing = match status.phase {
        Phase::Serving | Phase::WithoutElections => None,
        Phase::Settling => Some("waits for its first probes"),
        Phase::Ending => Some("is about to end"),
    };
    parts.extend(doing.map(str::to_string));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::election::status::RouterStatus;
    use crate::app::status::{EndpointStatus, PoolStatus};

    #[test]
    fn line_tells_who_is_active_and_how_many_endpoints_are_ready() {
        let router = |name: &str, state: &str| RouterStatus {
            name: name.into(),
            vrid: 1,
            version: 3,
            interface: "ens32".into(),
            addresses: Vec::new(),
            state: state.into(),
            since: 0.0,
            why: String::new(),
            handing_over: false,
            priority: 100,
            configured_priority: 100,
            lowered_by: Vec::new(),
            yields_until: None,
            peers: Vec::new(),
            counters: Default::default(),
        };
        let endpoint = |ready| EndpointStatus {
            name: "one".into(),
            address: "192.0.2.1:80".into(),
            state: "enabled".into(),
            health: "up".into(),
            ready,
            connections: 0,
        };
        let mut status = Status {
            version: "1.2.3".into(),
            node: None,
            pid: 1,
            started: 0.0,
            phase: Phase::Serving,
            virtual_routers: vec![
                router("web", "backup"),
                router("api", "active"),
                router("dns", "active"),
            ],
            listeners: Vec::new(),
            pools: vec![PoolStatus {
                name: "web".into(),
                endpoints: vec![endpoint(true), endpoint(false)],
            }],
        };
        assert_eq!(
            line(&status),
            "active for api, dns; backup for web; 1 of 2 endpoints ready"
        );
        status.virtual_routers.clear();
        status.phase = Phase::Settling;
        assert_eq!(
            line(&status),
            "1 of 2 endpoints ready; waits for its first probes"
        );
    }
}
