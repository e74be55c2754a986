//! A plugin as an artifact in the CNCF's layout for wasm
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>):
//! a manifest, the component as its only layer, and a configuration that says
//! what the component wants and has.

use oci_spec::image::{Arch, Descriptor, ImageManifestBuilder, MediaType, Os, SCHEMA_VERSION};
use oci_spec::{OciSpecError, Result};
use serde::Serialize;
use wit_component::{DecodedWasm, decode};

use super::facts::{Facts, Moment};
use super::layout::{Added, Layout};
use super::platform::described;

/// The layout's word for components.
const OS: &str = "wasip2";

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
    name: &str,
    description: &str,
    component: &[u8],
    facts: &Facts,
) -> Result<Added> {
    let layer = layout.blob(MediaType::Other("application/wasm".into()), component.to_vec())?;
    let configuration = configuration(&layer, component, facts.created)?;
    let config = layout.json(
        MediaType::Other("application/vnd.wasm.config.v0+json".into()),
        &configuration,
    )?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.clone())
        .layers([layer.clone()])
        .annotations(facts.annotations(name, description))
        .build()?;
    let mut manifest = layout.json(MediaType::ImageManifest, &manifest)?;
    manifest.set_platform(Some(described(Arch::Wasm, Os::Other(OS.into()))));
    Ok(Added {
        config,
        layer,
        manifest,
    })
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
}
