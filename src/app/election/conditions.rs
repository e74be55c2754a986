//! What makes a router less fit than it is configured to be.

use crate::pure::vrrp::Fitness;

/// Failing conditions, of one router or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// What they come to.
    pub fitness: Fitness,
    /// One for each, for people.
    pub words: Vec<String>,
}

impl Conditions {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.fitness.weight = self.fitness.weight.saturating_add(other.fitness.weight);
        self.fitness.stands_back |= other.fitness.stands_back;
        self.words.extend(other.words);
        self
    }
}
