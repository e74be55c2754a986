//! The bytes of plugins: the standard ones in the binary, others in files, or
//! fetched from registries and kept.
//!
//! It hands out what was asked for, verified if a digest is pinned, and knows
//! nothing of what is in it; `wasm` compiles and runs plugins.

mod kept;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::pure::component;
use crate::pure::config::{Config, PluginSource, Plugins, Schema};
use crate::pure::registry::reference::Reference;

pub use kept::Kept;

/// The standard plugins by name, in alphabetical order. They are the committed
/// components; `tests/plugins_fresh.rs` keeps them equal to their sources.
pub const STANDARD: &[(&str, &[u8])] = &[
    (
        "apiserver-healthz",
        include_bytes!("../../../plugins/built/apiserver-healthz.wasm"),
    ),
    ("dns", include_bytes!("../../../plugins/built/dns.wasm")),
    ("etcd", include_bytes!("../../../plugins/built/etcd.wasm")),
    (
        "grpc-health",
        include_bytes!("../../../plugins/built/grpc-health.wasm"),
    ),
    ("http", include_bytes!("../../../plugins/built/http.wasm")),
    ("mysql", include_bytes!("../../../plugins/built/mysql.wasm")),
    ("postgres", include_bytes!("../../../plugins/built/postgres.wasm")),
    ("redis", include_bytes!("../../../plugins/built/redis.wasm")),
    ("script", include_bytes!("../../../plugins/built/script.wasm")),
    ("tcp", include_bytes!("../../../plugins/built/tcp.wasm")),
    (
        "tls-handshake",
        include_bytes!("../../../plugins/built/tls-handshake.wasm"),
    ),
];

const NAMES: [&str; STANDARD.len()] = {
    let mut names = [""; STANDARD.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = STANDARD[at].0;
        at += 1;
    }
    names
};

/// The plugins that can be had here. Those of registries can once somebody has
/// put them in.
#[derive(Clone, Default)]
pub struct Available {
    fetched: HashMap<Reference, Arc<[u8]>>,
}

impl Available {
    /// This is the component that a document means with `reference`.
    pub fn add(&mut self, reference: Reference, component: Vec<u8>) {
        self.fetched.insert(reference, component.into());
    }

    /// Let those go that a document does not name.
    pub fn keep_what_is_named(&mut self, config: &Config) {
        let named = |reference: &Reference| {
            let mut plugins = config.checks.iter().map(|check| &check.plugin);
            plugins.any(|plugin| matches!(plugin, PluginSource::Registry(named) if named == reference))
        };
        self.fetched.retain(|reference, _| named(reference));
    }

    /// Whether somebody has.
    pub fn has(&self, reference: &Reference) -> bool {
        self.fetched.contains_key(reference)
    }

    /// The component of a plugin.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn bytes(&self, plugin: &PluginSource) -> Result<Cow<'_, [u8]>, Error> {
        match plugin {
            PluginSource::Standard(name) => read_standard(name).map(Cow::Borrowed),
            PluginSource::File { path, sha256 } => read_file(path, sha256.as_ref()).map(Cow::Owned),
            PluginSource::Registry(reference) => match self.fetched.get(reference) {
                Some(component) => Ok(Cow::Borrowed(component)),
                None => Err(Error::Unfetched(reference.clone())),
            },
        }
    }
}

impl Plugins for Available {
    fn standard(&self) -> &[&str] {
        &NAMES
    }

    fn schema(&self, plugin: &PluginSource, cache: Option<&Path>) -> Schema {
        let bytes = match (self.bytes(plugin), plugin) {
            (Ok(bytes), _) => bytes,
            (Err(_), PluginSource::Registry(reference)) => {
                let kept = cache.and_then(|cache| Kept::new(cache).component(reference).ok()?);
                match kept {
                    Some(component) => Cow::Owned(component),
                    None => return Schema::Unfetched,
                }
            }
            (Err(_), _) => return Schema::None,
        };
        match component::custom_section(&bytes, component::SCHEMA_SECTION) {
            Some(schema) => Schema::Text(String::from_utf8_lossy(schema).into_owned()),
            None => Schema::None,
        }
    }
}

