//! Check plugin: a name server answers a question over TCP (RFC 7766), or over
//! TLS (RFC 7858) where the check has a `tls` table.

mod message;

use std::net::{Ipv4Addr, Ipv6Addr};

use catamaran_check::connection::{ConnectOptions, Reader, connect_with};
use catamaran_check::{Check, Error, Failure, Request, Verdict, clock, export, healthy, quote, unhealthy};
use serde::Deserialize;

use message::{Answer, Kind, Question};

/// So many records are told.
const SHOWN: usize = 3;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Dns {
    /// The name to ask for; always a whole one, with or without the point at
    /// its end.
    #[cfg_attr(test, schemars(length(min = 1, max = 254)))]
    name: String,
    /// Type of the records to ask for.
    #[serde(default, rename = "type")]
    kind: Kind,
    /// Records of which one must be among the answers; empty for any.
    #[serde(default)]
    expect: Vec<String>,
    /// Whether the server is to ask others where it does not know itself.
    #[serde(default = "yes")]
    recursion: bool,
    /// Outcomes that are healthy; other than `NOERROR` they need no records.
    #[serde(default = "no_error")]
    #[cfg_attr(test, schemars(length(min = 1)))]
    rcode: Vec<Rcode>,
}
export!(Dns);

fn yes() -> bool {
    true
}

fn no_error() -> Vec<Rcode> {
    vec![Rcode::NoError]
}

/// How a server says that it went (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "UPPERCASE")]
enum Rcode {
    /// Well.
    NoError = 0,
    /// It cannot read the question.
    FormErr = 1,
    /// It could not find out.
    ServFail = 2,
    /// There is no such name.
    NxDomain = 3,
    /// It does not answer such questions.
    NotImp = 4,
    /// It does not answer us.
    Refused = 5,
}

impl Check for Dns {
    fn validate(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("`name` is empty; the root is \".\"".into());
        }
        message::encode(&self.name).map_err(|fault| format!("`name` {fault}"))?;
        for expected in &self.expect {
            if !self.can_be(expected) {
                return Err(format!(
                    "`expect` has {expected:?}, which is no address of its type"
                ));
            }
        }
        if self.rcode.is_empty() {
            return Err("`rcode` is empty, so that nothing would be healthy".into());
        }
        if !self.expect.is_empty() && !self.rcode.contains(&Rcode::NoError) {
            return Err("`expect` needs \"NOERROR\" in `rcode`".into());
        }
        Ok(())
    }

    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let question = Question {
            name: &self.name,
            kind: self.kind,
            recursion: self.recursion,
        };
        let message = question
            .message()
            .map_err(|fault| Failure::Fault(format!("config: `name` {fault}")))?;
        let stream = connect_with(&ConnectOptions {
            alpn: vec!["dot".into()],
            defer_tls: false,
        })?;
        let began = clock::elapsed();
        stream.write(&message)?;
        let mut reader = Reader::new(&stream);
        let length = reader.exact(2)?;
        let message = reader.exact(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        let took = clock::elapsed().saturating_sub(began);
        let answer = question
            .answer(&message)
            .map_err(|fault| Error::Protocol(fault.into()))?;
        Ok(match self.judge(&answer) {
            Ok(what) => healthy(format!("{what} in {}.{} ms", took / 1000, took % 1000 / 100)),
            Err(why) => unhealthy(why),
        })
    }
}

impl Dns {
    /// What the answer says; the error is the reason why it is not the right one.
    fn judge(&self, answer: &Answer) -> Result<String, String> {
        let outcome = outcome(answer.rcode);
        if !self.rcode.iter().any(|rcode| *rcode as u8 == answer.rcode) {
            return Err(match explain(answer.rcode) {
                "" => outcome,
                why => format!("{outcome}: {why}"),
            });
        }
        if answer.rcode != Rcode::NoError as u8 {
            return Ok(outcome);
        }
        if answer.records.is_empty() {
            return Err(self.nothing(answer));
        }
        let records = self.list(&answer.records);
        let found = |expected: &String| answer.records.iter().any(|record| self.is_it(expected, record));
        if self.expect.is_empty() || self.expect.iter().any(found) {
            return Ok(records);
        }
        Err(format!("{records}, expected {}", self.list(&self.expect)))
    }

    fn nothing(&self, answer: &Answer) -> String {
        let kind = format!("{:?}", self.kind).to_ascii_uppercase();
        let why = match answer.offers_recursion {
            false if self.recursion => ", and it does not ask others (no recursion)",
            _ => "",
        };
        format!("no {kind} record in the answer{why}")
    }

