//! What a running plugin can reach: its endpoint, and the log.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};

use super::bindings::catamaran::health;
use super::bindings::catamaran::health::connection::{ConnectOptions, TlsSession};
use super::bindings::catamaran::health::http::{HttpRequest, Response};
use super::bindings::catamaran::health::types::Error;
use super::limits::{ALPN, CONNECTIONS, Fence, LOG_LINES};
use super::stream::{Peer, Progress, Stream, Wire};
use super::tls::TlsClient;
use super::{failure, host, http};
use crate::pure::health::Cause;

/// How much a plugin's message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Someone should look.
    Warn,
    /// Something is wrong.
    Error,
}

/// One probe's side of the fence.
pub struct Guest {
    endpoint: SocketAddr,
    server_name: Option<String>,
    tls: Option<Arc<TlsClient>>,
    table: ResourceTable,
    connections: u32,
    began: Instant,
    /// Memory and tables.
    pub fence: Fence,
    /// What the plugin logged, in order.
    pub log: Vec<(Level, String)>,
    /// Log lines beyond the limit.
    pub dropped: u32,
    /// The last network operation's failure; none after one that worked.
    pub last_failure: Option<Cause>,
    /// What the plugin asked for and may not have.
    pub denied: Option<String>,
    /// How far it has come on the network.
    pub progress: Progress,
}

impl Guest {
    /// The fence around `endpoint`.
    pub fn new(
        endpoint: SocketAddr,
        server_name: Option<String>,
        tls: Option<Arc<TlsClient>>,
        fence: Fence,
    ) -> Self {
        Self {
            endpoint,
            server_name,
            tls,
            table: ResourceTable::new(),
            connections: 0,
            began: Instant::now(),
            fence,
            log: Vec::new(),
            dropped: 0,
            last_failure: None,
            denied: None,
            progress: Progress::default(),
        }
    }

