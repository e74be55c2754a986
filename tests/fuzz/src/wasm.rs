//! The plugin host, through its own door: load, probe.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catamaran::pure::config::Tls;
use catamaran::pure::health::Cause;
use catamaran::shell::wasm::{Host, Plugin, Probe, ProbeRequest, TlsClient};
use nix::sys::signal::{SigHandler, Signal, signal};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const MEMORY: u64 = 4 << 20;

/// Long enough for a program of some dozen calls, short enough for many.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Components that are whole: a small one by hand, and one of a real toolchain.
const WHOLE: [&[u8]; 1] = [include_bytes!("../../plugins/contract-1.0.wasm")];
const BY_HAND: &str = include_str!("../../plugins/by-hand.wat");
const CHECK: &str = r#"(func (export "check") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 600))"#;

const CALLER: &[u8] = include_bytes!("../../plugins/caller.wasm");

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

/// What all runs share.
struct Stage {
    runtime: Runtime,
    host: Host,
    caller: Plugin,
    by_hand: Vec<u8>,
    server: TlsAcceptor,
    client: Arc<TlsClient>,
}

impl Stage {
    fn new() -> Self {
        // As Rust's own `main` does, which libFuzzer has not.
        // SAFETY: a signal that is ignored runs no code.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("a signal");
        let host = Host::new(None, 1 << 30).expect("a host");
        let caller = host.load(CALLER, MEMORY, &mut |_| {}).expect("the fixture");
        let by_hand = wat::parse_str(BY_HAND.replace(";; FUNCTIONS", CHECK)).expect("a component");
        host.load(&by_hand, MEMORY, &mut |_| {}).expect("it is whole");
        Self {
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            host,
            caller,
            by_hand,
            server: acceptor(),
            client: Arc::new(client()),
        }
    }
}

/// `data` is a choice, and then either a component as it is, or places and
/// bytes at which a whole one is changed; what loads is probed.
pub fn component(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    STAGE.with_borrow(|stage| {
        let bytes = match choice % 4 {
            0 => rest.to_vec(),
            // Hardly any of the large one's bytes matter; it is also slow.
            1 => changed(WHOLE[0], rest),
            _ => changed(&stage.by_hand, rest),
        };
        let Ok(plugin) = stage.host.load(&bytes, MEMORY, &mut |_| {}) else {
            return;
        };
        let probe = stage.runtime.block_on(async {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .and_then(|listener| listener.local_addr());
            plugin
                .probe(&request(address.expect("a port"), "{}".into(), None))
                .await
        });
        named(&probe);
    });
}

/// Each four bytes are a place (two bytes), what to do there, and a byte.
fn changed(whole: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for edit in edits.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        let place = place % bytes.len().max(1);
        match edit[2] % 8 {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, edit[3]),
            2 if !bytes.is_empty() => drop(bytes.remove(place)),
            _ => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= edit[3];
                }
            }
        }
    }
    bytes
}

/// `data` is whether TLS is spoken, the length of the program, the program,
/// and what the endpoint answers: each connection takes a part of it.
pub fn calls(data: &[u8]) {
    let [tls, length, rest @ ..] = data else {
        return;
    };
    let (program, answers) = rest.split_at(rest.len().min(usize::from(*length)));
    let program: String = program.iter().map(|byte| format!("{byte:02x}")).collect();
    STAGE.with_borrow(|stage| {
        stage.runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let server = (tls & 1 == 1).then(|| stage.server.clone());
            let (stop, stopped) = oneshot::channel();
            let serving = tokio::spawn(serve(listener, server, answers.to_vec(), stopped));
            let client = (tls & 1 == 1).then(|| stage.client.clone());
            let config = format!(r#"{{"program":"{program}"}}"#);
            let probe = stage.caller.probe(&request(address, config, client)).await;
            named(&probe);
            // Once the probe is over nothing of it may still be connected.
            let _ = stop.send(());
            let ended = timeout(Duration::from_secs(10), serving).await;
            assert!(
                ended.is_ok(),
                "a connection outlives its probe: {}",
                probe.finding
            );
        });
    });
}

fn request(address: SocketAddr, config: String, tls: Option<Arc<TlsClient>>) -> ProbeRequest {
    ProbeRequest {
        name: "e0".into(),
        address,
        server_name: None,
        tls,
        config,
        timeout: TIMEOUT,
    }
}

/// Every ending has a name, and says only what a log can take.
fn named(probe: &Probe) {
    let detail = &probe.finding.detail;
    let all = [detail].into_iter().chain(probe.log.iter().map(|(_, line)| line));
    for line in all {
        assert!(line.len() <= 1024 && !line.contains(char::is_control), "{line:?}");
    }
    assert!(probe.log.len() <= 16);
    if probe.finding.cause == Cause::TimedOut {
        assert!(!detail.is_empty());
    }
}

/// Answers until it is told to stop, and then until all connections have ended.
async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answers: Vec<u8>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut running = JoinSet::new();
    // The host grants eight connections.
    let mut parts = answers.chunks(answers.len() / 8 + 1).map(<[u8]>::to_vec);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else { break };
        let (tls, part) = (tls.clone(), parts.next().unwrap_or_default());
        running.spawn(async move {
            let Some(tls) = tls else {
                return answer(stream, part).await;
            };
            if let Ok(stream) = tls.accept(stream).await {
                answer(stream, part).await;
            }
        });
    }
    drop(listener);
    while running.join_next().await.is_some() {}
}

/// The first byte says how it ends: at once, or when the other side does.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, part: Vec<u8>) {
    let _ = stream.write_all(&part).await;
    if part.first().is_some_and(|first| first & 1 == 1) {
        return;
    }
    let mut heard = [0; 4096];
    while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {}
}

fn acceptor() -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key);
    let certificate = certificate.expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn client() -> TlsClient {
    TlsClient::new(&Tls {
        verify: false,
        ca: None,
        server_name: None,
        client_cert: None,
        client_key: None,
    })
    .expect("a client")
}
