//! Tracked conditions: what makes this node less fit to hold an address.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Command;
use super::conditions::Conditions;
use crate::app::probing::{Observer, Probing, follow};
use crate::app::supervised::Supervised;
use crate::pure::config::{Config, Endpoint, Node, Track, TrackSubject, Wish};
use crate::pure::health::{Belief, Finding};
use crate::pure::vrrp::Fitness;
use crate::shell::netlink::{Monitor, Netlink};
use crate::shell::wasm::Probe;

/// When to look again at what nobody tells us about.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The conditions of one virtual router, and which of them fail.
struct Watched {
    router: usize,
    conditions: Vec<Wording>,
    failing: Mutex<Vec<bool>>,
    commands: UnboundedSender<Command>,
}

/// What a failing condition costs, and what people are told of it.
struct Wording {
    weight: Option<i16>,
    words: String,
}

impl Wording {
    fn new(words: &str, weight: Option<i16>) -> Self {
        let words = match weight {
            Some(weight) => format!("{words} ({weight})"),
            None => format!("{words} (stands back)"),
        };
        Self { weight, words }
    }

    fn of(config: &Config, track: &Track) -> Self {
        let words = match &track.subject {
            TrackSubject::Pool(id) => format!("no endpoint of pool {} is ready", config.pool(*id).name),
            TrackSubject::Interface(name) => format!("interface {name} carries nothing"),
            TrackSubject::File(path) => format!("file {} is missing", path.display()),
            TrackSubject::Check { check, port } => {
                let name = &config.check(*check).name;
                format!("check {name} fails on this node, port {port}")
            }
        };
        Self::new(&words, track.weight)
    }
}

/// One of them.
#[derive(Clone)]
struct Condition {
    of: Arc<Watched>,
    index: usize,
}

impl Condition {
    /// Tell the driver when that is new.
    fn set_failing(&self, failing: bool) {
        let mut all = self.of.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut all[self.index], failing) == failing {
            return;
        }
        let failing = || {
            self.of
                .conditions
                .iter()
                .zip(&*all)
                .filter(|(_, failing)| **failing)
        };
        let conditions = Conditions {
            fitness: Fitness::of(failing().map(|(condition, _)| condition.weight)),
            words: failing().map(|(condition, _)| condition.words.clone()).collect(),
        };
        // A driver that has ended needs no telling.
        let _ = self
            .of
            .commands
            .send(Command::Conditions(self.of.router, conditions));
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
        let interface = settings.interface.as_ref().unwrap_or(&node.interface);
        let tracked = settings.track.iter().map(|track| Wording::of(config, track));
        let words = format!("interface {interface} was down, and not all pools are probed again");
        let conditions: Vec<_> = tracked.chain([Wording::new(&words, None)]).collect();
        let of = Arc::new(Watched {
            router,
            failing: Mutex::new(vec![false; conditions.len()]),
            conditions,
            commands: commands.clone(),
        });
        let condition = |index| Condition {
            of: of.clone(),
            index,
        };
        for (index, track) in settings.track.iter().enumerate() {
            let condition = condition(index);
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
        if config.pools.iter().any(|pool| pool.check.is_some()) {
            let last = condition(settings.track.len());
            tasks.spawn(watch_return(last, interface.clone(), pools.to_vec()));
        }
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
    match Interface::watch(&name) {
        Ok(mut interface) => loop {
            condition.set_failing(!interface.carries().await);
            interface.changed().await;
        },
        Err(error) => {
            tracing::error!(interface = name, %error, "cannot be watched, and counts as failing");
            condition.set_failing(true);
        }
    }
}

/// Behind an interface that was down nobody knows what is ready, until all is
/// probed anew: whoever comes back does not take the address before.
async fn watch_return(condition: Condition, name: String, pools: Vec<Arc<Supervised>>) {
    let mut interface = match Interface::watch(&name) {
        Ok(interface) => interface,
        Err(error) => {
            tracing::error!(interface = name, %error, "cannot be watched");
            return;
        }
    };
    loop {
        interface.lost().await;
        condition.set_failing(true);
        while !interface.carries().await {
            interface.changed().await;
        }
        let back = Instant::now();
        let probed = async {
            for pool in &pools {
                pool.probed_since(back).await;
            }
        };
        tokio::select! {
            () = probed => condition.set_failing(false),
            () = interface.lost() => {}
        }
    }
}

/// An interface that is watched.
struct Interface<'a> {
    name: &'a str,
    netlink: Netlink,
    monitor: Monitor,
}

impl<'a> Interface<'a> {
    fn watch(name: &'a str) -> io::Result<Self> {
        // First the monitor: what changes while we look is told afterwards.
        let monitor = Monitor::subscribe()?;
        let netlink = Netlink::connect()?;
        Ok(Self {
            name,
            netlink,
            monitor,
        })
    }

    /// Whether it is there and frames pass.
    async fn carries(&self) -> bool {
        let link = self.netlink.link(self.name).await;
        link.is_ok_and(|link| link.is_some_and(|link| link.state.carrier))
    }

    /// Wait until something may have changed.
    async fn changed(&mut self) {
        if self.monitor.next().await.is_err() {
            // Whatever came over it, looking again does no harm.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Wait until it carries nothing.
    async fn lost(&mut self) {
        while self.carries().await {
            self.changed().await;
        }
    }
}

async fn watch_file(condition: Condition, path: PathBuf) {
    let mut look = interval(LOOK_AGAIN);
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

    fn counted(&self, _: Instant) {}
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
