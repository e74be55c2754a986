//! Images: from a description, a binary and a few facts to the files of an OCI
//! image layout, the same bytes each time.
//!
//! Compression and files are for `shell/oci`.
//!
//! ```text
//!  description ──▶ layer entries ──(packed by the shell)──▶ layer ─┐
//!  description, facts ──▶ configuration, labels ───────────────────┼─▶ layout
//!  Cargo.lock ──▶ bill of materials ───────────────────────────────┘
//! ```

pub mod compose;
mod container;
pub mod description;
pub mod executable;
pub mod facts;
pub mod layer;
pub mod layout;
pub mod name;
pub mod platform;
pub mod plugin;
pub mod sbom;
