//! What is recorded beside the built components, so that one older than its
//! sources cannot go unnoticed, and the digest of those sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::project::SCHEMA;

/// `plugins/built/record.json`: each plugin by name, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record(pub BTreeMap<String, Entry>);

/// One built component and what it was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its file, from the root of the clone, with `/`.
    pub component: String,
    /// SHA-256 of the file, lowercase hexadecimal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// [`sources`] when it was built.
    pub sources: String,
    /// What it was built with.
    pub versions: Versions,
}

/// What turned the sources into a core module; with all of them equal, the
/// bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// `rustc --version`
    pub rustc: String,
    /// The linker's version; `rustc's own` when it is the one rustc brings.
    pub linker: String,
    /// `cargo --version`; it names the crates for the compiler.
    pub cargo: String,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; linker: {}; {}", self.rustc, self.linker, self.cargo)
    }
}

impl Record {
    /// Read the record; an absent file is an empty record.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not a record.
    pub fn read(path: &Path) -> Result<Self, String> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// The record as it is written: sorted, one line a value, newline at the end.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// SHA-256 in lowercase hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The digest of all that decides what a plugin's component contains, compiler
/// apart: its own crate, the contract, the crates of `plugins/` it depends on,
/// the versions of all its dependencies, and how they are compiled. Where the
/// clone lies does not matter.
///
/// # Errors
///
/// When a file cannot be read, or the lock file does not know the plugin.
pub fn sources(root: &Path, folder: &str) -> Result<String, String> {
    let manifest = table(&root.join("Cargo.toml"))?;
    let lock = table(&root.join("Cargo.lock"))?;
    let package = name_of(&root.join("plugins").join(folder))?;

    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut add = |path: &str| collect(root, path, &mut parts);
    add("plugins/wit")?;
    let dependencies = closure(&lock, &package)?;
    for other in folders(root)? {
        if dependencies.iter().any(|dependency| dependency.name == other.1) {
            add(&format!("plugins/{}/Cargo.toml", other.0))?;
            add(&format!("plugins/{}/src", other.0))?;
        }
    }
    let schema = format!("plugins/{folder}/{SCHEMA}");
    if root.join(&schema).is_file() {
        add(&schema)?;
    }
    let lines: Vec<_> = dependencies.iter().map(Dependency::line).collect();
    parts.insert("dependencies".into(), lines.join("\n").into_bytes());
    parts.insert("profile".into(), profile(&manifest).into_bytes());
    let shared = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"));
    parts.insert(
        "workspace.dependencies".into(),
        shared.map(flat).unwrap_or_default().into_bytes(),
    );

    let mut digest = Sha256::new();
    for (name, content) in &parts {
        // Lengths keep the end of one part from passing for the next one's start.
        digest.update(format!("{name}\n{}\n", content.len()));
        digest.update(content);
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Folders of `plugins/` that hold a crate, and its package name.
fn folders(root: &Path) -> Result<Vec<(String, String)>, String> {
    let plugins = root.join("plugins");
    let mut found = Vec::new();
    for entry in fs::read_dir(&plugins).map_err(|error| format!("{}: {error}", plugins.display()))? {
        let path = entry
            .map_err(|error| format!("{}: {error}", plugins.display()))?
            .path();
        if let Some(folder) = path.file_name().and_then(|name| name.to_str())
            && path.join("Cargo.toml").is_file()
        {
            found.push((folder.to_owned(), name_of(&path)?));
        }
    }
    Ok(found)
}

fn name_of(folder: &Path) -> Result<String, String> {
    let path = folder.join("Cargo.toml");
    let name = table(&path)?
        .get("package")
        .and_then(|package| package.get("name")?.as_str().map(str::to_owned));
    name.ok_or_else(|| format!("{}: no package.name", path.display()))
}

/// A TOML file.
///
/// # Errors
///
/// When it cannot be read or is not TOML.
pub fn table(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse()
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Add a file, or all files below a folder, under their path from the root.
fn collect(root: &Path, path: &str, parts: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let full = root.join(path);
    let failed = |error| format!("{}: {error}", full.display());
    if full.is_file() {
        parts.insert(path.to_owned(), fs::read(&full).map_err(failed)?);
        return Ok(());
    }
    for entry in fs::read_dir(&full).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| format!("{}: a file name that is not text", full.display()))?;
        // Editors leave hidden files about.
        if !name.starts_with('.') {
            collect(root, &format!("{path}/{name}"), parts)?;
        }
    }
    Ok(())
}

/// A locked package.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency<'a> {
    name: &'a str,
    version: &'a str,
    checksum: &'a str,
}

impl Dependency<'_> {
    fn line(&self) -> String {
        format!("{} {} {}", self.name, self.version, self.checksum)
    }
}

