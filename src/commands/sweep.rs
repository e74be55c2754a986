//! `catamaran sweep`: remove what a daemon that was killed has left.

use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use super::admin::{self, Admin};
use crate::app::election;
use crate::shell::admin::Question;
use crate::shell::telemetry::{Format, Telemetry};

/// Remove what a daemon that was killed has left on this machine
///
/// Virtual addresses would run out within seconds anyway, interfaces of virtual
/// MACs stay until the next start. For service managers, once a daemon has
/// ended however it did; while one runs, nothing is removed. Exits with 1 when
/// there is one, or something cannot be removed.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    admin: Admin,
}

/// Remove, and log what was there.
pub fn run(args: &Args) -> ExitCode {
    match sweep(&args.admin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
}

fn sweep(admin: &Admin) -> Result<(), String> {
    if admin::ask(&admin.place(), Question::Status).is_ok() {
        return Err("a daemon is running here and has what is there; stop it first".into());
    }
    let _telemetry = Telemetry::start(Format::Text, LevelFilter::INFO)
        .map_err(|error| format!("cannot start the log: {error}"))?;
    super::runtime()?
        .block_on(election::sweep())
        .map_err(|error| format!("something is left: {error}"))
}
