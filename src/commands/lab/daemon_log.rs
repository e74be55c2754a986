//! What a load balancer's log says, as `catamaran run --log-format json` writes it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A change of what the daemon believes of an endpoint.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it was decided.
    pub at: SystemTime,
    /// The endpoint.
    pub endpoint: String,
    /// Up or down.
    pub up: bool,
    /// Probes that it took.
    pub probes: u64,
    /// What the last of them found.
    pub cause: String,
    /// The same for people.
    pub detail: String,
}

/// A virtual router came into another state.
#[derive(Clone, Debug)]
pub struct Transition {
    /// When it was decided.
    pub at: SystemTime,
    /// `active`, `backup`, `fault` or `initialize`.
    pub to: String,
    /// The cause, for people.
    pub why: String,
}

/// Where connections went, by the client's end of each, in the order of their
/// ends: the same port serves again a few seconds later.
#[derive(Clone, Default)]
pub struct Connections(HashMap<SocketAddr, Vec<(SystemTime, String)>>);

impl Connections {
    /// The endpoint of the connection that `client` began at this moment or
    /// soon after, once it has ended.
    pub fn endpoint(&self, client: SocketAddr, began: SystemTime) -> Option<&str> {
        let ended = self.0.get(&client)?;
        let (_, endpoint) = ended.iter().find(|(at, _)| *at >= began)?;
        Some(endpoint)
    }

    /// Those of both.
    pub fn and(mut self, other: Self) -> Self {
        for (client, ended) in other.0 {
            let all = self.0.entry(client).or_default();
            all.extend(ended);
            all.sort();
        }
        self
    }
}

/// What the log has told so far, over all lives of the daemon.
#[derive(Default)]
pub struct Told {
    /// Changes of endpoints.
    pub changes: Vec<Change>,
    /// Changes of the virtual router.
    pub transitions: Vec<Transition>,
    /// The daemon of this moment is Active.
    pub active: bool,
    /// Where connections went.
    pub connections: Connections,
    /// The daemon accepts connections.
    pub ready: bool,
    /// Lines that were no JSON or of level ERROR: why it did not start, say.
    pub complaints: Vec<String>,
    /// The last line, whatever it was.
    pub last: String,
    /// The log has ended.
    pub over: bool,
}

impl Told {
    /// A daemon starts.
    pub fn begin(&mut self) {
        self.active = false;
        self.ready = false;
        self.over = false;
    }

    /// Its log has ended.
    pub fn end(&mut self) {
        self.active = false;
        self.over = true;
    }

    /// A line of its log.
    pub fn take(&mut self, line: &str) {
        line.clone_into(&mut self.last);
        let Ok(line_) = serde_json::from_str::<Value>(line) else {
            return self.complaints.push(line.to_string());
        };
        let fields = &line_["fields"];
        let text = |key: &str| fields[key].as_str().unwrap_or_default().to_string();
        let message = text("message");
        let Some(at) = line_["timestamp"].as_str().and_then(parse_timestamp) else {
            return self.complaints.push(line.to_string());
        };
        match message.as_str() {
            "endpoint is up" | "endpoint is down" => {
                self.changes.push(Change {
                    at,
                    endpoint: text("endpoint"),
                    up: message == "endpoint is up",
                    probes: fields["probes"].as_u64().unwrap_or_default(),
                    cause: text("cause"),
                    detail: text("detail"),
                });
            }
            "connection" => {
                if let Ok(client) = text("client").parse() {
                    let ended = self.connections.0.entry(client).or_default();
                    ended.push((at, text("endpoint")));
                }
            }
            "active" | "backup" | "fault" | "initialize" if fields["virtual_router"].is_string() => {
                self.active = message == "active";
                let (to, why) = (message, text("why"));
                self.transitions.push(Transition { at, to, why });
            }
            "ready" => self.ready = true,
            _ if line_["level"] == "ERROR" => self.complaints.push(line.to_string()),
            _ => {}
        }
    }
}

