//! What all running plugins have together: so many instances, so much memory.
//!
//! A check may take no more than it leaves free: alone it gets half, beside one
//! other that takes all it can a third. So there is always room for one that
//! wants little. Its first instance needs only to fit.
//!
//! An instance waits until there is room for what the largest of its kind came
//! to so far, and for all that it may have where none has ended yet. What it
//! wants beyond that it gets at once or not at all: waiting in the middle of a
//! probe, it would hold what others wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::limits::PROBES_AT_ONCE;

/// The common part.
pub struct Budget {
    free: Mutex<Amount>,
    freed: Notify,
}

/// What one check has of it.
pub struct Share {
    budget: Arc<Budget>,
    /// Changed only while the budget's `free` is locked.
    own: Mutex<Own>,
    /// Only the first in the queue looks for room.
    queue: Semaphore,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    instances: usize,
    /// In bytes.
    memory: usize,
}

#[derive(Default)]
struct Own {
    held: Amount,
    /// The most that an instance had, in bytes; none has ended yet.
    peak: Option<usize>,
}

/// One instance's part; it goes back when this is dropped.
pub struct Part {
    share: Arc<Share>,
    held: usize,
    used: usize,
}

impl Budget {
    /// `memory` bytes for all instances.
    pub fn new(memory: u64) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(Amount {
                instances: PROBES_AT_ONCE as usize,
                memory: usize::try_from(memory).unwrap_or(usize::MAX),
            }),
            freed: Notify::new(),
        })
    }

    /// A share for one more check.
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share {
            budget: self.clone(),
            own: Mutex::default(),
            queue: Semaphore::new(1),
        })
    }
}

impl Share {
    /// Wait for room for one more instance, which may have `granted` bytes.
    pub async fn part(self: &Arc<Self>, granted: usize) -> Part {
        // Never closed, so this only waits.
        let _first = self.queue.acquire().await;
        loop {
            let mut freed = std::pin::pin!(self.budget.freed.notified());
            // What is given back from here on is heard of.
            freed.as_mut().enable();
            if let Some(part) = self.take(granted) {
                return part;
            }
            freed.await;
        }
    }

    fn take(self: &Arc<Self>, granted: usize) -> Option<Part> {
        let mut free = locked(&self.budget.free);
        let mut own = locked(&self.own);
        let want = own.peak.unwrap_or(granted);
        let room = fits(1, own.held.instances, free.instances) && fits(want, own.held.memory, free.memory);
        if !room {
            return None;
        }
        free.take(1, want);
        own.held.add(1, want);
        Some(Part {
            share: self.clone(),
            held: want,
            used: 0,
        })
    }
}

/// Whether `want` more leave at least as much free as is held then.
fn fits(want: usize, held: usize, free: usize) -> bool {
    want <= free && (want == 0 || held == 0 || held + want <= free - want)
}

impl Amount {
    fn take(&mut self, instances: usize, memory: usize) {
        self.instances -= instances;
        self.memory -= memory;
    }

    fn add(&mut self, instances: usize, memory: usize) {
        self.instances += instances;
        self.memory += memory;
    }
}

impl Part {
    /// What the instance uses so far, in bytes.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Let it use so many bytes more; false where there are none.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let missing = (self.used + bytes).saturating_sub(self.held);
        if missing > 0 && !self.take_more(missing) {
            return false;
        }
        self.used += bytes;
        true
    }

    fn take_more(&mut self, missing: usize) -> bool {
        let mut free = locked(&self.share.budget.free);
        let mut own = locked(&self.share.own);
        let others = own.held.memory - self.held;
        // The only one of its check needs no more than to fit.
        let held = if others == 0 { 0 } else { own.held.memory };
        if !fits(missing, held, free.memory) {
            return false;
        }
        free.take(0, missing);
        own.held.add(0, missing);
        self.held += missing;
        true
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut free = locked(&self.share.budget.free);
        let mut own = locked(&self.share.own);
        free.add(1, self.held);
        own.held.take(1, self.held);
        own.peak = own.peak.max(Some(self.used));
        drop((free, own));
        self.share.budget.freed.notify_waiters();
    }
}

/// Numbers are whole at any moment, whoever panicked.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    const MIB: usize = 1 << 20;

    /// As many parts as there are without waiting.
    fn all(share: &Arc<Share>, granted: usize) -> Vec<Part> {
        std::iter::from_fn(|| share.take(granted)).collect()
    }

    #[test]
    fn check_alone_gets_half_of_the_memory() {
        let budget = Budget::new(512 << 20);
        assert_eq!(all(&budget.share(), 16 * MIB).len(), 16);
    }

    #[test]
    fn greedy_checks_leave_room_for_another() {
        let budget = Budget::new(512 << 20);
        let greedy = [budget.share(), budget.share(), budget.share()];
        let taken: Vec<_> = greedy.iter().map(|share| all(share, 16 * MIB)).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [16, 8, 4]);
        assert!(!all(&budget.share(), 16 * MIB).is_empty());
    }

    #[test]
    fn check_alone_gets_half_of_the_instances() {
        let budget = Budget::new(u64::MAX);
        assert_eq!(all(&budget.share(), MIB).len(), PROBES_AT_ONCE as usize / 2);
    }

    #[test]
    fn what_an_instance_came_to_is_what_the_next_one_waits_for() {
        let share = Budget::new(512 << 20).share();
        let mut first = share.take(16 * MIB).unwrap();
        assert!(first.grow(MIB));
        drop(first);
        assert_eq!(all(&share, 16 * MIB).len(), 256);
    }

    #[test]
    fn growing_beyond_the_common_memory_is_refused() {
        let budget = Budget::new(64 << 20);
        let (share, other) = (budget.share(), budget.share());
        let _others = other.take(32 * MIB).unwrap();
        let mut part = share.take(16 * MIB).unwrap();
        assert!(part.grow(16 * MIB) && part.grow(16 * MIB));
        assert!(!part.grow(1));
        assert_eq!(part.used(), 32 * MIB);
    }

    #[test]
    fn all_goes_back() {
        let budget = Budget::new(64 << 20);
        let share = budget.share();
        let mut parts = all(&share, 8 * MIB);
        assert!(!parts[0].grow(64 * MIB));
        drop(parts);
        let free = locked(&budget.free);
        assert_eq!((free.instances, free.memory), (PROBES_AT_ONCE as usize, 64 * MIB));
    }

    #[tokio::test]
    async fn who_waits_is_told_when_there_is_room() {
        let budget = Budget::new(32 << 20);
        let (share, other) = (budget.share(), budget.share());
        let held = other.take(32 * MIB).unwrap();
        let mut waiting = std::pin::pin!(share.part(16 * MIB));
        let pending = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending());
        drop(held);
        assert_eq!(waiting.await.held, 16 * MIB);
    }
}
