//! Check plugin: a PostgreSQL server takes connections and is what it should
//! be, primary or standby. Without a password a server that asks for one is
//! alive, as for `pg_isready`; with one the probe logs in and leaves.

mod message;
mod scram;

use catamaran_check::connection::{ConnectOptions, Reader, Stream, connect_with};
use catamaran_check::{Check, Error, Failure, Request, Verdict, clock, export, healthy, quote, unhealthy};
use md5::{Digest, Md5};
use serde::Deserialize;

use message::{Message, Refusal, message, text};
use scram::Scram;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct Postgres {
    /// User to connect as.
    #[cfg_attr(test, schemars(length(min = 1)))]
    user: String,
    /// Its password; without one a server that asks for it counts as alive.
    password: Option<String>,
    /// Database to connect to.
    #[cfg_attr(test, schemars(length(min = 1)))]
    database: String,
    /// What the server must be; other than `any` needs a login.
    target: Target,
}
export!(Postgres);

impl Default for Postgres {
    fn default() -> Self {
        Self {
            user: "catamaran".into(),
            password: None,
            database: "postgres".into(),
            target: Target::Any,
        }
    }
}

/// The words of libpq's `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "kebab-case")]
enum Target {
    /// Whatever it is.
    Any,
    /// Not in recovery.
    Primary,
    /// In recovery: it follows another server.
    Standby,
    /// Sessions may write unless they say otherwise.
    ReadWrite,
    /// Sessions may not write.
    ReadOnly,
}

impl Check for Postgres {
    fn validate(&self) -> Result<(), String> {
        for (key, value) in [("user", &self.user), ("database", &self.database)] {
            if value.is_empty() || value.contains('\0') {
                return Err(format!("`{key}` is empty or has a zero byte"));
            }
        }
        Ok(())
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        let stream = connect_with(&ConnectOptions {
            alpn: Vec::new(),
            defer_tls: true,
        })?;
        if request.endpoint.tls && !secure(&stream)? {
            return Ok(unhealthy(
                "the server does not speak TLS (ssl = off), and the check has a `tls` table",
            ));
        }
        let settings = [
            ("user", self.user.as_str()),
            ("database", &self.database),
            ("application_name", "catamaran"),
        ];
        stream.write(&message::startup(&settings))?;
        let mut session = Session {
            reader: Reader::new(&stream),
            facts: Facts::default(),
        };
        let verdict = match session.log_in(self)? {
            Login::Done => {
                let facts = session.ask_for_the_rest(self.target)?;
                facts.judge(self.target)
            }
            Login::Wanted(how) => self.alive(&format!("it asks for a password ({how})")),
            // It closes the connection itself.
            Login::Refused(refusal) => return Ok(self.refused(&refusal)),
        };
        // Without it the server's log has a line about each probe. Where the
        // server has closed already there is nobody to be told.
        let _ = stream.write(&message(b'X', b""));
        Ok(verdict)
    }
}

/// Whether TLS is spoken from now on.
fn secure(stream: &Stream) -> Result<bool, Error> {
    stream.write(&message::ask_for_tls())?;
    match Reader::new(stream).exact(1)?[..] {
        [b'S'] => stream.start_tls().map(|()| true),
        [b'N'] => Ok(false),
        _ => Err(Error::Protocol(
            "the answer to a request for TLS is not PostgreSQL's".into(),
        )),
    }
}