/// A package and all it depends on, as the lock file has them.
fn closure<'a>(lock: &'a Table, package: &str) -> Result<BTreeSet<Dependency<'a>>, String> {
    let packages = lock
        .get("package")
        .and_then(Value::as_array)
        .ok_or("Cargo.lock has no packages")?;
    let text = |package: &'a Value, key| package.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut open = vec![package];
    while let Some(wanted) = open.pop() {
        // `name`, or `name version` where the lock has several of that name.
        let mut words = wanted.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let found = packages
            .iter()
            .find(|package| {
                text(package, "name") == name
                    && version.is_none_or(|version| text(package, "version") == version)
            })
            .ok_or_else(|| format!("Cargo.lock has no package {wanted}"))?;
        let dependency = Dependency {
            name: text(found, "name"),
            version: text(found, "version"),
            checksum: text(found, "checksum"),
        };
        if seen.insert(dependency) {
            let needs = found.get("dependencies").and_then(Value::as_array);
            open.extend(needs.into_iter().flatten().filter_map(Value::as_str));
        }
    }
    Ok(seen)
}

/// The settings of the `plugin` profile together with what it inherits.
fn profile(manifest: &Table) -> String {
    let of = |name| {
        manifest
            .get("profile")
            .and_then(|profiles| profiles.get(name))
            .and_then(Value::as_table)
    };
    let mut settings = of("release").cloned().unwrap_or_default();
    settings.extend(of("plugin").cloned().unwrap_or_default());
    flat(&Value::Table(settings))
}

/// A TOML value as one `path = value` line for each leaf, sorted, so that order
/// and spacing in the file do not count.
fn flat(value: &Value) -> String {
    fn walk(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    walk(&format!("{path}.{key}"), value, lines);
                }
            }
            leaf => drop(lines.insert(format!("{path} = {leaf}"))),
        }
    }
    let mut lines = BTreeSet::new();
    walk("", value, &mut lines);
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "check"
        version = "0.1.0"
        dependencies = ["serde 2.0.0"]
        [[package]]
        name = "serde"
        version = "1.0.0"
        [[package]]
        name = "serde"
        version = "2.0.0"
        checksum = "ab"
        dependencies = ["itoa"]
        [[package]]
        name = "itoa"
        version = "3.0.0"
        dependencies = ["serde 2.0.0"]
        [[package]]
        name = "unrelated"
        version = "1.0.0"
    "#;

    #[test]
    fn closure_follows_versions_and_survives_circles() {
        let lock: Table = LOCK.parse().unwrap();
        let lines: Vec<_> = closure(&lock, "check")
            .unwrap()
            .iter()
            .map(Dependency::line)
            .collect();
        assert_eq!(lines, ["check 0.1.0 ", "itoa 3.0.0 ", "serde 2.0.0 ab"]);
        assert_eq!(
            closure(&lock, "absent").unwrap_err(),
            "Cargo.lock has no package absent"
        );
    }

    #[test]
    fn profile_counts_only_what_the_plugin_profile_leaves_open() {
        let read = |release: &str| {
            let text = format!("[profile.release]\n{release}\n[profile.plugin]\nlto = true");
            profile(&text.parse().unwrap())
        };
        assert_eq!(read("lto = \"thin\""), read("lto = false"));
        assert_ne!(read("overflow-checks = true"), read("overflow-checks = false"));
    }

    #[test]
    fn record_text_reads_back() {
        let versions = Versions {
            rustc: "a".into(),
            linker: "b".into(),
            cargo: "c".into(),
        };
        let entry = Entry {
            component: "x".into(),
            sha256: "0".into(),
            bytes: 1,
            sources: "1".into(),
            versions,
        };
        let record = Record(BTreeMap::from([("tcp".to_owned(), entry)]));
        assert_eq!(serde_json::from_str::<Record>(&record.text()).unwrap(), record);
    }
}
