//! `catamaran plugin new`, `inspect`, `try` and `test` with the standard
//! plugins and with components made by hand.

#[path = "support/kit.rs"]
mod kit;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use kit::{good, plugin, told, web};
use serde_json::Value;
use tempfile::TempDir;

fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("plugins/built")
        .join(format!("{name}.wasm"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn new_writes_a_project_of_each_language_and_nothing_over_another() {
    let folder = folder();
    for (language, source) in [
        ("rust", "src/lib.rs"),
        ("c", "check.c"),
        ("python", "check.py"),
        ("javascript", "check.js"),
    ] {
        for world in ["http", "stream"] {
            let name = format!("{language}-{world}");
            let arguments = ["new", &name, "--language", language, "--world", world];
            let said = good(&mut plugin(folder.path(), &arguments));
            assert!(said.contains("catamaran plugin build"), "{said}");
            let project = folder.path().join(&name);
            for file in [
                source,
                "README.md",
                "config.schema.json",
                "wit/worlds.wit",
                ".gitignore",
            ] {
                assert!(project.join(file).is_file(), "{name}/{file}");
            }
            assert!(fs::read_dir(project.join("exchanges")).unwrap().count() >= 3);
            let readme = fs::read_to_string(project.join("README.md")).unwrap();
            assert!(readme.starts_with(&format!("# {name}\n")), "{readme}");
        }
    }
    let again = told(&mut plugin(folder.path(), &["new", "rust-http"]));
    assert_eq!(again.code, Some(1));
    assert_eq!(
        again.err,
        "error: rust-http is there already and not empty; nothing was written\n"
    );
    let name = told(&mut plugin(folder.path(), &["new", "Mine"]));
    assert!(
        name.err.contains("\"Mine\" is no name for a plugin"),
        "{}",
        name.err
    );
    assert!(!folder.path().join("Mine").exists());
}

#[test]
fn template_of_the_contract_is_that_of_the_clone() {
    let folder = folder();
    good(&mut plugin(folder.path(), &["new", "a"]));
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/wit");
    for entry in fs::read_dir(wit).unwrap() {
        let path = entry.unwrap().path();
        let copy = folder.path().join("a/wit").join(path.file_name().unwrap());
        assert_eq!(fs::read(&path).unwrap(), fs::read(copy).unwrap());
    }
}

#[test]
fn inspect_tells_what_a_plugin_is_and_may() {
    let here = Path::new(".");
    let said = good(&mut plugin(here, &["inspect", text(&built("http"))]));
    for part in [
        "contract  1.0.0, world http-check",
        "catamaran:health/http@1.0.0",
        "served   HTTP requests to its endpoint",
        "\"GET\"",
        "loads: yes",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = good(&mut plugin(here, &["inspect", "--json", text(&built("tcp"))]));
    let value: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["world"], "stream-check");
    assert_eq!(value["loads"], true);
    assert_eq!(value["bytes"], fs::metadata(built("tcp")).unwrap().len());
    assert!(value["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(value["config-schema"]["type"], "object");
    let imports = value["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["grant"] == "served"), "{said}");
}

#[test]
fn inspect_says_why_a_component_would_not_load() {
    let folder = folder();
    let path = folder.path().join("strange.wasm");
    let component = r#"(component
        (import "wasi:nn/graph@0.2.0" (instance))
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "check" (func $f)))"#;
    fs::write(&path, wat::parse_str(component).unwrap()).unwrap();
    let told_of = |name: &str| told(&mut plugin(folder.path(), &["inspect", name]));
    let strange = told_of("strange.wasm");
    assert_eq!(strange.code, Some(1));
    assert!(strange.out.contains("refused"), "{}", strange.out);
    assert!(
        strange
            .out
            .contains("loads: no: the plugin imports wasi:nn/graph@0.2.0, which a check may not use"),
        "{}",
        strange.out
    );
    fs::write(
        folder.path().join("module.wasm"),
        wat::parse_str("(module)").unwrap(),
    )
    .unwrap();
    let module = told_of("module.wasm");
    assert_eq!(module.code, Some(1));
    assert_eq!(
        module.err,
        "error: module.wasm: a WebAssembly module; `catamaran plugin build` makes components of them\n"
    );
    assert!(
        told_of("absent.wasm")
            .err
            .contains("cannot read plugin absent.wasm")
    );
}

#[test]
fn try_reports_verdict_time_and_memory() {
    let address = web().to_string();
    let plugin_file = built("http");
    let arguments = ["try", text(&plugin_file), "--endpoint", &address];
    let said = good(&mut plugin(Path::new("."), &arguments));
    assert!(said.starts_with("healthy: HTTP 200\n"), "{said}");
    assert!(
        said.contains(" ms, connect ") && said.contains(" MiB of memory"),
        "{said}"
    );
    let json = [&arguments[..], &["--json", "--config", r#"{"status": "204"}"#]].concat();
    let told = told(&mut plugin(Path::new("."), &json));
    assert_eq!(told.code, Some(1));
    let value: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(value["cause"], "unhealthy");
    assert!(value["memory-bytes"].as_u64().unwrap() > 65_536);
    assert!(value["handshake-ms"].is_null());
}

#[test]
fn try_takes_settings_from_files_and_names_what_is_wrong() {
    let folder = folder();
    let address = web().to_string();
    let plugin_file = built("http");
    let try_with = |more: &[&str]| {
        let arguments = [&["try", text(&plugin_file), "--endpoint", &address], more].concat();
        told(&mut plugin(folder.path(), &arguments))
    };
    fs::write(folder.path().join("a.toml"), "contains = \"ready\"").unwrap();
    fs::write(folder.path().join("a.json"), "{ \"contains\": \"gone\" }").unwrap();
    assert_eq!(try_with(&["--config-file", "a.toml"]).code, Some(0));
    assert_eq!(try_with(&["--config-file", "a.json"]).code, Some(1));
    let misspelt = try_with(&["--config", "{\"pth\": \"/\"}"]);
    assert_eq!(misspelt.code, Some(2));
    assert!(
        misspelt.err.contains("the plugin knows no key \"pth\""),
        "{}",
        misspelt.err
    );
    let absent = told(&mut plugin(
        folder.path(),
        &["try", "absent.wasm", "--endpoint", &address],
    ));
    assert_eq!(absent.code, Some(2));
    assert!(
        absent.err.contains("cannot read plugin") && absent.err.contains("absent.wasm"),
        "{}",
        absent.err
    );
    let nobody = told(&mut plugin(folder.path(), &["try", text(&plugin_file)]));
    assert_eq!(
        (nobody.code, nobody.err.as_str()),
        (Some(2), "catamaran: name an --endpoint\n")
    );
}

#[test]
fn what_try_recorded_replays() {
    let folder = folder();
    let address = web().to_string();
    let plugin_file = built("http");
    fs::create_dir(folder.path().join("exchanges")).unwrap();
    let arguments = [
        "try",
        text(&plugin_file),
        "--endpoint",
        &address,
        "--config",
        r#"{"path": "/ready", "contains": "ready"}"#,
        "--record",
        "exchanges/ready.toml",
    ];
    good(&mut plugin(folder.path(), &arguments));
    let recorded = fs::read_to_string(folder.path().join("exchanges/ready.toml")).unwrap();
    assert!(recorded.contains("GET /ready HTTP/1.1\\r\\n"), "{recorded}");
    assert!(recorded.contains("user-agent: <any>\\r\\n"), "{recorded}");
    let test = ["test", "--plugin", text(&plugin_file)];
    let said = good(&mut plugin(folder.path(), &test));
    assert_eq!(said, "ready.toml: as written\n1 exchange, 0 wrong\n");
    // Another recording does not take its place.
    let again = told(&mut plugin(folder.path(), &arguments));
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("exchanges/ready.toml"), "{}", again.err);

    let other = recorded.replace("/ready HTTP", "/readyz HTTP");
    fs::write(folder.path().join("exchanges/ready.toml"), other).unwrap();
    let wrong = told(&mut plugin(folder.path(), &test));
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong
            .out
            .contains("ready.toml: wrong\n    connection 1: step 1: another byte at offset 10"),
        "{}",
        wrong.out
    );
    assert!(wrong.out.ends_with("1 exchange, 1 wrong\n"), "{}", wrong.out);
}

#[test]
fn test_says_what_is_missing() {
    let folder = folder();
    let nothing = told(&mut plugin(folder.path(), &["test"]));
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("is no plugin's folder"), "{}", nothing.err);
    good(&mut plugin(folder.path(), &["new", "a"]));
    let unbuilt = told(&mut plugin(folder.path(), &["test", "a"]));
    assert!(
        unbuilt
            .err
            .contains("a.wasm is not there; `catamaran plugin build` makes it"),
        "{}",
        unbuilt.err
    );
    let plugin_file = built("tcp");
    let none = told(&mut plugin(
        folder.path(),
        &["test", "--plugin", text(&plugin_file)],
    ));
    assert!(none.err.contains("exchanges"), "{}", none.err);
}

#[test]
fn test_finds_the_plugins_of_a_clone() {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = good(&mut plugin(clone, &["test", "plugins/tcp"]));
    assert!(said.contains("greeting.toml: as written"), "{said}");
}

/// Ends with the test, whatever happens in it.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watch_waits_for_a_component_that_loads_and_probes_each_new_one() {
    let folder = folder();
    let address = web().to_string();
    let path = folder.path().join("check.wasm");
    fs::write(&path, "nothing yet").unwrap();
    let arguments = [
        "try",
        "check.wasm",
        "--endpoint",
        &address,
        "--watch",
        "--interval",
        "1h",
    ];
    let mut command = plugin(folder.path(), &arguments);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut watching = Watching(child);
    let mut errors = BufReader::new(watching.0.stderr.take().unwrap()).lines();
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut next = move || lines.next().unwrap().unwrap();
    let first = errors.next().unwrap().unwrap();
    assert_eq!(first, "catamaran: check.wasm: not WebAssembly");
    assert_eq!(errors.next().unwrap().unwrap(), "waiting for another check.wasm");
    // As compilers do it: whole at once.
    let put = |name: &str| {
        let other = folder.path().join("other.wasm");
        fs::copy(built(name), &other).unwrap();
        fs::rename(&other, &path).unwrap();
    };
    put("http");
    assert_eq!(next(), "healthy: HTTP 200");
    next();
    put("tcp");
    assert!(next().starts_with("healthy"));
}

#[test]
fn bindings_for_c_are_what_the_contract_makes() {
    use wit_bindgen_core::Files;
    use wit_bindgen_core::wit_parser::Resolve;

    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(plugins.join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("full-check")).unwrap();
    let options = wit_bindgen_c::Opts {
        no_object_file: true,
        ..Default::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).unwrap();
    let mut compared = 0;
    for (name, bytes) in files.iter() {
        let path = plugins.join("templates/c/bindings").join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, bytes).unwrap();
        }
        let committed = fs::read(&path).unwrap();
        assert!(
            committed == bytes,
            "{}: run the test with BLESS=1",
            path.display()
        );
        compared += 1;
    }
    assert_eq!(compared, 2);
}
