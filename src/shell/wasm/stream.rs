//! Connections to the endpoint, clear or TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::bindings::catamaran::health::connection::TlsSession;
use super::bindings::catamaran::health::types::Error;
use super::course::Course;
use super::failure;
use super::limits::CHUNK;
use super::line::{Ear, Line, Played};
use super::tls::TlsClient;
use crate::pure::exchange::recording::Event;

/// What the plugin holds as `stream`.
pub struct Stream {
    /// None once a handshake on it has failed.
    wire: Option<Wire>,
    session: Option<TlsSession>,
    /// Offered in a handshake that is still to come.
    alpn: Vec<Vec<u8>>,
}

/// How TLS is spoken to an endpoint.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    /// Whom the check trusts and who it is.
    pub client: &'a TlsClient,
    /// The name that the certificate must be for; none is the address.
    pub name: Option<&'a str>,
    /// The endpoint's address.
    pub address: IpAddr,
}

/// An open connection.
pub struct Wire {
    carrier: Carrier,
    ear: Option<Ear>,
}

/// What carries the bytes that the plugin sees.
enum Carrier {
    /// The network.
    Clear(TcpStream),
    /// TLS by the host.
    Tls(Box<TlsStream<TcpStream>>),
    /// An exchange that is replayed.
    Played(Played),
}

impl Wire {
    /// Connect in the clear.
    pub async fn connect(address: SocketAddr, line: &Line, course: &Course) -> Result<Self, Error> {
        course.connects()?;
        let ear = line.recorder.as_ref().map(|recorder| recorder.ear());
        let began = Instant::now();
        let carrier = match &line.stage {
            Some(stage) => stage.connect().map(Carrier::Played),
            None => Carrier::connect(address).await,
        };
        if let (Err(Error::Refused), Some(ear)) = (&carrier, &ear) {
            ear.note(Event::Refused);
        }
        let carrier = carrier?;
        course.connected(began.elapsed());
        Ok(Self { carrier, ear })
    }

    /// Begin TLS on a connection in the clear, offering these protocols.
    pub async fn secure(self, peer: Peer<'_>, alpn: Vec<Vec<u8>>, course: &Course) -> Result<Self, Error> {
        course.doing("in the TLS handshake");
        if let Some(ear) = &self.ear {
            ear.tls_begins();
        }
        let began = Instant::now();
        let carrier = self.carrier.secure(peer, alpn).await;
        if let (Err(Error::Tls(why)), Some(ear)) = (&carrier, &self.ear) {
            ear.note(Event::TlsFailed(why.clone()));
        }
        let carrier = carrier?;
        course.secured(began.elapsed());
        Ok(Self {
            carrier,
            ear: self.ear,
        })
    }

    fn session(&self, verified: bool) -> Option<TlsSession> {
        match &self.carrier {
            Carrier::Clear(_) => None,
            Carrier::Tls(stream) => Some(session(stream, verified)),
            Carrier::Played(played) => played.session(),
        }
    }

    fn note(&self, event: Event) {
        self.note_with(|| event);
    }

    /// Bytes are copied only where somebody listens.
    fn note_with(&self, event: impl FnOnce() -> Event) {
        if let Some(ear) = &self.ear {
            ear.note(event());
        }
    }
}

impl Carrier {
    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| failure::of_io(&error))?;
        // Probes are small; one that waits to be filled up measures the wait.
        let _ = stream.set_nodelay(true);
        Ok(Self::Clear(stream))
    }

    async fn secure(self, peer: Peer<'_>, alpn: Vec<Vec<u8>>) -> Result<Self, Error> {
        let stream = match self {
            Self::Clear(stream) => stream,
            Self::Tls(_) => return Err(Error::Protocol("TLS is spoken already".into())),
            Self::Played(played) => return played.start_tls().map(|()| Self::Played(played)),
        };
        let stream = peer.client.handshake(stream, peer.name, peer.address, alpn).await;
        stream
            .map(|stream| Self::Tls(Box::new(stream)))
            .map_err(|error| match failure::of_io(&error) {
                Error::Closed => Error::Tls("the endpoint closed the connection in the handshake".into()),
                other => other,
            })
    }
}

impl Stream {
    /// A connection in the clear; `alpn` is for a handshake to come.
    pub fn new(wire: Wire, alpn: Vec<Vec<u8>>) -> Self {
        Self {
            wire: Some(wire),
            session: None,
            alpn,
        }
    }

    /// See `start-tls` in the contract; afterwards it knows the certificate.
    pub async fn start_tls(&mut self, peer: Peer<'_>, course: &Course) -> Result<(), Error> {
        if self.session.is_some() {
            return Err(Error::Protocol("TLS is spoken already".into()));
        }
        let wire = self.wire.take().ok_or(Error::Closed)?;
        let wire = wire.secure(peer, std::mem::take(&mut self.alpn), course).await?;
        self.session = wire.session(peer.client.verified());
        self.wire = Some(wire);
        Ok(())
    }

