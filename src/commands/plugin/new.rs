//! `catamaran plugin new`: a small project that builds at once.
//!
//! Everything that it needs comes out of this binary: sources, the contract,
//! for Rust the guest crate too. The templates are files in
//! `plugins/templates`, with `{{word}}` where the project's own words go.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use toml::{Table, Value};

use super::project::Language;

/// What is written, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its folder, whose last part is the plugin's name: a-z, 0-9 and -, beginning with a letter
    name: PathBuf,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// What the check speaks
    #[arg(long, value_enum, default_value_t = World::Http)]
    world: World,
}

/// What a check speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum World {
    /// HTTP requests
    Http,
    /// Bytes over TCP or TLS
    Stream,
}

impl World {
    /// As on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stream => "stream",
        }
    }
}

/// A file of a template: its path in the project, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal: $($source:literal)+),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../plugins/" $(, $source)+)))),*]
    };
}

const CONTRACT: &[File] = files! {
    "wit/clock.wit": "wit/clock.wit",
    "wit/connection.wit": "wit/connection.wit",
    "wit/http.wit": "wit/http.wit",
    "wit/log.wit": "wit/log.wit",
    "wit/types.wit": "wit/types.wit",
    "wit/worlds.wit": "wit/worlds.wit",
};

const README: &str = include_str!("../../../plugins/templates/README.md");

const HTTP: &[File] = files! {
    "config.schema.json": "templates/http/config.schema.json",
    "exchanges/answers.toml": "templates/http/exchanges/answers.toml",
    "exchanges/other-status.toml": "templates/http/exchanges/other-status.toml",
    "exchanges/refused.toml": "templates/http/exchanges/refused.toml",
    "exchanges/text-missing.toml": "templates/http/exchanges/text-missing.toml",
};

const STREAM: &[File] = files! {
    "config.schema.json": "templates/stream/config.schema.json",
    "exchanges/answers.toml": "templates/stream/exchanges/answers.toml",
    "exchanges/closes-early.toml": "templates/stream/exchanges/closes-early.toml",
    "exchanges/refused.toml": "templates/stream/exchanges/refused.toml",
    "exchanges/silent.toml": "templates/stream/exchanges/silent.toml",
};

const RUST: &[File] = files! {
    "Cargo.toml": "templates/rust/Cargo.toml",
    "sdk/src/connection.rs": "sdk/src/connection.rs",
    "sdk/src/http.rs": "sdk/src/http.rs",
    "sdk/src/lib.rs": "sdk/src/lib.rs",
    "sdk/src/schema.rs": "sdk/src/schema.rs",
    "sdk/src/text.rs": "sdk/src/text.rs",
};

const C: &[File] = files! {
    "bindings/full_check.c": "templates/c/bindings/full_check.c",
    "bindings/full_check.h": "templates/c/bindings/full_check.h",
    "catamaran-check.c": "templates/c/catamaran-check.c",
    "catamaran-check.h": "templates/c/catamaran-check.h",
};

const PYTHON: &[File] = files! {
    "catamaran_check.py": "templates/python/catamaran_check.py",
    "pyproject.toml": "templates/python/pyproject.toml",
};

const JAVASCRIPT: &[File] = files! {
    "catamaran-check.js": "templates/javascript/catamaran-check.js",
    "package.json": "templates/javascript/package.json",
};

const IGNORED: &str = "*.wasm\n/.venv/\n/node_modules/\n/target/\n__pycache__/\n";

/// Write the project; what to do next, in lines.
///
/// # Errors
/// When the name is no good, the folder has something in it, or a file cannot
/// be written.
pub fn run(args: &Args) -> Result<String, String> {
    let name = name(&args.name)?;
    if fs::read_dir(&args.name).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!(
            "{} is there already and not empty; nothing was written",
            args.name.display()
        ));
    }
    let text = |text: &str| filled(text, name, args);
    for (path, content) in files(args.language, args.world) {
        write(&args.name.join(path), &text(content))?;
    }
    write(&args.name.join("README.md"), &text(README))?;
    write(&args.name.join(".gitignore"), IGNORED)?;
    if args.language == Language::Rust {
        write(&args.name.join("sdk/Cargo.toml"), &sdk_manifest()?)?;
    }
    Ok(format!(
        "{} is written. Next:\n\n    cd {0}\n{}    catamaran plugin build && catamaran plugin test",
        args.name.display(),
        setup(args.language, "    ")
    ))
}

fn files(language: Language, world: World) -> Vec<File> {
    macro_rules! source {
        ($path:literal, $language:literal, $file:literal) => {
            match world {
                World::Http => files! { $path: "templates/" $language "/http/" $file },
                World::Stream => files! { $path: "templates/" $language "/stream/" $file },
            }
        };
    }
    let (own, source): (&[File], &[File]) = match language {
        Language::Rust => (RUST, source!("src/lib.rs", "rust", "lib.rs")),
        Language::C => (C, source!("check.c", "c", "check.c")),
        Language::Python => (PYTHON, source!("check.py", "python", "check.py")),
        Language::Javascript => (JAVASCRIPT, source!("check.js", "javascript", "check.js")),
    };
    let shared = match world {
        World::Http => HTTP,
        World::Stream => STREAM,
    };
    [CONTRACT, shared, own, source].concat()
}

