//! `catamaran yield`: hand the virtual addresses over before maintenance.

use std::process::ExitCode;
use std::time::Duration;

use super::admin::{self, Admin};
use super::status;
use crate::pure::config::units::Time;
use crate::shell::admin::Question;

/// Let another node have the virtual addresses, before maintenance
///
/// Returns once another node has them, and shows the status. This node ranks
/// last for the time given, and as before afterwards. Exits with 1 when nobody
/// took over: the addresses stay here then, rather than nowhere.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    admin: Admin,
    /// How long to rank last, whole seconds from 1s to 168h
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = time)]
    time: Time,
    /// Rank as before from now on
    #[arg(long, conflicts_with = "time")]
    end: bool,
    /// Print the status for machines
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Time, String> {
    let Time(time) = text.parse()?;
    let range = Duration::from_secs(1)..=Duration::from_secs(168 * 3600);
    if time.subsec_nanos() > 0 || !range.contains(&time) {
        return Err("must be whole seconds from 1s to 168h".into());
    }
    Ok(Time(time))
}

/// Ask and print.
pub fn run(args: Args) -> ExitCode {
    let Time(time) = args.time;
    let question = if args.end {
        Question::TakeBack
    } else {
        Question::Yield(time)
    };
    let answer = match admin::ask(&args.admin.place(), question) {
        Ok(answer) => answer,
        Err(why) => {
            eprintln!("catamaran: {why}");
            return ExitCode::FAILURE;
        }
    };
    status::print(&answer, args.json);
    let stays = || {
        let routers = answer.status.virtual_routers.iter();
        let active = routers.filter(|router| router.state == "active");
        active.map(|router| router.name.as_str()).collect::<Vec<_>>()
    };
    if !args.end && !stays().is_empty() {
        eprintln!("catamaran: nobody took over: {}", stays().join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
