//! Makes the archive of a layer: the same bytes from the same entries.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::pure::image::facts::Moment;
use crate::pure::image::layer::{Entry, Layer};

/// "Unknown", of RFC 1952 §2.3.1: it does not matter where the archive was made.
const NO_SYSTEM: u8 = 255;

/// Pack and compress. Everything belongs to root and was last changed at `time`.
///
/// # Errors
///
/// When a path is too long for an archive.
pub fn pack(entries: &BTreeMap<String, Entry>, time: Moment) -> io::Result<Layer> {
    let archive = archive(entries, time)?;
    let uncompressed_sha256 = Sha256::digest(&archive)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(NO_SYSTEM)
        .write(Vec::new(), Compression::best());
    gzip.write_all(&archive)?;
    Ok(Layer {
        compressed: gzip.finish()?,
        uncompressed_sha256,
    })
}

fn archive(entries: &BTreeMap<String, Entry>, time: Moment) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in entries {
        match entry {
            Entry::Folder => archive.append_data(
                &mut header(EntryType::Directory, 0, time),
                format!("{path}/"),
                io::empty(),
            )?,
            Entry::Program(bytes) => archive.append_data(
                &mut header(EntryType::Regular, bytes.len() as u64, time),
                path,
                *bytes,
            )?,
        }
    }
    archive.into_inner()
}

fn header(kind: EntryType, size: u64, time: Moment) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time.seconds());
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(time: u64) -> Layer {
        let entries = [
            ("a/b".to_owned(), Entry::Program(b"program")),
            ("a".to_owned(), Entry::Folder),
        ];
        pack(&entries.into(), Moment::new(time).unwrap()).unwrap()
    }

    #[test]
    fn same_entries_make_the_same_bytes() {
        assert_eq!(packed(7), packed(7));
        assert_ne!(packed(7), packed(8));
    }

    #[test]
    fn archive_names_no_time_and_no_system_of_its_making() {
        // RFC 1952 §2.3: FLG, MTIME; OS.
        let archive = packed(7).compressed;
        assert_eq!((&archive[3..8], archive[9]), (&[0; 5][..], 255));
    }

    #[test]
    fn entries_are_roots_and_everybodys_to_use() {
        let mut archive = Vec::new();
        flate2::read::GzDecoder::new(&*packed(7).compressed)
            .read_to_end(&mut archive)
            .unwrap();
        let found: Vec<_> = tar::Archive::new(&*archive)
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let numbers = [
                    u64::from(header.mode().unwrap()),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    header.mtime().unwrap(),
                ];
                (entry.path().unwrap().display().to_string(), numbers)
            })
            .collect();
        let numbers = [0o755, 0, 0, 7];
        assert_eq!(found, [("a/".into(), numbers), ("a/b".into(), numbers)]);
    }
}
