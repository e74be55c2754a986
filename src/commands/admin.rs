//! What the commands that speak to a running daemon have in common.

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::app::status::Status;
use crate::shell::admin::{self, Place, Question, Refusal};

/// Where daemon and commands meet when nothing else is said.
pub const DEFAULT: &str = "/run/catamaran/admin.sock";

/// The daemon's admin socket.
#[derive(Debug, clap::Args)]
pub struct Admin {
    /// The daemon's admin socket [default: /run/catamaran/admin.sock]
    ///
    /// With @NAME it has no file, only a name in its network namespace, so that
    /// nothing needs to be writable; root and the daemon's own user may ask.
    #[arg(long, env = "CATAMARAN_ADMIN", value_name = "PATH|@NAME", value_parser = place())]
    admin: Option<Place>,
}

fn place() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(|text| Place::parse(&text))
}

impl Admin {
    /// Where it is.
    pub fn place(&self) -> Place {
        self.admin.clone().unwrap_or_else(|| Place::Path(DEFAULT.into()))
    }

    /// Somebody has said where.
    pub fn is_wished(&self) -> bool {
        self.admin.is_some()
    }
}

/// A daemon's answer.
pub struct Answer {
    /// As it came.
    pub json: String,
    /// As it is meant.
    pub status: Status,
}

/// Ask and wait for the answer, whatever it is.
///
/// # Errors
/// The daemon's, or one sentence why it was not asked.
pub fn request(place: &Place, question: Question) -> Result<String, Refusal> {
    super::runtime()?.block_on(admin::ask(place, question))
}

/// Ask and wait for the status that answers.
///
/// # Errors
/// One sentence.
pub fn ask(place: &Place, question: Question) -> Result<Answer, String> {
    let json = request(place, question).map_err(|refusal| refusal.to_string())?;
    let status =
        serde_json::from_str(&json).map_err(|error| format!("the daemon is of another version: {error}"))?;
    Ok(Answer { json, status })
}
