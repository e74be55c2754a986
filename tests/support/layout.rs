//! Small OCI layouts, made by hand.

#![allow(dead_code)] // Each test file uses its own part.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A layout that is being written.
pub struct Layout {
    pub folder: PathBuf,
    /// Of `index.json`.
    entries: Vec<Value>,
}

impl Layout {
    /// One without images.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        let layout = Self {
            folder: folder.into(),
            entries: Vec::new(),
        };
        layout.save();
        layout
    }

    /// An index of two platforms named `localhost/lb:1.0`, and an SBOM that
    /// refers to it.
    pub fn founding(folder: &Path) -> (Self, Value) {
        let mut layout = Self::new(folder);
        let platforms = ["amd64", "arm64"].map(|architecture| layout.image(architecture));
        let index = layout.document(
            INDEX,
            &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms}),
        );
        layout.list(&index, Some("localhost/lb:1.0"));
        let sbom = layout.sbom(&index);
        layout.list(&sbom, None);
        (layout, index)
    }

    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.path(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    pub fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// An image of one file for an architecture.
    pub fn image(&self, architecture: &str) -> Value {
        let content = format!("for {architecture} ").repeat(100);
        let tar = tar(&[("catamaran", content.as_bytes())]);
        let layer = self.blob(LAYER, &gzip(&tar));
        let config = json!({
            "architecture": architecture, "os": "linux",
            "config": {
                "Entrypoint": ["/catamaran"], "Cmd": ["run"], "User": "10001:10001",
                "Labels": {"org.opencontainers.image.title": "catamaran"},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        });
        self.image_of(&config, &[layer])
    }

    pub fn image_of(&self, config: &Value, layers: &[Value]) -> Value {
        let mut image = self.document(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": self.document(CONFIG, config), "layers": layers,
            }),
        );
        image["platform"] = json!({"architecture": config["architecture"], "os": config["os"]});
        image
    }

    /// An artifact that refers to an image.
    pub fn sbom(&self, subject: &Value) -> Value {
        self.document(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "artifactType": "application/spdx+json",
                "config": self.blob("application/vnd.oci.empty.v1+json", b"{}"),
                "layers": [self.blob("application/spdx+json", b"{\"spdxVersion\": \"SPDX-2.3\"}")],
                "subject": subject,
                "annotations": {"org.opencontainers.image.title": "the SBOM"},
            }),
        )
    }

    /// Put an entry into `index.json`.
    pub fn list(&mut self, descriptor: &Value, name: Option<&str>) {
        let mut entry = descriptor.clone();
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.entries.push(entry);
        self.save();
    }

    /// A tar of it.
    pub fn archive(&self, path: &Path) {
        let mut archive = tar::Builder::new(fs::File::create(path).unwrap());
        archive.append_dir_all(".", &self.folder).unwrap();
        archive.finish().unwrap();
    }

    /// Where a blob is.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest.replace(':', "/"))
    }

    pub fn bytes(&self, descriptor: &Value) -> Vec<u8> {
        fs::read(self.path(digest_of(descriptor))).unwrap()
    }

    pub fn parsed(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.bytes(descriptor)).unwrap()
    }

    fn save(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.entries});
        fs::write(self.folder.join("index.json"), index.to_string()).unwrap();
    }
}

pub fn digest_of(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
