//! The one composition: from a checked document to running rooms.
//!
//! ```text
//!  document ─ App::start ─┬─ wasm host ── one health task per endpoint ─┐ findings
//!                         │                                             ▼
//!                         │                          Supervised: beliefs of one pool
//!                         │                                             │ View, in one step
//!                         ├─ proxy cores ◄── Pool::publish ◄────────────┤
//!                         │       ▲ losses                              ▼
//!                         └─ election ◄──────────────────── tracked conditions
//!  another document ─ reload ── to each of these what differs
//! ```

pub mod election;
mod fetching;
mod log_rate;
mod probing;
pub mod reload;
pub mod status;
mod supervised;
mod vitals;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::pure::config::{Config, Node, PoolId};
use crate::shell::admin::{Answer, Question, Refusal};
use crate::shell::capabilities::{Capability, first_free_port, how_to_grant};
use crate::shell::forward::proxy::{Bound, Budget, Listener, Proxy, Resets, raise_open_files};
use crate::shell::plugin_store::Available;

use self::election::tracking::{Trackers, Watched};
use self::election::{Command, Election, Turn};
pub use self::fetching::fetch;
pub use self::probing::{Loaded, Probing};
use self::status::{Parts, Phase, Sources};
use self::supervised::Supervised;
use self::vitals::Vitals;

/// How often a full table is spoken of.
const SPEAK_OF_REFUSALS: Duration = Duration::from_secs(1);

/// How often a drain looks whether it is done.
const LOOK_WHETHER_DRAINED: Duration = Duration::from_millis(50);

/// How long an address that is lost waits for its connections to be reset.
const RESET_BEFORE_LOSS: Duration = Duration::from_millis(50);

/// The running daemon. Its tasks belong to the runtime that started it and
/// end when it is dropped; [`App::stop`] ends its cores.
pub struct App {
    config: Config,
    node: Option<String>,
    /// Bounds the process.
    whole: Arc<Budget>,
    /// Most connections that the limit of open files allows.
    fits: u32,
    resets: Resets,
    proxy: Proxy,
    listeners: Vec<Bound>,
    election: Option<Election>,
    trackers: Trackers,
    pools: Vec<Arc<Supervised>>,
    probing: Probing,
    tasks: JoinSet<()>,
    started: Instant,
    phase: watch::Sender<Phase>,
    parts: watch::Sender<Parts>,
    sources: Sources,
}

impl App {
    /// Load plugins, bind listeners, start probing, open the sockets of virtual
    /// routers. Connections wait in the kernel, and elections go on without
    /// this node, until [`App::accept`]. `node` is the one of the document that
    /// this machine is, `None` for a document without nodes.
    ///
    /// # Errors
    /// One sentence that names what cannot be had: a plugin, a file, an address.
    pub fn start(config: &Config, node: Option<&Node>, available: &Available) -> Result<Self, String> {
        let fits = raise_open_files();
        let whole = Arc::new(Budget::new(Some(most(config, fits))));
        let resets = Resets::default();
        let pool = |settings| Arc::new(Supervised::new(settings, resets.clone()));
        let pools: Vec<_> = config.pools.iter().map(pool).collect();
        let probing = Probing::new(config, available)?;
        let listeners: Vec<Bound> = config
            .listeners
            .iter()
            .map(|settings| (Arc::new(listener(settings, &pools, None)), settings.bind.clone()))
            .collect();
        let proxy = Proxy::start(&listeners, &whole, threads(config), &resets)
            .map_err(|error| not_bound(config, &error))?;
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        for (settings, pool) in config.pools.iter().zip(&pools) {
            for (endpoint, member) in settings.endpoints.iter().zip(pool.members()) {
                probing.attend(pool, settings, endpoint, &member, &mut tasks);
            }
        }
        let (phase, watched) = watch::channel(Phase::Settling);
        let (parts, now) = watch::channel(Parts {
            listeners: Vec::new(),
            pools: pools.clone(),
            election: None,
        });
        tasks.spawn(speak_of_refusals(whole.clone(), now.clone()));
        let mut app = Self {
            config: config.clone(),
            node: node.map(|node| node.name.clone()),
            whole,
            fits,
            resets,
            proxy,
            listeners,
            election: None,
            trackers: Trackers::default(),
            pools,
            probing,
            tasks,
            started,
            phase,
            parts,
            sources: Sources {
                node: node.map(|node| node.name.clone()),
                started: SystemTime::now(),
                phase: watched,
                parts: now,
            },
        };
        if let Some(node) = node.filter(|_| !config.virtual_routers.is_empty()) {
            app.election = Some(app.elect(config, node)?);
            app.track(config, node, |_| true);
        }
        app.show();
        Ok(app)
    }

