//! `catamaran man`: manual pages, out of the command line's own words.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Print the manual page, or write one for each subcommand
///
/// The page catamaran(1) goes to standard output; with --output, it and those of
/// all subcommands go into a folder, such as /usr/local/share/man/man1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write catamaran.1, catamaran-run.1 and so on into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What the page of the whole says beyond the command line: where things are.
const FILES: [(&str, &str); 2] = [
    (
        "/etc/catamaran/cluster.toml",
        "The document, where no other is named.",
    ),
    (
        "/run/catamaran/admin.sock",
        "The admin socket, where no other is named.",
    ),
];

/// How every command ends.
const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "Good."),
    ("1", "Failed; standard error says why."),
    ("2", "Wrong usage, or a wrong document."),
];

/// Print or write them; `cli` is the whole command line.
pub fn run(args: Args, cli: Command) -> ExitCode {
    // It would have a page of its own, about nothing.
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    let done = match &args.output {
        Some(folder) => write(folder, &cli),
        None => page(&cli).map(|text| {
            // Who closes the pipe early knows what they wanted to know.
            let _ = io::stdout().write_all(&text);
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("catamaran: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The page of `command` and those of all below it.
fn write(folder: &Path, command: &Command) -> io::Result<()> {
    let path = folder.join(Man::new(command.clone()).get_filename());
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, page(command)?));
    let cannot =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    written.map_err(cannot)?;
    println!("{}", path.display());
    let mut below = command.get_subcommands();
    below.try_for_each(|one| write(folder, one))
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone()).source(format!("catamaran {version}"));
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut more = Roff::new();
    list(&mut more, "EXIT STATUS", &EXIT_STATUS);
    if command.get_name() == "catamaran" {
        list(&mut more, "FILES", &FILES);
    }
    text.extend(more.to_roff().into_bytes());
    Ok(text)
}

fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (word, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*word)]);
        roff.text([roman(*meaning)]);
    }
}
