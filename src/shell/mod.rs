//! Floor 1: actions. Each room does one kind of thing to the world and imports
//! its own pure room; rooms do not import each other.

pub mod plugin_store;
