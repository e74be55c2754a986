//! Plugins compiled ahead of time, and the only `unsafe` of the project.
//!
//! A compiled plugin is native code: loading one is trusting whoever could
//! have written it. So the folder must be out of everybody else's reach, the
//! file carries a digest of its own content, and its name says which
//! component, compiler and machine it is for. Whatever does not fit is
//! compiled anew.

#![allow(unsafe_code)] // Component::deserialize runs the bytes it is given as native code.

use std::fs::{self, Metadata, OpenOptions};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the digest in front of the compiled component.
const DIGEST: usize = 32;

/// Take the component from `folder`, or compile it and leave it there. `warn`
/// is told why the folder cannot be used; that costs time, nothing else.
pub fn load(
    engine: &Engine,
    folder: &Path,
    component: &[u8],
    compile: impl FnOnce() -> Result<Component, String>,
    warn: &mut dyn FnMut(String),
) -> Result<Component, String> {
    // Its real path from here on: a link on the way could be turned elsewhere.
    let folder = match ours_alone(folder) {
        Ok(folder) => folder,
        Err(why) => {
            warn(format!("compiled plugins are not kept: {why}"));
            return compile();
        }
    };
    let file = folder.join(name(engine, component));
    if let Some(kept) = read(engine, &file) {
        return Ok(kept);
    }
    let compiled = compile()?;
    if let Err(error) = write(&file, &compiled) {
        warn(format!(
            "cannot keep a compiled plugin in {}: {error}",
            file.display()
        ));
    }
    Ok(compiled)
}

/// The folder's real path, when nobody but us and root can put a file there:
/// it and all above it belong to us or root, and others may write at most
/// where the sticky bit keeps them from replacing what is not theirs.
fn ours_alone(folder: &Path) -> Result<PathBuf, String> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    for (depth, above) in folder.ancestors().enumerate() {
        let found = fs::symlink_metadata(above).map_err(|error| format!("{}: {error}", above.display()))?;
        if !ours_or_roots(&found) {
            return Err(format!(
                "{} belongs to another user (id {})",
                above.display(),
                found.uid()
            ));
        }
        let sticky = depth > 0 && found.mode() & 0o1000 != 0;
        if found.mode() & 0o022 != 0 && !sticky {
            return Err(format!(
                "{} can be written by others; chmod go-w it",
                above.display()
            ));
        }
    }
    Ok(folder)
}

fn ours_or_roots(found: &Metadata) -> bool {
    found.uid() == 0 || found.uid() == nix::unistd::geteuid().as_raw()
}

fn name(engine: &Engine, component: &[u8]) -> String {
    let mut compatible = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatible);
    format!(
        "{:x}-{:016x}.cwasm",
        Sha256::digest(component),
        compatible.finish()
    )
}

fn read(engine: &Engine, file: &Path) -> Option<Component> {
    let kept = read_ours(file)?;
    let (digest, compiled) = kept.split_at_checked(DIGEST)?;
    if Sha256::digest(compiled).as_slice() != digest {
        return None;
    }
    // SAFETY: the bytes are what `Component::serialize` gave `write` below:
    // only we and root can put files into the folder (`ours_alone`) or write
    // this one (`read_ours`), we hold a copy of it, and the digest shows that
    // it is whole. wasmtime itself refuses those of another
    // version or configuration.
    unsafe { Component::deserialize(engine, compiled) }.ok()
}

/// The file's bytes, when only we or root can have written them.
fn read_ours(file: &Path) -> Option<Vec<u8>> {
    let mut opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(file)
        .ok()?;
    // Of what is open, not of what has that name by now.
    let found = opened.metadata().ok()?;
    if !found.is_file() || !ours_or_roots(&found) || found.mode() & 0o022 != 0 {
        return None;
    }
    let mut kept = Vec::new();
    opened.read_to_end(&mut kept).ok()?;
    Some(kept)
}

/// Under a name of its own first: a crash leaves no half of a file. It is for
/// us alone, whatever the umask.
fn write(file: &Path, compiled: &Component) -> io::Result<()> {
    let compiled = compiled
        .serialize()
        .map_err(|error| io::Error::other(format!("{error:#}")))?;
    let mut kept = Sha256::digest(&compiled).to_vec();
    kept.extend_from_slice(&compiled);
    // Two containers that share a folder may have the same process id.
    let chance = RandomState::new().build_hasher().finish();
    let draft = file.with_extension(format!("{chance:016x}.draft"));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut opened| opened.write_all(&kept))
        .and_then(|()| fs::rename(&draft, file))
        .inspect_err(|_| {
            // Left behind only if even this fails.
            let _ = fs::remove_file(&draft);
        })
}
