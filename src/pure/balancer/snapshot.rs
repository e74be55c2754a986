//! One state of a pool, published in one step: weights, tiers and readiness
//! together, with whatever its algorithm computed from them in advance.

use std::net::SocketAddr;

use super::maglev::Maglev;
use super::pool::{Algorithm, Candidate, EndpointId, Member};
use super::random_two::RandomTwo;
use super::round_robin::RoundRobin;
use super::{first, hash, least_connections, source_hash};

/// What is known about a connection before its endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The client's address and port.
    pub source: SocketAddr,
    /// A fresh random number; only [`Algorithm::RandomTwo`] looks at it.
    pub random: u64,
}

/// A pool at one moment. Immutable: a change of readiness makes a new one.
///
/// Only ready endpoints of one tier take connections: the primary ones, or the
/// backups while *no primary is ready*. A primary that is ready but full does not
/// bring the backups in: they are there for failures, and load that spills over
/// would hide that the pool is too small.
///
/// Costs: at most 128 KiB for 65,537 slots (round robin, Maglev), built in a few
/// milliseconds at most; a pick reads one slot, or asks every ready endpoint
/// (least connections, source hash).
#[derive(Clone, Debug)]
pub struct Snapshot {
    algorithm: Algorithm,
    members: Box<[Member]>,
    choice: Choice,
}

/// What an algorithm computes in advance.
#[derive(Clone, Debug)]
enum Choice {
    RoundRobin(RoundRobin),
    LeastConnections,
    SourceHash,
    Maglev(Maglev),
    RandomTwo(RandomTwo),
    First,
}

impl Snapshot {
    /// The state of a pool whose endpoints are `candidates`, in document order;
    /// at most 4,096 of them. Weights of 0 count as 1.
    pub fn new(algorithm: Algorithm, candidates: &[Candidate]) -> Self {
        let members = tier(candidates);
        let choice = match algorithm {
            Algorithm::RoundRobin => Choice::RoundRobin(RoundRobin::new(&members)),
            Algorithm::LeastConnections => Choice::LeastConnections,
            Algorithm::SourceHash => Choice::SourceHash,
            Algorithm::Maglev => Choice::Maglev(Maglev::new(&members, candidates.len())),
            Algorithm::RandomTwo => Choice::RandomTwo(RandomTwo::new(&members)),
            Algorithm::First => Choice::First,
        };
        Self {
            algorithm,
            members,
            choice,
        }
    }

    /// The algorithm it was made for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The endpoints that take connections now, in document order. Empty: none
    /// is ready.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether any endpoint is ready, full or not.
    pub fn has_ready(&self) -> bool {
        !self.members.is_empty()
    }

    /// The endpoint for one connection; `None` when none is ready and admitted.
    ///
    /// - `ticket` is the connection's number: a counter of the pool, shared by
    ///   all threads and incremented once per connection (and once more for each
    ///   retry, if that shall move on). It carries the order of round robin and
    ///   turns ties around.
    /// - `load` gives an endpoint's open connections.
    /// - `admit` is false for an endpoint that is full or was tried before for
    ///   this connection. It may be asked about an endpoint more than once, and
    ///   about ones that are not picked: it must only look.
    pub fn pick(
        &self,
        key: &Key,
        ticket: u64,
        load: &impl Fn(EndpointId) -> u32,
        admit: &impl Fn(EndpointId) -> bool,
    ) -> Option<EndpointId> {
        let members = &*self.members;
        match &self.choice {
            Choice::RoundRobin(sequence) => sequence.pick(members, ticket, admit),
            Choice::LeastConnections => least_connections::pick(members, ticket, load, admit),
            Choice::SourceHash => source_hash::pick(members, hash::client(key.source), admit),
            Choice::Maglev(table) => table.pick(members, hash::client_flow(key.source), admit),
            Choice::RandomTwo(draw) => draw.pick(members, key.random, load, admit),
            Choice::First => first::pick(members, admit),
        }
    }
}

