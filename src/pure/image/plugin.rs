//! A plugin as an artifact in the CNCF's layout for wasm
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>):
//! a manifest, the component as its only layer, and a configuration that says
//! what the component wants and has.

use std::collections::HashMap;

use oci_spec::image::{Arch, Descriptor, ImageManifest, ImageManifestBuilder, MediaType, Os, SCHEMA_VERSION};
use oci_spec::{OciSpecError, Result};
use serde::Serialize;
use wit_component::{DecodedWasm, decode};

use super::facts::Moment;
use super::layout::{Added, Layout};
use super::platform::described;

/// The layout's word for components.
const OS: &str = "wasip2";

/// What every tool that follows the layout calls the component.
const COMPONENT: &str = "application/wasm";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration<'a> {
    created: String,
    architecture: Arch,
    os: &'a str,
    layer_digests: Vec<String>,
    component: Interfaces,
}

/// What a component wants and has, in the words of WIT.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Interfaces {
    exports: Vec<String>,
    imports: Vec<String>,
}

/// Add a plugin to a layout; its descriptor has its platform.
pub(super) fn add(
    layout: &mut Layout,
    component: &[u8],
    created: Moment,
    annotations: HashMap<String, String>,
) -> Result<Added> {
    let layer = layout.blob(MediaType::Other(COMPONENT.into()), component.to_vec())?;
    let configuration = configuration(&layer, component, created)?;
    let config = layout.json(
        MediaType::Other("application/vnd.wasm.config.v0+json".into()),
        &configuration,
    )?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.clone())
        .layers([layer.clone()])
        .annotations(annotations)
        .build()?;
    let mut manifest = layout.json(MediaType::ImageManifest, &manifest)?;
    manifest.set_platform(Some(described(Arch::Wasm, Os::Other(OS.into()))));
    Ok(Added {
        config,
        layer,
        manifest,
    })
}

/// The component of an artifact, by its manifest. `media_type` is what the
/// manifest was said to be. Any configuration will do: other tools write others.
///
/// # Errors
///
/// When it is none, or leaves open which one.
pub fn component(media_type: &str, manifest: &[u8]) -> std::result::Result<Descriptor, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
    }
    let wrong = |error| format!("it is no manifest: {error}");
    let kind: Kind = serde_json::from_slice(manifest).map_err(wrong)?;
    // Its own word is under its digest; that of a header is not.
    let kind = kind.media_type.as_deref().unwrap_or(media_type);
    match MediaType::from(kind) {
        MediaType::ImageManifest => {}
        MediaType::ImageIndex => {
            return Err(
                "it is an index of several artifacts; name the one that is wanted by its digest".into(),
            );
        }
        _ => return Err(format!("it is {kind:?}, not {}", MediaType::ImageManifest)),
    }
    let manifest: ImageManifest = serde_json::from_slice(manifest).map_err(wrong)?;
    let [layer] = &manifest.layers()[..] else {
        let layers = manifest.layers().len();
        return Err(format!("it has {layers} layers; a plugin has one, the component"));
    };
    if layer.media_type().as_ref() != COMPONENT {
        return Err(format!("its layer is {}, not {COMPONENT}", layer.media_type()));
    }
    Ok(layer.clone())
}

fn configuration<'a>(layer: &Descriptor, component: &[u8], created: Moment) -> Result<Configuration<'a>> {
    Ok(Configuration {
        created: created.rfc3339(),
        architecture: Arch::Wasm,
        os: OS,
        layer_digests: vec![layer.digest().to_string()],
        component: interfaces(component).map_err(OciSpecError::Other)?,
    })
}

fn interfaces(component: &[u8]) -> std::result::Result<Interfaces, String> {
    let (resolve, world) = match decode(component).map_err(|error| format!("{error:#}"))? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => return Err("it holds interfaces, but no program".into()),
    };
    let world = &resolve.worlds[world];
    if world.exports.is_empty() {
        return Err("it is no component that exports something".into());
    }
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key));
    // Types that the world itself names come as imports too, but without a package.
    let imports = world
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .filter(|name| name.contains('/'));
    Ok(Interfaces {
        exports: exports.collect(),
        imports: imports.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_says_what_it_wants_and_has() {
        let http = include_bytes!("../../../plugins/built/http.wasm");
        assert_eq!(
            interfaces(http),
            Ok(Interfaces {
                exports: vec!["check".into()],
                imports: vec![
                    "catamaran:health/types@1.0.0".into(),
                    "catamaran:health/http@1.0.0".into(),
                ],
            })
        );
    }

    #[test]
    fn core_module_is_no_component() {
        assert_eq!(
            interfaces(b"\0asm\x01\0\0\0"),
            Err("it is no component that exports something".into())
        );
    }

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    fn manifest(layers: &[&str]) -> Vec<u8> {
        let blob = |kind: &str| {
            let digest = format!("sha256:{}", "ab".repeat(32));
            serde_json::json!({"mediaType": kind, "digest": digest, "size": 7})
        };
        let layers: Vec<_> = layers.iter().map(|kind| blob(kind)).collect();
        let config = blob("application/vnd.oci.empty.v1+json");
        serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn only_layer_is_the_component_whatever_the_configuration() {
        let layer = component(MANIFEST, &manifest(&["application/wasm"])).unwrap();
        assert_eq!(layer.size(), 7);
    }

    #[test]
    fn what_is_no_plugin_is_told() {
        let index = br#"{"schemaVersion": 2, "manifests": [], "mediaType": "application/vnd.oci.image.index.v1+json"}"#;
        let tar = "application/vnd.oci.image.layer.v1.tar";
        for (kind, bytes, why) in [
            (MANIFEST, manifest(&[]), "it has 0 layers"),
            (MANIFEST, manifest(&["application/wasm", tar]), "it has 2 layers"),
            (MANIFEST, manifest(&[tar]), "not application/wasm"),
            (MANIFEST, index.to_vec(), "it is an index"),
            ("text/html", manifest(&[]), "it is \"text/html\""),
            (MANIFEST, b"[".to_vec(), "it is no manifest"),
        ] {
            let said = component(kind, &bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
