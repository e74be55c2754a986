//! `catamaran completions`: for shells that complete what is typed.

use std::io::Write;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Print what makes a shell complete this command line
///
/// For bash: `source <(catamaran completions bash)`, or for everybody, into
/// /usr/share/bash-completion/completions/catamaran. For zsh into a file
/// `_catamaran` of a folder in $fpath, for fish into
/// ~/.config/fish/completions/catamaran.fish.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Print them; `cli` is the whole command line.
pub fn run(args: &Args, mut cli: Command) -> ExitCode {
    let name = cli.get_name().to_string();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut cli, name, &mut text);
    match std::io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
