//! What a registry wants before it answers: the header `WWW-Authenticate`.

use super::url::Url;

/// One way to satisfy the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password in each request (RFC 7617).
    Basic,
    /// A token, to be fetched (RFC 6750, and the token protocol that
    /// distribution registries share).
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For which registry, as the giver knows it.
        service: Option<String>,
        /// For what, such as `repository:a/b:pull,push`.
        scope: Option<String>,
    },
    /// Another scheme: its name.
    Other(String),
}

impl Challenge {
    /// The way that a client of ours would go: a token where one is given.
    pub fn best(challenges: &[Self]) -> Option<&Self> {
        let find = |is: fn(&&Self) -> bool| challenges.iter().find(is);
        find(|challenge| matches!(challenge, Self::Bearer { .. }))
            .or_else(|| find(|challenge| matches!(challenge, Self::Basic)))
    }
}

/// Where a token is asked for.
///
/// # Errors
/// A sentence when the realm is no address.
pub fn token_url(realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<Url, String> {
    let mut url: Url = realm.parse()?;
    if let Some(service) = service {
        url = url.with("service", service);
    }
    // Several scopes are separated by spaces in the challenge, and each has a
    // parameter of its own in the request.
    for scope in scope.unwrap_or_default().split_whitespace() {
        url = url.with("scope", scope);
    }
    Ok(url)
}

/// All challenges of one header, in order (RFC 9110 §11.6.1). What cannot be
/// read is left out.
pub fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let (word, after) = token(rest);
        if word.is_empty() {
            // A character that begins nothing: go on behind the next comma.
            match rest.split_once(',') {
                Some((_, next)) => rest = next,
                None => break,
            }
            continue;
        }
        match (after.trim_start().strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, after) = value_of(value.trim_start());
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (_, _) => {
                found.push((word, Vec::new()));
                rest = after;
            }
        }
    }
    found
        .into_iter()
        .filter_map(|(scheme, parameters)| challenge(scheme, &parameters))
        .collect()
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let parameter = |name: &str| {
        let mut named = parameters.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.clone())
    };
    Some(match scheme.to_ascii_lowercase().as_str() {
        "basic" => Challenge::Basic,
        "bearer" => Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
        },
        _ => Challenge::Other(scheme.to_string()),
    })
}

/// A word at the beginning, and what is behind it.
fn token(text: &str) -> (&str, &str) {
    let inside = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

/// A value, in quotes or not, and what is behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_string),
            scope: scope.map(str::to_string),
        }
    }

    #[test]
    fn bearer_has_realm_service_and_a_scope_with_commas() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push",error="insufficient_scope""#;
        assert_eq!(
            challenges(header),
            [bearer(
                "https://auth.example/token",
                Some("registry.example"),
                Some("repository:a/b:pull,push")
            )]
        );
    }

    #[test]
    fn several_challenges_in_one_header_are_told_apart() {
        let header = r#"Negotiate YWJj==, Basic realm="a \"b\", c" , bearer REALM = x"#;
        let found = challenges(header);
        assert_eq!(
            found,
            [
                Challenge::Other("Negotiate".into()),
                Challenge::Basic,
                bearer("x", None, None)
            ]
        );
        assert_eq!(Challenge::best(&found), Some(&found[2]));
        assert_eq!(Challenge::best(&found[..2]), Some(&Challenge::Basic));
        assert_eq!(Challenge::best(&found[..1]), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_ends() {
        assert_eq!(challenges(""), []);
        assert_eq!(challenges("Bearer service=\"x\""), []);
        assert_eq!(challenges("\"\", Basic"), [Challenge::Basic]);
        assert_eq!(challenges("Basic realm=\"never ended"), [Challenge::Basic]);
        assert_eq!(challenges("= é"), []);
        assert_eq!(challenges("Basic realm=é\\"), [Challenge::Basic]);
    }

    #[test]
    fn each_scope_is_a_parameter_of_the_token_request() {
        let url = token_url(
            "https://a/t?x=1",
            Some("s"),
            Some("repository:a:pull repository:b:pull"),
        );
        assert_eq!(
            url.unwrap().target,
            "/t?x=1&service=s&scope=repository:a:pull&scope=repository:b:pull"
        );
        assert!(token_url("a", None, None).is_err());
    }
}
