//! A core: one thread, one runtime, its own sockets and connections.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::crew::Member;
use super::loss::Loss;
use super::{leash, moment};

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bound; connections wait in the kernel until the first probes are done.
    Waiting,
    /// Accepting.
    Running,
    /// Not accepting; connections finish.
    Draining,
    /// Connections are reset, the core ends.
    Ending,
}

/// A runtime that may be dropped anywhere, as by a start that fails; a bare one
/// panics in asynchronous code, since it waits for its threads, of which this
/// kind has none.
struct Own(Option<Runtime>);

impl Own {
    fn get(&self) -> &Runtime {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A core before it starts.
pub struct Core {
    runtime: Own,
}

/// What all cores are told.
#[derive(Clone)]
pub struct Told {
    /// Where the process is in its life.
    pub phase: watch::Receiver<Phase>,
    /// Addresses that leave this machine.
    pub losses: watch::Receiver<Loss>,
    /// There are connections to reset.
    pub resets: watch::Receiver<()>,
}

impl Core {
    /// A core without sockets.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self {
            runtime: Own(Some(runtime)),
        })
    }

    /// The core as the others see it.
    pub fn member(&self) -> Member {
        Member::new(self.runtime.get().handle().clone())
    }

    /// Start its thread.
    pub fn start(self, number: usize, told: Told) -> io::Result<JoinHandle<()>> {
        let runtime = self.runtime;
        std::thread::Builder::new()
            .name(format!("core-{number}"))
            .spawn(move || runtime.get().block_on(run(told)))
    }
}

async fn run(told: Told) {
    let Told {
        mut phase,
        losses,
        resets,
    } = told;
    leash::watch_for(losses.borrow().gone.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(moment::tick());
    tasks.spawn(losing(losses));
    tasks.spawn(resetting(resets));
    // A sender that is gone means the same.
    let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
    leash::pull_all();
    while !leash::is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Reset connections whenever addresses are about to leave.
async fn losing(mut losses: watch::Receiver<Loss>) {
    while losses.changed().await.is_ok() {
        let loss = losses.borrow_and_update().clone();
        leash::pull_lost().await;
        loss.done();
    }
}

/// Reset connections whenever some of them are ordered to end.
async fn resetting(mut resets: watch::Receiver<()>) {
    while resets.changed().await.is_ok() {
        resets.borrow_and_update();
        leash::obey();
    }
}
