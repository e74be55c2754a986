//! The balancer: which endpoint takes a connection.
//!
//! It knows weights, tiers and readiness as one immutable [`Snapshot`]; it does
//! not know why an endpoint is not ready, and it opens no connection. One
//! algorithm a file; all see the same [`Choice`].

mod first;
mod hash;
mod least_connections;
mod maglev;
mod pool;
mod random_two;
mod round_robin;
mod snapshot;
mod source_hash;

pub use hash::identity;
pub use pool::{Algorithm, Candidate, EndpointId};
pub use snapshot::{Key, Snapshot};

use snapshot::Choice;

#[cfg(test)]
mod testing {
    //! Builders for this room's tests.

    use super::*;

    /// Endpoints 10.0.0.1, 10.0.0.2, … of these weights, all ready.
    pub fn ready(weights: &[u16]) -> Vec<Candidate> {
        let candidate = |(index, &weight): (usize, &u16)| Candidate {
            weight,
            backup: false,
            ready: true,
            identity: identity(
                format!("10.0.{}.{}:6443", index / 250, index % 250 + 1)
                    .parse()
                    .unwrap(),
            ),
        };
        weights.iter().enumerate().map(candidate).collect()
    }

    /// The key of the client with this number.
    pub fn client(number: u32) -> Key {
        let [_, a, b, c] = number.to_be_bytes();
        Key {
            source: (std::net::Ipv4Addr::new(192, a, b, c), 40_000).into(),
            random: hash::mix(u64::from(number)),
        }
    }

    /// How many of `clients` each endpoint gets.
    pub fn shares(snapshot: &Snapshot, endpoints: usize, clients: u32) -> Vec<u32> {
        let mut shares = vec![0; endpoints];
        for number in 0..clients {
            let picked = snapshot
                .pick(&client(number), u64::from(number), &|_| 0, &|_| true)
                .unwrap();
            shares[picked.index()] += 1;
        }
        shares
    }
}
