//! Tracked conditions: what makes this node less fit to hold an address.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Command;
use super::conditions::Conditions;
use crate::app::probing::{Loaded, Observer, Probing, Subject, follow};
use crate::app::status::Parts;
use crate::app::supervised::Supervised;
use crate::pure::config::{Config, Endpoint, Node, Track, TrackSubject, VirtualRouter, Wish};
use crate::pure::health::{Belief, Finding};
use crate::pure::vrrp::Fitness;
use crate::shell::netlink::{Monitor, Netlink};
use crate::shell::wasm::Probe;

/// When to look again at what nobody tells us about.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What conditions are watched in.
pub struct Watched<'a> {
    /// The document.
    pub config: &'a Config,
    /// This node of it.
    pub node: &'a Node,
    /// In document order.
    pub pools: &'a [Arc<Supervised>],
    /// The document's checks.
    pub probing: &'a Probing,
    /// Where news go.
    pub commands: &'a UnboundedSender<Command>,
    /// The daemon, whatever its document says later.
    pub parts: &'a watch::Receiver<Parts>,
}

/// Who watches the conditions of all virtual routers; they end with it.
#[derive(Default)]
pub struct Trackers(Vec<Tracker>);

struct Tracker {
    of: Arc<Tracked>,
    /// Ends the probing of the node itself when it is dropped.
    _subjects: Vec<watch::Sender<Arc<Subject>>>,
    _tasks: JoinSet<()>,
}

/// The conditions of one virtual router, and which of them fail.
struct Tracked {
    router: String,
    conditions: Vec<Wording>,
    failing: Mutex<Vec<bool>>,
    commands: UnboundedSender<Command>,
}

/// What a failing condition costs, and what people are told of it.
struct Wording {
    /// The condition by itself.
    subject: String,
    weight: Option<i16>,
    words: String,
}

impl Wording {
    fn new(subject: String, weight: Option<i16>) -> Self {
        let words = match weight {
            Some(weight) => format!("{subject} ({weight})"),
            None => format!("{subject} (stands back)"),
        };
        Self {
            subject,
            weight,
            words,
        }
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
        Self::new(words, track.weight)
    }
}

/// One of them.
#[derive(Clone)]
struct Condition {
    of: Arc<Tracked>,
    index: usize,
}

impl Condition {
    /// Tell the driver when that is new.
    fn set_failing(&self, failing: bool) {
        let mut all = self.of.failing();
        if std::mem::replace(&mut all[self.index], failing) != failing {
            self.of.tell(&all);
        }
    }

    fn fails(&self) -> bool {
        self.of.failing()[self.index]
    }
}

impl Tracked {
    fn failing(&self) -> MutexGuard<'_, Vec<bool>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, failing: &[bool]) {
        let all = self.conditions.iter().zip(failing);
        let failing: Vec<&Wording> = all
            .filter_map(|(condition, failing)| failing.then_some(condition))
            .collect();
        let conditions = Conditions {
            fitness: Fitness::of(failing.iter().map(|condition| condition.weight)),
            words: failing.iter().map(|condition| condition.words.clone()).collect(),
        };
        // A driver that has ended needs no telling.
        let _ = self
            .commands
            .send(Command::Conditions(self.router.clone(), conditions));
    }

    /// Whether it was known to fail, whatever it costs.
    fn knows(&self, condition: &Wording) -> bool {
        let failing = self.failing();
        let mut all = self.conditions.iter().zip(&*failing);
        all.any(|(known, failing)| *failing && known.subject == condition.subject)
    }
}

