//! Descriptions of clusters, shown to the daemon.
//!
//! What follows from them is in `tests/nix/unit`; here every load balancer of every example is shown the
//! document that it would get.

#[path = "support/installed.rs"]
mod installed;
#[path = "support/nix.rs"]
mod nix;

use std::fs;
use std::process::{Command, Output};

use installed::skipped;
use nix::{Nix, names, path, quoted};
use serde_json::{Value, json};

const EXAMPLES: &str = "nixos-modules/examples";

/// Nix, or the reason why the calling test ends.
fn obtain() -> Option<Nix> {
    let nix = Nix::obtain();
    if nix.is_none() {
        skipped("no nix here, and none to be had from Debian");
    }
    nix
}

fn catamaran(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What follows from an example.
fn facts(nix: &Nix, example: &str) -> Value {
    let expression = format!(
        "(import {}).facts (import {})",
        path("nixos-modules/lib/default.nix"),
        path(&format!("{EXAMPLES}/{example}.nix"))
    );
    nix.eval(&expression)
        .unwrap_or_else(|error| panic!("{example}: {error}"))
}

#[test]
fn every_load_balancer_of_the_examples_gets_a_good_document() {
    let Some(nix) = obtain() else { return };
    let examples = names(EXAMPLES);
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let facts = facts(&nix, &example);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.json");
        fs::write(&file, facts["document"].to_string()).unwrap();
        let file = file.to_str().unwrap();

        let output = catamaran(&["check", file]);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{example}: {said}");
        assert!(!said.contains("warning"), "{example}: {said}");

        let balancers = facts["members"]["loadBalancers"].as_array().unwrap();
        assert!(balancers.len() >= 2, "{example}");
        for balancer in balancers {
            let node = balancer.as_str().unwrap();
            let host = &facts["hosts"][node]["loadBalancer"];
            assert_eq!(host["node"], json!(node));
            assert_eq!(host["priority"], facts["document"]["nodes"][node]["priority"]);
            // A unit can only be made for a node that the document has.
            let unit = catamaran(&["image", "manifest", "systemd", "--config", file, "--node", node]);
            let error = String::from_utf8(unit.stderr).unwrap();
            assert!(unit.status.success(), "{example}: {node}: {error}");
        }
    }
}

#[test]
fn founding_example_is_the_founding_document() {
    let Some(nix) = obtain() else { return };
    let effective = |file: &str| {
        let output = catamaran(&["check", "--effective", "--json", file]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8(output.stderr).unwrap()
        );
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let founding = format!("{}/tests/config/valid/json-founding.json", nix::ROOT);
    let mut expected = effective(&founding);
    // What the description has otherwise: health is the election's business, certificates are verified,
    // and the password is a file.
    let router = &mut expected["virtual-routers"]["apiserver"];
    router["authentication"] = json!({ "pass-file": "/run/secrets/vrrp-password" });
    expected["virtual-routers"]["apiserver"]["track"] = json!([{ "pool": "apiserver" }]);
    expected["checks"]["apiserver"]["tls"] =
        json!({ "verify": true, "ca": "/run/secrets/kubernetes-ca.crt" });

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.json");
    fs::write(&file, facts(&nix, "founding")["document"].to_string()).unwrap();

    assert_eq!(effective(file.to_str().unwrap()), expected);
}

/// Every machine by itself, with a nixpkgs; what it is then, `nixos.rs` knows.
#[test]
fn make_cluster_gives_a_system_for_every_machine() {
    let Some(nixpkgs) = std::env::var_os("NIXPKGS") else {
        skipped("NIXPKGS names no nixpkgs");
        return;
    };
    let Some(nix) = obtain() else { return };
    let expression = format!(
        "builtins.mapAttrs (_: system: {{ inherit (system.config.networking) hostName domain; \
           derivation = builtins.unsafeDiscardStringContext system.config.system.build.toplevel.drvPath; }}) \
         ((import {lib}).mkCluster {{ \
           nixpkgs = /. + {nixpkgs}; modules = [ (/. + {shim}) {{ networking.domain = \"example.org\"; }} ]; \
         }} (let founding = import {founding}; in founding // {{ \
           machines = founding.machines // {{ \
             master2 = founding.machines.master2 // {{ managed = false; }}; \
             worker = founding.machines.worker // {{ modules = [ {{ networking.hostName = \"w\"; }} ]; }}; \
           }}; }}))",
        lib = path("nixos-modules/lib/default.nix"),
        nixpkgs = quoted(nixpkgs.to_str().unwrap()),
        shim = path("tests/nix/old-release.nix"),
        founding = path(&format!("{EXAMPLES}/founding.nix")),
    );
    let systems = nix.eval(&expression).unwrap_or_else(|error| panic!("{error}"));
    let systems = systems.as_object().unwrap();
    assert_eq!(
        systems.keys().collect::<Vec<_>>(),
        ["lb-a", "lb-b", "master1", "master3", "worker"]
    );
    for (name, system) in systems {
        // A machine's own modules are of that machine alone.
        let host_name = if name == "worker" { "w" } else { name };
        assert_eq!(system["hostName"], json!(host_name));
        assert_eq!(system["domain"], json!("example.org"));
        assert!(system["derivation"].as_str().unwrap().ends_with(".drv"));
    }
}

#[test]
fn founding_example_is_short_and_in_the_readmes() {
    let text = fs::read_to_string(format!("{}/{EXAMPLES}/founding.nix", nix::ROOT)).unwrap();
    let lines = text.lines().count();
    assert!(lines <= 40, "{lines} lines");
    for readme in ["README.md", "nixos-modules/README.md"] {
        let shown = fs::read_to_string(format!("{}/{readme}", nix::ROOT)).unwrap();
        assert!(
            shown.contains(&format!("```nix\n{text}```\n")),
            "the example in {readme} is another one"
        );
    }
}

#[test]
fn moving_from_keepalived_needs_no_more_than_the_readme_has() {
    let Some(nix) = obtain() else { return };
    let readme = fs::read_to_string(format!("{}/nixos-modules/README.md", nix::ROOT)).unwrap();
    let (_, chapter) = readme.split_once("\n## From HAProxy and keepalived\n").unwrap();
    let (_, rest) = chapter.split_once("```nix\n").unwrap();
    let (description, _) = rest.split_once("```").unwrap();
    let expression = format!(
        "let cluster = import {}; description = {description}; in {{ \
           problems = cluster.problems description; inherit (cluster.facts description) document; }}",
        path("nixos-modules/lib/default.nix")
    );
    let found = nix.eval(&expression).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found["problems"], json!([]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.json");
    fs::write(&file, found["document"].to_string()).unwrap();
    let output = catamaran(&["check", file.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8(output.stderr).unwrap()
    );
    let router = &found["document"]["virtual-routers"]["apiserver"];
    assert_eq!(
        (&router["takeover"], &router["version"]),
        (&json!("rfc"), &json!(2))
    );
}
