//! Reads the document; what it means is for [`crate::pure::config`] to say.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::pure::config::{self, Checked, Config, Format, Password, Plugins, Refused, Severity};

/// Where it is when nobody says otherwise.
pub const USUAL: &str = "/etc/catamaran/cluster.toml";

/// The environment variable that may hold the document itself.
pub const VARIABLE: &str = "CATAMARAN_DOCUMENT";

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that was named.
    File(PathBuf),
    /// Standard input, `-` where a file is named.
    StandardInput,
    /// This text, the value of [`VARIABLE`].
    Variable(OsString),
    /// The file [`USUAL`]: nobody has said anything.
    Usual,
}

impl Source {
    /// What was named comes before the environment, as flags do everywhere; an
    /// empty variable is none.
    pub fn choose(named: Option<PathBuf>, variable: Option<OsString>) -> Self {
        match (named, variable) {
            (Some(path), _) if path == Path::new("-") => Self::StandardInput,
            (Some(path), _) => Self::File(path),
            (None, Some(text)) if !text.is_empty() => Self::Variable(text),
            (None, _) => Self::Usual,
        }
    }

    /// The same one, where it can be read again and say something else.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::File(_) | Self::Usual => Some(self.clone()),
            Self::StandardInput | Self::Variable(_) => None,
        }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let source: Box<dyn Read> = match self {
            Self::File(path) => Box::new(std::fs::File::open(path)?),
            Self::StandardInput => Box::new(io::stdin()),
            Self::Variable(text) => Box::new(io::Cursor::new(text.clone().into_vec())),
            Self::Usual => Box::new(std::fs::File::open(USUAL)?),
        };
        let mut bytes = Vec::new();
        source.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        Ok(bytes)
    }

    /// How its name ends, where that says what it is. At the usual place
    /// containers find whatever was mounted there.
    fn extension(&self) -> Option<&str> {
        match self {
            Self::File(path) => path.extension()?.to_str(),
            Self::StandardInput | Self::Variable(_) | Self::Usual => None,
        }
    }
}

/// What the document is called in messages.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::StandardInput => f.write_str("<stdin>"),
            Self::Variable(_) => f.write_str(VARIABLE),
            Self::Usual => f.write_str(USUAL),
        }
    }
}

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
    /// It is good, but something that it names cannot be had; the text says what and why.
    Lacking(String),
}

/// A document's text, which is checked as often as more becomes known of its plugins.
pub struct Document {
    name: String,
    text: String,
    format: Format,
}

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`].
    pub fn read(source: &Source) -> Result<Self, LoadError> {
        let bytes = source.read().map_err(|error| unreadable(source, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            LoadError::Unreadable(format!("cannot read {source}: line {line} is not UTF-8"))
        })?;
        Ok(Self {
            name: source.to_string(),
            format: Format::of(source.extension(), &text),
            text,
        })
    }

    /// Checks it; it may name these plugins.
    ///
    /// # Errors
    /// [`LoadError::Refused`].
    pub fn check(&self, plugins: &impl Plugins) -> Result<Checked, LoadError> {
        config::check(&self.text, self.format, plugins).map_err(|refused| LoadError::Refused {
            name: self.name.clone(),
            refused,
        })
    }
}

/// The document with the passwords that it has in files.
///
/// # Errors
/// One sentence: which file cannot be read, or holds no password.
pub fn with_passwords(mut config: Config) -> Result<Config, String> {
    for router in &mut config.virtual_routers {
        let Some(Password::File(path)) = &router.password else {
            continue;
        };
        let password = password(path)
            .map_err(|why| format!("virtual router {}: {}: {why}", router.name, path.display()))?;
        router.password = Some(Password::Text(password));
    }
    Ok(config)
}

/// What editors and `echo` add to it is not part of it.
fn password(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    match password.len() {
        1..=8 => Ok(password.into()),
        length => Err(format!("a password has 1 to 8 bytes, and this is of {length}")),
    }
}

fn unreadable(source: &Source, error: &io::Error) -> LoadError {
    let way_out = match (source, error.kind()) {
        (Source::Usual, io::ErrorKind::NotFound) => {
            format!("; put a document there, name another one, or set {VARIABLE} to its text")
        }
        _ => String::new(),
    };
    LoadError::Unreadable(format!("cannot read {source}: {error}{way_out}"))
}

/// Largest document that is read. A pool of 4,096 endpoints takes 200 KiB.
const LARGEST: u64 = 16 << 20;

impl std::error::Error for LoadError {}

/// For people, without a line feed at the end.
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(text) | Self::Lacking(text) => f.write_str(text),
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

    const NO_PLUGINS: [&str; 0] = [];

    #[test]
    fn missing_file_is_named_with_the_reason() {
        let source = Source::File("/nowhere/cluster.toml".into());
        let error = Document::read(&source).err().unwrap().to_string();
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
        let error = Document::read(&Source::File(path)).err().unwrap().to_string();
        assert!(error.ends_with("x.toml: line 2 is not UTF-8"), "{error}");
    }

    /// A document whose password is in a file that holds `text`.
    fn with_password_of(text: &str) -> Result<Option<Password>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, text).unwrap();
        let document = format!(
            "[nodes.a]\naddress = '192.0.2.1'\ninterface = 'eth0'\n[virtual-routers.v]\nvrid = 7\nversion = 2\n\
             addresses = ['192.0.2.250']\nauthentication = {{ pass-file = '{}' }}",
            path.display()
        );
        let checked = config::check(&document, Format::Toml, &NO_PLUGINS).unwrap();
        with_passwords(checked.config).map(|mut config| config.virtual_routers.remove(0).password)
    }

    #[test]
    fn password_is_the_first_line_of_its_file() {
        let password = Ok(Some(Password::Text("1111".into())));
        for text in ["1111", "1111\n", "1111\r\n"] {
            assert_eq!(with_password_of(text), password, "{text:?}");
        }
        let with_blank = Ok(Some(Password::Text("1111 ".into())));
        assert_eq!(with_password_of("1111 \n"), with_blank);
    }

    #[test]
    fn file_that_holds_no_password_is_named_without_its_text() {
        for (text, length) in [("", 0), ("\n", 0), ("123456789", 9), ("1111\n2222\n", 9)] {
            let why = with_password_of(text).unwrap_err();
            let end = format!("password: a password has 1 to 8 bytes, and this is of {length}");
            assert!(
                why.starts_with("virtual router v: /") && why.ends_with(&end),
                "{why}"
            );
        }
    }

    #[test]
    fn named_document_comes_before_the_variable_and_an_empty_variable_is_none() {
        let (named, text) = (Some(PathBuf::from("x.toml")), Some(OsString::from("{}")));
        assert_eq!(
            Source::choose(named.clone(), text.clone()),
            Source::File("x.toml".into())
        );
        assert_eq!(
            Source::choose(Some("-".into()), text.clone()),
            Source::StandardInput
        );
        assert_eq!(Source::choose(None, text), Source::Variable("{}".into()));
        assert_eq!(Source::choose(None, Some(OsString::new())), Source::Usual);
        assert_eq!(Source::choose(None, None), Source::Usual);
    }
}
