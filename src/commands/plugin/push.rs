//! `catamaran plugin push`: a component into a registry or a layout.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::place::Place;
use crate::commands::image::push::send;
use crate::commands::registry::Access;
use crate::pure::config::USUAL_PLUGIN_MEMORY;
use crate::pure::image::compose::{self, Composed};
use crate::pure::image::facts::Moment;
use crate::pure::registry::reference::Reference;
use crate::shell::oci::read::Layout;
use crate::shell::oci::source::{Kind, Source};
use crate::shell::oci::survey::Survey;
use crate::shell::wasm::Host;
use crate::shell::{oci, plugin_store};

/// Push a plugin, and print by what it is pulled again
///
/// What this version would not load is refused. The same component makes the
/// same artifact each time, wherever it goes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    file: PathBuf,
    /// Where to: REGISTRY/NAME:TAG, or oci:DIR[:TAG] for a folder that is empty or not there yet
    target: Place,
    #[command(flatten)]
    access: Access,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Push; what to print.
///
/// # Errors
/// One sentence.
pub fn run(args: &Args) -> Result<String, String> {
    let component = plugin_store::read_file(&args.file, None).map_err(|error| error.to_string())?;
    refuse_unfit(&component).map_err(|why| format!("{}: {why}", args.file.display()))?;
    let title = title(&args.file)?;
    match &args.target {
        Place::Layout(source) => {
            let composed = compose(&title, &component, source.tag.as_deref())?;
            write(composed, source, args.json)
        }
        Place::Registry(reference) => {
            let composed = compose(&title, &component, None)?;
            push(composed, reference, args)
        }
    }
}

/// What no daemon would run is not shipped.
fn refuse_unfit(component: &[u8]) -> Result<(), String> {
    // It is not run, so that its memory does not matter.
    Host::new(None, USUAL_PLUGIN_MEMORY)?
        .load(component, 0, &mut |_| {})
        .map(drop)
}

fn title(file: &Path) -> Result<String, String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_string)
        .ok_or_else(|| format!("{} has no name that can be written", file.display()))
}

fn compose(title: &str, component: &[u8], name: Option<&str>) -> Result<Composed, String> {
    // No time: the same component makes the same artifact.
    compose::plugin(title, component, name, Moment::new(0)?).map_err(|error| error.to_string())
}

fn write(composed: Composed, source: &Source, json: bool) -> Result<String, String> {
    if source.kind != Kind::Folder {
        return Err("a plugin is written to a folder: oci:DIR[:TAG]".into());
    }
    oci::folder(&composed.files, &source.path).map_err(|error| error.to_string())?;
    let digest = &composed.images[0].digest;
    if json {
        let report = json!({ "target": source.to_string(), "digest": digest });
        return Ok(format!("{report:#}\n"));
    }
    Ok(format!("{source}: {digest}\n"))
}

fn push(composed: Composed, reference: &Reference, args: &Args) -> Result<String, String> {
    let layout = Layout::of(composed.files)?;
    let only = Source {
        kind: Kind::Folder,
        path: args.file.clone(),
        tag: None,
    };
    let survey = Survey::new(&layout, &only)?;
    let digest = survey.root.digest();
    if let Some(wanted) = reference.digest.as_ref().filter(|wanted| *wanted != digest) {
        return Err(format!(
            "{} makes the artifact {digest}, not {wanted}",
            args.file.display()
        ));
    }
    let repository = args.access.repository(reference)?;
    let pushed = send(repository, &layout, &survey, reference.tag.as_deref())?;
    let pinned = reference.pinned(digest);
    if args.json {
        let report = json!({
            "target": reference.to_string(),
            "digest": digest,
            "pinned": pinned.to_string(),
            "blobs": pushed.blobs,
            "blobs-sent": pushed.sent,
        });
        return Ok(format!("{report:#}\n"));
    }
    Ok(format!("{pinned}\n"))
}
