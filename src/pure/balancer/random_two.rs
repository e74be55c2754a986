//! Random two: the less loaded of two endpoints drawn by weight. Nearly as even
//! as least connections, without every load balancer running to the same
//! endpoint at the same time.

use super::hash;
use super::least_connections::order;
use super::pool::{EndpointId, Member};

/// The members' weights, added up.
#[derive(Clone, Debug)]
pub(super) struct RandomTwo {
    /// Entry i is the sum of the weights up to and including member i.
    sums: Box<[u32]>,
}

impl RandomTwo {
    /// Prepares draws from `members`.
    pub fn new(members: &[Member]) -> Self {
        let mut sum = 0;
        let add = |member: &Member| {
            sum += member.weight;
            sum
        };
        Self {
            sums: members.iter().map(add).collect(),
        }
    }

    /// The one of two distinct admitted members with the lower load for its
    /// weight, the one drawn first when equal.
    pub fn pick(
        &self,
        members: &[Member],
        random: u64,
        load: &impl Fn(EndpointId) -> u32,
        admit: &impl Fn(EndpointId) -> bool,
    ) -> Option<EndpointId> {
        let (one, other) = self.draw(random)?;
        let (one, other) = (&members[one], &members[other]);
        if admit(one.id) && admit(other.id) {
            return Some(better(one, other, load));
        }
        // A draw without the members that are not admitted has the same odds as
        // repeating the draw until both are.
        let admitted: Vec<Member> = members
            .iter()
            .filter(|member| admit(member.id))
            .copied()
            .collect();
        let (one, other) = Self::new(&admitted).draw(hash::mix(random))?;
        Some(better(&admitted[one], &admitted[other], load))
    }

    /// Two distinct indexes by weight; the same one twice when there is only one.
    fn draw(&self, random: u64) -> Option<(usize, usize)> {
        let sum = *self.sums.last()?;
        let (high, low) = (random >> 32, random & 0xffff_ffff);
        let one = self.at(below(high, sum));
        let start = if one == 0 { 0 } else { self.sums[one - 1] };
        let weight = self.sums[one] - start;
        if weight == sum {
            return Some((one, one));
        }
        // The second place is drawn from the sum without the first one's stretch.
        let place = below(low, sum - weight);
        let other = self.at(if place < start { place } else { place + weight });
        Some((one, other))
    }

    /// The member whose stretch of the sum holds `place`.
    fn at(&self, place: u32) -> usize {
        self.sums.partition_point(|sum| *sum <= place)
    }
}

/// A 32-bit random number brought below `end`.
fn below(random: u64, end: u32) -> u32 {
    u32::try_from((random * u64::from(end)) >> 32).expect("below a 32-bit number")
}

fn better(one: &Member, other: &Member, load: &impl Fn(EndpointId) -> u32) -> EndpointId {
    if order((other, load(other.id)), (one, load(one.id))).is_lt() {
        other.id
    } else {
        one.id
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::tests::Random;
    use super::super::snapshot::tests::candidates;
    use super::super::{Algorithm, Key, Snapshot};
    use super::*;

    const DRAWS: u32 = 60_000;

    fn shares(
        weights: &[u16],
        load: &impl Fn(EndpointId) -> u32,
        admit: &impl Fn(EndpointId) -> bool,
    ) -> Vec<f64> {
        let snapshot = Snapshot::new(Algorithm::RandomTwo, &candidates(weights));
        let mut random = Random(7);
        let mut counts = vec![0u32; weights.len()];
        for _ in 0..DRAWS {
            let key = Key {
                source: ([192, 0, 2, 9], 1).into(),
                random: random.next(),
            };
            counts[snapshot.pick(&key, 0, load, admit).expect("one").index()] += 1;
        }
        counts
            .into_iter()
            .map(|count| f64::from(count) / f64::from(DRAWS))
            .collect()
    }

    fn assert_near(shares: &[f64], expected: &[f64]) {
        assert!(
            shares
                .iter()
                .zip(expected)
                .all(|(share, expected)| (share - expected).abs() < 0.01),
            "{shares:?}"
        );
    }

    #[test]
    fn idle_endpoints_are_drawn_by_weight() {
        assert_near(&shares(&[1, 2, 5], &|_| 0, &|_| true), &[0.125, 0.25, 0.625]);
    }

    #[test]
    fn most_loaded_endpoint_is_never_picked() {
        let shares = shares(&[1, 1, 1], &|id| u32::from(id.0), &|_| true);
        // Of the three pairs, two hold endpoint 0, and the third endpoint 1.
        assert_near(&shares, &[2.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_eq!(shares[2], 0.0);
    }

    #[test]
    fn endpoint_that_is_not_admitted_leaves_its_share_by_weight() {
        assert_near(
            &shares(&[1, 2, 5, 1], &|_| 0, &|id| id.0 != 2),
            &[0.25, 0.5, 0.0, 0.25],
        );
    }

    #[test]
    fn two_draws_are_distinct() {
        let draw = RandomTwo {
            sums: [1, 257, 258].into(),
        };
        let mut random = Random(3);
        for _ in 0..10_000 {
            let (one, other) = draw.draw(random.next()).expect("two");
            assert_ne!(one, other);
        }
        assert_eq!(draw.draw(0), Some((0, 1)));
        assert_eq!(draw.draw(u64::MAX), Some((2, 1)));
    }
}
