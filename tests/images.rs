//! `catamaran image build`: what it writes, held against the specification and
//! shown to skopeo and umoci.

#[path = "support/installed.rs"]
mod installed;
#[path = "support/verifier.rs"]
mod verifier;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use installed::installed;
use serde_json::{Value, json};
use tempfile::TempDir;
use verifier::{INDEX, Layout, MANIFEST, gunzipped};

const PROGRAM: &str = env!("CARGO_BIN_EXE_catamaran");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const BILL: &str = "application/vnd.cyclonedx+json";

/// This machine's platform.
const OWN: &str = if cfg!(target_arch = "x86_64") {
    "linux/amd64"
} else {
    "linux/arm64"
};

/// The other one, and its `e_machine`.
const OTHER: (&str, u16) = if cfg!(target_arch = "x86_64") {
    ("linux/arm64", 183)
} else {
    ("linux/amd64", 62)
};

/// Build in a folder; the output is relative to it.
fn build(folder: &TempDir, arguments: &[&str]) -> Value {
    let (code, out, err) = try_to_build(folder, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
    serde_json::from_str(&out).unwrap()
}

fn try_to_build(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM)
        .args(["image", "build", "--json"])
        .args(arguments)
        .env_remove("SOURCE_DATE_EPOCH")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The smallest file that looks like a program for another machine; with a
/// loader it looks like one that is linked dynamically.
fn write_elf(path: &Path, machine: u16, loader: Option<&str>) {
    let mut file = vec![0; 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    (file[32], file[54], file[56]) = (64, 56, 1);
    if let Some(loader) = loader {
        // PT_INTERP, p_offset, p_filesz.
        (file[64], file[64 + 8], file[64 + 32]) = (3, 120, loader.len() as u8);
        file.extend(loader.as_bytes());
    }
    fs::write(path, file).unwrap();
}

/// Build for both platforms.
fn build_both(folder: &TempDir, output: &str) -> Layout {
    write_elf(&folder.path().join("other"), OTHER.1, None);
    let binary = format!("{}=other", OTHER.0);
    // The order in which they are asked for does not matter.
    let platforms = format!("{},{OWN}", OTHER.0);
    let platforms = if output.ends_with(".tar") {
        format!("{OWN},{}", OTHER.0)
    } else {
        platforms
    };
    build(
        folder,
        &[
            "load-balancer",
            "--platform",
            &platforms,
            "--binary",
            &binary,
            "--output",
            output,
        ],
    );
    Layout::read(&folder.path().join(output))
}

fn platform(descriptor: &Value) -> String {
    let platform = &descriptor["platform"];
    let word = |key: &str| platform[key].as_str().unwrap_or_default();
    format!("{}/{}", word("os"), word("architecture"))
}

/// Path, mode, owner and group.
type Entry = (String, u32, u64, u64);

/// What a layer holds, and the bytes of its files.
fn unpacked(layer: &[u8]) -> (Vec<Entry>, Vec<u8>) {
    let archive = gunzipped(layer);
    let mut archive = tar::Archive::new(archive.as_slice());
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let (mode, owner, group) = (header.mode(), header.uid(), header.gid());
        let path = entry.path().unwrap().display().to_string();
        found.push((path, mode.unwrap(), owner.unwrap(), group.unwrap()));
        entry.read_to_end(&mut bytes).unwrap();
    }
    (found, bytes)
}

#[test]
fn load_balancer_is_one_small_layer_with_the_binary() {
    let folder = folder();
    let told = build(&folder, &["load-balancer", "--output", "image"]);
    let layout = Layout::read(&folder.path().join("image"));
    let manifests = layout.verify();
    let image = &manifests[0];
    assert_eq!(platform(image), OWN);
    assert_eq!(
        image["annotations"][REF_NAME],
        format!("localhost/catamaran:{VERSION}")
    );
    assert_eq!(told["images"][0]["digest"], image["digest"]);

    let manifest = layout.json_blob(image);
    let [layer] = manifest["layers"].as_array().unwrap().as_slice() else {
        panic!("one layer: {manifest}");
    };
    let (entries, program) = unpacked(layout.blob(layer));
    let folder = |path: &str| (path.to_string(), 0o755, 0, 0);
    assert_eq!(
        entries,
        [folder("catamaran"), folder("etc/"), folder("etc/catamaran/")]
    );
    assert!(program == fs::read(PROGRAM).unwrap(), "the binary is another");
    let bytes = told["images"][0]["bytes"].as_u64().unwrap();
    eprintln!("the load balancer's image has {:.2} MB", bytes as f64 / 1e6);
    assert!(bytes <= 15_000_000, "{bytes}");
}

#[test]
fn load_balancer_runs_as_nobody_with_the_binary_as_its_entrypoint() {
    let folder = folder();
    build(&folder, &["load-balancer", "--output", "image"]);
    let layout = Layout::read(&folder.path().join("image"));
    let manifest = layout.json_blob(&layout.verify()[0]);
    let configuration = layout.json_blob(&manifest["config"]);
    let mut config = configuration["config"].clone();
    let labels = config["Labels"].take();
    assert_eq!(
        config,
        json!({
            "User": "10001:10001",
            "Entrypoint": ["/catamaran"],
            "Cmd": ["run"],
            "Env": ["CATAMARAN_ADMIN=@catamaran", "CATAMARAN_STOP_WITHIN=9s"],
            "StopSignal": "SIGTERM",
            "Labels": null,
        })
    );
    assert_eq!(labels["org.opencontainers.image.version"], VERSION);
    assert_eq!(labels["org.opencontainers.image.title"], "Catamaran");
    assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0 OR MIT");
    assert!(labels["org.opencontainers.image.description"].is_string());
    assert_eq!(configuration["created"], "1970-01-01T00:00:00Z");
}

#[test]
fn bill_of_materials_points_at_its_image() {
    let folder = folder();
    build(&folder, &["load-balancer", "--output", "image"]);
    let layout = Layout::read(&folder.path().join("image"));
    let [image, bill] = layout.verify().try_into().unwrap();
    assert_eq!(bill["artifactType"], BILL);
    assert_eq!(bill["annotations"][REF_NAME], Value::Null);
    let manifest = layout.json_blob(&bill);
    assert_eq!(manifest["subject"]["digest"], image["digest"]);
    let content = layout.json_blob(&manifest["layers"][0]);
    assert_eq!(content["bomFormat"], "CycloneDX");
    assert_eq!(content["metadata"]["component"]["name"], "catamaran");
    let names = content["components"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|part| part["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"rustls") && names.contains(&"wasmtime"),
        "{names:?}"
    );
    assert!(!names.contains(&"tempfile"), "only tests need it: {names:?}");
}

#[test]
fn archive_has_one_entry_and_the_same_image_as_the_folder() {
    let folder = folder();
    let in_folder = build(&folder, &["load-balancer", "--output", "image"]);
    let in_archive = build(&folder, &["load-balancer", "--output", "image.tar"]);
    assert_eq!(in_folder["images"], in_archive["images"]);
    let layout = Layout::read(&folder.path().join("image.tar"));
    let [image, bill] = layout.verify().try_into().unwrap();
    let [entry] = layout.entries().try_into().unwrap();
    assert_eq!(entry["mediaType"], INDEX);
    let name = format!("localhost/catamaran:{VERSION}");
    assert_eq!(entry["annotations"][REF_NAME], name);
    assert_eq!(platform(&image), OWN);
    assert_eq!(platform(&bill), "unknown/unknown");
    assert_eq!(layout.json("manifest.json")[0]["RepoTags"], json!([name]));
}

#[test]
fn two_platforms_are_one_index() {
    let folder = folder();
    let layout = build_both(&folder, "image");
    let mut platforms: Vec<_> = layout.verify().iter().map(platform).collect();
    platforms.sort();
    platforms.dedup();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "unknown/unknown"]);
    let entries = layout.entries();
    assert_eq!(entries[0]["mediaType"], INDEX);
    let bills: Vec<_> = entries[1..].iter().map(|entry| &entry["artifactType"]).collect();
    assert_eq!(bills, [BILL, BILL]);

    let archive = build_both(&folder, "image.tar");
    archive.verify();
    assert_eq!(archive.entries()[0]["digest"], entries[0]["digest"]);
    assert_eq!(archive.entries().len(), 1);
    assert!(!archive.0.contains_key("manifest.json"), "docker would take one");
}