impl Trackers {
    /// Watch every condition of every virtual router of the document. Those of
    /// routers that are not `fresh` are watched as before. What is known to fail
    /// goes on failing until it is seen not to.
    pub fn watch(&mut self, watched: &Watched<'_>, fresh: impl Fn(&str) -> bool) {
        let former = std::mem::take(&mut self.0);
        for settings in &watched.config.virtual_routers {
            let mut of_it = former.iter().filter(|tracker| tracker.of.router == settings.name);
            let known = of_it.next().map(|tracker| tracker.of.clone());
            if known.is_none() || fresh(&settings.name) {
                self.0.push(Tracker::start(watched, settings, known.as_deref()));
            }
        }
        let is_kept = |tracker: &Tracker| {
            let mut routers = watched.config.virtual_routers.iter();
            let is_there = routers.any(|settings| settings.name == tracker.of.router);
            is_there && !fresh(&tracker.of.router)
        };
        self.0.extend(former.into_iter().filter(is_kept));
    }
}

impl Tracker {
    fn start(watched: &Watched<'_>, settings: &VirtualRouter, known: Option<&Tracked>) -> Self {
        let Watched { config, node, .. } = watched;
        let interface = settings.interface.as_ref().unwrap_or(&node.interface);
        let tracked = settings.track.iter().map(|track| Wording::of(config, track));
        let words = format!("interface {interface} was down, and not all pools are probed again");
        let conditions: Vec<_> = tracked.chain([Wording::new(words, None)]).collect();
        let fails = |condition| known.is_some_and(|known| known.knows(condition));
        let of = Arc::new(Tracked {
            router: settings.name.clone(),
            failing: Mutex::new(conditions.iter().map(fails).collect()),
            conditions,
            commands: watched.commands.clone(),
        });
        if known.is_some() {
            // Words and weights may be others.
            of.tell(&of.failing());
        }
        let condition = |index| Condition {
            of: of.clone(),
            index,
        };
        let (mut tasks, mut subjects) = (JoinSet::new(), Vec::new());
        for (index, track) in settings.track.iter().enumerate() {
            let condition = condition(index);
            match &track.subject {
                TrackSubject::Pool(id) => {
                    tasks.spawn(watch_pool(condition, watched.pools[id.0].clone()));
                }
                TrackSubject::Interface(name) => {
                    tasks.spawn(watch_interface(condition, name.clone()));
                }
                TrackSubject::File(path) => {
                    tasks.spawn(watch_file(condition, path.clone()));
                }
                TrackSubject::Check { check, port } => {
                    let (subject, told) = watch::channel(Arc::new(Subject {
                        check: watched.probing.check(*check).clone(),
                        endpoint: own_endpoint(node, *port),
                    }));
                    let belief = match condition.fails() {
                        true => Belief::Down,
                        false => Belief::Unknown,
                    };
                    tasks.spawn(follow(told, belief, condition));
                    subjects.push(subject);
                }
            }
        }
        let last = condition(settings.track.len());
        tasks.spawn(watch_return(last, interface.clone(), watched.parts.clone()));
        Self {
            of,
            _subjects: subjects,
            _tasks: tasks,
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
async fn watch_return(condition: Condition, name: String, parts: watch::Receiver<Parts>) {
    let mut interface = match Interface::watch(&name) {
        Ok(interface) => interface,
        Err(error) => {
            tracing::error!(interface = name, %error, "cannot be watched");
            return;
        }
    };
    loop {
        // It may have been so before another document.
        if !condition.fails() {
            interface.lost().await;
        }
        let is_probed = |pool: &Arc<Supervised>| pool.is_probed();
        condition.set_failing(parts.borrow().pools.iter().any(is_probed));
        while !interface.carries().await {
            interface.changed().await;
        }
        let back = Instant::now();
        let pools = parts.borrow().pools.clone();
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
        let (netlink, name) = (self.netlink.clone(), self.name.to_string());
        // Whoever asks may be ended meanwhile, and netlink complains of an answer
        // that nobody wants any more.
        let link = tokio::spawn(async move { netlink.link(&name).await });
        let link = link.await.ok().and_then(Result::ok).flatten();
        link.is_some_and(|link| link.state.carrier)
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
    fn probed(&self, _: &Loaded, _: &Probe) {}

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
