//! The bill of materials: what the lock file says is in a package, as
//! CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).
//!
//! A lock file knows neither the target nor which of two features was wanted
//! for it, so the list holds what any target's build may take, and what only
//! the build itself takes. It never holds too little.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::Facts;

/// Media type of the bill.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// Where packages come from.
#[derive(Clone, Debug)]
pub struct Sources {
    packages: Vec<Package>,
    /// Dependencies of the program's tests alone.
    only_for_tests: BTreeSet<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Absent for those of the workspace.
    source: Option<String>,
    /// SHA-256 of the package file.
    checksum: Option<String>,
    /// `NAME`, or `NAME VERSION` where the name alone would mean several.
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Sources {
    /// Read a lock file, and the manifest of the workspace's root package: of
    /// that one the lock file lists what its tests need too.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn read(lock: &str, manifest: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Lock {
            package: Vec<Package>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Manifest {
            #[serde(default)]
            dependencies: BTreeMap<String, toml::Value>,
            #[serde(default)]
            dev_dependencies: BTreeMap<String, toml::Value>,
        }
        let lock: Lock = toml::from_str(lock).map_err(|error| format!("Cargo.lock: {error}"))?;
        let manifest: Manifest = toml::from_str(manifest).map_err(|error| format!("Cargo.toml: {error}"))?;
        let mut only_for_tests: BTreeSet<_> = manifest.dev_dependencies.into_keys().collect();
        only_for_tests.retain(|name| !manifest.dependencies.contains_key(name));
        Ok(Self {
            packages: lock.package,
            only_for_tests,
        })
    }

    /// The bill of one package of the workspace.
    ///
    /// # Errors
    ///
    /// When the lock file does not know the package, or one that it needs.
    pub fn bill(&self, package: &str, facts: &Facts) -> Result<Value, String> {
        let root = self.find(package)?;
        let mut parts = BTreeMap::new();
        let mut to_visit = vec![root];
        while let Some(package) = to_visit.pop() {
            if let Entry::Vacant(place) = parts.entry(package.id()) {
                let needed = self.needed_by(package, root)?;
                to_visit.extend(&needed);
                place.insert((package, needed));
            }
        }
        let others = parts.values().map(|(package, _)| *package);
        let components: Vec<_> = others
            .filter(|part| part.id() != root.id())
            .map(Package::component)
            .collect();
        let dependencies: Vec<_> = parts.iter().map(|(id, (_, needed))| edge(id, needed)).collect();
        let mut whole = root.component();
        whole["type"] = json!("application");
        whole["licenses"] = json!([{ "expression": facts.licenses }]);
        Ok(json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "timestamp": facts.created.rfc3339(), "component": whole },
            "components": components,
            "dependencies": dependencies,
        }))
    }

    fn needed_by(&self, package: &Package, root: &Package) -> Result<Vec<&Package>, String> {
        let names = package.dependencies.iter();
        names
            .filter(|name| package.id() != root.id() || !self.only_for_tests.contains(*name))
            .map(|name| self.find(name))
            .collect()
    }

    fn find(&self, dependency: &str) -> Result<&Package, String> {
        let mut words = dependency.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        self.packages
            .iter()
            .find(|package| package.name == name && version.is_none_or(|version| package.version == version))
            .ok_or_else(|| format!("Cargo.lock has no package {dependency}"))
    }
}

impl Package {
    /// A package URL (<https://github.com/package-url/purl-spec>).
    fn id(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    fn component(&self) -> Value {
        let mut component = json!({
            "type": "library",
            "bom-ref": self.id(),
            "name": self.name,
            "version": self.version,
        });
        // A package URL without more means the public registry.
        if self.source.as_deref() == Some("registry+https://github.com/rust-lang/crates.io-index") {
            component["purl"] = json!(self.id());
        }
        if let Some(checksum) = &self.checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

fn edge(id: &str, needed: &[&Package]) -> Value {
    let needed: BTreeSet<_> = needed.iter().map(|package| package.id()).collect();
    json!({ "ref": id, "dependsOn": needed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::facts::Moment;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "app"
        version = "1.0.0"
        dependencies = ["a 2.0.0+b", "tester", "member"]
        [[package]]
        name = "member"
        version = "0.1.0"
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        checksum = "01"
        [[package]]
        name = "a"
        version = "2.0.0+b"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        checksum = "02"
        dependencies = ["a 1.0.0"]
        [[package]]
        name = "tester"
        version = "1.0.0"
    "#;

    const MANIFEST: &str = "[package]\nname = 'app'\n[dependencies]\na = '2'\nmember = '*'\n\
        [dev-dependencies]\ntester = { version = '1' }\na = '2'\n";

    fn facts() -> Facts<'static> {
        Facts {
            version: "1.0.0",
            licenses: "MIT",
            source: None,
            revision: None,
            created: Moment::new(0).unwrap(),
        }
    }

    #[test]
    fn bill_lists_what_is_shipped_with_its_checksums() {
        let bill = Sources::read(LOCK, MANIFEST)
            .unwrap()
            .bill("app", &facts())
            .unwrap();
        let library = |name, version, id, checksum| {
            json!({
                "type": "library", "bom-ref": id, "name": name, "version": version, "purl": id,
                "hashes": [{ "alg": "SHA-256", "content": checksum }],
            })
        };
        assert_eq!(
            bill["components"],
            json!([
                library("a", "1.0.0", "pkg:cargo/a@1.0.0", "01"),
                library("a", "2.0.0+b", "pkg:cargo/a@2.0.0%2Bb", "02"),
                { "type": "library", "bom-ref": "pkg:cargo/member@0.1.0", "name": "member", "version": "0.1.0" },
            ])
        );
        assert_eq!(
            bill["dependencies"][3],
            json!({ "ref": "pkg:cargo/member@0.1.0", "dependsOn": [] })
        );
        assert_eq!(
            bill["dependencies"][2],
            json!({
                "ref": "pkg:cargo/app@1.0.0",
                "dependsOn": ["pkg:cargo/a@2.0.0%2Bb", "pkg:cargo/member@0.1.0"],
            })
        );
        assert_eq!(bill["metadata"]["component"]["type"], "application");
    }

    #[test]
    fn unknown_package_is_named() {
        let sources = Sources::read(LOCK, MANIFEST).unwrap();
        assert_eq!(
            sources.bill("b", &facts()).unwrap_err(),
            "Cargo.lock has no package b"
        );
    }
}
