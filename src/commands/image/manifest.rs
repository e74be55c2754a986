//! `catamaran image manifest`: what podman, systemd, the kubelet or Compose
//! need to run the load balancer of a document.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::commands::check::warnings;
use crate::pure::manifest::{self, File, IMAGE, Wishes};

/// Make the files with which a service manager runs the load balancer
///
/// They give it the rights that the document needs, and no others. Exits with 2
/// when the document is wrong, or cannot be served that way.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who is to run it
    #[arg(value_enum)]
    kind: Kind,
    /// The document, TOML or JSON; `-` reads standard input
    ///
    /// Without it, the text in the environment variable CATAMARAN_DOCUMENT, or
    /// else the file /etc/catamaran/cluster.toml.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The image to run
    #[arg(long, value_name = "REFERENCE", default_value = IMAGE)]
    image: String,
    /// Which of the document's nodes the machine is [default: the one with the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Write the files into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// podman: a unit for the container and one for its image, for its systemd generator
    Quadlet,
    /// systemd: a hardened unit for the binary, without a container
    Systemd,
    /// kubelet: a pod on the control-plane nodes themselves
    StaticPod,
    /// Docker Compose: one load balancer on this machine, for trying
    Compose,
}

/// Make them, and print or write them.
pub fn run(args: Args) -> ExitCode {
    let files = match files(&args) {
        Ok(files) => files,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let Some(folder) = &args.output else {
        // Who closes the pipe early knows what they wanted to know.
        let _ = std::io::stdout().write_all(shown(&files).as_bytes());
        return ExitCode::SUCCESS;
    };
    match write(folder, &files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
}

fn files(args: &Args) -> Result<Vec<File>, String> {
    let source = crate::commands::source(args.config.clone());
    let checked = crate::commands::load(&source).map_err(|error| error.to_string())?;
    eprint!("{}", warnings(&source, &checked.warnings));
    let kind = match args.kind {
        Kind::Quadlet => manifest::Kind::Quadlet,
        Kind::Systemd => manifest::Kind::Systemd,
        Kind::StaticPod => manifest::Kind::StaticPod,
        Kind::Compose => manifest::Kind::Compose,
    };
    let wishes = Wishes {
        image: &args.image,
        node: args.node.as_deref(),
    };
    manifest::manifest(kind, &checked.config, wishes).map_err(|why| format!("catamaran: {why}"))
}

/// One file as it is; of several, each under its name.
fn shown(files: &[File]) -> String {
    match files {
        [file] => file.text.clone(),
        files => {
            let titled = files
                .iter()
                .map(|file| format!("#### {}\n\n{}", file.name, file.text));
            titled.collect::<Vec<_>>().join("\n")
        }
    }
}

fn write(folder: &Path, files: &[File]) -> Result<(), String> {
    let cannot = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    for file in files {
        let path = folder.join(file.name);
        fs::write(&path, &file.text).map_err(|error| cannot(&path, error))?;
        println!("{}", path.display());
    }
    Ok(())
}
