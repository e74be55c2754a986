//! `[checks.NAME]`.

use std::path::Path as FilePath;
use std::time::Duration;

use super::super::file::{self, File, PluginConfig};
use super::super::tree::Path;
use super::super::units::{Size, Time};
use super::super::words;
use super::super::{Check, PluginSource, Plugins, Schema, Tls, USUAL_MEMORY};
use super::report::Report;
use super::settings;
use crate::pure::registry::reference::Reference;

pub(super) fn check(file: &File, plugins: &impl Plugins, report: &mut Report<'_>) -> Vec<Check> {
    let table = Path::default().key("checks");
    let checks = file.checks.iter();
    checks
        .map(|(name, written)| {
            let path = table.key(name);
            report.name(&path, name);
            one(name, written, file, plugins, &path, report)
        })
        .collect()
}

fn one(
    name: &str,
    written: &file::Check,
    file: &File,
    plugins: &impl Plugins,
    path: &Path,
    report: &mut Report<'_>,
) -> Check {
    let interval = report.time(
        &path.key("interval"),
        written.interval,
        Duration::from_secs(2),
        INTERVAL,
    );
    let fast_interval = report.time(
        &path.key("fast-interval"),
        written.fast_interval,
        interval,
        INTERVAL,
    );
    let down_interval = report.time(
        &path.key("down-interval"),
        written.down_interval,
        interval,
        INTERVAL,
    );
    let timeout = report.time(
        &path.key("timeout"),
        written.timeout,
        Duration::from_secs(1),
        TIMEOUT,
    );
    let check = Check {
        name: name.to_string(),
        plugin: plugin(written, plugins.standard(), path, report),
        interval,
        fast_interval,
        down_interval,
        timeout,
        rise: report
            .optional_number(&path.key("rise"), written.rise, 1, 100)
            .unwrap_or(2),
        fall: report
            .optional_number(&path.key("fall"), written.fall, 1, 100)
            .unwrap_or(3),
        config: written
            .config
            .as_ref()
            .map_or_else(|| "{}".to_string(), canonical),
        tls: written
            .tls
            .as_ref()
            .map(|tls| self::tls(tls, &path.key("tls"), report)),
        memory: memory(written, path, report),
    };
    refuse_overlapping_probes(&check, written, path, report);
    let cache = file.daemon.plugin_cache.as_deref().map(FilePath::new);
    match plugins.schema(&check.plugin, cache) {
        Schema::None => {}
        Schema::Text(schema) => settings::check(written.config.as_ref(), &schema, path, report),
        Schema::Unfetched => report.warn(
            &path.key("plugin"),
            "the plugin has not been fetched yet, so that nobody knows which `config` it wants",
            "`catamaran run` fetches it and checks this again",
        ),
    }
    if let PluginSource::Registry(_) = check.plugin
        && cache.is_none()
    {
        report.warn(
            &path.key("plugin"),
            "the plugin is fetched at every start, and without its registry there is no start",
            "set daemon.plugin-cache to a directory where it is kept",
        );
    }
    check
}

const INTERVAL: (Time, Time) = (
    Time(Duration::from_millis(10)),
    Time(Duration::from_secs(24 * 3600)),
);
const TIMEOUT: (Time, Time) = (
    Time(Duration::from_millis(1)),
    Time(Duration::from_secs(24 * 3600)),
);

fn refuse_overlapping_probes(check: &Check, written: &file::Check, path: &Path, report: &mut Report<'_>) {
    let intervals = [
        ("interval", check.interval, true),
        (
            "fast-interval",
            check.fast_interval,
            written.fast_interval.is_some(),
        ),
        (
            "down-interval",
            check.down_interval,
            written.down_interval.is_some(),
        ),
    ];
    let known = |report: &Report<'_>, key: &str| !report.was_refused(&path.key(key));
    if !known(report, "interval") {
        return;
    }
    if check.fast_interval > check.interval && known(report, "fast-interval") {
        let (fast, slow) = (Time(check.fast_interval), Time(check.interval));
        report.wrong(
            &path.key("fast-interval"),
            format!("{fast} is not faster than the interval of {slow}"),
            format!("write at most \"{slow}\", or a longer `interval`"),
        );
    }
    let shortest = intervals
        .into_iter()
        .filter(|(_, _, counts)| *counts)
        .min_by_key(|(_, interval, _)| *interval);
    if let Some((key, interval, _)) = shortest
        && check.timeout > interval
        && known(report, "timeout")
        && known(report, key)
    {
        let (timeout, interval) = (Time(check.timeout), Time(interval));
        let (place, by_default) = match written.timeout {
            Some(_) => ("timeout", ""),
            None => (key, " by default"),
        };
        report.wrong(
            &path.key(place),
            format!("a probe may take {timeout}{by_default}, longer than the `{key}` of {interval}"),
            format!("write a `timeout` of at most \"{interval}\", or a longer `{key}`"),
        );
    }
}