    /// Begin the elections of a document.
    fn elect(&self, config: &Config, node: &Node) -> Result<Election, String> {
        let losses = self.proxy.losses();
        Election::start(
            config,
            node,
            Arc::new(move |turn, addresses| match turn {
                Turn::Come => losses.regain(addresses),
                Turn::Go => losses.reset(addresses, RESET_BEFORE_LOSS),
            }),
        )
    }

    /// Watch the tracked conditions of a document's virtual routers; anew of
    /// those whose name is `fresh`.
    fn track(&mut self, config: &Config, node: &Node, fresh: impl Fn(&str) -> bool) {
        let Some(election) = &self.election else { return };
        let watched = Watched {
            config,
            node,
            pools: &self.pools,
            probing: &self.probing,
            commands: &election.commands(),
            parts: &self.sources.parts,
        };
        self.trackers.watch(&watched, fresh);
    }

    /// Show operators what the daemon is made of now.
    fn show(&self) {
        let bound = self.proxy.bound();
        let addresses = |name: &str| {
            let of_it = bound.iter().filter(|(listener, _)| listener == name);
            of_it.map(|(_, address)| address.to_string()).collect()
        };
        let listeners = self.listeners.iter();
        self.parts.send_replace(Parts {
            listeners: listeners
                .map(|(listener, _)| (listener.clone(), addresses(&listener.name)))
                .collect(),
            pools: self.pools.clone(),
            election: self.election.as_ref().map(Election::commands),
        });
    }

    /// The bound addresses with their listeners' names.
    pub fn bound(&self) -> Vec<(String, SocketAddr)> {
        self.proxy.bound()
    }

    /// The document in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Wait until each endpoint has been probed once, or has had the time for it.
    pub async fn settle(&self) {
        let settled = async {
            for pool in &self.pools {
                pool.probed_since(self.started).await;
            }
        };
        tokio::select! {
            () = settled => {}
            () = sleep_until(self.started + self.config.time_to_settle()) => {}
        }
    }

    /// Start accepting connections, and take part in elections.
    pub fn accept(&self) {
        self.proxy.accept();
        if let Some(election) = &self.election {
            election.take_part();
        }
        self.phase.send_replace(Phase::Serving);
        tracing::info!("ready");
    }

    /// Answers what is asked over the admin socket; whoever wants another
    /// document is sent to `reloads`, where [`App::reload`] can be called.
    pub fn answer(&self, reloads: UnboundedSender<Waiting>) -> Answer {
        let sources = self.sources.clone();
        Arc::new(move |question| {
            let (sources, reloads) = (sources.clone(), reloads.clone());
            Box::pin(async move { answer(&sources, &reloads, question).await })
        })
    }

    /// Reports to the service manager.
    pub fn vitals(&self) -> Vitals {
        Vitals {
            sources: self.sources.clone(),
            cores: self.proxy.cores(),
        }
    }

    /// Let another node have the virtual addresses. Connections to them are
    /// reset when they go, new ones are accepted until then. Once `hurry` is
    /// ready the addresses go without waiting for anybody.
    pub async fn hand_over(&mut self, hurry: impl Future<Output = ()>) {
        self.phase.send_replace(Phase::Ending);
        if let Some(election) = self.election.take() {
            election.stop(hurry).await;
        }
    }

