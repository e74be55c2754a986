//! The one layer of a container image.

use std::collections::BTreeMap;

use super::description::Container;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A folder that everybody may enter.
    Folder,
    /// A program that everybody may run.
    Program(&'a [u8]),
}

/// A layer as images carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The compressed archive.
    pub compressed: Vec<u8>,
    /// SHA-256 of the archive before compression, hexadecimal.
    pub uncompressed_sha256: String,
}

/// What the layer holds by relative path; folders come before what is in them.
pub fn entries<'a>(container: &Container, program: &'a [u8]) -> BTreeMap<String, Entry<'a>> {
    let mut entries = BTreeMap::new();
    let mut with_parents = |path: &str, entry| {
        for (end, _) in path.match_indices('/') {
            entries.insert(path[..end].to_owned(), Entry::Folder);
        }
        entries.insert(path.to_owned(), entry);
    };
    for folder in &container.folders {
        with_parents(folder.relative(), Entry::Folder);
    }
    with_parents(container.binary.relative(), Entry::Program(program));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::description::Description;

    #[test]
    fn folders_come_with_their_parents_and_before_what_is_in_them() {
        let text = "kind = 'container'\nname = 'n'\ntitle = 't'\ndescription = 'd'\n\
            binary = '/usr/bin/a'\nfolders = ['/etc/a/b']\nentrypoint = ['/usr/bin/a']\n\
            user = '1:2'\nstop-signal = 'SIGTERM'\n";
        let Ok(Description::Container(container)) = Description::read(text) else {
            panic!("{:?}", Description::read(text));
        };
        let entries: Vec<_> = entries(&container, b"x").into_iter().collect();
        let folder = |path: &str| (path.to_owned(), Entry::Folder);
        assert_eq!(
            entries,
            [
                folder("etc"),
                folder("etc/a"),
                folder("etc/a/b"),
                folder("usr"),
                folder("usr/bin"),
                ("usr/bin/a".to_owned(), Entry::Program(b"x")),
            ]
        );
    }
}
