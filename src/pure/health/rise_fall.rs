//! From findings in a row to up and down.

use std::fmt;

/// What we believe of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Belief {
    /// Not probed yet.
    Unknown,
    /// Fit for connections.
    Up,
    /// Not fit.
    Down,
}

impl fmt::Display for Belief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Counts findings that contradict the belief.
#[derive(Clone, Debug)]
pub struct RiseFall {
    rise: u8,
    fall: u8,
    belief: Belief,
    contradictions: u8,
}

impl RiseFall {
    /// Nothing is believed yet. `rise` and `fall` are at least 1; 0 counts as 1.
    pub fn new(rise: u8, fall: u8) -> Self {
        Self {
            rise: rise.max(1),
            fall: fall.max(1),
            belief: Belief::Unknown,
            contradictions: 0,
        }
    }

    /// Nothing has been found yet, but this is believed already.
    #[must_use]
    pub fn believing(self, belief: Belief) -> Self {
        Self { belief, ..self }
    }

    /// Other numbers from now on. The belief stays; what was found against it
    /// does not count any more.
    pub fn change(&mut self, rise: u8, fall: u8) {
        *self = Self::new(rise, fall).believing(self.belief);
    }

    /// Take one finding. Returns the number of findings that brought about a
    /// change of belief, or `None` without one. The very first finding decides
    /// alone.
    pub fn observe(&mut self, success: bool) -> Option<u8> {
        let shown = if success { Belief::Up } else { Belief::Down };
        let needed = match self.belief {
            Belief::Unknown => 1,
            belief if belief == shown => {
                self.contradictions = 0;
                return None;
            }
            Belief::Up => self.fall,
            Belief::Down => self.rise,
        };
        self.contradictions += 1;
        if self.contradictions < needed {
            return None;
        }
        self.belief = shown;
        self.contradictions = 0;
        Some(needed)
    }

    /// What is believed now.
    pub fn belief(&self) -> Belief {
        self.belief
    }

    /// Whether the last finding contradicted the belief.
    pub fn in_doubt(&self) -> bool {
        self.contradictions > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beliefs(rise: u8, fall: u8, findings: &[bool]) -> Vec<Belief> {
        let mut counter = RiseFall::new(rise, fall);
        let observe = |&success: &bool| {
            counter.observe(success);
            counter.belief()
        };
        findings.iter().map(observe).collect()
    }

    #[test]
    fn first_finding_decides_alone() {
        assert_eq!(beliefs(5, 5, &[true]), [Belief::Up]);
        assert_eq!(beliefs(5, 5, &[false]), [Belief::Down]);
    }

    #[test]
    fn up_falls_after_fall_failures_in_a_row_and_rises_after_rise_successes() {
        use Belief::{Down, Up};
        assert_eq!(
            beliefs(2, 3, &[true, false, false, false, true, true]),
            [Up, Up, Up, Down, Down, Up]
        );
    }

    #[test]
    fn flapping_changes_nothing() {
        assert!(
            beliefs(2, 2, &[true, false, true, false, true])
                .iter()
                .all(|belief| *belief == Belief::Up)
        );
    }

    #[test]
    fn other_numbers_keep_the_belief_and_forget_what_spoke_against_it() {
        let mut counter = RiseFall::new(2, 2);
        counter.observe(true);
        counter.observe(false);
        counter.change(2, 3);
        assert_eq!((counter.belief(), counter.in_doubt()), (Belief::Up, false));
        let told: Vec<_> = [false, false, false]
            .map(|success| counter.observe(success))
            .into();
        assert_eq!(told, [None, None, Some(3)]);
    }

    #[test]
    fn change_tells_how_many_findings_it_took() {
        let mut counter = RiseFall::new(2, 3);
        let told: Vec<_> = [true, false, false, false]
            .map(|success| counter.observe(success))
            .into();
        assert_eq!(told, [Some(1), None, None, Some(3)]);
    }

    #[test]
    fn doubt_lasts_from_contradiction_to_confirmation() {
        let mut counter = RiseFall::new(2, 3);
        let doubts: Vec<_> = [true, false, true, false, false, false]
            .map(|success| {
                counter.observe(success);
                counter.in_doubt()
            })
            .into();
        assert_eq!(doubts, [false, true, false, true, true, false]);
    }
}
