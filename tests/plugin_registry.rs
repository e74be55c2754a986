//! Plugins into registries and layouts and out of them: Debian's
//! docker-registry, and scripted ones for what it does not do; and out of them
//! for documents that pin them.

#[path = "support/caller.rs"]
mod caller;
#[path = "support/docker_registry.rs"]
mod docker_registry;
#[path = "plugin_registry/documents.rs"]
mod documents;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/fake_registry.rs"]
mod fake_registry;
#[path = "support/installed.rs"]
mod installed;

use std::fs;
use std::path::Path;
use std::process::Command;

use caller::{Told, catamaran, told};
use catamaran::pure::digest::sha256;
use catamaran::shell::plugin_store::standard;
use docker_registry::{DockerRegistry, in_folder};
use enclosed::{enclosed, settle};
use fake_registry::{FakeRegistry, Reply};
use installed::installed;
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const COMPONENT: &str = "application/wasm";

/// `plugin …` in a folder which is also the home of who calls it.
fn plugin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = catamaran(folder);
    command.arg("plugin").args(arguments).current_dir(folder);
    command
}

fn call(folder: &Path, arguments: &[&str]) -> Told {
    told(plugin(folder, arguments).output().unwrap())
}

fn tcp() -> &'static [u8] {
    standard("tcp").unwrap()
}

/// What a document calls a file with the component of `tcp`.
fn pinned_file(file: &Path) -> String {
    let file = file.canonicalize().unwrap();
    format!("file:{}@{}", file.display(), sha256(tcp()))
}

#[test]
fn pushed_plugin_is_pulled_by_tag_and_by_what_pins_it() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let folder = in_folder("");
        fs::write(folder.join("tcp.wasm"), tcp()).unwrap();
        let name = format!("{}/checks/tcp", registry.address);
        let tagged = format!("{name}:1.0");
        let (code, line, err) = call(&folder, &["push", "tcp.wasm", &tagged, "--plain-http"]);
        assert_eq!(code, Some(0), "{err}");
        let pinned = line.trim_end();
        assert!(pinned.starts_with(&format!("{name}@sha256:")), "{line}");

        // Under its own name it is not overwritten, and it is the same.
        for source in [&tagged, pinned] {
            let (code, out, err) = call(&folder, &["pull", source, "--plain-http"]);
            assert_eq!(code, Some(0), "{err}");
            let file = pinned_file(&folder.join("tcp.wasm"));
            assert!(out.starts_with("tcp.wasm: "), "{out}");
            let plugins = format!("\nplugin = \"{file}\"\nplugin = \"oci:{pinned}\"\n");
            assert!(out.ends_with(&plugins), "{out}");
        }
        let pull = ["pull", pinned, "--plain-http", "--output", "other.wasm", "--json"];
        let (code, out, err) = call(&folder, &pull);
        assert_eq!(code, Some(0), "{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        let plugins = json!([pinned_file(&folder.join("other.wasm")), format!("oci:{pinned}")]);
        assert_eq!(report["plugins"], plugins);
        assert_eq!(fs::read(folder.join("other.wasm")).unwrap(), tcp());

        let again = ["push", "tcp.wasm", &tagged, "--plain-http", "--json"];
        let report: Value = serde_json::from_str(&call(&folder, &again).1).unwrap();
        assert_eq!(
            (&report["pinned"], &report["blobs-sent"]),
            (&json!(pinned), &json!(0))
        );
    });
}

#[test]
fn layout_holds_the_artifact_that_a_registry_gets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("tcp.wasm"), tcp()).unwrap();
    let (code, out, err) = call(folder, &["push", "tcp.wasm", "oci:one:localhost/tcp:1"]);
    assert_eq!(code, Some(0), "{err}");
    let digest = out.trim_end().strip_prefix("oci:one:localhost/tcp:1: ").unwrap();
    let (code, unnamed, err) = call(folder, &["push", "tcp.wasm", "oci:two"]);
    assert_eq!(
        (code, unnamed),
        (Some(0), format!("oci:two: {digest}\n")),
        "{err}"
    );

    let manifest = digest.strip_prefix("sha256:").unwrap();
    let manifest = fs::read(folder.join("one/blobs/sha256").join(manifest)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.wasm.config.v0+json"
    );
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], COMPONENT);

    for (source, file) in [("oci:one:localhost/tcp:1", "one.wasm"), ("oci:two", "two.wasm")] {
        let (code, out, err) = call(folder, &["pull", source]);
        let pinned = pinned_file(&folder.join(file));
        let said = format!("{file}: {} bytes, {digest}\nplugin = \"{pinned}\"\n", tcp().len());
        assert_eq!((code, out), (Some(0), said), "{err}");
        assert_eq!(fs::read(folder.join(file)).unwrap(), tcp());
    }

    let (code, _, err) = call(folder, &["push", "tcp.wasm", "oci:two"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("two is not empty"), "{err}");
    fs::write(folder.join("two.wasm"), "mine").unwrap();
    let (code, _, err) = call(folder, &["pull", "oci:two"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("two.wasm is there and is another one; say --output FILE"),
        "{err}"
    );
    assert_eq!(fs::read(folder.join("two.wasm")).unwrap(), b"mine");
}

#[test]
fn component_that_was_tampered_with_is_not_pulled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("tcp.wasm"), tcp()).unwrap();
    assert_eq!(call(folder, &["push", "tcp.wasm", "oci:one"]).0, Some(0));
    let blob = folder.join("one/blobs/sha256").join(sha256(tcp()).digest());
    let mut bytes = tcp().to_vec();
    bytes[100] ^= 1;
    fs::write(blob, &bytes).unwrap();
    let (code, _, err) = call(folder, &["pull", "oci:one"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("its digest is {}", sha256(&bytes))),
        "{err}"
    );
    assert!(!folder.join("one.wasm").exists());
}

