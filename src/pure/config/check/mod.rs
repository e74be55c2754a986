//! Text → [`Config`], or everything that is wrong with it.
//!
//! Each room below checks one top-level table and returns its checked values;
//! what is wrong goes into the [`Report`], and a value that is wrong is replaced
//! so that the rest can be looked at too. Nothing of that escapes: one mistake
//! and there is no `Config`.

mod checks;
mod listeners;
mod nodes;
mod pools;
mod registries;
mod report;
mod settings;
mod virtual_routers;

use super::file::File;
use super::mistake::{Fault, Mistake, in_document_order};
use super::read::{Reading, read};
use super::source::{Format, parse};
use super::tree::Path;
use super::units::{Size, Time};
use super::{Config, Daemon, Plugins, USUAL_PLUGIN_MEMORY};
use report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// A good document.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What the operator should know, in document order.
    pub warnings: Vec<Mistake>,
}

/// A wrong document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// At least one, in document order.
    pub mistakes: Vec<Mistake>,
    /// What the operator should know besides.
    pub warnings: Vec<Mistake>,
}

/// Reads and checks a document that may name these plugins.
pub fn check(text: &str, format: Format, plugins: &impl Plugins) -> Result<Checked, Refused> {
    let (tree, from_source) = match parse(text, format) {
        Ok(parsed) => parsed,
        Err(faults) => return Err(refused(text, faults, Vec::new())),
    };
    let left_out = from_source
        .iter()
        .map(Fault::place)
        .filter(|path| *path != Path::default());
    let Reading {
        file,
        tree,
        mut refused,
        faults,
    } = read(tree);
    refused.extend(left_out);
    let mut report = Report {
        tree: &tree,
        refused: &refused,
        mistakes: from_source,
        warnings: Vec::new(),
    };
    report.mistakes.extend(faults);
    let config = config(&file, plugins, &mut report);
    let Report {
        mistakes, warnings, ..
    } = report;
    if !mistakes.is_empty() {
        return Err(self::refused(text, mistakes, warnings));
    }
    Ok(Checked {
        config,
        warnings: in_document_order(warnings, text),
    })
}

fn refused(text: &str, mistakes: Vec<Fault>, warnings: Vec<Fault>) -> Refused {
    Refused {
        mistakes: in_document_order(mistakes, text),
        warnings: in_document_order(warnings, text),
    }
}

fn config(file: &File, plugins: &impl Plugins, report: &mut Report<'_>) -> Config {
    if file.listeners.is_empty() && file.virtual_routers.is_empty() {
        let root = Path::default();
        if !report.was_refused(&root) {
            report.wrong(
                &root,
                "the document has neither listeners nor virtual routers, so there is nothing to do",
                "add a [listeners.NAME] with a [pools.NAME], or a [virtual-routers.NAME] with [nodes.NAME]",
            );
        }
    }
    let nodes = nodes::check(file, report);
    let virtual_routers = virtual_routers::check(file, &nodes, report);
    let listeners = listeners::check(file, report);
    let pools = pools::check(file, report);
    let checks = checks::check(file, plugins, report);
    pools::refuse_loops(&pools, &listeners, &nodes, &virtual_routers, report);
    // A reference that leads nowhere makes the one it meant look unused.
    if report.mistakes.is_empty() {
        warn_of_unused(file, report);
    }
    Config {
        nodes,
        virtual_routers,
        listeners,
        pools,
        checks,
        registries: registries::check(file, report),
        daemon: daemon(file, report),
    }
}

fn daemon(file: &File, report: &mut Report<'_>) -> Daemon {
    let path = Path::default().key("daemon");
    let daemon = &file.daemon;
    let drain_timeout = report.time(
        &path.key("drain-timeout"),
        daemon.drain_timeout,
        Duration::from_secs(30),
        DRAIN,
    );
    Daemon {
        threads: report.optional_number(&path.key("threads"), daemon.threads, 1, 1024),
        drain_timeout,
        max_connections: report.connections(&path, daemon.max_connections),
        plugin_cache: report
            .filled(&path.key("plugin-cache"), &daemon.plugin_cache)
            .map(PathBuf::from),
        plugin_memory: plugin_memory(file, &path, report),
    }
}

/// It has to do for the largest instance that the document allows, or that
/// check's probes would wait for ever.
fn plugin_memory(file: &File, daemon: &Path, report: &mut Report<'_>) -> u64 {
    let Some(Size(bytes)) = file.daemon.plugin_memory else {
        return USUAL_PLUGIN_MEMORY;
    };
    let path = daemon.key("plugin-memory");
    if !(64 << 20..=256 << 30).contains(&bytes) {
        report.wrong(
            &path,
            format!("{} is out of range", Size(bytes)),
            "write a size from 64MiB to 256GiB",
        );
        return bytes;
    }
    let largest = file
        .checks
        .iter()
        .filter_map(|(name, check)| Some((check.memory?.0, name)))
        .max();
    if let Some((memory, name)) = largest.filter(|(memory, _)| *memory > bytes) {
        report.wrong(
            &path,
            format!(
                "{} is less than one instance of check `{name}` may have",
                Size(bytes)
            ),
            format!("write at least {}, or lower that check's `memory`", Size(memory)),
        );
    }
    bytes
}

const DRAIN: (Time, Time) = (Time(Duration::ZERO), Time(Duration::from_secs(24 * 3600)));

fn warn_of_unused(file: &File, report: &mut Report<'_>) {
    let tracks = || {
        file.virtual_routers
            .iter()
            .flat_map(|(_, router)| router.track.iter().flatten())
    };
    for (name, _) in file.pools.iter() {
        let used = file
            .listeners
            .iter()
            .any(|(_, listener)| listener.pool.as_deref() == Some(name))
            || tracks().any(|track| track.pool.as_deref() == Some(name));
        if !used {
            let path = Path::default().key("pools").key(name);
            report.warn(&path, "no listener uses this pool", "");
        }
    }
    for (name, _) in file.checks.iter() {
        let used = file
            .pools
            .iter()
            .any(|(_, pool)| pool.check.as_deref() == Some(name))
            || tracks().any(|track| track.check.as_deref() == Some(name));
        if !used {
            let path = Path::default().key("checks").key(name);
            report.warn(&path, "no pool uses this check", "");
        }
    }
    for (host, _) in file.registries.iter() {
        let start = format!("oci:{host}/");
        let mut plugins = file
            .checks
            .iter()
            .filter_map(|(_, check)| check.plugin.as_deref());
        if !plugins.any(|plugin| plugin.starts_with(&start)) {
            let path = Path::default().key("registries").key(host);
            report.warn(&path, "no check's plugin is from this registry", "");
        }
    }
}
