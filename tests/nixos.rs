//! Whole NixOS hosts, where `NIXPKGS` names the folder of a nixpkgs; elsewhere
//! these tests are skipped, and say so.
//!
//! Each host of `tests/nix/hosts/NAME.nix` is evaluated to its derivation, and
//! what our modules define of it is compared with `NAME/HOST.json`; each file of
//! `tests/nix/refused` is refused with the words beside it; each file of
//! `tests/vm` has a driver. A new file is a new test by itself. `BLESS=1` writes
//! what is expected anew: read what it wrote.

#[path = "support/installed.rs"]
mod installed;
#[path = "support/nix.rs"]
mod nix;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use installed::skipped;
use nix::{Nix, ROOT, names, path, quoted};
use serde_json::{Value, json};

/// Past the harness, which keeps what a test that passes has printed.
fn say(text: &str) {
    // A closed standard error is no reason to fail.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Nix and a nixpkgs as an expression, or the calling test ends.
fn obtain() -> Option<(Nix, String)> {
    let Some(nixpkgs) = std::env::var_os("NIXPKGS") else {
        skipped("NIXPKGS names no nixpkgs");
        return None;
    };
    let nixpkgs = PathBuf::from(nixpkgs);
    let nixpkgs = nixpkgs.to_str().unwrap();
    assert!(
        Path::new(nixpkgs).join("nixos").is_dir(),
        "NIXPKGS: {nixpkgs} has no nixos"
    );
    let Some(nix) = Nix::obtain() else {
        skipped("no nix here, and none to be had from Debian");
        return None;
    };
    Some((nix, format!("(/. + {})", quoted(nixpkgs))))
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// The hosts of a file: by their names, their derivations and snapshots.
fn evaluated(nix: &Nix, nixpkgs: &str, file: &str) -> Result<Value, String> {
    nix.eval(&format!(
        "import (/. + {}) {{ root = /. + {}; nixpkgs = {nixpkgs}; file = /. + {}; }}",
        path("tests/nix/evaluate.nix"),
        path(""),
        path(file)
    ))
}

#[test]
fn every_host_is_what_is_expected() {
    let Some((nix, nixpkgs)) = obtain() else { return };
    let begun = Instant::now();
    let (mut wrong, mut expected, mut hosts) = (Vec::new(), BTreeSet::new(), 0);
    for name in names("tests/nix/hosts") {
        let found = evaluated(&nix, &nixpkgs, &format!("tests/nix/hosts/{name}.nix"));
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        for (host, found) in found.as_object().unwrap() {
            assert!(found["derivation"].as_str().unwrap().ends_with(".drv"));
            let place = Path::new(ROOT).join(format!("tests/nix/hosts/{name}/{host}.json"));
            let text = format!("{:#}\n", sorted(&found["snapshot"]));
            wrong.extend(compare(&place, &anywhere(&text, &nix.store())));
            expected.insert(place);
            hosts += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(snapshots(), expected, "snapshots of hosts that are not there");
    say(&format!(
        "{hosts} NixOS hosts evaluated to {} derivations in {:.1} s",
        nix.derivations(),
        begun.elapsed().as_secs_f64()
    ));
}

/// What differs, unless it is written anew.
fn compare(place: &Path, found: &str) -> Option<String> {
    if blessing() {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, found).unwrap();
    }
    let expected = fs::read_to_string(place).unwrap_or_else(|_| "(none: BLESS=1 writes it)\n".into());
    if expected == found {
        return None;
    }
    let place = place.display();
    let differ = |(a, b): &(&str, &str)| a != b;
    let pairs = expected.lines().zip(found.lines());
    let first = pairs.enumerate().find(|(_, pair)| differ(pair));
    Some(match first {
        Some((line, (a, b))) => format!("{place}:{}: expected {}, found {}", line + 1, a.trim(), b.trim()),
        None => format!("{place}: one is longer than the other"),
    })
}

/// The same on every machine and with every nixpkgs: store paths without
/// digests and versions.
fn anywhere(text: &str, store: &Path) -> String {
    const DIGEST: usize = 32;
    let store = format!("{}/", store.display());
    let mut parts = text.split(&store);
    let mut out = parts.next().unwrap().to_string();
    for part in parts {
        let name = &part[DIGEST + 1..];
        let end = |c: char| c == '/' || c == '"' || c == '\\' || c.is_whitespace() || c == ':';
        let (name, rest) = name.split_at(name.find(end).unwrap_or(name.len()));
        out += "/nix/store/…-";
        out += without_version(name);
        out += rest;
    }
    out
}

/// `containerd-2.1.4` is `containerd`; a platform is no part of it either.
fn without_version(name: &str) -> &str {
    let begins = |at: &usize| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let dashes = name.match_indices('-').map(|(at, _)| at);
    let version = dashes.clone().find(begins);
    let platform = name.find("-static-");
    let end = version.into_iter().chain(platform).min();
    // What is in `.json`, `.service` and the like has no version.
    end.map_or(name, |end| &name[..end])
}

/// Keys in alphabetical order, for differences that can be read.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        value => value.clone(),
    }
}

/// All that lie there.
fn snapshots() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join("tests/nix/hosts")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            found.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn store_paths_are_the_same_everywhere() {
    let digest = "0123456789abcdfghijklmnpqrsvwxyz";
    let shown = |name: &str| anywhere(&format!("a /s/{digest}-{name}"), Path::new("/s"));
    assert_eq!(shown("containerd-2.1.4/bin"), "a /nix/store/…-containerd/bin");
    assert_eq!(
        shown("catamaran-static-x86_64-unknown-linux-musl-0.1.0\""),
        "a /nix/store/…-catamaran\""
    );
    assert_eq!(shown("cluster.json b"), "a /nix/store/…-cluster.json b");
}

#[test]
fn wrong_hosts_are_refused_in_the_expected_words() {
    let Some((nix, nixpkgs)) = obtain() else { return };
    let mut wrong = Vec::new();
    let cases = names("tests/nix/refused");
    assert!(cases.len() > 3, "{cases:?}");
    for name in &cases {
        let error = match evaluated(&nix, &nixpkgs, &format!("tests/nix/refused/{name}.nix")) {
            Ok(_) => panic!("{name} is not refused"),
            Err(error) => anywhere(&refusal(&error), &nix.store()),
        };
        let place = Path::new(ROOT).join(format!("tests/nix/refused/{name}.txt"));
        let expected = fs::read_to_string(&place).unwrap_or_default();
        // Parts of lines are enough: words that are nixpkgs' own differ from
        // release to release.
        let lacks = |line: &str| !error.contains(line.trim());
        if !expected.trim().is_empty() && !expected.lines().any(lacks) {
            continue;
        }
        if blessing() {
            fs::write(&place, &error).unwrap();
        } else {
            wrong.push(format!("{name}: expected\n{expected}found\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    say(&format!("{} wrong hosts refused", cases.len()));
}

/// What the last error says, without how one got there.
fn refusal(error: &str) -> String {
    let (_, last) = error.rsplit_once("error:").unwrap_or(("", error));
    let lines = last.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.filter(|line| *line != "Failed assertions:");
    lines.map(|line| format!("{line}\n")).collect()
}

/// The virtual networks of a folder, as the flake calls them.
fn networks(folder: &str) -> impl Iterator<Item = String> {
    let files = names(folder).into_iter();
    files
        .filter(|name| name != "default")
        .map(|name| format!("vm-{name}"))
}

#[test]
fn every_virtual_network_has_a_driver() {
    let Some((nix, nixpkgs)) = obtain() else { return };
    let begun = Instant::now();
    let drivers = nix.eval(&format!(
        "import (/. + {}) {{ root = /. + {}; nixpkgs = {nixpkgs}; }}",
        path("tests/nix/driver.nix"),
        path("")
    ));
    let drivers = drivers.unwrap_or_else(|error| panic!("{error}"));
    let found: BTreeSet<_> = drivers.as_object().unwrap().keys().cloned().collect();
    let expected = networks("tests/vm").chain(networks("tests/vm/heavy"));
    assert_eq!(found, expected.collect());
    for (name, driver) in drivers.as_object().unwrap() {
        assert!(driver.as_str().unwrap().ends_with(".drv"), "{name}: {driver}");
    }
    say(&format!(
        "{} virtual networks evaluated to their drivers in {:.1} s: {}",
        found.len(),
        begun.elapsed().as_secs_f64(),
        found.into_iter().collect::<Vec<_>>().join(", ")
    ));
}

#[test]
fn flake_has_its_outputs() {
    let Some((nix, nixpkgs)) = obtain() else { return };
    let found = nix.eval(&format!(
        "import (/. + {}) {{ root = /. + {}; nixpkgs = {nixpkgs}; }}",
        path("tests/nix/outputs.nix"),
        path("")
    ));
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    let hosts = ["lb-a", "lb-b", "master1", "master2", "master3", "worker"];
    assert_eq!(found["names"]["nixosConfigurations"], json!(hosts));
    for system in ["x86_64-linux", "aarch64-linux"] {
        for package in [
            "default",
            "catamaran",
            "plugins",
            "image-load-balancer",
            "image-plugins",
        ] {
            let packages = found["perSystem"][system].as_array().unwrap();
            assert!(packages.contains(&json!(package)), "{system}: {package}");
        }
        for (output, folder) in [("checks", "tests/vm"), ("heavy", "tests/vm/heavy")] {
            let there = found[output][system].as_array().unwrap();
            for name in networks(folder) {
                assert!(there.contains(&json!(name)), "{system}: {name}");
            }
        }
    }
    if found["derivations"] == json!({}) {
        skipped("derivations of the flake's packages: this nixpkgs is older than importCargoLock");
    }
}

#[test]
fn options_in_the_reference_are_those_of_nixpkgs() {
    let Some((nix, nixpkgs)) = obtain() else { return };
    let found = nix.eval(&format!(
        "import (/. + {}) {{ root = /. + {}; nixpkgs = {nixpkgs}; }}",
        path("tests/nix/option-names.nix"),
        path("")
    ));
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    let found: BTreeSet<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let reference = fs::read_to_string(Path::new(ROOT).join("nixos-modules/options.md")).unwrap();
    let headings = reference
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    // nixpkgs does not look into what may be text as well.
    let may_be_text = "services.catamaran.pools.<name>.endpoints.<name>.";
    let plain = |name: &&str| !name.starts_with(may_be_text);
    assert_eq!(
        headings.filter(plain).collect::<BTreeSet<_>>(),
        found.into_iter().filter(plain).collect()
    );
}