#[test]
fn same_binary_makes_the_same_bytes_anywhere() {
    for image in ["load-balancer", "plugins", "lab-apiserver"] {
        let (here, there) = (folder(), folder());
        build(&here, &[image, "--output", "image"]);
        build(&here, &[image, "--output", "image.tar"]);
        // Another folder, zone, language, user's mask, and way to name the binary.
        let script =
            r#"umask 077; "$0" image build "$1" --output deep/in/it; "$0" image build "$1" --output x.tar"#;
        let status = Command::new("sh")
            .args(["-euc", script, PROGRAM, image])
            .envs([
                ("TZ", "Asia/Tokyo"),
                ("LANG", "tr_TR.UTF-8"),
                ("SOURCE_DATE_EPOCH", "0"),
            ])
            .stdout(Stdio::null())
            .current_dir(&there)
            .status()
            .unwrap();
        assert!(status.success());
        let first = Layout::read(&here.path().join("image")).0;
        let second = Layout::read(&there.path().join("deep/in/it")).0;
        assert!(first == second, "{image}: {:?} {:?}", first.keys(), second.keys());
        let archive = |folder: &TempDir, name: &str| fs::read(folder.path().join(name)).unwrap();
        assert!(archive(&here, "image.tar") == archive(&there, "x.tar"), "{image}");
    }
}

