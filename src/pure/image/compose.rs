//! Puts a layout together.
//!
//! ```text
//!  one platform                       several
//!  folder   index.json ─▶ image       index.json ─▶ index ─▶ images, bills
//!                      ─▶ bill                   ─▶ bills
//!  archive  index.json ─▶ index ─▶ image, bill   (as a folder, without the second line)
//! ```
//!
//! An archive has one entry only, because tools take what they are not told to
//! choose. A bill of materials points at its image (`subject`), so registries
//! find it there; the index lists it too, so that it goes along when tools copy
//! that know nothing of subjects.

use std::collections::BTreeMap;
use std::fmt::Display;

use oci_spec::Result;
use oci_spec::image::{
    ANNOTATION_TITLE, Arch, Descriptor, ImageManifestBuilder, MediaType, Os, SCHEMA_VERSION,
};
use serde_json::Value;

use super::container;
use super::description::Container;
use super::facts::{Facts, Moment};
use super::layer::Layer;
use super::layout::{Added, Layout};
use super::name::Name;
use super::platform::{Platform, described};
use super::plugin;
use super::sbom;

/// What the layout is going to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A folder, which may hold several things by name.
    Folder,
    /// One file, which holds one.
    Archive,
}

/// A layout, and what is in it.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Bytes by relative path, in the order in which they are to be written.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Images and artifacts, in the order of the index.
    pub images: Vec<Image>,
}

/// An image or artifact of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name; those of several platforms share it.
    pub name: String,
    /// `linux/amd64`, `wasip2/wasm`.
    pub platform: String,
    /// Digest of its manifest.
    pub digest: String,
    /// What a registry has to send for it.
    pub bytes: u64,
}

/// A plugin to be put into a layout.
#[derive(Clone, Debug)]
pub struct Plugin<'a> {
    /// Its name in documents.
    pub name: &'a str,
    /// One line.
    pub description: &'a str,
    /// Its bytes.
    pub component: &'a [u8],
    /// What is in it.
    pub bill: Value,
}

/// A container image for one platform or more, by one name.
///
/// # Errors
///
/// None that a description can cause.
pub fn container(
    container: &Container,
    layers: BTreeMap<Platform, Layer>,
    bill: &Value,
    name: &Name,
    facts: &Facts,
    form: Form,
) -> Result<Composed> {
    let mut layout = Layout::default();
    let (mut manifests, mut bills, mut images) = (Vec::new(), Vec::new(), Vec::new());
    let is_alone = layers.len() == 1;
    for (platform, layer) in layers {
        let added = container::add(&mut layout, container, platform, layer, facts)?;
        bills.push(add_bill(&mut layout, bill, &added.manifest, facts)?);
        if is_alone && form == Form::Archive {
            layout.name_for_docker(name, &added)?;
        }
        images.push(image(name, &added));
        manifests.push(added.manifest);
    }
    match (form, manifests.as_slice()) {
        (Form::Folder, [manifest]) => layout.name(name, manifest.clone()),
        (Form::Folder | Form::Archive, _) => {
            let all = manifests.into_iter().chain(bills.iter().cloned().map(not_to_run));
            let annotations = facts.annotations(&container.title, &container.description);
            let index = layout.index(all.collect(), annotations)?;
            layout.name(name, index);
        }
    }
    if form == Form::Folder {
        bills.into_iter().for_each(|bill| layout.list(bill));
    }
    let files = layout.finish()?;
    Ok(Composed { files, images })
}

/// Plugins, each by a name of its own below `name`.
///
/// # Errors
///
/// When one of them is no component.
pub fn plugins(plugins: &[Plugin], name: &Name, facts: &Facts, form: Form) -> Result<Composed> {
    let mut layout = Layout::default();
    let (mut all, mut images) = (Vec::new(), Vec::new());
    for one in plugins {
        let own_name = name.part(one.name);
        let annotations = facts.annotations(one.name, one.description);
        let added = plugin::add(&mut layout, one.component, facts.created, annotations)?;
        images.push(image(&own_name, &added));
        let mut manifest = added.manifest;
        let bill = add_bill(&mut layout, &one.bill, &manifest, facts)?;
        match form {
            Form::Folder => {
                layout.name(&own_name, manifest);
                layout.list(bill);
            }
            Form::Archive => {
                let title = [(ANNOTATION_TITLE.to_owned(), one.name.to_owned())];
                manifest.set_annotations(Some(title.into()));
                all.extend([manifest, not_to_run(bill)]);
            }
        }
    }
    if form == Form::Archive {
        let annotations = facts.annotations("plugins", "The standard check plugins");
        let index = layout.index(all, annotations)?;
        layout.name(name, index);
    }
    let files = layout.finish()?;
    Ok(Composed { files, images })
}

/// One plugin of whoever wrote it, by a name or without: nothing is said of it
/// but its title.
///
/// # Errors
///
/// When it is no component.
pub fn plugin(title: &str, component: &[u8], name: Option<&str>, created: Moment) -> Result<Composed> {
    let mut layout = Layout::default();
    let annotations = [(ANNOTATION_TITLE.to_owned(), title.to_owned())];
    let added = plugin::add(&mut layout, component, created, annotations.into())?;
    let image = image(&name.unwrap_or(title), &added);
    match name {
        Some(name) => layout.name(&name, added.manifest),
        None => layout.list(added.manifest),
    }
    let (files, images) = (layout.finish()?, vec![image]);
    Ok(Composed { files, images })
}

/// Add a bill of materials that points at `subject`.
fn add_bill(layout: &mut Layout, bill: &Value, subject: &Descriptor, facts: &Facts) -> Result<Descriptor> {
    let media_type = MediaType::Other(sbom::MEDIA_TYPE.into());
    let mut content = layout.json(media_type.clone(), bill)?;
    content.set_annotations(Some([(ANNOTATION_TITLE.into(), "sbom.cdx.json".into())].into()));
    // A subject is named by type, digest and size alone.
    let subject = Descriptor::new(
        subject.media_type().clone(),
        subject.size(),
        subject.digest().clone(),
    );
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .artifact_type(media_type.clone())
        .config(layout.blob(MediaType::EmptyJSON, b"{}".to_vec())?)
        .layers([content])
        .subject(subject)
        .annotations(facts.annotations("Bill of materials", "CycloneDX, from the lock file"))
        .build()?;
    let mut manifest = layout.json(MediaType::ImageManifest, &manifest)?;
    manifest.set_artifact_type(Some(media_type));
    Ok(manifest)
}

/// For an index that tools choose an image from: no machine is of this platform.
fn not_to_run(mut descriptor: Descriptor) -> Descriptor {
    let unknown = described(Arch::Other("unknown".into()), Os::Other("unknown".into()));
    descriptor.set_platform(Some(unknown));
    descriptor
}

fn image(name: &impl Display, added: &Added) -> Image {
    let platform = added.manifest.platform().as_ref();
    Image {
        name: name.to_string(),
        platform: platform.map_or(String::new(), |platform| {
            format!("{}/{}", platform.os(), platform.architecture())
        }),
        digest: added.manifest.digest().to_string(),
        bytes: added.bytes(),
    }
}
