//! Source hash: the same client address goes to the same endpoint.
//!
//! Weighted rendezvous hashing: every endpoint draws a number for the client
//! and the best draw wins, so an endpoint that fails moves its own clients and
//! nobody else's.

use super::hash::{mix, of_ip};
use super::{Choice, EndpointId, Key};

/// The endpoint with the client's best draw.
pub fn pick(key: &Key, choice: &Choice<'_>) -> Option<EndpointId> {
    let client = of_ip(key.source);
    let draw = |id: EndpointId| {
        let candidate = &choice.candidates[id.index()];
        // Uniform in (0, 1); 53 bits are what a float holds exactly.
        let uniform = ((mix(client ^ candidate.identity) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(candidate.weight) / -uniform.ln()
    };
    choice.admitted().max_by(|&a, &b| draw(a).total_cmp(&draw(b)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready, shares};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    #[test]
    fn clients_spread_by_weight() {
        let shares = shares(
            &Snapshot::new(Algorithm::SourceHash, &ready(&[1, 1, 2])),
            3,
            40_000,
        );
        assert!((9_500..10_500).contains(&shares[0]), "{shares:?}");
        assert!((19_500..20_500).contains(&shares[2]), "{shares:?}");
    }

    #[test]
    fn failed_endpoint_moves_only_its_own_clients() {
        let mut candidates = ready(&[1, 1, 1, 1]);
        let before = Snapshot::new(Algorithm::SourceHash, &candidates);
        candidates[2].ready = false;
        let after = Snapshot::new(Algorithm::SourceHash, &candidates);
        for number in 0..5_000 {
            let pick = |snapshot: &Snapshot| snapshot.pick(&client(number), 0, &|_| 0, &|_| true).unwrap();
            if pick(&before) != EndpointId(2) {
                assert_eq!(pick(&before), pick(&after), "client {number} moved");
            }
        }
    }

    #[test]
    fn port_does_not_matter() {
        let snapshot = Snapshot::new(Algorithm::SourceHash, &ready(&[1, 1, 1]));
        let pick = |port| {
            let key = Key {
                source: ([10, 0, 0, 7], port).into(),
                random: 0,
            };
            snapshot.pick(&key, 0, &|_| 0, &|_| true)
        };
        assert!((1..500).all(|port| pick(port) == pick(501)));
    }
}
