//! A Nix with a store of its own, which vanishes with its test.

#![allow(dead_code)] // Each test file uses its own part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::installed::unpacked_with_dependencies;

/// The folder of this clone.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Nix, without a daemon, without root, and without the machine's own store.
pub struct Nix {
    program: PathBuf,
    folder: TempDir,
}

impl Nix {
    /// The machine's, or Debian's; `None` where there is none, which in CI is a
    /// failure.
    pub fn obtain() -> Option<Self> {
        static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
        let program = PROGRAM.get_or_init(program).clone()?;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf")).unwrap();
        fs::write(folder.path().join("conf/nix.conf"), SETTINGS).unwrap();
        Some(Self { program, folder })
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// What Nix says instead.
    pub fn eval(&self, expression: &str) -> Result<Value, String> {
        let output = self.run(&["eval", "--impure", "--json", "--expr", expression]);
        let text = told(output)?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// What the derivation of an expression makes.
    ///
    /// # Errors
    /// What Nix and the builder say instead.
    pub fn build(&self, expression: &str) -> Result<PathBuf, String> {
        let arguments = [
            "build",
            "--impure",
            "--no-link",
            "--print-out-paths",
            "--print-build-logs",
        ];
        let output = self.run(&[&arguments[..], &["--expr", expression]].concat());
        Ok(told(output)?.trim_end().into())
    }

    /// How many derivations its store has.
    pub fn derivations(&self) -> usize {
        let Ok(entries) = fs::read_dir(self.store()) else {
            return 0;
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_str().unwrap().ends_with(".drv"))
            .count()
    }

    /// Where its store is.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let place = |name| self.folder.path().join(name);
        Command::new(&self.program)
            .args(arguments)
            // Nobody else builds; a program that is started through its loader
            // could not start itself for that.
            .args(["--option", "build-hook", ""])
            .env("HOME", self.folder.path())
            .env("NIX_CONF_DIR", place("conf"))
            .env("NIX_STORE_DIR", place("store"))
            .env("NIX_STATE_DIR", place("state"))
            .env("NIX_LOG_DIR", place("log"))
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }
}

fn program() -> Option<PathBuf> {
    match Command::new("nix").arg("--version").output() {
        Ok(output) if output.status.success() => Some("nix".into()),
        _ => unpacked_with_dependencies("trixie", "nix-bin", "usr/bin/nix"),
    }
}

/// What is in the store is in the machine's file system, where builders see it.
const SETTINGS: &str = "\
experimental-features = nix-command flakes
sandbox = false
build-users-group =
substituters =
";

/// Standard output, or standard error where it failed.
fn told(output: Output) -> Result<String, String> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// A path of this clone, as an expression has it.
pub fn path(relative: &str) -> String {
    quoted(&Path::new(ROOT).join(relative).display().to_string())
}

/// A text, as an expression has it.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace("${", "\\${")
}

/// All `.nix` files of this clone, from its root, in alphabetical order.
pub fn files() -> Vec<String> {
    let mut files = vec!["default.nix".into(), "flake.nix".into()];
    for folder in ["nixos-modules", "tests/nix", "tests/vm"] {
        walk(folder, &mut files);
    }
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

fn walk(folder: &str, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(&name, files);
        } else if name.ends_with(".nix") {
            files.push(name);
        }
    }
}

/// The names of the files `NAME.nix` in a folder of this clone.
pub fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries
        .filter_map(|name| Some(name.strip_suffix(".nix")?.to_string()))
        .collect();
    names.sort();
    names
}
