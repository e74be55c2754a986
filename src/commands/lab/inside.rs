//! The hidden subcommands by which `catamaran lab` starts itself again.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::enclosure::{self, Enclosure};
use super::stand_in;
use super::world::World;

/// Parts of `catamaran lab`; not for typing
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Run a program in an enclosure; for tests and benchmarks
    Enclose {
        /// Without a user namespace: in one, nobody may have real-time priority
        #[arg(long)]
        as_root: bool,
        program: Vec<OsString>,
    },
    /// The process between the outside and the inside
    Between {
        enclosure: String,
        what: String,
        program: Vec<OsString>,
    },
    /// The first process inside
    First { program: Vec<OsString> },
    /// The story
    Story {
        enclosure: String,
        #[command(flatten)]
        args: super::Args,
    },
    /// A stand-in for an apiserver
    StandIn(stand_in::Args),
    /// Build hosts (`NAME=ADDRESS/LENGTH,…`), then run a program beside them
    World {
        #[arg(long)]
        host: Vec<String>,
        program: Vec<OsString>,
    },
}

/// Carry out a part.
pub fn run(args: Args) -> ExitCode {
    let done = match args.part {
        Part::Enclose { as_root, program } => match as_root {
            true => Ok(Enclosure::Root),
            false => Enclosure::find().map_err(|refusal| refusal.to_string()),
        }
        .and_then(|enclosure| enclosure.run(&program, false).map_err(|error| error.to_string())),
        Part::Between {
            enclosure,
            what,
            program,
        } => {
            let enclosure = Enclosure::named(&enclosure);
            Ok(enclosure::between(enclosure, (what == "run").then_some(&program)))
        }
        Part::First { program } => Ok(enclosure::first(&program)),
        Part::Story { enclosure, args } => super::run_inside(Enclosure::named(&enclosure), &args),
        Part::StandIn(args) => stand_in::run(&args).map(|()| ExitCode::SUCCESS),
        Part::World { host, program } => world(&host, program),
    };
    done.unwrap_or_else(|why| {
        eprintln!("error: {why}");
        ExitCode::FAILURE
    })
}

fn world(hosts: &[String], program: Vec<OsString>) -> Result<ExitCode, String> {
    let mut world = World::new()?;
    for host in hosts {
        let (name, addresses) = host.split_once('=').ok_or("a host is NAME=ADDRESS/LENGTH,…")?;
        world.host(name, &addresses.split(',').collect::<Vec<_>>())?;
    }
    let (name, arguments) = program.split_first().ok_or("nothing to run")?;
    Err(format!(
        "cannot run {}: {}",
        name.display(),
        Command::new(name).args(arguments).exec()
    ))
}
