//! The balancer: which endpoint takes a connection.
//!
//! It knows weights, tiers and readiness as one immutable [`Snapshot`]; it does
//! not know why an endpoint is not ready, and it opens no connection.

mod pool;

pub use pool::{Algorithm, Candidate, EndpointId};
