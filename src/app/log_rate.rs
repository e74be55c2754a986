//! How much a check's plugin may log.
//!
//! One probe's lines are bounded by the host; this bounds those of all probes of
//! a check, so that a thousand endpoints do not multiply them. What is dropped
//! is counted, and the count is said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that a check may log in each period.
const LINES: u64 = 64;

const PERIOD: Duration = Duration::from_secs(10);

/// One check's lines.
#[derive(Default)]
pub struct LogRate(Mutex<Period>);

#[derive(Default)]
struct Period {
    began: Option<Instant>,
    lines: u64,
    dropped: u64,
}

/// What to do with a probe's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Log the first so many.
    pub lines: usize,
    /// Lines that were dropped in the period that is over; 0 says nothing.
    pub dropped_before: u64,
    /// The first of this period are dropped now.
    pub full: bool,
}

impl LogRate {
    /// A probe has so many lines, and so many were dropped already.
    pub fn allow(&self, now: Instant, lines: usize, dropped: u32) -> Allowance {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = period.began.is_none_or(|began| now >= began + PERIOD);
        let dropped_before = if is_over { period.dropped } else { 0 };
        if is_over {
            *period = Period {
                began: Some(now),
                ..Period::default()
            };
        }
        let wanted = lines as u64;
        let granted = wanted.min(LINES - period.lines);
        period.lines += granted;
        let dropped = wanted - granted + u64::from(dropped);
        let full = period.dropped == 0 && dropped > 0;
        period.dropped += dropped;
        Allowance {
            lines: granted as usize,
            dropped_before,
            full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_probes_are_bounded_and_the_rest_is_counted_once() {
        let (rate, now) = (LogRate::default(), Instant::now());
        let allowed: Vec<_> = (0..1000).map(|_| rate.allow(now, 16, 4)).collect();
        assert_eq!(allowed.iter().map(|one| one.lines as u64).sum::<u64>(), LINES);
        assert_eq!(allowed.iter().filter(|one| one.full).count(), 1);
        assert!(allowed.iter().all(|one| one.dropped_before == 0));
        let next = rate.allow(now + PERIOD, 1, 0);
        assert_eq!(
            next,
            Allowance {
                lines: 1,
                dropped_before: 1000 * 20 - LINES,
                full: false,
            }
        );
        assert_eq!(rate.allow(now + PERIOD, 0, 0).dropped_before, 0);
    }

    #[test]
    fn count_is_said_though_no_further_line_comes() {
        let (rate, now) = (LogRate::default(), Instant::now());
        assert!(rate.allow(now, 0, 7).full);
        assert_eq!(rate.allow(now + PERIOD, 0, 0).dropped_before, 7);
    }

    #[test]
    fn quiet_plugin_loses_nothing() {
        let (rate, now) = (LogRate::default(), Instant::now());
        for second in 0..100 {
            let allowed = rate.allow(now + Duration::from_secs(second), 6, 0);
            assert_eq!((allowed.lines, allowed.full), (6, false));
        }
    }
}
