//! Elections: the virtual routers of this node, on a thread of their own.
//!
//! ```text
//!  app ── Command ──► driver ─┬─ Station: core, sockets, lease     ◄── raw sockets, ARP/NA
//!   ▲                         ├─ Station: …
//!   └── losses ◄──────────────┴─ Monitor: interfaces and addresses ◄── netlink
//!  tracking: pools, files, interfaces, checks ── Conditions ──► driver
//! ```
//!
//! The thread shares nothing with the cores that carry traffic, and comes before
//! everything ordinary on them where that is allowed, so that no amount of
//! traffic delays an advertisement.

mod announcing;
mod conditions;
mod driver;
mod lease;
mod sentences;
mod station;
pub mod status;
pub mod tracking;
mod virtual_mac;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use thread_priority::{
    Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use self::conditions::Conditions;
use self::driver::Driver;
use self::status::RouterStatus;
use crate::pure::config::{Config, Difference, Node};
use crate::shell::netlink::Netlink;

/// What happens to virtual addresses of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They are about to be added.
    Come,
    /// They are lost, and about to be removed.
    Go,
}

/// Called on the election's thread when this node has lost addresses, before
/// they are removed; it returns once their connections are reset. Called, too,
/// before addresses come, which ends that.
pub type OnTurn = Arc<dyn Fn(Turn, &[IpAddr]) + Send + Sync>;

/// What the driver is told.
pub enum Command {
    /// Take part from now on.
    Startup,
    /// The failing conditions of the router with this name.
    Conditions(String, Conditions),
    /// Run by another document; answered once that is so, or why it cannot be.
    Change(Box<Changed>, oneshot::Sender<Result<(), String>>),
    /// Hand all virtual routers over for so long, or rank as before when that
    /// is zero; answered once it is done.
    Yield(Duration, oneshot::Sender<()>),
    /// Show what is going on.
    Status(oneshot::Sender<Vec<RouterStatus>>),
    /// Hand over and end.
    Shutdown,
}

/// Another document.
pub struct Changed {
    config: Config,
    node: Node,
    difference: Difference,
}

/// The running elections. Dropping it without [`Election::stop`] leaves the
/// thread to the end of the process.
pub struct Election {
    commands: mpsc::UnboundedSender<Command>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Election {
    /// Sweep what a former life left, open the sockets, and wait for
    /// [`Election::take_part`].
    ///
    /// # Errors
    /// One sentence that names what cannot be had.
    pub fn start(config: &Config, node: &Node, on_turn: OnTurn) -> Result<Self, String> {
        let (commands, told) = mpsc::unbounded_channel();
        let (ready, started) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let (config, node) = (config.clone(), node.clone());
        let thread = std::thread::Builder::new()
            .name("vrrp".into())
            .spawn(move || {
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        // Whoever waits for it is there.
                        let _ = ready.send(Err(format!("cannot start a runtime: {error}")));
                        return;
                    }
                };
                runtime.block_on(async {
                    let driver = Driver::new(&config, &node, on_turn).await;
                    let _ = ready.send(driver.as_ref().map(|_| ()).map_err(Clone::clone));
                    if let Ok(driver) = driver {
                        // Threads that it has started are ordinary ones.
                        come_first();
                        driver.run(told).await;
                    }
                });
                let _ = end.send(());
            })
            .map_err(|error| format!("cannot start the thread of the virtual routers: {error}"))?;
        started
            .recv()
            .unwrap_or_else(|_| Err("the thread of the virtual routers has ended".into()))?;
        Ok(Self {
            commands,
            ended,
            thread,
        })
    }

    /// Take part in the elections from now on.
    pub fn take_part(&self) {
        self.tell(Command::Startup);
    }

    /// Run by another document from now on: all of its virtual routers, or none
    /// when that fails.
    ///
    /// # Errors
    /// One sentence that names what cannot be had.
    pub async fn change(&self, config: &Config, node: &Node, difference: &Difference) -> Result<(), String> {
        let changed = Box::new(Changed {
            config: config.clone(),
            node: node.clone(),
            difference: difference.clone(),
        });
        let (done, told) = oneshot::channel();
        // A driver that has ended drops what would tell us.
        let _ = self.commands.send(Command::Change(changed, done));
        told.await.map_err(|_| "the virtual routers have ended")?
    }

    /// Where tracked conditions and operators' wishes go.
    pub fn commands(&self) -> mpsc::UnboundedSender<Command> {
        self.commands.clone()
    }

    /// Hand over and end: returns when every address is somebody else's, or
    /// nobody wants it, or none is here any more since `hurry` was ready before.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) {
        self.tell(Command::Shutdown);
        // A thread that has panicked has ended too, and said why.
        tokio::select! {
            _ = &mut self.ended => {}
            () = hurry => {
                self.tell(Command::Shutdown);
                let _ = (&mut self.ended).await;
            }
        }
        let _ = self.thread.join();
    }

    fn tell(&self, command: Command) {
        // A driver that has ended needs no telling.
        let _ = self.commands.send(command);
    }
}

/// Remove the virtual addresses of a former life, and the interfaces made for
/// them; nothing of this life may be there.
///
/// # Errors
/// When the kernel does not answer, or keeps one.
pub async fn sweep() -> io::Result<()> {
    driver::sweep(&Netlink::connect()?).await
}

/// Let nothing ordinary come before this thread, where that is allowed
/// (`CAP_SYS_NICE`, or a limit `RTPRIO` above 0).
fn come_first() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    // The least of them: the kernel has its own threads above it.
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
        let why = match error {
            Error::OS(number) => io::Error::from_raw_os_error(number).to_string(),
            other => other.to_string(),
        };
        tracing::info!(
            why,
            "no real-time priority: busy cores may delay advertisements (the capability SYS_NICE allows it)"
        );
    }
}
