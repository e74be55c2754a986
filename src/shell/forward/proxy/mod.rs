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
//!
//! A connection keeps the listener and the endpoint that it began with, whatever
//! the document says later; new ones take what is published when they come.

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
mod resets;
mod sockets;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use crew::Cores;
pub use leash::Order;
pub use limits::{Budget, raise_open_files};
pub use loss::Losses;
pub use pool::{Endpoint, Pool, PoolSettings, View};
pub use resets::Resets;

use crate::pure::addr::ListenAddr;
use crate::pure::config::TcpSettings;

use self::acceptor::Acceptor;
use self::core::{Core, Phase, Told};
use self::crew::Crew;
use self::sockets::listen;

/// One listener as the document has it, shared by the cores. A change makes
/// another one, which shares `budget` and `order`.
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// Where its connections go.
    pub pool: Arc<Pool>,
    /// Open connections, bounded.
    pub budget: Arc<Budget>,
    /// What becomes of its connections.
    pub order: Arc<Order>,
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
    whole: Arc<Budget>,
    cores: Cores,
    crews: Vec<Arc<Crew>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    doors: Vec<Door>,
}

/// A bound address, and the listener whose connections come in there. Dropping
/// it closes its sockets, once what waits there is taken.
struct Door {
    bind: ListenAddr,
    address: SocketAddr,
    listener: watch::Sender<Arc<Listener>>,
}

/// A listener and the addresses to bind it to.
pub type Bound = (Arc<Listener>, Vec<ListenAddr>);

/// The doors that there are to be, with new sockets bound: dropping it changes
/// nothing.
pub struct Plan(Vec<(Arc<Listener>, Way)>);

/// How to get a door.
enum Way {
    /// It is there, at this index.
    Kept(usize),
    /// By these sockets, one for each core.
    New(ListenAddr, SocketAddr, Vec<TcpListener>),
}

impl Proxy {
    /// Start the cores and bind every address on each; connections wait until
    /// [`Proxy::accept`]. `whole` bounds the process.
    ///
    /// # Errors
    /// The message names the listener, the address and the kernel's reason.
    pub fn start(
        listeners: &[Bound],
        whole: &Arc<Budget>,
        threads: usize,
        resets: &Resets,
    ) -> io::Result<Self> {
        let (phase, watched) = watch::channel(Phase::Waiting);
        let losses = Losses::default();
        let cores: Vec<Core> = (0..threads).map(|_| Core::new()).collect::<io::Result<_>>()?;
        let members: Cores = cores.iter().map(Core::member).collect();
        let mut proxy = Self {
            phase,
            whole: whole.clone(),
            crews: (0..threads)
                .map(|own| Arc::new(Crew::new(members.clone(), own)))
                .collect(),
            cores: members,
            threads: Vec::new(),
            doors: Vec::new(),
            losses,
        };
        let plan = proxy.plan(listeners)?;
        for (number, core) in cores.into_iter().enumerate() {
            let told = Told {
                phase: watched.clone(),
                losses: proxy.losses.watch(),
                resets: resets.watch(),
            };
            proxy.threads.push(core.start(number, told)?);
        }
        proxy.carry_out(plan);
        Ok(proxy)
    }

    /// Bind what is not bound yet. Sockets that are there already are kept, for
    /// another listener too; nothing is bound when one of the addresses cannot be.
    ///
    /// # Errors
    /// The message names the listener, the address and the kernel's reason.
    pub fn plan(&self, listeners: &[Bound]) -> io::Result<Plan> {
        let mut left: Vec<Option<&Door>> = self.doors.iter().map(Some).collect();
        let mut plan = Vec::new();
        for (listener, binds) in listeners {
            for &bind in binds {
                let of_it = |door: &Door| door.listener.borrow().name == listener.name;
                let is_it = |door: &Option<&Door>| door.is_some_and(|door| door.bind == bind);
                let own = left
                    .iter()
                    .position(|door| is_it(door) && door.is_some_and(of_it));
                // Port 0 is another port each time.
                let any = || left.iter().position(|door| is_it(door) && bind.port != 0);
                let way = match own.or_else(any) {
                    Some(index) => {
                        left[index] = None;
                        Way::Kept(index)
                    }
                    None => self.open(listener, bind)?,
                };
                plan.push((listener.clone(), way));
            }
        }
        Ok(Plan(plan))
    }

    fn open(&self, listener: &Listener, bind: ListenAddr) -> io::Result<Way> {
        let beside_ours = self.doors.iter().any(|door| overlap(door.bind, bind));
        let opened = listen(bind, &listener.tcp, self.cores.len(), beside_ours).and_then(|sockets| {
            let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
            Ok((first.local_addr()?, sockets))
        });
        let (address, sockets) = opened.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("listener {}: cannot bind {bind}: {error}", listener.name),
            )
        })?;
        if bind.ip.is_none() && address.is_ipv4() {
            tracing::warn!("there is no IPv6 here: listeners on `*` take IPv4 alone");
        }
        Ok(Way::New(bind, address, sockets))
    }

    /// Have the doors of a plan that was made since the last one, and no others.
    pub fn carry_out(&mut self, Plan(plan): Plan) {
        let mut former: Vec<Option<Door>> = std::mem::take(&mut self.doors).into_iter().map(Some).collect();
        for (listener, way) in plan {
            let door = match way {
                Way::Kept(index) => former[index].take().inspect(|door| {
                    door.listener.send_if_modified(|now| {
                        let is_new = !Arc::ptr_eq(now, &listener);
                        *now = listener.clone();
                        is_new
                    });
                }),
                Way::New(bind, address, sockets) => Some(self.admit(listener, bind, address, sockets)),
            };
            self.doors.extend(door);
        }
    }

    fn admit(
        &self,
        listener: Arc<Listener>,
        bind: ListenAddr,
        address: SocketAddr,
        sockets: Vec<TcpListener>,
    ) -> Door {
        tracing::info!(listener = listener.name, %address, "listening");
        let listener = watch::Sender::new(listener);
        for (crew, socket) in self.crews.iter().zip(sockets) {
            let acceptor = Acceptor {
                listener: listener.subscribe(),
                whole: self.whole.clone(),
                crew: crew.clone(),
            };
            let phase = self.phase.subscribe();
            crew.own().spawn(async move {
                // Only the core that watches a socket may use it.
                match tokio::net::TcpListener::from_std(socket) {
                    Ok(socket) => acceptor.run(socket, phase).await,
                    Err(error) => tracing::error!(%address, %error, "cannot watch a socket"),
                }
            });
        }
        Door {
            bind,
            address,
            listener,
        }
    }

    /// The addresses that are bound, with their listeners' names.
    pub fn bound(&self) -> Vec<(String, SocketAddr)> {
        let doors = self.doors.iter();
        doors
            .map(|door| (door.listener.borrow().name.clone(), door.address))
            .collect()
    }

    /// To tell the cores of addresses that leave this machine.
    pub fn losses(&self) -> Losses {
        self.losses.clone()
    }

    /// The cores.
    pub fn cores(&self) -> Cores {
        self.cores.clone()
    }

    /// Start accepting.
    pub fn accept(&self) {
        self.phase.send_replace(Phase::Running);
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> u32 {
        self.whole.used()
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

/// Whether sockets at both would have a port of some address in common.
fn overlap(one: ListenAddr, other: ListenAddr) -> bool {
    let same_address = one.ip.is_none() || other.ip.is_none() || one.ip == other.ip;
    one.port == other.port && one.port != 0 && same_address
}
