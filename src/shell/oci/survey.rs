//! All that belongs to one image of a layout, and what is wrong with it.
//!
//! ```text
//!  index.json ─┬─ image index ─┬─ manifest ── configuration, layers
//!              │               └─ manifest ── …
//!              └─ manifest with a subject: a referrer, such as an SBOM
//! ```
//!
//! Every blob is read and verified. One fault does not hide the next: what can
//! be read is surveyed, and each fault says where it is.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
};
use serde::de::DeserializeOwned;

use super::read::Layout;
use super::source::Source;
use crate::pure::digest::Hasher;

/// Indexes in indexes in indexes: more than anybody writes.
const DEEPEST: usize = 8;

/// One image of a layout.
pub struct Survey {
    /// Its entry in `index.json`.
    pub root: Descriptor,
    /// Each once, whoever is listed before the one who lists it; the root is last.
    pub manifests: Vec<Manifest>,
    /// Those that refer to one of them or to each other, likewise.
    pub referrers: Vec<Manifest>,
    /// What is wrong, in the order in which it was found.
    pub faults: Vec<Fault>,
}

/// A manifest as it is in the layout.
pub struct Manifest {
    /// How it is listed.
    pub descriptor: Descriptor,
    /// Its digest is of these.
    pub bytes: Vec<u8>,
    /// What they say.
    pub content: Content,
}

/// The two kinds of manifests.
pub enum Content {
    /// Of other manifests.
    Index(Box<ImageIndex>),
    /// Of an image or an artifact.
    Image(Box<Image>),
}

/// An image for one platform, or an artifact.
pub struct Image {
    /// Its manifest.
    pub manifest: ImageManifest,
    /// `None` for artifacts, and where it cannot be read.
    pub config: Option<ImageConfiguration>,
    /// As many as the manifest lists; what is in each without compression, in
    /// bytes, where that can be told.
    pub uncompressed: Vec<Option<u64>>,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Where.
    pub at: String,
    /// What.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl Manifest {
    /// What it refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.content {
            Content::Index(index) => index.subject().as_ref(),
            Content::Image(image) => image.manifest.subject().as_ref(),
        }
    }

    /// Its blobs: configuration and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let manifest = match &self.content {
            Content::Index(_) => None,
            Content::Image(image) => Some(&image.manifest),
        };
        manifest
            .into_iter()
            .flat_map(|manifest| [manifest.config()].into_iter().chain(manifest.layers()))
    }
}

impl Survey {
    /// Of the image that `source` means.
    ///
    /// # Errors
    /// When it means none, or one of several. Whatever is wrong with the image
    /// is among the faults.
    pub fn new(layout: &Layout, source: &Source) -> Result<Self, String> {
        let root = find(layout, source)?;
        let mut walk = Walk {
            layout,
            seen: HashSet::new(),
            manifests: Vec::new(),
            faults: Vec::new(),
        };
        walk.visit(root, DEEPEST);
        let manifests = std::mem::take(&mut walk.manifests);
        walk.referrers();
        Ok(Self {
            root: root.clone(),
            manifests,
            referrers: walk.manifests,
            faults: walk.faults,
        })
    }

    /// All manifests.
    pub fn all(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().chain(&self.referrers)
    }
}

/// The name of an entry of `index.json`.
fn name(descriptor: &Descriptor) -> Option<&str> {
    Some(
        descriptor
            .annotations()
            .as_ref()?
            .get(ANNOTATION_REF_NAME)?
            .as_str(),
    )
}

/// The entry of the image that is meant.
///
/// # Errors
/// When none is, or one of several.
pub fn find<'a>(layout: &'a Layout, source: &Source) -> Result<&'a Descriptor, String> {
    let entries = layout.index.manifests();
    let mut meant: Vec<_> = match &source.tag {
        Some(tag) => entries.iter().filter(|entry| name(entry) == Some(tag)).collect(),
        None => entries
            .iter()
            .filter(|entry| subject(layout, entry).is_none())
            .collect(),
    };
    meant.dedup_by_key(|entry| entry.digest());
    match meant[..] {
        [root] => Ok(root),
        [] => Err(format!(
            "{source}: no such image; there are: {}",
            names(entries.iter())
        )),
        _ => Err(format!(
            "{source} could be one of several, say which behind a colon: {}",
            names(meant.iter().copied())
        )),
    }
}

