//! Builds the check plugins of a clone: cargo makes core modules, this makes
//! components of them.
//!
//! The same sources and the same compiler give the same bytes wherever the
//! clone lies, so anyone can verify the components that are committed.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::Value;

use super::project::{component, schema, with_schema};
use super::record::{Entry, Record, Versions, sha256, sources, table};

/// The target all plugins are built for: no libc and so no imports besides the
/// contract's.
const TARGET: &str = "wasm32-unknown-unknown";

/// A clone with its plugins.
#[derive(Clone, Debug)]
pub struct Workshop {
    root: PathBuf,
}

/// A plugin of the clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its folder in `plugins/`, and its name in documents.
    pub name: String,
    /// Its cargo package.
    package: String,
    /// Where its component goes, from the root, with `/`.
    component: String,
}

/// A compiler that can build plugins.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Its versions.
    pub versions: Versions,
    /// What cargo has to be started with to use it.
    pub environment: BTreeMap<String, String>,
}

/// How a component just built compares with the one that lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Byte for byte the same.
    Same,
    /// It was built by this other compiler, so the bytes cannot be compared.
    OtherCompiler(String),
    /// The text says how it differs.
    Differs(String),
}

impl Workshop {
    /// The clone that a folder lies in.
    ///
    /// # Errors
    ///
    /// When it lies in none.
    pub fn find(from: &Path) -> Result<Self, String> {
        let root = from
            .ancestors()
            .find(|folder| folder.join("plugins/wit/worlds.wit").is_file());
        let root = root.ok_or_else(|| {
            format!(
                "{} is not in a clone of Catamaran (no plugins/wit/worlds.wit above it)",
                from.display()
            )
        })?;
        let root = root
            .canonicalize()
            .map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self { root })
    }

    /// The plugins of these names, or all for none, in alphabetical order.
    ///
    /// # Errors
    ///
    /// When there is no plugin of a name; the text lists those there are.
    pub fn plugins(&self, names: &[String]) -> Result<Vec<Plugin>, String> {
        let folder = self.root.join("plugins");
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| format!("{}: {error}", folder.display()))?
                .path();
            if path.join("Cargo.toml").is_file() {
                all.extend(Plugin::read(&path)?);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(unknown) = names
            .iter()
            .find(|name| !all.iter().any(|plugin| &plugin.name == *name))
        {
            let known: Vec<_> = all.iter().map(|plugin| plugin.name.as_str()).collect();
            return Err(format!(
                "no plugin `{unknown}` in plugins/; there are {}",
                known.join(", ")
            ));
        }
        all.retain(|plugin| names.is_empty() || names.contains(&plugin.name));
        Ok(all)
    }

    /// A compiler for the plugins, by `plugins/toolchain`; the first time that
    /// may download one.
    ///
    /// # Errors
    ///
    /// When none can be had; the script has then said why on standard error.
    pub fn toolchain(&self) -> Result<Toolchain, String> {
        let script = self.root.join("plugins/toolchain");
        let mut command = Command::new(&script);
        command.current_dir(&self.root);
        let text = output(&mut command)?;
        let environment: BTreeMap<_, _> = text
            .lines()
            .filter_map(|line| {
                let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
                Some((name.to_owned(), value.trim_matches('\'').to_owned()))
            })
            .collect();
        let rustc = environment
            .get("RUSTC")
            .ok_or_else(|| format!("{} named no RUSTC", script.display()))?;
        let linker = match environment.get("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER") {
            Some(linker) => output(Command::new(linker).args(["-flavor", "wasm", "--version"]))?,
            None => "rustc's own".into(),
        };
        let versions = Versions {
            rustc: output(Command::new(rustc).arg("--version"))?,
            linker,
            cargo: output(Command::new(cargo()).arg("--version"))?,
        };
        Ok(Toolchain {
            versions,
            environment,
        })
    }

    /// Build plugins; their components in the same order.
    ///
    /// # Errors
    ///
    /// When cargo fails, or makes what is no plugin.
    pub fn build(&self, toolchain: &Toolchain, plugins: &[Plugin]) -> Result<Vec<Vec<u8>>, String> {
        // A folder of its own: another compiler in the usual one would make
        // cargo forget which it has, and wait for the lock of a running build.
        let target = self.root.join("target/plugins");
        let mut command = Command::new(cargo());
        command
            .current_dir(&self.root)
            .args(["build", "--quiet", "--locked", "--profile", "plugin"]);
        command.args(["--target", TARGET, "--target-dir"]).arg(&target);
        for plugin in plugins {
            command.args(["--package", &plugin.package]);
        }
        // What suits the balancer's own build, or a caller's habits, must not
        // reach the components.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(disturbs) {
                command.env_remove(name);
            }
        }
        command
            .envs(&toolchain.environment)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(toolchain)?)
            // None, where the clone's settings name one: the flags do its work.
            .env("RUSTC_WRAPPER", "");
        let status = command
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!("cargo could not build the plugins ({status})"));
        }
        plugins
            .iter()
            .map(|plugin| {
                let file = format!("{}.wasm", plugin.package.replace('-', "_"));
                let path = target.join(TARGET).join("plugin").join(file);
                let module = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let component = component(&module).map_err(|error| format!("{}: {error}", plugin.name))?;
                let schema = schema(&self.root.join("plugins").join(&plugin.name))?;
                Ok(with_schema(component, schema))
            })
            .collect()
    }

    /// Put components in their places and into the record; a line about each.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub fn write(
        &self,
        toolchain: &Toolchain,
        plugins: &[Plugin],
        components: &[Vec<u8>],
    ) -> Result<Vec<String>, String> {
        let mut record = self.record()?;
        let known = self.plugins(&[])?;
        record
            .0
            .retain(|name, _| known.iter().any(|plugin| &plugin.name == name));
        let mut lines = Vec::new();
        for (plugin, bytes) in plugins.iter().zip(components) {
            self.put(&plugin.component, bytes)?;
            lines.push(format!("{}: {} bytes", plugin.component, bytes.len()));
            let entry = Entry {
                component: plugin.component.clone(),
                sha256: sha256(bytes),
                bytes: bytes.len() as u64,
                sources: sources(&self.root, &plugin.name)?,
                versions: toolchain.versions.clone(),
            };
            record.0.insert(plugin.name.clone(), entry);
        }
        self.put(RECORD, record.text().as_bytes())?;
        Ok(lines)
    }

    /// What is wrong with the built components as they lie there, without
    /// building anything: older than their sources, changed, or missing.
    ///
    /// # Errors
    ///
    /// When the sources or the record cannot be read.
    pub fn stale(&self, plugins: &[Plugin]) -> Result<Vec<String>, String> {
        let record = self.record()?;
        let mut faults = Vec::new();
        for plugin in plugins {
            let name = &plugin.name;
            let Some(entry) = record.0.get(name) else {
                faults.push(format!(
                    "{name}: not in {RECORD}; run `catamaran plugin build {name}`"
                ));
                continue;
            };
            if entry.component != plugin.component {
                faults.push(format!(
                    "{name}: recorded at {}, belongs at {}",
                    entry.component, plugin.component
                ));
            }
            if entry.sources != sources(&self.root, name)? {
                faults.push(format!(
                    "{name}: older than its sources; run `catamaran plugin build`"
                ));
            }
            match fs::read(self.root.join(&plugin.component)) {
                Ok(bytes) if sha256(&bytes) == entry.sha256 && bytes.len() as u64 == entry.bytes => {}
                Ok(bytes) => faults.push(format!(
                    "{}: has SHA-256 {}, recorded is {}",
                    plugin.component,
                    sha256(&bytes),
                    entry.sha256
                )),
                Err(error) => faults.push(format!("{}: {error}", plugin.component)),
            }
        }
        Ok(faults)
    }

    /// Compare a component just built with the one that lies there.
    ///
    /// # Errors
    ///
    /// When the record or the component cannot be read.
    pub fn compare(&self, toolchain: &Toolchain, plugin: &Plugin, built: &[u8]) -> Result<Outcome, String> {
        let record = self.record()?;
        let Some(entry) = record.0.get(&plugin.name) else {
            return Ok(Outcome::Differs(format!("{}: not in {RECORD}", plugin.name)));
        };
        if entry.versions != toolchain.versions {
            return Ok(Outcome::OtherCompiler(entry.versions.to_string()));
        }
        let path = self.root.join(&plugin.component);
        let there = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if there == built {
            return Ok(Outcome::Same);
        }
        let place = there.iter().zip(built).take_while(|(a, b)| a == b).count();
        Ok(Outcome::Differs(format!(
            "{}: {} bytes, but its sources make {}; they part at byte {place}",
            plugin.component,
            there.len(),
            built.len()
        )))
    }

    /// Where a plugin's component lies.
    pub fn component(&self, plugin: &Plugin) -> PathBuf {
        self.root.join(&plugin.component)
    }

    fn record(&self) -> Result<Record, String> {
        Record::read(&self.root.join(RECORD))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Flags that take this machine's paths out of panic messages.
    fn flags(&self, toolchain: &Toolchain) -> Result<OsString, String> {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
            .ok_or("neither CARGO_HOME nor HOME is set")?;
        // Sources lie in a folder named after their registry's address, which
        // a mirror changes; it is there once something was fetched.
        let mut fetch = Command::new(cargo());
        output(
            fetch
                .current_dir(&self.root)
                .args(["fetch", "--quiet", "--locked", "--target", TARGET]),
        )?;
        let registries = fs::read_dir(home.join("registry/src"))
            .into_iter()
            .flatten()
            .flatten();
        let sysroot = match toolchain.environment.get("RUSTC") {
            Some(rustc) => output(Command::new(rustc).args(["--print", "sysroot"]))?,
            None => String::new(),
        };
        // The last prefix that fits a path is the one that counts.
        let mut prefixes = vec![(home.clone(), "/cargo")];
        prefixes.extend(registries.map(|entry| (entry.path(), "/crates")));
        prefixes.push((PathBuf::from(sysroot), "/rust"));
        prefixes.push((self.root.clone(), "/catamaran"));
        let mut flags = OsString::new();
        for (prefix, stand_in) in prefixes {
            if !flags.is_empty() {
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(prefix);
            flags.push("=");
            flags.push(stand_in);
        }
        Ok(flags)
    }
}

impl Plugin {
    /// The plugin in a folder; `None` for a crate that makes no component.
    fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join("Cargo.toml");
        let manifest = table(&path)?;
        let kinds = manifest
            .get("lib")
            .and_then(|lib| lib.get("crate-type"))
            .and_then(Value::as_array);
        if !kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
            return Ok(None);
        }
        let package = manifest.get("package");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned);
        let (Some(name), Some(own)) = (name, text(package.and_then(|package| package.get("name")))) else {
            return Err(format!("{}: no package.name", path.display()));
        };
        // A fixture of the tests says in its metadata that it belongs to them.
        let elsewhere =
            package.and_then(|package| package.get("metadata")?.get("catamaran")?.get("component"));
        let component = text(elsewhere).unwrap_or_else(|| format!("plugins/built/{name}.wasm"));
        Ok(Some(Self {
            name,
            package: own,
            component,
        }))
    }
}

/// The record's place, from the root.
const RECORD: &str = "plugins/built/record.json";

/// The cargo that runs this program, if one does.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether an environment variable changes how cargo compiles.
fn disturbs(name: &str) -> bool {
    const EXACT: [&str; 6] = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_INCREMENTAL",
    ];
    EXACT.contains(&name)
        || ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Standard output of a program that must succeed, without the newline at its
/// end; what it writes to standard error is passed on.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_plugin_is_refused_with_those_there_are() {
        let workshop = Workshop::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let error = workshop.plugins(&["htpp".into()]).unwrap_err();
        assert!(
            error.starts_with(
                "no plugin `htpp` in plugins/; there are apiserver-healthz, caller, dns, etcd, "
            ),
            "{error}"
        );
        assert!(!error.contains("sdk"), "{error}");
    }

    #[test]
    fn folder_outside_a_clone_is_refused() {
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(
            Workshop::find(elsewhere.path())
                .unwrap_err()
                .contains("not in a clone")
        );
    }

    #[test]
    fn what_is_no_module_makes_no_component() {
        assert!(component(b"text").is_err());
    }
}
