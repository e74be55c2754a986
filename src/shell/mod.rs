//! Floor 1: actions. Each room does one kind of thing to the world and imports
//! its own pure room; rooms do not import each other.
//!
//! - [`admin`]: operators' questions over a UNIX socket
//! - [`alarm`]: waits for a moment, precisely
//! - [`capabilities`]: what the kernel allows us
//! - [`document`]: reads the document from a file, standard input or the environment
//! - [`forward`]: carries connections
//! - [`netlink`]: interfaces and addresses of this machine
//! - [`oci`]: images in folders and archives
//! - [`plugin_store`]: the bytes of plugins, embedded or from files
//! - [`registry`]: images in registries
//! - [`service_manager`]: what systemd is told
//! - [`telemetry`]: the log
//! - [`vrrp`]: advertisements and announcements on the wire
//! - [`wasm`]: runs plugins behind a fence

pub mod admin;
pub mod alarm;
pub mod capabilities;
pub mod document;
pub mod forward;
pub mod netlink;
pub mod oci;
pub mod plugin_store;
pub mod registry;
pub mod service_manager;
pub mod telemetry;
pub mod vrrp;
pub mod wasm;
