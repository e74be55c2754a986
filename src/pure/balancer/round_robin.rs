//! Round robin: each in turn, by weight, smoothly mixed.
//!
//! One period of the order is computed in advance and a connection's ticket is
//! its place in it, so that order and shares hold exactly whatever core takes
//! the connection.

use super::pool::{EndpointId, Member};

/// Most slots of a period: 128 KiB.
const MOST_SLOTS: u32 = 65_536;

/// One period of the order, as indexes into the members.
#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    period: Box<[u16]>,
}

impl RoundRobin {
    /// The period over `members`, whose weights are divided by their greatest
    /// common divisor first. When more than 65,536 slots remain, weights are
    /// scaled down until they fit, the smallest to no less than 1: the lightest
    /// of hundreds of very unequal endpoints then get a little more than their
    /// share.
    pub fn new(members: &[Member]) -> Self {
        let weights: Vec<u32> = members.iter().map(|member| member.weight).collect();
        Self {
            period: smooth(&fitted(&weights)),
        }
    }

    /// The endpoint in the ticket's slot, or in the first admitted one after it.
    pub fn pick(
        &self,
        members: &[Member],
        ticket: u64,
        admit: &impl Fn(EndpointId) -> bool,
    ) -> Option<EndpointId> {
        let length = u64::try_from(self.period.len()).expect("at most 65,536 slots");
        let start = usize::try_from(ticket.checked_rem(length)?).expect("below the length");
        // Many slots in a row may belong to few endpoints that are all full: after
        // a while it is cheaper to ask each of the others once.
        let slots = self.period[start..].iter().chain(&self.period[..start]);
        let from_slots = slots
            .take(2 * members.len())
            .map(|index| members[usize::from(*index)].id);
        let turn = start % members.len();
        let others = members[turn..]
            .iter()
            .chain(&members[..turn])
            .map(|member| member.id);
        from_slots.chain(others).find(|id| admit(*id))
    }
}

