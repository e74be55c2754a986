//! The platforms there are images for.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{self, Arch, Os};

/// A platform, in the order in which an index lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// `linux/amd64`.
    LinuxAmd64,
    /// `linux/arm64`.
    LinuxArm64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// The one of a machine with this architecture, in Rust's words.
    pub fn of(architecture: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.target().starts_with(&format!("{architecture}-")))
    }

    /// The target a binary for it is built for.
    pub fn target(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-unknown-linux-musl",
            Self::LinuxArm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Its architecture.
    pub(super) fn architecture(self) -> Arch {
        match self {
            Self::LinuxAmd64 => Arch::Amd64,
            Self::LinuxArm64 => Arch::ARM64,
        }
    }

    /// As a descriptor has it.
    pub(super) fn described(self) -> image::Platform {
        described(self.architecture(), Os::Linux)
    }
}

/// A platform as a descriptor has it.
pub(super) fn described(architecture: Arch, os: Os) -> image::Platform {
    let mut platform = image::Platform::default();
    platform.set_architecture(architecture).set_os(os);
    platform
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        })
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(|platform| platform.to_string());
        Self::ALL
            .into_iter()
            .find(|platform| platform.to_string() == text)
            .ok_or_else(|| format!("there are images for {}", known.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_are_each_others_inverse() {
        for platform in Platform::ALL {
            assert_eq!(platform.to_string().parse(), Ok(platform));
        }
        assert_eq!(
            "linux/riscv64".parse::<Platform>(),
            Err("there are images for linux/amd64 and linux/arm64".into())
        );
    }

    #[test]
    fn machines_are_known_by_rusts_words() {
        assert_eq!(Platform::of("x86_64"), Some(Platform::LinuxAmd64));
        assert_eq!(Platform::of("aarch64"), Some(Platform::LinuxArm64));
        assert_eq!(Platform::of("x86"), None);
    }
}
