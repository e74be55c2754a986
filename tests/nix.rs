//! The Nix expressions, in two tiers.
//!
//! Everywhere, with Nix alone: all files parse and are formatted, unit tests
//! hold, and what modules make of options is shown to the daemon and to systemd.
//! `tests/nix/unit/NAME.nix` is run because it is there. `BLESS=1` writes anew
//! what is made of something else.
//!
//! Where `NIXPKGS` names a nixpkgs, in `nixos.rs`: whole hosts.

#[path = "support/installed.rs"]
mod installed;
#[path = "support/nix.rs"]
mod nix;
#[path = "support/unit.rs"]
mod unit;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use installed::skipped;
use nix::{Nix, ROOT, files, names, path, quoted};
use serde_json::{Value, json};
use unit::unit_text;

const BINARY: &str = env!("CARGO_BIN_EXE_catamaran");

/// Past the harness, which keeps what a test that passes has printed.
fn say(text: &str) {
    // A closed standard error is no reason to fail.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Nix, or the reason why the calling test ends.
fn obtain() -> Option<Nix> {
    let nix = Nix::obtain();
    if nix.is_none() {
        skipped("no nix here, and none to be had from Debian");
    }
    nix
}

fn catamaran(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

/// Standard output of a command that succeeds.
fn said(arguments: &[&str]) -> String {
    let output = catamaran(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file of this clone is what it is made of, or is written anew.
fn assert_fresh(file: &str, made: &str) {
    let place = Path::new(ROOT).join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&place, made).unwrap();
    }
    let found = fs::read_to_string(&place).unwrap_or_default();
    assert!(
        found == made,
        "{file} is out of date; BLESS=1 cargo test --release --test nix writes it"
    );
}

#[test]
fn every_file_is_formatted() {
    let mut faults = Vec::new();
    for file in files() {
        let text = fs::read_to_string(Path::new(ROOT).join(&file)).unwrap();
        faults.extend(
            unformatted(&text)
                .into_iter()
                .map(|fault| format!("{file}:{fault}")),
        );
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What nixfmt would not leave so, as far as it can be told line by line; there
/// is no nixfmt among this machine's packages. Text of several lines is its
/// writer's business.
fn unformatted(text: &str) -> Vec<String> {
    const WIDEST: usize = 110;
    let mut faults = Vec::new();
    let mut in_text = false;
    let mut blank_before = true;
    for (number, line) in text.lines().enumerate() {
        let mut fault = |what: &str| faults.push(format!("{}: {what}", number + 1));
        let indent = line.len() - line.trim_start().len();
        if line.contains('\t') {
            fault("a tab");
        }
        if line.ends_with(' ') {
            fault("blanks at the end");
        }
        if !in_text && line.chars().count() > WIDEST && !line.contains('"') {
            fault("too long");
        }
        if !in_text && indent % 2 != 0 {
            fault("an odd indentation");
        }
        if !in_text && blank_before && line.is_empty() {
            fault("a blank line too many");
        }
        blank_before = line.is_empty();
        // `'''` and `''$` are characters of a text, not its end.
        let quotes = line.replace("'''", "").replace("''$", "").matches("''").count();
        in_text ^= !line.trim_start().starts_with('#') && quotes % 2 == 1;
    }
    if !text.ends_with('\n') || text.ends_with("\n\n") {
        faults.push("does not end with one line feed".into());
    }
    faults
}

#[test]
fn formatting_is_noticed() {
    let faults = |text: &str| unformatted(text).join(" ");
    assert_eq!(faults("{\n  a = ''\n   odd\n  '';\n}\n"), "");
    assert_eq!(faults("{\n   a = 1;\n}\n"), "2: an odd indentation");
    assert_eq!(
        faults("{\n\ta = 1; \n}\n"),
        "2: a tab 2: blanks at the end 2: an odd indentation"
    );
    assert_eq!(faults("{\n}\n\n"), "does not end with one line feed");
    assert_eq!(faults("{\n\n\n}\n"), "3: a blank line too many");
    assert_eq!(faults(&format!("{}\n", "a".repeat(111))), "1: too long");
}

#[test]
fn every_file_parses() {
    let Some(nix) = obtain() else { return };
    let list: Vec<_> = files().iter().map(|file| path(file)).collect();
    let expression = format!("map (file: builtins.typeOf (import file)) [ {} ]", list.join(" "));
    let kinds = nix.eval(&expression).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(kinds.as_array().unwrap().len(), list.len());
}

#[test]
fn unit_tests_hold() {
    let Some(nix) = obtain() else { return };
    let mut faults = Vec::new();
    let mut count = 0;
    let units = names("tests/nix/unit");
    assert!(!units.is_empty());
    for name in &units {
        let run = format!(
            "import {} {{ root = /. + {}; file = /. + {}; }}",
            path("tests/nix/unit.nix"),
            path(""),
            path(&format!("tests/nix/unit/{name}.nix"))
        );
        let result = nix.eval(&run).unwrap_or_else(|error| panic!("{name}: {error}"));
        count += result["count"].as_u64().unwrap();
        for (test, fault) in result["failing"].as_object().unwrap() {
            faults.push(format!("{name}: {test}: {fault:#}"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    say(&format!("{count} unit tests of Nix expressions, in {units:?}"));
}

#[test]
fn readme_shows_the_example() {
    let read = |file: &str| fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let example = read("nixos-modules/load-balancer/example.nix");
    let readme = read("nixos-modules/README.md");
    assert!(readme.contains(&format!("```nix\n{example}```")));
}

#[test]
fn schema_of_the_options_is_the_daemons() {
    assert_fresh("nixos-modules/load-balancer/schema.json", &said(&["schema"]));
}

#[test]
fn reference_lists_the_options() {
    let Some(nix) = obtain() else { return };
    let expression = format!(
        "(import {} {{ root = /. + {}; }}).text",
        path("tests/nix/reference.nix"),
        path("")
    );
    let text = nix.eval(&expression).unwrap_or_else(|error| panic!("{error}"));
    assert_fresh("nixos-modules/options.md", text.as_str().unwrap());
}

/// The documents of a folder that are good, in full, as JSON.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_string();
        if name.ends_with(".toml") && !name.contains(".effective.") {
            let text = said(&["check", "--effective", "--json", file.to_str().unwrap()]);
            documents.push((name, serde_json::from_str(&text).unwrap()));
        }
    }
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(documents.len() > 3, "{folder}");
    documents
}

/// What the load balancer's module decides for documents, each for its first node.
fn plans(nix: &Nix, documents: &[(String, Value)]) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let list: Vec<_> = documents.iter().map(|(_, document)| document).collect();
    fs::write(&file, json!(list).to_string()).unwrap();
    let expression = format!(
        "map (document: import {} {{ root = /. + {}; inherit document; \
         node = if document ? nodes then builtins.head (builtins.attrNames document.nodes) else null; }}) \
         (builtins.fromJSON (builtins.readFile {}))",
        path("tests/nix/plan.nix"),
        path(""),
        quoted(file.path().to_str().unwrap())
    );
    let plans = nix.eval(&expression).unwrap_or_else(|error| panic!("{error}"));
    plans.as_array().unwrap().clone()
}

#[test]
fn document_goes_through_the_options_unchanged() {
    let Some(nix) = obtain() else { return };
    let documents = documents("tests/config/valid");
    for ((name, document), plan) in documents.iter().zip(plans(&nix, &documents)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.json");
        fs::write(&file, plan["text"].as_str().unwrap()).unwrap();
        let text = said(&["check", "--effective", "--json", file.to_str().unwrap()]);
        let found: Value = serde_json::from_str(&text).unwrap();
        let mut expected = document.clone();
        move_secrets(&mut expected, &plan["credentials"]);
        assert_eq!(found, expected, "{name}");
    }
}

/// Where the service finds what root alone may read.
fn move_secrets(document: &mut Value, credentials: &Value) {
    let known = credentials.as_object().unwrap();
    let moved = |table: &mut Value, prefix: &str| {
        for (key, value) in table.as_object_mut().into_iter().flatten() {
            let name = format!("{prefix}-{key}");
            if known.get(&name) == Some(value) {
                *value = json!(format!("/run/credentials/catamaran.service/{name}"));
            }
        }
    };
    for (table, key, kind) in [
        ("checks", "tls", "check"),
        ("virtual-routers", "authentication", "virtual-router"),
    ] {
        let entries = document.get_mut(table).and_then(Value::as_object_mut);
        for (name, entry) in entries.into_iter().flatten() {
            if let Some(inner) = entry.get_mut(key) {
                moved(inner, &format!("{kind}-{name}"));
            }
        }
    }
    let registries = document.get_mut("registries").and_then(Value::as_object_mut);
    for (host, registry) in registries.into_iter().flatten() {
        moved(registry, &format!("registry-{}", host.replace(':', "_")));
    }
}

/// The values of a key in a unit, in order of their lines.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(found, _)| *found == key)
        .flat_map(|(_, value)| value.split_whitespace())
        .collect()
}

#[test]
fn unit_has_the_rights_that_manifests_grant() {
    let Some(nix) = obtain() else { return };
    let documents = documents("tests/manifests");
    let mut compared = 0;
    for ((name, _), plan) in documents.iter().zip(plans(&nix, &documents)) {
        let file = Path::new(ROOT).join("tests/manifests").join(name);
        let file = file.to_str().unwrap();
        let output = catamaran(&["image", "manifest", "systemd", "--config", file]);
        // Where a document can be had in no manifest, a host may still have it.
        if !output.status.success() {
            continue;
        }
        let manifest = String::from_utf8(output.stdout).unwrap();
        let unit = unit_text(&plan["unit"]);
        for key in [
            "AmbientCapabilities",
            "CapabilityBoundingSet",
            "LimitRTPRIO",
            "RestrictRealtime",
            "PrivateUsers",
            "RestrictAddressFamilies",
            "SystemCallFilter",
            "CacheDirectory",
        ] {
            let ours = values(&unit, key).join(" ").replace("true", "yes");
            assert_eq!(ours, values(&manifest, key).join(" "), "{name}: {key}");
        }
        compared += 1;
    }
    assert!(compared > 3, "{compared}");
}

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    let Some(nix) = obtain() else { return };
    if !installed::installed(&["systemd-analyze"]) {
        return;
    }
    let documents = documents("tests/manifests");
    let mut worst = 0.0;
    for ((name, _), plan) in documents.iter().zip(plans(&nix, &documents)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catamaran.service");
        let text = unit_text(&plan["unit"]).replace("/usr/local/bin/catamaran", BINARY);
        fs::write(&file, text).unwrap();
        let analyze = |arguments: &[&str]| {
            let mut command = Command::new("systemd-analyze");
            let output = command
                .args(arguments)
                .arg(&file)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8(said).unwrap())
        };
        let (good, said) = analyze(&["verify", "--man=no", "--recursive-errors=no"]);
        assert!(good && said.is_empty(), "{name}: {said}");
        let (good, said) = analyze(&["security", "--offline=yes", "--threshold=20"]);
        assert!(good, "{name}: {said}");
        let level = said.rsplit_once("catamaran.service: ").unwrap().1;
        worst = f64::max(worst, level.split(' ').next().unwrap().parse().unwrap());
    }
    say(&format!(
        "units of the load balancer's module: exposure at most {worst:.1}"
    ));
}

/// A document as the build of a system makes it, by real derivations.
fn built(nix: &Nix, document: &str) -> Result<PathBuf, String> {
    let package = Path::new(BINARY).parent().unwrap();
    // What a package has in its folder `bin`.
    let prefix = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(package, prefix.path().join("bin")).unwrap();
    nix.build(&format!(
        "import {} {{ runCommand = import {} {}; package = {}; \
         text = import {} (builtins.fromJSON {}); }}",
        path("nixos-modules/load-balancer/document-file.nix"),
        path("tests/nix/stand-ins/run-command.nix"),
        quoted(&std::env::var("PATH").unwrap()),
        quoted(prefix.path().to_str().unwrap()),
        path("nixos-modules/load-balancer/json.nix"),
        quoted(document),
    ))
}

#[test]
fn wrong_document_fails_the_build_with_its_lines() {
    let Some(nix) = obtain() else { return };
    let document = |bind: &str| {
        let pool = json!({ "endpoints": { "one": "192.0.2.1:80" } });
        json!({ "listeners": { "web": { "bind": [bind], "pool": "web" } }, "pools": { "web": pool } })
    };
    let good = built(&nix, &document("*:80").to_string()).unwrap_or_else(|error| panic!("{error}"));
    let found: Value = serde_json::from_str(&fs::read_to_string(good).unwrap()).unwrap();
    assert_eq!(found, document("*:80"));

    let said = built(&nix, &document("*:99999").to_string()).unwrap_err();
    for wanted in [
        "cluster.json:5:9: listeners.web.bind[0]:",
        "5 |         \"*:99999\"",
        "1 mistake",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// The images that the flake has, as derivations really make them.
#[test]
fn image_of_a_derivation_is_the_builders_own() {
    let Some(nix) = obtain() else { return };
    let prefix = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new(BINARY).parent().unwrap(), prefix.path().join("bin")).unwrap();
    for name in ["load-balancer", "plugins"] {
        let image = nix.build(&format!(
            "import {} {{ runCommand = import {} {}; name = {}; \
             catamaran = {{ outPath = {}; version = \"0\"; }}; }}",
            path("nixos-modules/packages/image.nix"),
            path("tests/nix/stand-ins/run-command.nix"),
            quoted(&std::env::var("PATH").unwrap()),
            quoted(name),
            quoted(prefix.path().to_str().unwrap()),
        ));
        let image = image.unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("image");
        said(&[
            "image",
            "build",
            name,
            "--source-date-epoch=0",
            "--output",
            own.to_str().unwrap(),
        ]);
        let index = |folder: &Path| fs::read_to_string(folder.join("index.json")).unwrap();
        assert_eq!(index(&image), index(&own), "{name}");
    }
}