/// RFC 3339 as the log writes it: UTC, with or without a fraction.
fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let numbers = |text: &str, separator| {
        text.split(separator)
            .map(|part| part.parse().ok())
            .collect::<Option<Vec<u64>>>()
    };
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let [hour, minute, second] = numbers(time, ':')?.try_into().ok()?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || fraction.len() > 9 {
        return None;
    }
    // Howard Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<u128> {
        parse_timestamp(text).map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_micros())
    }

    #[test]
    fn timestamp_is_the_moment_it_names() {
        assert_eq!(micros("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(micros("2000-02-29T12:00:00Z"), Some(951_825_600_000_000));
        assert_eq!(micros("2026-11-23T20:03:33.123456Z"), Some(1_795_464_213_123_456));
        assert_eq!(micros("2100-03-01T00:00:00.5Z"), Some(4_107_542_400_500_000));
    }

    #[test]
    fn what_is_no_timestamp_is_none() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T20:03:33",
            "2026-13-23T20:03:33Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn log_lines_tell_changes_and_where_connections_went() {
        let mut told = Told::default();
        for line in [
            r#"{"timestamp":"1970-01-01T00:00:01.000000Z","level":"WARN","fields":{"message":"endpoint is down","pool":"apiserver","endpoint":"master1","cause":"status","detail":"500","probes":3},"target":"catamaran"}"#,
            r#"{"timestamp":"1970-01-01T00:00:02.000000Z","level":"INFO","fields":{"message":"connection","client":"192.0.2.1:5","endpoint":"master2"}}"#,
            r#"{"timestamp":"1970-01-01T00:00:04.000000Z","level":"INFO","fields":{"message":"connection","client":"192.0.2.1:5","endpoint":"master3"}}"#,
            "error: no such file",
        ] {
            told.take(line);
        }
        let [change] = &told.changes[..] else {
            panic!("{:?}", told.changes)
        };
        assert_eq!(
            (change.endpoint.as_str(), change.up, change.probes),
            ("master1", false, 3)
        );
        assert_eq!(change.at, UNIX_EPOCH + Duration::from_secs(1));
        let client = "192.0.2.1:5".parse().unwrap();
        let began_at = |second| {
            let began = UNIX_EPOCH + Duration::from_secs(second);
            told.connections.endpoint(client, began)
        };
        assert_eq!(
            [1, 3, 5].map(began_at),
            [Some("master2"), Some("master3"), None],
            "a port that is used again"
        );
        assert_eq!(told.complaints, ["error: no such file"]);
    }

    #[test]
    fn log_lines_tell_states_and_their_causes() {
        let mut told = Told::default();
        for line in [
            r#"{"timestamp":"1970-01-01T00:00:01.000000Z","level":"INFO","fields":{"message":"backup","virtual_router":"apiserver","from":"initialize","priority":100,"why":"started"},"target":"catamaran"}"#,
            r#"{"timestamp":"1970-01-01T00:00:02.000000Z","level":"INFO","fields":{"message":"active","virtual_router":"apiserver","from":"backup","priority":100,"why":"211.183.3.251 left"},"target":"catamaran"}"#,
        ] {
            told.take(line);
        }
        assert!(told.active);
        let [_, last] = &told.transitions[..] else {
            panic!("{:?}", told.transitions)
        };
        assert_eq!(
            (last.to.as_str(), last.why.as_str()),
            ("active", "211.183.3.251 left")
        );
        assert_eq!(last.at, UNIX_EPOCH + Duration::from_secs(2));
        told.end();
        assert!(!told.active);
    }

    #[test]
    fn connections_of_two_logs_are_in_the_order_of_their_ends() {
        let client = "192.0.2.1:5".parse().unwrap();
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let log = |ends: &[(u64, &str)]| {
            let ends = ends
                .iter()
                .map(|(second, name)| (at(*second), (*name).to_string()));
            Connections(HashMap::from([(client, ends.collect())]))
        };
        let both = log(&[(2, "master2"), (6, "master3")]).and(log(&[(4, "master1")]));
        assert_eq!(
            [1, 3, 5].map(|second| both.endpoint(client, at(second))),
            [Some("master2"), Some("master1"), Some("master3")]
        );
    }
}
