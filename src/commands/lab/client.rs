//! What clients of the virtual address do and see: short requests, each on a
//! new connection, at a steady rate whatever becomes of the earlier ones; and
//! watches, which stay open for as long as they can and are opened again.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::resident::Resident;
use super::stand_in::SERVED_BY;
use super::world::Host;

/// How long a watch waits before it is opened again.
const REOPEN: Duration = Duration::from_millis(50);

/// How long a connection is silent until TCP asks whether it is still one.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// How the clients behave.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Where they connect.
    pub address: SocketAddr,
    /// The authority they trust, PEM.
    pub authority: String,
    /// Time from one short request to the next.
    pub every: Duration,
    /// How long a request may take, or a watch be silent, before its client gives up.
    pub patience: Duration,
}

/// A short request that has ended.
#[derive(Clone, Debug)]
pub struct Short {
    /// Its end of the connection; `None` when there was none.
    pub client: Option<SocketAddr>,
    /// When it began to connect.
    pub started: SystemTime,
    /// When it had the whole answer, or none.
    pub ended: SystemTime,
    /// Who answered, or how it failed.
    pub outcome: Result<String, End>,
}

/// A watch that was opened, and perhaps has ended.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Who answers it.
    pub endpoint: String,
    /// When its answer began.
    pub opened: SystemTime,
    /// When and how it ended.
    pub ended: Option<(SystemTime, End)>,
}

/// How a watch ends, or a short request without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By a TCP reset.
    Reset,
    /// In another way.
    Otherwise(String),
    /// By this program.
    Given,
}

impl End {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let causes = || std::iter::successors(Some(error), |&error| error.source());
        // Who writes first after a reset is told of a broken pipe.
        let reset = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            )
        };
        if causes().any(|cause| cause.downcast_ref().is_some_and(reset)) {
            return Self::Reset;
        }
        Self::Otherwise(causes().map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Otherwise(how) => f.write_str(how),
            Self::Given => f.write_str("given up"),
        }
    }
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// In the order of their ends.
    pub shorts: Vec<Short>,
    /// In the order of their beginnings.
    pub watches: Vec<Watch>,
    /// Short requests that have begun.
    pub begun: usize,
}

/// The clients, on a thread in their host. Dropping it ends them.
pub struct Clients {
    shared: Arc<Shared>,
    resident: Resident,
}

struct Shared {
    behaviour: Behaviour,
    tls: TlsConnector,
    seen: Mutex<Seen>,
}

impl Clients {
    /// Start them.
    ///
    /// # Errors
    /// When the authority is not PEM or the thread cannot start.
    pub fn start(host: &Host, behaviour: Behaviour) -> Result<Self, String> {
        let tls = tls(&behaviour.authority)?;
        let shared = Arc::new(Shared {
            behaviour,
            tls,
            seen: Mutex::default(),
        });
        let resident = Resident::of(host)?;
        let sending = shared.clone();
        resident
            .runtime()
            .spawn(async move { sending.send_shorts().await });
        Ok(Self { shared, resident })
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen()
    }

    /// Wait until no watch is open that was open at `moment`: TCP tells its client,
    /// or else its client gives up.
    pub async fn watches_end(&self, moment: SystemTime) {
        let still_open = || {
            self.seen()
                .watches
                .iter()
                .any(|watch| watch.ended.is_none() && watch.opened <= moment)
        };
        while still_open() {
            sleep(REOPEN).await;
        }
    }

