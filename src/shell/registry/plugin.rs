//! A plugin out of a repository, verified all the way: the manifest by the
//! digest that was asked for, the component by size and digest of the manifest.

use oci_spec::image::Digest;

use super::client::Repository;
use crate::pure::image::plugin;

/// A plugin, and what proves that it is the one.
#[derive(Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Of `manifest`: what a document pins.
    pub digest: Digest,
    /// As it came.
    pub manifest: Vec<u8>,
    /// The plugin itself.
    pub component: Vec<u8>,
}

impl Repository {
    /// Pull a plugin by tag or digest, of at most `most` bytes.
    ///
    /// # Errors
    /// One sentence, with the registry's own words.
    pub async fn plugin(&mut self, tag_or_digest: &str, most: u64) -> Result<Artifact, String> {
        let pulled = self.manifest(tag_or_digest).await?;
        let pulled =
            pulled.ok_or_else(|| format!("{} has no {tag_or_digest} (404 Not Found)", self.shown()))?;
        let wrong = |why| format!("{} is no plugin: {why}", pulled.digest);
        let layer = plugin::component(&pulled.media_type, &pulled.bytes).map_err(wrong)?;
        if layer.size() > most {
            let (size, most) = (layer.size(), most >> 20);
            return Err(wrong(format!(
                "its component has {size} bytes, more than {most} MiB"
            )));
        }
        // Not reserved: the size is what a stranger says until all has come.
        let mut component = Vec::new();
        self.blob(layer.digest(), layer.size(), &mut component).await?;
        Ok(Artifact {
            digest: pulled.digest,
            manifest: pulled.bytes,
            component,
        })
    }
}
