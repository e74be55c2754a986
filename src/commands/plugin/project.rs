//! A plugin in a folder of its own, as `plugin new` writes it: built with its
//! language's tools, made a component, given its schema.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clap::ValueEnum;
use serde_json::Value;
use wasi_preview1_component_adapter_provider as adapter;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::record::table;
use crate::pure::anatomy::Anatomy;
use crate::pure::component::{SCHEMA_SECTION, custom_section, with_custom_section};

/// The schema's file beside the sources.
pub const SCHEMA: &str = "config.schema.json";

/// The target of plugins in Rust: no libc, no imports but the contract's.
const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// The target of plugins in C: their libc is WASI's.
const C_TARGET: &str = "wasm32-wasi";

/// A language that plugins can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// cargo, with the target wasm32-unknown-unknown
    Rust,
    /// clang, with WASI's libc
    C,
    /// componentize-py
    Python,
    /// componentize-qjs
    Javascript,
}

/// A plugin's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    folder: PathBuf,
    language: Language,
    /// The plugin's name, and that of its component.
    pub name: String,
}

impl Project {
    /// The plugin in a folder; none where the contract does not lie in it, as
    /// in a clone of Catamaran.
    ///
    /// # Errors
    /// When no language is recognised, or its manifest cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>, String> {
        if !folder.join("wit/worlds.wit").is_file() {
            return Ok(None);
        }
        let folder = folder
            .canonicalize()
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let has = |file| folder.join(file).is_file();
        let language = match () {
            () if has("Cargo.toml") => Language::Rust,
            () if has("package.json") => Language::Javascript,
            () if has("pyproject.toml") => Language::Python,
            () if has("check.c") => Language::C,
            () => {
                return Err(format!(
                    "{}: none of Cargo.toml, package.json, pyproject.toml and check.c tells its language",
                    folder.display()
                ));
            }
        };
        let name = name(&folder, language)?;
        Ok(Some(Self {
            folder,
            language,
            name,
        }))
    }

    /// Where its component is written.
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Where its recorded exchanges lie.
    pub fn exchanges(&self) -> PathBuf {
        self.folder.join("exchanges")
    }

    /// Build it and write its component; a line about that.
    ///
    /// # Errors
    /// A sentence that says which tool is missing and where it comes from, or
    /// what is wrong with what was built.
    pub fn build(&self) -> Result<String, String> {
        // A schema that is none costs nobody the time of a build.
        let schema = schema(&self.folder)?;
        let component = match self.language {
            Language::Rust => component(&self.rust()?)?,
            Language::C => component(&self.c()?)?,
            Language::Python => self.python()?,
            Language::Javascript => self.javascript()?,
        };
        let component = with_schema(component, schema);
        let anatomy = Anatomy::read(&component).map_err(|why| format!("{}: {why}", self.name))?;
        if !anatomy.is_check() {
            return Err(format!("{}: the component exports no `check`", self.name));
        }
        let path = self.component();
        fs::write(&path, &component).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("{}: {} bytes", path.display(), component.len()))
    }

    fn rust(&self) -> Result<Vec<u8>, String> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let install = "install Rust with rustup, or apt-get install cargo rustc libstd-rust-dev-wasm32 lld";
        let sysroot = output(Command::new(&rustc).args(["--print", "sysroot"]), install)?;
        let libraries = Path::new(sysroot.trim()).join("lib/rustlib").join(RUST_TARGET);
        if !libraries.is_dir() {
            return Err(format!(
                "{} lacks the target {RUST_TARGET}: run `rustup target add {RUST_TARGET}`, or install Debian's \
                 package libstd-rust-dev-wasm32 for its own rustc, or in a clone of Catamaran run \
                 `eval \"$(plugins/toolchain)\"`",
                rustc.to_string_lossy()
            ));
        }
        let mut command = Command::new(&cargo);
        command.args(["build", "--quiet", "--release", "--target", RUST_TARGET]);
        if env::var_os("RUSTFLAGS").is_none() && env::var_os("CARGO_ENCODED_RUSTFLAGS").is_none() {
            command.env("CARGO_ENCODED_RUSTFLAGS", self.remap(&sysroot));
        }
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.folder.join("target"), PathBuf::from);
        command.arg("--target-dir").arg(&target);
        self.run(command, install)?;
        let file = format!("{}.wasm", self.name.replace('-', "_"));
        read(&target.join(RUST_TARGET).join("release").join(file))
    }

    /// Flags that take this machine's paths out of panic messages.
    fn remap(&self, sysroot: &str) -> OsString {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let prefixes = [
            (home, "/cargo"),
            (Some(PathBuf::from(sysroot.trim())), "/rust"),
            (Some(self.folder.clone()), "/plugin"),
        ];
        let mut flags = OsString::new();
        for (prefix, stand_in) in prefixes {
            let Some(prefix) = prefix else { continue };
            if !flags.is_empty() {
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(prefix);
            flags.push(format!("={stand_in}"));
        }
        flags
    }

    fn c(&self) -> Result<Vec<u8>, String> {
        const INSTALL: &str = "install it: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32, \
                               or unpack the WASI SDK and say where with WASI_SDK_PATH";
        let clang = clang().ok_or_else(|| format!("there is no clang; {INSTALL}"))?;
        let target = self.folder.join("target");
        fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
        let module = target.join(format!("{}.module.wasm", self.name));
        let mut command = Command::new(clang);
        command.args([&format!("--target={C_TARGET}"), "-mexec-model=reactor"]);
        command.args(["-std=c11", "-Os", "-Wall", "-Wextra", "-fvisibility=hidden"]);
        command
            .args(["-Wl,--gc-sections,--strip-debug", "-o"])
            .arg(&module);
        command.args(c_sources(&self.folder)?);
        self.run(command, INSTALL)?;
        let mut bytes = read(&module)?;
        self.embed_world(&mut bytes)?;
        Ok(bytes)
    }

    /// Write into a core module which world it is made for. That it is the one
    /// with everything asks for nothing: what is not called is not imported.
    fn embed_world(&self, module: &mut Vec<u8>) -> Result<(), String> {
        let mut resolve = Resolve::default();
        let embedded = resolve
            .push_dir(self.folder.join("wit"))
            .and_then(|(package, _)| resolve.select_world(&[package], Some("full-check")))
            .and_then(|world| embed_component_metadata(module, &resolve, world, StringEncoding::UTF8));
        embedded.map_err(|error| format!("wit: {error:#}"))
    }

    fn python(&self) -> Result<Vec<u8>, String> {
        let manifest = table(&self.folder.join("pyproject.toml"))?;
        let pinned = manifest
            .get("project")
            .and_then(|project| project.get("dependencies")?.as_array()?.first()?.as_str());
        let install = format!(
            "install it into the project: python3 -m venv .venv && .venv/bin/pip install {}",
            pinned.unwrap_or("componentize-py")
        );
        let world = manifest
            .get("tool")
            .and_then(|tool| tool.get("catamaran")?.get("world")?.as_str());
        let mut places = vec![self.folder.join(".venv/bin")];
        places.extend(env::var_os("VIRTUAL_ENV").map(|folder| PathBuf::from(folder).join("bin")));
        let module = self.fresh_output()?;
        let mut command = Command::new(tool(&places, "componentize-py"));
        command.args(["--wit-path", "wit", "--world", world.unwrap_or("full-check")]);
        command.args(["componentize", "check", "--output"]).arg(&module);
        self.run(command, &install)?;
        read(&module)
    }

    fn javascript(&self) -> Result<Vec<u8>, String> {
        let manifest = package_json(&self.folder)?;
        let world = manifest["catamaran"]["world"].as_str();
        let module = self.fresh_output()?;
        let places = [self.folder.join("node_modules/.bin")];
        let mut command = Command::new(tool(&places, "componentize-qjs"));
        command.args(["--wit", "wit", "--world", world.unwrap_or("full-check"), "--sync"]);
        command.args(["--js", "check.js", "--output"]).arg(&module);
        self.run(command, "install it into the project: npm install")?;
        read(&module)
    }

    /// A place for what a tool writes, with nothing there.
    fn fresh_output(&self) -> Result<PathBuf, String> {
        let target = self.folder.join("target");
        let path = target.join(format!("{}.wasm", self.name));
        let made = fs::create_dir_all(&target).and_then(|()| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        made.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Run a tool in the project; what it says is passed on when it fails.
    fn run(&self, mut command: Command, install: &str) -> Result<(), String> {
        command.current_dir(&self.folder).stdin(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .output()
            .map_err(|error| cannot_start(&program, &error, install))?;
        if status.success() {
            // Warnings are for the author too.
            eprint!("{}", String::from_utf8_lossy(&stderr));
            return Ok(());
        }
        let text = [stdout, stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let hint = hint(&text).map_or(String::new(), |hint| format!("\n{hint}"));
        Err(format!("{}\n{program} failed ({status}){hint}", text.trim_end()))
    }
}

/// The component with a schema of its settings, unless its tools have given it one.
pub fn with_schema(component: Vec<u8>, schema: Option<String>) -> Vec<u8> {
    match (schema, custom_section(&component, SCHEMA_SECTION)) {
        (Some(schema), None) => with_custom_section(&component, SCHEMA_SECTION, schema.as_bytes()),
        _ => component,
    }
}

/// The text of the schema in a plugin's folder, if there is one.
///
/// # Errors
/// When it cannot be read, or is no schema of settings.
pub fn schema(folder: &Path) -> Result<Option<String>, String> {
    let path = folder.join(SCHEMA);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    check_schema(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(Some(text))
}

/// Whether a text is the schema of a check's settings.
///
/// # Errors
/// A sentence that says what is wrong.
fn check_schema(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    jsonschema::meta::validate(&schema)
        .map_err(|error| format!("not a JSON Schema: {error} at {}", error.instance_path()))?;
    if schema["type"] != "object" {
        return Err("the settings are a table, so the schema has \"type\": \"object\"".into());
    }
    Ok(())
}

/// Make a component of a core module that carries its world. What is called of
/// WASI's first version goes to the second one's.
pub fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(
                adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("no component can be made of it: {error:#}"))
}

fn name(folder: &Path, language: Language) -> Result<String, String> {
    let of_table = |file: &str, section: &str| -> Result<Option<String>, String> {
        let manifest = table(&folder.join(file))?;
        let name = manifest
            .get(section)
            .and_then(|section| section.get("name")?.as_str());
        Ok(name.map(str::to_owned))
    };
    let named = match language {
        Language::Rust => of_table("Cargo.toml", "package")?,
        Language::Python => of_table("pyproject.toml", "project")?,
        Language::Javascript => package_json(folder)?["name"].as_str().map(str::to_owned),
        Language::C => None,
    };
    let of_folder = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = named.or_else(of_folder).unwrap_or_default();
    // It becomes a file's name.
    if name.is_empty() || name.contains('/') {
        return Err(format!("{}: {name:?} is no name for a plugin", folder.display()));
    }
    Ok(name)
}

fn package_json(folder: &Path) -> Result<Value, String> {
    let path = folder.join("package.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// All C files of the project, in alphabetical order.
fn c_sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut sources = Vec::new();
    for place in ["", "bindings", "src"] {
        let entries = match fs::read_dir(folder.join(place)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", folder.join(place).display())),
        };
        let files = entries
            .flatten()
            .map(|entry| Path::new(place).join(entry.file_name()));
        sources.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "c")));
    }
    sources.sort();
    Ok(sources)
}

/// `CC` where it is a clang, that of the WASI SDK, or the newest of the path.
fn clang() -> Option<OsString> {
    if let Some(folder) = env::var_os("WASI_SDK_PATH") {
        return Some(Path::new(&folder).join("bin/clang").into_os_string());
    }
    let own = env::var_os("CC").filter(|name| name.to_string_lossy().contains("clang"));
    let numbered = (14..=30).rev().map(|version| format!("clang-{version}").into());
    let mut known = own.into_iter().chain(["clang".into()]).chain(numbered);
    known.find(on_path)
}

fn on_path(program: &OsString) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    Path::new(program).is_absolute() || env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The program in one of these places, or the one of the path.
fn tool(places: &[PathBuf], program: &str) -> OsString {
    let own = places
        .iter()
        .map(|place| place.join(program))
        .find(|file| file.is_file());
    own.map_or_else(|| program.into(), PathBuf::into_os_string)
}

/// Which package brings what a tool did not find.
fn hint(text: &str) -> Option<&'static str> {
    let has = |words: &str| text.contains(words);
    match () {
        () if has("wasm-ld") && (has("unable to execute") || has("not found")) => {
            Some("its linker is missing: apt-get install lld")
        }
        () if has("libclang_rt.builtins") => {
            Some("its run-time library is missing: apt-get install libclang-rt-dev-wasm32")
        }
        () if has("file not found") || has("crt1-reactor.o") => {
            Some("where the C library is missing: apt-get install wasi-libc")
        }
        () => None,
    }
}

fn output(command: &mut Command, install: &str) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(&program, &error, install))?;
    if !output.status.success() {
        return Err(format!("{program} failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot_start(program: &str, error: &io::Error, install: &str) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {program}; {install}"),
        _ => format!("{program}: {error}"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_that_is_none_is_told_from_one() {
        assert_eq!(check_schema(r#"{ "type": "object" }"#), Ok(()));
        assert!(check_schema("{").unwrap_err().starts_with("not JSON"));
        let wrong = check_schema(r#"{ "type": "objekt" }"#).unwrap_err();
        assert!(
            wrong.starts_with("not a JSON Schema") && wrong.contains("/type"),
            "{wrong}"
        );
        assert!(
            check_schema(r#"{ "type": "string" }"#)
                .unwrap_err()
                .contains("\"object\"")
        );
    }

    #[test]
    fn missing_package_is_named() {
        let linker = "clang: error: unable to execute command: Executable \"wasm-ld\" doesn't exist!";
        assert!(hint(linker).unwrap().contains("lld"));
        assert!(
            hint("fatal error: 'stdio.h' file not found")
                .unwrap()
                .contains("wasi-libc")
        );
        assert_eq!(hint("check.c:3: error: expected ';'"), None);
    }

    #[test]
    fn folder_without_the_contract_is_no_project() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Project::find(folder.path()), Ok(None));
        fs::create_dir(folder.path().join("wit")).unwrap();
        fs::write(folder.path().join("wit/worlds.wit"), "").unwrap();
        assert!(
            Project::find(folder.path())
                .unwrap_err()
                .contains("none of Cargo.toml")
        );
        fs::write(folder.path().join("package.json"), r#"{ "name": "a" }"#).unwrap();
        let project = Project::find(folder.path()).unwrap().unwrap();
        assert_eq!(
            (project.name.as_str(), project.language),
            ("a", Language::Javascript)
        );
        fs::write(folder.path().join("package.json"), r#"{ "name": "@a/b" }"#).unwrap();
        assert!(Project::find(folder.path()).unwrap_err().contains("no name"));
    }
}
