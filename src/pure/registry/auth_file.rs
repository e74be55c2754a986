//! Logins that container tools have stored: containers-auth.json(5), and the
//! `config.json` of docker, which has the same form.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: String,
    /// Kept out of [`fmt::Debug`].
    pub password: String,
}

impl Login {
    /// The value of the header `Authorization` (RFC 7617 §2).
    pub fn basic(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.user, self.password))
        )
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login of {:?}", self.user)
    }
}

/// One file. Other tools write it: keys that are not known here are theirs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// What a file has for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A login.
    Login(Login),
    /// A program that would know: `docker-credential-NAME`.
    Helper(String),
    /// A token in place of the password, as `docker login` stores it for some
    /// registries.
    IdentityToken,
    /// Nothing.
    Nothing,
}

impl AuthFile {
    /// Read its text.
    ///
    /// # Errors
    /// What is wrong with it, without what it says: that is secret.
    pub fn new(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("it is not an auth file of containers: line {line}, column {column}")
        })
    }

    /// The most specific match: `REGISTRY/a/b` is looked for as itself, as
    /// `REGISTRY/a` and as `REGISTRY`. A helper that is named for the registry
    /// goes before.
    ///
    /// # Errors
    /// When what matches cannot be read.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Found, String> {
        if let Some(helper) = self.cred_helpers.get(registry) {
            return Ok(Found::Helper(helper.clone()));
        }
        let Some((key, entry)) = self.entry(registry, repository) else {
            return Ok(self.stored_elsewhere());
        };
        match entry {
            Entry { auth: Some(auth), .. } if !auth.is_empty() => {
                let login = decoded(auth)
                    .ok_or_else(|| format!("the login for {key} is not base64 of NAME:PASSWORD"))?;
                Ok(Found::Login(login))
            }
            Entry {
                identitytoken: Some(_),
                ..
            } => Ok(Found::IdentityToken),
            Entry { .. } => Ok(self.stored_elsewhere()),
        }
    }

    /// A program may keep all that is not in the file.
    fn stored_elsewhere(&self) -> Found {
        self.creds_store.clone().map_or(Found::Nothing, Found::Helper)
    }

    fn entry(&self, registry: &str, repository: &str) -> Option<(&String, &Entry)> {
        let mut key = format!("{registry}/{repository}");
        loop {
            if let Some(found) = self.auths.get_key_value(&key) {
                return Some(found);
            }
            match key.rfind('/') {
                Some(slash) => key.truncate(slash),
                None => break,
            }
        }
        // Keys as docker writes them: with a scheme and a version's path.
        let host = usual_name(registry);
        self.auths
            .iter()
            .find(|(key, _)| usual_name(host_of(key)) == host)
    }
}

/// The host of a key: all of it, unless it is an address with a scheme. A key
/// with a path and without a scheme is for that path alone.
fn host_of(key: &str) -> &str {
    let address = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    address.map_or(key, |address| address.split('/').next().unwrap_or_default())
}

/// Docker Hub has three names, and docker stores its login under the third.
fn usual_name(host: &str) -> &str {
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        other => other,
    }
}

fn decoded(auth: &str) -> Option<Login> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login {
        user: user.to_string(),
        // Old versions of docker filled up with zeros.
        password: password.trim_end_matches('\0').to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AuthFile {
        AuthFile::new(text).unwrap()
    }

    /// A file with a login for each key, whose user is the key.
    fn with_logins(keys: &[&str]) -> AuthFile {
        let entry = |key: &&str| {
            let auth = STANDARD.encode(format!("{}:word", key.replace(':', "_")));
            format!("{key:?}: {{\"auth\": {auth:?}}}")
        };
        let entries: Vec<_> = keys.iter().map(entry).collect();
        file(&format!("{{\"auths\": {{{}}}}}", entries.join(", ")))
    }

    fn user(file: &AuthFile, registry: &str, repository: &str) -> Option<String> {
        match file.find(registry, repository).unwrap() {
            Found::Login(login) => {
                assert_eq!(login.password, "word");
                Some(login.user)
            }
            _ => None,
        }
    }

    #[test]
    fn most_specific_match_wins() {
        let file = with_logins(&["r.example:5000", "r.example:5000/a", "r.example:5000/a/b"]);
        let of = |repository| user(&file, "r.example:5000", repository);
        assert_eq!(of("a/b").as_deref(), Some("r.example_5000/a/b"));
        assert_eq!(of("a/b/c").as_deref(), Some("r.example_5000/a/b"));
        assert_eq!(of("a/bc").as_deref(), Some("r.example_5000/a"));
        assert_eq!(of("x").as_deref(), Some("r.example_5000"));
        assert_eq!(user(&file, "r.example", "a"), None);
    }

    #[test]
    fn keys_of_docker_match_by_their_host() {
        let file = with_logins(&["https://index.docker.io/v1/", "http://r.example"]);
        assert_eq!(
            user(&file, "docker.io", "library/debian").as_deref(),
            Some("https_//index.docker.io/v1/")
        );
        assert_eq!(
            user(&file, "r.example", "a/b").as_deref(),
            Some("http_//r.example")
        );
        assert_eq!(user(&file, "v1", "a"), None);
    }

    #[test]
    fn helper_is_named_where_it_would_be_asked() {
        let file = file(
            r#"{"credHelpers": {"a.example": "pass"}, "credsStore": "desktop",
                "auths": {"a.example": {"auth": "YTpi"}, "b.example": {}, "c.example": {"auth": "YTpi"}}}"#,
        );
        let found = |registry| file.find(registry, "x").unwrap();
        assert_eq!(found("a.example"), Found::Helper("pass".into()));
        assert_eq!(found("b.example"), Found::Helper("desktop".into()));
        assert_eq!(found("d.example"), Found::Helper("desktop".into()));
        assert!(matches!(found("c.example"), Found::Login(_)));
    }

    #[test]
    fn login_is_split_at_its_first_colon_and_freed_from_zeros() {
        let login = decoded("YTpiOmMAAA==").unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("a", "b:c"));
        assert_eq!(login.basic(), "Basic YTpiOmM=");
        assert_eq!(format!("{login:?}"), "Login of \"a\"");
    }

    #[test]
    fn what_cannot_be_read_is_said_without_saying_it() {
        let error = AuthFile::new("{\"auths\": {\"a\": \"secret\"}}").unwrap_err();
        assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        let wrong = file(r#"{"auths": {"a.example": {"auth": "secret"}}}"#);
        let error = wrong.find("a.example", "x").unwrap_err();
        assert!(
            error.contains("a.example") && !error.contains("secret"),
            "{error}"
        );
        let token = file(r#"{"auths": {"a.example": {"auth": "", "identitytoken": "x"}}}"#);
        assert_eq!(token.find("a.example", "x"), Ok(Found::IdentityToken));
        assert_eq!(file("{}").find("a.example", "x"), Ok(Found::Nothing));
    }
}
