//! `catamaran check`: is the document good, and what does it say in full?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::pure::config::{self, Checked, Config, Format, Mistake, Severity};
use crate::shell::document::{LoadError, Source, count};

/// Check a document and show every mistake in it
///
/// Exits with 0 if the document is good, with 2 if it is wrong or cannot be
/// read. Warnings do not change the exit code.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The document, TOML or JSON; `-` reads standard input
    ///
    /// Without it, the text in the environment variable CATAMARAN_DOCUMENT, or
    /// else the file /etc/catamaran/cluster.toml.
    file: Option<PathBuf>,

    /// Print the document with all defaults filled in (TOML, with --json JSON)
    #[arg(long)]
    effective: bool,

    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Checks the document.
pub fn run(args: Args) -> ExitCode {
    let source = super::source(args.file.clone());
    let loaded = super::load(&source);
    let good = loaded.is_ok();
    let (out, err) = match loaded {
        Ok(checked) => good_report(&args, &source, &checked),
        Err(error) if args.json && !args.effective => (pretty(&bad_json(&error)), String::new()),
        Err(error) => (String::new(), format!("{error}\n")),
    };
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stderr().write_all(err.as_bytes());
    let _ = std::io::stdout().write_all(out.as_bytes());
    ExitCode::from(if good { 0 } else { 2 })
}

/// Texts for standard output and standard error.
fn good_report(args: &Args, source: &Source, checked: &Checked) -> (String, String) {
    let warnings = warnings(source, &checked.warnings);
    if args.effective {
        let format = if args.json { Format::Json } else { Format::Toml };
        return match config::effective(&checked.config, format) {
            Ok(text) => (text, warnings),
            Err(error) => (String::new(), format!("{source}: {error}\n")),
        };
    }
    if args.json {
        let report = json!({ "good": true, "mistakes": [], "warnings": checked.warnings });
        return (pretty(&report), String::new());
    }
    (summary(source, &checked.config), warnings)
}

pub(super) fn warnings(source: &Source, warnings: &[Mistake]) -> String {
    let name = source.to_string();
    warnings
        .iter()
        .map(|warning| warning.render(&name, Severity::Warning) + "\n\n")
        .collect()
}

fn summary(source: &Source, config: &Config) -> String {
    let endpoints = config.pools.iter().map(|pool| pool.endpoints.len()).sum();
    let parts = [
        count(config.nodes.len(), "node"),
        count(config.virtual_routers.len(), "virtual router"),
        count(config.listeners.len(), "listener"),
        count(config.pools.len(), "pool"),
        count(endpoints, "endpoint"),
        count(config.checks.len(), "check"),
    ];
    format!("{source}: good: {}\n", parts.join(", "))
}

/// A document that cannot be read has one mistake without a place.
pub(super) fn bad_json(error: &LoadError) -> Value {
    match error {
        LoadError::Unreadable(message) | LoadError::Lacking(message) => json!({
            "good": false,
            "mistakes": [{ "message": message }],
            "warnings": [],
        }),
        LoadError::Refused { refused, .. } => json!({
            "good": false,
            "mistakes": refused.mistakes,
            "warnings": refused.warnings,
        }),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