#[test]
fn binary_names_no_folder_of_the_machine_that_made_it() {
    let text = fs::read(PROGRAM).unwrap();
    let text = String::from_utf8_lossy(&text);
    let clone = env!("CARGO_MANIFEST_DIR");
    let folders = [
        format!("{clone}/src/"),
        format!("{clone}/target/"),
        "/registry/src/".to_owned(),
    ];
    for folder in folders {
        let found = text.find(&folder).map(|at| &text[at..]);
        let found = found.map(|rest| rest.chars().take(120).collect::<String>());
        assert_eq!(found, None, "{folder}");
    }
}

#[test]
fn time_of_the_sources_is_the_time_of_everything() {
    let folder = folder();
    let arguments = [
        "lab-apiserver",
        "--output",
        "image",
        "--source-date-epoch",
        "1000000000",
    ];
    build(&folder, &arguments);
    let layout = Layout::read(&folder.path().join("image"));
    let manifests = layout.verify();
    let manifest = layout.json_blob(&manifests[0]);
    let created = "2001-09-09T01:46:40Z";
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.created"],
        created
    );
    assert_eq!(layout.json_blob(&manifest["config"])["created"], created);
    let layer = gunzipped(layout.blob(&manifest["layers"][0]));
    let mut layer = tar::Archive::new(layer.as_slice());
    for entry in layer.entries().unwrap() {
        assert_eq!(entry.unwrap().header().mtime().unwrap(), 1_000_000_000);
    }
    let bill = layout.json_blob(&layout.json_blob(&manifests[1])["layers"][0]);
    assert_eq!(bill["metadata"]["timestamp"], created);
}

#[test]
fn plugins_are_artifacts_with_names_of_their_own() {
    let folder = folder();
    let arguments = [
        "plugins",
        "--tag",
        "registry.example/checks:1.0",
        "--output",
        "plugins",
    ];
    let told = build(&folder, &arguments);
    let layout = Layout::read(&folder.path().join("plugins"));
    let manifests = layout.verify();
    let (plugins, bills): (Vec<_>, Vec<_>) = manifests
        .iter()
        .partition(|descriptor| descriptor["artifactType"].is_null());
    assert_eq!(plugins.len(), bills.len());
    let standard = catamaran::shell::plugin_store::STANDARD;
    assert_eq!(plugins.len(), standard.len());
    for (index, (name, bytes)) in standard.iter().enumerate() {
        let name = format!("registry.example/checks/{name}:1.0");
        assert_eq!(plugins[index]["annotations"][REF_NAME], name);
        assert_eq!(told["images"][index]["name"], name);
        let manifest = layout.json_blob(plugins[index]);
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.wasm.config.v0+json"
        );
        let [layer] = manifest["layers"].as_array().unwrap().as_slice() else {
            panic!("one layer: {manifest}");
        };
        assert_eq!(layer["mediaType"], "application/wasm");
        assert!(layout.blob(layer) == *bytes, "{name}");
        let config = layout.json_blob(&manifest["config"]);
        assert_eq!(config["layerDigests"], json!([layer["digest"]]));
        assert_eq!(config["component"]["exports"], json!(["check"]));
        let bill = layout.json_blob(bills[index]);
        assert_eq!(bill["subject"]["digest"], plugins[index]["digest"]);
    }
}

