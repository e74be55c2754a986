//! From the bytes of a real probe to an exchange that can be replayed.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::basic_string;
use super::pattern::ANY;
use crate::pure::config::units::Time;
use crate::pure::health::Finding;

/// What was heard on one connection, clear bytes also where TLS was spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// In order; neighbours are never of the same side.
    pub events: Vec<Event>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection was refused.
    Refused,
    /// The TLS handshake failed, for this reason.
    TlsFailed(String),
    /// The plugin sent this.
    Plugin(Vec<u8>),
    /// The endpoint sent this.
    Endpoint(Vec<u8>),
    /// TLS began in the middle.
    StartTls,
    /// The plugin finished sending.
    PluginCloses,
    /// The endpoint finished sending.
    Close,
    /// The endpoint reset the connection.
    Reset,
}

/// A probe and what was heard of it.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// Whom it was told to probe.
    pub name: &'a str,
    /// Where that is.
    pub address: SocketAddr,
    /// Its name for `Host` and TLS.
    pub server_name: Option<&'a str>,
    /// The check has a `tls` table.
    pub tls: bool,
    /// The check's settings.
    pub config: &'a Value,
    /// Time for the probe.
    pub timeout: Duration,
    /// What was found.
    pub finding: &'a Finding,
    /// What was heard, connection by connection.
    pub connections: &'a [Heard],
}

impl Heard {
    /// Something happened; bytes of the same side grow together.
    pub fn push(&mut self, event: Event) {
        match (self.events.last_mut(), event) {
            (Some(Event::Plugin(all)), Event::Plugin(more))
            | (Some(Event::Endpoint(all)), Event::Endpoint(more)) => all.extend(more),
            (_, event) => self.events.push(event),
        }
    }
}

impl Recording<'_> {
    /// The exchange as a file. What a later probe will send otherwise, such as
    /// the version in `User-Agent`, is left open.
    ///
    /// # Errors
    /// When the settings have what TOML cannot hold: a `null`.
    pub fn toml(&self) -> Result<String, String> {
        let config = toml::Value::try_from(self.config)
            .map_err(|error| format!("the check's settings cannot be written as TOML: {error}"))?;
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        if config.as_table().is_some_and(|table| !table.is_empty()) {
            line("config", inline(&config));
        }
        line("timeout", format!("\"{}\"", Time(self.timeout)));
        line("verdict", format!("\"{}\"", self.finding.cause.word()));
        if !self.finding.detail.is_empty() {
            line("detail", basic_string(self.finding.detail.as_bytes()));
        }
        let _ = writeln!(
            text,
            "\n[endpoint]\nname = {}",
            basic_string(self.name.as_bytes())
        );
        let _ = writeln!(text, "address = \"{}\"", self.address);
        if let Some(name) = self.server_name {
            let _ = writeln!(text, "server-name = {}", basic_string(name.as_bytes()));
        }
        if self.tls {
            text.push_str("\n[tls]\n");
        }
        for connection in self.connections {
            text.push_str(&connection.toml());
        }
        Ok(text)
    }
}

impl Heard {
    fn toml(&self) -> String {
        let mut text = String::from("\n[[connections]]\n");
        let why = |event: &Event| match event {
            Event::TlsFailed(why) => Some(basic_string(why.as_bytes())),
            _ => None,
        };
        if let Some(why) = self.events.iter().find_map(why) {
            let _ = writeln!(text, "tls-fails = {why}");
        }
        match self.events.first() {
            Some(Event::Refused) => return text + "refuse = true\n",
            Some(Event::TlsFailed(_)) => return text,
            _ => {}
        }
        text.push_str("steps = [\n");
        let length = self.events.len();
        for (at, event) in self.events.iter().enumerate() {
            let step = match event {
                Event::Plugin(bytes) => spoken("plugin", &opened(bytes)),
                Event::Endpoint(bytes) => spoken("endpoint", bytes),
                Event::StartTls => "\"start-tls\"".into(),
                Event::Reset => "\"reset\"".into(),
                // Whoever drops the connection at the end need not have asked
                // for it to be closed.
                Event::PluginCloses if at + 1 < length => "\"plugin-closes\"".into(),
                Event::PluginCloses | Event::Close | Event::Refused | Event::TlsFailed(_) => continue,
            };
            let _ = writeln!(text, "    {step},");
        }
        // What closes by itself is not written; what stays open has to be.
        let closes = |event: &Event| matches!(event, Event::Close | Event::Reset | Event::TlsFailed(_));
        if !self.events.iter().any(closes) {
            text.push_str("    \"silence\",\n");
        }
        text.push_str("]\n");
        text
    }
}

/// The plugin's bytes with what the host fills in left open.
fn opened(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.to_vec();
    };
    let lines = text.split_inclusive("\r\n").map(|line| {
        let agent = line
            .get(..12)
            .is_some_and(|start| start.eq_ignore_ascii_case("user-agent: "));
        match agent {
            true => format!("{}{ANY}\r\n", &line[..12]),
            false => line.to_owned(),
        }
    });
    lines.collect::<String>().into_bytes()
}

fn spoken(side: &str, bytes: &[u8]) -> String {
    let plain = |letter: char| !letter.is_control() || matches!(letter, '\r' | '\n' | '\t');
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(plain) => format!("{{ {side} = {} }}", basic_string(bytes)),
        _ => {
            let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{{ {side}-hex = \"{}\" }}", hex.join(" "))
        }
    }
}

/// A value on one line; tables of TOML's own writer would take several.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| format!("{} = {}", basic_string(key.as_bytes()), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        toml::Value::Array(values) => {
            format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        toml::Value::String(text) => basic_string(text.as_bytes()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::{Exchange, Step};
    use super::*;
    use crate::pure::health::Cause;

    #[test]
    fn what_is_written_reads_back() {
        let mut heard = Heard::default();
        heard.push(Event::Plugin(b"GET / HTTP/1.1\r\nuser-".to_vec()));
        heard.push(Event::Plugin(b"agent: catamaran/0.1.0\r\n\r\n".to_vec()));
        heard.push(Event::Endpoint(b"\xff\0".to_vec()));
        heard.push(Event::Close);
        let silent = Heard {
            events: vec![Event::Plugin(b"a\tb".to_vec())],
        };
        let refused = Heard {
            events: vec![Event::Refused],
        };
        let finding = Finding {
            cause: Cause::Healthy,
            detail: "\"200\"".into(),
        };
        let text = Recording {
            name: "e0",
            address: "192.0.2.7:443".parse().unwrap(),
            server_name: Some("a.example"),
            tls: true,
            config: &serde_json::json!({ "path": "/", "codes": [200, 204], "in": { "a b": true } }),
            timeout: Duration::from_millis(1500),
            finding: &finding,
            connections: &[heard, silent, refused],
        }
        .toml()
        .unwrap();
        let exchange = Exchange::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(
            exchange.config_json(),
            r#"{"codes":[200,204],"in":{"a b":true},"path":"/"}"#
        );
        assert_eq!(exchange.timeout, Duration::from_millis(1500));
        assert_eq!(exchange.detail.0, ["\"200\""]);
        assert!(exchange.tls.is_some());
        let [first, second, third] = &exchange.connections[..] else {
            panic!("{text}")
        };
        assert!(text.contains("user-agent: <any>\\r\\n"), "{text}");
        assert_eq!(first.steps[1], Step::Endpoint(vec![0xff, 0]));
        assert_eq!(first.steps.len(), 2, "a close needs no word");
        assert_eq!(second.steps.last(), Some(&Step::Silence));
        assert!(third.refuse);
    }
}