    /// Note how an operation ended, and hand it on.
    fn note<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        self.progress.doing = "";
        self.last_failure = outcome.as_ref().err().map(failure::cause);
        if let Err(Error::Denied(what)) = &outcome {
            self.denied.get_or_insert_with(|| what.clone());
        }
        outcome
    }

    async fn wire(&mut self) -> Result<Wire, Error> {
        self.connections += 1;
        if self.connections > CONNECTIONS {
            return Err(Error::Denied(format!(
                "the plugin wanted more than {CONNECTIONS} connections"
            )));
        }
        Wire::connect(self.endpoint, &mut self.progress).await
    }

    /// `Host` as clients write it: the port only where it is not the scheme's own.
    fn authority(&self) -> String {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let name = match (&self.server_name, self.endpoint) {
            (Some(name), _) if name.parse::<Ipv6Addr>().is_ok() => format!("[{name}]"),
            (Some(name), _) => name.clone(),
            (None, SocketAddr::V4(address)) => address.ip().to_string(),
            (None, SocketAddr::V6(address)) => format!("[{}]", address.ip()),
        };
        if self.endpoint.port() == usual {
            name
        } else {
            format!("{name}:{}", self.endpoint.port())
        }
    }

    async fn exchange(&mut self, asked: HttpRequest) -> Result<Response, Error> {
        let max_body = asked.max_body;
        let request = http::request(asked, &self.authority())?;
        let mut wire = self.wire().await?;
        if let Some(peer) = peer(&self.tls, &self.server_name, self.endpoint) {
            wire = wire.secure(peer, Vec::new(), &mut self.progress).await?;
        }
        http::exchange(wire, request, max_body, &mut self.progress.doing).await
    }

    async fn open(&mut self, options: ConnectOptions) -> Result<Stream, Error> {
        let alpn: Vec<_> = options.alpn.into_iter().map(String::into_bytes).collect();
        if alpn.len() > ALPN || alpn.iter().any(|protocol| !(1..=255).contains(&protocol.len())) {
            return Err(Error::TooLarge);
        }
        let mut stream = Stream::new(self.wire().await?, alpn);
        if !options.defer_tls
            && let Some(peer) = peer(&self.tls, &self.server_name, self.endpoint)
        {
            stream.start_tls(peer, &mut self.progress).await?;
        }
        Ok(stream)
    }

    async fn push(&mut self, options: ConnectOptions) -> Result<Result<Resource<Stream>, Error>> {
        let outcome = self.open(options).await;
        match self.note(outcome) {
            Ok(stream) => Ok(Ok(self.table.push(stream)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// How TLS is spoken to the endpoint; none where the document has no word of it.
fn peer<'a>(
    tls: &'a Option<Arc<TlsClient>>,
    name: &'a Option<String>,
    endpoint: SocketAddr,
) -> Option<Peer<'a>> {
    let client = tls.as_deref()?;
    Some(Peer {
        client,
        name: name.as_deref(),
        address: endpoint.ip(),
    })
}

impl health::types::Host for Guest {}

impl health::log::Host for Guest {
    async fn log(&mut self, level: health::log::Level, message: String) -> Result<()> {
        if self.log.len() == LOG_LINES {
            self.dropped = self.dropped.saturating_add(1);
            return Ok(());
        }
        let level = match level {
            health::log::Level::Debug => Level::Debug,
            health::log::Level::Info => Level::Info,
            health::log::Level::Warn => Level::Warn,
            health::log::Level::Error => Level::Error,
        };
        self.log.push((level, host::one_line(&message)));
        Ok(())
    }
}

impl health::clock::Host for Guest {
    async fn elapsed(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    async fn now(&mut self) -> Result<u64> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(since.map_or(0, |since| since.as_secs()))
    }
}

impl health::http::Host for Guest {
    async fn request(&mut self, request: HttpRequest) -> Result<Result<Response, Error>> {
        let outcome = self.exchange(request).await;
        Ok(self.note(outcome))
    }
}

impl health::connection::Host for Guest {
    async fn connect(&mut self) -> Result<Result<Resource<Stream>, Error>> {
        let as_the_document_says = ConnectOptions {
            alpn: Vec::new(),
            defer_tls: false,
        };
        self.push(as_the_document_says).await
    }

    async fn connect_with(&mut self, options: ConnectOptions) -> Result<Result<Resource<Stream>, Error>> {
        self.push(options).await
    }
}

impl health::connection::HostStream for Guest {
    async fn read(&mut self, stream: Resource<Stream>, max: u32) -> Result<Result<Vec<u8>, Error>> {
        self.progress.doing = "waiting for bytes";
        let outcome = self.table.get_mut(&stream)?.read(max).await;
        Ok(self.note(outcome))
    }

    async fn write(&mut self, stream: Resource<Stream>, bytes: Vec<u8>) -> Result<Result<(), Error>> {
        self.progress.doing = "sending bytes";
        let outcome = self.table.get_mut(&stream)?.write(&bytes).await;
        Ok(self.note(outcome))
    }

    async fn shutdown(&mut self, stream: Resource<Stream>) -> Result<Result<(), Error>> {
        let outcome = self.table.get_mut(&stream)?.shutdown().await;
        Ok(self.note(outcome))
    }

    async fn start_tls(&mut self, stream: Resource<Stream>) -> Result<Result<(), Error>> {
        let stream = self.table.get_mut(&stream)?;
        let outcome = match peer(&self.tls, &self.server_name, self.endpoint) {
            Some(peer) => stream.start_tls(peer, &mut self.progress).await,
            None => Err(Error::Protocol("the check has no `tls` table".into())),
        };
        Ok(self.note(outcome))
    }

    async fn tls(&mut self, stream: Resource<Stream>) -> Result<Option<TlsSession>> {
        Ok(self.table.get(&stream)?.tls())
    }

    async fn drop(&mut self, stream: Resource<Stream>) -> Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