/// The most bytes of a plugin file. Components with a language's whole runtime
/// in them (Python, JavaScript) reach some 30 MiB.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// Why a plugin's bytes cannot be had.
#[derive(Debug)]
pub enum Error {
    /// There is no standard plugin of this name.
    Unknown {
        /// The name asked for.
        name: String,
        /// The standard plugin that is probably meant.
        nearest: Option<&'static str>,
    },
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file is over [`LARGEST`].
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that was pinned.
    OtherDigest {
        /// The file.
        path: PathBuf,
        /// The pinned SHA-256.
        pinned: [u8; 32],
        /// The file's SHA-256.
        found: [u8; 32],
    },
    /// It is in a registry, and nobody has fetched it.
    Unfetched(Reference),
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Unknown { .. } | Self::TooLarge { .. } | Self::OtherDigest { .. } | Self::Unfetched(_) => {
                None
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "there is no standard plugin `{name}`")?;
                if let Some(nearest) = nearest {
                    write!(f, ", did you mean `{nearest}`?")?;
                }
                let names: Vec<_> = STANDARD.iter().map(|(name, _)| *name).collect();
                write!(
                    f,
                    " (there are {}; a file is written `file:PATH`)",
                    names.join(", ")
                )
            }
            Self::Unreadable { path, error } => write!(f, "cannot read plugin {}: {error}", path.display()),
            Self::TooLarge { path } => {
                write!(
                    f,
                    "plugin {} is over {} MiB",
                    path.display(),
                    LARGEST / (1024 * 1024)
                )
            }
            Self::OtherDigest { path, pinned, found } => write!(
                f,
                "plugin {} is not the pinned one: its SHA-256 is {}, pinned is {}",
                path.display(),
                hex(found),
                hex(pinned)
            ),
            Self::Unfetched(reference) => write!(f, "plugin {reference} has not been fetched"),
        }
    }
}

/// The standard plugin of a name.
pub fn standard(name: &str) -> Option<&'static [u8]> {
    STANDARD
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// As [`standard`], with an error that helps.
///
/// # Errors
///
/// [`Error::Unknown`].
pub fn read_standard(name: &str) -> Result<&'static [u8], Error> {
    standard(name).ok_or_else(|| {
        // Beyond a few letters' difference a suggestion is a guess.
        let nearest = STANDARD
            .iter()
            .map(|(known, _)| (strsim::damerau_levenshtein(name, known), *known))
            .min()
            .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
            .map(|(_, known)| known);
        Error::Unknown {
            name: name.to_owned(),
            nearest,
        }
    })
}

/// A plugin from a file, verified if its SHA-256 is pinned.
///
/// # Errors
///
/// All but [`Error::Unknown`] and [`Error::Unfetched`].
pub fn read_file(path: &Path, sha256: Option<&[u8; 32]>) -> Result<Vec<u8>, Error> {
    let unreadable = |error| Error::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    // Bounded while reading: the path may name a device or a growing file.
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    let found: [u8; 32] = Sha256::digest(&bytes).into();
    match sha256 {
        Some(pinned) if *pinned != found => Err(Error::OtherDigest {
            path: path.to_owned(),
            pinned: *pinned,
            found,
        }),
        _ => Ok(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_plugins_are_components() {
        for (name, bytes) in STANDARD {
            assert!(component::is_component(bytes), "{name}");
            assert_eq!(standard(name), Some(*bytes));
        }
    }

    #[test]
    fn misspelt_name_is_answered_with_the_nearest() {
        assert_eq!(
            read_standard("apiserver-health").unwrap_err().to_string(),
            "there is no standard plugin `apiserver-health`, did you mean `apiserver-healthz`? \
             (there are apiserver-healthz, dns, etcd, grpc-health, http, mysql, postgres, redis, script, tcp, tls-handshake; a file is written `file:PATH`)"
        );
        assert_eq!(
            read_standard("ldap").unwrap_err().to_string(),
            "there is no standard plugin `ldap` \
             (there are apiserver-healthz, dns, etcd, grpc-health, http, mysql, postgres, redis, script, tcp, tls-handshake; a file is written `file:PATH`)"
        );
    }

    #[test]
    fn pinned_file_is_read_only_when_it_is_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        std::fs::write(&path, b"abc").unwrap();
        let right: [u8; 32] = Sha256::digest(b"abc").into();
        assert_eq!(read_file(&path, None).unwrap(), b"abc");
        assert_eq!(read_file(&path, Some(&right)).unwrap(), b"abc");
        let text = read_file(&path, Some(&[0xab; 32])).unwrap_err().to_string();
        assert!(
            text.contains(&hex(&right)) && text.contains(&"ab".repeat(32)),
            "{text}"
        );
    }

    #[test]
    fn absent_file_and_endless_device_are_refused() {
        let text = read_file(Path::new("/nonexistent/x.wasm"), None)
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("cannot read plugin /nonexistent/x.wasm: "),
            "{text}"
        );
        assert!(matches!(
            read_file(Path::new("/dev/zero"), None),
            Err(Error::TooLarge { .. })
        ));
    }
}
