//! Check plugin: a Kubernetes apiserver says that it is well.
//!
//! It asks one of the health paths every apiserver has, without credentials of
//! its own, and explains the answers that puzzle people: which subcheck fails,
//! anonymous access switched off, clear text sent to an HTTPS port.

use catamaran_check::http::{HttpRequest, Response};
use catamaran_check::{Check, Error, Failure, Request, Verdict, export, quote, reason};
use serde::Deserialize;

/// A full verbose answer has some 50 lines of 50 bytes; this leaves room.
const BODY_AT_MOST: u32 = 64 * 1024;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct ApiserverHealthz {
    /// `/healthz`, `/livez` or `/readyz`, or one subcheck such as `/livez/ping`.
    #[cfg_attr(
        test,
        schemars(regex(pattern = "^/(healthz|livez|readyz)(/[A-Za-z0-9_./-]+)?$"))
    )]
    path: String,
    /// Subchecks to leave out, such as `etcd`.
    exclude: Vec<String>,
    /// Ask for the list of subchecks even when all is well; it tells of an
    /// `exclude` that excludes nothing.
    verbose: bool,
}

export!(ApiserverHealthz);

impl Default for ApiserverHealthz {
    fn default() -> Self {
        Self {
            path: "/healthz".into(),
            exclude: Vec::new(),
            verbose: true,
        }
    }
}

impl Check for ApiserverHealthz {
    fn validate(&self) -> Result<(), String> {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        if !query.is_empty() || self.path.ends_with('?') {
            return Err("`path` has a query; use the keys `exclude` and `verbose` instead".into());
        }
        let subcheck = ["/healthz", "/livez", "/readyz"]
            .iter()
            .find_map(|base| path.strip_prefix(base))
            .filter(|rest| rest.is_empty() || rest.strip_prefix('/').is_some_and(name))
            .ok_or_else(|| {
                format!(
                    "`path` is {}; an apiserver has /healthz, /livez and /readyz, and subchecks such as /livez/ping",
                    quote(path.as_bytes(), 60)
                )
            })?;
        if let Some(bad) = self.exclude.iter().find(|exclude| !name(exclude)) {
            return Err(format!(
                "`exclude` has {}; it lists names of subchecks such as \"etcd\"",
                quote(bad.as_bytes(), 60)
            ));
        }
        if !subcheck.is_empty() && !self.exclude.is_empty() {
            return Err(format!(
                "`exclude` does nothing with one subcheck as `path` ({path})"
            ));
        }
        Ok(())
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        Ok(match self.request().send() {
            Ok(response) => judge(&response),
            Err(error) => Verdict::Unhealthy(self.failure(&error, request)),
        })
    }
}

impl ApiserverHealthz {
    fn request(&self) -> HttpRequest {
        let verbose = self.verbose.then(|| "verbose".to_owned());
        let excludes = self.exclude.iter().map(|exclude| format!("exclude={exclude}"));
        let query: Vec<_> = verbose.into_iter().chain(excludes).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        HttpRequest {
            method: "GET".into(),
            path: format!("{}{mark}{}", self.path, query.join("&")),
            headers: Vec::new(),
            body: Vec::new(),
            max_body: BODY_AT_MOST,
        }
    }

    fn failure(&self, error: &Error, request: &Request) -> String {
        let mut text = reason(error);
        // Measured: a three-member cluster without quorum answers after 4 s.
        if matches!(error, Error::TimedOut) && self.path == "/readyz" && request.timeout_ms < 5_000 {
            text.push_str("; when etcd has lost its quorum, /readyz answers only after about 4 s");
        }
        if matches!(error, Error::Protocol(_) | Error::Closed) && !request.endpoint.tls {
            text.push_str(HTTPS);
        }
        text
    }
}

const HTTPS: &str = "; an apiserver speaks HTTPS and the check has no `tls` table: add one, for example `tls = { verify = false }`";

