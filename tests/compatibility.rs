//! A plugin made for 1.0 of the contract runs for as long as there is a 1.x.
//!
//! `tests/plugins/contract-1.0.wasm` was built once and uses everything 1.0
//! has; its source is beside it. A change of the contract that breaks it is a
//! change of the major version, and is not to be met by building it anew.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catamaran::pure::config::Tls;
use catamaran::pure::health::Cause;
use catamaran::shell::wasm::{Host, Level, Probe, ProbeRequest, TlsClient};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use support::LOOPBACK;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const COMPONENT: &[u8] = include_bytes!("plugins/contract-1.0.wasm");

#[test]
fn component_is_the_one_that_was_built_with_the_first_contract() {
    let digest: String = Sha256::digest(COMPONENT)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        digest,
        "33b3009c9634a7e13dcbb85cd4cb1246a13afe3a7c9dc6d60fbddc7926c66172"
    );
}

#[tokio::test]
async fn everything_of_the_first_contract_works_in_the_clear() {
    let address = serve(None).await;
    let probe = probe(address, None).await;
    let port = address.port();
    assert_eq!(probe.finding.cause, Cause::Healthy, "{}", probe.finding);
    assert_eq!(
        probe.finding.detail,
        format!(
            "e0 127.0.0.1 {port}; name Some(\"here.example\"), tls false; 10000 ms; \
             HTTP 200 ahoi false; echo ahoi; clock true"
        )
    );
    let said = ["debug", "info", "warn", "error"].map(String::from);
    let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    assert_eq!(probe.log, Vec::from_iter(levels.into_iter().zip(said)));
}

#[tokio::test]
async fn everything_of_the_first_contract_works_over_tls() {
    let address = serve(Some(acceptor())).await;
    let tls = TlsClient::new(&Tls {
        verify: false,
        ca: None,
        server_name: None,
        client_cert: None,
        client_key: None,
    });
    let probe = probe(address, Some(Arc::new(tls.unwrap()))).await;
    assert_eq!(probe.finding.cause, Cause::Healthy, "{}", probe.finding);
    let detail = &probe.finding.detail;
    assert!(
        detail.contains(
            "tls true; 10000 ms; HTTP 200 ahoi false; echo ahoi; clear true, TLSv1.3 Some(\"echo\") \
             CN=harbour expires true DER true verified false, again true, echo ahoi; clock true"
        ),
        "{detail}"
    );
}

async fn probe(address: SocketAddr, tls: Option<Arc<TlsClient>>) -> Probe {
    let host = Host::new(None, 1 << 30).unwrap();
    let plugin = host.load(COMPONENT, 16 << 20, &mut |warning| panic!("{warning}"));
    let request = ProbeRequest {
        name: "e0".into(),
        address,
        server_name: Some("here.example".into()),
        tls,
        config: r#"{"word":"ahoi"}"#.into(),
        timeout: Duration::from_secs(10),
    };
    plugin.unwrap().probe(&request).await
}

/// Speaks whatever it is spoken to: HTTP, echo, TLS with either inside, or
/// TLS after a line that asks for it.
async fn serve(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move { answer(stream, tls).await.expect("an answer") });
        }
    });
    address
}

async fn answer(mut stream: TcpStream, tls: Option<TlsAcceptor>) -> std::io::Result<()> {
    const ASKS: &[u8] = b"STARTTLS\n";
    let Some(tls) = tls else {
        return speak(stream).await;
    };
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] == ASKS[0] {
        stream.read_exact(&mut [0; ASKS.len()]).await?;
        stream.write_all(b"go ahead\n").await?;
    }
    speak(tls.accept(stream).await?).await
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut heard = vec![0; 4096];
    let mut count = stream.read(&mut heard).await?;
    if heard.starts_with(b"GET / HTTP/1.1\r\n") {
        while !heard[..count].ends_with(b"\r\n\r\n") {
            count += stream.read(&mut heard[count..]).await?;
        }
        let head = String::from_utf8_lossy(&heard[..count]).into_owned();
        let word = head.lines().find_map(|line| line.strip_prefix("x-word: "));
        let word = word.unwrap_or("no word");
        let length = word.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{word}");
        stream.write_all(answer.as_bytes()).await?;
    } else {
        stream.write_all(&heard[..count]).await?;
    }
    stream.shutdown().await
}

fn acceptor() -> TlsAcceptor {
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = rcgen::DistinguishedName::new();
    certificate.distinguished_name.push(DnType::CommonName, "harbour");
    let key = KeyPair::generate().unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    config.alpn_protocols = vec![b"echo".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
