//! Full names of images: `localhost/catamaran:0.1.0`.

use std::fmt;
use std::str::FromStr;

/// Registry, repository and tag.
///
/// Names without a registry mean different images to different tools, so there
/// are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Registry and repository.
    repository: String,
    tag: String,
}

impl Name {
    /// The name of an image that no registry has yet.
    ///
    /// # Errors
    ///
    /// When it would be none.
    pub fn local(image: &str, version: &str) -> Result<Self, String> {
        format!("localhost/{image}:{version}").parse()
    }

    /// The name of one of several things that go by this name.
    pub fn part(&self, part: &str) -> Self {
        Self {
            repository: format!("{}/{part}", self.repository),
            tag: self.tag.clone(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a full name such as \"registry.example/catamaran:1.0\"");
        let (registry, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (path, tag) = rest.split_once(':').ok_or_else(wrong)?;
        if is_registry(registry) && path.split('/').all(is_component) && is_tag(tag) {
            return Ok(Self {
                repository: format!("{registry}/{path}"),
                tag: tag.into(),
            });
        }
        Err(wrong())
    }
}

fn is_registry(text: &str) -> bool {
    let is_host_like = text == "localhost" || text.contains(['.', ':']);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    is_host_like && text.chars().all(is_plain)
}

/// Distribution specification, "Pulling manifests".
fn is_component(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = text.split(is_inner).filter(|separator| !separator.is_empty());
    text.starts_with(is_inner)
        && text.ends_with(is_inner)
        && separators
            .into_iter()
            .all(|one| matches!(one, "." | "_" | "__") || one.chars().all(|c| c == '-'))
}

/// The same place.
fn is_tag(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(is_first)
        && text.len() <= 128
        && text.chars().all(|c| is_first(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_names() {
        for text in [
            "localhost/catamaran:0.1.0",
            "127.0.0.1:5000/a/b-c__d.e:latest",
            "[::1]:5000/a:_",
        ] {
            assert_eq!(text.parse::<Name>().map(|name| name.to_string()), Ok(text.into()));
        }
    }

    #[test]
    fn short_names_and_what_no_registry_takes_are_refused() {
        for text in [
            "catamaran",
            "catamaran:1.0",
            "team/catamaran:1.0",
            "localhost/catamaran",
            "localhost/Catamaran:1.0",
            "localhost/a//b:1",
            "localhost/a_-b:1",
            "localhost/a:1+2",
            "localhost/a:",
            "localhost/a@sha256:00",
        ] {
            let text = text.parse::<Name>().unwrap_err();
            assert!(text.contains("is not a full name such as"), "{text}");
        }
    }

    #[test]
    fn parts_keep_registry_and_tag() {
        let name = Name::local("catamaran-plugins", "0.1.0").unwrap();
        assert_eq!(
            name.part("tcp").to_string(),
            "localhost/catamaran-plugins/tcp:0.1.0"
        );
    }
}
