//! Registries, as far as they can be known without speaking to one.
//!
//! It sends nothing and opens no file; `shell::registry` does.
//!
//! - [`auth_file`]: logins that container tools have stored
//! - [`challenge`]: what a registry wants before it answers
//! - [`reference`]: names of images
//! - [`referrers`]: the list of those that refer to an image, where the registry keeps none
//! - [`refusal`]: a registry's own words for an error
//! - [`url`]: addresses, and where a `Location` leads

pub mod auth_file;
pub mod challenge;
pub mod reference;
pub mod referrers;
pub mod refusal;
pub mod url;
