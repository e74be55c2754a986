//! A plugin in each language, from nothing to a probe, with the language's own
//! tools.

#[path = "support/installed.rs"]
mod installed;
#[path = "support/kit.rs"]
mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use installed::possible;
use kit::{good, plugin, rust, server, told, web};
use serde_json::Value;
use tempfile::TempDir;

/// The tools that packages of languages bring, kept from run to run.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether a command does what it is to do; its words are passed on if not.
fn does(command: &mut Command) -> bool {
    let output = command.stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        if !output.status.success() {
            eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    })
}

/// Both worlds of a language: new, build, inspect, test, try; `prepare` does
/// what comes before the first build.
fn from_nothing_to_a_probe(language: &str, prepare: impl Fn(&Path), environment: &[(String, String)]) {
    let folder = tempfile::tempdir().unwrap();
    for (world, address) in [("http", web()), ("stream", server(b"PING\r\n", b"+PONG\r\n"))] {
        let project = project(&folder, language, world);
        prepare(&project);
        let mut build = plugin(&project, &["build"]);
        good(build.envs(environment.iter().cloned()));
        let file = format!("{language}-{world}.wasm");
        let found: Value =
            serde_json::from_str(&good(&mut plugin(&project, &["inspect", "--json", &file]))).unwrap();
        assert_eq!(found["world"], format!("{world}-check"), "{found}");
        assert_eq!(found["loads"], true, "{found}");
        assert_eq!(found["config-schema"]["additionalProperties"], false);
        let tested = good(&mut plugin(&project, &["test"]));
        assert!(tested.ends_with("4 exchanges, 0 wrong\n"), "{tested}");

        let endpoint = address.to_string();
        let tried = [
            "try",
            &file,
            "--endpoint",
            &endpoint,
            "--timeout",
            "10s",
            "--memory",
            "64MiB",
            "--json",
        ];
        let probe: Value = serde_json::from_str(&good(&mut plugin(&project, &tried))).unwrap();
        assert_eq!(probe["cause"], "healthy");
        let detail = if world == "http" {
            "200, 5 bytes"
        } else {
            "7 bytes"
        };
        assert_eq!(probe["detail"], detail);
        let wrong = [&tried[..], &["--config", "{\"unknown\": 1}"]].concat();
        let wrong = told(&mut plugin(&project, &wrong));
        assert!(
            wrong.err.contains("the plugin knows no key \"unknown\""),
            "{}",
            wrong.err
        );
        // For whoever reads the log of a run.
        println!(
            "{file}: {} bytes, {} to begin with, {} in the end",
            found["bytes"], found["memory-bytes"], probe["memory-bytes"]
        );
    }
}

fn project(folder: &TempDir, language: &str, world: &str) -> PathBuf {
    let name = format!("{language}-{world}");
    let arguments = ["new", &name, "--language", language, "--world", world];
    good(&mut plugin(folder.path(), &arguments));
    folder.path().join(name)
}

#[test]
fn rust_from_nothing_to_a_probe() {
    let environment = match rust() {
        Ok(environment) => environment,
        Err(why) => {
            assert!(!possible(Some(format!(
                "no Rust for wasm32-unknown-unknown: {why}"
            ))));
            return;
        }
    };
    from_nothing_to_a_probe("rust", |_| {}, &environment);
}

/// What a C compiler has to bring: itself, the linker, the C library and the
/// run-time library.
fn c_is_missing() -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let project = project(&folder, "c", "http");
    let built = told(&mut plugin(&project, &["build"]));
    let missing = built.err.contains("apt-get install");
    missing.then(|| {
        format!(
            "no clang for WebAssembly (apt-get install clang lld wasi-libc libclang-rt-dev-wasm32): {}",
            built.err
        )
    })
}

#[test]
fn c_from_nothing_to_a_probe() {
    if possible(c_is_missing()) {
        from_nothing_to_a_probe("c", |_| {}, &[]);
    }
}

