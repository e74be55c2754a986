//! `catamaran plugin pull`: a component out of a registry or a layout.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde_json::json;

use super::place::Place;
use crate::commands::registry::Access;
use crate::commands::runtime;
use crate::pure::digest::sha256;
use crate::pure::image::plugin;
use crate::pure::registry::reference::Reference;
use crate::shell::oci::source::Source;
use crate::shell::oci::survey;
use crate::shell::oci::{self, read::Layout};
use crate::shell::plugin_store::LARGEST;

/// Pull a plugin, verify it, and print what pins it in a document: as a file, and in its registry
///
/// Artifacts of other tools will do: one layer, application/wasm.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where from: REGISTRY/NAME:TAG, REGISTRY/NAME@sha256:HEX or oci:DIR[:TAG]
    source: Place,
    /// The file to write [default: NAME.wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// What was pulled.
struct Pulled {
    digest: String,
    component: Vec<u8>,
    name: String,
    /// What a document calls it where its registry can be reached.
    pinned: Option<String>,
}

/// Pull; what to print.
///
/// # Errors
/// One sentence.
pub fn run(args: &Args) -> Result<String, String> {
    let pulled = match &args.source {
        Place::Registry(reference) => from_registry(reference, &args.access)?,
        Place::Layout(source) => from_layout(source)?,
    };
    let file = match &args.output {
        Some(file) => file.clone(),
        None => unused(&pulled)?,
    };
    oci::whole(&file, |unfinished| fs::write(unfinished, &pulled.component))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let (shown, size) = (file.display(), pulled.component.len());
    // Documents know no folder that a path could begin in.
    let absolute = file
        .canonicalize()
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let in_file = format!("file:{}@{}", absolute.display(), sha256(&pulled.component));
    let plugins = [Some(in_file), pulled.pinned];
    let plugins: Vec<_> = plugins.into_iter().flatten().collect();
    if args.json {
        let report = json!({
            "file": file,
            "size": size,
            "digest": pulled.digest,
            "plugins": plugins,
        });
        return Ok(format!("{report:#}\n"));
    }
    let lines: String = plugins
        .iter()
        .map(|plugin| format!("plugin = \"{plugin}\"\n"))
        .collect();
    Ok(format!("{shown}: {size} bytes, {}\n{lines}", pulled.digest))
}

fn from_registry(reference: &Reference, access: &Access) -> Result<Pulled, String> {
    let mut repository = access.repository(reference)?;
    let asked = reference.asked();
    let artifact = runtime()?
        .block_on(repository.plugin(&asked, LARGEST))
        .map_err(|why| format!("{reference}: {why}"))?;
    let name = reference.repository.rsplit('/').next().unwrap_or_default();
    Ok(Pulled {
        pinned: Some(format!("oci:{}", reference.pinned(&artifact.digest))),
        digest: artifact.digest.to_string(),
        component: artifact.component,
        name: name.to_string(),
    })
}

fn from_layout(source: &Source) -> Result<Pulled, String> {
    let layout = Layout::open(source.kind, &source.path)?;
    let root = survey::find(&layout, source)?;
    let wrong = |why: String| format!("{source}, {}: {why}", root.digest());
    let manifest = layout.document(root).map_err(|error| wrong(error.to_string()))?;
    let layer = plugin::component(root.media_type().as_ref(), &manifest).map_err(wrong)?;
    if layer.size() > LARGEST {
        let size = layer.size();
        return Err(wrong(format!(
            "its component has {size} bytes, more than {} MiB",
            LARGEST >> 20
        )));
    }
    let mut component = Vec::new();
    layout
        .blob(&layer)
        .and_then(|mut blob| blob.read_to_end(&mut component))
        .map_err(|error| wrong(format!("layer {}: {error}", layer.digest())))?;
    let stem = source.path.file_stem().and_then(|stem| stem.to_str());
    Ok(Pulled {
        digest: root.digest().to_string(),
        component,
        name: stem.unwrap_or("plugin").to_string(),
        pinned: None,
    })
}

/// A file that was not named takes the place of no other one.
fn unused(pulled: &Pulled) -> Result<PathBuf, String> {
    let file = PathBuf::from(format!("{}.wasm", pulled.name));
    match fs::read(&file) {
        Ok(there) if there != pulled.component => Err(format!(
            "{} is there and is another one; say --output FILE",
            file.display()
        )),
        _ => Ok(file),
    }
}
