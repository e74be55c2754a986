//! Health: what single probes found, and what we believe after several.
//!
//! This room decides when the next probe is due and when an endpoint goes up or
//! down. It does not probe: `shell` runs plugins and hands their findings in.

mod endpoint;
mod finding;
mod rise_fall;
mod schedule;

pub use endpoint::{EndpointHealth, Input, Output, Parameters};
pub use finding::{Cause, Finding};
pub use rise_fall::Belief;