fn names<'a>(entries: impl Iterator<Item = &'a Descriptor>) -> String {
    let shown: Vec<_> = entries
        .map(|entry| name(entry).unwrap_or("one without a name"))
        .collect();
    if shown.is_empty() {
        "none".into()
    } else {
        shown.join(", ")
    }
}

/// What a manifest refers to, if it can be read at all.
fn subject(layout: &Layout, descriptor: &Descriptor) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    struct Referring {
        subject: Descriptor,
    }
    let bytes = layout.document(descriptor).ok()?;
    let referring: Referring = serde_json::from_slice(&bytes).ok()?;
    Some(referring.subject.digest().clone())
}

struct Walk<'a> {
    layout: &'a Layout,
    /// Manifests and blobs that have been read.
    seen: HashSet<Digest>,
    manifests: Vec<Manifest>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn fault(&mut self, at: impl Into<String>, what: impl fmt::Display) {
        self.faults.push(Fault {
            at: at.into(),
            what: what.to_string(),
        });
    }

    /// A manifest after all that it lists.
    fn visit(&mut self, descriptor: &Descriptor, depth: usize) {
        if !self.seen.insert(descriptor.digest().clone()) {
            return;
        }
        let at = format!("manifest {}", descriptor.digest());
        if depth == 0 {
            return self.fault(at, format!("it is under more than {DEEPEST} indexes"));
        }
        let bytes = match self.layout.document(descriptor) {
            Ok(bytes) => bytes,
            Err(error) => return self.fault(at, error),
        };
        let content = match Form::of(descriptor.media_type()) {
            Some(Form::Index) => self.parsed(&at, &bytes).map(|index: ImageIndex| {
                self.media_type(&at, descriptor, index.media_type().as_ref());
                for child in index.manifests() {
                    self.visit(child, depth - 1);
                }
                Content::Index(Box::new(index))
            }),
            Some(Form::Image) => self.parsed(&at, &bytes).map(|manifest: ImageManifest| {
                self.media_type(&at, descriptor, manifest.media_type().as_ref());
                Content::Image(Box::new(self.image(&at, descriptor, manifest)))
            }),
            None => return self.fault(at, format!("{} is no manifest", descriptor.media_type())),
        };
        if let Some(content) = content {
            self.manifests.push(Manifest {
                descriptor: descriptor.clone(),
                bytes,
                content,
            });
        }
    }

    fn parsed<T: DeserializeOwned>(&mut self, at: &str, bytes: &[u8]) -> Option<T> {
        match serde_json::from_slice(bytes) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(at, error);
                None
            }
        }
    }

    /// A manifest may say itself what it is; registries refuse another word
    /// than that of the list.
    fn media_type(&mut self, at: &str, descriptor: &Descriptor, own: Option<&MediaType>) {
        let listed = descriptor.media_type();
        if let Some(own) = own.filter(|own| *own != listed) {
            self.fault(at, format!("it is listed as {listed} and says that it is {own}"));
        }
    }

    fn image(&mut self, at: &str, descriptor: &Descriptor, manifest: ImageManifest) -> Image {
        let config = if is_image_config(manifest.config().media_type()) {
            self.config(at, descriptor, &manifest)
        } else {
            self.blob(&format!("{at}, configuration"), manifest.config());
            None
        };
        let diff_ids = config.as_ref().map(|config| config.rootfs().diff_ids().clone());
        let mut uncompressed = Vec::new();
        for (index, layer) in manifest.layers().iter().enumerate() {
            let at = format!("{at}, layer {}", index + 1);
            let diff_id = diff_ids.as_ref().and_then(|ids| ids.get(index));
            uncompressed.push(self.layer(&at, layer, diff_id));
        }
        Image {
            manifest,
            config,
            uncompressed,
        }
    }

    fn config(
        &mut self,
        at: &str,
        descriptor: &Descriptor,
        manifest: &ImageManifest,
    ) -> Option<ImageConfiguration> {
        let at = format!("{at}, configuration {}", manifest.config().digest());
        let bytes = match self.layout.document(manifest.config()) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(at, error);
                return None;
            }
        };
        let config: ImageConfiguration = self.parsed(&at, &bytes)?;
        let (layers, diff_ids) = (manifest.layers().len(), config.rootfs().diff_ids().len());
        if layers != diff_ids {
            self.fault(
                &at,
                format!("it has {diff_ids} diff_ids and the manifest has {layers} layers"),
            );
        }
        if let Some(listed) = descriptor.platform() {
            let listed = (listed.os(), listed.architecture());
            let own = (config.os(), config.architecture());
            if listed != own {
                let [listed, own] = [listed, own].map(|(os, architecture)| format!("{os}/{architecture}"));
                self.fault(&at, format!("it is for {own}, and listed as {listed}"));
            }
        }
        Some(config)
    }

    /// A blob of which nothing is known but its digest and size.
    fn blob(&mut self, at: &str, descriptor: &Descriptor) {
        let verified = self
            .layout
            .blob(descriptor)
            .and_then(|mut blob| io::copy(&mut blob, &mut io::sink()));
        if let Err(error) = verified {
            self.fault(at, error);
        }
    }

    /// How large a layer is uncompressed.
    fn layer(&mut self, at: &str, layer: &Descriptor, diff_id: Option<&String>) -> Option<u64> {
        let Some(compression) = Compression::of(layer.media_type()) else {
            self.blob(at, layer);
            return None;
        };
        let measured = self
            .layout
            .blob(layer)
            .and_then(|blob| measured(blob, compression));
        let (size, found) = match measured {
            Ok(measured) => measured,
            Err(error) => {
                self.fault(at, error);
                return None;
            }
        };
        if let Some(diff_id) = diff_id.filter(|diff_id| **diff_id != found) {
            self.fault(
                at,
                format!("its diff_id is {found}, the configuration says {diff_id}"),
            );
        }
        Some(size)
    }

    /// Those that refer to what has been visited, directly or not: entries of
    /// `index.json`, or in one of its indexes. Another image's faults are not
    /// this one's.
    fn referrers(&mut self) {
        let mut candidates = Vec::new();
        self.gather(self.layout.index.manifests(), DEEPEST, &mut candidates);
        loop {
            let refers = |(_, subject): &(Descriptor, Digest)| self.seen.contains(subject);
            let (referring, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(refers);
            if referring.is_empty() {
                return;
            }
            for (descriptor, _) in referring {
                self.visit(&descriptor, DEEPEST);
            }
            candidates = others;
        }
    }

    /// All manifests with a subject.
    fn gather(&mut self, entries: &[Descriptor], depth: usize, found: &mut Vec<(Descriptor, Digest)>) {
        for entry in entries {
            if self.seen.contains(entry.digest()) {
                continue;
            }
            if let Some(subject) = subject(self.layout, entry) {
                found.push((entry.clone(), subject));
            } else if let (Some(Form::Index), 1..) = (Form::of(entry.media_type()), depth) {
                let index = self.layout.document(entry).ok();
                let index = index.and_then(|bytes| serde_json::from_slice::<ImageIndex>(&bytes).ok());
                if let Some(index) = index {
                    self.gather(index.manifests(), depth - 1, found);
                }
            } else if name(entry).is_none()
                && let Err(error) = self.layout.document(entry)
            {
                self.fault(format!("manifest {}", entry.digest()), error);
            }
        }
    }
}

