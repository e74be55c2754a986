//! The author's guide, plugins/README.md, followed to the letter: files are
//! written as it shows them, commands are run in its order, and what they print
//! is what it says. `…` in it stands for anything.
//!
//! Commands that install what a machine lacks are for whoever reads it; here
//! `.ci/run` has done that.

#[path = "support/docker_registry.rs"]
mod docker_registry;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/kit.rs"]
mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catamaran::shell::plugin_store::standard;
use docker_registry::{DockerRegistry, in_folder};
use enclosed::{enclosed, settle};
use installed::{installed, packaged, possible};
use kit::{good, plugin, rust, web};

const GUIDE: &str = include_str!("../plugins/README.md");

/// The address in the guide, in whose place a test's own server stands.
const ADDRESS: &str = "127.0.0.1:8000";

/// The registry in the guide, likewise.
const REGISTRY: &str = "127.0.0.1:5000";

/// A fenced block: the words after the fence, and what is in it.
struct Block {
    kind: String,
    text: String,
}

/// The blocks below a heading, up to the next one.
fn blocks(heading: &str) -> Vec<Block> {
    let (_, chapter) = GUIDE.split_once(&format!("\n{heading}\n")).expect(heading);
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for line in chapter.lines() {
        match line.strip_prefix("```") {
            Some(kind) if !open => {
                open = true;
                blocks.push(Block {
                    kind: kind.into(),
                    text: String::new(),
                });
            }
            Some(_) => open = false,
            None if open => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None if line.starts_with('#') => break,
            None => {}
        }
    }
    blocks
}

/// Somebody who reads the guide.
struct Reader {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    endpoint: String,
    registry: String,
}

impl Reader {
    fn new(folder: &Path, environment: Vec<(String, String)>) -> Self {
        Self {
            folder: folder.into(),
            environment,
            endpoint: web().to_string(),
            registry: REGISTRY.into(),
        }
    }

    fn follow(&mut self, heading: &str) {
        for block in blocks(heading) {
            match block.kind.split_once(' ') {
                Some((_, file)) => fs::write(self.folder.join(file), block.text).unwrap(),
                None if block.kind == "console" => self.type_in(&block.text),
                None => {}
            }
        }
    }

    fn type_in(&mut self, session: &str) {
        let mut commands = session.split("$ ");
        assert_eq!(commands.next(), Some(""), "{session}");
        for command in commands {
            let (command, expected) = command.split_once('\n').unwrap();
            if let Some(folder) = command.strip_prefix("cd ") {
                self.folder = self.folder.join(folder).canonicalize().unwrap();
            } else if !command.starts_with("rustup ") {
                let said = self.run(command);
                assert!(
                    is_like(&said, &self.here(expected)),
                    "$ {command}\n{said}\nexpected:\n{expected}"
                );
            }
        }
    }

    /// A text of the guide with the servers that there are.
    fn here(&self, text: &str) -> String {
        text.replace(ADDRESS, &self.endpoint)
            .replace(REGISTRY, &self.registry)
    }

    fn run(&self, command: &str) -> String {
        let binary = Path::new(env!("CARGO_BIN_EXE_catamaran")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {}", self.here(command))])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", binary.display()))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "$ {command}\n{said}");
        said
    }
}

/// Whether a text is as expected, where `…` is anything, none or many lines.
fn is_like(text: &str, expected: &str) -> bool {
    let mut parts = expected.trim_end().split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = text.trim_end().strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

#[test]
fn ten_minutes_and_five_recipes_in_rust() {
    let environment = match rust() {
        Ok(environment) => environment,
        Err(why) => return assert!(!possible(Some(why))),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(folder.path(), environment.clone());
    reader.follow("## A check in ten minutes");

    let recipes = blocks("## Five recipes");
    assert_eq!(recipes.len(), 5);
    fs::remove_dir_all(reader.folder.join("exchanges")).unwrap();
    fs::remove_file(reader.folder.join("config.schema.json")).unwrap();
    for recipe in recipes {
        assert_eq!(recipe.kind, "rust recipe");
        fs::write(reader.folder.join("src/lib.rs"), &recipe.text).unwrap();
        good(plugin(&reader.folder, &["build"]).envs(environment.iter().cloned()));
        let inspected = good(&mut plugin(&reader.folder, &["inspect", "teapot.wasm"]));
        assert!(
            inspected.ends_with("loads: yes\n"),
            "{}\n{inspected}",
            recipe.text
        );
    }
}

/// The chapter begins by leaving the project of the one before.
fn chapter(heading: &str) {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before");
    fs::create_dir(&before).unwrap();
    Reader::new(&before, Vec::new()).follow(heading);
}

#[test]
fn chapter_on_registries() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let folder = in_folder("project");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("teapot.wasm"), standard("http").unwrap()).unwrap();
        let mut reader = Reader::new(&folder, Vec::new());
        reader.registry = registry.address.clone();
        reader.follow("## Ship and pin");
    });
}

#[test]
fn chapter_on_c() {
    if packaged(&[("clang", "clang lld libclang-rt-dev-wasm32 wasi-libc")]) {
        chapter("### In C");
    }
}

#[test]
fn chapter_on_python() {
    if packaged(&[("python3", "python3-venv")]) {
        chapter("### In Python");
    }
}

#[test]
fn chapter_on_javascript() {
    if packaged(&[("npm", "npm")]) {
        chapter("### In JavaScript");
    }
}

#[test]
fn dots_stand_for_anything() {
    for (text, expected, like) in [
        ("a b c", "a … c", true),
        ("a\nb\nc\n", "…\nc\n", true),
        ("a b", "a …", true),
        ("a b", "a", false),
        ("a b d", "a … c", false),
        ("a c d", "a … c", false),
        ("", "…", true),
    ] {
        assert_eq!(is_like(text, expected), like, "{text:?} {expected:?}");
    }
}