/// What has to be done once before the first build, a command a line.
fn setup(language: Language, indent: &str) -> String {
    let commands: &[&str] = match language {
        Language::Rust | Language::C => &[],
        Language::Python => &[
            "python3 -m venv .venv",
            ".venv/bin/pip install componentize-py==0.25.1",
        ],
        Language::Javascript => &["npm install"],
    };
    commands
        .iter()
        .map(|command| format!("{indent}{command}\n"))
        .collect()
}

fn filled(text: &str, name: &str, args: &Args) -> String {
    let (language, source) = match args.language {
        Language::Rust => ("Rust", "src/lib.rs"),
        Language::C => ("C", "check.c"),
        Language::Python => ("Python", "check.py"),
        Language::Javascript => ("JavaScript", "check.js"),
    };
    text.replace("{{name}}", name)
        .replace("{{language}}", language)
        .replace("{{source}}", source)
        .replace("{{setup}}", &setup(args.language, ""))
        .replace("{{world}}", args.world.word())
        .replace("{{contract}}", contract())
}

/// The contract's version, as its package has it.
fn contract() -> &'static str {
    let package = CONTRACT.iter().find_map(|(_, text)| {
        let (_, rest) = text.split_once("package catamaran:health@")?;
        rest.split_once(';').map(|(version, _)| version)
    });
    package.unwrap_or_default()
}

/// The plugin's name out of its folder's path.
fn name(folder: &Path) -> Result<&str, String> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let right = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if !begins || !name.chars().all(right) || name.len() > 64 {
        return Err(format!(
            "{name:?} is no name for a plugin; write a-z, 0-9 and -, beginning with a letter, at most 64 of them"
        ));
    }
    // Cargo makes no crate of these.
    if [
        "test", "core", "std", "alloc", "build", "deps", "self", "super", "crate",
    ]
    .contains(&name)
    {
        return Err(format!(
            "{name:?} is taken in Rust; a name such as {name}-check is not"
        ));
    }
    Ok(name)
}

/// The guest crate's manifest, with what it has from the clone's workspace
/// written out.
fn sdk_manifest() -> Result<String, String> {
    let table = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
    let mut manifest = table(include_str!("../../../plugins/sdk/Cargo.toml"))?;
    let workspace = table(include_str!("../../../Cargo.toml"))?;
    let shared = workspace["workspace"]["dependencies"]
        .as_table()
        .cloned()
        .unwrap_or_default();
    let Some(dependencies) = manifest.get_mut("dependencies").and_then(Value::as_table_mut) else {
        return Err("the guest crate has no dependencies".into());
    };
    for (name, dependency) in dependencies {
        let Some(own) = dependency.as_table_mut() else {
            continue;
        };
        if own.remove("workspace").is_none() {
            continue;
        }
        let mut whole = match shared.get(name) {
            Some(Value::Table(table)) => table.clone(),
            Some(version) => Table::from_iter([("version".into(), version.clone())]),
            None => return Err(format!("the workspace has no dependency {name}")),
        };
        whole.extend(own.clone());
        *own = whole;
    }
    Ok(manifest.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_no_tool_takes_is_refused() {
        assert_eq!(name(Path::new("a/my-check2")), Ok("my-check2"));
        for wrong in ["My-check", "2check", "a_b", "", "-a", "..", "a b"] {
            assert!(
                name(Path::new(wrong)).unwrap_err().contains("is no name"),
                "{wrong}"
            );
        }
        assert!(name(Path::new("test")).unwrap_err().contains("test-check"));
    }

    #[test]
    fn guest_crate_stands_without_the_workspace() {
        let manifest: Table = sdk_manifest().unwrap().parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        assert!(dependencies.len() >= 3);
        for (name, dependency) in dependencies {
            let version = dependency.get("version").and_then(Value::as_str);
            assert!(
                version.is_some() && dependency.get("workspace").is_none(),
                "{name}"
            );
        }
        assert_eq!(dependencies["schemars"]["optional"].as_bool(), Some(true));
    }

    #[test]
    fn every_word_of_a_template_is_filled_in() {
        for language in Language::value_variants() {
            for world in World::value_variants() {
                let args = Args {
                    name: "a".into(),
                    language: *language,
                    world: *world,
                };
                for (path, text) in files(*language, *world) {
                    let text = filled(text, "a", &args);
                    assert!(path.starts_with("sdk/") || !text.contains("{{"), "{path}");
                }
                assert!(!filled(README, "a", &args).contains("{{"));
            }
        }
        assert_eq!(contract(), "1.0.0");
    }

    #[test]
    fn every_file_of_the_contract_and_the_guest_crate_is_written() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let known = |path: String| CONTRACT.iter().chain(RUST).any(|(known, _)| *known == path);
        for (folder, prefix) in [("wit", "wit"), ("sdk/src", "sdk/src")] {
            for entry in fs::read_dir(plugins.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(
                    known(format!("{prefix}/{name}")),
                    "{folder}/{name} is not written"
                );
            }
        }
    }
}
