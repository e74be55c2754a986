//! How many connections there may be.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::pipe;

/// A counted, bounded number of connections.
pub struct Budget {
    most: AtomicU32,
    used: AtomicU32,
    refused: AtomicU64,
}

impl Budget {
    /// At most `most` at a time; `None` is no bound.
    pub fn new(most: Option<u32>) -> Self {
        Self {
            most: AtomicU32::new(most.unwrap_or(u32::MAX)),
            used: AtomicU32::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The bound.
    pub fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// Another bound from now on; what is beyond it already stays.
    pub fn set_most(&self, most: Option<u32>) {
        self.most.store(most.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Taken now.
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether one more would fit at this moment.
    pub fn has_room(&self) -> bool {
        self.used() < self.most()
    }

    /// Take one; each success is to be paired with one [`Budget::give_back`].
    pub fn take(&self) -> bool {
        let most = self.most();
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < most).then_some(used + 1)
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

/// Descriptors that are neither connections nor pipes: sockets of acceptors,
/// timers, plugins' probes, logs.
const RESERVED_FILES: u64 = 512;

/// Raise the soft limit of open files to the hard one, bound the pipes by it,
/// and return how many connections fit.
pub fn raise_open_files() -> u32 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let files = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    };
    let (connections, pipes) = shares(files);
    pipe::bound(usize::try_from(pipes).unwrap_or(usize::MAX));
    u32::try_from(connections).unwrap_or(u32::MAX)
}

/// How many connections and pipes so many files are enough for: two files
/// each, an eighth for the pipes.
fn shares(files: u64) -> (u64, u64) {
    let free = files - RESERVED_FILES.min(files / 4);
    let pipes = free / 8 / 2;
    (free / 2 - pipes, pipes)
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

    #[test]
    fn narrower_bound_lets_what_is_there_go_on() {
        let budget = Budget::new(None);
        assert!(budget.take() && budget.take());
        budget.set_most(Some(1));
        assert!(!budget.take());
        budget.give_back();
        assert!(!budget.take());
        budget.give_back();
        assert!(budget.take());
    }

    #[test]
    fn connections_and_pipes_leave_files_for_the_rest() {
        for files in [64, 1_000, 1_024, 4_096, 524_288] {
            let (connections, pipes) = shares(files);
            assert!(connections > pipes && pipes > 0, "{files}");
            let rest = RESERVED_FILES.min(files / 4);
            assert!(2 * (connections + pipes) + rest <= files, "{files}");
        }
    }
}