/// The same shares in at most [`MOST_SLOTS`] slots.
fn fitted(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let sum: u32 = weights.iter().map(|weight| weight / divisor).sum();
    if sum <= MOST_SLOTS {
        return weights.iter().map(|weight| weight / divisor).collect();
    }
    // Rounding down, and up to 1, stays within the bound: each endpoint adds at
    // most one slot to what the scaled sum leaves room for.
    let count = u32::try_from(weights.len()).expect("at most 4,096 endpoints");
    let room = u64::from(MOST_SLOTS - count);
    let scale = |weight: &u32| u64::from(*weight / divisor) * room / u64::from(sum);
    weights
        .iter()
        .map(|weight| {
            u32::try_from(scale(weight))
                .expect("no larger than before")
                .max(1)
        })
        .collect()
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

/// Endpoints of one weight. Among them smooth order is plain document order, so
/// only the one whose turn it is competes with the other weights.
struct Peers {
    weight: i64,
    members: Vec<u16>,
    /// Whose turn it is.
    turn: usize,
    /// How often that one was picked already.
    picks: i64,
}

/// One period of nginx's smooth weighted round robin: at each step every
/// endpoint gains its weight, and the richest (the first of several) is picked
/// and pays the sum of all weights. What endpoint i owns at step t is therefore
/// `t × weight − picks × sum`, which is computed here for one endpoint of each
/// weight, instead of kept up for thousands.
fn smooth(weights: &[u32]) -> Box<[u16]> {
    let mut all: Vec<Peers> = Vec::new();
    for (index, weight) in (0u16..).zip(weights) {
        let weight = i64::from(*weight);
        match all.iter_mut().find(|peers| peers.weight == weight) {
            Some(peers) => peers.members.push(index),
            None => all.push(Peers {
                weight,
                members: vec![index],
                turn: 0,
                picks: 0,
            }),
        }
    }
    let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    let mut pick = |step: i64| {
        let richest = all.iter_mut().max_by_key(|peers| {
            let owned = step * peers.weight - peers.picks * sum;
            (owned, std::cmp::Reverse(peers.members[peers.turn]))
        });
        let peers = richest.expect("a step for each weight, so there are weights");
        let picked = peers.members[peers.turn];
        peers.turn += 1;
        if peers.turn == peers.members.len() {
            peers.turn = 0;
            peers.picks += 1;
        }
        picked
    };
    (1..=sum).map(&mut pick).collect()
}

#[cfg(test)]
mod tests {
    use super::super::hash::tests::Random;
    use super::super::snapshot::tests::{candidates, key};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    fn order(weights: &[u16], tickets: std::ops::Range<u64>) -> Vec<u16> {
        let snapshot = Snapshot::new(Algorithm::RoundRobin, &candidates(weights));
        tickets
            .map(|ticket| snapshot.pick(&key(0), ticket, &|_| 0, &|_| true).expect("one").0)
            .collect()
    }

    /// nginx's own words: add, pick the richest, let it pay.
    fn as_nginx_does(weights: &[u32]) -> Vec<u16> {
        let weights: Vec<i64> = weights.iter().map(|weight| i64::from(*weight)).collect();
        let sum: i64 = weights.iter().sum();
        let mut current = vec![0; weights.len()];
        let step = |_| {
            current
                .iter_mut()
                .zip(&weights)
                .for_each(|(current, weight)| *current += weight);
            let richest = (0..current.len())
                .max_by_key(|index| (current[*index], std::cmp::Reverse(*index)))
                .expect("one");
            current[richest] -= sum;
            u16::try_from(richest).expect("small")
        };
        (0..sum).map(step).collect()
    }

    #[test]
    fn equal_weights_go_in_document_order() {
        assert_eq!(order(&[1, 1, 1], 0..7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(order(&[200, 200, 200], 0..4), [0, 1, 2, 0]);
    }

    #[test]
    fn unequal_weights_are_mixed_as_nginx_does() {
        // http://hg.nginx.org/nginx/rev/c90801720a0c: 5, 1, 1 gives a a b a c a a.
        assert_eq!(order(&[5, 1, 1], 0..8), [0, 0, 1, 0, 2, 0, 0, 0]);
        assert_eq!(order(&[1, 2, 3], 0..6), [2, 1, 0, 2, 1, 2]);
    }

    #[test]
    fn any_weights_are_mixed_as_nginx_does() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let weights: Vec<u32> = (0..=random.below(12))
                .map(|_| u32::try_from(1 + random.below(9)).expect("small"))
                .collect();
            assert_eq!(*smooth(&weights), *as_nginx_does(&weights), "{weights:?}");
        }
    }

    #[test]
    fn slot_that_is_not_admitted_gives_way_to_the_next() {
        let snapshot = Snapshot::new(Algorithm::RoundRobin, &candidates(&[5, 1, 1]));
        let without_first: Vec<_> = (0..7)
            .map(|ticket| {
                snapshot
                    .pick(&key(0), ticket, &|_| 0, &|id| id.0 != 0)
                    .expect("one")
                    .0
            })
            .collect();
        assert_eq!(without_first, [1, 1, 1, 2, 2, 1, 1]);
    }

    #[test]
    fn endpoint_that_is_not_ready_leaves_the_order() {
        let mut pool = candidates(&[1, 1, 1]);
        pool[1].ready = false;
        let snapshot = Snapshot::new(Algorithm::RoundRobin, &pool);
        let picks: Vec<_> = (0..4)
            .map(|ticket| snapshot.pick(&key(0), ticket, &|_| 0, &|_| true).expect("one").0)
            .collect();
        assert_eq!(picks, [0, 2, 0, 2]);
    }

    #[test]
    fn largest_pool_fits_with_shares_kept() {
        let weights: Vec<u32> = (0..4096).map(|index| 1 + index % 256).collect();
        let fitted = fitted(&weights);
        let sum: u32 = fitted.iter().sum();
        assert!((59_000..=MOST_SLOTS).contains(&sum), "{sum}");
        // 256 / 526,336 of 61,440 slots are 29.9.
        assert_eq!((fitted[0], fitted[255]), (1, 29));
        assert_eq!(smooth(&fitted).len(), usize::try_from(sum).expect("small"));
    }
}
