//! Check plugin: an etcd member is well, has a leader and no alarm, and is no
//! learner. It asks the HTTP health paths, and for what these do not tell the
//! JSON gateway, where that is served: not on a `--listen-metrics-urls` port.

use catamaran_check::http::{HttpRequest, Response};
use catamaran_check::{Check, Error, Failure, Request, Verdict, degraded, export, healthy, quote, unhealthy};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct Etcd {
    /// The health path to ask.
    path: Path,
    /// Alarms that leave the member healthy.
    exclude: Vec<Alarm>,
    /// Ask only whether this member itself answers, quorum or not.
    serializable: bool,
    /// Ask the JSON gateway too: it tells of learners, the leader and the version.
    status: bool,
}
export!(Etcd);

impl Default for Etcd {
    fn default() -> Self {
        Self {
            path: Path::Health,
            exclude: Vec::new(),
            serializable: false,
            status: true,
        }
    }
}

/// A health path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
enum Path {
    /// Every version has it.
    #[serde(rename = "/health")]
    Health,
    /// Ready for requests; since 3.4.29 and 3.5.11. Without it `/health` is asked.
    #[serde(rename = "/readyz")]
    Readyz,
    /// Alive, quorum or not; since 3.4.29 and 3.5.11. Without it `/health` is asked.
    #[serde(rename = "/livez")]
    Livez,
}

impl Path {
    fn text(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Readyz => "/readyz",
            Self::Livez => "/livez",
        }
    }
}

/// What etcd raises the alarm for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "UPPERCASE")]
enum Alarm {
    /// The database has reached its quota; writes are refused.
    NoSpace,
    /// Members disagree about the data.
    Corrupt,
}

impl Alarm {
    fn text(self) -> &'static str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        }
    }
}

impl Check for Etcd {
    fn validate(&self) -> Result<(), String> {
        if self.path == Path::Health {
            return Ok(());
        }
        let path = self.path.text();
        if self.serializable {
            return Err(format!(
                "`serializable` is for /health; {path} says by its name what it asks"
            ));
        }
        if !self.exclude.is_empty() {
            return Err(format!(
                "`exclude` names alarms, and those are of /health, not of {path}"
            ));
        }
        Ok(())
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        let mut said = String::new();
        let mut answer = HttpRequest::get(&self.question())
            .send()
            .map_err(|error| hint(error, request))?;
        if answer.status == 404 && self.path != Path::Health {
            said = format!("{} is not there, /health says: ", self.path.text());
            answer = HttpRequest::get("/health").send()?;
        }
        let ill = judge(&answer).err();
        let status = self.status.then(status).flatten();
        let verdict = match (ill, &status) {
            (Some(reason), _) => unhealthy(reason.unwrap_or_else(|| self.cause(status.as_ref()))),
            (None, None) => healthy(format!("HTTP {}", answer.status)),
            (None, Some(status)) => status.judge(self),
        };
        Ok(prefixed(&said, verdict))
    }
}

impl Etcd {
    fn question(&self) -> String {
        match self.path {
            Path::Health => {
                let serializable = self.serializable.then(|| "serializable=true".to_owned());
                let excludes = self
                    .exclude
                    .iter()
                    .map(|alarm| format!("exclude={}", alarm.text()));
                let query: Vec<_> = serializable.into_iter().chain(excludes).collect();
                let mark = if query.is_empty() { "" } else { "?" };
                format!("/health{mark}{}", query.join("&"))
            }
            path => format!("{}?verbose", path.text()),
        }
    }

    /// Why a member is not well that has not said so itself, as 3.4 has not.
    fn cause(&self, status: Option<&Status>) -> String {
        // Who has no leader answers the question for alarms only after seconds,
        // with an error, and the probe's time would be over.
        if status.is_some_and(Status::has_no_leader) {
            return "it has no leader: the quorum is lost, or an election goes on".into();
        }
        let alarms = if self.status { alarms() } else { Vec::new() };
        match alarms.is_empty() {
            true => "it says that it is not healthy, and not why".into(),
            false => format!("alarm {}", alarms.join(", ")),
        }
    }
}

