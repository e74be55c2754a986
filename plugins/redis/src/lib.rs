//! Check plugin: a Redis or Valkey server answers, and has the role that it
//! should have. It asks; it never writes.

mod resp;

use catamaran_check::connection::{Reader, Stream, connect};
use catamaran_check::{Check, Error, Failure, Request, Verdict, degraded, export, healthy, quote, unhealthy};
use serde::Deserialize;

use resp::Reply;

/// The check's `config`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Redis {
    /// User to log in as; goes with `password`. Without it the default user.
    username: Option<String>,
    /// Password; without one nobody logs in.
    password: Option<String>,
    /// The role that the server must have.
    role: Role,
    /// Replicas that a master should have; with fewer it is degraded.
    min_replicas: u32,
}
export!(Redis);

/// A server's role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "kebab-case")]
enum Role {
    /// Whichever it has.
    #[default]
    Any,
    /// It takes writes.
    Master,
    /// It follows a master, and the link to it is up.
    Replica,
}

impl Check for Redis {
    fn validate(&self) -> Result<(), String> {
        if self.username.is_some() && self.password.is_none() {
            return Err("`username` needs `password`".into());
        }
        if self.min_replicas > 0 && self.role == Role::Replica {
            return Err("`min-replicas` is for masters; leave it out with `role = \"replica\"`".into());
        }
        Ok(())
    }

    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let stream = connect()?;
        let mut server = Server {
            reader: Reader::new(&stream),
        };
        if let Some(password) = &self.password {
            let login = match &self.username {
                Some(username) => server.ask(&["AUTH", username, password])?,
                None => server.ask(&["AUTH", password])?,
            };
            if let Reply::Error(error) = login {
                return Ok(unhealthy(explain(&error)));
            }
        }
        match server.ask(&["PING"])? {
            Reply::Text(_) => {}
            Reply::Error(error) => return Ok(unhealthy(explain(&error))),
            other => return Err(strange("PING", &other).into()),
        }
        if self.role == Role::Any && self.min_replicas == 0 {
            return Ok(healthy("PONG"));
        }
        match server.ask(&["ROLE"])? {
            Reply::Error(error) => Ok(unhealthy(explain(&error))),
            reply => Ok(self.judge(&reply).ok_or_else(|| strange("ROLE", &reply))?),
        }
    }
}

impl Redis {
    /// What the answer to `ROLE` means; none where it is none.
    fn judge(&self, reply: &Reply) -> Option<Verdict> {
        let Reply::Array(parts) = reply else { return None };
        match &parts[..] {
            [Reply::Text(role), _, Reply::Array(replicas)] if role == "master" => {
                Some(self.judge_master(replicas.len()))
            }
            [
                Reply::Text(role),
                Reply::Text(host),
                Reply::Integer(port),
                Reply::Text(link),
                ..,
            ] if role == "slave" => Some(self.judge_replica(&format!("{host}:{port}"), link)),
            [Reply::Text(role), ..] if role == "sentinel" => {
                Some(unhealthy("this is a sentinel, which holds no data"))
            }
            _ => None,
        }
    }

    fn judge_master(&self, replicas: usize) -> Verdict {
        if self.role == Role::Replica {
            return unhealthy("is a master, expected a replica");
        }
        let plural = if replicas == 1 { "" } else { "s" };
        let text = format!("master with {replicas} replica{plural}");
        if replicas < self.min_replicas as usize {
            return degraded(format!("{text}, expected {}", self.min_replicas));
        }
        healthy(text)
    }

    /// The link is `connected`, or on its way there: `connect`, `connecting`,
    /// `handshake`, `sync`.
    fn judge_replica(&self, master: &str, link: &str) -> Verdict {
        if self.role == Role::Master {
            return unhealthy(format!("is a replica of {master}, expected a master"));
        }
        match link {
            "connected" => healthy(format!("replica of {master}")),
            link => unhealthy(format!("replica of {master}, but its link is not up ({link})")),
        }
    }
}

/// A connection to a server, in the order of question and answer.
struct Server<'a> {
    reader: Reader<&'a Stream>,
}

impl Server<'_> {
    fn ask(&mut self, words: &[&str]) -> Result<Reply, Error> {
        self.reader.source().write(&resp::command(words))?;
        resp::reply(&mut self.reader)
    }
}

