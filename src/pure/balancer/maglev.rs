//! Maglev: a table of endpoints that every load balancer computes alike.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", NSDI 2016, §3.4: each endpoint fills the table in an order of its
//! own, all in turn, so that shares are equal and an endpoint that fails moves
//! little besides its own share.

use super::hash::{mix, of_address};
use super::{Candidate, Choice, EndpointId, Key};

/// Entries of the table: a prime, and the paper's small size.
const SIZE: usize = 65_537;

/// The table; empty when no endpoint is ready.
#[derive(Clone, Debug)]
pub struct Table(Box<[EndpointId]>);

/// One endpoint's order of the table's entries.
struct Filler {
    id: EndpointId,
    offset: usize,
    skip: usize,
    /// Entries it has tried to take.
    tried: usize,
    weight: u64,
    /// Share of a turn it has saved up.
    saved: u64,
}

impl Table {
    /// Fill the table from the eligible endpoints.
    pub fn new(candidates: &[Candidate], eligible: &[EndpointId]) -> Self {
        let mut fillers: Vec<Filler> = eligible
            .iter()
            .map(|&id| Filler::new(id, &candidates[id.index()]))
            .collect();
        // The document's order must not matter: two endpoints of one pool have
        // different addresses.
        fillers.sort_by_key(|filler| candidates[filler.id.index()].identity);
        let heaviest = fillers.iter().map(|filler| filler.weight).max().unwrap_or(1);
        let mut table: Vec<Option<EndpointId>> = vec![None; if fillers.is_empty() { 0 } else { SIZE }];
        let mut empty = table.len();
        while empty > 0 {
            for filler in &mut fillers {
                filler.saved += filler.weight;
                if filler.saved < heaviest || empty == 0 {
                    continue;
                }
                filler.saved -= heaviest;
                filler.take_entry(&mut table);
                empty -= 1;
            }
        }
        Self(table.into_iter().flatten().collect())
    }

    /// The endpoint of the client's entry, or of the next entry whose endpoint
    /// is admitted.
    pub fn pick(&self, key: &Key, choice: &Choice<'_>) -> Option<EndpointId> {
        let entry = usize::try_from(of_address(key.source).checked_rem(self.0.len() as u64)?).ok()?;
        let (before, from) = self.0.split_at(entry);
        // The next entries belong to all endpoints in turn: a walk past the
        // whole table happens only when none is admitted.
        choice.admitted().next()?;
        from.iter().chain(before).copied().find(|&id| (choice.admit)(id))
    }
}

impl Filler {
    fn new(id: EndpointId, candidate: &Candidate) -> Self {
        let within = |hash: u64, size: usize| (hash % size as u64) as usize;
        Self {
            id,
            offset: within(mix(candidate.identity), SIZE),
            skip: within(mix(candidate.identity ^ 0x6d61_676c_6576), SIZE - 1) + 1,
            tried: 0,
            weight: u64::from(candidate.weight),
            saved: 0,
        }
    }

    /// Take the next entry of this order that is still empty; there is one.
    fn take_entry(&mut self, table: &mut [Option<EndpointId>]) {
        loop {
            let entry = (self.offset + self.skip * self.tried) % SIZE;
            self.tried += 1;
            if table[entry].is_none() {
                table[entry] = Some(self.id);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready, shares};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    fn all(count: u16) -> Vec<EndpointId> {
        (0..count).map(EndpointId).collect()
    }

    fn entries(weights: &[u16]) -> Vec<usize> {
        let table = Table::new(&ready(weights), &all(weights.len() as u16));
        all(weights.len() as u16)
            .iter()
            .map(|id| table.0.iter().filter(|entry| *entry == id).count())
            .collect()
    }

    #[test]
    fn entries_are_shared_by_weight() {
        let equal = entries(&[1, 1, 1]);
        assert!(
            equal.iter().all(|count| (21_845..=21_846).contains(count)),
            "{equal:?}"
        );
        let weighted = entries(&[1, 3]);
        assert!((16_380..=16_390).contains(&weighted[0]), "{weighted:?}");
    }

    #[test]
    fn clients_spread_evenly() {
        let shares = shares(&Snapshot::new(Algorithm::Maglev, &ready(&[1, 1, 1])), 3, 30_000);
        assert!(
            shares.iter().all(|share| (9_500..10_500).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn failed_endpoint_moves_little_besides_its_own_share() {
        let candidates = ready(&[1; 10]);
        let before = Table::new(&candidates, &all(10));
        let after = Table::new(&candidates, &all(9));
        let moved = before
            .0
            .iter()
            .zip(&after.0)
            .filter(|(b, a)| b.0 != 9 && a != b)
            .count();
        assert!(moved < SIZE / 20, "{moved} entries of others moved");
    }

    #[test]
    fn order_of_the_document_does_not_matter() {
        let candidates = ready(&[1, 2, 3]);
        let turned: Vec<Candidate> = candidates.iter().rev().copied().collect();
        let here = Table::new(&candidates, &all(3));
        let there = Table::new(&turned, &all(3));
        assert!(
            here.0
                .iter()
                .zip(&there.0)
                .all(|(here, there)| here.0 == 2 - there.0)
        );
    }

    #[test]
    fn port_matters() {
        let snapshot = Snapshot::new(Algorithm::Maglev, &ready(&[1, 1, 1]));
        let pick = |port| {
            let key = Key {
                source: ([10, 0, 0, 7], port).into(),
                random: 0,
            };
            snapshot.pick(&key, 0, &|_| 0, &|_| true)
        };
        assert!((1..100).any(|port| pick(port) != pick(500)));
        assert!(snapshot.pick(&client(1), 0, &|_| 0, &|_| true).is_some());
    }
}
