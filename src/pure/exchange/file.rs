//! An exchange as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::pattern::{self, Pattern};
use crate::pure::config::units::Time;
use crate::pure::health::Cause;

/// One probe: what the plugin is told, what happens on its connections, and
/// what it must find.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exchange {
    /// What it shows, for the report.
    #[serde(default)]
    pub about: String,
    /// The check's settings.
    #[serde(default)]
    pub config: toml::Table,
    /// Time for the probe.
    #[serde(default = "five_seconds", deserialize_with = "time")]
    pub timeout: Duration,
    /// How the probe must end.
    pub verdict: Cause,
    /// Texts that must appear in the verdict's.
    #[serde(default)]
    pub detail: Texts,
    /// Texts that must appear in the log, each in some line.
    #[serde(default)]
    pub log: Texts,
    /// Whom the plugin is told to probe.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// What TLS settled; absent where no TLS is spoken.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// In the order in which the plugin opens them.
    #[serde(default)]
    pub connections: Vec<Connection>,
}

/// The endpoint as the plugin is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Endpoint {
    /// Its name in the document.
    pub name: String,
    /// Where it is; nothing connects there.
    pub address: SocketAddr,
    /// Its name for `Host` and TLS.
    pub server_name: Option<String>,
}

/// What a TLS session says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The protocol that the endpoint chose.
    pub alpn: Option<String>,
    /// The certificate's subject.
    pub subject: String,
    /// Days until the certificate expires.
    pub expires_in_days: i64,
    /// The certificate.
    #[serde(deserialize_with = "hex")]
    pub certificate_hex: Vec<u8>,
    /// Whether it was verified.
    pub verified: bool,
}

/// One connection of the plugin's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Connection {
    /// It is refused.
    pub refuse: bool,
    /// Its TLS handshake fails, for this reason; at `start-tls` where that is
    /// among the steps.
    pub tls_fails: Option<String>,
    /// What happens on it, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The plugin sends this.
    Plugin(Pattern),
    /// The endpoint sends this.
    Endpoint(Vec<u8>),
    /// The plugin begins TLS.
    StartTls,
    /// The plugin finishes sending, or closes.
    PluginCloses,
    /// The endpoint says nothing more.
    Silence,
    /// The endpoint resets the connection.
    Reset,
    /// The endpoint finishes sending.
    Close,
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

impl Exchange {
    /// Read a file's text.
    ///
    /// # Errors
    /// A sentence with line and column, over several lines.
    pub fn read(text: &str) -> Result<Self, String> {
        let exchange: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        for (index, connection) in exchange.connections.iter().enumerate() {
            connection
                .check()
                .map_err(|why| format!("connection {}: {why}", index + 1))?;
        }
        Ok(exchange)
    }

    /// The settings as the plugin reads them.
    pub fn config_json(&self) -> String {
        serde_json::to_string(&self.config).unwrap_or_default()
    }
}

impl Connection {
    /// What has no meaning is not passed over.
    fn check(&self) -> Result<(), String> {
        let opens = !self.refuse && (self.tls_fails.is_none() || self.steps.contains(&Step::StartTls));
        if !opens && !self.steps.is_empty() {
            return Err("steps on a connection that never opens".into());
        }
        let ends = |step: &Step| matches!(step, Step::Silence | Step::Reset);
        match self.steps.iter().position(ends) {
            Some(at) if at + 1 < self.steps.len() => Err(format!(
                "nothing can follow step {}; the endpoint is silent or gone",
                at + 1
            )),
            _ => Ok(()),
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            name: "endpoint".into(),
            // An address that nobody has (RFC 5737).
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80),
            server_name: None,
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            version: "TLSv1.3".into(),
            alpn: None,
            subject: "CN=endpoint".into(),
            expires_in_days: 90,
            certificate_hex: Vec::new(),
            verified: true,
        }
    }
}

/// A step that is a table; exactly one key of it is there.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Spoken {
    plugin: Option<String>,
    plugin_hex: Option<String>,
    endpoint: Option<String>,
    endpoint_hex: Option<String>,
}

