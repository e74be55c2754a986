//! Check plugin: the endpoint accepts connections and, if asked to, answers as
//! expected. It knows no protocol of its own; `http` does HTTP.

use catamaran_check::connection::{self, CHUNK};
use catamaran_check::{Check, Failure, Request, Verdict, export, healthy, quote, reason};
use serde::Deserialize;

/// The most bytes read in search of `expect`.
const READ_AT_MOST: usize = 64 * 1024;

/// The check's `config`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct Tcp {
    /// Text to send after connecting.
    send: Option<String>,
    /// Text that must appear in what the endpoint sends.
    #[cfg_attr(test, schemars(length(min = 1)))]
    expect: Option<String>,
}

export!(Tcp);

impl Check for Tcp {
    fn validate(&self) -> Result<(), String> {
        if self.send.as_ref().is_some_and(|send| send.len() > CHUNK) {
            return Err(format!("`send` is over {CHUNK} bytes"));
        }
        if self.expect.as_ref().is_some_and(String::is_empty) {
            return Err("`expect` is empty; leave it out to expect nothing".into());
        }
        Ok(())
    }

    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let stream = connection::connect()?;
        if let Some(send) = &self.send {
            stream.write(send.as_bytes())?;
        }
        let Some(expect) = &self.expect else {
            return Ok(healthy("connected"));
        };
        let mut answer = Answer::new(expect);
        loop {
            match stream.read(4096) {
                Ok(bytes) => {
                    if let Some(verdict) = answer.add(&bytes) {
                        return Ok(verdict);
                    }
                }
                Err(error) => return Ok(answer.ended(&reason(&error))),
            }
        }
    }
}

/// What the endpoint has sent, until it settles the verdict.
struct Answer<'a> {
    expect: &'a str,
    received: Vec<u8>,
}

impl<'a> Answer<'a> {
    fn new(expect: &'a str) -> Self {
        Self {
            expect,
            received: Vec::new(),
        }
    }

    /// Take the next bytes, empty at the end of the connection; the verdict
    /// once there is one.
    fn add(&mut self, bytes: &[u8]) -> Option<Verdict> {
        if bytes.is_empty() {
            return Some(self.ended("connection ended"));
        }
        // The text may straddle two reads, so search from a little before.
        let from = self.received.len().saturating_sub(self.expect.len() - 1);
        self.received.extend_from_slice(bytes);
        let expect = self.expect.as_bytes();
        if self.received[from..]
            .windows(expect.len())
            .any(|window| window == expect)
        {
            return Some(Verdict::Healthy(format!("received {}", quote(expect, 80))));
        }
        (self.received.len() >= READ_AT_MOST).then(|| self.ended("64 KiB read"))
    }

    fn ended(&self, how: &str) -> Verdict {
        let expect = quote(self.expect.as_bytes(), 80);
        Verdict::Unhealthy(if self.received.is_empty() {
            format!("{how}: expected {expect}, received nothing")
        } else {
            format!(
                "{how}: expected {expect}, received {}",
                quote(&self.received, 160)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn unhealthy(verdict: Option<Verdict>) -> String {
        match verdict {
            Some(Verdict::Unhealthy(reason)) => reason,
            other => panic!("not unhealthy: {other:?}"),
        }
    }

    #[test]
    fn text_across_two_reads_is_found() {
        let mut answer = Answer::new("+PONG\r\n");
        assert!(answer.add(b"noise +PO").is_none());
        assert!(matches!(answer.add(b"NG\r\n"), Some(Verdict::Healthy(_))));
    }

    #[test]
    fn other_text_is_unhealthy_and_quoted() {
        let mut answer = Answer::new("+PONG");
        assert!(answer.add(b"-NOAUTH required\r\n").is_none());
        assert_eq!(
            unhealthy(answer.add(b"")),
            r#"connection ended: expected "+PONG", received "-NOAUTH required\r\n""#
        );
    }

    #[test]
    fn silence_is_unhealthy() {
        let answer = Answer::new("SSH-");
        assert_eq!(
            unhealthy(Some(answer.ended("timed out"))),
            r#"timed out: expected "SSH-", received nothing"#
        );
    }

    #[test]
    fn endless_answer_is_given_up() {
        let mut answer = Answer::new("never");
        let mut rounds = 0;
        let verdict = loop {
            rounds += 1;
            if let Some(verdict) = answer.add(&[b'x'; 4096]) {
                break verdict;
            }
        };
        assert_eq!(rounds, 16);
        assert!(unhealthy(Some(verdict)).starts_with("64 KiB read: expected \"never\""));
    }

    #[test]
    fn config_names_its_keys() {
        assert!(read::<Tcp>("{}").is_ok());
        assert_eq!(
            read::<Tcp>(r#"{"receive": "x"}"#).unwrap_err(),
            "config: unknown key `receive`, expected `send` or `expect`"
        );
        assert!(read::<Tcp>(r#"{"expect": ""}"#).is_err());
        assert!(read::<Tcp>(&format!(r#"{{"send": "{}"}}"#, "x".repeat(65_537))).is_err());
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Tcp>(env!("CARGO_MANIFEST_DIR"));
    }
}
