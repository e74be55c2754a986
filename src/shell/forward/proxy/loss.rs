//! Addresses that are about to leave this machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// What each core is told.
#[derive(Clone, Default)]
pub struct Loss {
    addresses: Arc<[IpAddr]>,
    done: Option<Sender<()>>,
}

impl Loss {
    /// The addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

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
    /// `at_most`; harmless when there are no such connections.
    pub fn reset(&self, addresses: &[IpAddr], at_most: Duration) {
        let (done, told) = channel();
        let until = Instant::now() + at_most;
        let cores = self.cores.receiver_count();
        self.cores.send_replace(Loss {
            addresses: addresses.into(),
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
}