/// What the health paths answer: `Err` with a reason, if one is given.
fn judge(answer: &Response) -> Result<(), Option<String>> {
    /// `/health`; the flag is a text.
    #[derive(Deserialize)]
    struct Health {
        health: String,
        #[serde(default)]
        reason: String,
    }
    let text = answer.text();
    if let Ok(health) = serde_json::from_str::<Health>(&text) {
        let reason = Some(health.reason).filter(|reason| !reason.is_empty());
        return match health.health == "true" && answer.status == 200 {
            true => Ok(()),
            false => Err(reason.map(|reason| explain(&reason))),
        };
    }
    let failed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    match answer.status {
        _ if !failed.is_empty() => Err(Some(format!("failing: {}", failed.join("; ")))),
        200 => Ok(()),
        401 | 403 => Err(Some(format!("HTTP {}: it wants to know who asks", answer.status))),
        status => Err(Some(format!("HTTP {status}: {}", quote(&answer.body, 80)))),
    }
}

/// etcd's own reason, and what it means.
fn explain(reason: &str) -> String {
    let meaning = match reason {
        "RAFT NO LEADER" => ": the quorum is lost, or an election goes on",
        "ALARM NOSPACE" => ": the database has reached its quota; compact, defragment, disarm",
        "ALARM CORRUPT" => ": members disagree about the data",
        _ => "",
    };
    format!("{}{meaning}", quote(reason.as_bytes(), 120))
}

/// `/v3/maintenance/status`; numbers are texts, and what is zero or false is
/// left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    header: Header,
    version: String,
    leader: String,
    #[serde(rename = "isLearner")]
    is_learner: bool,
    errors: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    member_id: String,
}

impl Status {
    fn has_no_leader(&self) -> bool {
        matches!(self.leader.as_str(), "" | "0")
    }

    /// Of a member that is well as far as its health path goes.
    fn judge(&self, config: &Etcd) -> Verdict {
        let text = format!("etcd {}", self.version);
        if self.is_learner {
            return unhealthy(format!(
                "{text}, a learner: it has no vote yet and refuses requests"
            ));
        }
        if self.has_no_leader() && !config.serializable && config.path != Path::Livez {
            return unhealthy(format!("{text}, without a leader"));
        }
        if !self.errors.is_empty() {
            return degraded(format!(
                "{text}, {}",
                quote(self.errors.join(", ").as_bytes(), 120)
            ));
        }
        let role = if self.leader == self.header.member_id {
            "leader"
        } else {
            "follower"
        };
        healthy(format!("{text}, {role}"))
    }
}

/// None where the gateway is not served, or not to us.
fn status() -> Option<Status> {
    gateway("/v3/maintenance/status", "{}")
}

/// The alarms that are raised, of whichever member.
fn alarms() -> Vec<String> {
    #[derive(Deserialize)]
    struct Alarms {
        #[serde(default)]
        alarms: Vec<Raised>,
    }
    #[derive(Deserialize)]
    struct Raised {
        #[serde(default)]
        alarm: String,
    }
    let alarms: Option<Alarms> = gateway("/v3/maintenance/alarm", r#"{"action":"GET"}"#);
    let mut names: Vec<_> = alarms
        .into_iter()
        .flat_map(|alarms| alarms.alarms)
        .map(|raised| raised.alarm)
        .collect();
    names.dedup();
    names
}

fn gateway<T: DeserializeOwned>(path: &str, body: &str) -> Option<T> {
    let request = HttpRequest {
        method: "POST".into(),
        body: body.into(),
        ..HttpRequest::get(path)
    };
    let answer = request.send().ok()?;
    (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok())?
}

fn prefixed(said: &str, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Healthy(text) => Verdict::Healthy(format!("{said}{text}")),
        Verdict::Degraded(text) => Verdict::Degraded(format!("{said}{text}")),
        Verdict::Unhealthy(text) => Verdict::Unhealthy(format!("{said}{text}")),
    }
}

