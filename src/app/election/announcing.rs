//! When to tell the link again where the virtual addresses are.

use std::time::{Duration, Instant};

/// After taking over: at once, and again for those that missed it, as a switch
/// does whose port forwards late. keepalived sends five at once and five
/// after five seconds; spread out they survive more for less.
const BURST: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// For as long as the addresses are here.
const REFRESH: Duration = Duration::from_secs(60);

/// The announcements that are still to come.
#[derive(Debug, Default)]
pub struct Announcing {
    begun: Option<Instant>,
    done: usize,
    due: Option<Instant>,
}

impl Announcing {
    /// Begin a burst now.
    pub fn begin(&mut self, now: Instant) {
        *self = Self {
            begun: Some(now),
            done: 0,
            due: Some(now),
        };
    }

    /// The addresses have gone.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// When the next one is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether one is due; what was missed is not made up for.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let (Some(begun), Some(due)) = (self.begun, self.due) else {
            return false;
        };
        if due > now {
            return false;
        }
        self.done = BURST
            .iter()
            .filter(|after| begun + **after <= now)
            .count()
            .max(self.done);
        self.due = Some(match BURST.get(self.done) {
            Some(after) => begun + *after,
            None => now + REFRESH,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_followed_by_a_slow_refresh() {
        let now = Instant::now();
        let mut announcing = Announcing::default();
        assert!(!announcing.take_due(now));
        announcing.begin(now);
        let mut after = Vec::new();
        for _ in 0..BURST.len() + 2 {
            let due = announcing.due().unwrap();
            assert!(announcing.take_due(due));
            assert!(!announcing.take_due(due));
            after.push((due - now).as_millis());
        }
        assert_eq!(after, [0, 50, 200, 500, 1_000, 2_000, 5_000, 65_000, 125_000]);
        announcing.end();
        assert_eq!(announcing.due(), None);
    }

    #[test]
    fn what_was_slept_through_is_announced_once() {
        let now = Instant::now();
        let mut announcing = Announcing::default();
        announcing.begin(now);
        let later = now + Duration::from_millis(700);
        assert!(announcing.take_due(later));
        assert_eq!(announcing.due(), Some(now + Duration::from_secs(1)));
    }
}
