//! The thread that interrupts running plugins.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use wasmtime::Engine;

use super::limits::TICK;

/// Moves the engine's epoch on while probes run; sleeps while none does.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    over: AtomicBool,
}

/// A probe that runs; dropping it ends that.
pub struct Running<'a>(&'a Shared);

impl Ticker {
    /// Start the thread; it ends when the ticker is dropped.
    ///
    /// # Errors
    /// When the kernel has no thread for us.
    pub fn start(engine: Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let handle = thread::Builder::new()
            .name("plugin-ticker".into())
            .spawn(move || {
                while !seen.over.load(Ordering::Acquire) {
                    if seen.running.load(Ordering::Acquire) == 0 {
                        // A probe that starts right now has left a token for us.
                        thread::park();
                    } else {
                        thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                }
            })?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Tick until the returned value is dropped.
    pub fn running(&self) -> Running<'_> {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