/// Settings are read by hand in C.
#[test]
fn settings_in_c_are_those_of_the_document() {
    if !possible(c_is_missing()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = project(&folder, "c", "http");
    fs::write(project.join("check.c"), SETTINGS_IN_C).unwrap();
    fs::remove_file(project.join("config.schema.json")).unwrap();
    fs::remove_dir_all(project.join("exchanges")).unwrap();
    fs::create_dir(project.join("exchanges")).unwrap();
    for (name, config, verdict, detail) in [
        ("absent", "{}", "healthy", "none|7|0"),
        (
            "plain",
            r#"{ text = "a", number = -12, flag = true }"#,
            "healthy",
            "a|-12|1",
        ),
        (
            "behind-others",
            r#"{ a = { text = "no", b = [1, "]", { c = "}" }] }, text = "yes", z = [] }"#,
            "healthy",
            "yes|7|0",
        ),
        (
            "escapes",
            r#"{ text = "\"\\\t\u00e4\U0001F6A2" }"#,
            "healthy",
            "\\\"\\\\\\\\u{9}\u{e4}\u{1F6A2}|7|0",
        ),
        (
            "no-text",
            "{ text = 1 }",
            "bad-plugin",
            "config: `text` is not a text",
        ),
        (
            "no-number",
            "{ number = 1.5 }",
            "bad-plugin",
            "config: `number` is not a whole number",
        ),
        (
            "no-flag",
            "{ flag = \"true\" }",
            "bad-plugin",
            "config: `flag` is neither true nor false",
        ),
    ] {
        let exchange = format!("config = {config}\nverdict = \"{verdict}\"\ndetail = \"{detail}\"\n");
        fs::write(project.join(format!("exchanges/{name}.toml")), exchange).unwrap();
    }
    good(&mut plugin(&project, &["build"]));
    let tested = told(&mut plugin(&project, &["test"]));
    assert_eq!(tested.code, Some(0), "{}{}", tested.out, tested.err);
}

const SETTINGS_IN_C: &str = r#"
#include "catamaran-check.h"

void check(const check_request *request) {
    (void)request;
    const char *text = config_text("text", "none");
    long number = config_number("number", 7);
    bool flag = config_flag("flag", false);
    healthy("%s|%ld|%d", text, number, flag);
}
"#;

#[test]
fn what_does_not_compile_is_told_in_the_compilers_words() {
    if !possible(c_is_missing()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = project(&folder, "c", "stream");
    fs::write(project.join("check.c"), "void check(void) { return 1 }").unwrap();
    let built = told(&mut plugin(&project, &["build"]));
    assert_eq!(built.code, Some(1));
    assert!(
        built.err.contains("check.c:1:") && built.err.contains("failed"),
        "{}",
        built.err
    );
    assert!(!built.err.contains("apt-get"), "{}", built.err);
    assert!(!project.join("c-stream.wasm").exists());
}

/// The virtual environment with the compiler of Python components.
fn python() -> Result<PathBuf, String> {
    let venv = kept("plugin-languages-python");
    if venv.join("bin/componentize-py").is_file() {
        return Ok(venv);
    }
    if !does(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        return Err("no python3 with venv (apt-get install python3-venv)".into());
    }
    let mut pip = Command::new(venv.join("bin/pip"));
    match does(pip.args(["install", "--quiet", "componentize-py==0.25.1"])) {
        true => Ok(venv),
        false => Err("componentize-py cannot be had (pip install componentize-py==0.25.1)".into()),
    }
}

#[test]
fn python_from_nothing_to_a_probe() {
    let venv = match python() {
        Ok(venv) => venv,
        Err(why) => return assert!(!possible(Some(why))),
    };
    let link = |project: &Path| std::os::unix::fs::symlink(&venv, project.join(".venv")).unwrap();
    from_nothing_to_a_probe("python", link, &[]);
}

/// The folder of packages with the compiler of JavaScript components.
fn javascript() -> Result<PathBuf, String> {
    let folder = kept("plugin-languages-javascript");
    let modules = folder.join("node_modules");
    if modules.join(".bin/componentize-qjs").is_file() {
        return Ok(modules);
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&folder).args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "componentize-qjs@0.4.5",
    ]);
    if Command::new("npm").arg("--version").output().is_err() {
        return Err("no npm (apt-get install npm)".into());
    }
    match does(&mut npm) {
        true => Ok(modules),
        false => Err("componentize-qjs cannot be had (npm install componentize-qjs@0.4.5)".into()),
    }
}

#[test]
fn javascript_from_nothing_to_a_probe() {
    let modules = match javascript() {
        Ok(modules) => modules,
        Err(why) => return assert!(!possible(Some(why))),
    };
    let link = |project: &Path| std::os::unix::fs::symlink(&modules, project.join("node_modules")).unwrap();
    from_nothing_to_a_probe("javascript", link, &[]);
}

#[test]
fn missing_tools_are_named_with_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    for (language, words) in [
        ("rust", "there is no rustc; install Rust"),
        (
            "c",
            "there is no clang; install it: apt-get install clang lld wasi-libc",
        ),
        (
            "python",
            "there is no componentize-py; install it into the project: python3 -m venv .venv",
        ),
        (
            "javascript",
            "there is no componentize-qjs; install it into the project: npm install",
        ),
    ] {
        let project = project(&folder, language, "http");
        let mut build = plugin(&project, &["build"]);
        for variable in ["CC", "WASI_SDK_PATH", "RUSTC", "VIRTUAL_ENV"] {
            build.env_remove(variable);
        }
        let built = told(build.env("PATH", "/nonexistent"));
        assert_eq!(built.code, Some(1));
        assert!(built.err.starts_with(&format!("error: {words}")), "{}", built.err);
    }
}

#[test]
fn schema_that_is_none_stops_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(&folder, "javascript", "http");
    fs::write(project.join("config.schema.json"), r#"{ "type": "objekt" }"#).unwrap();
    let built = told(&mut plugin(&project, &["build"]));
    assert_eq!(built.code, Some(1));
    assert!(
        built.err.contains("config.schema.json: not a JSON Schema"),
        "{}",
        built.err
    );
}
