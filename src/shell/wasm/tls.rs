//! TLS towards endpoints.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pure::config::Tls;
use crate::pure::digest::Hasher;

/// One check's side of TLS: whom it trusts and who it is.
pub struct TlsClient {
    connector: TlsConnector,
    verified: bool,
    files: String,
}

impl TlsClient {
    /// Read the files that the document names.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn new(tls: &Tls) -> Result<Self, String> {
        if let Some(name) = &tls.server_name {
            server_name(name)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let builder = if tls.verify {
            let roots = Arc::new(roots(tls.ca.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| format!("TLS: {error}"))?;
            builder.with_webpki_verifier(verifier)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        let mut config = match (&tls.client_cert, &tls.client_key) {
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| {
                    format!(
                        "{}: not the key of {}: {error}",
                        key.display(),
                        certificate.display()
                    )
                })?,
            _ => builder.with_no_client_auth(),
        };
        // A resumed session stands on the certificate of an earlier probe; each
        // probe is to see and verify the one the endpoint has now.
        config.resumption = Resumption::disabled();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            verified: tls.verify,
            files: digest(tls)?,
        })
    }

    /// A digest of the files that it was made of.
    pub fn files(&self) -> &str {
        &self.files
    }

    /// Whether certificates are verified.
    pub fn verified(&self) -> bool {
        self.verified
    }

    /// Handshake with the endpoint, by name where it has one, else by address;
    /// `alpn` are the protocols to offer.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        name: Option<&str>,
        ip: IpAddr,
        alpn: Vec<Vec<u8>>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match name {
            Some(name) => server_name(name).map_err(|why| io::Error::other(rustls::Error::General(why)))?,
            None => ServerName::IpAddress(ip.into()),
        };
        self.connector.with_alpn(alpn).connect(name, stream).await
    }
}

fn digest(tls: &Tls) -> Result<String, String> {
    let mut hasher = Hasher::sha256();
    for path in [&tls.ca, &tls.client_cert, &tls.client_key].into_iter().flatten() {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        hasher.update(&bytes);
    }
    Ok(hasher.finish())
}

fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_string())
        .map_err(|_| format!("{name:?} is not a server name; it is a host name or an IP address"))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                store
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(system.certs);
            if store.is_empty() {
                return Err(
                    "no authority to trust: the system has no certificates; name a file in `tls.ca`".into(),
                );
            }
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: rustls::pki_types::pem::Error| {
        format!("{}: cannot read a certificate: {error}", path.display())
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    if certificates.is_empty() {
        return Err(format!(
            "{}: no certificate in this file (PEM is expected)",
            path.display()
        ));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("{}: cannot read a private key: {error}", path.display()))
}

/// `verify = false`: any certificate, but the handshake must still be signed
/// with its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
