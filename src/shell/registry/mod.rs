//! Images in registries (OCI distribution specification).
//!
//! - [`client`]: one repository of a registry: push and pull
//! - [`auth`]: logins from auth files, and what they are exchanged for
//! - [`plugin`]: a plugin out of a repository
//! - [`transport`]: one HTTP/1.1 request on a connection of its own
//!
//! It sends what it is given and hands out what it gets, verified. What an image
//! consists of is for the caller to know.

pub mod auth;
pub mod client;
pub mod plugin;
pub mod transport;
