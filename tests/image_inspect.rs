//! `image inspect`: what an image is made of, and every fault in it.

#[path = "support/layout.rs"]
mod layout;

use std::fs;
use std::path::Path;
use std::process::Command;

use layout::{CONFIG, INDEX, LAYER, Layout, MANIFEST, digest, digest_of, gzip, tar};
use serde_json::{Value, json};

/// Exit code, standard output, standard error.
fn inspect(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["image", "inspect"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn source(folder: &Path) -> String {
    format!("oci:{}", folder.display())
}

/// What is said of a layout that is not whole: where and what.
fn faults(folder: &Path) -> Vec<(String, String)> {
    let (code, out, err) = inspect(&[&source(folder), "--json"]);
    assert_eq!(code, Some(1), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["good"], false);
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let faults = report["faults"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| (text(&fault["at"]), text(&fault["what"])))
        .collect()
}

/// A layout with an image of this configuration and these layers.
fn with(folder: &Path, config: &Value, layers: &[Value]) -> Value {
    let mut layout = Layout::new(folder);
    let image = layout.image_of(config, layers);
    layout.list(&image, None);
    image
}

#[test]
fn whole_image_is_shown_with_platforms_layers_and_referrers() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, index) = Layout::founding(folder.path());
    let (code, out, err) = inspect(&[&source(folder.path()), "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["digest"], index["digest"]);
    assert_eq!(report["good"], true);
    let [amd64, arm64] = &report["manifests"].as_array().unwrap()[..] else {
        panic!("{out}");
    };
    assert_eq!(
        (&amd64["platform"], &arm64["platform"]),
        (&json!("linux/amd64"), &json!("linux/arm64"))
    );
    assert_eq!(amd64["entrypoint"], json!(["/catamaran"]));
    assert_eq!(amd64["command"], json!(["run"]));
    assert_eq!(amd64["user"], "10001:10001");
    assert_eq!(
        amd64["labels"],
        json!({"org.opencontainers.image.title": "catamaran"})
    );
    let manifest = layout.parsed(&layout.parsed(&index)["manifests"][0]);
    assert_eq!(amd64["layers"][0]["digest"], manifest["layers"][0]["digest"]);
    assert_eq!(
        amd64["layers"][0]["compressed-size"],
        manifest["layers"][0]["size"]
    );
    // One file of 1000 bytes: a header, its content, the two blocks at the end.
    assert_eq!(amd64["layers"][0]["uncompressed-size"], 512 + 1024 + 1024);
    assert_eq!(report["referrers"][0]["artifact-type"], "application/spdx+json");
    assert_eq!(report["referrers"][0]["subject"], index["digest"]);
    let (code, out, _) = inspect(&[&source(folder.path())]);
    assert_eq!(code, Some(0));
    for part in [
        "linux/arm64",
        "user        10001:10001",
        digest_of(&index),
        "referrer of",
        "are right",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
}

#[test]
fn archive_is_read_as_the_folder_is() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, _) = Layout::founding(&folder.path().join("layout"));
    let archive = folder.path().join("image.tar");
    layout.archive(&archive);
    let without_source = |source: &str| {
        let (code, out, err) = inspect(&[source, "--json"]);
        assert_eq!(code, Some(0), "{out}{err}");
        let mut report: Value = serde_json::from_str(&out).unwrap();
        report["source"].take();
        report
    };
    let archive = format!("oci-archive:{}", archive.display());
    assert_eq!(without_source(&archive), without_source(&source(&layout.folder)));
}

#[test]
fn each_fault_is_named_with_its_place_and_does_not_hide_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, index) = Layout::founding(folder.path());
    let images = layout.parsed(&index)["manifests"].clone();
    let [amd64, arm64] = [0, 1].map(|image| layout.parsed(&images[image]));
    // The same size, another content.
    let mut layer = layout.bytes(&amd64["layers"][0]);
    layer[9] ^= 1;
    fs::write(layout.path(digest_of(&amd64["layers"][0])), &layer).unwrap();
    fs::remove_file(layout.path(digest_of(&arm64["config"]))).unwrap();
    let mut arm_layer = layout.bytes(&arm64["layers"][0]);
    arm_layer.pop();
    fs::write(layout.path(digest_of(&arm64["layers"][0])), &arm_layer).unwrap();
    let of = |image: &Value, part: &str| format!("manifest {}, {part}", digest_of(image));
    let found = faults(folder.path());
    let size = arm_layer.len();
    let arm_config = format!("configuration {}", digest_of(&arm64["config"]));
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[0],
        (
            of(&images[0], "layer 1"),
            format!("its digest is {}", digest(&layer))
        )
    );
    assert_eq!(found[1].0, of(&images[1], &arm_config));
    assert!(found[1].1.contains("No such file"), "{found:?}");
    assert_eq!(found[2].0, of(&images[1], "layer 1"));
    assert_eq!(found[2].1, format!("it has {size} of {} bytes", size + 1));
}

#[test]
fn wrong_diff_ids_are_found() {
    let content = tar(&[("a", b"b")]);
    let config = |diff_ids: &[String]| json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let folder = tempfile::tempdir().unwrap();
    let layer = Layout::new(folder.path()).blob(LAYER, &gzip(&content));
    with(
        folder.path(),
        &config(&[digest(b"")]),
        std::slice::from_ref(&layer),
    );
    let found = faults(folder.path());
    let expected = format!(
        "its diff_id is {}, the configuration says {}",
        digest(&content),
        digest(b"")
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, expected);
    with(folder.path(), &config(&[digest(&content), digest(b"")]), &[layer]);
    assert_eq!(
        faults(folder.path())[0].1,
        "it has 2 diff_ids and the manifest has 1 layers"
    );
}

