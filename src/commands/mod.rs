//! One file per subcommand: its flags (`Args`) and what it does (`run`).

mod admin;
pub mod check;
pub mod lab;
pub mod plugin;
pub mod probe;
pub mod run;
pub mod schema;
pub mod status;
pub mod yield_addresses;

use std::path::Path;

use crate::pure::config::Checked;
use crate::shell::document::{self, LoadError};
use crate::shell::plugin_store;

/// Read a document that may name the standard plugins of this binary.
fn load(path: &Path) -> Result<Checked, LoadError> {
    document::load(path, &standard_plugins())
}

/// Their names.
fn standard_plugins() -> Vec<&'static str> {
    plugin_store::STANDARD.iter().map(|(name, _)| *name).collect()
}
