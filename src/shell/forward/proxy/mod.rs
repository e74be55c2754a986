//! User space forwarding of TCP.
//!
//! ```text
//!              ┌ core thread 0 ─ acceptor per bind ─┬─ connection task ─ relay
//!  app ─ start ┤                                    └─ connection task ─ relay
//!              └ core thread 1 ─ …                    (one SO_REUSEPORT socket per bind and core)
//!
//!  Pool (shared): snapshot of readiness in, counters of connections out
//! ```
//!
//! A connection stays on its core: the one that accepted it, or one that had
//! fewer at that moment. The cores share nothing but the pools' published views
//! and a few counters.

mod acceptor;
mod connection;
mod core;
mod crew;
mod leash;
mod limits;
mod loss;
mod moment;
mod pipe;
mod pool;
mod record;
mod relay;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use crew::Cores;
pub use limits::{Budget, raise_open_files};
pub use loss::Losses;
pub use pool::{Endpoint, Pool, PoolSettings, View};

use crate::pure::addr::ListenAddr;
use crate::pure::config::TcpSettings;

use self::core::{Core, Phase};
use self::crew::Crew;

/// One listener, shared by the cores.
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// Where its connections go.
    pub pool: Arc<Pool>,
    /// Open connections, bounded.
    pub budget: Budget,
    /// Silence in both directions after which a connection is closed.
    pub idle_timeout: Option<Duration>,
    /// Client side keepalive and user time-out.
    pub tcp: TcpSettings,
    /// Write a log line when a connection ends.
    pub log: bool,
}

/// The running cores.
pub struct Proxy {
    phase: watch::Sender<Phase>,
    losses: Losses,
    cores: Cores,
    threads: Vec<std::thread::JoinHandle<()>>,
    listeners: Vec<Arc<Listener>>,
    bound: Vec<(String, SocketAddr)>,
}

/// A listener and the addresses to bind it to.
pub type Bound = (Arc<Listener>, Vec<ListenAddr>);

impl Proxy {
    /// Bind every address on every core; connections wait until
    /// [`Proxy::accept`]. Nothing is bound when one of the addresses cannot be.
    ///
    /// # Errors
    /// The message names the listener, the address and the kernel's reason.
    pub fn start(listeners: Vec<Bound>, whole: &Arc<Budget>, threads: usize) -> io::Result<Self> {
        let mut bound = Vec::new();
        let mut narrowed = false;
        let mut cores: Vec<Core> = (0..threads)
            .map(|_| Core::new(whole.clone()))
            .collect::<io::Result<_>>()?;
        for (listener, binds) in &listeners {
            for &bind in binds {
                let sockets = sockets::listen(bind, &listener.tcp, threads).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("listener {}: cannot bind {bind}: {error}", listener.name),
                    )
                })?;
                if let Some(first) = sockets.first() {
                    let address = first.local_addr()?;
                    narrowed |= bind.ip.is_none() && address.is_ipv4();
                    bound.push((listener.name.clone(), address));
                }
                for (core, socket) in cores.iter_mut().zip(sockets) {
                    core.listen(listener.clone(), socket);
                }
            }
        }
        if narrowed {
            tracing::warn!("there is no IPv6 here: listeners on `*` take IPv4 alone");
        }
        let (phase, watched) = watch::channel(Phase::Waiting);
        let losses = Losses::default();
        let members: Cores = cores.iter().map(Core::member).collect();
        let threads = cores
            .into_iter()
            .enumerate()
            .map(|(index, core)| {
                core.start(Crew::new(members.clone(), index), watched.clone(), losses.watch())
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            phase,
            losses,
            cores: members,
            threads,
            listeners: listeners.into_iter().map(|(listener, _)| listener).collect(),
            bound,
        })
    }

    /// The addresses that are bound, with their listeners' names.
    pub fn bound(&self) -> &[(String, SocketAddr)] {
        &self.bound
    }

    /// To tell the cores of addresses that leave this machine.
    pub fn losses(&self) -> Losses {
        self.losses.clone()
    }

    /// The cores.
    pub fn cores(&self) -> Cores {
        self.cores.clone()
    }

    /// The listeners.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// Start accepting.
    pub fn accept(&self) {
        self.phase.send_replace(Phase::Running);
    }

    /// Connections that are open now.
    pub fn open(&self) -> u32 {
        self.listeners.iter().map(|listener| listener.budget.used()).sum()
    }

    /// Take the connections that already wait and accept no more.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Reset what is still open and wait for the cores to end.
    pub fn stop(self) {
        self.phase.send_replace(Phase::Ending);
        for thread in self.threads {
            // A core that panicked has said so already.
            let _ = thread.join();
        }
    }
}
