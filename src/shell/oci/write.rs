//! Writes a layout as a folder or as one archive.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::pure::image::facts::Moment;

/// Why a layout could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The folder has something in it.
    NotEmpty(PathBuf),
    /// The path has no file name.
    NoName(PathBuf),
    /// The file system refuses.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::NotEmpty(_) | Self::NoName(_) => None,
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty(path) => write!(
                f,
                "{} is not empty; name a folder that is, or one that is not there yet",
                path.display()
            ),
            Self::NoName(path) => write!(f, "{} is no name for a file", path.display()),
            Self::Io { path, error } => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

/// Write files by relative path into a folder that is empty or not there yet.
///
/// # Errors
///
/// Every variant but [`WriteError::NoName`]; what was written stays.
pub fn folder(files: &BTreeMap<String, Vec<u8>>, path: &Path) -> Result<(), WriteError> {
    make_folder(path)?;
    let mut inside = fs::read_dir(path).map_err(|error| refused(path, error))?;
    if inside.next().is_some() {
        return Err(WriteError::NotEmpty(path.into()));
    }
    for (name, bytes) in files {
        let file = path.join(name);
        file.parent().map_or(Ok(()), make_folder)?;
        fs::write(&file, bytes).map_err(|error| refused(&file, error))?;
    }
    Ok(())
}

/// Write files by relative path into an archive. It appears whole, in place of
/// what was there.
///
/// # Errors
///
/// [`WriteError::NoName`] and [`WriteError::Io`].
pub fn archive(files: &BTreeMap<String, Vec<u8>>, path: &Path, time: Moment) -> Result<(), WriteError> {
    if path.file_name().is_none() {
        return Err(WriteError::NoName(path.into()));
    }
    whole(path, |unfinished| pack(files, unfinished, time)).map_err(|error| refused(path, error))
}

/// Have a file written under a name of its own first, so that it appears whole,
/// in place of what was there.
///
/// # Errors
/// When it has no name, or cannot be written there.
pub fn whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut unfinished = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(unfinished);
    write(&unfinished)
        .and_then(|()| fs::rename(&unfinished, path))
        .inspect_err(|_| {
            // It may never have been there.
            let _ = fs::remove_file(&unfinished);
        })
}

fn pack(files: &BTreeMap<String, Vec<u8>>, path: &Path, time: Moment) -> io::Result<()> {
    let mut archive = Builder::new(BufWriter::new(File::create(path)?));
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(EntryType::Directory, 0o755, 0, time);
        archive.append_data(&mut header, folder, io::empty())?;
    }
    for (name, bytes) in files {
        let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64, time);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.flush()
}

fn header(kind: EntryType, mode: u32, size: u64, time: Moment) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time.seconds());
    header.set_size(size);
    header
}

fn make_folder(path: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(path).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io {
        path: path.into(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, Vec<u8>> {
        [
            ("blobs/sha256/00".into(), b"x".to_vec()),
            ("index.json".into(), b"{}".to_vec()),
        ]
        .into()
    }

    #[test]
    fn folder_with_something_in_it_is_left_alone() {
        let folder_there = tempfile::tempdir().unwrap();
        fs::write(folder_there.path().join("mine"), b"").unwrap();
        let error = folder(&files(), folder_there.path()).unwrap_err();
        assert!(
            error.to_string().contains("is not empty; name a folder"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder_there.path()).unwrap().count(), 1);
    }

    #[test]
    fn archive_replaces_what_was_there_and_leaves_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.tar");
        fs::write(&path, b"old").unwrap();
        archive(&files(), &path, Moment::new(0).unwrap()).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            ["blobs/", "blobs/sha256/", "blobs/sha256/00", "index.json"]
        );
    }

    #[test]
    fn archive_in_a_folder_that_is_not_there_is_an_error_that_names_it() {
        let error = archive(&files(), Path::new("/nowhere/a.tar"), Moment::new(0).unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot write /nowhere/a.tar: "), "{text}");
    }
}
