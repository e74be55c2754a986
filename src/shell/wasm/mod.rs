//! The plugin host: runs checks, which are WebAssembly components, inside a fence.
//!
//! A plugin gets a fresh instance for each probe, a bounded time, bounded
//! memory, a bounded log, and connections to its own endpoint. TLS is spoken
//! here, so that a plugin sees clear bytes and never a key. Whatever it does
//! ends as a [`Finding`] with a named cause; nothing it does ends this process.
//!
//! ```text
//!  Host::load ─ compile or take from the cache ─ check imports ─ InstancePre ─ Plugin
//!  Plugin::probe ─ thread for plugins ─ room in the budget ─ turns to compute
//!                  └─ Store<Guest> ─ instance ─ check() ─┬─ log, clock, http, connection ─ endpoint
//!                                                     └─ Probe: finding, time, log
//! ```
//!
//! [`Finding`]: crate::pure::health::Finding

#[allow(missing_docs)] // The contract itself documents them: plugins/wit.
mod bindings;
mod budget;
mod course;
mod failure;
mod guest;
mod host;
mod http;
mod imports;
mod lanes;
mod limits;
mod line;
mod precompiled;
mod runner;
mod stream;
mod ticker;
mod tls;
mod wasi;

pub use guest::Level;
pub use host::{Host, Plugin, Probe, ProbeRequest};
pub use imports::{Grant, grant};
pub use tls::TlsClient;
