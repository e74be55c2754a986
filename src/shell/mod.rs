//! Floor 1: actions. Each room does one kind of thing to the world and imports
//! its own pure room; rooms do not import each other.
//!
//! - [`document`]: reads the document from a file or from standard input

pub mod document;
