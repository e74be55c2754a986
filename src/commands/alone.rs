//! One plugin and one endpoint on the command line, for commands that probe
//! without a document.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pure::config::{self, Config, Format, Mistake};
use crate::shell::plugin_store::Available;

/// How the endpoint is probed. The command that has these flags has one named
/// `plugin` too.
#[derive(Clone, Debug, clap::Args)]
pub struct Alone {
    /// The endpoint to probe, such as 10.0.0.1:6443 or [fd00::1]:6443.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "plugin")]
    pub endpoint: Option<String>,
    /// The plugin's configuration as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "plugin")]
    config: String,
    /// The plugin's configuration in a file: TOML when its name ends in .toml, else JSON.
    #[arg(long, value_name = "FILE", requires = "plugin", conflicts_with = "config")]
    config_file: Option<PathBuf>,
    /// Speak TLS; certificates are verified unless --insecure is given.
    #[arg(long, requires = "plugin")]
    tls: bool,
    /// Speak TLS and accept any certificate.
    #[arg(long, requires = "plugin", conflicts_with = "ca")]
    insecure: bool,
    /// Speak TLS and trust the authorities of this PEM file.
    #[arg(long, value_name = "FILE", requires = "plugin")]
    ca: Option<PathBuf>,
    /// Speak TLS and show this certificate, a PEM file.
    #[arg(long, value_name = "FILE", requires_all = ["plugin", "client_key"])]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert, a PEM file.
    #[arg(long, value_name = "FILE", requires_all = ["plugin", "client_cert"])]
    client_key: Option<PathBuf>,
    /// The name that the certificate must be for, and the Host; by default the address.
    #[arg(long, value_name = "NAME", requires = "plugin")]
    server_name: Option<String>,
    /// Time for the probe.
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "plugin")]
    timeout: String,
    /// Most memory of the plugin.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", requires = "plugin")]
    memory: String,
}

impl Alone {
    /// The document that the command line amounts to: one pool, one endpoint,
    /// one check. Checking it as a document finds the same mistakes.
    ///
    /// # Errors
    /// A line for each mistake.
    pub fn document(&self, plugin: &str, available: &Available) -> Result<Config, String> {
        let Some(endpoint) = &self.endpoint else {
            return Err("catamaran: name an --endpoint".into());
        };
        let mut check = json!({
            "plugin": plugin,
            "timeout": self.timeout,
            "interval": self.timeout,
            "memory": self.memory,
            "config": self.settings()?,
        });
        if let Some(tls) = self.tls()? {
            check["tls"] = tls;
        }
        // A document wants a listener; this one is never started, and its address
        // is one that nobody has (RFC 5737).
        let document = json!({
            "listeners": { "listener": { "bind": ["192.0.2.1:1"], "pool": "pool" } },
            "pools": { "pool": { "check": "check", "endpoints": { "endpoint": endpoint } } },
            "checks": { "check": check },
        });
        config::check(&document.to_string(), Format::Json, available)
            .map(|checked| checked.config)
            .map_err(|refused| {
                refused
                    .mistakes
                    .iter()
                    .map(sentence)
                    .collect::<Vec<_>>()
                    .join("\n")
            })
    }

    /// The plugin's settings.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn settings(&self) -> Result<Value, String> {
        let Some(path) = &self.config_file else {
            return serde_json::from_str(&self.config)
                .map_err(|error| format!("catamaran: --config is not JSON: {error}"));
        };
        let wrong = |error: &dyn std::fmt::Display| format!("catamaran: {}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        if path.extension().is_some_and(|extension| extension == "toml") {
            return toml::from_str(&text).map_err(|error| wrong(&error));
        }
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }

    fn tls(&self) -> Result<Option<Value>, String> {
        if !self.tls && !self.insecure && self.ca.is_none() && self.client_cert.is_none() {
            return match self.server_name {
                None => Ok(None),
                Some(_) => {
                    Err("catamaran: --server-name is for TLS, so add --tls, --ca or --insecure".into())
                }
            };
        }
        let mut tls = json!({ "verify": !self.insecure });
        let values = [
            ("ca", self.ca.as_ref().map(|path| json!(path))),
            ("client-cert", self.client_cert.as_ref().map(|path| json!(path))),
            ("client-key", self.client_key.as_ref().map(|path| json!(path))),
            ("server-name", self.server_name.as_ref().map(|name| json!(name))),
        ];
        for (key, value) in values {
            if let Some(value) = value {
                tls[key] = value;
            }
        }
        Ok(Some(tls))
    }
}

fn sentence(mistake: &Mistake) -> String {
    let help = mistake
        .help
        .as_ref()
        .map_or(String::new(), |help| format!("; {help}"));
    // Where it is in a document that nobody wrote, but for the settings.
    let place = mistake.path.strip_prefix("checks.check.config");
    let place = place.map_or(String::new(), |key| format!("config{key}: "));
    format!("catamaran: {place}{}{help}", mistake.message)
}
