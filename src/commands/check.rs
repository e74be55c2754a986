//! `catamaran check`: is the document good, and what does it say in full?

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::pure::config::{self, Checked, Config, Format, Mistake, Severity};
use crate::shell::document::{self, LoadError, count};

/// Check a document and show every mistake in it
///
/// Exits with 0 if the document is good, with 2 if it is wrong or cannot be
/// read. Warnings do not change the exit code.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The document, TOML or JSON; `-` reads standard input
    file: PathBuf,

    /// Print the document with all defaults filled in (TOML, with --json JSON)
    #[arg(long)]
    effective: bool,

    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Checks the document.
pub fn run(args: Args) -> ExitCode {
    let loaded = super::load(&args.file);
    let good = loaded.is_ok();
    let (out, err) = match loaded {
        Ok(checked) => good_report(&args, &checked),
        Err(error) if args.json && !args.effective => (pretty(&bad_json(&error)), String::new()),
        Err(error) => (String::new(), format!("{error}\n")),
    };
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stderr().write_all(err.as_bytes());
    let _ = std::io::stdout().write_all(out.as_bytes());
    ExitCode::from(if good { 0 } else { 2 })
}

/// Texts for standard output and standard error.
fn good_report(args: &Args, checked: &Checked) -> (String, String) {
    let name = document::name(&args.file);
    let warnings = warnings(&name, &checked.warnings);
    if args.effective {
        let format = if args.json { Format::Json } else { Format::Toml };
        return match config::effective(&checked.config, format) {
            Ok(text) => (text, warnings),
            Err(error) => (String::new(), format!("{name}: {error}\n")),
        };
    }
    if args.json {
        let report = json!({ "good": true, "mistakes": [], "warnings": checked.warnings });
        return (pretty(&report), String::new());
    }
    (summary(&args.file, &checked.config), warnings)
}

pub(super) fn warnings(name: &str, warnings: &[Mistake]) -> String {
    warnings
        .iter()
        .map(|warning| warning.render(name, Severity::Warning) + "\n\n")
        .collect()
}

fn summary(path: &Path, config: &Config) -> String {
    let endpoints = config.pools.iter().map(|pool| pool.endpoints.len()).sum();
    let parts = [
        count(config.nodes.len(), "node"),
        count(config.virtual_routers.len(), "virtual router"),
        count(config.listeners.len(), "listener"),
        count(config.pools.len(), "pool"),
        count(endpoints, "endpoint"),
        count(config.checks.len(), "check"),
    ];
    format!("{}: good: {}\n", document::name(path), parts.join(", "))
}

/// A document that cannot be read has one mistake without a place.
fn bad_json(error: &LoadError) -> Value {
    match error {
        LoadError::Unreadable(message) => json!({
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
