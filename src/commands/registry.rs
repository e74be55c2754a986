//! How commands get at a registry: the flags that they share.

use std::path::PathBuf;

use crate::pure::registry::reference::Reference;
use crate::shell::registry::auth::AuthFiles;
use crate::shell::registry::client::Repository;

/// Whom to trust and who we are.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Speak HTTP without TLS; else TLS is asked of every registry, also of one on this machine
    #[arg(long)]
    plain_http: bool,
    /// Trust the authorities of this PEM file, too
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    ca: Option<PathBuf>,
    /// The file with the login; by default those that podman and docker write
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE")]
    authfile: Option<PathBuf>,
}

impl Access {
    /// The repository of a reference. Nothing is sent yet.
    pub fn repository(&self, reference: &Reference) -> Result<Repository, String> {
        let files = AuthFiles::new(self.authfile.clone());
        Repository::new(reference, self.plain_http, self.ca.as_deref(), files)
    }
}
