//! Round robin: each in turn, by weight, smoothly mixed.
//!
//! One period of the order is computed ahead and a connection's ticket says
//! whose turn it is, so that order and weights hold exactly whichever core
//! takes the connection, without a lock.

use super::{Candidate, Choice, EndpointId};

/// Bound on the work of computing a period: slots times endpoints. Where
/// weights would need more they are scaled down, none below 1.
const WORK: usize = 1 << 22;

/// One period of the order.
#[derive(Clone, Debug)]
pub struct Sequence(Box<[EndpointId]>);

impl Sequence {
    /// The smooth order: in each slot every endpoint gains its weight, the one
    /// that has most takes the slot and pays the sum of all weights.
    pub fn new(candidates: &[Candidate], eligible: &[EndpointId]) -> Self {
        let weights = reduced(
            &eligible
                .iter()
                .map(|id| usize::from(candidates[id.index()].weight))
                .collect::<Vec<_>>(),
        );
        if weights.iter().all(|&weight| weight == 1) {
            return Self(eligible.into());
        }
        let sum: usize = weights.iter().sum();
        let mut credit = vec![0_i64; weights.len()];
        let slot = |_| {
            let mut most = 0;
            for (index, weight) in weights.iter().enumerate() {
                credit[index] += *weight as i64;
                if credit[index] > credit[most] {
                    most = index;
                }
            }
            credit[most] -= sum as i64;
            eligible[most]
        };
        Self((0..sum).map(slot).collect())
    }

    /// The endpoint whose turn it is, or the next one that is admitted.
    pub fn pick(&self, ticket: u64, choice: &Choice<'_>) -> Option<EndpointId> {
        let length = self.0.len();
        let first = usize::try_from(ticket.checked_rem(length as u64)?).ok()?;
        let (before, from) = self.0.split_at(first);
        from.iter().chain(before).copied().find(|&id| (choice.admit)(id))
    }
}

/// Weights without their common divisor, scaled down where the work would be too much.
fn reduced(weights: &[usize]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let reduced: Vec<usize> = weights.iter().map(|weight| weight / divisor).collect();
    let work = reduced.iter().sum::<usize>() * weights.len();
    if work <= WORK {
        return reduced;
    }
    reduced
        .iter()
        .map(|weight| (weight * WORK / work).max(1))
        .collect()
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    fn order(weights: &[u16], count: u64) -> Vec<u16> {
        let snapshot = Snapshot::new(Algorithm::RoundRobin, &ready(weights));
        (0..count)
            .map(|ticket| snapshot.pick(&client(0), ticket, &|_| 0, &|_| true).unwrap().0)
            .collect()
    }

    #[test]
    fn equal_weights_take_strict_turns() {
        assert_eq!(order(&[7, 7, 7], 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn weights_are_mixed_smoothly() {
        assert_eq!(order(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(order(&[4, 2], 6), [0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn endpoint_that_is_not_admitted_passes_its_turn_on() {
        let snapshot = Snapshot::new(Algorithm::RoundRobin, &ready(&[1, 1, 1]));
        let picked = snapshot.pick(&client(0), 1, &|_| 0, &|id| id != EndpointId(1));
        assert_eq!(picked, Some(EndpointId(2)));
    }

    #[test]
    fn weights_of_a_huge_pool_are_scaled_not_refused() {
        let weights: Vec<u16> = (0..4096).map(|i| 1 + (i % 256)).collect();
        let sequence = Sequence::new(&ready(&weights), &(0..4096).map(EndpointId).collect::<Vec<_>>());
        assert!(sequence.0.len() >= 4096);
    }
}
