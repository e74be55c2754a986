//! Words from the shell in, exit code out.

use std::process::ExitCode;

use catamaran::commands::{check, schema};
use clap::Parser;

/// An L4 load balancer and VRRP router in one binary
#[derive(Parser)]
#[command(version)]
enum Command {
    Check(check::Args),
    Schema(schema::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Check(args) => check::run(args),
        Command::Schema(args) => schema::run(args),
    }
}
