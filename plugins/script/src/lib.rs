//! Check plugin: a conversation in steps, over TCP or TLS. It is the home of
//! HAProxy's `tcp-check` sequences.

mod step;

use catamaran_check::connection::{ConnectOptions, Stream, connect_with};
use catamaran_check::log::{Level, log};
use catamaran_check::{Check, Error, Failure, Request, Verdict, export, healthy, quote, reason, unhealthy};
use serde::Deserialize;

use step::{Action, Connect, Step, Wanted};

/// The most bytes that are kept in search of what is expected.
const MOST: usize = 64 * 1024;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Script {
    /// What to do, in order. A connection is there unless the first step opens one.
    #[cfg_attr(test, schemars(length(min = 1)))]
    steps: Vec<Step>,
}
export!(Script);

impl Check for Script {
    fn validate(&self) -> Result<(), String> {
        if self.steps.is_empty() {
            return Err("`steps` is empty; a check that only connects is `tcp`".into());
        }
        for (place, step) in self.steps.iter().enumerate() {
            step.action()
                .map_err(|fault| format!("`steps`: {}: {fault}", step.name(place)))?;
        }
        Ok(())
    }

    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let mut talk = None;
        for (place, step) in self.steps.iter().enumerate() {
            let name = step.name(place);
            // A time-out ends the probe from outside; this is how far it came.
            log(Level::Debug, &name);
            let action = step.action().map_err(Failure::Fault)?;
            if let Err(why) = perform(&action, &mut talk) {
                return Ok(unhealthy(format!("{name}: {why}")));
            }
        }
        let steps = self.steps.len();
        Ok(healthy(format!(
            "{steps} step{}",
            if steps == 1 { "" } else { "s" }
        )))
    }
}

/// Carry out one step; the text says why it failed.
fn perform(action: &Action, talk: &mut Option<Talk>) -> Result<(), String> {
    if let Action::Connect(how) = action {
        *talk = Some(Talk::begin(how)?);
        return Ok(());
    }
    let talk = match talk {
        Some(talk) => talk,
        None => talk.insert(Talk::begin(&Connect::default())?),
    };
    match action {
        Action::Connect(_) => Ok(()),
        Action::StartTls => talk.stream.start_tls().map_err(|error| reason(&error)),
        Action::Send(bytes) => talk.send(bytes),
        Action::Expect(wanted) => talk.expect(wanted),
        Action::ExpectNot { unwanted, until } => talk.expect_not(unwanted, until),
        Action::ExpectEnd => talk.expect_end(),
        Action::Shutdown => talk.stream.shutdown().map_err(|error| reason(&error)),
    }
}

/// A connection, and what came and was not asked for yet.
struct Talk {
    stream: Stream,
    heard: Heard,
}

impl Talk {
    fn begin(how: &Connect) -> Result<Self, String> {
        let stream = connect_with(&ConnectOptions {
            alpn: how.alpn.clone(),
            defer_tls: how.defer_tls,
        });
        Ok(Self {
            stream: stream.map_err(|error| reason(&error))?,
            heard: Heard::default(),
        })
    }

    fn send(&self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write(bytes).map_err(|error| reason(&error))
    }

    fn expect(&mut self, wanted: &Wanted) -> Result<(), String> {
        while !self.heard.take_through(wanted) {
            self.more().map_err(|how| self.heard.missed(wanted, &how))?;
        }
        Ok(())
    }

    fn expect_not(&mut self, unwanted: &Wanted, until: &Wanted) -> Result<(), String> {
        loop {
            if let Some(answer) = self.heard.take(until) {
                return match unwanted.find(&answer) {
                    None => Ok(()),
                    Some(_) => Err(format!("received {}", quote(&answer, 160))),
                };
            }
            self.more().map_err(|how| self.heard.missed(until, &how))?;
        }
    }

    fn expect_end(&mut self) -> Result<(), String> {
        while self.heard.0.is_empty() {
            match self.stream.read(4096) {
                Ok(bytes) if bytes.is_empty() => return Ok(()),
                Ok(bytes) => self.heard.0.extend(bytes),
                Err(Error::Closed) => return Ok(()),
                Err(error) => return Err(reason(&error)),
            }
        }
        Err(format!(
            "the connection goes on, received {}",
            quote(&self.heard.0, 160)
        ))
    }

    /// Wait for more; why there is none.
    fn more(&mut self) -> Result<(), String> {
        if self.heard.0.len() >= MOST {
            return Err("64 KiB read".into());
        }
        match self.stream.read(4096) {
            Ok(bytes) if bytes.is_empty() => Err("connection ended".into()),
            Ok(bytes) => {
                self.heard.0.extend(bytes);
                Ok(())
            }
            Err(error) => Err(reason(&error)),
        }
    }
}

/// Bytes that came and were not taken.
#[derive(Default)]
struct Heard(Vec<u8>);

impl Heard {
    /// Take all up to the end of what is wanted, if it is there.
    fn take(&mut self, wanted: &Wanted) -> Option<Vec<u8>> {
        let found = wanted.find(&self.0)?;
        Some(self.0.drain(..found.end).collect())
    }

    fn take_through(&mut self, wanted: &Wanted) -> bool {
        self.take(wanted).is_some()
    }

    fn missed(&self, wanted: &Wanted, how: &str) -> String {
        match self.0.is_empty() {
            true => format!("{how}: expected {wanted}, received nothing"),
            false => format!("{how}: expected {wanted}, received {}", quote(&self.0, 160)),
        }
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn refused(steps: &str) -> String {
        read::<Script>(&format!(r#"{{"steps":{steps}}}"#)).expect_err(steps)
    }

    #[test]
    fn answers_are_taken_in_turn() {
        let mut heard = Heard(b"220 mail ready\r\n250-mail\r\n250 STARTTLS\r\n".to_vec());
        assert!(heard.take_through(&Wanted::Text(b"220 ".to_vec())));
        assert_eq!(
            heard.take(&Wanted::Text(b"\n".to_vec())).unwrap(),
            b"mail ready\r\n"
        );
        let pattern = Wanted::pattern("(?m)^250 .*TLS").unwrap();
        assert!(heard.take_through(&pattern));
        assert_eq!(heard.0, b"\r\n");
        assert_eq!(
            heard.missed(&pattern, "connection ended"),
            r#"connection ended: expected what matches (?m)^250 .*TLS, received "\r\n""#
        );
    }

    #[test]
    fn wrong_steps_are_named() {
        assert_eq!(
            refused("[]"),
            "config: `steps` is empty; a check that only connects is `tcp`"
        );
        assert_eq!(
            refused(r#"[{"send":"x"},{"comment":"the banner"}]"#),
            "config: `steps`: step 2 (the banner): it says nothing to do"
        );
        assert!(
            refused(r#"[{"send":"x","expect":"y"}]"#)
                .contains("step 1: it says two things to do: send, expect")
        );
        assert!(refused(r#"[{"send-hex":"5"}]"#).contains("hexadecimal"));
        assert!(refused(r#"[{"expect-regex":"("}]"#).contains("step 1"));
        assert!(refused(r#"[{"expect":""}]"#).contains("empty"));
        assert!(refused(r#"[{"start-tls":false}]"#).contains("true"));
        assert!(refused(r#"[{"send":"x","until":"y"}]"#).contains("`until`"));
        assert!(refused(r#"[{"wait":1}]"#).contains("unknown key `wait`"));
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Script>(env!("CARGO_MANIFEST_DIR"));
    }
}
