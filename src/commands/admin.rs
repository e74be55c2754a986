//! What the commands that speak to a running daemon have in common.

use std::path::{Path, PathBuf};

use crate::app::status::Status;
use crate::shell::admin::{self, Question};

/// Where daemon and commands meet when nothing else is said.
pub const DEFAULT: &str = "/run/catamaran/admin.sock";

/// The daemon's admin socket.
#[derive(Debug, clap::Args)]
pub struct Admin {
    /// The daemon's admin socket [default: /run/catamaran/admin.sock]
    #[arg(long, env = "CATAMARAN_ADMIN", value_name = "PATH")]
    admin: Option<PathBuf>,
}

impl Admin {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.admin.clone().unwrap_or_else(|| DEFAULT.into())
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

/// Ask and wait for the answer.
///
/// # Errors
/// One sentence.
pub fn ask(path: &Path, question: Question) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    let json = runtime.block_on(admin::ask(path, question))?;
    let status =
        serde_json::from_str(&json).map_err(|error| format!("the daemon is of another version: {error}"))?;
    Ok(Answer { json, status })
}
