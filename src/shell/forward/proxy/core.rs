//! A core: one thread, one runtime, its own sockets and connections.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::acceptor::Acceptor;
use super::crew::{Crew, Member};
use super::limits::Budget;
use super::loss::Loss;
use super::{Listener, leash, moment};

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
    whole: Arc<Budget>,
    sockets: Vec<(Arc<Listener>, TcpListener)>,
}

impl Core {
    /// A core without sockets; `whole` bounds the process.
    pub fn new(whole: Arc<Budget>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self {
            runtime: Own(Some(runtime)),
            whole,
            sockets: Vec::new(),
        })
    }

    /// The core as the others see it.
    pub fn member(&self) -> Member {
        Member::new(self.runtime.get().handle().clone())
    }

    /// Add a listening, non-blocking socket.
    pub fn listen(&mut self, listener: Arc<Listener>, socket: TcpListener) {
        self.sockets.push((listener, socket));
    }

    /// Start the thread of the core that is `crew`'s own.
    pub fn start(
        self,
        crew: Crew,
        phase: watch::Receiver<Phase>,
        losses: watch::Receiver<Loss>,
    ) -> io::Result<JoinHandle<()>> {
        let Self {
            runtime,
            whole,
            sockets,
        } = self;
        std::thread::Builder::new()
            .name(format!("core-{}", crew.own()))
            .spawn(move || {
                runtime
                    .get()
                    .block_on(run(sockets, whole, Arc::new(crew), phase, losses))
            })
    }
}

async fn run(
    sockets: Vec<(Arc<Listener>, TcpListener)>,
    whole: Arc<Budget>,
    crew: Arc<Crew>,
    mut phase: watch::Receiver<Phase>,
    losses: watch::Receiver<Loss>,
) {
    leash::watch_for(losses.borrow().gone.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(moment::tick());
    tasks.spawn(losing(losses));
    for (listener, socket) in sockets {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => {
                tasks.spawn(resetting(listener.clone()));
                let acceptor = Acceptor {
                    listener,
                    whole: whole.clone(),
                    crew: crew.clone(),
                };
                tasks.spawn(acceptor.run(socket, phase.clone()));
            }
            Err(error) => tracing::error!(listener = listener.name, %error, "cannot watch a socket"),
        }
    }
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

/// Reset connections whenever a new view of the listener's pool wants it.
async fn resetting(listener: Arc<Listener>) {
    let mut views = listener.pool.watch();
    while views.changed().await.is_ok() {
        views.borrow_and_update();
        leash::pull_down(&listener.pool);
    }
}
