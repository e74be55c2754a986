//! An OCI image layout before it is written: blobs by digest, and the index
//! that names the first of them.
//!
//! Every JSON in it has its keys in alphabetical order: oci-spec keeps labels
//! and annotations in hash maps, whose order changes from run to run.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndex, MediaType, OciLayoutBuilder, Sha256Digest,
};
use oci_spec::{OciSpecError, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::name::Name;

/// What the files of a layout hold.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// By relative path.
    files: BTreeMap<String, Vec<u8>>,
    /// What `index.json` is going to list.
    entries: Vec<Descriptor>,
}

/// An image or artifact that was added to a layout, by its descriptors.
pub(super) struct Added {
    pub config: Descriptor,
    pub layer: Descriptor,
    pub manifest: Descriptor,
}

impl Added {
    /// What a registry has to send for it.
    pub fn bytes(&self) -> u64 {
        self.config.size() + self.layer.size() + self.manifest.size()
    }
}

impl Layout {
    /// Add a blob; one that is there already is not there twice.
    pub(super) fn blob(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let digest = sha256(&bytes);
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest.parse::<Sha256Digest>()?);
        self.files.insert(blob_path(&digest), bytes);
        Ok(descriptor)
    }

    /// Add a blob of JSON.
    pub(super) fn json(&mut self, media_type: MediaType, value: &impl Serialize) -> Result<Descriptor> {
        let bytes = canonical(value)?;
        self.blob(media_type, bytes)
    }

    /// Add an index.
    pub(super) fn index(
        &mut self,
        manifests: Vec<Descriptor>,
        annotations: HashMap<String, String>,
    ) -> Result<Descriptor> {
        let mut index = index(manifests);
        index.set_annotations(Some(annotations));
        self.json(MediaType::ImageIndex, &index)
    }

    /// List something in `index.json` without a name.
    pub(super) fn list(&mut self, descriptor: Descriptor) {
        self.entries.push(descriptor);
    }

    /// List something in `index.json` by a name.
    pub(super) fn name(&mut self, name: &impl Display, mut descriptor: Descriptor) {
        let mut annotations = descriptor.annotations().clone().unwrap_or_default();
        annotations.insert(ANNOTATION_REF_NAME.into(), name.to_string());
        descriptor.set_annotations(Some(annotations));
        self.list(descriptor);
    }

    /// Add what docker's own archives have beside: then one archive can be
    /// loaded by everybody. For one image with one layer.
    pub(super) fn name_for_docker(&mut self, name: &Name, image: &Added) -> Result<()> {
        let list = serde_json::json!([{
            "Config": blob_path(image.config.digest().digest()),
            "RepoTags": [name.to_string()],
            "Layers": [blob_path(image.layer.digest().digest())],
        }]);
        self.files.insert("manifest.json".into(), canonical(&list)?);
        Ok(())
    }

    /// The files by relative path, in the order in which they are to be
    /// written: `index.json` only when all that it leads to is there.
    pub(super) fn finish(mut self) -> Result<BTreeMap<String, Vec<u8>>> {
        let version = OciLayoutBuilder::default()
            .image_layout_version("1.0.0")
            .build()?;
        self.files.insert("oci-layout".into(), canonical(&version)?);
        self.files
            .insert("index.json".into(), canonical(&index(self.entries))?);
        Ok(self.files)
    }
}

/// Hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn blob_path(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

fn index(manifests: Vec<Descriptor>) -> ImageIndex {
    let mut index = ImageIndex::default();
    index.set_media_type(Some(MediaType::ImageIndex));
    index.set_manifests(manifests);
    index
}

fn canonical(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value).map_err(OciSpecError::SerDe)?;
    value.sort_all_objects();
    serde_json::to_vec(&value).map_err(OciSpecError::SerDe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_its_keys_in_order_at_every_depth() {
        let many: HashMap<_, _> = (0..20).map(|number| (format!("k{number:02}"), number)).collect();
        let text = String::from_utf8(canonical(&[many]).unwrap()).unwrap();
        let expected: Vec<_> = (0..20)
            .map(|number| format!("\"k{number:02}\":{number}"))
            .collect();
        assert_eq!(text, format!("[{{{}}}]", expected.join(",")));
    }

    #[test]
    fn index_comes_after_the_blobs_it_leads_to() {
        let mut layout = Layout::default();
        let blob = layout.blob(MediaType::EmptyJSON, b"{}".to_vec()).unwrap();
        assert_eq!((blob.size(), layout.files.len()), (2, 1));
        layout.name(&"localhost/a:1", blob);
        let files = layout.finish().unwrap();
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "blobs/sha256/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "index.json",
                "oci-layout"
            ]
        );
        assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    }
}
