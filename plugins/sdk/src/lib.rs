//! Write a health check for Catamaran in Rust.
//!
//! A check is a type that is read from the document's `config` and can probe:
//!
//! ```
//! use catamaran_check::{Check, Failure, Request, Verdict, healthy, http, unhealthy};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Ready {
//!     path: String,
//! }
//!
//! impl Check for Ready {
//!     fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
//!         let answer = http::get(&self.path)?;
//!         Ok(if answer.status == 200 { healthy("ready") } else { unhealthy(answer.status) })
//!     }
//! }
//! catamaran_check::export!(Ready);
//! ```
//!
//! Compiled for `wasm32-unknown-unknown` as a `cdylib`, it is what
//! `catamaran plugin build` makes a component of. The contract itself, which
//! says what the host grants, is in `wit`; [`http`], [`connection`], [`clock`]
//! and [`log`] are its interfaces.

pub mod connection;
pub mod http;
#[cfg(feature = "schema")]
pub mod schema;
mod text;

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

/// The contract in Rust, generated from `plugins/wit`.
///
/// The world is the one with every interface. A component imports only what
/// its plugin calls, so a plugin that never speaks HTTP does not ask for it.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::too_many_arguments,
    reason = "generated; calls across the component boundary are unsafe by nature"
)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "full-check",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "catamaran_check::bindings",
    });
}

pub use bindings::catamaran::health::{clock, log, types};
pub use text::{quote, reason};
pub use types::{Endpoint, Error, Request, Verdict};

/// A check: its settings, and how it probes.
pub trait Check: DeserializeOwned {
    /// Refuse settings that can be read and make no sense.
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key and says what would be right.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Probe the endpoint once.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; `?` makes one of a failed request or connection.
    fn probe(&self, request: &Request) -> Result<Verdict, Failure>;
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum Failure {
    /// A request or connection failed: the endpoint is unhealthy, for the
    /// [`reason`] that the error has.
    Network(Error),
    /// The check cannot be made, and not for the endpoint's fault; the text
    /// says to the operator why. It counts as a failed probe.
    Fault(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Network(error)
    }
}

/// Make a [`Check`] the plugin. Once in a crate.
#[macro_export]
macro_rules! export {
    ($check:ty) => {
        type CatamaranCheck = $crate::Exported<$check>;
        $crate::bindings::export!(CatamaranCheck with_types_in $crate::bindings);
    };
}

/// What [`export!`] exports.
#[doc(hidden)]
pub struct Exported<C>(PhantomData<C>);

impl<C: Check> bindings::Guest for Exported<C> {
    fn check(request: Request) -> Result<Verdict, String> {
        match read::<C>(&request.config)?.probe(&request) {
            Ok(verdict) => Ok(verdict),
            Err(Failure::Network(error)) => Ok(Verdict::Unhealthy(reason(&error))),
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }
}

/// Read and validate a check's `config`, as each probe does.
///
/// # Errors
///
/// As [`config`] and [`Check::validate`].
pub fn read<C: Check>(text: &str) -> Result<C, String> {
    let check: C = config(text)?;
    check.validate().map_err(|fault| format!("config: {fault}"))?;
    Ok(check)
}

/// Fit for connections; with a detail worth showing, or an empty text.
#[must_use]
pub fn healthy(detail: impl ToString) -> Verdict {
    Verdict::Healthy(detail.to_string())
}

/// Fit for connections, but someone should look; at what, the text says.
#[must_use]
pub fn degraded(detail: impl ToString) -> Verdict {
    Verdict::Degraded(detail.to_string())
}

/// Not fit; the text is the reason.
#[must_use]
pub fn unhealthy(reason: impl ToString) -> Verdict {
    Verdict::Unhealthy(reason.to_string())
}

/// Read a check's `config`. The error is for the operator and names the key
/// that is wrong, or the keys there are.
///
/// # Errors
///
/// When the text is not JSON of the shape `T` asks for.
pub fn config<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        // The operator wrote TOML and never sees this JSON, so a place in it
        // would only mislead; and the document calls a field a key.
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        format!("config: {}", text.replace("field", "key"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors matter here")]
    struct Keys {
        path: Option<String>,
        host: Option<String>,
    }

    #[test]
    fn unknown_key_is_refused_with_the_keys_there_are() {
        let error = config::<Keys>(r#"{"pth": "/"}"#).unwrap_err();
        assert_eq!(error, "config: unknown key `pth`, expected `path` or `host`");
    }

    #[test]
    fn wrong_type_is_refused_without_a_place_in_text_nobody_sees() {
        let error = config::<Keys>(r#"{"path": 1}"#).unwrap_err();
        assert_eq!(error, "config: invalid type: integer `1`, expected a string");
    }

    #[derive(serde::Deserialize)]
    struct Settled(Option<bool>);

    impl Check for Settled {
        fn validate(&self) -> Result<(), String> {
            self.0.map(|_| ()).ok_or_else(|| "it is null".into())
        }

        fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
            match self.0 {
                Some(true) if request.endpoint.tls => Err(Failure::Fault("no TLS here".into())),
                Some(true) => Ok(healthy(&request.endpoint.name)),
                _ => Err(Error::Refused.into()),
            }
        }
    }

    fn check(config: &str, tls: bool) -> Result<Verdict, String> {
        let endpoint = Endpoint {
            name: "e0".into(),
            address: "192.0.2.1".into(),
            port: 1,
            server_name: None,
            tls,
        };
        <Exported<Settled> as bindings::Guest>::check(Request {
            endpoint,
            config: config.into(),
            timeout_ms: 1,
        })
    }

    #[test]
    fn network_failure_is_a_verdict_and_what_else_fails_is_a_fault() {
        assert!(matches!(check("true", false), Ok(Verdict::Healthy(name)) if name == "e0"));
        assert!(matches!(check("false", false), Ok(Verdict::Unhealthy(why)) if why == "connection refused"));
        assert_eq!(check("true", true).unwrap_err(), "no TLS here");
        assert_eq!(check("null", false).unwrap_err(), "config: it is null");
        assert_eq!(
            check("1", false).unwrap_err(),
            "config: invalid type: integer `1`, expected a boolean"
        );
    }
}
