//! `[registries.HOST]`.

use super::super::Registry;
use super::super::file::{self, File};
use super::super::tree::Path;
use super::report::Report;
use crate::pure::registry::url::Origin;

pub(super) fn check(file: &File, report: &mut Report<'_>) -> Vec<Registry> {
    let table = Path::default().key("registries");
    let registries = file.registries.iter();
    registries
        .map(|(host, written)| one(host, written, &table.key(host), report))
        .collect()
}

fn one(host: &str, written: &file::Registry, path: &Path, report: &mut Report<'_>) -> Registry {
    if let Err(why) = Origin::new(true, host) {
        let help = "write HOST or HOST:PORT, as in a plugin's \"oci:HOST:PORT/NAME@sha256:HEX\"";
        report.wrong_key(path, why, help);
    }
    let plain_http = written.plain_http.unwrap_or(false);
    if plain_http && written.ca.is_some() {
        report.wrong_key(
            &path.key("ca"),
            "`ca` means nothing with plain-http = true",
            "remove plain-http to have TLS, or remove `ca`",
        );
    }
    Registry {
        host: host.to_string(),
        plain_http,
        ca: report.file(&path.key("ca"), &written.ca),
        auth_file: report.file(&path.key("auth-file"), &written.auth_file),
    }
}
