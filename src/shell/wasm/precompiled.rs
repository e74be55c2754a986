//! Plugins compiled ahead of time, and the only `unsafe` of the project.
//!
//! A compiled plugin is native code: loading one is trusting whoever could
//! have written it. So the folder must be out of everybody else's reach, the
//! file carries a digest of its own content, and its name says which
//! component, compiler and machine it is for. Whatever does not fit is
//! compiled anew.

#![allow(unsafe_code)] // Component::deserialize runs the bytes it is given as native code.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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
    if let Err(why) = ours_alone(folder) {
        warn(format!("compiled plugins are not kept: {why}"));
        return compile();
    }
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

/// Whether nobody but us and root can put a file there: the folder and all
/// above it belong to us or root, and others may write at most where the
/// sticky bit keeps them from replacing what is not theirs.
fn ours_alone(folder: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let us = nix::unistd::geteuid().as_raw();
    for (depth, above) in folder.ancestors().enumerate() {
        let found = fs::symlink_metadata(above).map_err(|error| format!("{}: {error}", above.display()))?;
        if found.uid() != 0 && found.uid() != us {
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
    Ok(())
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
    let kept = fs::read(file).ok()?;
    let (digest, compiled) = kept.split_at_checked(DIGEST)?;
    if Sha256::digest(compiled).as_slice() != digest {
        return None;
    }
    // SAFETY: the bytes are what `Component::serialize` gave `write` below:
    // only we and root can write the folder (`ours_alone`), and the digest
    // shows that they are whole. wasmtime itself refuses those of another
    // version or configuration.
    unsafe { Component::deserialize(engine, compiled) }.ok()
}

/// Under a name of its own first: a crash leaves no half of a file.
fn write(file: &Path, compiled: &Component) -> io::Result<()> {
    let compiled = compiled
        .serialize()
        .map_err(|error| io::Error::other(format!("{error:#}")))?;
    let mut kept = Sha256::digest(&compiled).to_vec();
    kept.extend_from_slice(&compiled);
    let draft: PathBuf = file.with_extension(format!("{}.draft", std::process::id()));
    fs::write(&draft, kept)
        .and_then(|()| fs::rename(&draft, file))
        .inspect_err(|_| {
            // Left behind only if even this fails.
            let _ = fs::remove_file(&draft);
        })
}
