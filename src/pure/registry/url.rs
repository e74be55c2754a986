//! Addresses of requests, and where a `Location` leads.

use std::fmt;
use std::str::FromStr;

/// Whom one speaks to. Credentials go to the origin they are for, compared as
/// a whole, and to no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// HTTPS rather than HTTP.
    pub tls: bool,
    /// Name or address in lower case, an IPv6 address without its brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

impl Origin {
    /// From `host` or `host:port`.
    ///
    /// # Errors
    /// A sentence with what was written.
    pub fn new(tls: bool, authority: &str) -> Result<Self, String> {
        let wrong = || format!("{authority:?} is not a host, or a host and a port");
        let (host, rest) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or_else(wrong)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
            None if rest.is_empty() => default_port(tls),
            None => return Err(wrong()),
        };
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let good = if authority.starts_with('[') {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.is_empty() && host.chars().all(of_a_name)
        };
        if !good {
            return Err(wrong());
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// As a `Host` header has it: without the scheme's own port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == default_port(self.tls) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// An origin and what to ask there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whom to ask.
    pub origin: Origin,
    /// Path and query; begins with `/`.
    pub target: String,
}

impl Url {
    /// Where a `Location` in the answer to this leads (RFC 9110 §10.2.2):
    /// another address, another path, or the end of the path.
    ///
    /// # Errors
    /// A sentence with the location.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.split('#').next().unwrap_or_default();
        let path = self.target.split('?').next().unwrap_or_default();
        let here = |target| Self {
            origin: self.origin.clone(),
            target,
        };
        if location.contains("://") {
            location.parse()
        } else if location.starts_with("//") {
            let scheme = if self.origin.tls { "https" } else { "http" };
            format!("{scheme}:{location}").parse()
        } else if location.starts_with('/') {
            Ok(here(location.to_string()))
        } else if location.starts_with('?') {
            Ok(here(format!("{path}{location}")))
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            Ok(here(format!("{folder}/{location}")))
        }
    }

    /// With one more parameter in the query.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.target
            .push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(key);
        self.target.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
                self.target.push(char::from(byte));
            } else {
                self.target.push_str(&format!("%{byte:02X}"));
            }
        }
        self
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(format!("{text:?} does not begin with http:// or https://"));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            origin: Origin::new(tls, authority)?,
            target: format!("{slash}{target}"),
        })
    }
}

/// Without the query, which may hold secrets.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.tls { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.origin.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn location_leads_to_another_address_another_path_or_the_end_of_the_path() {
        let base = url("http://here:5000/v2/a/uploads/?x=1");
        let leads = |location: &str| base.join(location).unwrap();
        assert_eq!(leads("https://There/y?z#f"), url("https://there/y?z"));
        assert_eq!(leads("//there/y"), url("http://there/y"));
        assert_eq!(leads("/v2/b?z=2"), url("http://here:5000/v2/b?z=2"));
        assert_eq!(leads("uuid?z=2"), url("http://here:5000/v2/a/uploads/uuid?z=2"));
        assert_eq!(leads("?z=2"), url("http://here:5000/v2/a/uploads/?z=2"));
        assert!(base.join("ftp://there/").is_err());
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port_only() {
        let origin = |text| url(text).origin;
        assert_eq!(origin("https://Here/x"), origin("https://here:443/y?z"));
        assert_ne!(origin("https://here/"), origin("http://here:443/"));
        assert_ne!(origin("https://here/"), origin("https://here:444/"));
        assert_eq!(origin("http://[::1]:80/").authority(), "[::1]");
        assert_eq!(origin("http://[::1]:5000").authority(), "[::1]:5000");
    }

    #[test]
    fn authority_with_anything_else_in_it_is_refused() {
        for authority in [
            "", ":1", "a:", "a:0", "a:b", "u@a", "a b", "[a]", "[::1", "[::1]x", "::1",
        ] {
            assert!(Origin::new(true, authority).is_err(), "{authority}");
        }
    }

    #[test]
    fn parameter_is_added_with_what_could_be_misread_encoded() {
        assert_eq!(
            url("https://a?x=1")
                .with("scope", "repository:a/b:pull,push")
                .with("service", "a b&c")
                .target,
            "/?x=1&scope=repository:a/b:pull,push&service=a%20b%26c"
        );
    }
}