#[test]
fn plugins_in_an_archive_are_one_index() {
    let folder = folder();
    build(&folder, &["plugins", "--output", "plugins.tar"]);
    let layout = Layout::read(&folder.path().join("plugins.tar"));
    let [entry] = layout.entries().try_into().unwrap();
    let name = format!("localhost/catamaran-plugins:{VERSION}");
    assert_eq!(entry["annotations"][REF_NAME], name);
    let index = layout.json_blob(&entry);
    let titles = index["manifests"].as_array().unwrap().iter();
    let titles: Vec<_> = titles
        .filter_map(|one| one["annotations"]["org.opencontainers.image.title"].as_str())
        .collect();
    let standard: Vec<_> = catamaran::shell::plugin_store::STANDARD
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(titles, standard);
    layout.verify();
}

#[test]
fn what_cannot_be_built_is_refused_with_a_way_out() {
    let folder = folder();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/mine"), "").unwrap();
    write_elf(&folder.path().join("dynamic"), OTHER.1, Some("/lib/ld.so"));
    fs::write(folder.path().join("script"), "#!/bin/sh\n").unwrap();
    let other = OTHER.0;
    let own_as_other = format!("{other}={PROGRAM}");
    let dynamic = format!("{other}=dynamic");
    let script = format!("{other}=script");
    let absent = format!("{other}=absent");
    let to = ["load-balancer", "--output", "new"];
    let with = |more: &[&'static str]| [&to[..], more].concat();
    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (
            [&to[..], &["--platform", other]].concat(),
            2,
            "and name it with --binary",
        ),
        (
            with(&["--platform", "linux/mips"]),
            2,
            "linux/amd64 and linux/arm64",
        ),
        ([&to[..], &["--binary", &own_as_other]].concat(), 1, ", not for "),
        (
            [&to[..], &["--binary", &dynamic]].concat(),
            1,
            "it wants /lib/ld.so",
        ),
        ([&to[..], &["--binary", &script]].concat(), 1, "ELF file"),
        (
            [&to[..], &["--binary", &absent]].concat(),
            1,
            "cannot read absent: ",
        ),
        (with(&["--binary", "arm64"]), 2, "OS/ARCH=PATH"),
        (
            [&to[..], &["--binary", &dynamic, "--binary", &script]].concat(),
            2,
            "there are two binaries",
        ),
        (with(&["--tag", "catamaran:1"]), 2, "is not a full name such as"),
        (
            with(&["--source-date-epoch", "today"]),
            2,
            "no time in seconds since 1970",
        ),
        (
            vec!["plugins", "--output", "new", "--platform", OWN],
            2,
            "plugins run on every platform",
        ),
        (
            vec!["plugins", "--output", "full"],
            1,
            "full is not empty; name a folder that is",
        ),
        (
            vec!["plugins", "--output", "no/folder.tar"],
            1,
            "cannot write no/folder.tar: ",
        ),
        (vec!["kitchen-sink", "--output", "new"], 2, "lab-apiserver"),
    ];
    for (arguments, expected, words) in cases {
        let (code, out, err) = try_to_build(&folder, &arguments);
        assert_eq!((code, out.as_str()), (Some(expected), ""), "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
        assert!(!folder.path().join("new").exists(), "{arguments:?}");
    }
}

/// Run a tool that has to succeed without complaints; gives what it prints.
fn run(folder: &TempDir, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    assert!(
        !err.to_lowercase().contains("warn"),
        "{program} {arguments:?}: {err}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn skopeo_sees_the_same_image_in_every_form() {
    if !installed(&["skopeo"]) {
        return;
    }
    let folder = folder();
    let told = build(
        &folder,
        &["load-balancer", "--tag", "localhost/lb:1.0", "--output", "image"],
    );
    build(
        &folder,
        &[
            "load-balancer",
            "--tag",
            "localhost/lb:1.0",
            "--output",
            "image.tar",
        ],
    );
    for form in [
        "oci:image:localhost/lb:1.0",
        "oci-archive:image.tar",
        "oci-archive:image.tar:localhost/lb:1.0",
        "docker-archive:image.tar",
    ] {
        let seen: Value = serde_json::from_str(&run(&folder, "skopeo", &["inspect", form])).unwrap();
        assert_eq!(
            format!("linux/{}", seen["Architecture"].as_str().unwrap()),
            OWN,
            "{form}"
        );
        assert_eq!(
            seen["Labels"]["org.opencontainers.image.version"], VERSION,
            "{form}"
        );
        let config = run(&folder, "skopeo", &["inspect", "--config", form]);
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["config"]["User"], "10001:10001", "{form}");
    }
    let seen = run(&folder, "skopeo", &["inspect", "oci:image:localhost/lb:1.0"]);
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], told["images"][0]["digest"]);
}

