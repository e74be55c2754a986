//! Check plugin: the endpoint answers an HTTP request with an expected status
//! and, if asked to, an expected text. Redirects are not followed; a redirect
//! is an answer like any other.

mod statuses;

use std::collections::BTreeMap;

use catamaran_check::http::{BODY_AT_MOST, Header, HttpRequest, Response, SEND_AT_MOST};
use catamaran_check::{Check, Failure, Request, Verdict, export, quote};
use serde::Deserialize;

use statuses::Statuses;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct Http {
    /// Request method.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Z]+$")))]
    method: String,
    /// Path, and query if any.
    #[cfg_attr(test, schemars(regex(pattern = "^/[!-~]*$")))]
    path: String,
    /// The `Host` header; without it the endpoint's server name or address.
    #[cfg_attr(test, schemars(length(min = 1)))]
    host: Option<String>,
    /// More headers.
    headers: BTreeMap<String, String>,
    /// Request body.
    body: String,
    /// Statuses that are healthy.
    status: Statuses,
    /// Text that the answer's body must contain.
    #[cfg_attr(test, schemars(length(min = 1)))]
    contains: Option<String>,
}

export!(Http);

impl Default for Http {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: BTreeMap::new(),
            body: String::new(),
            status: Statuses::default(),
            contains: None,
        }
    }
}

impl Check for Http {
    fn validate(&self) -> Result<(), String> {
        let quoted = |text: &str| quote(text.as_bytes(), 60);
        if self.method.is_empty() || !self.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!(
                "`method` is {}; it is a word in capitals such as GET",
                quoted(&self.method)
            ));
        }
        if self.method == "CONNECT" {
            return Err("`method` CONNECT opens a tunnel and answers no check".into());
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "`path` is {}; it begins with / and has no spaces (write them as %20)",
                quoted(&self.path)
            ));
        }
        if self.path.contains('#') {
            return Err("`path` has a #; what follows it is never sent to a server".into());
        }
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(token) {
                return Err(format!("{} is no header name", quoted(name)));
            }
            let lower = name.to_ascii_lowercase();
            if matches!(
                lower.as_str(),
                "connection" | "content-length" | "transfer-encoding"
            ) {
                return Err(format!("header `{name}` is set by the load balancer itself"));
            }
            if lower == "host" && self.host.is_some() {
                return Err("`host` and a `Host` header are both given; leave one out".into());
            }
            if !value.bytes().all(field) {
                return Err(format!("the value of header `{name}` has control characters"));
            }
        }
        let unfit = |host: &&String| host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some(host) = self.host.as_ref().filter(unfit) {
            return Err(format!(
                "`host` is {}; it is a name, with `:port` if needed",
                quoted(host)
            ));
        }
        if self.body.len() > SEND_AT_MOST {
            return Err("`body` is over 64 KiB".into());
        }
        match &self.contains {
            Some(text) if text.is_empty() => {
                return Err("`contains` is empty; leave it out to accept any body".into());
            }
            Some(_) if self.method == "HEAD" => {
                return Err("`contains` needs a body, and HEAD has none; use GET".into());
            }
            _ => {}
        }
        Ok(())
    }

    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        Ok(self.judge(&self.request().send()?))
    }
}

impl Http {
    fn request(&self) -> HttpRequest {
        let host = self.host.iter().map(|host| ("host", host));
        let others = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        HttpRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: host
                .chain(others)
                .map(|(name, value)| Header {
                    name: name.into(),
                    value: value.clone().into_bytes(),
                })
                .collect(),
            body: self.body.clone().into_bytes(),
            // The status stands before the body; an endpoint that is slow to
            // send a body nobody looks at is not unfit for that.
            max_body: if self.contains.is_some() { BODY_AT_MOST } else { 0 },
        }
    }

    fn judge(&self, response: &Response) -> Verdict {
        let status = response.status;
        if !self.status.contains(status) {
            return Verdict::Unhealthy(format!("HTTP {status}, expected {}", self.status));
        }
        if let Some(text) = &self.contains {
            let found = response
                .body
                .windows(text.len())
                .any(|window| window == text.as_bytes());
            if !found {
                let within = if response.truncated {
                    " in its first 1 MiB"
                } else {
                    ""
                };
                return Verdict::Unhealthy(format!(
                    "HTTP {status}, but the body has no {}{within}; it begins {}",
                    quote(text.as_bytes(), 80),
                    quote(&response.body, 120)
                ));
            }
        }
        Verdict::Healthy(format!("HTTP {status}"))
    }
}

