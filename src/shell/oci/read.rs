//! A layout and its blobs (OCI image specification, "Image Layout").
//!
//! Nothing is unpacked, and each blob is verified as it is read: its last byte
//! is followed by an error if size or digest are not what was asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{Descriptor, Digest, ImageIndex, OciLayout};

use super::source::Kind;
use crate::pure::digest::Hasher;

/// The most bytes of what is held in memory: manifests, indexes and
/// configurations. Registries refuse larger manifests.
pub const LARGEST_DOCUMENT: u64 = 4 << 20;

/// A layout. It holds no file open.
pub struct Layout {
    place: Place,
    /// What the layout begins with.
    pub index: ImageIndex,
}

enum Place {
    Folder(PathBuf),
    Archive {
        file: PathBuf,
        /// Where the content of each file begins in the archive, and its size.
        entries: BTreeMap<String, (u64, u64)>,
    },
    Memory(BTreeMap<String, Arc<[u8]>>),
}

impl Layout {
    /// Open one.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(kind: Kind, path: &Path) -> Result<Self, String> {
        let place = match kind {
            Kind::Folder => Place::Folder(path.to_owned()),
            Kind::Archive => Place::Archive {
                file: path.to_owned(),
                entries: entries(path)?,
            },
        };
        Self::new(place, &path.display().to_string())
    }

    /// One that is not written anywhere, as its files by relative path.
    ///
    /// # Errors
    /// When they are no layout.
    pub fn of(files: BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let files = files.into_iter().map(|(name, bytes)| (name, bytes.into()));
        Self::new(Place::Memory(files.collect()), "what was made")
    }

    fn new(place: Place, shown: &str) -> Result<Self, String> {
        let header: OciLayout = place
            .document("oci-layout")
            .map_err(|why| format!("{shown} is not an OCI layout: {why}"))?;
        if header.image_layout_version() != "1.0.0" {
            let version = header.image_layout_version();
            return Err(format!(
                "{shown} is an OCI layout of version {version:?}; 1.0.0 is known here"
            ));
        }
        let index = place
            .document("index.json")
            .map_err(|why| format!("{shown}: {why}"))?;
        Ok(Self { place, index })
    }

    /// A blob, from its beginning.
    ///
    /// # Errors
    /// When it is not there, or its digest is of a kind not known here.
    pub fn blob(&self, descriptor: &Descriptor) -> io::Result<Verified> {
        let digest = descriptor.digest();
        let hasher = Hasher::like(digest).map_err(wrong)?;
        let (algorithm, hex) = (digest.algorithm(), digest.digest());
        let content = self.place.file(&format!("blobs/{algorithm}/{hex}"))?;
        Ok(Verified {
            content,
            hasher: Some(hasher),
            digest: digest.clone(),
            size: descriptor.size(),
            read: 0,
        })
    }

    /// A whole blob of at most [`LARGEST_DOCUMENT`].
    ///
    /// # Errors
    /// As [`Layout::blob`], and when it is not what the descriptor says.
    pub fn document(&self, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
        if descriptor.size() > LARGEST_DOCUMENT {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        self.blob(descriptor)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Place {
    fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let mut bytes = Vec::new();
        self.file(name)
            .and_then(|file| file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("{name}: {error}"))?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            return Err(format!("{name}: {}", too_large()));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
    }

    /// A file of the layout.
    fn file(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Folder(folder) => Ok(Box::new(File::open(folder.join(name))?)),
            Self::Archive { file, entries } => {
                let Some((start, size)) = entries.get(name) else {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "not in the archive"));
                };
                let mut file = File::open(file)?;
                file.seek(SeekFrom::Start(*start))?;
                Ok(Box::new(file.take(*size)))
            }
            Self::Memory(files) => match files.get(name) {
                Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
                None => Err(io::Error::new(io::ErrorKind::NotFound, "not among the files")),
            },
        }
    }
}

/// Where the files of an archive are.
fn entries(path: &Path) -> Result<BTreeMap<String, (u64, u64)>, String> {
    let list = || -> io::Result<_> {
        let mut entries = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(path)?);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            if entry.header().entry_type().is_file() {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let name = name.trim_start_matches("./").to_string();
                entries.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        Ok(entries)
    };
    list().map_err(|error| {
        let shown = path.display();
        format!("cannot read {shown}: {error} (an archive is a tar that is not compressed)")
    })
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it is over 4 MiB, too large for what it is",
    )
}

/// A blob that says at its end whether it was the right one.
pub struct Verified {
    content: Box<dyn Read + Send>,
    /// Until the end has been seen.
    hasher: Option<Hasher>,
    digest: Digest,
    size: u64,
    read: u64,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(hasher) = &mut self.hasher else {
            return Ok(0);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.content.read(buffer)?;
        self.read += read as u64;
        if self.read > self.size {
            return Err(wrong(format!("it is larger than {} bytes", self.size)));
        }
        hasher.update(&buffer[..read]);
        if read > 0 {
            return Ok(read);
        }
        if self.read < self.size {
            return Err(wrong(format!("it has {} of {} bytes", self.read, self.size)));
        }
        let found = self.hasher.take().map(Hasher::finish).unwrap_or_default();
        if found != self.digest.as_ref() {
            return Err(wrong(format!("its digest is {found}")));
        }
        Ok(0)
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
