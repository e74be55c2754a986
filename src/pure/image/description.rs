//! The descriptions in `images/`: one model for all of them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A description, as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Description {
    /// An image that runs: one binary, from scratch.
    Container(Box<Container>),
    /// Plugins as artifacts.
    Plugins(Plugins),
}

/// `kind = "container"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Container {
    /// What the image is called below its registry when nothing else is said.
    pub name: String,
    /// For people.
    pub title: String,
    /// One line.
    pub description: String,
    /// Where the binary lies in the image.
    pub binary: ImagePath,
    /// Empty folders, as places to mount something.
    #[serde(default)]
    pub folders: Vec<ImagePath>,
    /// What is started, and arguments that stay; begins with `binary`.
    pub entrypoint: Vec<String>,
    /// Arguments that whoever runs the image may replace.
    #[serde(default)]
    pub command: Vec<String>,
    /// Who runs it.
    pub user: User,
    /// What asks it to end: `SIGTERM`.
    pub stop_signal: String,
    /// Ports it listens on: `6443/tcp`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// `kind = "plugins"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plugins {
    /// What the artifacts are called below their registry when nothing else is said.
    pub name: String,
    /// The standard plugins by name.
    pub plugins: BTreeMap<String, Plugin>,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plugin {
    /// One line.
    pub description: String,
}

/// An absolute path in an image, without `.`, `..` or a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ImagePath(String);

/// Who runs a container: `UID:GID`, both numbers, since an image from scratch
/// has no list of names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct User(String);

impl Description {
    /// Read one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let description = toml::from_str(text).map_err(|error| error.to_string())?;
        match &description {
            Self::Container(container) if container.entrypoint.first() != Some(&container.binary.0) => {
                Err(format!(
                    "`entrypoint` has to begin with {:?}, the binary",
                    container.binary.0
                ))
            }
            Self::Container(_) | Self::Plugins(_) => Ok(description),
        }
    }
}

impl ImagePath {
    /// Without the slash at its beginning, as archives have it.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }
}

impl User {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImagePath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        match path.strip_prefix('/') {
            Some(rest) if rest.split('/').all(is_plain) => Ok(Self(path)),
            Some(_) | None => Err(format!(
                "{path:?} is not an absolute path such as \"/etc/catamaran\""
            )),
        }
    }
}

impl TryFrom<String> for User {
    type Error = String;

    fn try_from(user: String) -> Result<Self, String> {
        let is_number = |text: &str| text.parse::<u32>().is_ok();
        match user.split_once(':') {
            Some((uid, gid)) if is_number(uid) && is_number(gid) => Ok(Self(user)),
            Some(_) | None => Err(format!(
                "{user:?} is not UID:GID in numbers such as \"10001:10001\""
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Description::read(text).unwrap_err()
    }

    const CONTAINER: &str = "kind = 'container'\nname = 'n'\ntitle = 't'\ndescription = 'd'\n\
        binary = '/a'\nentrypoint = ['/a']\nuser = '1:2'\nstop-signal = 'SIGTERM'\n";

    #[test]
    fn smallest_container_is_read() {
        let Ok(Description::Container(container)) = Description::read(CONTAINER) else {
            panic!("{:?}", Description::read(CONTAINER));
        };
        assert_eq!(container.binary.relative(), "a");
        assert_eq!(container.user.as_str(), "1:2");
        assert!(container.command.is_empty() && container.environment.is_empty());
    }

    #[test]
    fn unknown_keys_are_refused_in_every_kind() {
        let text = refusal(&format!("{CONTAINER}shell = '/bin/sh'\n"));
        assert!(text.contains("unknown field `shell`"), "{text}");
        let text = refusal("kind = 'plugins'\nname = 'n'\n[plugins.tcp]\ndescription = ''\nworld = ''\n");
        assert!(text.contains("unknown field `world`"), "{text}");
        let text = refusal("kind = 'tarball'\n");
        assert!(text.contains("tarball") && text.contains("container"), "{text}");
    }

    #[test]
    fn nonsense_is_refused_with_what_would_be_right() {
        let text = refusal(&CONTAINER.replace("binary = '/a'", "binary = '/a/../b'"));
        assert!(
            text.contains("\"/a/../b\" is not an absolute path such as"),
            "{text}"
        );
        let text = refusal(&CONTAINER.replace("1:2", "nobody"));
        assert!(text.contains("\"nobody\" is not UID:GID in numbers"), "{text}");
        let text = refusal(&CONTAINER.replace("['/a']", "['/b']"));
        assert_eq!(text, "`entrypoint` has to begin with \"/a\", the binary");
    }
}