/// A subcheck's name: `etcd`, `poststarthook/start-apiextensions-informers`.
fn name(text: &str) -> bool {
    !text.is_empty()
        && text
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

fn judge(response: &Response) -> Verdict {
    let body = String::from_utf8_lossy(&response.body);
    let answer = Answer::read(&body);
    match response.status {
        200 if !answer.failed.is_empty() => {
            Verdict::Unhealthy(format!("HTTP 200, but with failing subchecks: {}", list(&answer.failed)))
        }
        200 => match answer.warning {
            // The operator believes that a subcheck is left out; it is not.
            Some(warning) => Verdict::Degraded(format!("HTTP 200, {warning}")),
            None => Verdict::Healthy("HTTP 200".into()),
        },
        status @ (401 | 403) => Verdict::Unhealthy(format!(
            "HTTP {status}: anonymous health access is off (--anonymous-auth=false or an authentication configuration): \
             allow anonymous requests to the health paths, give the check a client certificate in `tls`, \
             or use a `tcp` or `tls-handshake` check"
        )),
        400 if body.contains("HTTP request to an HTTPS server") => {
            Verdict::Unhealthy(format!("HTTP 400{HTTPS}"))
        }
        404 => Verdict::Unhealthy(
            "HTTP 404: no such health path or subcheck; is it an apiserver? (/livez and /readyz came with Kubernetes 1.16)"
                .into(),
        ),
        429 => Verdict::Unhealthy("HTTP 429: the apiserver is turning requests away".into()),
        status if !answer.failed.is_empty() => {
            Verdict::Unhealthy(format!("HTTP {status}: failing: {}", list(&answer.failed)))
        }
        status if body.trim().is_empty() => Verdict::Unhealthy(format!("HTTP {status}")),
        status => Verdict::Unhealthy(format!("HTTP {status}: {}", quote(body.trim().as_bytes(), 160))),
    }
}

/// What a verbose answer says.
struct Answer<'a> {
    /// Names of the subchecks that fail, in the apiserver's order.
    failed: Vec<&'a str>,
    /// A complaint about the request itself.
    warning: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// Lines are `[+]etcd ok`, `[+]etcd excluded: ok`, `[-]etcd failed: reason
    /// withheld`, and `warn: some health checks cannot be excluded: …`.
    fn read(body: &'a str) -> Self {
        let failed = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("[-]"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let warning = body.lines().find_map(|line| line.trim().strip_prefix("warn: "));
        Self { failed, warning }
    }
}

/// The first few names; an apiserver that starts up has dozens failing.
fn list(names: &[&str]) -> String {
    const SHOWN: usize = 6;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;
    use catamaran_check::Endpoint;

    fn answer(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: body.into(),
            truncated: false,
        }
    }

    fn unhealthy(status: u16, body: &str) -> String {
        match judge(&answer(status, body)) {
            Verdict::Unhealthy(reason) => reason,
            other => panic!("not unhealthy: {other:?}"),
        }
    }

    fn path(config: &str) -> String {
        read::<ApiserverHealthz>(config).unwrap().request().path
    }

    const WELL: &str = "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]poststarthook/start-kube-apiserver-admission-initializer ok\nhealthz check passed\n";
    const NO_ETCD: &str =
        "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[+]shutdown ok\nhealthz check failed\n";

    #[test]
    fn request_carries_verbose_and_excludes() {
        assert_eq!(path("{}"), "/healthz?verbose");
        assert_eq!(path(r#"{"path": "/livez", "verbose": false}"#), "/livez");
        assert_eq!(
            path(r#"{"path": "/readyz", "exclude": ["etcd", "poststarthook/rbac/bootstrap-roles"]}"#),
            "/readyz?verbose&exclude=etcd&exclude=poststarthook/rbac/bootstrap-roles"
        );
        assert_eq!(path(r#"{"path": "/livez/ping"}"#), "/livez/ping?verbose");
    }

    #[test]
    fn ok_is_healthy_verbose_or_not() {
        assert!(matches!(judge(&answer(200, "ok")), Verdict::Healthy(text) if text == "HTTP 200"));
        assert!(matches!(judge(&answer(200, WELL)), Verdict::Healthy(_)));
    }

    #[test]
    fn failing_subchecks_are_named() {
        assert_eq!(unhealthy(500, NO_ETCD), "HTTP 500: failing: etcd");
        let many: String = (0..9)
            .map(|i| format!("[-]poststarthook/hook-{i} failed: reason withheld\n"))
            .collect();
        assert!(unhealthy(500, &many).ends_with("poststarthook/hook-5 and 3 more"));
    }

    #[test]
    fn plain_500_is_unhealthy() {
        assert_eq!(unhealthy(500, ""), "HTTP 500");
        assert_eq!(
            unhealthy(500, "internal server error: etcd failed\n"),
            r#"HTTP 500: "internal server error: etcd failed""#
        );
    }

    #[test]
    fn shutdown_is_unhealthy_while_still_serving() {
        let body = "[+]ping ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n";
        assert_eq!(unhealthy(500, body), "HTTP 500: failing: shutdown");
    }

    #[test]
    fn anonymous_access_off_is_explained() {
        for status in [401, 403] {
            let reason = unhealthy(status, r#"{"kind":"Status","reason":"Unauthorized"}"#);
            assert!(
                reason.starts_with(&format!("HTTP {status}: anonymous health access is off")),
                "{reason}"
            );
            assert!(reason.contains("client certificate in `tls`"), "{reason}");
        }
    }

    #[test]
    fn clear_text_to_https_is_explained() {
        let reason = unhealthy(400, "Client sent an HTTP request to an HTTPS server.\n");
        assert!(
            reason.starts_with("HTTP 400; an apiserver speaks HTTPS"),
            "{reason}"
        );
        assert_eq!(unhealthy(400, "other"), r#"HTTP 400: "other""#);
    }

    #[test]
    fn exclude_that_excludes_nothing_is_degraded() {
        let body = "[+]ping ok\nwarn: some health checks cannot be excluded: no matches for \"etdc\"\nhealthz check passed\n";
        assert!(matches!(judge(&answer(200, body)), Verdict::Degraded(text) if text.contains("etdc")));
    }

    #[test]
    fn other_statuses_are_unhealthy() {
        for status in [100, 201, 302, 404, 429, 502] {
            unhealthy(status, "");
        }
    }

    #[test]
    fn short_timeout_on_readyz_says_what_it_may_hide() {
        let request = |timeout_ms| Request {
            endpoint: Endpoint {
                name: "master1".into(),
                address: "211.183.3.100".into(),
                port: 6443,
                server_name: None,
                tls: true,
            },
            config: "{}".into(),
            timeout_ms,
        };
        let readyz = read::<ApiserverHealthz>(r#"{"path": "/readyz"}"#).unwrap();
        assert!(
            readyz
                .failure(&Error::TimedOut, &request(1_000))
                .contains("about 4 s")
        );
        assert_eq!(readyz.failure(&Error::TimedOut, &request(6_000)), "timed out");
        assert_eq!(
            ApiserverHealthz::default().failure(&Error::TimedOut, &request(1_000)),
            "timed out"
        );
        assert_eq!(
            readyz.failure(&Error::Refused, &request(1_000)),
            "connection refused"
        );
    }

    #[test]
    fn config_refuses_what_an_apiserver_does_not_have() {
        for text in [
            r#"{"path": "/"}"#,
            r#"{"path": "/healthzz"}"#,
            r#"{"path": "/healthz/"}"#,
            r#"{"path": "/livez/../api"}"#,
            r#"{"path": "/healthz?verbose"}"#,
            r#"{"path": "/healthz?"}"#,
            r#"{"path": "/livez/etcd", "exclude": ["ping"]}"#,
            r#"{"exclude": ["a&b"]}"#,
            r#"{"exclude": [""]}"#,
            r#"{"exclude": "etcd"}"#,
        ] {
            assert!(
                read::<ApiserverHealthz>(text)
                    .expect_err(text)
                    .starts_with("config: "),
                "{text}"
            );
        }
        assert_eq!(
            read::<ApiserverHealthz>(r#"{"paths": "/"}"#).unwrap_err(),
            "config: unknown key `paths`, expected one of `path`, `exclude`, `verbose`"
        );
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<ApiserverHealthz>(env!("CARGO_MANIFEST_DIR"));
    }
}
