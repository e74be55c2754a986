//! `catamaran plugin`: for those who write check plugins.

pub mod record;
pub mod workshop;

use std::process::ExitCode;

use workshop::{Outcome, Workshop};

/// Work on check plugins
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Build the plugins of this clone into components
    ///
    /// Needs a clone of Catamaran's sources. When the Rust at hand lacks the target
    /// wasm32-unknown-unknown, `plugins/toolchain` obtains a compiler that has it.
    Build {
        /// Plugins to build: names of folders in `plugins/` [default: all]
        names: Vec<String>,
        /// Write nothing; fail when a built component is not what its sources make
        #[arg(long)]
        check: bool,
    },
}

/// Carry out `catamaran plugin …`.
pub fn run(args: Args) -> ExitCode {
    let Command::Build { names, check } = args.command;
    match build(&names, check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be; what is not has been printed.
fn build(names: &[String], check: bool) -> Result<bool, String> {
    let here = std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
    let workshop = Workshop::find(&here)?;
    let plugins = workshop.plugins(names)?;
    let toolchain = workshop.toolchain()?;
    eprintln!("compiler: {}", toolchain.versions);
    let components = workshop.build(&toolchain, &plugins)?;
    if !check {
        for line in workshop.write(&toolchain, &plugins, &components)? {
            println!("{line}");
        }
        return Ok(true);
    }
    let mut faults = workshop.stale(&plugins)?;
    for (plugin, component) in plugins.iter().zip(&components) {
        match workshop.compare(&toolchain, plugin, component)? {
            Outcome::Same => println!("{}: the same bytes", plugin.name),
            Outcome::OtherCompiler(recorded) => {
                println!(
                    "{}: builds; its bytes are those of another compiler ({recorded})",
                    plugin.name
                );
            }
            Outcome::Differs(how) => faults.push(how),
        }
    }
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}
