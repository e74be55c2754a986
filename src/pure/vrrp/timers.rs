//! Intervals and what RFC 9568 §6.1 and RFC 3768 §6.1 make of them.

use std::fmt;
use std::time::Duration;

use super::{Priority, Version};

/// An advertisement interval: whole centiseconds, 1–25,500.
///
/// Version 3 says it in centiseconds, 1–4095 (RFC 9568 §5.2.7); version 2 in
/// whole seconds, 1–255 (RFC 3768 §5.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Centiseconds(u16);

impl Centiseconds {
    /// One second, the default of both versions.
    pub const SECOND: Self = Self(100);

    /// What version 3 can say: 1–4095.
    pub const fn new(centiseconds: u16) -> Option<Self> {
        match centiseconds {
            1..=4095 => Some(Self(centiseconds)),
            _ => None,
        }
    }

    /// What version 2 can say: 1–255 seconds.
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        match seconds {
            0 => None,
            // 255 × 100 fits.
            _ => Some(Self(seconds as u16 * 100)),
        }
    }

    /// What `version` can say of a duration; `None` when it cannot say it exactly.
    pub fn from_duration(version: Version, duration: Duration) -> Option<Self> {
        match version {
            Version::V2 => {
                let seconds = u8::try_from(duration.as_secs()).ok()?;
                Self::from_seconds(seconds).filter(|interval| interval.duration() == duration)
            }
            Version::V3 => {
                let centiseconds = u16::try_from(duration.as_millis() / 10).ok()?;
                Self::new(centiseconds).filter(|interval| interval.duration() == duration)
            }
        }
    }

    /// As a number, 1–25,500.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// In whole seconds, where it is a number of those that version 2 can say.
    pub fn seconds(self) -> Option<u8> {
        (self.0.is_multiple_of(100))
            .then(|| u8::try_from(self.0 / 100).ok())
            .flatten()
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

impl fmt::Display for Centiseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

/// How long a backup of this priority waits beyond what the Active is allowed,
/// so that the highest takes over alone.
///
/// Version 2: a fraction of one second, whatever the interval (RFC 3768 §6.1).
/// Version 3: a fraction of the interval (RFC 9568 §6.1).
pub fn skew_time(version: Version, priority: Priority, interval: Centiseconds) -> Duration {
    let whole = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval.duration(),
    };
    whole * (256 - u32::from(priority.get())) / 256
}

/// How long an Active may be silent before `Skew_Time` begins to run.
pub fn silence_allowed(interval: Centiseconds) -> Duration {
    interval.duration() * 3
}

/// After how long a silence a backup of this priority takes over: `Active_Down_Interval`.
pub fn active_down_interval(version: Version, priority: Priority, interval: Centiseconds) -> Duration {
    silence_allowed(interval) + skew_time(version, priority, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(version: Version, priority: u8, centiseconds: u16) -> (u128, u128) {
        let (priority, interval) = (Priority::new(priority).unwrap(), Centiseconds(centiseconds));
        (
            skew_time(version, priority, interval).as_micros(),
            active_down_interval(version, priority, interval).as_micros(),
        )
    }

    // RFC 3768 §6.1, RFC 9568 §6.1; literals, so that a helper that is wrong
    // by a factor cannot agree with itself.
    #[test]
    fn skew_and_down_interval_are_what_the_documents_say() {
        for (version, priority, interval, skew, down) in [
            (Version::V2, 254, 100, 7_812, 3_007_812),
            (Version::V2, 200, 100, 218_750, 3_218_750),
            (Version::V2, 100, 100, 609_375, 3_609_375),
            (Version::V2, 100, 25_500, 609_375, 765_609_375),
            (Version::V3, 200, 100, 218_750, 3_218_750),
            (Version::V3, 100, 10, 60_937, 360_937),
            (Version::V3, 1, 1, 9_960, 39_960),
            (Version::V3, 1, 4_095, 40_790_039, 163_640_039),
            (Version::V3, 255, 4_095, 159_960, 123_009_960),
        ] {
            assert_eq!(
                micros(version, priority, interval),
                (skew, down),
                "{version:?} priority {priority} interval {interval}"
            );
        }
    }

    #[test]
    fn interval_is_what_its_version_can_say() {
        let from = Centiseconds::from_duration;
        assert_eq!(from(Version::V3, Duration::from_millis(10)).unwrap().get(), 1);
        assert_eq!(
            from(Version::V3, Duration::from_millis(40_950)).unwrap().get(),
            4095
        );
        assert_eq!(from(Version::V3, Duration::from_millis(40_960)), None);
        assert_eq!(from(Version::V3, Duration::from_millis(15)), None);
        assert_eq!(from(Version::V3, Duration::ZERO), None);
        assert_eq!(from(Version::V2, Duration::from_secs(255)).unwrap().get(), 25_500);
        assert_eq!(from(Version::V2, Duration::from_millis(1_500)), None);
        assert_eq!(from(Version::V2, Duration::from_secs(256)), None);
        assert_eq!(Centiseconds(25_500).seconds(), Some(255));
        assert_eq!(Centiseconds(150).seconds(), None);
        assert_eq!(Centiseconds::new(4096), None);
    }
}
