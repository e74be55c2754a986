//! Names of images in registries: `REGISTRY/NAME:TAG`, `REGISTRY/NAME@DIGEST`.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Digest, DigestAlgorithm};

use super::url::Origin;

/// The registry whose name is not where it answers, …
const DOCKER_HUB: &str = "docker.io";

/// … which is here.
const DOCKER_HUB_ANSWERS: &str = "registry-1.docker.io";

/// Longest tag (OCI distribution specification, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// Where an image is in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host, or host and port, as written.
    pub registry: String,
    /// Path components, joined by `/`.
    pub repository: String,
    /// The name of one of its images.
    pub tag: Option<String>,
    /// The image itself. A reference has a tag, or a digest, or both.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Whom to ask.
    ///
    /// # Errors
    /// A sentence when the registry is no host.
    pub fn origin(&self, plain_http: bool) -> Result<Origin, String> {
        let answers = if self.registry == DOCKER_HUB {
            DOCKER_HUB_ANSWERS
        } else {
            &self.registry
        };
        Origin::new(!plain_http, answers)
    }

    /// What to ask a registry for: the digest where there is one.
    pub fn asked(&self) -> String {
        let digest = self.digest.as_ref().map(Digest::to_string);
        digest.or_else(|| self.tag.clone()).unwrap_or_default()
    }

    /// Whether it names content by the digest that everybody has.
    pub fn is_sha256(&self) -> bool {
        let digest = self.digest.as_ref();
        digest.is_some_and(|digest| *digest.algorithm() == DigestAlgorithm::Sha256)
    }

    /// The same repository, and this very content of it.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest.clone()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = String;

    /// The registry is named always: a short name would leave it to luck whose
    /// image that is.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} {why}; an image is written REGISTRY/NAME:TAG");
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("has a wrong digest"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (registry, path) = name
            .split_once('/')
            .filter(|(registry, _)| registry.contains(['.', ':']) || *registry == "localhost")
            .ok_or_else(|| wrong("names no registry"))?;
        Origin::new(true, registry).map_err(|_| wrong("has a wrong registry"))?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_string())),
            None => (path, None),
        };
        if !repository.split('/').all(is_component) {
            return Err(wrong(
                "has a wrong name (small letters and digits, with . _ - between them)",
            ));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("has a wrong tag"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(wrong("has no tag"));
        }
        // As every client reads it: Docker Hub's own images have no namespace.
        let namespace = if registry == DOCKER_HUB && !repository.contains('/') {
            "library/"
        } else {
            ""
        };
        Ok(Self {
            registry: registry.to_string(),
            repository: format!("{namespace}{repository}"),
            tag,
            digest,
        })
    }
}

/// Alphanumeric runs with one `.`, one or two `_`, or any number of `-` between
/// them (OCI distribution specification, "Pulling manifests").
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separates =
        |between: &str| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
    text.starts_with(alphanumeric) && text.ends_with(alphanumeric) && text.split(alphanumeric).all(separates)
}

/// Whether a registry takes this as a tag.
pub fn is_tag(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=LONGEST_TAG).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn refused(text: &str) -> String {
        text.parse::<Reference>().unwrap_err()
    }

    #[test]
    fn registry_name_tag_and_digest_are_told_apart() {
        let text = format!("localhost:5000/a/b-c__d.e:v1.0_x@{DIGEST}");
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.registry, "localhost:5000");
        assert_eq!(reference.repository, "a/b-c__d.e");
        assert_eq!(reference.tag.as_deref(), Some("v1.0_x"));
        assert_eq!(reference.digest.as_ref().unwrap().as_ref(), DIGEST);
        assert_eq!(reference.to_string(), text);
        let six: Reference = "[::1]:5000/a:b".parse().unwrap();
        assert_eq!(six.origin(true).unwrap().host, "::1");
    }

    #[test]
    fn docker_hub_answers_elsewhere_and_has_a_namespace_of_its_own() {
        let reference: Reference = "docker.io/debian:12".parse().unwrap();
        assert_eq!(reference.repository, "library/debian");
        assert_eq!(reference.origin(false).unwrap().host, "registry-1.docker.io");
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_form_of_one() {
        for (text, why) in [
            ("debian:12", "names no registry"),
            ("a/b:c", "names no registry"),
            ("localhost/a", "has no tag"),
            ("localhost/A:b", "has a wrong name"),
            ("localhost/a//b:c", "has a wrong name"),
            ("localhost/a___b:c", "has a wrong name"),
            ("localhost/../b:c", "has a wrong name"),
            ("localhost/a:", "has a wrong tag"),
            ("localhost/a:.b", "has a wrong tag"),
            ("localhost:x/a:b", "has a wrong registry"),
            ("localhost/a@sha256:12", "has a wrong digest"),
        ] {
            let said = refused(text);
            assert!(
                said.contains(why) && said.ends_with("REGISTRY/NAME:TAG"),
                "{said}"
            );
        }
        assert!(refused(&format!("localhost/a:{}", "t".repeat(129))).contains("wrong tag"));
    }
}
