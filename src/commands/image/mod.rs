//! `catamaran image`: the load balancer as an OCI image, without any container
//! tool, and what runs it.

mod build;
pub mod inspect;
pub mod manifest;
pub mod push;

use std::process::ExitCode;

/// Work with images of the load balancer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Build(build::Args),
    Inspect(inspect::Args),
    Manifest(manifest::Args),
    Push(push::Args),
}

/// Carry out `catamaran image …`.
pub fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Build(args) => build::run(&args),
        Command::Inspect(args) => inspect::run(args),
        Command::Manifest(args) => manifest::run(args),
        Command::Push(args) => push::run(args),
    }
}
