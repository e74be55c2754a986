//! The command line: one variant per file in `commands`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{check, image, lab, plugin, probe, run, schema, status, yield_addresses};

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
    Image(image::Args),
    Lab(lab::Args),
    #[command(hide = true)]
    LabInside(lab::inside::Args),
    Probe(probe::Args),
    Plugin(plugin::Args),
    Schema(schema::Args),
    Status(status::Args),
    Yield(yield_addresses::Args),
}

/// Read the command line and do what it says.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Image(args) => image::run(args),
        Command::Lab(args) => lab::run(args),
        Command::LabInside(args) => lab::inside::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Plugin(args) => plugin::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Status(args) => status::run(args),
        Command::Yield(args) => yield_addresses::run(args),
    }
}