/// The ready endpoints of the tier in use.
fn tier(candidates: &[Candidate]) -> Box<[Member]> {
    let backups = !candidates
        .iter()
        .any(|candidate| candidate.ready && !candidate.backup);
    (0u16..)
        .zip(candidates)
        .filter(|(_, candidate)| candidate.ready && candidate.backup == backups)
        .map(|(index, candidate)| Member {
            id: EndpointId(index),
            weight: u32::from(candidate.weight.max(1)),
            identity: candidate.identity,
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::super::hash::tests::Random;
    use super::*;

    pub const ALL: [Algorithm; 6] = [
        Algorithm::RoundRobin,
        Algorithm::LeastConnections,
        Algorithm::SourceHash,
        Algorithm::Maglev,
        Algorithm::RandomTwo,
        Algorithm::First,
    ];

    /// Ready primaries at 192.0.2.1:6443, 192.0.2.2:6443, …
    pub fn candidates(weights: &[u16]) -> Vec<Candidate> {
        (1u32..)
            .zip(weights)
            .map(|(host, weight)| Candidate {
                weight: *weight,
                backup: false,
                ready: true,
                identity: hash::identity(SocketAddr::from(((0xc000_0200 + host).to_be_bytes(), 6443))),
            })
            .collect()
    }

    pub fn key(client: u64) -> Key {
        let octets = u32::try_from(client >> 16 & 0xffff_ffff)
            .expect("masked")
            .to_be_bytes();
        let port = u16::try_from(client & 0xffff).expect("masked");
        Key {
            source: SocketAddr::from((octets, port)),
            random: hash::mix(client),
        }
    }

    fn pick(snapshot: &Snapshot, ticket: u64) -> Option<u16> {
        snapshot
            .pick(&key(ticket * 7919), ticket, &|_| 0, &|_| true)
            .map(|id| id.0)
    }

    #[test]
    fn pool_without_ready_endpoints_picks_none() {
        for algorithm in ALL {
            let mut unready = candidates(&[1, 2]);
            unready.iter_mut().for_each(|candidate| candidate.ready = false);
            assert_eq!(
                pick(&Snapshot::new(algorithm, &unready), 3),
                None,
                "{algorithm:?}"
            );
            assert_eq!(pick(&Snapshot::new(algorithm, &[]), 3), None, "{algorithm:?}");
        }
    }

    #[test]
    fn single_endpoint_takes_everything() {
        for algorithm in ALL {
            let snapshot = Snapshot::new(algorithm, &candidates(&[7]));
            assert!(
                (0..100).all(|ticket| pick(&snapshot, ticket) == Some(0)),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn excluding_every_endpoint_picks_none() {
        for algorithm in ALL {
            let snapshot = Snapshot::new(algorithm, &candidates(&[1, 5, 2]));
            assert_eq!(
                snapshot.pick(&key(1), 1, &|_| 0, &|_| false),
                None,
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn ready_primary_keeps_backups_out_even_when_full() {
        for algorithm in ALL {
            let mut pool = candidates(&[1, 1]);
            pool[1].backup = true;
            let snapshot = Snapshot::new(algorithm, &pool);
            assert!(
                (0..50).all(|ticket| pick(&snapshot, ticket) == Some(0)),
                "{algorithm:?}"
            );
            let full = snapshot.pick(&key(1), 1, &|_| 9, &|id| id != EndpointId(0));
            assert_eq!(full, None, "{algorithm:?}");
        }
    }

    #[test]
    fn backups_come_in_when_no_primary_is_ready() {
        for algorithm in ALL {
            let mut pool = candidates(&[1, 1]);
            pool[1].backup = true;
            pool[0].ready = false;
            assert_eq!(
                pick(&Snapshot::new(algorithm, &pool), 1),
                Some(1),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn last_admitted_endpoint_is_found() {
        for algorithm in ALL {
            let snapshot = Snapshot::new(algorithm, &candidates(&[256; 40]));
            for last in 0..40 {
                let found = snapshot.pick(&key(77), 5, &|_| 0, &|id| id.0 == last);
                assert_eq!(found, Some(EndpointId(last)), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn pick_is_always_ready_and_admitted() {
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut pool = candidates(&vec![1; usize::try_from(random.below(40)).expect("small")]);
            for candidate in &mut pool {
                candidate.weight = u16::try_from(1 + random.below(256)).expect("small");
                candidate.ready = random.below(3) > 0;
                candidate.backup = random.below(4) == 0;
            }
            let primary = pool.iter().any(|candidate| candidate.ready && !candidate.backup);
            let admitted: Vec<bool> = pool.iter().map(|_| random.below(2) == 0).collect();
            for algorithm in ALL {
                let snapshot = Snapshot::new(algorithm, &pool);
                for _ in 0..20 {
                    let seen = Cell::new(0);
                    let picked = snapshot.pick(
                        &key(random.next()),
                        random.next(),
                        &|id| u32::from(id.0) % 5,
                        &|id| {
                            seen.set(seen.get() + 1);
                            admitted[id.index()]
                        },
                    );
                    let possible =
                        |index: usize| pool[index].ready && pool[index].backup != primary && admitted[index];
                    match picked {
                        Some(id) => assert!(possible(id.index()), "seed {seed}, {algorithm:?}"),
                        None => {
                            assert!(!(0..pool.len()).any(possible), "seed {seed}, {algorithm:?}");
                        }
                    }
                    assert!(
                        seen.get() <= 5 * pool.len() + 8,
                        "seed {seed}, {algorithm:?}: {}",
                        seen.get()
                    );
                }
            }
        }
    }
}
