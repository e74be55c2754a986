//! Floor 1: actions. Each room does one kind of thing to the world and imports
//! its own pure room; rooms do not import each other.

pub mod forward;
pub mod plugin_store;
pub mod telemetry;
pub mod wasm;
