//! The command line: one variant per file in `commands`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    check, completions, image, lab, man, plugin, probe, reload, run, schema, status, sweep, yield_addresses,
};

/// L4 load balancer with health checks as WebAssembly plugins.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Completions(completions::Args),
    Image(image::Args),
    Lab(lab::Args),
    #[command(hide = true)]
    LabInside(lab::inside::Args),
    Man(man::Args),
    Probe(probe::Args),
    Plugin(plugin::Args),
    Reload(reload::Args),
    Schema(schema::Args),
    Status(status::Args),
    Sweep(sweep::Args),
    Yield(yield_addresses::Args),
}

/// The command line without what is not for people.
fn shown() -> clap::Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .about(whole.get_about().cloned().unwrap_or_default())
        .subcommands(commands.cloned())
}

/// Read the command line and do what it says.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Completions(args) => completions::run(&args, shown()),
        Command::Image(args) => image::run(args),
        Command::Lab(args) => lab::run(args),
        Command::LabInside(args) => lab::inside::run(args),
        Command::Man(args) => man::run(args, shown()),
        Command::Probe(args) => probe::run(args),
        Command::Plugin(args) => plugin::run(args),
        Command::Reload(args) => reload::run(&args),
        Command::Schema(args) => schema::run(args),
        Command::Status(args) => status::run(args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Yield(args) => yield_addresses::run(args),
    }
}
