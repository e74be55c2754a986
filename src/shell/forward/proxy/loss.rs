//! Addresses that are about to leave this machine, and those that have left.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Lost addresses, until they come back. Connections to them are reset however
/// late they are made: one may have waited for its endpoint meanwhile.
#[derive(Default)]
pub struct Gone {
    some: AtomicBool,
    addresses: RwLock<Vec<IpAddr>>,
}

impl Gone {
    /// Whether there are any; cheap.
    pub fn some(&self) -> bool {
        self.some.load(Ordering::Acquire)
    }

    /// Whether this is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let addresses = self.addresses.read().unwrap_or_else(PoisonError::into_inner);
        addresses.contains(&address)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<IpAddr>)) {
        let mut addresses = self.addresses.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut addresses);
        self.some.store(!addresses.is_empty(), Ordering::Release);
    }
}

/// What each core is told.
#[derive(Clone, Default)]
pub struct Loss {
    /// The addresses, old and new ones.
    pub gone: Arc<Gone>,
    done: Option<Sender<()>>,
}

impl Loss {
    /// A core has reset its connections to them.
    pub fn done(&self) {
        if let Some(done) = &self.done {
            // Whoever waited for it may have given up.
            let _ = done.send(());
        }
    }
}

/// Tells the cores; a copy tells the same ones.
#[derive(Clone, Default)]
pub struct Losses {
    cores: watch::Sender<Loss>,
}

impl Losses {
    /// What a core listens to.
    pub fn watch(&self) -> watch::Receiver<Loss> {
        self.cores.subscribe()
    }

    /// Reset every connection to these addresses, so that clients reconnect
    /// instead of waiting. Blocks until each core has done it, or for
    /// `at_most`; harmless when there are no such connections. New ones are
    /// reset, too, until [`Losses::regain`].
    pub fn reset(&self, addresses: &[IpAddr], at_most: Duration) {
        let (done, told) = channel();
        let until = Instant::now() + at_most;
        let cores = self.cores.receiver_count();
        let gone = self.cores.borrow().gone.clone();
        gone.change(|gone| gone.extend(addresses));
        self.cores.send_replace(Loss {
            gone,
            done: Some(done),
        });
        for _ in 0..cores {
            if told
                .recv_timeout(until.saturating_duration_since(Instant::now()))
                .is_err()
            {
                return;
            }
        }
    }

    /// These addresses are about to come back.
    pub fn regain(&self, addresses: &[IpAddr]) {
        let gone = self.cores.borrow().gone.clone();
        gone.change(|gone| gone.retain(|address| !addresses.contains(address)));
    }
}