/// Clear text to a TLS port ends the connection without a word.
fn hint(error: Error, request: &Request) -> Error {
    match error {
        Error::Closed | Error::Protocol(_) if !request.endpoint.tls => Error::Protocol(
            "no HTTP answer; where etcd speaks TLS the check needs a `tls` table, often with `client-cert` and `client-key`"
                .into(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: body.into(),
            truncated: false,
        }
    }

    fn reason(status: u16, body: &str) -> String {
        judge(&answer(status, body))
            .unwrap_err()
            .unwrap_or_else(|| "none".into())
    }

    #[test]
    fn health_is_read_in_every_versions_words() {
        assert_eq!(judge(&answer(200, r#"{"health":"true"}"#)), Ok(()));
        assert_eq!(judge(&answer(200, r#"{"health":"true","reason":""}"#)), Ok(()));
        assert_eq!(reason(503, r#"{"health":"false"}"#), "none");
        assert_eq!(
            reason(503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#),
            "\"RAFT NO LEADER\": the quorum is lost, or an election goes on"
        );
        assert!(reason(503, r#"{"health":"false","reason":"ALARM NOSPACE"}"#).contains("quota"));
    }

    #[test]
    fn failing_subchecks_are_named() {
        let body =
            "[+]data_corruption ok\n[-]serializable_read failed: range error\n[+]linearizable_read ok\nok";
        assert_eq!(
            reason(503, body),
            "failing: serializable_read failed: range error"
        );
        assert_eq!(judge(&answer(200, "[+]serializable_read ok\nok\n")), Ok(()));
        assert_eq!(reason(500, "boom"), "HTTP 500: \"boom\"");
    }

    #[test]
    fn status_tells_leader_follower_and_learner() {
        let judged = |json: &str| match serde_json::from_str::<Status>(json)
            .unwrap()
            .judge(&Etcd::default())
        {
            Verdict::Healthy(text) => format!("healthy: {text}"),
            Verdict::Degraded(text) => format!("degraded: {text}"),
            Verdict::Unhealthy(text) => format!("unhealthy: {text}"),
        };
        let member = r#""header":{"member_id":"7"},"version":"3.5.9""#;
        assert_eq!(
            judged(&format!(r#"{{{member},"leader":"7"}}"#)),
            "healthy: etcd 3.5.9, leader"
        );
        assert_eq!(
            judged(&format!(r#"{{{member},"leader":"8"}}"#)),
            "healthy: etcd 3.5.9, follower"
        );
        assert_eq!(
            judged(&format!(r#"{{{member}}}"#)),
            "unhealthy: etcd 3.5.9, without a leader"
        );
        assert!(
            judged(&format!(r#"{{{member},"leader":"8","isLearner":true}}"#))
                .starts_with("unhealthy: etcd 3.5.9, a learner")
        );
        assert!(
            judged(&format!(
                r#"{{{member},"leader":"8","errors":["memberID:7 alarm:NOSPACE"]}}"#
            ))
            .starts_with("degraded")
        );
    }

    #[test]
    fn questions_are_those_that_etcd_knows() {
        let question = |config| read::<Etcd>(config).unwrap().question();
        assert_eq!(question("{}"), "/health");
        assert_eq!(
            question(r#"{"serializable":true,"exclude":["NOSPACE","CORRUPT"]}"#),
            "/health?serializable=true&exclude=NOSPACE&exclude=CORRUPT"
        );
        assert_eq!(question(r#"{"path":"/readyz"}"#), "/readyz?verbose");
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            r#"{"path":"/metrics"}"#,
            r#"{"path":"/readyz","serializable":true}"#,
            r#"{"path":"/livez","exclude":["NOSPACE"]}"#,
            r#"{"exclude":["nospace"]}"#,
            r#"{"verbose":true}"#,
        ] {
            assert!(read::<Etcd>(config).is_err(), "{config}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Etcd>(env!("CARGO_MANIFEST_DIR"));
    }
}