/// RFC 9110 §5.6.2
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 §5.5: visible characters, spaces, tabs, and opaque bytes.
fn field(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
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

    fn refused(text: &str) -> String {
        read::<Http>(text).expect_err(text)
    }

    #[test]
    fn default_request_is_get_of_the_root_without_body() {
        let request = read::<Http>("{}").unwrap().request();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/"));
        assert!(request.headers.is_empty() && request.body.is_empty());
        assert_eq!(request.max_body, 0);
    }

    #[test]
    fn host_and_headers_travel() {
        let config =
            r#"{"method": "POST", "host": "a.example:81", "headers": {"X-Probe": "1"}, "body": "hi"}"#;
        let request = read::<Http>(config).unwrap().request();
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|h| (h.name.as_str(), h.value.as_slice()))
            .collect();
        assert_eq!(headers, [("host", &b"a.example:81"[..]), ("X-Probe", b"1")]);
        assert_eq!(request.body, b"hi");
    }

    #[test]
    fn expected_status_is_healthy_and_other_is_not() {
        let config = read::<Http>("{}").unwrap();
        assert!(matches!(config.judge(&answer(302, "")), Verdict::Healthy(text) if text == "HTTP 302"));
        let Verdict::Unhealthy(text) = config.judge(&answer(503, "")) else {
            panic!()
        };
        assert_eq!(text, "HTTP 503, expected 200-399");
    }

    #[test]
    fn missing_text_is_unhealthy_and_the_body_quoted() {
        let config = read::<Http>(r#"{"contains": "pong"}"#).unwrap();
        assert_eq!(config.request().max_body, BODY_AT_MOST);
        assert!(matches!(
            config.judge(&answer(200, "ping pong")),
            Verdict::Healthy(_)
        ));
        let Verdict::Unhealthy(text) = config.judge(&answer(200, "maintenance\n")) else {
            panic!()
        };
        assert_eq!(
            text,
            r#"HTTP 200, but the body has no "pong"; it begins "maintenance\n""#
        );
    }

    #[test]
    fn unknown_key_is_refused_with_the_keys_there_are() {
        assert_eq!(
            refused(r#"{"url": "/"}"#),
            "config: unknown key `url`, expected one of `method`, `path`, `host`, `headers`, `body`, `status`, `contains`"
        );
    }

    #[test]
    fn what_no_request_can_carry_is_refused() {
        for text in [
            r#"{"method": "get"}"#,
            r#"{"method": "CONNECT"}"#,
            r#"{"path": "healthz"}"#,
            r#"{"path": "http://elsewhere/"}"#,
            r#"{"path": "/a b"}"#,
            r#"{"path": "/\r\nX: y"}"#,
            r##"{"path": "/#top"}"##,
            r#"{"headers": {"a b": "c"}}"#,
            r#"{"headers": {"a": "b\r\nc: d"}}"#,
            r#"{"headers": {"Connection": "close"}}"#,
            r#"{"headers": {"Host": "a"}, "host": "b"}"#,
            r#"{"host": ""}"#,
            r#"{"contains": ""}"#,
            r#"{"contains": "x", "method": "HEAD"}"#,
            r#"{"status": "2xx"}"#,
        ] {
            assert!(refused(text).starts_with("config: "), "{text}");
        }
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<Http>(env!("CARGO_MANIFEST_DIR"));
    }
}