    /// Accept no more; returns when no connection is left. Cancel it at will.
    pub async fn drain(&self) {
        tracing::info!(connections = self.proxy.open_connections(), "draining");
        self.proxy.drain();
        let mut look = interval(LOOK_WHETHER_DRAINED);
        // The cores take what waited in the kernel before they count as drained.
        look.tick().await;
        loop {
            look.tick().await;
            if self.proxy.open_connections() == 0 {
                return;
            }
        }
    }

    /// Reset what is still open and end the cores.
    pub fn stop(mut self) {
        let connections = self.proxy.open_connections();
        self.tasks.abort_all();
        self.proxy.stop();
        tracing::info!(reset = connections, "stopped");
    }
}

/// Somebody who waits for the outcome of a reload, JSON or why there is none.
pub type Waiting = oneshot::Sender<Result<String, Refusal>>;

async fn answer(
    sources: &Sources,
    reloads: &UnboundedSender<Waiting>,
    question: Question,
) -> Result<String, Refusal> {
    let wish = match question {
        Question::Status => None,
        Question::Yield(time) => Some(time),
        Question::TakeBack => Some(Duration::ZERO),
        Question::Reload => {
            let (waits, done) = oneshot::channel();
            // Who ends drops what would tell us.
            let _ = reloads.send(waits);
            return done
                .await
                .unwrap_or_else(|_| Err("the daemon is about to end".into()));
        }
    };
    if let Some(time) = wish {
        let election = sources.parts.borrow().election.clone();
        let election = election.ok_or("this daemon has no virtual routers")?;
        let (done, told) = oneshot::channel();
        // A driver that has ended drops what would tell us.
        let _ = election.send(Command::Yield(time, done));
        told.await.map_err(|_| "the virtual routers have ended")?;
    }
    serde_json::to_string(&sources.status().await).map_err(|error| error.to_string().as_str().into())
}

/// Why a listener cannot be had, and how it can.
fn not_bound(config: &Config, error: &io::Error) -> String {
    let free = first_free_port();
    let mut ports = config.listeners.iter().flat_map(|listener| &listener.bind);
    if error.kind() != io::ErrorKind::PermissionDenied || ports.all(|bind| bind.port >= free) {
        return error.to_string();
    }
    let way_out = how_to_grant(&[Capability::NetBindService]);
    format!("{error}; ports below {free} want the capability NET_BIND_SERVICE: {way_out}")
}

fn threads(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.daemon.threads.map_or_else(cores, usize::from)
}

/// Most connections of the process.
fn most(config: &Config, fits: u32) -> u32 {
    config
        .daemon
        .max_connections
        .map_or(fits, |wanted| wanted.min(fits))
}

/// A listener of a document; `former` is the same one of another document.
fn listener(
    settings: &crate::pure::config::Listener,
    pools: &[Arc<Supervised>],
    former: Option<&Listener>,
) -> Listener {
    let PoolId(pool) = settings.pool;
    let fresh = || Arc::new(Budget::new(settings.max_connections));
    Listener {
        name: settings.name.clone(),
        pool: pools[pool].pool().clone(),
        budget: former.map_or_else(fresh, |former| former.budget.clone()),
        order: former.map_or_else(Arc::default, |former| former.order.clone()),
        idle_timeout: settings.idle_timeout,
        tcp: settings.tcp,
        log: settings.log,
    }
}

/// Once a second, what was turned away because something was full.
async fn speak_of_refusals(whole: Arc<Budget>, parts: watch::Receiver<Parts>) {
    let mut tick = interval(SPEAK_OF_REFUSALS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let refused = whole.take_refused();
        if refused > 0 {
            tracing::warn!(refused, max_connections = whole.most(), "the process is full");
        }
        let parts = parts.borrow();
        for (listener, _) in &parts.listeners {
            let refused = listener.budget.take_refused();
            if refused > 0 {
                tracing::warn!(
                    listener = listener.name,
                    refused,
                    max_connections = listener.budget.most(),
                    "the listener is full",
                );
            }
        }
        for pool in &parts.pools {
            let refused = pool.pool().take_refused();
            if refused > 0 {
                tracing::warn!(
                    pool = pool.pool().name,
                    refused,
                    "no endpoint could take the connection"
                );
            }
        }
    }
}
