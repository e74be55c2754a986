//! The list of those that refer to an image, where the registry keeps none:
//! the "referrers tag schema" of the OCI distribution specification.
//!
//! The list is an image index under a tag made from the image's digest; each
//! client that pushes a referrer adds it.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest, MediaType};
use serde_json::{Value, json};

/// The tag under which the list is.
pub fn fallback_tag(subject: &Digest) -> String {
    let fit = |text: &str, most: usize| {
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || "._".contains(c) {
                c
            } else {
                '-'
            }
        };
        text.chars().map(allowed).take(most).collect::<String>()
    };
    format!(
        "{}-{}",
        fit(subject.algorithm().as_ref(), 32),
        fit(subject.digest(), 64)
    )
}

/// How the list describes a referrer that is an image manifest. The kind of an
/// artifact that names none is the kind of its configuration.
pub fn of_manifest(manifest: &ImageManifest, listed: &Descriptor) -> Value {
    let kind = manifest
        .artifact_type()
        .as_ref()
        .unwrap_or(manifest.config().media_type());
    described(listed, Some(kind), manifest.annotations().as_ref())
}

/// How the list describes a referrer that is an image index.
pub fn of_index(index: &ImageIndex, listed: &Descriptor) -> Value {
    described(
        listed,
        index.artifact_type().as_ref(),
        index.annotations().as_ref(),
    )
}

fn described(
    listed: &Descriptor,
    artifact_type: Option<&MediaType>,
    annotations: Option<&HashMap<String, String>>,
) -> Value {
    let mut described = json!({
        "mediaType": listed.media_type(),
        "digest": listed.digest(),
        "size": listed.size(),
    });
    if let Some(artifact_type) = artifact_type {
        described["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = annotations {
        described["annotations"] = json!(sorted(annotations));
    }
    described
}

/// The same in the same order each time.
fn sorted(map: &HashMap<String, String>) -> BTreeMap<&String, &String> {
    map.iter().collect()
}

/// The list with one more referrer; `None` when it is there already.
///
/// # Errors
/// When what is under the tag is no such list: it is somebody else's then.
pub fn with(list: Option<&[u8]>, referrer: Value) -> Result<Option<Vec<u8>>, String> {
    let mut list: Value = match list {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?,
        None => json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageIndex,
            "manifests": [],
        }),
    };
    let is_index = list["mediaType"] == json!(MediaType::ImageIndex);
    let manifests = list.get_mut("manifests").and_then(Value::as_array_mut);
    let Some(manifests) = manifests.filter(|_| is_index) else {
        return Err("it is no image index".into());
    };
    if manifests
        .iter()
        .any(|listed| listed["digest"] == referrer["digest"])
    {
        return Ok(None);
    }
    manifests.push(referrer);
    Ok(Some(list.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn digest() -> Digest {
        format!("sha256:{HEX}").parse().unwrap()
    }

    #[test]
    fn tag_is_made_of_algorithm_and_digest_and_fits() {
        assert_eq!(fallback_tag(&digest()), format!("sha256-{HEX}"));
        let odd: Digest = format!("a+b.c:x={}", "y".repeat(100)).parse().unwrap();
        assert_eq!(fallback_tag(&odd), format!("a-b.c-x-{}", "y".repeat(62)));
    }

    #[test]
    fn artifact_without_a_kind_has_the_kind_of_its_configuration() {
        let config = json!({"mediaType": "a/b", "digest": digest(), "size": 2});
        let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        let described = |manifest: &Value| {
            let manifest: ImageManifest = serde_json::from_value(manifest.clone()).unwrap();
            of_manifest(&manifest, &Descriptor::new(MediaType::ImageManifest, 7, digest()))
        };
        assert_eq!(
            described(&manifest),
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest(), "size": 7, "artifactType": "a/b",
            })
        );
        manifest["artifactType"] = json!("c/d");
        manifest["annotations"] = json!({"b": "2", "a": "1"});
        let described = described(&manifest);
        assert_eq!(described["artifactType"], "c/d");
        assert_eq!(described["annotations"].to_string(), r#"{"a":"1","b":"2"}"#);
    }

    #[test]
    fn index_without_a_kind_has_none() {
        let listed = Descriptor::new(MediaType::ImageIndex, 7, digest());
        let described = of_index(&ImageIndex::default(), &listed);
        assert_eq!(
            described,
            json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(), "size": 7})
        );
    }

    #[test]
    fn referrer_is_added_once_and_others_stay_as_they_are() {
        let first = with(None, json!({"digest": "1"})).unwrap().unwrap();
        let other: Value = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageIndex,
            "manifests": [{"digest": "1", "x": [true]}], "y": 1,
        });
        let second = with(Some(other.to_string().as_bytes()), json!({"digest": "2"}))
            .unwrap()
            .unwrap();
        let second: Value = serde_json::from_slice(&second).unwrap();
        assert_eq!(
            second["manifests"],
            json!([{"digest": "1", "x": [true]}, {"digest": "2"}])
        );
        assert_eq!(second["y"], 1);
        assert_eq!(with(Some(&first), json!({"digest": "1"})), Ok(None));
    }

    #[test]
    fn what_is_no_list_is_left_alone() {
        for list in [
            &b"x"[..],
            b"{}",
            b"[]",
            b"{\"mediaType\":\"a/b\",\"manifests\":[]}",
        ] {
            assert!(with(Some(list), json!({"digest": "1"})).is_err());
        }
    }
}
