//! From what the kernel, TLS and HTTP say to the contract's errors.

use std::error::Error as _;
use std::io;

use rustls::{CertificateError, Error as TlsError};

use super::bindings::catamaran::health::types::Error;
use crate::pure::health::Cause;

/// How a connection attempt or an operation on a connection failed.
pub fn of_io(error: &io::Error) -> Error {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return Error::Tls(of_tls(tls));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::TimedOut => Error::TimedOut,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Error::Closed,
        _ => Error::Unreachable(error.to_string()),
    }
}

/// How an HTTP exchange failed.
pub fn of_http(error: &hyper::Error) -> Error {
    if let Some(io) = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
    {
        return of_io(io);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Error::Closed;
    }
    if error.is_parse_too_large() {
        return Error::TooLarge;
    }
    match error.source() {
        Some(source) => Error::Protocol(format!("{error}: {source}")),
        None => Error::Protocol(error.to_string()),
    }
}

/// What went wrong in a TLS handshake, in an operator's words.
pub fn of_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(certificate) => of_certificate(certificate),
        TlsError::InvalidMessage(_) => "the endpoint does not speak TLS".into(),
        TlsError::AlertReceived(alert) => format!(
            "the endpoint ended the handshake: {}",
            spaced(&format!("{alert:?}"))
        ),
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "the certificate is signed by an unknown authority".into(),
        // Clusters that were built anew: each has an authority called kubernetes.
        CertificateError::BadSignature => {
            "the certificate is signed by an unknown authority that has the name of a trusted one".into()
        }
        CertificateError::BadEncoding => "the certificate is malformed".into(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate is signed in a way that is not accepted any more, or not yet".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".into()
        }
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate is not for {}; it is for {}",
            expected.to_str(),
            if presented.is_empty() {
                "no name".into()
            } else {
                presented.join(", ")
            }
        ),
        CertificateError::Revoked => "the certificate is revoked".into(),
        CertificateError::Other(other) => {
            format!(
                "the certificate is not accepted: {}",
                sentence(&other.to_string())
            )
        }
        other => format!(
            "the certificate is not accepted: {}",
            sentence(&other.to_string())
        ),
    }
}

/// What is only a name in Rust, as words.
fn sentence(text: &str) -> String {
    if text.chars().all(char::is_alphanumeric) {
        spaced(text)
    } else {
        text.into()
    }
}

/// `CertificateRequired` as `certificate required`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The cause that an error gives a probe, unless the plugin knows better.
pub fn cause(error: &Error) -> Cause {
    match error {
        Error::Denied(_) => Cause::Denied,
        Error::Refused => Cause::Refused,
        Error::Unreachable(_) => Cause::Unreachable,
        Error::TimedOut => Cause::TimedOut,
        Error::Closed => Cause::Closed,
        Error::Tls(_) => Cause::Tls,
        Error::Protocol(_) | Error::TooLarge => Cause::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_reads_as_words() {
        assert_eq!(spaced("CertificateRequired"), "certificate required");
    }

    #[test]
    fn tls_error_inside_io_error_is_told_as_tls() {
        let wrapped = io::Error::new(
            io::ErrorKind::InvalidData,
            TlsError::InvalidCertificate(CertificateError::UnknownIssuer),
        );
        assert!(matches!(of_io(&wrapped), Error::Tls(text) if text.contains("unknown authority")));
    }
}
