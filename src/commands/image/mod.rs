//! `catamaran image`: the load balancer as an OCI image, and what runs it.

pub mod manifest;

use std::process::ExitCode;

/// Work with images of the load balancer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Manifest(manifest::Args),
}

/// Carry out `catamaran image …`.
pub fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Manifest(args) => manifest::run(args),
    }
}
