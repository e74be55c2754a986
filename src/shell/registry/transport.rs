//! One HTTP/1.1 request on a connection of its own, over TLS or not.
//!
//! It follows nothing and logs in nowhere; `client` does. A push is a few
//! requests with large bodies: a connection for each costs little, and none can
//! be found half closed.

use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::pure::registry::url::{Origin, Url};

/// Time to connect, with TLS.
const CONNECT: Duration = Duration::from_secs(10);

/// Time to answer, and between two pieces of an answer, …
const ANSWER: Duration = Duration::from_secs(60);

/// … and what a body of ours is given besides: less than any network that is used for images.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// One piece of a body.
const PIECE: usize = 64 << 10;

/// What we call ourselves.
const AGENT: &str = concat!("catamaran/", env!("CARGO_PKG_VERSION"));

/// Opens a blob from its beginning, as often as it has to be sent.
pub type Open<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync);

/// What is sent.
#[derive(Clone)]
pub enum Content<'a> {
    /// Bytes, perhaps none.
    Bytes(Bytes),
    /// A part of a blob, read from a local file while it is sent.
    Blob {
        /// The blob.
        open: Open<'a>,
        /// Bytes of it to leave out at the beginning.
        skip: u64,
        /// Bytes to send.
        size: u64,
    },
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { size, .. } => *size,
        }
    }

    fn outgoing(&self) -> io::Result<Outgoing> {
        let source: Box<dyn Read + Send> = match self {
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Self::Blob { open, skip, .. } => {
                let mut blob = open()?;
                io::copy(&mut (&mut blob).take(*skip), &mut io::sink())?;
                blob
            }
        };
        Ok(Outgoing {
            source,
            left: self.size(),
        })
    }
}

/// A body on its way. Reading a local file blocks, for no longer than a disk
/// takes; nothing else waits on the command's runtime.
struct Outgoing {
    source: Box<dyn Read + Send>,
    left: u64,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; most];
        let read = match self.source.read(&mut piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        Poll::Ready(Some(read.map(|read| {
            piece.truncate(read);
            self.left -= read as u64;
            Frame::data(piece.into())
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An answer whose body is still to be read.
pub struct Answer {
    /// How it went.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    /// The connection; it ends with the answer.
    _driver: JoinSet<()>,
}

impl Answer {
    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off or does not come.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = timeout(ANSWER, self.body.frame())
                .await
                .map_err(|_| format!("the answer does not go on for {} s", ANSWER.as_secs()))?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(error)) => return Err(format!("the answer breaks off: {}", causes(&error))),
            }
        }
    }

    /// The whole body, of at most `most` bytes.
    ///
    /// # Errors
    /// As [`Answer::piece`], and when it is larger.
    pub async fn whole(&mut self, most: usize) -> Result<Vec<u8>, String> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > most {
                return Err(format!("the answer is larger than {most} bytes"));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// Makes connections.
pub struct Transport {
    tls: TlsConnector,
}

impl Transport {
    /// Trust the system's authorities, and those of a PEM file beside them:
    /// tokens and blobs may be at hosts that have other certificates than the registry.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn new(ca: Option<&Path>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Send a request and wait for the head of the answer.
    ///
    /// # Errors
    /// A sentence that names the host.
    pub async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        content: &Content<'_>,
    ) -> Result<Answer, String> {
        let host = url.origin.authority();
        let body = content
            .outgoing()
            .map_err(|error| format!("cannot read what is to be sent: {error}"))?;
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = url
            .target
            .parse()
            .map_err(|_| format!("{url} is not an address"))?;
        *request.headers_mut() = headers.clone();
        let wrong = |_| format!("{host:?} cannot stand in a request");
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(&host).map_err(wrong)?);
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        if ![Method::GET, Method::HEAD].contains(method) {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, content.size().into());
        }
        let patience = ANSWER + Duration::from_secs(content.size() / BYTES_PER_SECOND);
        let stream = self.connect(&url.origin).await?;
        let late = |_| format!("{host} does not answer within {} s", patience.as_secs());
        match stream {
            Stream::Tls(stream) => timeout(patience, send(stream, request)).await,
            Stream::Plain(stream) => timeout(patience, send(stream, request)).await,
        }
        .map_err(late)?
        .map_err(|error| format!("{host}: {}", causes(&error)))
    }

    async fn connect(&self, origin: &Origin) -> Result<Stream, String> {
        let authority = origin.authority();
        let late = |_| format!("cannot connect to {authority} within {} s", CONNECT.as_secs());
        let wrong = |error| format!("cannot connect to {authority}: {error}");
        let connecting = TcpStream::connect((origin.host.as_str(), origin.port));
        let stream = timeout(CONNECT, connecting).await.map_err(late)?.map_err(wrong)?;
        stream.set_nodelay(true).map_err(wrong)?;
        if !origin.tls {
            return Ok(Stream::Plain(stream));
        }
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|_| format!("{:?} is no name for a certificate", origin.host))?;
        let stream = timeout(CONNECT, self.tls.connect(name, stream))
            .await
            .map_err(late)?;
        stream
            .map(Box::new)
            .map(Stream::Tls)
            .map_err(|error| format!("no TLS with {authority}: {error}{}", advice(&error)))
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn send<S>(stream: S, request: Request<Outgoing>) -> Result<Answer, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async {
        // Whoever reads the answer sees the same error.
        let _ = connection.await;
    });
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
        _driver: driver,
    })
}

/// What would help, where it is known.
fn advice(error: &io::Error) -> &'static str {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => {
            "; if it speaks plain HTTP, say so: --plain-http, or `plain-http` of the document's registry"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; if its authority is to be trusted, name it: --ca, or `ca` of the document's registry"
        }
        _ => "",
    }
}

/// An error with what caused it: hyper's own words leave that out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca else { return Ok(store) };
    let shown = path.display();
    let wrong = |error| format!("{shown}: cannot read a certificate: {error}");
    let mut any = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(wrong)? {
        store
            .add(certificate.map_err(wrong)?)
            .map_err(|error| format!("{shown}: {error}"))?;
        any = true;
    }
    if any {
        Ok(store)
    } else {
        Err(format!("{shown}: no certificate in this file (PEM is expected)"))
    }
}
