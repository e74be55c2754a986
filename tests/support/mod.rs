//! Builders for tests with real sockets: documents with defaults, endpoints
//! that follow a script. Every port is the kernel's choice.

#![allow(dead_code)] // Each test file uses its own part.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use catamaran::app::App;
use catamaran::pure::addr::ListenAddr;
use catamaran::pure::balancer::Algorithm;
use catamaran::pure::config::*;
use catamaran::shell::plugin_store::Available;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A document with one listener on a free port and one pool.
pub fn config(endpoints: &[SocketAddr]) -> Config {
    let endpoint = |(index, address): (usize, &SocketAddr)| Endpoint {
        name: format!("e{index}"),
        address: *address,
        weight: 1,
        backup: false,
        state: Wish::Enabled,
        max_connections: None,
        probe_address: *address,
    };
    let tcp = TcpSettings {
        keepalive: Some(Duration::from_secs(30)),
        user_timeout: None,
    };
    Config {
        nodes: Vec::new(),
        virtual_routers: Vec::new(),
        listeners: vec![Listener {
            name: "front".into(),
            bind: vec![ListenAddr {
                ip: Some(LOOPBACK),
                port: 0,
            }],
            pool: PoolId(0),
            forwarding: Forwarding::Proxy,
            max_connections: None,
            idle_timeout: None,
            tcp,
            log: true,
        }],
        pools: vec![Pool {
            name: "pool".into(),
            balance: Algorithm::RoundRobin,
            check: None,
            endpoints: endpoints.iter().enumerate().map(endpoint).collect(),
            connect_timeout: Duration::from_secs(5),
            retries: 2,
            on_down: OnDown::Reset,
            when_none_ready: WhenNoneReady::Refuse,
            tcp,
        }],
        checks: Vec::new(),
        registries: Vec::new(),
        daemon: Daemon {
            threads: Some(2),
            drain_timeout: Duration::from_secs(5),
            max_connections: None,
            plugin_cache: None,
            plugin_memory: 1 << 30,
        },
    }
}

/// Give the pool a check by a standard plugin that is quick to change its mind.
pub fn with_check(mut config: Config, plugin: &str, settings: &str) -> Config {
    let interval = Duration::from_millis(60);
    config.checks.push(Check {
        name: "check".into(),
        plugin: PluginSource::Standard(plugin.into()),
        interval,
        fast_interval: interval,
        down_interval: interval,
        timeout: Duration::from_secs(2),
        rise: 1,
        fall: 2,
        config: settings.into(),
        tls: None,
        memory: 16 << 20,
    });
    config.pools[0].check = Some(CheckId(0));
    config
}

/// Start the daemon's rooms, wait for the first probes, accept. The address is
/// the listener's.
pub async fn start(config: &Config) -> (App, SocketAddr) {
    end_what_hangs();
    let app = App::start(config, None, &Available::default()).unwrap();
    app.settle().await;
    app.accept();
    let address = app.bound()[0].1;
    (app, address)
}

/// End the run when a test waits for what never comes; the harness has said
/// by then which one it is.
fn end_what_hangs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(300));
            eprintln!("a test hangs");
            std::process::exit(101);
        });
    });
}

/// A server that answers each connection with its name and then echoes.
pub struct Echo {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Echo {
    pub async fn start(name: &'static str) -> Self {
        Self::on((LOOPBACK, 0).into(), name).await
    }

    pub async fn on(address: SocketAddr, name: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    if write.write_all(name.as_bytes()).await.is_ok() {
                        // Whoever resets the connection ends the echo.
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                        let _ = write.shutdown().await;
                    }
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An HTTP server with a switch: 200 or 500 on every path. A connection that
/// asks for `/hold` gets the server's port, two bytes, and is then kept open
/// and silent.
pub struct Web {
    pub address: SocketAddr,
    pub well: Arc<AtomicBool>,
    pub asked: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Web {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let well = Arc::new(AtomicBool::new(true));
        let asked = Arc::new(AtomicU32::new(0));
        let (seen, count) = (well.clone(), asked.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, seen.clone(), count.clone()));
            }
        });
        Self {
            address,
            well,
            asked,
            task,
        }
    }

    pub fn set_well(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    pub fn times_asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, well: Arc<AtomicBool>, asked: Arc<AtomicU32>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    if head.starts_with(b"GET /hold") {
        let port = stream.local_addr().unwrap().port();
        // Until the other side ends it.
        let _ = stream.write_u16(port).await;
        let _ = stream.read_u8().await;
        return;
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let status = if well.load(Ordering::SeqCst) {
        "200 OK"
    } else {
        "500 Internal Server Error"
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    // A client that has gone does not need it.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Connect, read the name that [`Echo`] sends, keep the connection.
pub async fn greeted(address: SocketAddr) -> std::io::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let mut name = [0; 1];
    stream.read_exact(&mut name).await?;
    Ok((stream, String::from_utf8_lossy(&name).into_owned()))
}

/// Ask for `/hold`: a connection that stays open, and the server that has it.
pub async fn held(address: SocketAddr) -> (TcpStream, SocketAddr) {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /hold HTTP/1.1\r\n\r\n").await.unwrap();
    let port = client.read_u16().await.unwrap();
    (client, (LOOPBACK, port).into())
}

/// Ask for `/` and read the whole answer.
pub async fn fetched(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    Ok(answer)
}

thread_local! {
    /// The log of this thread in JSON lines, if it is kept.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes to the log of the calling thread.
struct ThreadsLog;

impl Write for ThreadsLog {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.as_mut().map_or(Ok(line.len()), |log| Write::write(log, line)))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keep what is logged on this thread, where a test's health tasks run.
///
/// One subscriber serves all threads: a second one would find switched off
/// what a thread without any came across first.
pub fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().json().with_writer(|| ThreadsLog).init());
    LOG.set(Some(Vec::new()));
}

/// Why the endpoints of a pool changed, in order, by the log that is kept.
pub fn changes(pool: &str) -> Vec<String> {
    LOG.with_borrow(|log| {
        let log = std::str::from_utf8(log.as_ref().expect("the log is kept")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["fields"].clone())
            .filter(|fields| fields["pool"] == pool && !fields["cause"].is_null())
            .map(|fields| fields["cause"].as_str().unwrap().to_string())
            .collect()
    })
}

/// Wait for a condition; the bound is for tests that would otherwise hang.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let look = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
