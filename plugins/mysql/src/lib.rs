//! Check plugin: a MySQL or MariaDB server greets, and is of the version that
//! it should be.
//!
//! Nobody logs in, and yet the probe does not leave after the greeting. A
//! server counts handshakes that are broken off, and after
//! `max_connect_errors` of them in a row (100 unless told) it blocks the host
//! they came from, with all the clients that a balancer brings from there. A
//! user who is not let in does not count. So the probe answers as the user
//! `catamaran` without a password, hears that access is denied, and is content.
//!
//! Servers that log denied users have a line about each probe, and MySQL's
//! plugin `connection_control` makes them wait, up to the probe's timeout.
//! `CREATE USER catamaran@'…'` without password and rights ends both: the
//! probe is then let in, and takes its leave with `COM_QUIT`.

mod packet;
mod version;

use catamaran_check::connection::{ConnectOptions, Reader, Stream, connect_with};
use catamaran_check::{Check, Error, Failure, Request, Verdict, degraded, export, healthy, quote, unhealthy};
use serde::Deserialize;

use packet::{Greeting, Refusal, packet};

/// Whom the probe says it is.
const USER: &str = "catamaran";

/// How often a server may ask for a password in yet another way.
const MOST_ROUNDS: usize = 4;

/// `COM_QUIT`, the first packet of an exchange of its own.
const QUIT: u8 = 1;

/// The check's `config`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct Mysql {
    /// What the server's version should begin with, number by number: `8.0`,
    /// `10.11-MariaDB`. With another one it is degraded.
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)*(-.*)?$")))]
    version: Option<String>,
}
export!(Mysql);

impl Check for Mysql {
    fn validate(&self) -> Result<(), String> {
        match &self.version {
            Some(expected) if !version::is_sound(expected) => {
                Err("`version` begins with numbers, such as \"8.0\" or \"10.11-MariaDB\"".into())
            }
            _ => Ok(()),
        }
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        let stream = connect_with(&ConnectOptions {
            alpn: Vec::new(),
            defer_tls: true,
        })?;
        let first = packet::read(&mut Reader::new(&stream))?;
        if let Some(refusal) = first.refusal()? {
            return Ok(unhealthy(explain(&refusal)));
        }
        let greeting = Greeting::read(&first.body)?;
        let mut number = first.number.wrapping_add(1);
        let is_secure = request.endpoint.tls && greeting.offers_tls();
        if is_secure {
            stream.write(&packet(number, &greeting.ask_for_tls()))?;
            stream.start_tls()?;
            number = number.wrapping_add(1);
        }
        let answer = packet(number, &greeting.answer(USER, is_secure));
        let refusal = if greeting.takes_answers() {
            leave(&stream, &answer)?
        } else {
            None
        };
        Ok(match refusal {
            Some(refusal) if is_of_the_server(&refusal) => unhealthy(explain(&refusal)),
            // Said in the end, since a handshake that is broken off counts.
            _ if is_secure != request.endpoint.tls => {
                unhealthy("the server does not speak TLS (have_ssl), and the check has a `tls` table")
            }
            _ => self.judge(&greeting.version),
        })
    }
}

impl Mysql {
    fn judge(&self, version: &str) -> Verdict {
        let version = version::unmasked(version);
        match &self.version {
            Some(expected) if !version::fits(expected, version) => {
                degraded(format!("{version}, expected {expected}"))
            }
            _ => healthy(version),
        }
    }
}

/// End the handshake as one who has no password, and say what the server has
/// against that, if anything.
fn leave(stream: &Stream, answer: &[u8]) -> Result<Option<Refusal>, Error> {
    stream.write(answer)?;
    let mut reader = Reader::new(stream);
    for _ in 0..MOST_ROUNDS {
        let said = packet::read(&mut reader)?;
        if let Some(refusal) = said.refusal()? {
            return Ok(Some(refusal));
        }
        match said.body[0] {
            // OK. That nobody hears the farewell is no matter.
            0 => {
                let _ = stream.write(&packet(0, &[QUIT]));
                return Ok(None);
            }
            // AuthSwitchRequest, AuthMoreData: there is nothing to show.
            0xfe | 1 => stream.write(&packet(said.number.wrapping_add(1), &[]))?,
            _ => {
                return Err(Error::Protocol(
                    "the answer to a user's name is not MySQL's".into(),
                ));
            }
        }
    }
    Ok(None)
}

/// Whether others than our user would be refused, too.
fn is_of_the_server(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        1037 | 1038 | 1040 | 1041 | 1053 | 1129 | 1130 | 1135
    )
}

/// A refusal in an operator's words, before the server's own.
fn explain(refusal: &Refusal) -> String {
    let why = match refusal.code {
        1037 | 1038 | 1041 => "it is out of memory",
        1040 => "all its connections are taken (max_connections)",
        1053 => "it shuts down",
        1129 => "it blocks this host after too many broken handshakes (max_connect_errors)",
        1130 => "it lets nobody in from this host",
        1135 => "it cannot start a thread",
        _ => "it refuses",
    };
    format!("{why}: {} {}", refusal.code, quote(&refusal.message, 160))
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn refusal(code: u16, message: &str) -> Refusal {
        Refusal {
            code,
            message: message.into(),
        }
    }

    fn judged(config: &str, version: &str) -> String {
        match read::<Mysql>(config).unwrap().judge(version) {
            Verdict::Healthy(text) => format!("healthy: {text}"),
            Verdict::Degraded(text) => format!("degraded: {text}"),
            Verdict::Unhealthy(text) => format!("unhealthy: {text}"),
        }
    }

    #[test]
    fn version_is_told_and_compared() {
        assert_eq!(judged("{}", "8.0.36"), "healthy: 8.0.36");
        assert_eq!(judged(r#"{"version":"8.0"}"#, "8.0.36"), "healthy: 8.0.36");
        assert_eq!(
            judged(r#"{"version":"8.4"}"#, "8.0.36"),
            "degraded: 8.0.36, expected 8.4"
        );
        assert_eq!(
            judged(r#"{"version":"10.11-MariaDB"}"#, "5.5.5-10.11.6-MariaDB-log"),
            "healthy: 10.11.6-MariaDB-log"
        );
    }

    #[test]
    fn refusals_are_explained_with_number_and_words() {
        assert_eq!(
            explain(&refusal(1040, "Too many connections")),
            "all its connections are taken (max_connections): 1040 \"Too many connections\""
        );
        assert_eq!(explain(&refusal(1159, "a\nb")), "it refuses: 1159 \"a\\nb\"");
    }

    #[test]
    fn only_what_the_server_lacks_is_held_against_it() {
        assert!(is_of_the_server(&refusal(1040, "")) && is_of_the_server(&refusal(1053, "")));
        // Access denied; a limit of the user's; TLS is required.
        for code in [1045, 1203, 3159] {
            assert!(!is_of_the_server(&refusal(code, "")), "{code}");
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            r#"{"version":""}"#,
            r#"{"version":"MariaDB"}"#,
            r#"{"version":8}"#,
            r#"{"user":"x"}"#,
        ] {
            assert!(read::<Mysql>(config).is_err(), "{config}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Mysql>(env!("CARGO_MANIFEST_DIR"));
    }
}
