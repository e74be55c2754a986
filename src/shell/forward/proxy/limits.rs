//! How many connections there may be.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A counted, bounded number of connections.
pub struct Budget {
    most: u32,
    used: AtomicU32,
    refused: AtomicU64,
}

impl Budget {
    /// At most `most` at a time; `None` is no bound.
    pub fn new(most: Option<u32>) -> Self {
        Self {
            most: most.unwrap_or(u32::MAX),
            used: AtomicU32::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The bound.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Taken now.
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether one more would fit at this moment.
    pub fn has_room(&self) -> bool {
        self.used() < self.most
    }

    /// Take one; each success is to be paired with one [`Budget::give_back`].
    pub fn take(&self) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < self.most).then_some(used + 1)
            })
            .is_ok();
        if !taken {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Give one back.
    pub fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }

    /// How often [`Budget::take`] failed since the last call.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }
}

/// Descriptors that are not connections: sockets of acceptors, timers, plugins' probes, logs.
const RESERVED_FILES: u64 = 512;

/// Raise the soft limit of open files to the hard one and return how many
/// connections fit: two descriptors each, an eighth of all kept for pipes.
pub fn raise_open_files() -> u32 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let files = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    };
    let free = files.saturating_sub(RESERVED_FILES.min(files / 4));
    u32::try_from((free - free / 8) / 2).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_budget_refuses_and_counts_until_one_is_given_back() {
        let budget = Budget::new(Some(1));
        assert!(budget.take());
        assert!(!budget.take());
        assert!(!budget.take());
        assert_eq!(budget.take_refused(), 2);
        assert_eq!(budget.take_refused(), 0);
        budget.give_back();
        assert!(budget.take());
    }
}
