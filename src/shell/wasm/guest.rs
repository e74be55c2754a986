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
use super::course::{Course, Log};
use super::http;
use super::limits::{ALPN, Fence, RESOURCES};
use super::line::Line;
use super::stream::{Peer, Stream, Wire};
use super::tls::TlsClient;
use super::wasi::Wasi;

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
    reach: Reach,
    table: ResourceTable,
    began: Instant,
    /// Made when a plugin first asks for a part of it.
    wasi: Option<Box<Wasi>>,
    /// Memory and tables.
    pub fence: Fence,
    /// What the plugin logged.
    pub log: Log,
}

/// All that a probe can get at, and how it gets on there.
#[derive(Clone)]
pub struct Reach {
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// Its name for `Host` and TLS.
    pub server_name: Option<String>,
    /// TLS, where the document says so.
    pub tls: Option<Arc<TlsClient>>,
    /// What connections are made of.
    pub line: Line,
    /// What came of it so far.
    pub course: Course,
}

impl Guest {
    /// The fence around an endpoint.
    pub fn new(reach: Reach, fence: Fence) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            reach,
            table,
            began: Instant::now(),
            wasi: None,
            fence,
            log: Log::default(),
        }
    }

    /// What WASI is made of, for those plugins that import it.
    pub fn wasi(&mut self) -> (&mut Wasi, &mut ResourceTable) {
        let make = || Box::new(Wasi::new(self.reach.clone(), &self.log));
        (self.wasi.get_or_insert_with(make), &mut self.table)
    }

    /// What came of the probe on the network so far.
    pub fn course(&self) -> &Course {
        &self.reach.course
    }

    async fn push(&mut self, options: ConnectOptions) -> Result<Result<Resource<Stream>, Error>> {
        let outcome = self.reach.open(options).await;
        match self.course().note(outcome) {
            Ok(stream) => Ok(Ok(self.table.push(stream)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Reach {
    /// A connection as the document says.
    pub async fn wire(&self) -> Result<Wire, Error> {
        let wire = Wire::connect(self.endpoint, &self.line, &self.course).await?;
        match self.peer() {
            Some(peer) => wire.secure(peer, Vec::new(), &self.course).await,
            None => Ok(wire),
        }
    }

    async fn open(&self, options: ConnectOptions) -> Result<Stream, Error> {
        let alpn: Vec<_> = options.alpn.into_iter().map(String::into_bytes).collect();
        if alpn.len() > ALPN || alpn.iter().any(|protocol| !(1..=255).contains(&protocol.len())) {
            return Err(Error::TooLarge);
        }
        let wire = Wire::connect(self.endpoint, &self.line, &self.course).await?;
        let mut stream = Stream::new(wire, alpn);
        if !options.defer_tls
            && let Some(peer) = self.peer()
        {
            stream.start_tls(peer, &self.course).await?;
        }
        Ok(stream)
    }

    async fn exchange(&self, asked: HttpRequest) -> Result<Response, Error> {
        let max_body = asked.max_body;
        let request = http::request(asked, &self.authority())?;
        http::exchange(self.wire().await?, request, max_body, &self.course).await
    }

    /// How TLS is spoken; none where the document has no word of it.
    fn peer(&self) -> Option<Peer<'_>> {
        let client = self.tls.as_deref()?;
        Some(Peer {
            client,
            name: self.server_name.as_deref(),
            address: self.endpoint.ip(),
        })
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
}

impl health::types::Host for Guest {}

impl health::log::Host for Guest {
    async fn log(&mut self, level: health::log::Level, message: String) -> Result<()> {
        let level = match level {
            health::log::Level::Debug => Level::Debug,
            health::log::Level::Info => Level::Info,
            health::log::Level::Warn => Level::Warn,
            health::log::Level::Error => Level::Error,
        };
        self.log.push(level, &message);
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
        let outcome = self.reach.exchange(request).await;
        Ok(self.course().note(outcome))
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
        self.course().doing("waiting for bytes");
        let outcome = self.table.get_mut(&stream)?.read(max).await;
        Ok(self.course().note(outcome))
    }

    async fn write(&mut self, stream: Resource<Stream>, bytes: Vec<u8>) -> Result<Result<(), Error>> {
        self.course().doing("sending bytes");
        let outcome = self.table.get_mut(&stream)?.write(&bytes).await;
        Ok(self.course().note(outcome))
    }

    async fn shutdown(&mut self, stream: Resource<Stream>) -> Result<Result<(), Error>> {
        let outcome = self.table.get_mut(&stream)?.shutdown().await;
        Ok(self.course().note(outcome))
    }

    async fn start_tls(&mut self, stream: Resource<Stream>) -> Result<Result<(), Error>> {
        let stream = self.table.get_mut(&stream)?;
        let outcome = match self.reach.peer() {
            Some(peer) => stream.start_tls(peer, &self.reach.course).await,
            None => Err(Error::Protocol("the check has no `tls` table".into())),
        };
        Ok(self.course().note(outcome))
    }

    async fn tls(&mut self, stream: Resource<Stream>) -> Result<Option<TlsSession>> {
        Ok(self.table.get(&stream)?.tls())
    }

    async fn drop(&mut self, stream: Resource<Stream>) -> Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