/// What a media type says of a manifest.
enum Form {
    Index,
    Image,
}

impl Form {
    /// The types of the OCI, and those of docker that came before them.
    fn of(media_type: &MediaType) -> Option<Self> {
        match media_type.as_ref() {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Self::Index),
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Some(Self::Image),
            _ => None,
        }
    }
}

fn is_image_config(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageConfig
        || media_type.as_ref() == "application/vnd.docker.container.image.v1+json"
}

#[derive(Clone, Copy)]
enum Compression {
    None,
    Gzip,
}

impl Compression {
    /// `None` for what is not read here: zstd, which podman and docker do not
    /// write unless told to.
    fn of(media_type: &MediaType) -> Option<Self> {
        let text = media_type.as_ref();
        if text.ends_with("+gzip") || text.ends_with(".gzip") {
            Some(Self::Gzip)
        } else if text.ends_with("+zstd") {
            None
        } else {
            Some(Self::None)
        }
    }
}

/// Size and diff_id of what is in a blob.
fn measured(mut blob: impl Read, compression: Compression) -> io::Result<(u64, String)> {
    let measured = match compression {
        Compression::None => drained(&mut blob)?,
        Compression::Gzip => drained(MultiGzDecoder::new(&mut blob))?,
    };
    // Whatever is behind the compressed data belongs to the blob too.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(measured)
}

fn drained(mut content: impl Read) -> io::Result<(u64, String)> {
    let mut hasher = Hasher::sha256();
    let mut size = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            read => {
                size += read as u64;
                hasher.update(&buffer[..read]);
            }
        }
    }
    Ok((size, hasher.finish()))
}
