//! Plugins that a document wants out of registries: kept ones, or fetched.

use std::time::Duration;

use tokio::time::timeout;

use crate::pure::config::{Config, PluginSource};
use crate::pure::registry::reference::Reference;
use crate::shell::plugin_store::{Available, Kept, LARGEST};
use crate::shell::registry::auth::AuthFiles;
use crate::shell::registry::client::Repository;
use crate::shell::registry::plugin::Artifact;

/// Time for one plugin. A registry that is there needs a second.
const MOST: Duration = Duration::from_secs(60);

/// Have all plugins of the document available that are in registries. What is
/// kept is what the document pins: no registry is asked for it. `say` is told
/// what was fetched, and what is wrong with the folder where plugins are kept.
///
/// True when one was fetched, so that its schema was not known before.
///
/// # Errors
/// One sentence that names the check whose plugin cannot be had.
pub async fn fetch(
    config: &Config,
    available: &mut Available,
    say: &mut dyn FnMut(String),
) -> Result<bool, String> {
    let kept = config.daemon.plugin_cache.as_deref().map(Kept::new);
    let mut fetched = false;
    for check in &config.checks {
        let PluginSource::Registry(reference) = &check.plugin else {
            continue;
        };
        if available.has(reference) {
            continue;
        }
        match kept.map_or(Ok(None), |kept| kept.component(reference)) {
            Ok(Some(component)) => {
                available.add(reference.clone(), component);
                continue;
            }
            Ok(None) => {}
            Err(why) => say(format!("a kept plugin cannot be used: {why}")),
        }
        let artifact = pull(config, reference)
            .await
            .map_err(|why| format!("check {}: cannot fetch its plugin {reference}: {why}", check.name))?;
        say(format!(
            "fetched plugin {reference} of check {}: {} bytes",
            check.name,
            artifact.component.len()
        ));
        if let Some(kept) = kept
            && let Err(error) = kept.keep(&artifact.manifest, &artifact.component)
        {
            say(format!(
                "plugin {reference} cannot be kept for the next start: {error}"
            ));
        }
        available.add(reference.clone(), artifact.component);
        fetched = true;
    }
    Ok(fetched)
}

async fn pull(config: &Config, reference: &Reference) -> Result<Artifact, String> {
    let mut registries = config.registries.iter();
    let registry = registries.find(|registry| registry.host == reference.registry);
    let files = AuthFiles::new(registry.and_then(|registry| registry.auth_file.clone()));
    let plain_http = registry.is_some_and(|registry| registry.plain_http);
    let ca = registry.and_then(|registry| registry.ca.as_deref());
    let mut repository = Repository::new(reference, plain_http, ca, files)?;
    let asked = reference.asked();
    timeout(MOST, repository.plugin(&asked, LARGEST))
        .await
        .unwrap_or_else(|_| Err(format!("it has not come within {} s", MOST.as_secs())))
}