#[test]
fn skopeo_copies_between_layouts_and_archives_without_a_change() {
    if !installed(&["skopeo"]) {
        return;
    }
    let folder = folder();
    let told = build(
        &folder,
        &["load-balancer", "--tag", "localhost/lb:1.0", "--output", "image"],
    );
    build(
        &folder,
        &[
            "load-balancer",
            "--tag",
            "localhost/lb:1.0",
            "--output",
            "image.tar",
        ],
    );
    for (from, to) in [
        ("oci-archive:image.tar", "oci:from-archive:localhost/lb:1.0"),
        (
            "oci:image:localhost/lb:1.0",
            "oci-archive:from-folder.tar:localhost/lb:1.0",
        ),
        ("oci-archive:from-folder.tar", "oci:back:localhost/lb:1.0"),
    ] {
        run(
            &folder,
            "skopeo",
            &[
                "copy",
                "--quiet",
                "--insecure-policy",
                "--preserve-digests",
                from,
                to,
            ],
        );
    }
    for copy in ["from-archive", "back"] {
        let layout = Layout::read(&folder.path().join(copy));
        let [entry] = layout.entries().try_into().unwrap();
        assert_eq!(entry["mediaType"], MANIFEST);
        assert_eq!(entry["digest"], told["images"][0]["digest"], "{copy}");
    }
}

/// Old ones write indexes anew, so only what is in it can be compared.
#[test]
fn skopeo_copies_all_platforms_with_their_bills() {
    if !installed(&["skopeo"]) {
        return;
    }
    let folder = folder();
    let layout = build_both(&folder, "image.tar");
    let options = ["copy", "--quiet", "--insecure-policy", "--all"];
    let copy = ["oci-archive:image.tar", "oci:copy:localhost/lb:1.0"];
    run(&folder, "skopeo", &[&options[..], &copy].concat());
    let copy = Layout::read(&folder.path().join("copy"));
    let listed = |layout: &Layout| -> Vec<Value> {
        let index = layout.json_blob(&layout.entries()[0]);
        let manifests = index["manifests"].as_array().unwrap().iter();
        manifests.map(|one| one["digest"].clone()).collect()
    };
    assert_eq!(listed(&copy), listed(&layout));
    assert_eq!(listed(&copy).len(), 4);
}

#[test]
fn umoci_unpacks_the_executable_itself() {
    if !installed(&["umoci"]) {
        return;
    }
    let folder = folder();
    build(
        &folder,
        &["load-balancer", "--tag", "localhost/lb:1.0", "--output", "image"],
    );
    let image = ["--image", "image:localhost/lb:1.0"];
    run(
        &folder,
        "umoci",
        &[&["unpack", "--rootless"], &image[..], &["bundle"]].concat(),
    );
    let root = folder.path().join("bundle/rootfs");
    let program = fs::read(root.join("catamaran")).unwrap();
    assert!(program == fs::read(PROGRAM).unwrap(), "the binary is another");
    assert!(root.join("etc/catamaran").is_dir());
    let told = Command::new(root.join("catamaran"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        format!("catamaran {VERSION}\n")
    );
    let config = fs::read(folder.path().join("bundle/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["process"]["args"], json!(["/catamaran", "run"]));
    assert_eq!(config["process"]["user"]["uid"], 10001);
}

/// The stand-in as its container starts it: no certificate, nobody at its
/// standard input. Under `timeout`, which passes the signal on.
#[test]
fn stand_in_alone_makes_its_certificate_and_stays() {
    // A loopback address that no other process of these tests has.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = format!("{}:6443", Ipv4Addr::new(127, 128 | high, middle, low));
    let mut child = Command::new("timeout")
        .args(["--kill-after=5s", "60s", PROGRAM])
        .args(["lab-inside", "stand-in", "--alone", "--listen", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "listening\n");
    let probe = [
        "probe",
        "--plugin",
        "apiserver-healthz",
        "--insecure",
        "--endpoint",
        &address,
    ];
    let probed = Command::new(PROGRAM).args(probe).output().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!(probed.status.code(), Some(0), "{probed:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
