//! `catamaran image inspect`: what is in an image, and whether it is whole.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use oci_spec::image::{Descriptor, Digest};
use serde::Serialize;

use crate::shell::document::count;
use crate::shell::oci::read::Layout;
use crate::shell::oci::source::Source;
use crate::shell::oci::survey::{Content, Fault, Image, Manifest, Survey};

/// Show what is in an image, and whether it is whole
///
/// Reads every blob and verifies size, digest and diff_id. Exits with 1 when
/// something is wrong, and says what and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image: oci:DIR[:TAG] or oci-archive:FILE[:TAG]
    source: Source,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Read and print.
pub fn run(args: Args) -> ExitCode {
    let source = &args.source;
    let survey = Layout::open(source.kind, &source.path).and_then(|layout| Survey::new(&layout, source));
    let survey = match survey {
        Ok(survey) => survey,
        Err(why) => {
            eprintln!("catamaran: {why}");
            return ExitCode::FAILURE;
        }
    };
    let report = Report::new(source, &survey);
    let text = if args.json {
        // Text, numbers and maps with keys of text: nothing that JSON has no form for.
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    } else {
        shown(&report)
    };
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Sizes are bytes.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    source: String,
    digest: &'a Digest,
    media_type: &'a str,
    good: bool,
    /// Of each manifest and blob once, as a registry stores them, without referrers.
    compressed_size: u64,
    /// Without indexes.
    manifests: Vec<Entry<'a>>,
    referrers: Vec<Entry<'a>>,
    faults: &'a [Fault],
}

/// An image for one platform, or an artifact.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry<'a> {
    digest: &'a Digest,
    /// Images have one.
    platform: Option<String>,
    /// Artifacts have one: the kind of their configuration, if nothing else is said.
    artifact_type: Option<&'a str>,
    /// Referrers have one.
    subject: Option<&'a Digest>,
    /// Of all layers.
    compressed_size: u64,
    layers: Vec<Layer<'a>>,
    entrypoint: &'a [String],
    command: &'a [String],
    user: Option<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Layer<'a> {
    digest: &'a Digest,
    media_type: &'a str,
    compressed_size: u64,
    uncompressed_size: Option<u64>,
}

impl<'a> Report<'a> {
    fn new(source: &Source, survey: &'a Survey) -> Self {
        Self {
            source: source.to_string(),
            digest: survey.root.digest(),
            media_type: survey.root.media_type().as_ref(),
            good: survey.faults.is_empty(),
            compressed_size: stored(&survey.manifests),
            manifests: survey.manifests.iter().filter_map(Entry::new).collect(),
            referrers: survey.referrers.iter().filter_map(Entry::new).collect(),
            faults: &survey.faults,
        }
    }
}

fn stored(manifests: &[Manifest]) -> u64 {
    let descriptors = manifests
        .iter()
        .flat_map(|manifest| manifest.blobs().chain([&manifest.descriptor]));
    let sizes: HashMap<_, _> = descriptors.map(|each| (each.digest(), each.size())).collect();
    sizes.values().sum()
}

impl<'a> Entry<'a> {
    /// `None` for an index: what it lists has entries.
    fn new(manifest: &'a Manifest) -> Option<Self> {
        let Content::Image(image) = &manifest.content else {
            return None;
        };
        let Image {
            manifest: listed,
            config,
            uncompressed,
        } = &**image;
        let runs = config.as_ref().and_then(|config| config.config().as_ref());
        let artifact_type = listed
            .artifact_type()
            .as_ref()
            .unwrap_or(listed.config().media_type());
        let is_artifact = config.is_none() || listed.artifact_type().is_some();
        let layers = listed.layers().iter().zip(uncompressed);
        Some(Self {
            digest: manifest.descriptor.digest(),
            platform: config.as_ref().map(|config| {
                let variant = config
                    .variant()
                    .as_ref()
                    .map_or(String::new(), |variant| format!("/{variant}"));
                format!("{}/{}{variant}", config.os(), config.architecture())
            }),
            artifact_type: is_artifact.then(|| artifact_type.as_ref()),
            subject: listed.subject().as_ref().map(Descriptor::digest),
            compressed_size: listed.layers().iter().map(Descriptor::size).sum(),
            layers: layers
                .map(|(layer, uncompressed)| Layer::new(layer, *uncompressed))
                .collect(),
            entrypoint: runs
                .and_then(|runs| runs.entrypoint().as_deref())
                .unwrap_or_default(),
            command: runs.and_then(|runs| runs.cmd().as_deref()).unwrap_or_default(),
            user: runs.and_then(|runs| runs.user().as_deref()),
            labels: sorted(runs.and_then(|runs| runs.labels().as_ref())),
            annotations: sorted(listed.annotations().as_ref()),
        })
    }
}

impl<'a> Layer<'a> {
    fn new(layer: &'a Descriptor, uncompressed_size: Option<u64>) -> Self {
        Self {
            digest: layer.digest(),
            media_type: layer.media_type().as_ref(),
            compressed_size: layer.size(),
            uncompressed_size,
        }
    }
}

fn sorted(map: Option<&HashMap<String, String>>) -> BTreeMap<&str, &str> {
    let pairs = map.into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn shown(report: &Report) -> String {
    let mut out = format!(
        "{}\n  {}\n  {}, {} compressed\n",
        report.source,
        report.digest,
        count(report.manifests.len(), "manifest"),
        size(report.compressed_size)
    );
    for entry in &report.manifests {
        out += &shown_entry(entry);
    }
    for entry in &report.referrers {
        let subject = entry.subject.map_or("", |subject| subject.as_ref());
        let _ = write!(out, "\nreferrer of {subject}");
        out += &shown_entry(entry);
    }
    if report.good {
        out += "\nall sizes, digests and diff_ids are right\n";
    } else {
        let _ = writeln!(out, "\n{}:", count(report.faults.len(), "fault"));
        for fault in report.faults {
            let _ = writeln!(out, "  {fault}");
        }
    }
    out
}

fn shown_entry(entry: &Entry) -> String {
    let kind = entry
        .platform
        .as_deref()
        .or(entry.artifact_type)
        .unwrap_or_default();
    let mut out = format!("\n{kind}  {}\n", size(entry.compressed_size));
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "  {key:<10}  {value}");
    };
    line("digest", entry.digest.as_ref());
    for layer in &entry.layers {
        let uncompressed = layer.uncompressed_size.map_or("unknown".into(), size);
        let compressed = size(layer.compressed_size);
        line(
            "layer",
            &format!("{}  {compressed}, {uncompressed} uncompressed", layer.digest),
        );
    }
    if !entry.entrypoint.is_empty() {
        line("entrypoint", &entry.entrypoint.join(" "));
    }
    if !entry.command.is_empty() {
        line("command", &entry.command.join(" "));
    }
    if let Some(user) = entry.user {
        line("user", user);
    }
    for (what, map) in [("label", &entry.labels), ("annotation", &entry.annotations)] {
        for (key, value) in map {
            line(what, &format!("{key} = {value}"));
        }
    }
    out
}

/// `13.5 MiB`, `800 B`.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_has_a_unit_that_fits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size((13 << 20) + (1 << 19)), "13.5 MiB");
        assert_eq!(size(u64::MAX), "17179869183.9 GiB");
    }
}
