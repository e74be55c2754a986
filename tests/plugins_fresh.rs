//! The committed components are what their sources make.

#[path = "support/installed.rs"]
mod installed;

use std::path::Path;

use catamaran::commands::plugin::workshop::{Outcome, Workshop};
use installed::skipped;

fn workshop() -> Workshop {
    Workshop::find(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a clone")
}

#[test]
fn no_component_is_older_than_its_sources() {
    let workshop = workshop();
    let plugins = workshop.plugins(&[]).expect("plugins");
    assert!(plugins.len() >= 5, "{plugins:?}");
    let faults = workshop.stale(&plugins).expect("record");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn embedded_plugins_are_those_in_the_record() {
    let plugins = workshop().plugins(&[]).expect("plugins");
    let built: Vec<_> = plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .filter(|name| !["caller", "hostile"].contains(name))
        .collect();
    let embedded: Vec<_> = catamaran::shell::plugin_store::STANDARD
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(embedded, built);
}

/// Obtains a compiler if need be: some 15 s the first time, and half a minute
/// to build all; later less than a second.
#[test]
fn sources_make_the_same_bytes() {
    let workshop = workshop();
    let plugins = workshop.plugins(&[]).expect("plugins");
    let toolchain = match workshop.toolchain() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            skipped(&format!("no compiler for wasm32-unknown-unknown: {error}"));
            return;
        }
    };
    let components = workshop.build(&toolchain, &plugins).expect("a build");
    let mut faults = Vec::new();
    for (plugin, component) in plugins.iter().zip(&components) {
        match workshop
            .compare(&toolchain, plugin, component)
            .expect("a comparison")
        {
            Outcome::Same => {}
            Outcome::OtherCompiler(recorded) => skipped(&format!(
                "{} builds, but its bytes are those of {recorded}, at hand is {}",
                plugin.name, toolchain.versions
            )),
            Outcome::Differs(how) => faults.push(how),
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
