//! `catamaran image push`: an image of a layout into a registry.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::ExitCode;

use oci_spec::image::{Descriptor, Digest};
use serde_json::json;

use crate::commands::registry::Access;
use crate::commands::runtime;
use crate::pure::registry::reference::Reference;
use crate::pure::registry::referrers;
use crate::shell::document::count;
use crate::shell::oci::read::Layout;
use crate::shell::oci::source::Source;
use crate::shell::oci::survey::{Content, Manifest, Survey};
use crate::shell::registry::client::Repository;

/// Push an image into a registry, with what refers to it
///
/// The image is verified first: nothing is sent of one that is not whole. What
/// the registry has already is not sent again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image: oci:DIR[:TAG] or oci-archive:FILE[:TAG]
    source: Source,
    /// Where to: REGISTRY/NAME:TAG
    destination: Reference,
    #[command(flatten)]
    access: Access,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Push and say what was pushed.
pub fn run(args: Args) -> ExitCode {
    match push(&args) {
        Ok(text) => {
            // Who closes the pipe early knows what they wanted to know.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
}

fn push(args: &Args) -> Result<String, String> {
    let Args {
        source, destination, ..
    } = args;
    let layout = Layout::open(source.kind, &source.path)?;
    let survey = Survey::new(&layout, source)?;
    if let Some(fault) = survey.faults.first() {
        return Err(format!(
            "{source} is not whole: {fault} (`catamaran image inspect` tells all)"
        ));
    }
    let digest = survey.root.digest();
    if let Some(wanted) = destination.digest.as_ref().filter(|wanted| *wanted != digest) {
        return Err(format!("{source} is {digest}, not {wanted}"));
    }
    let repository = args.access.repository(destination)?;
    let pushed = send(repository, &layout, &survey, destination.tag.as_deref())?;
    let referrers: Vec<_> = survey
        .referrers
        .iter()
        .map(|referrer| referrer.descriptor.digest())
        .collect();
    if args.json {
        let report = json!({
            "destination": destination.to_string(),
            "digest": digest,
            "referrers": referrers,
            "blobs": pushed.blobs,
            "blobs-sent": pushed.sent,
        });
        return Ok(format!("{report:#}\n"));
    }
    Ok(format!(
        "{destination}: {digest}, {} ({} sent), {}\n",
        count(pushed.blobs, "blob"),
        pushed.sent,
        count(referrers.len(), "referrer")
    ))
}

/// What the registry has now.
pub(in crate::commands) struct Pushed {
    /// Blobs of the image and of what refers to it.
    pub blobs: usize,
    /// How many of them it had not.
    pub sent: usize,
}

/// Send all of an image, which is whole, and wait until it is there.
pub(in crate::commands) fn send(
    repository: Repository,
    layout: &Layout,
    survey: &Survey,
    tag: Option<&str>,
) -> Result<Pushed, String> {
    let mut pusher = Pusher {
        repository,
        layout,
        done: HashSet::new(),
        sent: 0,
    };
    runtime()?.block_on(pusher.all(survey, tag))?;
    Ok(Pushed {
        blobs: pusher.done.len(),
        sent: pusher.sent,
    })
}

struct Pusher<'a> {
    repository: Repository,
    layout: &'a Layout,
    /// Blobs that the registry has.
    done: HashSet<Digest>,
    /// How many of them were sent.
    sent: usize,
}

impl Pusher<'_> {
    /// Children first, then the image itself under its tag, then what refers to
    /// it: whoever sees the tag can pull all of it.
    async fn all(&mut self, survey: &Survey, tag: Option<&str>) -> Result<(), String> {
        for manifest in survey.all() {
            let is_root = manifest.descriptor.digest() == survey.root.digest();
            self.manifest(manifest, tag.filter(|_| is_root)).await?;
        }
        Ok(())
    }

    async fn manifest(&mut self, manifest: &Manifest, tag: Option<&str>) -> Result<(), String> {
        for blob in manifest.blobs() {
            self.blob(blob).await?;
        }
        let digest = manifest.descriptor.digest();
        let name = tag.unwrap_or(digest.as_ref());
        let media_type = manifest.descriptor.media_type();
        let keeps_referrers = self
            .repository
            .push_manifest(name, media_type, &manifest.bytes)
            .await?;
        if let (Some(subject), false) = (manifest.subject(), keeps_referrers) {
            self.list(manifest, subject.digest()).await?;
        }
        Ok(())
    }

    async fn blob(&mut self, blob: &Descriptor) -> Result<(), String> {
        if !self.done.insert(blob.digest().clone()) || self.repository.has_blob(blob.digest()).await? {
            return Ok(());
        }
        let layout = self.layout;
        let open = || Ok(Box::new(layout.blob(blob)?) as Box<dyn std::io::Read + Send>);
        self.repository
            .push_blob(blob.digest(), blob.size(), &open)
            .await?;
        self.sent += 1;
        Ok(())
    }

    async fn list(&mut self, manifest: &Manifest, subject: &Digest) -> Result<(), String> {
        let descriptor = match &manifest.content {
            Content::Image(image) => referrers::of_manifest(&image.manifest, &manifest.descriptor),
            Content::Index(index) => referrers::of_index(index, &manifest.descriptor),
        };
        self.repository.list_referrer(subject, descriptor).await
    }
}
