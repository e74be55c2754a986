//! How a layout is written: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`
//! (containers-transports(5)).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What holds a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A tar of such a folder, not compressed.
    Archive,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Folder => "oci:",
            Self::Archive => "oci-archive:",
        }
    }
}

/// A layout, and which of its images is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What `path` is.
    pub kind: Kind,
    /// Has no colon: what is behind one is the tag.
    pub path: PathBuf,
    /// The image's name in the layout, such as `localhost/lb:1.0`; `None` for
    /// the only one.
    pub tag: Option<String>,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not an image here; write oci:DIR[:TAG] or oci-archive:FILE[:TAG]");
        let (kind, rest) = [Kind::Folder, Kind::Archive]
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or_else(wrong)?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_string())),
            None => (rest, None),
        };
        if path.is_empty() || tag.as_deref() == Some("") {
            return Err(wrong());
        }
        Ok(Self {
            kind,
            path: path.into(),
            tag,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.path.display())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_what_is_behind_the_first_colon() {
        let source: Source = "oci:a/b:localhost/lb:1.0".parse().unwrap();
        assert_eq!(source.kind, Kind::Folder);
        assert_eq!(source.path, PathBuf::from("a/b"));
        assert_eq!(source.tag.as_deref(), Some("localhost/lb:1.0"));
        for text in ["oci:a", "oci-archive:a.tar", "oci-archive:/a.tar:b"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_form() {
        for text in ["", "a", "oci:", "oci::b", "oci:a:", "docker-archive:a"] {
            let why = text.parse::<Source>().unwrap_err();
            assert!(why.contains("oci:DIR[:TAG]"), "{why}");
        }
    }
}
