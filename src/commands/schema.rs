//! `catamaran schema`: the JSON Schema of the document.

use std::io::Write;
use std::process::ExitCode;

use crate::pure::config;

/// Print the JSON Schema of the document, for editors and generators
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the schema.
pub fn run(_: Args) -> ExitCode {
    match std::io::stdout().write_all(config::schema().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
