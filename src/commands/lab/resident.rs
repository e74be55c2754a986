//! A thread that lives in a host, with a runtime: what is spawned there opens
//! its sockets there.

use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::world::Host;

/// The thread. Dropping it ends it, and whatever runs there.
pub struct Resident {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Resident {
    /// Start it.
    ///
    /// # Errors
    /// When the host is gone, or there can be no thread or runtime.
    pub fn of(host: &Host) -> Result<Self, String> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let host = host.clone();
        let thread = thread::spawn(move || {
            let runtime = host.enter().and_then(|()| {
                let runtime = Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| format!("cannot start a runtime: {error}"))
            });
            // Whoever waits for it is there.
            let _ = tell.send(
                runtime
                    .as_ref()
                    .map(|it| it.handle().clone())
                    .map_err(Clone::clone),
            );
            if let Ok(runtime) = runtime {
                // Either way it is over.
                let _ = runtime.block_on(stopped);
            }
        });
        let runtime = told.recv().map_err(|error| error.to_string())??;
        Ok(Self {
            runtime,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where to spawn.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}
