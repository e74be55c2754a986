//! How much a router wants to be Active.

use std::fmt;

/// A priority, 1–255 (RFC 9568 §5.2.4). 0 exists on the wire only, where it
/// says that the sender leaves; [`Advertisement`](super::Advertisement) has
/// `None` for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The owner's: a virtual address is its own.
    pub const OWNER: Self = Self(255);

    /// The lowest, which a router that stands back advertises.
    pub const LAST: Self = Self(1);

    /// `None` for 0.
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => None,
            _ => Some(Self(value)),
        }
    }

    /// 1–255.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Lowered by so much (a negative `weight`), within 1–254; an owner that
    /// is lowered is an owner no more.
    #[must_use]
    pub fn weighted(self, weight: i32) -> Self {
        if weight == 0 {
            return self;
        }
        let sum = i32::from(self.0).saturating_add(weight).clamp(1, 254);
        Self(u8::try_from(sum).unwrap_or(1))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stay_between_the_last_and_the_owner() {
        let priority = |value| Priority::new(value).unwrap();
        assert_eq!(priority(200).weighted(-50), priority(150));
        assert_eq!(priority(100).weighted(-254), Priority::LAST);
        assert_eq!(priority(255).weighted(0), Priority::OWNER);
        assert_eq!(priority(255).weighted(-1), priority(254));
        assert_eq!(priority(1).weighted(i32::MIN), Priority::LAST);
        assert_eq!(Priority::new(0), None);
    }
}
