//! `catamaran plugin`: for those who write check plugins.

pub mod inspect;
pub mod new;
mod place;
pub mod project;
mod pull;
mod push;
pub mod record;
pub mod test;
pub mod try_out;
pub mod workshop;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use project::Project;
use workshop::{Outcome, Workshop};

/// Work on check plugins
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a small plugin that builds at once
    New(new::Args),
    /// Build plugins into components
    ///
    /// Either a plugin in a folder of its own, as `plugin new` writes it, with the tools
    /// of its language; or the plugins of a clone of Catamaran. When the Rust at hand lacks
    /// the target wasm32-unknown-unknown, a clone's `plugins/toolchain` obtains a compiler
    /// that has it.
    Build {
        /// Folders of plugins, or in a clone names of folders in `plugins/` [default: here]
        names: Vec<String>,
        /// In a clone: write nothing; fail when a built component is not what its sources make
        #[arg(long)]
        check: bool,
    },
    /// Say what a plugin is made of and what it would be allowed
    Inspect(inspect::Args),
    /// Probe an endpoint with a component
    Try(Box<try_out::Args>),
    /// Replay a plugin's recorded exchanges; no server is needed
    Test(test::Args),
    Push(push::Args),
    Pull(pull::Args),
}

/// Carry out `catamaran plugin …`.
pub fn run(args: Args) -> ExitCode {
    let outcome = match args.command {
        Command::New(args) => new::run(&args).map(|text| say(&(text + "\n"), true)),
        Command::Build { names, check } => build_any(&names, check),
        Command::Inspect(args) => inspect::run(&args).map(|(report, good)| say(&report, good)),
        Command::Test(args) => test::run(&args).map(|(report, good)| say(&report, good)),
        Command::Push(args) => push::run(&args).map(|text| say(&text, true)),
        Command::Pull(args) => pull::run(&args).map(|text| say(&text, true)),
        Command::Try(args) => return try_out(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(report: &str, good: bool) -> bool {
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stdout().write_all(report.as_bytes());
    good
}

/// As `catamaran probe` ends: 2 for what was asked for wrongly.
fn try_out(args: &try_out::Args) -> ExitCode {
    match try_out::run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Build plugins in folders of their own, or else those of a clone.
fn build_any(names: &[String], check: bool) -> Result<bool, String> {
    let here = [".".to_owned()];
    let folders = if names.is_empty() { &here[..] } else { names };
    let projects = folders.iter().map(|folder| Project::find(Path::new(folder)));
    let projects: Vec<_> = projects.collect::<Result<_, _>>()?;
    if projects.iter().all(Option::is_none) {
        return build(names, check);
    }
    if check {
        return Err("--check is for the plugins of a clone, whose components are kept".into());
    }
    for (project, folder) in projects.into_iter().zip(folders) {
        let project =
            project.ok_or_else(|| format!("{folder} is no plugin's folder (no wit/worlds.wit in it)"))?;
        println!("{}", project.build()?);
    }
    Ok(true)
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
