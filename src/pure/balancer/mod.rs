//! The balancer: which endpoint takes a connection.
//!
//! It knows weights, tiers and readiness as one immutable [`Snapshot`]; it does
//! not know why an endpoint is not ready, and it opens no connection. It counts
//! nothing either: tickets, open connections and random numbers come in with
//! each question.
//!
//! One file per algorithm; [`Snapshot`] chooses among them.

mod first;
mod hash;
mod least_connections;
mod maglev;
mod pool;
mod random_two;
mod round_robin;
mod snapshot;
mod source_hash;

pub use hash::{client, client_flow, hash64, identity};
pub use maglev::MaglevTable;
pub use pool::{Algorithm, Candidate, EndpointId, Member};
pub use snapshot::{Key, Snapshot};
