//! When the next probe is due.

use std::time::{Duration, Instant};

/// First probes are spread over this long at most: a start is quick, and yet
/// not all endpoints are probed in the same millisecond.
const FIRST_SPREAD: Duration = Duration::from_millis(200);

/// Later ones are moved by up to this part of the interval, either way, so
/// that probes of many endpoints and many load balancers drift apart.
const JITTER_PART: u32 = 20;

/// Due times of one endpoint's probes.
#[derive(Clone, Debug)]
pub struct Schedule {
    due: Instant,
    random: u64,
}

impl Schedule {
    /// The first probe is due within 200 ms or an interval of `now`, whichever
    /// is shorter; `seed` says when.
    pub fn new(now: Instant, interval: Duration, seed: u64) -> Self {
        let mut schedule = Self {
            due: now,
            random: seed,
        };
        let spread = FIRST_SPREAD.min(interval).mul_f64(schedule.draw());
        schedule.due += spread;
        schedule
    }

    /// A new rhythm: the next probe is due as if it were the first.
    pub fn restart(&mut self, now: Instant, interval: Duration) {
        *self = Self::new(now, interval, self.random);
    }

    /// When the next probe is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Set the next due time one interval after the last, jitter apart; a
    /// probe that is late already is due at once and the rhythm starts anew.
    pub fn advance(&mut self, now: Instant, interval: Duration) {
        let jitter = interval / JITTER_PART;
        let next = self.due + interval - jitter + jitter.mul_f64(2.0 * self.draw());
        self.due = next.max(now);
    }

    /// Uniform in [0, 1): SplitMix64 of the seed.
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn first_probes_are_spread_over_a_fifth_of_a_second() {
        let now = Instant::now();
        let waits: Vec<Duration> = (0..500)
            .map(|seed| Schedule::new(now, SECOND, seed).due() - now)
            .collect();
        assert!(waits.iter().all(|wait| *wait < FIRST_SPREAD));
        assert!(waits.iter().any(|wait| *wait < FIRST_SPREAD / 10));
        assert!(waits.iter().any(|wait| *wait > FIRST_SPREAD / 10 * 9));
    }

    #[test]
    fn rhythm_does_not_drift_with_late_findings() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, SECOND, 1);
        for _ in 0..1_000 {
            let finding = schedule.due() + Duration::from_millis(300);
            schedule.advance(finding, SECOND);
        }
        let average = (schedule.due() - start) / 1_000;
        assert!((0.98..1.02).contains(&average.as_secs_f64()), "{average:?}");
    }

    #[test]
    fn late_probe_is_due_at_once_not_in_the_past() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, SECOND, 1);
        let late = start + 60 * SECOND;
        schedule.advance(late, SECOND);
        assert_eq!(schedule.due(), late);
    }
}