    /// The first of some records.
    fn list(&self, records: &[String]) -> String {
        let shown: Vec<_> = records
            .iter()
            .take(SHOWN)
            .map(|record| self.show(record))
            .collect();
        match records.len() - shown.len() {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// Texts may be anything; the rest is made of numbers and names.
    fn show(&self, record: &str) -> String {
        match self.kind {
            Kind::Txt => quote(record.as_bytes(), 80),
            _ => record.into(),
        }
    }

    /// Whether a record of the type could read so.
    fn can_be(&self, expected: &str) -> bool {
        match self.kind {
            Kind::A => expected.parse::<Ipv4Addr>().is_ok(),
            Kind::Aaaa => expected.parse::<Ipv6Addr>().is_ok(),
            _ => true,
        }
    }

    fn is_it(&self, expected: &str, record: &str) -> bool {
        match self.kind {
            // The same address can be written in several ways.
            Kind::Aaaa => expected.parse::<Ipv6Addr>() == record.parse(),
            Kind::A | Kind::Txt => expected == record,
            _ => message::is_same(expected, record),
        }
    }
}

/// The name of an outcome.
fn outcome(rcode: u8) -> String {
    let name = match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        _ => return format!("RCODE {rcode}"),
    };
    name.into()
}

/// The same in an operator's words; empty where there are none.
fn explain(rcode: u8) -> &'static str {
    match rcode {
        0 => "it was not expected to know",
        1 => "it cannot read the question",
        2 => "it could not find out",
        3 => "there is no such name",
        4 => "it does not answer such questions",
        5 => "it does not answer us",
        9 => "it does not answer for this zone",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn judged(config: &str, rcode: u8, records: &[&str]) -> Result<String, String> {
        let answer = Answer {
            rcode,
            offers_recursion: false,
            records: records.iter().map(|record| (*record).into()).collect(),
        };
        read::<Dns>(config).unwrap().judge(&answer)
    }

    fn healthy(text: &str) -> Result<String, String> {
        Ok(text.into())
    }

    fn unhealthy(text: &str) -> Result<String, String> {
        Err(text.into())
    }

    #[test]
    fn first_records_are_told() {
        let config = r#"{"name":"a.org"}"#;
        assert_eq!(judged(config, 0, &["192.0.2.1"]), healthy("192.0.2.1"));
        let five = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
        assert_eq!(
            judged(config, 0, &five),
            healthy("192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more")
        );
        assert_eq!(
            judged(r#"{"name":"a.org","type":"TXT"}"#, 0, &["a\nb"]),
            healthy(r#""a\nb""#)
        );
    }

    #[test]
    fn one_of_the_expected_is_enough() {
        let config = r#"{"name":"a.org","expect":["192.0.2.9","192.0.2.1"]}"#;
        assert_eq!(judged(config, 0, &["192.0.2.1"]), healthy("192.0.2.1"));
        assert_eq!(
            judged(config, 0, &["192.0.2.2"]),
            unhealthy("192.0.2.2, expected 192.0.2.9, 192.0.2.1")
        );
        let config = r#"{"name":"a.org","type":"AAAA","expect":["2001:DB8:0::1"]}"#;
        assert!(judged(config, 0, &["2001:db8::1"]).is_ok());
        let config = r#"{"name":"a.org","type":"MX","expect":["10 Mail.a.org."]}"#;
        assert!(judged(config, 0, &["10 mail.a.org"]).is_ok());
        let config = r#"{"name":"a.org","type":"TXT","expect":["A"]}"#;
        assert!(judged(config, 0, &["a"]).is_err());
    }

    #[test]
    fn no_record_is_told_with_its_likely_reason() {
        assert_eq!(
            judged(r#"{"name":"a.org","type":"AAAA"}"#, 0, &[]),
            unhealthy("no AAAA record in the answer, and it does not ask others (no recursion)")
        );
        assert_eq!(
            judged(r#"{"name":"a.org","recursion":false}"#, 0, &[]),
            unhealthy("no A record in the answer")
        );
    }

    #[test]
    fn outcome_is_named_and_can_be_the_right_one() {
        let config = r#"{"name":"a.org"}"#;
        assert_eq!(
            judged(config, 2, &[]),
            unhealthy("SERVFAIL: it could not find out")
        );
        assert_eq!(judged(config, 11, &["192.0.2.1"]), unhealthy("RCODE 11"));
        let config = r#"{"name":"a.org","rcode":["NOERROR","NXDOMAIN"]}"#;
        assert_eq!(judged(config, 3, &[]), healthy("NXDOMAIN"));
        assert!(judged(config, 0, &[]).is_err());
        let config = r#"{"name":"a.org","rcode":["NXDOMAIN"]}"#;
        assert_eq!(
            judged(config, 0, &["192.0.2.1"]),
            unhealthy("NOERROR: it was not expected to know")
        );
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            "{}",
            r#"{"name":""}"#,
            r#"{"name":"a..b"}"#,
            r#"{"name":"a","type":"a"}"#,
            r#"{"name":"a","type":"ANY"}"#,
            r#"{"name":"a","expect":["2001:db8::1"]}"#,
            r#"{"name":"a","type":"AAAA","expect":["192.0.2.1"]}"#,
            r#"{"name":"a","rcode":[]}"#,
            r#"{"name":"a","rcode":["NXDOMAIN"],"expect":["192.0.2.1"]}"#,
            r#"{"name":"a","port":53}"#,
        ] {
            assert!(read::<Dns>(config).is_err(), "{config}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Dns>(env!("CARGO_MANIFEST_DIR"));
    }
}