#[test]
fn layer_that_is_not_what_its_type_says_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let plain = tar(&[("a", b"b")]);
    let layer = Layout::new(folder.path()).blob(LAYER, &plain);
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(&plain)]}});
    with(folder.path(), &config, &[layer]);
    let found = faults(folder.path());
    assert!(
        found[0].0.ends_with("layer 1") && found[0].1.contains("gzip"),
        "{found:?}"
    );
}

#[test]
fn list_that_says_something_else_than_the_image_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let mut image = layout.image("amd64");
    image["platform"]["architecture"] = json!("arm64");
    let document = json!({"schemaVersion": 2, "mediaType": MANIFEST, "manifests": [image]});
    let index = layout.document(INDEX, &document);
    layout.list(&index, None);
    let found = faults(folder.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0].1,
        format!("it is listed as {INDEX} and says that it is {MANIFEST}")
    );
    assert_eq!(found[1].1, "it is for linux/amd64, and listed as linux/arm64");
}

#[test]
fn descriptor_with_a_wrong_size_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let mut image = layout.image("amd64");
    let size = image["size"].as_u64().unwrap();
    image["size"] = json!(size - 1);
    layout.list(&image, None);
    let at = format!("manifest {}", digest_of(&image));
    assert_eq!(
        faults(folder.path()),
        [(at, format!("it is larger than {} bytes", size - 1))]
    );
}

#[test]
fn one_of_several_images_is_chosen_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let images = ["amd64", "arm64"].map(|architecture| layout.image(architecture));
    layout.list(&images[0], Some("one"));
    layout.list(&images[1], Some("two"));
    let source = source(folder.path());
    let (code, out, _) = inspect(&[&format!("{source}:two"), "--json"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains(digest_of(&images[1])) && !out.contains(digest_of(&images[0])),
        "{out}"
    );
    let (code, _, err) = inspect(&[&source]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("could be one of several, say which behind a colon: one, two"),
        "{err}"
    );
    let (code, _, err) = inspect(&[&format!("{source}:three")]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no such image; there are: one, two"), "{err}");
}

#[test]
fn referrers_are_found_in_nested_indexes_and_at_second_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let image = layout.image("amd64");
    layout.list(&image, Some("one"));
    let sbom = layout.sbom(&image);
    let signature = layout.sbom(&sbom);
    let stranger = layout.sbom(&layout.image("arm64"));
    let listed = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [signature, sbom, stranger]});
    let list = layout.document(INDEX, &listed);
    layout.list(&list, Some(&digest_of(&image).replace(':', "-")));
    let (code, out, err) = inspect(&[&format!("{}:one", source(folder.path())), "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let subjects: Vec<_> = report["referrers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["subject"])
        .collect();
    assert_eq!(subjects, [&image["digest"], &sbom["digest"]]);
}

#[test]
fn artifact_is_shown_with_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": layout.blob("application/vnd.wasm.config.v0+json", b"{}"),
        "layers": [layout.blob("application/wasm", b"\0asm")],
    });
    let artifact = layout.document(MANIFEST, &manifest);
    layout.list(&artifact, None);
    let (code, out, err) = inspect(&[&source(folder.path()), "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        report["manifests"][0]["artifact-type"],
        "application/vnd.wasm.config.v0+json"
    );
    assert_eq!(report["manifests"][0]["layers"][0]["uncompressed-size"], 4);
}

#[test]
fn what_is_no_layout_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let shown = path.display();
    let archive = format!("oci-archive:{shown}");
    let refused = |source: &str| {
        let (code, out, err) = inspect(&[source]);
        assert_eq!(
            (code, out.as_str(), err.lines().count()),
            (Some(1), "", 1),
            "{err}"
        );
        err
    };
    let err = refused(&source(folder.path()));
    assert!(
        err.contains("is not an OCI layout: oci-layout: No such file"),
        "{err}"
    );
    assert!(refused(&archive).contains("cannot read"));
    fs::write(&path, gzip(&tar(&[("oci-layout", b"{}")]))).unwrap();
    assert!(refused(&archive).contains("not compressed"));
    fs::write(&path, tar(&[("manifest.json", b"[]")])).unwrap();
    assert!(refused(&archive).contains("is not an OCI layout"));
    fs::write(
        &path,
        tar(&[("oci-layout", b"{\"imageLayoutVersion\": \"2.0.0\"}")]),
    )
    .unwrap();
    assert!(refused(&archive).contains("of version \"2.0.0\""));
    let (code, _, err) = inspect(&["docker-archive:x"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("write oci:DIR[:TAG]"), "{err}");
}

#[test]
fn digest_cannot_lead_out_of_the_layout() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    layout.list(
        &json!({"mediaType": MANIFEST, "digest": "sha256:../../oci-layout", "size": 1}),
        None,
    );
    let (code, _, err) = inspect(&[&source(folder.path())]);
    assert_eq!(code, Some(1));
    assert!(err.contains("index.json"), "{err}");
    let mut layout = Layout::new(folder.path());
    layout.list(
        &json!({"mediaType": CONFIG, "digest": "md5:abc", "size": 1}),
        None,
    );
    assert!(faults(folder.path())[0].1.contains("md5"));
}
