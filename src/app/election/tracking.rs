//! Tracked conditions: what makes this node less fit to hold an address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Command;
use crate::app::probing::{Observer, Probing, follow};
use crate::app::supervised::Supervised;
use crate::pure::config::{Config, Endpoint, Node, Track, TrackSubject, Wish};
use crate::pure::health::{Belief, Finding};
use crate::pure::vrrp::Fitness;
use crate::shell::netlink::{Monitor, Netlink};
use crate::shell::wasm::Probe;

/// How often a tracked file is looked for.
const LOOK_FOR_FILE: Duration = Duration::from_millis(500);

/// The conditions of one virtual router, and which of them fail.
struct Conditions {
    router: usize,
    tracks: Vec<(Track, String)>,
    failing: Mutex<Vec<bool>>,
    commands: UnboundedSender<Command>,
}

/// One of them.
#[derive(Clone)]
struct Condition {
    of: Arc<Conditions>,
    index: usize,
}

impl Condition {
    /// Tell the driver when that is new.
    fn set_failing(&self, failing: bool) {
        let mut all = self.of.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut all[self.index], failing) == failing {
            return;
        }
        let failing = || self.of.tracks.iter().zip(&*all).filter(|(_, failing)| **failing);
        let weights = failing().map(|((track, _), _)| track.weight);
        let words = failing().map(|((_, words), _)| words.clone()).collect();
        // A driver that has ended needs no telling.
        let _ = self
            .of
            .commands
            .send(Command::Fitness(self.of.router, Fitness::of(weights), words));
    }
}

/// Watch every condition of every virtual router.
pub fn start(
    config: &Config,
    node: &Node,
    pools: &[Arc<Supervised>],
    probing: &Probing,
    commands: &UnboundedSender<Command>,
    tasks: &mut JoinSet<()>,
) {
    for (router, settings) in config.virtual_routers.iter().enumerate() {
        let tracks = settings.track.iter();
        let of = Arc::new(Conditions {
            router,
            tracks: tracks
                .map(|track| (track.clone(), words(config, track)))
                .collect(),
            failing: Mutex::new(vec![false; settings.track.len()]),
            commands: commands.clone(),
        });
        for (index, track) in settings.track.iter().enumerate() {
            let condition = Condition {
                of: of.clone(),
                index,
            };
            match &track.subject {
                TrackSubject::Pool(id) => {
                    tasks.spawn(watch_pool(condition, pools[id.0].clone()));
                }
                TrackSubject::Interface(name) => {
                    tasks.spawn(watch_interface(condition, name.clone()));
                }
                TrackSubject::File(path) => {
                    tasks.spawn(watch_file(condition, path.clone()));
                }
                TrackSubject::Check { check, port } => {
                    let endpoint = own_endpoint(node, *port);
                    tasks.spawn(follow(probing.check(*check).clone(), endpoint, condition));
                }
            }
        }
    }
}

fn words(config: &Config, track: &Track) -> String {
    let (what, weight) = match &track.subject {
        TrackSubject::Pool(id) => (
            format!("no endpoint of pool {} is ready", config.pool(*id).name),
            track.weight,
        ),
        TrackSubject::Interface(name) => (format!("interface {name} carries nothing"), track.weight),
        TrackSubject::File(path) => (format!("file {} is missing", path.display()), track.weight),
        TrackSubject::Check { check, port } => (
            format!(
                "check {} fails on this node, port {port}",
                config.check(*check).name
            ),
            track.weight,
        ),
    };
    match weight {
        Some(weight) => format!("{what} ({weight})"),
        None => format!("{what} (stands back)"),
    }
}

async fn watch_pool(condition: Condition, pool: Arc<Supervised>) {
    let mut views = pool.pool().watch();
    loop {
        let ready = views.borrow_and_update().snapshot.has_ready();
        condition.set_failing(!ready);
        if views.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_interface(condition: Condition, name: String) {
    let sockets = Netlink::connect().and_then(|netlink| Ok((netlink, Monitor::subscribe()?)));
    let (netlink, mut monitor) = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::error!(interface = name, %error, "cannot be watched, and counts as failing");
            condition.set_failing(true);
            return;
        }
    };
    loop {
        let link = netlink.link(&name).await;
        let carries = link.is_ok_and(|link| link.is_some_and(|link| link.state.carrier));
        condition.set_failing(!carries);
        if monitor.next().await.is_err() {
            // Whatever came over it, looking again does no harm.
            tokio::time::sleep(LOOK_FOR_FILE).await;
        }
    }
}

async fn watch_file(condition: Condition, path: PathBuf) {
    let mut look = interval(LOOK_FOR_FILE);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        condition.set_failing(!path.exists());
    }
}

impl Observer for Condition {
    fn probed(&self, _: &Probe) {}

    // Before the first finding nothing is held against this node.
    fn changed(&self, _: Belief, to: Belief, _: &Finding, _: u8) {
        self.set_failing(to == Belief::Down);
    }
}

/// This node, as a check sees it.
fn own_endpoint(node: &Node, port: u16) -> Endpoint {
    let address = SocketAddr::new(node.address, port);
    Endpoint {
        name: node.name.clone(),
        address,
        weight: 1,
        backup: false,
        state: Wish::Enabled,
        max_connections: None,
        probe_address: address,
    }
}
