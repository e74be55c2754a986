//! Plugins out of registries, kept for the next start.
//!
//! Manifests and components lie below `blobs/`, by their digests, as in an OCI
//! image layout. All that is read is verified from the document's digest on, so
//! that whoever may write to the folder cannot put another plugin there.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oci_spec::image::{Digest, MediaType};

use super::LARGEST;
use crate::pure::digest::{Hasher, sha256};
use crate::pure::image::plugin;
use crate::pure::registry::reference::Reference;

/// A folder with such plugins, or for them.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    folder: &'a Path,
}

impl<'a> Kept<'a> {
    /// Those in a folder, which need not be there yet.
    pub fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// The component that a reference pins; `None` where it is not kept.
    ///
    /// # Errors
    /// One sentence when what is kept is damaged or cannot be read.
    pub fn component(&self, reference: &Reference) -> Result<Option<Vec<u8>>, String> {
        let Some(digest) = &reference.digest else {
            return Ok(None);
        };
        let Some(manifest) = self.blob(digest)? else {
            return Ok(None);
        };
        let layer = plugin::component(MediaType::ImageManifest.as_ref(), &manifest)?;
        self.blob(layer.digest())
    }

    /// Keep a manifest and the component that it names.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&self, manifest: &[u8], component: &[u8]) -> io::Result<()> {
        // The manifest last: where it is, all is.
        for bytes in [component, manifest] {
            let path = self.path(&sha256(bytes));
            let folder = path.parent().unwrap_or(self.folder);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            write(&path, bytes)?;
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let algorithm = digest.algorithm().to_string();
        self.folder.join("blobs").join(algorithm).join(digest.digest())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(digest);
        let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&error)),
        }
        let mut hasher = Hasher::like(digest)?;
        hasher.update(&bytes);
        match hasher.finish() == digest.to_string() {
            true => Ok(Some(bytes)),
            false => Err(wrong(&"it is damaged, its digest is another one")),
        }
    }
}

/// Under a name of its own first: a crash leaves no half of a file.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Two containers that share a folder may have the same process id.
    let chance = RandomState::new().build_hasher().finish();
    let draft = path.with_extension(format!("{chance:016x}.draft"));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut opened| opened.write_all(bytes))
        .and_then(|()| fs::rename(&draft, path))
        .inspect_err(|_| {
            // It may never have been there.
            let _ = fs::remove_file(&draft);
        })
}
