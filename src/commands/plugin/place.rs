//! Where plugins are shipped to and from.

use std::str::FromStr;

use crate::pure::registry::reference::Reference;
use crate::shell::oci::source::Source;

/// A layout or a registry.
#[derive(Clone, Debug)]
pub enum Place {
    /// `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`.
    Layout(Source),
    /// `REGISTRY/NAME:TAG`, `REGISTRY/NAME@sha256:…`; also with `oci:` before
    /// the latter, as documents have it.
    Registry(Reference),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pinned = text.strip_prefix("oci:").filter(|rest| rest.contains("@sha256:"));
        if let Some(pinned) = pinned {
            return pinned.parse().map(Self::Registry);
        }
        if text.starts_with("oci:") || text.starts_with("oci-archive:") {
            return text.parse().map(Self::Layout);
        }
        text.parse().map(Self::Registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_registries_are_told_apart() {
        let pinned = format!("localhost/a@sha256:{}", "ab".repeat(32));
        for registry in [&*pinned, &format!("oci:{pinned}"), "localhost/a:1"] {
            assert!(matches!(registry.parse(), Ok(Place::Registry(_))), "{registry}");
        }
        for layout in ["oci:a", "oci:a:b", "oci-archive:a.tar"] {
            assert!(matches!(layout.parse(), Ok(Place::Layout(_))), "{layout}");
        }
        assert!("a".parse::<Place>().is_err());
    }
}