impl Postgres {
    /// Of a server that would talk to those who may.
    fn alive(&self, how: &str) -> Verdict {
        match self.target {
            Target::Any => healthy(how),
            _ => unhealthy(format!("{how}, so that nobody knows what it is: set `password`")),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Verdict {
        let said = format!("{} {}", refusal.code, quote(refusal.message.as_bytes(), 160));
        let mine = match refusal.code.as_str() {
            // Whoever has no password to show wanted to know no more than this.
            "28000" | "28P01" | "3D000" if self.password.is_none() => {
                return self.alive(&format!("it takes connections, not ours: {said}"));
            }
            "28P01" => "`user` or `password` is wrong",
            "28000" => "`user` may not connect from here (pg_hba.conf)",
            "3D000" => "there is no such `database`",
            "53300" => "all its connections are taken",
            "57P03" => "it takes no connections just now",
            _ => "it refuses",
        };
        unhealthy(format!("{mine}: {said}"))
    }
}

/// How logging in ended.
enum Login {
    Done,
    /// A password is wanted, in this way, and there is none.
    Wanted(&'static str),
    Refused(Refusal),
}

/// What a server says of itself.
#[derive(Debug, Default)]
struct Facts {
    version: String,
    in_recovery: Option<bool>,
    read_only: Option<bool>,
}

struct Session<'a> {
    reader: Reader<&'a Stream>,
    facts: Facts,
}

impl Session<'_> {
    fn log_in(&mut self, config: &Postgres) -> Result<Login, Failure> {
        let mut scram = None;
        loop {
            let message = message::read(&mut self.reader)?;
            match message.kind {
                b'R' => {
                    let asked = message.authentication().ok_or_else(strange)?;
                    if let Some(login) = self.authenticate(asked, config, &mut scram)? {
                        return Ok(login);
                    }
                }
                b'S' => self.facts.note(&message),
                b'E' => return Ok(Login::Refused(message.refusal())),
                b'Z' => return Ok(Login::Done),
                // Keys to cancel with, notices, protocol versions.
                b'K' | b'N' | b'v' => {}
                _ => return Err(strange().into()),
            }
        }
    }

    /// Answer an authentication request; the outcome, where that is one.
    fn authenticate(
        &mut self,
        (kind, rest): (u32, &[u8]),
        config: &Postgres,
        scram: &mut Option<Scram>,
    ) -> Result<Option<Login>, Failure> {
        let how = match kind {
            0 => return Ok(None),
            3 => "in clear text",
            5 => "MD5",
            10 => "SCRAM",
            11 | 12 => "",
            _ => {
                return Err(Failure::Fault(
                    "the server asks for a way to log in that this check has not (GSSAPI, SSPI)".into(),
                ));
            }
        };
        let Some(password) = &config.password else {
            return Ok(Some(Login::Wanted(how)));
        };
        let answer = match (kind, &mut *scram) {
            (3, _) => text(password),
            (5, _) => {
                let salt = rest.first_chunk().ok_or_else(strange)?;
                text(&md5_of(&config.user, password, salt))
            }
            (10, scram) => {
                let scram = scram.insert(Scram::new(password, &nonce()));
                first(scram, rest)?
            }
            (11, Some(scram)) => {
                let challenge = String::from_utf8_lossy(rest);
                scram.last(&challenge).map_err(Error::Protocol)?.into_bytes()
            }
            (12, Some(scram)) if scram.is_server(&String::from_utf8_lossy(rest)) => return Ok(None),
            (12, Some(_)) => {
                return Err(Failure::Fault(
                    "the server does not know the password itself: it is another one".into(),
                ));
            }
            _ => return Err(strange().into()),
        };
        self.reader.source().write(&message(b'p', &answer))?;
        Ok(None)
    }

    /// Servers before 14 do not say by themselves what they are.
    fn ask_for_the_rest(mut self, target: Target) -> Result<Facts, Error> {
        if target == Target::Any || (self.facts.in_recovery.is_some() && self.facts.read_only.is_some()) {
            return Ok(self.facts);
        }
        let question = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')";
        self.reader.source().write(&message(b'Q', &text(question)))?;
        loop {
            let message = message::read(&mut self.reader)?;
            match message.kind {
                b'D' => {
                    self.facts.in_recovery = message.first_column().map(|column| column == b"t");
                    self.facts.read_only = Some(message.body.ends_with(b"on"));
                }
                b'E' => {
                    let refusal = message.refusal();
                    return Err(Error::Protocol(format!("{} {}", refusal.code, refusal.message)));
                }
                b'Z' => return Ok(self.facts),
                b'T' | b'C' | b'N' | b'S' => {}
                _ => return Err(strange()),
            }
        }
    }
}

/// The client's first SCRAM message, when the server takes the mechanism.
fn first(scram: &Scram, offered: &[u8]) -> Result<Vec<u8>, Failure> {
    const MECHANISM: &str = "SCRAM-SHA-256";
    if !offered
        .split(|byte| *byte == 0)
        .any(|name| name == MECHANISM.as_bytes())
    {
        return Err(Failure::Fault(format!("the server does not offer {MECHANISM}")));
    }
    let first = scram.first();
    let length = u32::try_from(first.len()).unwrap_or_default();
    Ok([&text(MECHANISM), &length.to_be_bytes()[..], first.as_bytes()].concat())
}

/// A sandbox has no randomness. A nonce has to be new each time rather than
/// secret: what it protects against is an old answer of the server's.
fn nonce() -> String {
    format!("{:x}.{:x}", clock::now(), clock::elapsed())
}

/// As `MD5` authentication wants it.
fn md5_of(user: &str, password: &str, salt: &[u8; 4]) -> String {
    let hex = |digest: &[u8]| {
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let inner = hex(&Md5::digest(format!("{password}{user}")));
    format!("md5{}", hex(&Md5::digest([inner.as_bytes(), salt].concat())))
}

fn strange() -> Error {
    Error::Protocol("the server says what PostgreSQL does not".into())
}

impl Facts {
    /// Of a `ParameterStatus`.
    fn note(&mut self, message: &Message) {
        let texts = message.texts();
        let [name, value, ..] = &texts[..] else { return };
        match name.as_str() {
            "server_version" => self.version = value.split(' ').next().unwrap_or_default().into(),
            "in_hot_standby" => self.in_recovery = Some(value == "on"),
            "default_transaction_read_only" => self.read_only = Some(value == "on"),
            _ => {}
        }
    }

    fn judge(&self, target: Target) -> Verdict {
        let is = format!("PostgreSQL {}", self.version);
        if target == Target::Any {
            return healthy(is);
        }
        let (Some(standby), Some(read_only)) = (self.in_recovery, self.read_only) else {
            return unhealthy(format!("{is} does not say what it is"));
        };
        let is = match (standby, read_only) {
            (true, _) => format!("{is}, standby"),
            (false, true) => format!("{is}, primary, read-only by default"),
            (false, false) => format!("{is}, primary"),
        };
        let (fits, expected) = match target {
            Target::Any => (true, ""),
            Target::Primary => (!standby, "a primary"),
            Target::Standby => (standby, "a standby"),
            Target::ReadWrite => (!standby && !read_only, "one that takes writes"),
            Target::ReadOnly => (standby || read_only, "one that takes no writes"),
        };
        match fits {
            true => healthy(is),
            false => unhealthy(format!("{is}, expected {expected}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn said(verdict: Verdict) -> String {
        match verdict {
            Verdict::Healthy(text) => format!("healthy: {text}"),
            Verdict::Degraded(text) => format!("degraded: {text}"),
            Verdict::Unhealthy(text) => format!("unhealthy: {text}"),
        }
    }

    fn facts(standby: bool, read_only: bool) -> Facts {
        Facts {
            version: "15.4".into(),
            in_recovery: Some(standby),
            read_only: Some(read_only),
        }
    }

    #[test]
    fn target_is_compared_with_what_the_server_is() {
        use Target::{Primary, ReadOnly, ReadWrite, Standby};
        for (target, standby, read_only, fits) in [
            (Primary, false, true, true),
            (Primary, true, false, false),
            (Standby, true, false, true),
            (Standby, false, false, false),
            (ReadWrite, false, false, true),
            (ReadWrite, false, true, false),
            (ReadWrite, true, false, false),
            (ReadOnly, true, false, true),
            (ReadOnly, false, false, false),
        ] {
            let verdict = facts(standby, read_only).judge(target);
            assert_eq!(
                matches!(verdict, Verdict::Healthy(_)),
                fits,
                "{target:?} {}",
                said(verdict)
            );
        }
        assert_eq!(
            said(facts(true, false).judge(Primary)),
            "unhealthy: PostgreSQL 15.4, standby, expected a primary"
        );
    }

    #[test]
    fn refusal_is_life_to_those_without_a_password() {
        let refusal = |code: &str| Refusal {
            code: code.into(),
            message: "no".into(),
        };
        let anyone = read::<Postgres>("{}").unwrap();
        assert_eq!(
            said(anyone.refused(&refusal("28000"))),
            "healthy: it takes connections, not ours: 28000 \"no\""
        );
        assert!(
            said(anyone.refused(&refusal("57P03")))
                .starts_with("unhealthy: it takes no connections just now")
        );
        assert!(
            said(anyone.refused(&refusal("53300"))).starts_with("unhealthy: all its connections are taken")
        );
        let primary = read::<Postgres>(r#"{"target":"primary"}"#).unwrap();
        assert!(said(primary.alive("it asks for a password (MD5)")).contains("set `password`"));
        let known = read::<Postgres>(r#"{"password":"x"}"#).unwrap();
        assert!(
            said(known.refused(&refusal("28P01"))).starts_with("unhealthy: `user` or `password` is wrong")
        );
    }

    /// What `printf` and `md5sum` make of it.
    #[test]
    fn md5_is_of_a_digest_and_the_salt() {
        assert_eq!(
            md5_of("joe", "secret", &[1, 2, 3, 4]),
            "md5850be429f1fe77df3f603ac424abb440"
        );
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            r#"{"user":""}"#,
            r#"{"database":"a\u0000b"}"#,
            r#"{"target":"master"}"#,
            r#"{"host":"x"}"#,
        ] {
            assert!(read::<Postgres>(config).is_err(), "{config}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Postgres>(env!("CARGO_MANIFEST_DIR"));
    }
}
