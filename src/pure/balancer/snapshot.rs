//! One immutable view of a pool, from which connections are placed.

use std::net::SocketAddr;

use super::{
    Algorithm, Candidate, EndpointId, first, least_connections, maglev, random_two, round_robin, source_hash,
};

/// A pool's endpoints at one moment, with what its algorithm computes ahead.
#[derive(Clone, Debug)]
pub struct Snapshot {
    candidates: Vec<Candidate>,
    /// The ready endpoints of the tier in use, in document order.
    eligible: Vec<EndpointId>,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    RoundRobin(round_robin::Sequence),
    LeastConnections,
    SourceHash,
    Maglev(maglev::Table),
    RandomTwo,
    First,
}

/// What a choice may depend on besides the pool.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The client.
    pub source: SocketAddr,
    /// A number that is new for each connection; uniform.
    pub random: u64,
}

/// What an algorithm chooses from.
pub(super) struct Choice<'a> {
    pub candidates: &'a [Candidate],
    pub eligible: &'a [EndpointId],
    pub load: &'a dyn Fn(EndpointId) -> u32,
    pub admit: &'a dyn Fn(EndpointId) -> bool,
}

impl Snapshot {
    /// Choose the tier and compute the algorithm's tables. At most 65,536
    /// candidates, in document order.
    pub fn new(algorithm: Algorithm, candidates: &[Candidate]) -> Self {
        let eligible = tier(candidates);
        let method = match algorithm {
            Algorithm::RoundRobin => Method::RoundRobin(round_robin::Sequence::new(candidates, &eligible)),
            Algorithm::LeastConnections => Method::LeastConnections,
            Algorithm::SourceHash => Method::SourceHash,
            Algorithm::Maglev => Method::Maglev(maglev::Table::new(candidates, &eligible)),
            Algorithm::RandomTwo => Method::RandomTwo,
            Algorithm::First => Method::First,
        };
        Self {
            candidates: candidates.to_vec(),
            eligible,
            method,
        }
    }

    /// Whether any endpoint is ready.
    pub fn has_ready(&self) -> bool {
        !self.eligible.is_empty()
    }

    /// Place a connection.
    ///
    /// `ticket` counts the pool's connections: one each, however often it is
    /// tried again. `load` gives an endpoint's open connections; `admit` is
    /// false for endpoints that are full or were tried for this connection.
    /// Backups are for when no other endpoint is ready, not for when all are full.
    pub fn pick(
        &self,
        key: &Key,
        ticket: u64,
        load: &dyn Fn(EndpointId) -> u32,
        admit: &dyn Fn(EndpointId) -> bool,
    ) -> Option<EndpointId> {
        let choice = Choice {
            candidates: &self.candidates,
            eligible: &self.eligible,
            load,
            admit,
        };
        match &self.method {
            Method::RoundRobin(sequence) => sequence.pick(ticket, &choice),
            Method::LeastConnections => least_connections::pick(ticket, &choice),
            Method::SourceHash => source_hash::pick(key, &choice),
            Method::Maglev(table) => table.pick(key, &choice),
            Method::RandomTwo => random_two::pick(key, &choice),
            Method::First => first::pick(&choice),
        }
    }
}

impl Choice<'_> {
    /// The endpoints that may be chosen, in document order.
    pub fn admitted(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.eligible.iter().copied().filter(|&id| (self.admit)(id))
    }

    /// Whether `a` carries less for its weight than `b`.
    pub fn less_loaded(&self, a: EndpointId, b: EndpointId) -> bool {
        let weighted = |mine: EndpointId, other: EndpointId| {
            u64::from((self.load)(mine)) * u64::from(self.candidates[other.index()].weight)
        };
        weighted(a, b) < weighted(b, a)
    }
}

/// The ready primary endpoints, or the ready backups when there is none.
fn tier(candidates: &[Candidate]) -> Vec<EndpointId> {
    let ready = |backup: bool| -> Vec<EndpointId> {
        (0..=u16::MAX)
            .zip(candidates)
            .filter(|(_, candidate)| candidate.ready && candidate.backup == backup)
            .map(|(id, _)| EndpointId(id))
            .collect()
    };
    let primary = ready(false);
    if primary.is_empty() { ready(true) } else { primary }
}

#[cfg(test)]
mod tests {
    use super::super::hash::mix;
    use super::super::testing::{client, ready};
    use super::*;

    const ALL: [Algorithm; 6] = [
        Algorithm::RoundRobin,
        Algorithm::LeastConnections,
        Algorithm::SourceHash,
        Algorithm::Maglev,
        Algorithm::RandomTwo,
        Algorithm::First,
    ];

    #[test]
    fn backups_come_in_only_when_no_primary_is_ready() {
        for algorithm in ALL {
            let mut candidates = ready(&[1, 1]);
            candidates[1].backup = true;
            let primary = Snapshot::new(algorithm, &candidates);
            assert_eq!(
                primary.pick(&client(1), 0, &|_| 0, &|_| true),
                Some(EndpointId(0)),
                "{algorithm:?}"
            );
            let full = primary.pick(&client(1), 0, &|_| 0, &|id| id != EndpointId(0));
            assert_eq!(full, None, "{algorithm:?}: a full primary brings no backup in");
            candidates[0].ready = false;
            let backup = Snapshot::new(algorithm, &candidates);
            assert_eq!(
                backup.pick(&client(1), 0, &|_| 0, &|_| true),
                Some(EndpointId(1)),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn pool_without_ready_endpoints_gives_none() {
        for algorithm in ALL {
            let mut candidates = ready(&[1]);
            candidates[0].ready = false;
            let snapshot = Snapshot::new(algorithm, &candidates);
            assert!(!snapshot.has_ready());
            assert_eq!(
                snapshot.pick(&client(1), 0, &|_| 0, &|_| true),
                None,
                "{algorithm:?}"
            );
            assert_eq!(
                Snapshot::new(algorithm, &[]).pick(&client(1), 0, &|_| 0, &|_| true),
                None
            );
        }
    }

    #[test]
    fn choice_is_always_ready_and_admitted_and_found_when_there_is_one() {
        for seed in 0..2_000u64 {
            let draw = |what: u64, below: u64| mix(seed * 1_000 + what) % below;
            let weights: Vec<u16> = (0..1 + draw(0, 8)).map(|i| 1 + draw(10 + i, 9) as u16).collect();
            let mut candidates = ready(&weights);
            for (i, candidate) in (0..).zip(&mut candidates) {
                candidate.ready = draw(100 + i, 3) > 0;
                candidate.backup = draw(200 + i, 4) == 0;
            }
            let admit = |id: EndpointId| draw(300 + u64::from(id.0), 3) > 0;
            let load = |id: EndpointId| draw(400 + u64::from(id.0), 50) as u32;
            for algorithm in ALL {
                let snapshot = Snapshot::new(algorithm, &candidates);
                let possible: Vec<EndpointId> =
                    tier(&candidates).into_iter().filter(|&id| admit(id)).collect();
                let picked = snapshot.pick(&client(seed as u32), draw(1, 1 << 40), &load, &admit);
                match picked {
                    Some(id) => assert!(possible.contains(&id), "seed {seed}, {algorithm:?}"),
                    None => assert!(
                        possible.is_empty(),
                        "seed {seed}, {algorithm:?}: found none of {possible:?}"
                    ),
                }
            }
        }
    }
}
