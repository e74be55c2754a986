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
//! ```

pub mod election;
mod probing;
pub mod status;
mod supervised;
mod vitals;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::pure::config::{Config, Node, PoolId};
use crate::shell::admin::{Answer, Question};
use crate::shell::capabilities::{Capability, first_free_port, how_to_grant};
use crate::shell::forward::proxy::{Bound, Budget, Listener, Proxy, raise_open_files};

use self::election::{Command, Election, Turn};
pub use self::probing::{Loaded, Probing};
use self::status::{Phase, Sources};
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
    proxy: Proxy,
    election: Option<Election>,
    pools: Vec<Arc<Supervised>>,
    tasks: JoinSet<()>,
    started: Instant,
    settled_by: Instant,
    phase: watch::Sender<Phase>,
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
    pub fn start(config: &Config, node: Option<&Node>) -> Result<Self, String> {
        let fits = raise_open_files();
        let most = config
            .daemon
            .max_connections
            .map_or(fits, |wanted| wanted.min(fits));
        let whole = Arc::new(Budget::new(Some(most)));
        let pools: Vec<_> = config
            .pools
            .iter()
            .map(|pool| Arc::new(Supervised::new(pool)))
            .collect();
        let probing = Probing::new(config)?;
        let proxy = Proxy::start(listeners(config, &pools), &whole, threads(config))
            .map_err(|error| not_bound(config, &error))?;
        for (listener, address) in proxy.bound() {
            tracing::info!(listener, %address, "listening");
        }
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        probing.start(config, &pools, &mut tasks);
        let election = match node {
            Some(node) if !config.virtual_routers.is_empty() => {
                let losses = proxy.losses();
                let election = Election::start(
                    config,
                    node,
                    Arc::new(move |turn, addresses| match turn {
                        Turn::Come => losses.regain(addresses),
                        Turn::Go => losses.reset(addresses, RESET_BEFORE_LOSS),
                    }),
                )?;
                election::tracking::start(config, node, &pools, &probing, &election.commands(), &mut tasks);
                Some(election)
            }
            Some(_) | None => None,
        };
        tasks.spawn(speak_of_refusals(
            whole,
            proxy.listeners().to_vec(),
            pools.clone(),
        ));
        let (phase, watched) = watch::channel(Phase::Settling);
        let sources = Sources {
            node: node.map(|node| node.name.clone()),
            started: SystemTime::now(),
            phase: watched,
            listeners: listeners_with_bounds(&proxy),
            pools: pools.clone(),
            election: election.as_ref().map(Election::commands),
        };
        Ok(Self {
            proxy,
            election,
            pools,
            tasks,
            started,
            settled_by: started + config.time_to_settle(),
            phase,
            sources,
        })
    }

    /// The bound addresses with their listeners' names.
    pub fn bound(&self) -> &[(String, SocketAddr)] {
        self.proxy.bound()
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
            () = sleep_until(self.settled_by) => {}
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

    /// Answers what is asked over the admin socket.
    pub fn answer(&self) -> Answer {
        let sources = self.sources.clone();
        Arc::new(move |question| {
            let sources = sources.clone();
            Box::pin(async move { answer(&sources, question).await })
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
        tracing::info!(connections = self.proxy.open(), "draining");
        self.proxy.drain();
        let mut look = interval(LOOK_WHETHER_DRAINED);
        // The cores take what waited in the kernel before they count as drained.
        look.tick().await;
        loop {
            look.tick().await;
            if self.proxy.open() == 0 {
                return;
            }
        }
    }

    /// Reset what is still open and end the cores.
    pub fn stop(mut self) {
        let connections = self.proxy.open();
        self.tasks.abort_all();
        self.proxy.stop();
        tracing::info!(reset = connections, "stopped");
    }
}

async fn answer(sources: &Sources, question: Question) -> Result<String, String> {
    let wish = match question {
        Question::Status => None,
        Question::Yield(time) => Some(time),
        Question::TakeBack => Some(Duration::ZERO),
    };
    if let Some(time) = wish {
        let election = sources.election.as_ref();
        let election = election.ok_or("this daemon has no virtual routers")?;
        let (done, told) = oneshot::channel();
        // A driver that has ended drops what would tell us.
        let _ = election.send(Command::Yield(time, done));
        told.await.map_err(|_| "the virtual routers have ended")?;
    }
    serde_json::to_string(&sources.status().await).map_err(|error| error.to_string())
}

fn listeners_with_bounds(proxy: &Proxy) -> Vec<(Arc<Listener>, Vec<String>)> {
    let bounds = |name: &str| {
        let of_it = proxy.bound().iter().filter(|(listener, _)| listener == name);
        of_it.map(|(_, address)| address.to_string()).collect()
    };
    let listeners = proxy.listeners().iter();
    listeners
        .map(|listener| (listener.clone(), bounds(&listener.name)))
        .collect()
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

fn listeners(config: &Config, pools: &[Arc<Supervised>]) -> Vec<Bound> {
    let listener = |listener: &crate::pure::config::Listener| {
        let PoolId(pool) = listener.pool;
        let shared = Listener {
            name: listener.name.clone(),
            pool: pools[pool].pool().clone(),
            budget: Budget::new(listener.max_connections),
            idle_timeout: listener.idle_timeout,
            tcp: listener.tcp,
            log: listener.log,
        };
        (Arc::new(shared), listener.bind.clone())
    };
    config.listeners.iter().map(listener).collect()
}

/// Once a second, what was turned away because something was full.
async fn speak_of_refusals(whole: Arc<Budget>, listeners: Vec<Arc<Listener>>, pools: Vec<Arc<Supervised>>) {
    let mut tick = interval(SPEAK_OF_REFUSALS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let refused = whole.take_refused();
        if refused > 0 {
            tracing::warn!(refused, max_connections = whole.most(), "the process is full");
        }
        for listener in &listeners {
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
        for pool in &pools {
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
