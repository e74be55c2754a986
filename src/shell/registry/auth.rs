//! Logins from auth files, and the tokens that registries give for them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::transport::{Content, Transport};
use crate::pure::registry::auth_file::{AuthFile, Found, Login};
use crate::pure::registry::challenge::{Challenge, token_url};
use crate::pure::registry::refusal;

/// Tokens are a few KiB.
const LARGEST_TOKEN: usize = 1 << 20;

/// Where logins are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFiles {
    /// In this order; the first that has a login is taken.
    paths: Vec<PathBuf>,
    /// Somebody has named the one file: it has to be there.
    named: bool,
}

/// What was found for a repository.
pub struct Search {
    /// A login.
    pub login: Option<Login>,
    /// In an error: which login is meant, or why there is none.
    pub told: String,
}

impl AuthFiles {
    /// The one that is named; else, in this order, those of
    /// containers-auth.json(5): `${XDG_RUNTIME_DIR}/containers/auth.json`,
    /// `~/.config/containers/auth.json`, `~/.docker/config.json`.
    pub fn new(named: Option<PathBuf>) -> Self {
        let uid = nix::unistd::getuid().as_raw();
        match named {
            Some(path) => Self {
                paths: vec![path],
                named: true,
            },
            None => Self {
                paths: usual(|name| std::env::var_os(name), uid),
                named: false,
            },
        }
    }

    /// Look for a login.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Search, String> {
        let mut elsewhere = String::new();
        for path in &self.paths {
            let shown = path.display();
            let Some(file) = self.read(path)? else { continue };
            let found = file
                .find(registry, repository)
                .map_err(|why| format!("{shown}: {why}"))?;
            match found {
                Found::Login(login) => {
                    return Ok(Search {
                        told: format!("the login of {:?} from {shown}", login.user),
                        login: Some(login),
                    });
                }
                Found::Helper(name) => elsewhere.push_str(&format!(
                    "; {shown} leaves it to the helper docker-credential-{name}, which is not run here: \
                     store the login in a file (podman login --authfile FILE)"
                )),
                Found::IdentityToken => elsewhere.push_str(&format!(
                    "; {shown} has an identity token, which is not used here: log in with a password"
                )),
                Found::Nothing => {}
            }
        }
        let files: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        Ok(Search {
            login: None,
            told: format!(
                "no login for {registry}/{repository} in {}{elsewhere}",
                files.join(", ")
            ),
        })
    }

    fn read(&self, path: &Path) -> Result<Option<AuthFile>, String> {
        let shown = path.display();
        match fs::read_to_string(path) {
            Ok(text) => AuthFile::new(&text)
                .map(Some)
                .map_err(|why| format!("{shown}: {why}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.named => Ok(None),
            Err(error) => Err(format!("cannot read the auth file {shown}: {error}")),
        }
    }
}

fn usual(variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> Vec<PathBuf> {
    let folder = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = folder("HOME");
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let runtime = folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers"));
    let runtime = runtime.unwrap_or_else(|| format!("/run/containers/{uid}").into());
    let config = folder("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
    let docker = folder("DOCKER_CONFIG").or_else(|| in_home(".docker"));
    [
        Some(runtime.join("auth.json")),
        config.map(|folder| folder.join("containers/auth.json")),
        docker.map(|folder| folder.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What to send in `Authorization` after a challenge; `None` when nothing that
/// we have could satisfy it.
///
/// A registry names whoever gives its tokens, and that one is given the login,
/// as by every client. `plain_http` allows it to be without TLS.
///
/// # Errors
/// When the token is refused or cannot be fetched.
pub async fn authorization(
    transport: &Transport,
    challenge: &Challenge,
    login: Option<&Login>,
    plain_http: bool,
) -> Result<Option<HeaderValue>, String> {
    let value = match (challenge, login) {
        (Challenge::Basic, Some(login)) => login.basic(),
        (
            Challenge::Bearer {
                realm,
                service,
                scope,
            },
            login,
        ) => {
            let url = token_url(realm, service.as_deref(), scope.as_deref())
                .map_err(|why| format!("the registry wants a token from a wrong address: {why}"))?;
            if !url.origin.tls && !plain_http {
                return Err(format!(
                    "the registry wants the login at {url}, without TLS; it is not sent there"
                ));
            }
            let mut headers = HeaderMap::new();
            if let Some(login) = login {
                headers.insert(AUTHORIZATION, secret(&login.basic())?);
            }
            let nothing = Content::Bytes(Bytes::new());
            let mut answer = transport.exchange(&Method::GET, &url, &headers, &nothing).await?;
            let body = answer
                .whole(LARGEST_TOKEN)
                .await
                .map_err(|why| format!("{url}: {why}"))?;
            if !answer.status.is_success() {
                let words = refusal::words(&body);
                return Err(format!("no token from {url}: {} {words}", answer.status)
                    .trim_end()
                    .to_string());
            }
            format!(
                "Bearer {}",
                token(&body).ok_or_else(|| format!("there is no token in the answer of {url}"))?
            )
        }
        (Challenge::Basic, None) | (Challenge::Other(_), _) => return Ok(None),
    };
    secret(&value).map(Some)
}

/// Never shown, also not by a log of headers.
fn secret(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "the token has a character that cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Either name is in use.
fn token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Tokens {
        token: Option<String>,
        access_token: Option<String>,
    }
    let tokens: Tokens = serde_json::from_slice(body).ok()?;
    tokens
        .token
        .or(tokens.access_token)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual_with(set: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        };
        usual(variable, 7)
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn files_are_looked_for_in_the_order_of_containers() {
        assert_eq!(
            usual_with(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]),
            [
                "/r/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json"
            ]
        );
        assert_eq!(
            usual_with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d")]),
            [
                "/run/containers/7/auth.json",
                "/c/containers/auth.json",
                "/d/config.json"
            ]
        );
        assert_eq!(usual_with(&[]), ["/run/containers/7/auth.json"]);
    }

    #[test]
    fn first_file_with_a_login_is_taken_and_missing_ones_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b"), r#"{"credsStore": "pass"}"#).unwrap();
        fs::write(path("c"), r#"{"auths": {"r.example": {"auth": "YTpi"}}}"#).unwrap();
        let files = AuthFiles {
            paths: vec![path("a"), path("b"), path("c")],
            named: false,
        };
        let search = files.find("r.example", "x").unwrap();
        assert_eq!(
            search.told,
            format!("the login of \"a\" from {}", path("c").display())
        );
        assert_eq!(search.login.unwrap().password, "b");
        let told = files.find("s.example", "x").unwrap().told;
        assert!(
            told.starts_with("no login for s.example/x in ") && told.contains("docker-credential-pass"),
            "{told}"
        );
    }

    #[test]
    fn named_file_has_to_be_there_and_is_the_only_one() {
        let files = AuthFiles::new(Some("/nowhere/auth.json".into()));
        let why = files.find("r.example", "x").err().unwrap();
        assert!(
            why.starts_with("cannot read the auth file /nowhere/auth.json: "),
            "{why}"
        );
    }
}
