//! A container image for one platform: its configuration and its manifest.

use oci_spec::Result;
use oci_spec::image::{
    Config, HistoryBuilder, ImageConfiguration, ImageManifestBuilder, MediaType, Os, RootFs, SCHEMA_VERSION,
};

use super::description::Container;
use super::facts::Facts;
use super::layer::Layer;
use super::layout::{Added, Layout};
use super::platform::Platform;

/// Add an image to a layout; its descriptor has its platform.
pub(super) fn add(
    layout: &mut Layout,
    container: &Container,
    platform: Platform,
    layer: Layer,
    facts: &Facts,
) -> Result<Added> {
    let configuration = configuration(container, platform, &layer, facts)?;
    let config = layout.json(MediaType::ImageConfig, &configuration)?;
    let layer = layout.blob(MediaType::ImageLayerGzip, layer.compressed)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.clone())
        .layers([layer.clone()])
        .annotations(facts.annotations(&container.title, &container.description))
        .build()?;
    let mut manifest = layout.json(MediaType::ImageManifest, &manifest)?;
    manifest.set_platform(Some(platform.described()));
    Ok(Added {
        config,
        layer,
        manifest,
    })
}

fn configuration(
    container: &Container,
    platform: Platform,
    layer: &Layer,
    facts: &Facts,
) -> Result<ImageConfiguration> {
    let mut root = RootFs::default();
    root.set_diff_ids(vec![format!("sha256:{}", layer.uncompressed_sha256)]);
    let history = HistoryBuilder::default()
        .created(facts.created.rfc3339())
        .created_by(format!("catamaran image build, {}", facts.version))
        .build()?;
    let mut configuration = ImageConfiguration::default();
    configuration
        .set_architecture(platform.architecture())
        .set_os(Os::Linux)
        .set_created(Some(facts.created.rfc3339()))
        .set_config(Some(config(container, facts)))
        .set_rootfs(root)
        .set_history(Some(vec![history]));
    Ok(configuration)
}

fn config(container: &Container, facts: &Facts) -> Config {
    let environment = container
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let mut config = Config::default();
    config
        .set_user(Some(container.user.as_str().into()))
        .set_entrypoint(Some(container.entrypoint.clone()))
        .set_cmd(unless_empty(container.command.clone()))
        .set_env(unless_empty(environment.collect()))
        .set_exposed_ports(unless_empty(container.ports.clone()))
        .set_stop_signal(Some(container.stop_signal.clone()))
        .set_labels(Some(facts.labels(&container.title, &container.description)));
    config
}

fn unless_empty(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}