#[test]
fn what_no_host_would_load_is_not_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (bytes, why) in [
        (&b"no"[..], "not WebAssembly"),
        (&tcp()[..1000], "cannot compile the plugin"),
        (b"\0asm\x0d\0\x01\0", "not a check plugin"),
    ] {
        fs::write(folder.join("x.wasm"), bytes).unwrap();
        let (code, _, err) = call(folder, &["push", "x.wasm", "oci:out"]);
        assert_eq!(code, Some(1));
        assert!(err.starts_with("error: x.wasm: ") && err.contains(why), "{err}");
        assert!(!folder.join("out").exists());
    }
}

/// What a scripted registry has.
#[derive(Clone)]
struct Shelf {
    media_type: &'static str,
    manifest: String,
    /// Status and body of every blob.
    blob: (u16, Vec<u8>),
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes).to_string(), "size": bytes.len()})
}

fn manifest(layers: &[Value]) -> String {
    // As oras writes them: nothing of wasm in the configuration.
    let config = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string()
}

fn good() -> Shelf {
    Shelf {
        media_type: MANIFEST,
        manifest: manifest(&[descriptor(COMPONENT, tcp())]),
        blob: (200, tcp().to_vec()),
    }
}

/// Pull `a:1`, or what `digest` says, beside a registry that has `shelf`.
async fn pull(shelf: Shelf, digest: Option<&str>) -> Told {
    let registry = FakeRegistry::start(move |asked, _| match asked.target.contains("/blobs/") {
        true => Reply::new(shelf.blob.0).body(shelf.blob.1.clone()),
        false => Reply::new(200)
            .header("content-type", shelf.media_type)
            .body(shelf.manifest.clone()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let suffix = digest.map_or(":1".to_string(), |digest| format!("@{digest}"));
    let source = format!("{}/a{suffix}", registry.address);
    let command = plugin(folder.path(), &["pull", &source, "--plain-http"]);
    let told = told(tokio::process::Command::from(command).output().await.unwrap());
    assert_eq!(folder.path().join("a.wasm").exists(), told.0 == Some(0));
    told
}

#[tokio::test]
async fn artifact_of_another_tool_is_pulled() {
    let digest = sha256(good().manifest.as_bytes()).to_string();
    for asked in [None, Some(&*digest)] {
        let (code, out, err) = pull(good(), asked).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(&digest), "{out}");
    }
}

#[tokio::test]
async fn whatever_is_not_the_plugin_is_refused_with_what_it_is() {
    let component = || descriptor(COMPONENT, tcp());
    let layers = |layers: &[Value]| Shelf {
        manifest: manifest(layers),
        ..good()
    };
    let blob = |status, bytes: &[u8]| Shelf {
        blob: (status, bytes.to_vec()),
        ..good()
    };
    let mut other = tcp().to_vec();
    other[100] ^= 1;
    let mut large = component();
    large["size"] = json!((64u64 << 20) + 1);
    let index = Shelf {
        media_type: INDEX,
        manifest: json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string(),
        ..good()
    };
    let tar = descriptor("application/vnd.oci.image.layer.v1.tar", tcp());
    for (shelf, why) in [
        (index, "it is an index of several artifacts"),
        (layers(&[]), "it has 0 layers"),
        (layers(&[component(), component()]), "it has 2 layers"),
        (layers(&[tar]), "not application/wasm"),
        (layers(&[large]), "more than 64 MiB"),
        (blob(200, &other), "its digest is"),
        (blob(200, &tcp()[1..]), "bytes"),
        (blob(404, b""), "404 Not Found"),
        (blob(500, b""), "500 Internal Server Error"),
        (blob(401, b""), "401 Unauthorized"),
    ] {
        let (code, _, err) = pull(shelf, None).await;
        assert_eq!(code, Some(1), "{why}");
        assert!(err.contains(why), "{err}");
    }
    let wrong = sha256(b"wrong").to_string();
    let (code, _, err) = pull(good(), Some(&wrong)).await;
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("not {wrong}")), "{err}");
}
