//! Reads OCI image layouts and holds them against the specification, with
//! nothing of the code that wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The files of a layout by relative path.
pub struct Layout(pub BTreeMap<String, Vec<u8>>);

impl Layout {
    /// Read a folder or an archive.
    pub fn read(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        if path.is_dir() {
            collect(path, path, &mut files);
        } else {
            let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.header().entry_type().is_file() {
                    let name = entry.path().unwrap().to_str().unwrap().to_string();
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    assert!(files.insert(name, bytes).is_none(), "a file is there twice");
                }
            }
        }
        Self(files)
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.0[path]).unwrap()
    }

    /// What `index.json` lists.
    pub fn entries(&self) -> Vec<Value> {
        list(&self.json("index.json"), "manifests")
    }

    /// The bytes a descriptor means, if its digest and size are theirs.
    pub fn blob(&self, descriptor: &Value) -> &[u8] {
        let bytes = &self.0[&path_of(descriptor)];
        assert_eq!(descriptor["size"], bytes.len(), "{descriptor}");
        assert_eq!(descriptor["digest"], digest(bytes), "{descriptor}");
        bytes
    }

    pub fn json_blob(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(self.blob(descriptor)).unwrap()
    }

    /// Hold everything that `index.json` leads to against the specification.
    /// Gives the descriptors of all manifests, without repetitions.
    pub fn verify(&self) -> Vec<Value> {
        assert_eq!(self.json("oci-layout")["imageLayoutVersion"], "1.0.0");
        let mut walk = Walk {
            layout: self,
            seen: BTreeSet::new(),
            manifests: Vec::new(),
        };
        let index = self.json("index.json");
        walk.index(&index);
        let Walk {
            mut seen, manifests, ..
        } = walk;
        seen.extend(["index.json", "oci-layout"].map(str::to_owned));
        if self.0.contains_key("manifest.json") {
            self.verify_for_docker();
            seen.insert("manifest.json".into());
        }
        let there: BTreeSet<_> = self.0.keys().cloned().collect();
        assert_eq!(there, seen, "what is there, and what something leads to");
        manifests
    }

    fn verify_for_docker(&self) {
        let list = self.json("manifest.json");
        let [image] = list.as_array().unwrap().as_slice() else {
            panic!("one image: {list}");
        };
        let config = self.json(image["Config"].as_str().unwrap());
        let layers = image["Layers"].as_array().unwrap();
        let layers = layers.iter().map(|path| &self.0[path.as_str().unwrap()]);
        let diff_ids: Vec<_> = layers.map(|layer| digest(&gunzipped(layer))).collect();
        assert_eq!(config["rootfs"]["diff_ids"], Value::from(diff_ids));
        assert!(image["RepoTags"][0].is_string(), "{image}");
    }
}

struct Walk<'a> {
    layout: &'a Layout,
    /// Paths.
    seen: BTreeSet<String>,
    manifests: Vec<Value>,
}

impl Walk<'_> {
    fn index(&mut self, index: &Value) {
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["mediaType"], INDEX);
        for descriptor in list(index, "manifests") {
            let first_time = self.seen.insert(path_of(&descriptor));
            let content = self.layout.json_blob(&descriptor);
            match descriptor["mediaType"].as_str().unwrap() {
                INDEX => self.index(&content),
                MANIFEST => {
                    self.manifest(&descriptor, &content);
                    if first_time {
                        self.manifests.push(descriptor);
                    }
                }
                other => panic!("an index lists {other}"),
            }
        }
    }

    fn manifest(&mut self, descriptor: &Value, manifest: &Value) {
        assert_eq!(manifest["schemaVersion"], 2);
        assert_eq!(manifest["mediaType"], MANIFEST);
        assert_eq!(descriptor["artifactType"], manifest["artifactType"]);
        let layers = list(manifest, "layers");
        for blob in layers.iter().chain([&manifest["config"]]) {
            self.layout.blob(blob);
            self.seen.insert(path_of(blob));
        }
        if manifest["subject"].is_object() {
            self.layout.blob(&manifest["subject"]);
        }
        if manifest["config"]["mediaType"] == CONFIG {
            let config = self.layout.json_blob(&manifest["config"]);
            for key in ["os", "architecture"] {
                assert_eq!(config[key], descriptor["platform"][key]);
            }
            assert!(layers.iter().all(|layer| layer["mediaType"] == LAYER));
            let layers = layers.iter().map(|layer| gunzipped(self.layout.blob(layer)));
            let diff_ids: Vec<_> = layers.map(|layer| digest(&layer)).collect();
            assert_eq!(config["rootfs"]["diff_ids"], Value::from(diff_ids));
        }
    }
}

pub fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}

fn path_of(descriptor: &Value) -> String {
    let (algorithm, hex) = descriptor["digest"].as_str().unwrap().split_once(':').unwrap();
    format!("blobs/{algorithm}/{hex}")
}

fn list(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().unwrap().clone()
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}
