//! `catamaran reload`: have the daemon read its document again.

use std::io::Write;
use std::process::ExitCode;

use serde::Deserialize;

use super::admin::{self, Admin};
use crate::app::reload::Reloaded;
use crate::shell::admin::{Question, Refusal};

/// Have the daemon on this machine read its document again
///
/// Returns once the new document is applied, and shows what changed; what did
/// not change keeps its connections. A wrong document is shown with every
/// mistake, as `check` does, and exits with 2; one that cannot be applied, as
/// when a port is taken, exits with 1. The daemon goes on by the old one then,
/// all of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    admin: Admin,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// The part of a refusal that is for people.
#[derive(Deserialize)]
struct Wrong {
    text: String,
}

/// Ask and print.
pub fn run(args: &Args) -> ExitCode {
    let (code, out, err) = match admin::request(&args.admin.place(), Question::Reload) {
        Ok(json) if args.json => (0, json + "\n", String::new()),
        Ok(json) => match serde_json::from_str(&json) {
            Ok(reloaded) => {
                let (out, err) = shown(&reloaded);
                (0, out, err)
            }
            Err(error) => {
                let err = format!("catamaran: the daemon is of another version: {error}\n");
                (1, String::new(), err)
            }
        },
        Err(Refusal::Failed(why)) => (1, String::new(), format!("catamaran: {why}\n")),
        Err(Refusal::Wrong(json)) if args.json => (2, json + "\n", String::new()),
        Err(Refusal::Wrong(json)) => {
            let text = serde_json::from_str(&json).map_or(json, |wrong: Wrong| wrong.text);
            (2, String::new(), text + "\n")
        }
    };
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stderr().write_all(err.as_bytes());
    let _ = std::io::stdout().write_all(out.as_bytes());
    ExitCode::from(code)
}

/// Texts for standard output and standard error.
fn shown(reloaded: &Reloaded) -> (String, String) {
    let mut out: String = reloaded.steps.iter().map(|step| format!("{step}\n")).collect();
    if out.is_empty() {
        out = "nothing has changed\n".into();
    }
    let warnings = reloaded.warnings.iter().map(|warning| format!("{warning}\n\n"));
    let restart = reloaded.restart.iter();
    let restart = restart.map(|key| format!("warning: {key} stays as it was: restart to apply\n"));
    let cautions = reloaded
        .cautions
        .iter()
        .map(|caution| format!("warning: {caution}\n"));
    (out, warnings.chain(restart).chain(cautions).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::{Change, Step, What};

    #[test]
    fn people_are_told_what_changed_and_what_did_not() {
        let mut reloaded = Reloaded {
            steps: vec![Step {
                what: What::Listener,
                name: "web".into(),
                change: Change::Changed,
                keys: vec!["bind".into()],
            }],
            restart: vec!["daemon.threads".into()],
            cautions: vec!["mind the gap".into()],
            warnings: Vec::new(),
        };
        assert_eq!(
            shown(&reloaded),
            (
                "listener web: changed: bind\n".into(),
                "warning: daemon.threads stays as it was: restart to apply\nwarning: mind the gap\n".into()
            )
        );
        reloaded.steps.clear();
        assert_eq!(shown(&reloaded).0, "nothing has changed\n");
    }
}
