//! HTTP/1.1 to the endpoint, over TLS where the document says so.

use std::borrow::Cow;

pub use crate::bindings::catamaran::health::http::{Header, HttpRequest, Response, request};
use crate::types::Error;

/// The most bytes of an answer's body that the contract gives a plugin.
pub const BODY_AT_MOST: u32 = 1024 * 1024;

/// The most bytes of a request's body that the contract takes.
pub const SEND_AT_MOST: usize = 64 * 1024;

/// `GET` the path, with its query if any, and the first 64 KiB of the body.
///
/// # Errors
///
/// Why there is no answer.
pub fn get(path: &str) -> Result<Response, Error> {
    request(&HttpRequest::get(path))
}

impl HttpRequest {
    /// A `GET` without headers of its own; up to 64 KiB of the answer's body
    /// are kept.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            max_body: 64 * 1024,
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Send it on a new connection and wait for the answer.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub fn send(&self) -> Result<Response, Error> {
        request(self)
    }
}

impl Response {
    /// The value of the first header of a name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let named = |header: &&Header| header.name.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|header| &header.value[..])
    }

    /// The body as text; what is not UTF-8 becomes `U+FFFD`.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_header_of_a_name_counts_whatever_its_case() {
        let header = |name: &str, value: &[u8]| Header {
            name: name.into(),
            value: value.into(),
        };
        let answer = Response {
            status: 200,
            headers: vec![header("Retry-After", b"1"), header("retry-after", b"2")],
            body: b"caf\xe9".to_vec(),
            truncated: false,
        };
        assert_eq!(answer.header("RETRY-AFTER"), Some(&b"1"[..]));
        assert_eq!(answer.header("age"), None);
        assert_eq!(answer.text(), "caf\u{fffd}");
    }
}
