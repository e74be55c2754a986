//! One step, as it is written and as it is carried out.

use std::fmt;
use std::ops::Range;

use catamaran_check::connection::CHUNK;
use catamaran_check::quote;
use regex_lite::Regex;
use serde::Deserialize;

/// A step as it is written: one thing to do, and what it is called.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Step {
    /// What the step is for; messages name it.
    comment: Option<String>,
    /// Open a connection; the one before is closed.
    connect: Option<Connect>,
    /// `true`: begin TLS on a connection opened with `defer-tls`.
    start_tls: Option<bool>,
    /// Text to send.
    send: Option<String>,
    /// Bytes to send, in hexadecimal; spaces do not count.
    send_hex: Option<String>,
    /// Text that must come; what came before it is passed over.
    expect: Option<String>,
    /// Bytes that must come, in hexadecimal.
    expect_hex: Option<String>,
    /// A regular expression that must match what comes.
    expect_regex: Option<String>,
    /// Text that must not be in the next line, or before `until`.
    expect_not: Option<String>,
    /// A regular expression that must not match the next line, or what is before `until`.
    expect_not_regex: Option<String>,
    /// `true`: the endpoint must finish the connection and say no more.
    expect_end: Option<bool>,
    /// `true`: finish sending; reading goes on.
    shutdown: Option<bool>,
    /// Where the answer ends that `expect-not` looks at. Default: at the line's end.
    until: Option<String>,
}

/// How a connection is opened.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Connect {
    /// Protocols to offer in the TLS handshake.
    pub alpn: Vec<String>,
    /// Begin in the clear although the check has a `tls` table.
    pub defer_tls: bool,
}

/// A step as it is carried out.
pub enum Action {
    Connect(Connect),
    StartTls,
    Send(Vec<u8>),
    Expect(Wanted),
    ExpectNot { unwanted: Wanted, until: Wanted },
    ExpectEnd,
    Shutdown,
}

/// What is looked for.
pub enum Wanted {
    /// These bytes.
    Text(Vec<u8>),
    /// What matches.
    Pattern(Regex),
}

impl Step {
    /// What it is called: its number, from 1, and its comment.
    pub fn name(&self, place: usize) -> String {
        match &self.comment {
            Some(comment) => format!("step {} ({comment})", place + 1),
            None => format!("step {}", place + 1),
        }
    }

    /// The one thing it says to do.
    ///
    /// # Errors
    ///
    /// When it says nothing, too much, or what makes no sense.
    pub fn action(&self) -> Result<Action, String> {
        let written = self.written();
        let [key] = written[..] else {
            return Err(match written[..] {
                [] => "it says nothing to do".into(),
                _ => format!("it says two things to do: {}", written.join(", ")),
            });
        };
        if self.until.is_some() && !key.starts_with("expect-not") {
            return Err("`until` is for expect-not and expect-not-regex".into());
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        match key {
            "connect" => Ok(Action::Connect(self.connect.clone().unwrap_or_default())),
            "start-tls" => only_true(key, self.start_tls).map(|()| Action::StartTls),
            "expect-end" => only_true(key, self.expect_end).map(|()| Action::ExpectEnd),
            "shutdown" => only_true(key, self.shutdown).map(|()| Action::Shutdown),
            "send" => sendable(text(&self.send).into_bytes()).map(Action::Send),
            "send-hex" => sendable(hex(&text(&self.send_hex))?).map(Action::Send),
            "expect" => Wanted::text(text(&self.expect).into_bytes()).map(Action::Expect),
            "expect-hex" => Wanted::text(hex(&text(&self.expect_hex))?).map(Action::Expect),
            "expect-regex" => Wanted::pattern(&text(&self.expect_regex)).map(Action::Expect),
            _ => Ok(Action::ExpectNot {
                unwanted: match &self.expect_not {
                    Some(text) => Wanted::text(text.clone().into_bytes())?,
                    None => Wanted::pattern(&text(&self.expect_not_regex))?,
                },
                until: match &self.until {
                    Some(until) => Wanted::text(until.clone().into_bytes())?,
                    None => Wanted::Text(b"\n".to_vec()),
                },
            }),
        }
    }

    /// The keys that say what to do.
    fn written(&self) -> Vec<&'static str> {
        [
            ("connect", self.connect.is_some()),
            ("start-tls", self.start_tls.is_some()),
            ("send", self.send.is_some()),
            ("send-hex", self.send_hex.is_some()),
            ("expect", self.expect.is_some()),
            ("expect-hex", self.expect_hex.is_some()),
            ("expect-regex", self.expect_regex.is_some()),
            ("expect-not", self.expect_not.is_some()),
            ("expect-not-regex", self.expect_not_regex.is_some()),
            ("expect-end", self.expect_end.is_some()),
            ("shutdown", self.shutdown.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect()
    }
}

fn only_true(key: &str, value: Option<bool>) -> Result<(), String> {
    match value {
        Some(true) => Ok(()),
        _ => Err(format!("`{key}` is true, or left out")),
    }
}

fn sendable(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes.len() {
        0 => Err("there is nothing to send in an empty text".into()),
        length if length > CHUNK => Err(format!("it sends more than {CHUNK} bytes at once")),
        _ => Ok(bytes),
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<_> = text
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[char]| match pair {
        [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(|| {
        format!(
            "{} is not hexadecimal, two digits a byte",
            quote(text.as_bytes(), 40)
        )
    })
}

impl Wanted {
    fn text(bytes: Vec<u8>) -> Result<Self, String> {
        match bytes.is_empty() {
            true => Err("it expects an empty text, which is always there".into()),
            false => Ok(Self::Text(bytes)),
        }
    }

    /// What matches a regular expression.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn pattern(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern);
        regex
            .map(Self::Pattern)
            .map_err(|error| format!("no regular expression: {error}"))
    }

    /// Where it is found first.
    pub fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        match self {
            Self::Text(text) => {
                let start = bytes.windows(text.len()).position(|window| window == text)?;
                Some(start..start + text.len())
            }
            Self::Pattern(regex) => {
                // Letters of one byte each, so that places are those of the bytes;
                // what is not ASCII matches no letter of a pattern.
                let text: String = bytes
                    .iter()
                    .map(|byte| {
                        if byte.is_ascii() {
                            char::from(*byte)
                        } else {
                            '\u{1a}'
                        }
                    })
                    .collect();
                regex.find(&text).map(|found| found.range())
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quote(text, 80)),
            Self::Pattern(regex) => write!(f, "what matches {regex}"),
        }
    }
}