/// An error in an operator's words, behind the server's own.
fn explain(error: &str) -> String {
    let quoted = quote(error.as_bytes(), 160);
    let word = error.split(' ').next().unwrap_or_default();
    let why = match word {
        "LOADING" => "it is still loading its data",
        "MASTERDOWN" => "a replica whose link to its master is down",
        "NOAUTH" => "it wants a password: set `password`",
        "WRONGPASS" => "`username` or `password` is wrong",
        "NOPERM" => "the user may not do this: allow it +ping, and +role for `role` and `min-replicas`",
        "DENIED" => "protected mode: it serves only its own machine",
        "BUSY" => "it runs a script that does not end",
        "MISCONF" => "it cannot save its data",
        _ => return format!("the server refuses: {quoted}"),
    };
    format!("{why}: {quoted}")
}

fn strange(question: &str, reply: &Reply) -> Error {
    let reply = format!("{reply:?}");
    Error::Protocol(format!(
        "{question} was answered with {}",
        quote(reply.as_bytes(), 80)
    ))
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    fn judged(config: &str, reply: Reply) -> String {
        match read::<Redis>(config).unwrap().judge(&reply) {
            Some(Verdict::Healthy(text)) => format!("healthy: {text}"),
            Some(Verdict::Degraded(text)) => format!("degraded: {text}"),
            Some(Verdict::Unhealthy(text)) => format!("unhealthy: {text}"),
            None => "no answer".into(),
        }
    }

    fn master(replicas: usize) -> Reply {
        let replica = || Reply::Array(vec![text("192.0.2.2"), text("6379"), text("14")]);
        let replicas = (0..replicas).map(|_| replica()).collect();
        Reply::Array(vec![text("master"), Reply::Integer(14), Reply::Array(replicas)])
    }

    fn replica(link: &str) -> Reply {
        Reply::Array(vec![
            text("slave"),
            text("192.0.2.1"),
            Reply::Integer(6379),
            text(link),
            Reply::Integer(14),
        ])
    }

    #[test]
    fn role_is_compared_with_the_expected_one() {
        assert_eq!(
            judged(r#"{"role":"master"}"#, master(1)),
            "healthy: master with 1 replica"
        );
        assert_eq!(
            judged(r#"{"role":"replica"}"#, master(0)),
            "unhealthy: is a master, expected a replica"
        );
        assert_eq!(
            judged(r#"{"role":"replica"}"#, replica("connected")),
            "healthy: replica of 192.0.2.1:6379"
        );
        assert_eq!(
            judged(r#"{"role":"master"}"#, replica("connected")),
            "unhealthy: is a replica of 192.0.2.1:6379, expected a master"
        );
        let sentinel = Reply::Array(vec![text("sentinel"), Reply::Array(vec![text("mymaster")])]);
        assert!(judged(r#"{"role":"master"}"#, sentinel).contains("sentinel"));
        assert_eq!(judged(r#"{"role":"master"}"#, Reply::Null), "no answer");
    }

    #[test]
    fn replica_with_its_link_down_is_unhealthy() {
        assert_eq!(
            judged(r#"{"role":"replica"}"#, replica("connect")),
            "unhealthy: replica of 192.0.2.1:6379, but its link is not up (connect)"
        );
    }

    #[test]
    fn master_with_too_few_replicas_is_degraded() {
        assert_eq!(
            judged(r#"{"min-replicas":2}"#, master(1)),
            "degraded: master with 1 replica, expected 2"
        );
        assert_eq!(
            judged(r#"{"min-replicas":2}"#, master(2)),
            "healthy: master with 2 replicas"
        );
    }

    #[test]
    fn errors_are_explained() {
        assert_eq!(
            explain("LOADING Redis is loading the dataset in memory"),
            "it is still loading its data: \"LOADING Redis is loading the dataset in memory\""
        );
        assert!(explain("NOAUTH Authentication required.").contains("set `password`"));
        assert!(explain("ERR what").starts_with("the server refuses: "));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            r#"{"username":"a"}"#,
            r#"{"role":"slave"}"#,
            r#"{"role":"replica","min-replicas":1}"#,
            r#"{"pass":"x"}"#,
        ] {
            assert!(read::<Redis>(config).is_err(), "{config}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Redis>(env!("CARGO_MANIFEST_DIR"));
    }
}
