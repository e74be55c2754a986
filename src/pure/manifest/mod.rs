//! Manifests: what makes a service manager run a load balancer as its document
//! wants it, with no right beyond what it needs.
//!
//! ```text
//!  document ─ Needs ─┬─ quadlet      catamaran.container, catamaran.image   podman under systemd
//!                    ├─ systemd      catamaran.service                      the binary alone
//!                    ├─ static_pod   catamaran.yaml                         the kubelet
//!                    └─ compose      compose.yaml                           for trying
//! ```
//!
//! Texts come out; where they go is the caller's business.

mod compose;
mod needs;
mod quadlet;
mod static_pod;
mod systemd;

use super::config::Config;

use self::needs::Needs;

/// Who is to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// podman, by units that its generator makes services of.
    Quadlet,
    /// systemd alone, without a container.
    Systemd,
    /// The kubelet of a control-plane node.
    StaticPod,
    /// Docker Compose or podman-compose.
    Compose,
}

/// What the document does not say.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// The image's reference; a service without a container has no use for it.
    pub image: &'a str,
    /// The node that the machine is; `None` where it is the one with the host's name.
    pub node: Option<&'a str>,
}

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// The image that is meant when no other is named.
pub const IMAGE: &str = concat!("localhost/catamaran:", env!("CARGO_PKG_VERSION"));

/// Where hosts and containers have the document: the place where the daemon
/// looks by itself.
const DOCUMENT: &str = "/etc/catamaran/cluster.toml";

/// The admin socket of containers, which need no file for it.
const ADMIN: &str = "@catamaran";

/// The manifest of a kind.
///
/// # Errors
/// One sentence: what of the document or the wishes cannot be had there, and
/// what can.
pub fn manifest(kind: Kind, config: &Config, wishes: Wishes<'_>) -> Result<Vec<File>, String> {
    known(config, wishes.node)?;
    plain(wishes.image)?;
    let needs = Needs::of(config)?;
    match kind {
        Kind::Quadlet => Ok(quadlet::files(&needs, wishes)),
        Kind::Systemd => systemd::files(&needs, wishes),
        Kind::StaticPod => static_pod::files(config, &needs, wishes),
        Kind::Compose => Ok(compose::files(&needs, wishes)),
    }
}

fn known(config: &Config, node: Option<&str>) -> Result<(), String> {
    let Some(wanted) = node else { return Ok(()) };
    if config.nodes.iter().any(|node| node.name == wanted) {
        return Ok(());
    }
    let names: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    Err(match names.is_empty() {
        true => format!("no node is called {wanted:?}; the document has none"),
        false => format!(
            "no node is called {wanted:?}; the document has: {}",
            names.join(", ")
        ),
    })
}

/// A reference goes into files of several syntaxes, none of which it may break.
fn plain(image: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:/@+".contains(c);
    if image.is_empty() || !image.chars().all(good) {
        return Err(format!(
            "{image:?} is not an image; write one such as \"{IMAGE}\""
        ));
    }
    Ok(())
}

/// The environment of a container. An image is set to stop before those who
/// were told no time kill it; a manifest tells them one.
fn environment(needs: &Needs, node: Option<&str>) -> Vec<(&'static str, String)> {
    let node = node.map(|node| ("CATAMARAN_NODE", node.into()));
    let always = [
        ("CATAMARAN_ADMIN", ADMIN.into()),
        ("CATAMARAN_STOP_WITHIN", format!("{}s", needs.stop)),
    ];
    always.into_iter().chain(node).collect()
}

/// Lines of a pattern, one for each value; none for no values.
fn lines<T>(values: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    values.into_iter().map(|value| line(value) + "\n").collect()
}

/// A text in YAML; its double quotes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