    /// Open watches until `count` are open, on `endpoint` if one is named; those
    /// that land elsewhere are given up. They are opened again, anywhere, when
    /// they end.
    ///
    /// # Errors
    /// When they land elsewhere for too long.
    pub async fn watch(&self, endpoint: Option<&str>, count: usize) -> Result<(), String> {
        for _ in 0..count * 20 {
            let wanted = |watch: &&Watch| endpoint.is_none_or(|name| watch.endpoint == name);
            let open = |watch: &&Watch| wanted(watch) && watch.ended.is_none();
            if self.seen().watches.iter().filter(open).count() >= count {
                return Ok(());
            }
            let (landed, landing) = oneshot::channel();
            let shared = self.shared.clone();
            let wanted = endpoint.map(str::to_string);
            self.resident
                .runtime()
                .spawn(async move { shared.keep_watching(wanted.as_deref(), landed).await });
            // A watch that cannot be opened says nothing.
            let _ = landing.await;
        }
        let place = endpoint.map_or(String::new(), |name| format!(" on {name}"));
        Err(format!("no {count} watches could be opened{place}"))
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_shorts(self: &Arc<Self>) {
        let mut tick = interval(self.behaviour.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            self.seen().begun += 1;
            let shared = self.clone();
            tokio::spawn(async move {
                let short = shared.short().await;
                shared.seen().shorts.push(short);
            });
        }
    }

    async fn short(&self) -> Short {
        let started = SystemTime::now();
        let mut client = None;
        let exchange = async {
            let answer = self.ask("/api/v1/nodes", &mut client).await?;
            let endpoint = served_by(&answer);
            answer.into_body().collect().await?;
            Ok::<_, Failure>(endpoint)
        };
        let outcome = match timeout(self.behaviour.patience, exchange).await {
            Ok(outcome) => outcome.map_err(|error| End::of(&*error)),
            Err(_) => Err(End::Otherwise(format!(
                "no answer within {:?}",
                self.behaviour.patience
            ))),
        };
        Short {
            client,
            started,
            ended: SystemTime::now(),
            outcome,
        }
    }

    /// Watch, the first time on `wanted` only, until the clients end.
    async fn keep_watching(&self, wanted: Option<&str>, landed: oneshot::Sender<()>) {
        let mut landed = Some(landed);
        loop {
            if let Ok(Ok(answer)) = timeout(
                self.behaviour.patience,
                self.ask("/api/v1/nodes?watch=true", &mut None),
            )
            .await
            {
                let endpoint = served_by(&answer);
                let elsewhere = landed.is_some() && wanted.is_some_and(|wanted| endpoint != wanted);
                let number = {
                    let mut seen = self.seen();
                    let ended = elsewhere.then(|| (SystemTime::now(), End::Given));
                    seen.watches.push(Watch {
                        endpoint,
                        opened: SystemTime::now(),
                        ended,
                    });
                    seen.watches.len() - 1
                };
                drop(landed.take());
                if elsewhere {
                    return;
                }
                let end = until_end(answer.into_body(), self.behaviour.patience).await;
                self.seen().watches[number].ended = Some((SystemTime::now(), end));
            } else if landed.is_some() {
                return;
            }
            sleep(REOPEN).await;
        }
    }

    /// Ask on a new connection, which ends with the answer's body.
    async fn ask(&self, path: &str, client: &mut Option<SocketAddr>) -> Result<Response<Incoming>, Failure> {
        let address = self.behaviour.address;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&keepalive())?;
        *client = Some(stream.local_addr()?);
        let stream = self.tls.connect(ServerName::from(address.ip()), stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Errors of the connection reach the request and the body too.
        tokio::spawn(connection);
        let request = Request::get(path)
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())?;
        Ok(sender.send_request(request).await?)
    }
}

/// As kubectl and kubelets have it, with seconds for their quarter minutes: a
/// connection to a load balancer that has gone ends soon after another one has
/// its address, and says so.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(10)
}

type Failure = Box<dyn Error + Send + Sync>;

async fn until_end(mut body: Incoming, patience: Duration) -> End {
    loop {
        match timeout(patience, body.frame()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return End::of(&error),
            Ok(None) => return End::Otherwise("the answer ended".into()),
            Err(_) => return End::Otherwise(format!("nothing came for {patience:?}")),
        }
    }
}

fn served_by(answer: &Response<Incoming>) -> String {
    let name = answer
        .headers()
        .get(SERVED_BY)
        .and_then(|name| name.to_str().ok());
    name.unwrap_or("?").to_string()
}

fn tls(authority: &str) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authority: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("the authority: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