impl Spoken {
    fn step(self) -> Result<Step, String> {
        match (self.plugin, self.plugin_hex, self.endpoint, self.endpoint_hex) {
            (Some(text), None, None, None) => Ok(Step::Plugin(Pattern::text(&text))),
            (None, Some(hex), None, None) => Pattern::hex(&hex).map(Step::Plugin),
            (None, None, Some(text), None) => Ok(Step::Endpoint(text.into_bytes())),
            (None, None, None, Some(hex)) => pattern::bytes(&hex).map(Step::Endpoint),
            _ => Err("a step has one of the keys plugin, plugin-hex, endpoint and endpoint-hex".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = Step;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a table such as { plugin = \"PING\\r\\n\" }, or one of \"start-tls\", \"plugin-closes\", \
             \"silence\", \"reset\", \"close\"",
        )
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Step, E> {
        match word {
            "start-tls" => Ok(Step::StartTls),
            "plugin-closes" => Ok(Step::PluginCloses),
            "silence" => Ok(Step::Silence),
            "reset" => Ok(Step::Reset),
            "close" => Ok(Step::Close),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Step, A::Error> {
        let spoken = Spoken::deserialize(MapAccessDeserializer::new(map))?;
        spoken.step().map_err(A::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text, or a list of texts")]
        enum OneOrMore {
            One(String),
            More(Vec<String>),
        }
        Ok(match OneOrMore::deserialize(deserializer)? {
            OneOrMore::One(text) => Self(vec![text]),
            OneOrMore::More(texts) => Self(texts),
        })
    }
}

/// Long enough that a busy machine fails no test; only silence takes its time.
fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Ok(Time::deserialize(deserializer)?.0)
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    pattern::bytes(&text).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_written_is_read() {
        let exchange = Exchange::read(
            r#"
            about = "all of it"
            config = { user = "probe" }
            timeout = "50ms"
            verdict = "timed-out"
            detail = "waiting"
            log = ["one", "two"]
            endpoint = { name = "db1", address = "[2001:db8::1]:5432", server-name = "db.example" }
            tls = { alpn = "h2", expires-in-days = -1, certificate-hex = "30 82" }
            [[connections]]
            refuse = true
            [[connections]]
            tls-fails = "expired"
            [[connections]]
            steps = [{ plugin-hex = "00??" }, { endpoint-hex = "53" }, "start-tls", { plugin = "a" },
                     { endpoint = "b" }, "plugin-closes", "silence"]
            "#,
        )
        .unwrap();
        assert_eq!(exchange.config_json(), r#"{"user":"probe"}"#);
        assert_eq!(exchange.verdict, Cause::TimedOut);
        assert_eq!(exchange.log.0, ["one", "two"]);
        assert_eq!(exchange.tls.unwrap().certificate_hex, [0x30, 0x82]);
        assert!(exchange.connections[0].refuse);
        let last = exchange.connections.last().unwrap();
        assert_eq!(last.steps.len(), 7);
        assert_eq!(last.steps[1], Step::Endpoint(b"S".to_vec()));
    }

    #[test]
    fn mistakes_are_named_where_they_are() {
        let of = |text: &str| Exchange::read(&format!("verdict = \"healthy\"\n{text}")).unwrap_err();
        let unknown = of("[[connections]]\nsteps = [{ plugn = \"a\" }]");
        assert!(
            unknown.contains("line 3") && unknown.contains("plugn"),
            "{unknown}"
        );
        let both = of("[[connections]]\nsteps = [{ plugin = \"a\", endpoint = \"b\" }]");
        assert!(both.contains("a step has one of the keys"), "{both}");
        let word = of("[[connections]]\nsteps = [\"stop\"]");
        assert!(
            word.contains("line 3") && word.contains("plugin-closes"),
            "{word}"
        );
        let hex = of("[[connections]]\nsteps = [{ endpoint-hex = \"0g\" }]");
        assert!(hex.contains("\"0g\" is not a byte"), "{hex}");
        assert_eq!(
            of("[[connections]]\nsteps = [\"reset\", \"close\"]"),
            "connection 1: nothing can follow step 1; the endpoint is silent or gone"
        );
        assert_eq!(
            of("[[connections]]\nrefuse = true\nsteps = [\"close\"]"),
            "connection 1: steps on a connection that never opens"
        );
        let verdict = Exchange::read("verdict = \"good\"").unwrap_err();
        assert!(
            verdict.contains("good") && verdict.contains("healthy"),
            "{verdict}"
        );
    }
}
