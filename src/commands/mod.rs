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
use tokio::task::spawn_blocking;

use crate::app::fetch;
use crate::pure::config::Checked;
use crate::shell::document::{self, Document, LoadError, Source};
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
    Document::read(source)?.check(&Available::default())
}

/// The same with its plugins, fetched where they are not among `available` yet;
/// `say` is told of that.
async fn load_whole(
    source: Source,
    mut available: Available,
    say: &mut dyn FnMut(String),
) -> Result<(Checked, Available), LoadError> {
    // It may lie on a slow disk, and its schemas may take a while.
    let here = available.clone();
    let (document, checked) = apart(move || {
        let document = Document::read(&source)?;
        let checked = document.check(&here)?;
        Ok((document, checked))
    })
    .await?;
    available.keep_what_is_named(&checked.config);
    let fetched = fetch(&checked.config, &mut available, say).await;
    match fetched.map_err(LoadError::Lacking)? {
        false => Ok((checked, available)),
        // Only now it is known which settings these want.
        true => apart(move || Ok((document.check(&available)?, available))).await,
    }
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LoadError::Unreadable(error.to_string())))
}