    fn wire(&mut self) -> Result<&mut Wire, Error> {
        self.wire.as_mut().ok_or(Error::Closed)
    }

    /// See `read` in the contract.
    pub async fn read(&mut self, max: u32) -> Result<Vec<u8>, Error> {
        let max = usize::try_from(max).unwrap_or(CHUNK).clamp(1, CHUNK);
        let mut bytes = Vec::with_capacity(max.min(4096));
        let mut limited = self.wire()?.take(max as u64);
        match limited.read_buf(&mut bytes).await {
            Ok(_) => Ok(bytes),
            // TLS without its closing message: many servers end so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            Err(error) => Err(failure::of_io(&error)),
        }
    }

    /// See `write` in the contract.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > CHUNK {
            return Err(Error::TooLarge);
        }
        let wire = self.wire()?;
        let written = async {
            wire.write_all(bytes).await?;
            wire.flush().await
        };
        written.await.map_err(|error| failure::of_io(&error))
    }

    /// See `shutdown` in the contract.
    pub async fn shutdown(&mut self) -> Result<(), Error> {
        self.wire()?
            .shutdown()
            .await
            .map_err(|error| failure::of_io(&error))
    }

    /// See `tls` in the contract.
    pub fn tls(&self) -> Option<TlsSession> {
        self.session.clone()
    }
}

fn session(stream: &TlsStream<TcpStream>, verified: bool) -> TlsSession {
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(|chain| chain.first());
    let (subject, expires_in_seconds) = certificate.and_then(subject_and_expiry).unwrap_or_default();
    let alpn = connection.alpn_protocol();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    TlsSession {
        version: version.into(),
        alpn: alpn.map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        subject,
        expires_in_seconds,
        certificate: certificate
            .map(|certificate| certificate.to_vec())
            .unwrap_or_default(),
        verified,
    }
}

fn subject_and_expiry(certificate: &CertificateDer<'_>) -> Option<(String, i64)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let now = x509_parser::time::ASN1Time::now().timestamp();
    Some((
        rfc4514(parsed.subject()),
        parsed.validity().not_after.timestamp().saturating_sub(now),
    ))
}

/// RFC 4514 §2: the last part first, `,` between parts, `+` within one.
fn rfc4514(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in name.iter_rdn() {
        let attributes = part.iter().map(|attribute| {
            let (kind, value) = (attribute.attr_type(), attribute.attr_value());
            let known = oid2abbrev(kind, oid_registry());
            match (known, attribute.as_str()) {
                (Ok(word), Ok(text)) => format!("{word}={}", escaped(text)),
                // §2.4: what has no word or is no plain text, by its bytes.
                (word, _) => {
                    let word = word.map_or_else(|_| kind.to_id_string(), String::from);
                    let bytes = value.data.iter().map(|byte| format!("{byte:02x}"));
                    format!("{word}=#{}", bytes.collect::<String>())
                }
            }
        });
        parts.push(attributes.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// RFC 4514 §2.4
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let last = text.chars().count().saturating_sub(1);
    for (at, letter) in text.chars().enumerate() {
        match letter {
            '\0' => {
                escaped.push_str("\\00");
                continue;
            }
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.push('\\'),
            '#' if at == 0 => escaped.push('\\'),
            ' ' if at == 0 || at == last => escaped.push('\\'),
            _ => {}
        }
        escaped.push(letter);
    }
    escaped
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = buffer.filled().len();
        let outcome = match &mut wire.carrier {
            Carrier::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Carrier::Played(played) => Pin::new(played).poll_read(cx, buffer),
        };
        match &outcome {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                wire.note_with(|| Event::Endpoint(buffer.filled()[before..].to_vec()));
            }
            Poll::Ready(Ok(())) => wire.note(Event::Close),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                wire.note(Event::Close);
            }
            Poll::Ready(Err(_)) => wire.note(Event::Reset),
            Poll::Pending => {}
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let outcome = match &mut wire.carrier {
            Carrier::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Played(played) => Pin::new(played).poll_write(cx, bytes),
        };
        if let Poll::Ready(Ok(count)) = &outcome {
            wire.note_with(|| Event::Plugin(bytes[..*count].to_vec()));
        }
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Played(played) => Pin::new(played).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let outcome = match &mut wire.carrier {
            Carrier::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Played(played) => Pin::new(played).poll_shutdown(cx),
        };
        if matches!(outcome, Poll::Ready(Ok(()))) {
            wire.note(Event::PluginCloses);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_is_written_as_the_rfc_has_it() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "a, b");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "#kube-apiserver ");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (subject, _) = subject_and_expiry(certificate.der()).unwrap();
        assert_eq!(subject, "CN=\\#kube-apiserver\\ ,O=a\\, b");
    }
}