fn plugin(written: &file::Check, standard: &[&str], path: &Path, report: &mut Report<'_>) -> PluginSource {
    let nothing = PluginSource::Standard(String::new());
    let Some(text) = &written.plugin else {
        let help = format!(
            "add plugin = one of {}, \"file:PATH\" or \"oci:REGISTRY/NAME@sha256:HEX\"",
            quoted(standard)
        );
        report.missing(path, "plugin", help);
        return nothing;
    };
    let path = path.key("plugin");
    if let Some(rest) = text.strip_prefix("file:") {
        return file_plugin(rest, &path, report).unwrap_or(nothing);
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        return registry_plugin(rest, &path, report).unwrap_or(nothing);
    }
    if !standard.contains(&text.as_str()) {
        let help = match words::meant(text, standard.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if text.contains(['/', '.']) => format!("write \"file:{text}\" for a plugin in a file"),
            None => format!(
                "standard plugins: {}; one in a file is \"file:PATH\", one in a registry \"oci:REGISTRY/NAME@sha256:HEX\"",
                quoted(standard)
            ),
        };
        report.wrong(&path, format!("no standard plugin is called {text:?}"), help);
    }
    PluginSource::Standard(text.clone())
}

/// What is fetched by itself is pinned: a tag may be another plugin tomorrow.
fn registry_plugin(rest: &str, path: &Path, report: &mut Report<'_>) -> Option<PluginSource> {
    let unpinned = |report: &mut Report<'_>, written: &str| {
        report.wrong(
            path,
            "a plugin from a registry is pinned by its digest",
            format!("write \"oci:{written}@sha256:HEX\", as `catamaran plugin push` and `pull` print it"),
        );
    };
    if !rest.contains('@') {
        unpinned(report, rest);
        return None;
    }
    match rest.parse::<Reference>() {
        Ok(reference) if reference.is_sha256() => Some(PluginSource::Registry(reference)),
        Ok(_) => {
            let (written, _) = rest.split_once('@').unwrap_or((rest, ""));
            unpinned(report, written);
            None
        }
        Err(why) => {
            report.wrong(path, why, "write \"oci:REGISTRY/NAME@sha256:HEX\"");
            None
        }
    }
}

pub(super) fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("{word:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn file_plugin(rest: &str, path: &Path, report: &mut Report<'_>) -> Option<PluginSource> {
    let (file, digest) = match rest.split_once("@sha256:") {
        Some((file, digest)) => (file, Some(digest)),
        None => (rest, None),
    };
    if file.is_empty() || file.contains('\0') {
        report.wrong(
            path,
            "the path of the plugin is missing",
            "write \"file:PATH\" or \"file:PATH@sha256:HEX\"",
        );
        return None;
    }
    let sha256 = match digest {
        None => None,
        Some(digest) => {
            let bytes = hex(digest);
            if bytes.is_none() {
                let message = "the digest is not 64 hexadecimal digits";
                report.wrong(path, message, "write what `sha256sum` prints for the file");
            }
            bytes
        }
    };
    Some(PluginSource::File {
        path: file.into(),
        sha256,
    })
}

fn hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// JSON text that is the same for the same settings, in whatever order and
/// format they are written.
fn canonical(config: &PluginConfig) -> String {
    let mut config = serde_json::Value::Object(config.clone());
    config.sort_all_objects();
    config.to_string()
}

fn tls(written: &file::Tls, path: &Path, report: &mut Report<'_>) -> Tls {
    let verify = written.verify.unwrap_or(true);
    if !verify && written.ca.is_some() {
        report.wrong_key(
            &path.key("ca"),
            "`ca` means nothing with verify = false",
            "remove verify = false to have certificates verified, or remove `ca`",
        );
    } else if !verify {
        report.warn(
            &path.key("verify"),
            "certificates are not verified: anyone on the way can answer the probe",
            "write ca = \"PATH\" instead",
        );
    }
    let pairs = [
        (
            "client-cert",
            "client-key",
            written.client_cert.is_some() && written.client_key.is_none(),
        ),
        (
            "client-key",
            "client-cert",
            written.client_key.is_some() && written.client_cert.is_none(),
        ),
    ];
    for (there, missing, alone) in pairs {
        if alone && !report.was_refused(&path.key(missing)) {
            report.wrong_key(
                &path.key(there),
                format!("`{there}` needs `{missing}`"),
                format!("add {missing} = \"PATH\" with the PEM file"),
            );
        }
    }
    Tls {
        verify,
        ca: report.file(&path.key("ca"), &written.ca),
        server_name: report
            .filled(&path.key("server-name"), &written.server_name)
            .map(str::to_string),
        client_cert: report.file(&path.key("client-cert"), &written.client_cert),
        client_key: report.file(&path.key("client-key"), &written.client_key),
    }
}

fn memory(written: &file::Check, path: &Path, report: &mut Report<'_>) -> u64 {
    let Some(Size(bytes)) = written.memory else {
        return USUAL_MEMORY;
    };
    if !(1 << 20..=256 << 20).contains(&bytes) {
        report.wrong(
            &path.key("memory"),
            format!("{} is out of range", Size(bytes)),
            "write a size from 1MiB to 256MiB",
        );
    }
    bytes
}
