//! When to tell the link again where the virtual addresses are.

use std::time::{Duration, Instant};

use crate::pure::config::Announce;

/// The announcements that are still to come.
#[derive(Debug)]
pub struct Announcing {
    after: Vec<Duration>,
    refresh: Option<Duration>,
    begun: Option<Instant>,
    done: usize,
    due: Option<Instant>,
}

impl Announcing {
    /// Announcements as the document wants them; none yet.
    pub fn new(settings: &Announce) -> Self {
        Self {
            after: settings.after.clone(),
            refresh: settings.refresh,
            begun: None,
            done: 0,
            due: None,
        }
    }

    /// As another document wants it. What has begun goes on at the slow pace.
    pub fn change(&mut self, now: Instant, settings: &Announce) {
        if self.after == settings.after && self.refresh == settings.refresh {
            return;
        }
        self.after.clone_from(&settings.after);
        self.refresh = settings.refresh;
        self.due = self.begun.and(self.refresh).map(|refresh| now + refresh);
    }

    /// Begin anew, from now on.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.done = 0;
        self.due = self.after.first().map(|after| now + *after);
    }

    /// The addresses have gone.
    pub fn end(&mut self) {
        self.begun = None;
        self.due = None;
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
        let passed = self.after.iter().filter(|after| begun + **after <= now);
        self.done = passed.count();
        self.due = match self.after.get(self.done) {
            Some(after) => Some(begun + *after),
            None => self.refresh.map(|refresh| now + refresh),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::Arp;

    fn announcing(after: &[u64], refresh: Option<u64>) -> Announcing {
        Announcing::new(&Announce {
            after: after.iter().copied().map(Duration::from_millis).collect(),
            refresh: refresh.map(Duration::from_millis),
            arp: Arp::Request,
        })
    }

    #[test]
    fn burst_is_followed_by_a_slow_refresh() {
        let now = Instant::now();
        let mut announcing = announcing(&[0, 50, 5_000], Some(60_000));
        assert!(!announcing.take_due(now));
        announcing.begin(now);
        let mut after = Vec::new();
        for _ in 0..5 {
            let due = announcing.due().unwrap();
            assert!(announcing.take_due(due));
            assert!(!announcing.take_due(due));
            after.push((due - now).as_millis());
        }
        assert_eq!(after, [0, 50, 5_000, 65_000, 125_000]);
        announcing.end();
        assert_eq!(announcing.due(), None);
    }

    #[test]
    fn burst_without_a_refresh_ends() {
        let now = Instant::now();
        let mut announcing = announcing(&[10], None);
        announcing.begin(now);
        assert!(!announcing.take_due(now));
        assert!(announcing.take_due(now + Duration::from_millis(10)));
        assert_eq!(announcing.due(), None);
    }

    #[test]
    fn other_settings_begin_no_burst() {
        let now = Instant::now();
        let settings = |refresh| Announce {
            after: vec![Duration::ZERO],
            refresh: Some(Duration::from_secs(refresh)),
            arp: Arp::Request,
        };
        let mut idle = Announcing::new(&settings(1));
        idle.change(now, &settings(2));
        assert_eq!(idle.due(), None);
        let mut busy = Announcing::new(&settings(1));
        busy.begin(now);
        busy.change(now, &settings(1));
        assert_eq!(busy.due(), Some(now));
        busy.change(now, &settings(2));
        assert_eq!(busy.due(), Some(now + Duration::from_secs(2)));
    }

    #[test]
    fn what_was_slept_through_is_announced_once() {
        let now = Instant::now();
        let mut announcing = announcing(&[0, 50, 200, 1_000], None);
        announcing.begin(now);
        let later = now + Duration::from_millis(700);
        assert!(announcing.take_due(later));
        assert_eq!(announcing.due(), Some(now + Duration::from_secs(1)));
    }
}
