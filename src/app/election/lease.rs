//! How long the virtual addresses stay when nobody renews them, and renewing
//! them in the background.
//!
//! The kernel may let a renewal wait for as long as it changes other networks;
//! advertisements do not wait with it.

use std::io;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::pure::addr::IpPrefix;
use crate::shell::netlink::{Lifetime, Netlink};

/// The lifetime of addresses that are, or are not, on an interface.
pub struct Lease {
    lifetime: Lifetime,
    due: Option<Instant>,
    renewal: Option<JoinHandle<io::Result<()>>>,
}

impl Lease {
    /// No addresses yet.
    pub fn new(lifetime: Lifetime) -> Self {
        Self {
            lifetime,
            due: None,
            renewal: None,
        }
    }

    /// Another lifetime from now on; addresses that are there get it at once.
    pub fn change(&mut self, now: Instant, lifetime: Lifetime) {
        if self.lifetime.duration() == lifetime.duration() {
            return;
        }
        self.lifetime = lifetime;
        self.due = self.due.map(|_| now);
    }

    /// What addresses are to be added with.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// They are being added.
    pub fn begin(&mut self, now: Instant) {
        self.due = Some(now + self.lifetime.duration() / 3);
    }

    /// They are about to be removed: nothing renews them after that.
    pub fn end(&mut self) {
        self.due = None;
        self.interrupt();
    }

    /// Some of them are about to be removed: a renewal that is under way is not
    /// to come after that.
    pub fn interrupt(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            // What it has asked of the kernel comes before the removal.
            renewal.abort();
        }
    }

    /// When to renew them next.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Renew them, unless the kernel still has the last renewal before it.
    pub fn renew(&mut self, now: Instant, netlink: &Netlink, index: u32, prefixes: Vec<IpPrefix>) {
        self.begin(now);
        if self.renewal.is_some() {
            return;
        }
        let (netlink, lifetime) = (netlink.clone(), self.lifetime);
        self.renewal = Some(tokio::spawn(async move {
            for prefix in prefixes {
                netlink.add_address(index, prefix, lifetime).await?;
            }
            Ok(())
        }));
    }

    /// Wait until a renewal fails; never ends without. Safe to cancel.
    pub async fn refused(&mut self) -> io::Error {
        while let Some(renewal) = &mut self.renewal {
            let done = renewal.await;
            self.renewal = None;
            // One that was aborted has not failed.
            if let Ok(Err(error)) = done {
                return error;
            }
        }
        std::future::pending().await
    }
}
