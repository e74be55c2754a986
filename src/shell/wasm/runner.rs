//! The one thread on which plugins run.
//!
//! Probes are asked for by the runtime that serves signals and the admin socket,
//! and, for what a virtual router tracks, by the thread of the virtual routers.
//! A guest computes for up to a tick before it lets go, and making an instance
//! takes its time too: neither may hold up those threads, so none of it happens
//! there.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A thread with a runtime; it ends when this is dropped.
pub struct Runner {
    runtime: Handle,
    _end: oneshot::Sender<()>,
}

/// A task over there; dropping it ends that.
struct Task<T>(JoinHandle<T>);

impl Runner {
    /// Start the thread.
    ///
    /// # Errors
    /// When the kernel has no thread for us.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("plugins".into()).spawn(move || {
            // An error is the other end's drop, which is what it waits for.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self {
            runtime: handle,
            _end: end,
        })
    }

    /// Have `work` done over there. It is given up when the caller gives up.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut task = Task(self.runtime.spawn(work));
        match (&mut task.0).await {
            Ok(done) => done,
            // The runtime outlives whoever has this runner, and only a drop aborts.
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

/// What all of it runs on. Timers, sockets and new probes, which other threads
/// bring, are looked at when nobody may compute for a moment: the lanes see to
/// it that this is often.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread() {
        let runner = Runner::start().unwrap();
        let there = runner.run(async { thread::current().id() }).await;
        assert_ne!(there, thread::current().id());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_given_up() {
        let runner = Runner::start().unwrap();
        let (held, seen) = oneshot::channel::<()>();
        let (begun, began) = oneshot::channel();
        let work = runner.run(async move {
            let _held = held;
            let _ = begun.send(());
            std::future::pending::<()>().await;
        });
        tokio::select! {
            () = work => unreachable!("it waits for ever"),
            begun = began => begun.unwrap(),
        }
        // The future is gone, and with it what it held.
        assert!(seen.await.is_err());
    }

    #[tokio::test]
    async fn runner_may_be_dropped_on_its_own_thread() {
        let runner = Arc::new(Runner::start().unwrap());
        let (own, (go, gone)) = (runner.clone(), oneshot::channel::<()>());
        let (said, heard) = oneshot::channel();
        runner.runtime.spawn(async move {
            let _ = gone.await;
            drop(own);
            let _ = said.send(());
        });
        drop(runner);
        go.send(()).unwrap();
        heard.await.unwrap();
    }
}
