//! The floors hold: who may import whom, read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file: its path below `src/` and its lines without comments and
/// without the tests at its end.
struct Source {
    path: String,
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(
        files.len() > 20,
        "found only {} files below {}",
        files.len(),
        root.display()
    );
    files
        .into_iter()
        .map(|file| Source {
            path: file.strip_prefix(&root).unwrap().to_str().unwrap().to_string(),
            code: code_of(&fs::read_to_string(&file).unwrap()),
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code_of(text: &str) -> Vec<String> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_string)
        .collect()
}

/// Lines of files under `floor` that name one of `banned`.
fn offenders(sources: &[Source], under: impl Fn(&str) -> bool, banned: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| under(&source.path)) {
        for line in &source.code {
            for word in banned {
                if names(line, word) {
                    found.push(format!("src/{}: `{}` names `{word}`", source.path, line.trim()));
                }
            }
        }
    }
    found
}

/// Whether `word` stands in `line` by itself, not as part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name)
    })
}

fn assert_none(offenders: Vec<String>) {
    assert!(offenders.is_empty(), "\n{}\n", offenders.join("\n"));
}

#[test]
fn pure_rooms_touch_nothing() {
    let banned = [
        "tokio",
        "socket2",
        "rtnetlink",
        "nix",
        "wasmtime",
        "rustls",
        "hyper",
        "tracing",
        "clap",
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "now()",
        "SystemTime",
        "println!",
        "eprintln!",
    ];
    assert_none(offenders(&sources(), |path| path.starts_with("pure/"), &banned));
}

#[test]
fn pure_rooms_import_nothing_from_above() {
    let banned = ["shell", "commands", "app", "cli"].map(|floor| format!("crate::{floor}"));
    let banned: Vec<&str> = banned.iter().map(String::as_str).collect();
    assert_none(offenders(&sources(), |path| path.starts_with("pure/"), &banned));
}

#[test]
fn cores_do_not_know_each_other_or_the_document() {
    let rooms = ["balancer", "health", "vrrp"];
    let sources = sources();
    for room in rooms {
        let others: Vec<String> = rooms
            .iter()
            .chain(&["config"])
            .filter(|&&other| other != room)
            .map(|other| format!("pure::{other}"))
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_none(offenders(
            &sources,
            |path| path.starts_with(&format!("pure/{room}")),
            &others,
        ));
    }
}

#[test]
fn shell_rooms_do_not_know_each_other_or_the_floors_above() {
    let sources = sources();
    let rooms: Vec<String> = {
        let mut rooms: Vec<String> = sources
            .iter()
            .filter_map(|source| source.path.strip_prefix("shell/"))
            .map(|path| {
                path.split('/')
                    .next()
                    .unwrap()
                    .trim_end_matches(".rs")
                    .to_string()
            })
            .filter(|room| room != "mod")
            .collect();
        rooms.dedup();
        rooms
    };
    assert!(rooms.len() >= 3, "found only {rooms:?}");
    for room in &rooms {
        let mut banned: Vec<String> = rooms
            .iter()
            .filter(|other| *other != room)
            .map(|other| format!("shell::{other}"))
            .collect();
        banned.extend(["commands", "app", "cli"].map(|floor| format!("crate::{floor}")));
        let banned: Vec<&str> = banned.iter().map(String::as_str).collect();
        let own =
            |path: &str| path == format!("shell/{room}.rs") || path.starts_with(&format!("shell/{room}/"));
        assert_none(offenders(&sources, own, &banned));
    }
}

#[test]
fn nothing_below_the_commands_knows_the_app() {
    assert_none(offenders(
        &sources(),
        |path| path.starts_with("app"),
        &["crate::commands", "crate::cli"],
    ));
}

#[test]
fn unsafe_stands_in_one_small_room() {
    let room = "shell/wasm/precompiled.rs";
    let sources = sources();
    assert_none(offenders(
        &sources,
        |path| path != room,
        &["unsafe", "allow(unsafe_code)"],
    ));
    let lines = sources
        .iter()
        .find(|source| source.path == room)
        .expect("the room is there")
        .code
        .len();
    assert!(lines < 150, "{room} has {lines} lines of code: keep it small");
}

#[test]
fn top_level_holds_what_the_design_names() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "flake.nix",
        "flake.lock",
        "default.nix",
        "src",
        "plugins",
        "images",
        "nixos-modules",
        "tests",
        "README.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "target",
    ];
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || known.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
}
