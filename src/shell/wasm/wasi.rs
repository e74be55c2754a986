//! The part of WASI 0.2 that ordinary toolchains build on, inside the fence:
//! HTTP requests go to the endpoint or nowhere, output goes to the log, files,
//! environment, arguments and input are empty, and sockets are denied.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::http::uri::{Authority, Scheme};
use hyper::{Method, Request, Response, Uri};
use tokio::io::AsyncWrite;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, network, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{DynPollable, Network, SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::bindings::catamaran::health::types::Error;
use super::course::{Course, Log};
use super::guest::{Guest, Level, Reach};
use super::limits::{CHUNK, REQUEST_HEAD};
use super::{failure, http};

/// Make all of it importable.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    // The library would make sockets and deny their use; here none is made.
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    udp_create_socket::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    ip_name_lookup::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// One probe's part of WASI.
pub struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    requests: Requests,
}

impl Wasi {
    /// With requests within `reach`, and output to `log`.
    pub fn new(reach: Reach, log: &Log) -> Self {
        let output = |level| Output {
            level,
            log: log.clone(),
        };
        let context = WasiCtx::builder()
            .stdout(output(Level::Info))
            .stderr(output(Level::Warn))
            .max_random_size(CHUNK as u64)
            .build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(REQUEST_HEAD);
        Self {
            context,
            http,
            requests: Requests { reach },
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (wasi, table) = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.context,
            table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (wasi, table) = self.wasi();
        WasiHttpCtxView {
            hooks: &mut wasi.requests,
            table,
            ctx: &mut wasi.http,
        }
    }
}

/// A stream of text whose lines go to the log.
#[derive(Clone)]
struct Output {
    level: Level,
    log: Log,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.log.write(self.level, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Guest {
    /// What the plugin asked for is nowhere to be had; the probe ends as denied.
    fn refuse<T>(&self, what: &str) -> SocketResult<T> {
        self.course().deny(format!("the plugin asked for {what}"));
        Err(network::ErrorCode::AccessDenied.into())
    }
}

impl network::Host for Guest {
    fn convert_error_code(&mut self, error: SocketError) -> Result<network::ErrorCode> {
        self.sockets().convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> Result<Option<network::ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for Guest {
    fn drop(&mut self, network: Resource<Network>) -> Result<()> {
        self.sockets().drop(network)
    }
}

impl tcp_create_socket::Host for Guest {
    fn create_tcp_socket(&mut self, _: network::IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.refuse("a TCP socket of its own")
    }
}

impl udp_create_socket::Host for Guest {
    async fn create_udp_socket(&mut self, _: network::IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.refuse("a UDP socket")
    }
}

impl ip_name_lookup::Host for Guest {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ip_name_lookup::ResolveAddressStream>> {
        self.refuse(&format!("the address of {name:?}"))
    }
}

/// None is ever made, so the plugin can name none.
impl ip_name_lookup::HostResolveAddressStream for Guest {
    fn resolve_next_address(
        &mut self,
        _: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> SocketResult<Option<network::IpAddress>> {
        Err(network::ErrorCode::InvalidState.into())
    }

    fn subscribe(
        &mut self,
        _: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> Result<Resource<DynPollable>> {
        Err(wasmtime::format_err!("no name is being looked up"))
    }

    fn drop(&mut self, _: Resource<ip_name_lookup::ResolveAddressStream>) -> Result<()> {
        Ok(())
    }
}

/// Sends what the plugin asks for by `wasi:http`.
struct Requests {
    reach: Reach,
}

/// What goes on after an answer's head has come.
type Rest = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

impl WasiHttpHooks for Requests {
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Rest), HttpError>> + Send> {
        let reach = self.reach.clone();
        Box::new(async move {
            let outcome = reach.send(request, options.unwrap_or_default()).await;
            reach.course.note(outcome).map_err(to_http)
        })
    }
}

impl Reach {
    async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<(Response<WasiBody>, Rest), Error> {
        self.admit(&request)?;
        // To a server, not a proxy: RFC 9112 §3.2.1.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path
            .parse::<Uri>()
            .map_err(|_| Error::Protocol("the plugin's request has a wrong path".into()))?;
        http::complete(request.headers_mut());
        let wire = within(options.connect_timeout, self.wire()).await?;
        self.course.doing("waiting for the HTTP answer");
        let (mut sender, connection) = http::client(wire).await?;
        // Ends with the answer, or with whoever waits for it.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let answer = within(options.first_byte_timeout, async {
            let answer = sender.send_request(request).await;
            answer.map_err(|error| failure::of_http(&error))
        })
        .await?;
        let course = self.course.clone();
        let answer = answer.map(|body| body.map_err(move |error| broken(&error, &course)).boxed_unsync());
        let rest = async move {
            // How it ends is told by the body, to those who read it.
            while driver.join_next().await.is_some() {}
            Ok(())
        };
        Ok((answer, Box::new(rest)))
    }

    /// Only requests to the endpoint, spoken as the document says.
    fn admit(&self, request: &Request<WasiBody>) -> Result<(), Error> {
        let uri = request.uri();
        let denied = |why: &str| Err(Error::Denied(format!("the plugin asked for {uri}; {why}")));
        if request.method() == Method::CONNECT {
            return denied("CONNECT is not for checks");
        }
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        if secure && self.tls.is_none() {
            return denied("the check has no `tls` table");
        }
        let usual = if secure { 443 } else { 80 };
        match uri.authority() {
            Some(authority) if self.is_endpoint(authority, usual) => Ok(()),
            _ => denied(&format!("its endpoint is {}", self.endpoint)),
        }
    }

    fn is_endpoint(&self, authority: &Authority, usual: u16) -> bool {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = self.endpoint.ip().to_string();
        let known = [Some(&address), self.server_name.as_ref()];
        let same = |name: &&String| host.eq_ignore_ascii_case(name);
        // `user@` before a host is another way to write what is not one.
        authority.port_u16().unwrap_or(usual) == self.endpoint.port()
            && known.iter().flatten().any(same)
            && !authority.as_str().contains('@')
    }
}

/// A future's outcome, if there is one in time.
async fn within<T>(
    limit: Option<Duration>,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        Some(limit) => timeout(limit, future).await.unwrap_or(Err(Error::TimedOut)),
        None => future.await,
    }
}

/// An answer that breaks off.
fn broken(error: &hyper::Error, course: &Course) -> HttpError {
    match course.note::<()>(Err(failure::of_http(error))) {
        Err(error) => to_http(error),
        Ok(()) => HttpError::HttpResponseIncomplete,
    }
}

/// In the words of `wasi:http`.
fn to_http(error: Error) -> HttpError {
    match error {
        Error::Denied(_) => HttpError::HttpRequestDenied,
        Error::Refused => HttpError::ConnectionRefused,
        Error::Unreachable(_) => HttpError::DestinationUnavailable,
        Error::TimedOut => HttpError::ConnectionTimeout,
        Error::Closed => HttpError::ConnectionTerminated,
        Error::Tls(_) => HttpError::TlsProtocolError,
        Error::Protocol(_) => HttpError::HttpProtocolError,
        Error::TooLarge => HttpError::HttpResponseHeaderSectionSize(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::Empty;

    use super::super::line::Line;
    use super::super::tls::TlsClient;
    use super::*;
    use crate::pure::config::Tls;

    fn admitted(uri: &str, tls: bool) -> bool {
        let unverified = Tls {
            verify: false,
            ca: None,
            server_name: None,
            client_cert: None,
            client_key: None,
        };
        let reach = Reach {
            endpoint: "192.0.2.1:6443".parse().unwrap(),
            server_name: Some("api.example".into()),
            tls: tls.then(|| Arc::new(TlsClient::new(&unverified).unwrap())),
            line: Line::default(),
            course: Course::default(),
        };
        let body = Empty::new();
        let body = body.map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder().uri(uri).body(body).unwrap();
        reach.admit(&request).is_ok()
    }

    #[test]
    fn only_the_endpoint_is_asked() {
        for uri in ["http://192.0.2.1:6443/livez", "http://API.example:6443/"] {
            assert!(admitted(uri, false) && admitted(uri, true), "{uri}");
        }
        for uri in [
            "http://192.0.2.1/",
            "http://192.0.2.2:6443/",
            "http://other.example:6443/",
            "http://u:p@192.0.2.1:6443/",
            "http://192.0.2.1@203.0.113.1:6443/",
            "http://[::1]:6443/",
            "http://169.254.169.254/latest/meta-data/",
            "/livez",
        ] {
            assert!(!admitted(uri, false) && !admitted(uri, true), "{uri}");
        }
    }

    #[test]
    fn tls_is_not_spoken_unless_the_document_says_so() {
        assert!(admitted("https://192.0.2.1:6443/", true));
        assert!(!admitted("https://192.0.2.1:6443/", false));
    }
}
