//! One file per subcommand: its flags (`Args`) and what it does (`run`).

mod admin;
mod alone;
pub mod check;
pub mod completions;
pub mod image;
pub mod lab;
pub mod man;
pub mod plugin;
pub mod probe;
mod registry;
pub mod reload;
pub mod run;
pub mod schema;
pub mod status;
pub mod sweep;
pub mod yield_addresses;

use std::path::PathBuf;

use tokio::runtime::{Builder, Runtime};

use crate::pure::config::Checked;
use crate::shell::document::{self, LoadError, Source};
use crate::shell::plugin_store::Available;

/// What a command waits with that does one thing.
fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))
}

/// Where the document of a command is that was given this `--config`, or none.
fn source(named: Option<PathBuf>) -> Source {
    Source::choose(named, std::env::var_os(document::VARIABLE))
}

/// Read a document that may name any plugin there is.
fn load(source: &Source) -> Result<Checked, LoadError> {
    document::load(source, &Available)
}
