//! Reads the document; what it means is for [`crate::pure::config`] to say.

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::pure::config::{self, Checked, Format, Refused, Severity};

/// Why there is no document.
#[derive(Debug)]
pub enum LoadError {
    /// It could not be read; the text says which and why.
    Unreadable(String),
    /// It is wrong.
    Refused {
        /// What it is called in messages.
        name: String,
        /// What is wrong with it.
        refused: Refused,
    },
}

/// Reads and checks the document at `path`, `-` for standard input. `standard`
/// are the names of the plugins in the binary.
pub fn load(path: &Path, standard: &[&str]) -> Result<Checked, LoadError> {
    let name = name(path);
    let bytes = read(path).map_err(|error| LoadError::Unreadable(format!("cannot read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        LoadError::Unreadable(format!("cannot read {name}: line {line} is not UTF-8"))
    })?;
    let format = Format::of(path.extension().and_then(|extension| extension.to_str()), &text);
    config::check(&text, format, standard).map_err(|refused| LoadError::Refused { name, refused })
}

/// What the document is called in messages.
pub fn name(path: &Path) -> String {
    if is_standard_input(path) {
        "<stdin>".into()
    } else {
        path.display().to_string()
    }
}

/// Largest document that is read. A pool of 4,096 endpoints takes 200 KiB.
const LARGEST: u64 = 16 << 20;

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let source: Box<dyn Read> = if is_standard_input(path) {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut bytes = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

impl std::error::Error for LoadError {}

/// For people, without a line feed at the end.
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(text) => f.write_str(text),
            Self::Refused { name, refused } => {
                for warning in &refused.warnings {
                    writeln!(f, "{}\n", warning.render(name, Severity::Warning))?;
                }
                for mistake in &refused.mistakes {
                    writeln!(f, "{}\n", mistake.render(name, Severity::Mistake))?;
                }
                write!(f, "{name}: {}", count(refused.mistakes.len(), "mistake"))
            }
        }
    }
}

/// `1 pool`, `2 pools`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_file_is_named_with_the_reason() {
        let error = load(Path::new("/nowhere/cluster.toml"), &[])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "cannot read /nowhere/cluster.toml: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
        let error = load(&path, &[]).unwrap_err().to_string();
        assert!(error.ends_with("x.toml: line 2 is not UTF-8"), "{error}");
    }
}
