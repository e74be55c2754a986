//! Floor 1: actions. Each room does one kind of thing to the world and imports
//! its own pure room; rooms do not import each other.
//!
//! - [`document`]: reads the document from a file or from standard input
//! - [`forward`]: carries connections
//! - [`plugin_store`]: the bytes of plugins, embedded or from files
//! - [`telemetry`]: the log
//! - [`wasm`]: runs plugins behind a fence

pub mod document;
pub mod forward;
pub mod plugin_store;
pub mod telemetry;
pub mod wasm;
