//! The plugin host: standard plugins against real servers, hostile ones
//! against the fence, each ending with its own name.

#[path = "support/deeds.rs"]
mod deeds;
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catamaran::pure::config::Tls;
use catamaran::pure::health::{Cause, Finding};
use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin, ProbeRequest, TlsClient};
use deeds::DEEDS;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use support::{Echo, LOOPBACK, Web};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const HOSTILE: &[u8] = include_bytes!("plugins/hostile.wasm");

fn standard(name: &str) -> Plugin {
    load(plugin_store::standard(name).expect("a standard plugin"))
}

fn load(bytes: &[u8]) -> Plugin {
    let host = Host::new(None, 1 << 30).unwrap();
    host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"))
        .unwrap()
}

fn request(address: SocketAddr, config: &str) -> ProbeRequest {
    ProbeRequest {
        name: "e0".into(),
        address,
        server_name: None,
        tls: None,
        config: config.into(),
        timeout: Duration::from_secs(10),
    }
}

async fn probe(plugin: &str, address: SocketAddr, config: &str) -> Finding {
    standard(plugin).probe(&request(address, config)).await.finding
}

async fn nobody() -> SocketAddr {
    TcpListener::bind((LOOPBACK, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Answers every connection with these bytes and closes it.
async fn scripted(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Read first: closing with bytes unread is a reset.
                let mut asked = [0; 4096];
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut asked).await;
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn tcp_connects() {
    let server = Echo::start("a").await;
    assert_eq!(probe("tcp", server.address, "{}").await.cause, Cause::Healthy);
    assert_eq!(probe("tcp", nobody().await, "{}").await.cause, Cause::Refused);
}

#[tokio::test]
async fn tcp_sends_and_expects() {
    let server = Echo::start("220 ready").await;
    let well = probe("tcp", server.address, r#"{"send":"PING","expect":"PING"}"#).await;
    assert_eq!(well.cause, Cause::Healthy, "{well}");
    let address = scripted(b"500 go away").await;
    let ill = probe("tcp", address, r#"{"send":"PING","expect":"220"}"#).await;
    assert_eq!(ill.cause, Cause::Unhealthy);
    assert!(ill.detail.contains("500 go away"), "{ill}");
}

#[tokio::test]
async fn http_judges_status_and_body() {
    let server = Web::start().await;
    assert_eq!(probe("http", server.address, "{}").await.cause, Cause::Healthy);
    assert_eq!(
        probe("http", server.address, r#"{"contains":"missing"}"#)
            .await
            .cause,
        Cause::Unhealthy
    );
    server.set_well(false);
    let ill = probe("http", server.address, "{}").await;
    assert_eq!(ill.cause, Cause::Unhealthy);
    assert!(ill.detail.contains("500"), "{ill}");
    assert_eq!(
        probe("http", server.address, r#"{"status":"500"}"#).await.cause,
        Cause::Healthy
    );
}

#[tokio::test]
async fn broken_answers_are_named() {
    let truncated = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let finding = probe("http", truncated, r#"{"contains":"whole"}"#).await;
    assert_eq!(finding.cause, Cause::Closed, "{finding}");
    // Where nobody looks at the body, the status is the answer.
    assert_eq!(probe("http", truncated, "{}").await.cause, Cause::Healthy);
    let garbage = scripted(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(probe("http", garbage, "{}").await.cause, Cause::Unhealthy);
    let silent = scripted(b"").await;
    assert_eq!(probe("http", silent, "{}").await.cause, Cause::Closed);
}

#[tokio::test]
async fn wrong_configuration_is_the_plugins_fault_and_says_which_key() {
    let finding = probe("http", nobody().await, r#"{"pth":"/"}"#).await;
    assert_eq!(finding.cause, Cause::BadPlugin);
    assert!(finding.detail.contains("pth"), "{finding}");
}

#[tokio::test]
async fn server_that_accepts_and_never_answers_times_out() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let mut request = request(listener.local_addr().unwrap(), "{}");
    request.timeout = Duration::from_millis(100);
    let finding = standard("http").probe(&request).await.finding;
    assert_eq!(finding.cause, Cause::TimedOut);
    assert!(
        finding.detail.contains("waiting for the HTTP answer"),
        "{finding}"
    );
}

#[tokio::test]
async fn apiserver_failing_subcheck_is_named() {
    let address = scripted(
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 61\r\n\r\n\
          [+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed",
    )
    .await;
    let finding = probe("apiserver-healthz", address, "{}").await;
    assert_eq!(finding.cause, Cause::Unhealthy, "{finding}");
    assert!(finding.detail.contains("etcd"), "{finding}");
}

#[tokio::test]
async fn apiserver_that_wants_to_know_who_asks_is_explained() {
    let address = scripted(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let finding = probe("apiserver-healthz", address, "{}").await;
    assert_eq!(finding.cause, Cause::Unhealthy);
    assert!(finding.detail.contains("anonymous"), "{finding}");
}

#[tokio::test]
async fn hostile_plugins_end_by_name() {
    // It takes connections, as the kernel does for it, and says nothing.
    let silent = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let well = [
        ("unhealthy", Cause::Unhealthy),
        ("degraded", Cause::Degraded),
        ("healthy", Cause::Healthy),
    ];
    let plugin = load(HOSTILE);
    for (what, cause) in DEEDS.iter().chain(&well) {
        let mut asked = request(silent.local_addr().unwrap(), &format!(r#"{{"do":"{what}"}}"#));
        asked.timeout = Duration::from_millis(500);
        let finding = plugin.probe(&asked).await.finding;
        assert_eq!(finding.cause, *cause, "{what}: {finding}");
        assert!(finding.detail.len() <= 1024, "{what}: {finding}");
    }
    // An endpoint that answers is asked eight times, no more.
    let server = Web::start().await;
    let asked = request(server.address, r#"{"do":"request-loop"}"#);
    let finding = plugin.probe(&asked).await.finding;
    assert_eq!(
        (finding.cause, server.times_asked()),
        (Cause::Denied, 8),
        "{finding}"
    );
}

#[tokio::test]
async fn limits_of_the_contract_are_answers_and_no_ends() {
    let server = Web::start().await;
    let plugin = load(HOSTILE);
    let echo = Echo::start("ab").await;
    for (address, what, words) in [
        (server.address, "smuggle", "path: protocol error"),
        (server.address, "smuggle", "header: protocol error"),
        (server.address, "host-header", "transfer-encoding is the host's"),
        (server.address, "body-limit", "too large"),
        (server.address, "max-body-limit", "HTTP 200"),
        (echo.address, "write-limit", "TooLarge"),
        (echo.address, "read-limits", "read(0): Ok(1); read(max): Ok(1)"),
        (echo.address, "write-after-shutdown", "write: Err"),
        (echo.address, "remember", "probe 1"),
    ] {
        let asked = request(address, &format!(r#"{{"do":"{what}"}}"#));
        for _ in 0..2 {
            let finding = plugin.probe(&asked).await.finding;
            assert!(finding.detail.contains(words), "{what}: {finding}");
        }
    }
    assert_eq!(server.times_asked(), 2);
}

#[tokio::test]
async fn plugins_text_cannot_draw_on_a_terminal_or_forge_a_line() {
    let server = Web::start().await;
    let mut asked = request(server.address, r#"{"do":"ugly-verdict"}"#);
    let plugin = Host::new(None, 1 << 30)
        .unwrap()
        .load(HOSTILE, 128 << 20, &mut |warning| panic!("{warning}"))
        .unwrap();
    let ugly = plugin.probe(&asked).await.finding;
    assert_eq!(
        ugly.detail,
        r"fine\u{1b}[2J\u{d}\u{a}level=error forged\u{202e}\u{0}"
    );
    asked.config = r#"{"do":"log-huge"}"#.into();
    let probe = plugin.probe(&asked).await;
    assert_eq!(probe.finding.cause, Cause::Healthy, "{}", probe.finding);
    let (_, line) = &probe.log[0];
    assert!(line.len() <= 1024 && line.is_ascii(), "{line}");
    asked.config = r#"{"do":"huge-verdict"}"#.into();
    let huge = plugin.probe(&asked).await.finding;
    assert_eq!((huge.cause, huge.detail.len()), (Cause::Healthy, 1024));
}

#[tokio::test]
async fn logs_and_verdicts_are_bounded() {
    let server = Web::start().await;
    let mut asked = request(server.address, r#"{"do":"log-flood"}"#);
    asked.timeout = Duration::from_millis(500);
    let plugin = load(HOSTILE);
    let probe = plugin.probe(&asked).await;
    assert_eq!(probe.log.len(), 16);
    assert!(probe.dropped > 0);
    asked.config = r#"{"do":"huge-verdict"}"#.into();
    assert!(plugin.probe(&asked).await.finding.detail.len() <= 1024);
}

#[tokio::test]
async fn looping_plugin_lets_others_on_its_thread_run() {
    let server = Web::start().await;
    let (hostile, http) = (load(HOSTILE), standard("http"));
    let endless = request(server.address, r#"{"do":"loop"}"#);
    let good = request(server.address, "{}");
    let looping = hostile.probe(&endless);
    tokio::pin!(looping);
    let mut done = 0;
    while done < 20 {
        tokio::select! {
            probe = &mut looping => panic!("the loop ended first: {probe:?}"),
            probe = http.probe(&good) => {
                assert_eq!(probe.finding.cause, Cause::Healthy);
                done += 1;
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_check_plugin_is_refused_with_a_reason() {
    let host = Host::new(None, 1 << 30).unwrap();
    let refuse = |bytes: &[u8]| host.load(bytes, 1 << 20, &mut |_| {}).err().expect("refused");
    assert!(refuse(b"#!/bin/sh").contains("not WebAssembly"));
    let http = plugin_store::standard("http").unwrap();
    assert!(refuse(&http[..http.len() / 2]).contains("cannot compile"));
    // An empty component: the component model's preamble and nothing else.
    assert!(refuse(b"\0asm\x0d\0\x01\0").contains("check"));
}

#[tokio::test]
async fn damaged_components_never_panic() {
    let host = Host::new(None, 1 << 30).unwrap();
    let whole = plugin_store::standard("tcp").unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 12) {
        let mut damaged = whole.to_vec();
        damaged[place] ^= 0x55;
        // Either answer will do; ours is to go on.
        let _ = host.load(&damaged, 1 << 20, &mut |_| {});
        let half = &whole[..place];
        assert!(host.load(half, 1 << 20, &mut |_| {}).is_err(), "{place} bytes");
    }
}

#[tokio::test]
async fn compiled_plugins_are_kept_where_nobody_else_can_write() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cache");
    let host = Host::new(Some(folder.clone()), 1 << 30).unwrap();
    let bytes = plugin_store::standard("tcp").unwrap();
    let mut warnings = Vec::new();
    host.load(bytes, 1 << 20, &mut |warning| warnings.push(warning))
        .unwrap();
    let kept: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!((kept.len(), warnings.len()), (1, 0), "{warnings:?}");

    // A damaged file is compiled anew and replaced.
    let good = std::fs::read(&kept[0]).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&kept[0], damaged).unwrap();
    host.load(bytes, 1 << 20, &mut |warning| panic!("{warning}"))
        .unwrap();
    assert!(std::fs::read(&kept[0]).unwrap() == good);

    // A folder that others can write is not read.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    host.load(bytes, 1 << 20, &mut |warning| warnings.push(warning))
        .unwrap();
    assert!(warnings[0].contains("can be written by others"), "{warnings:?}");
}

/// Loads `tcp` with this cache and gives the only file in it.
fn kept(folder: &Path) -> PathBuf {
    let host = Host::new(Some(folder.to_owned()), 1 << 30).unwrap();
    let bytes = plugin_store::standard("tcp").unwrap();
    host.load(bytes, 1 << 20, &mut |warning| panic!("{warning}"))
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap().unwrap().path()
}

#[test]
fn compiled_plugin_is_taken_from_the_cache() {
    use std::os::unix::fs::MetadataExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cache");
    let first = std::fs::metadata(kept(&folder)).unwrap();
    let again = std::fs::metadata(kept(&folder)).unwrap();
    // Compiled anew it would be another file under the same name.
    assert_eq!(first.ino(), again.ino());
    assert_eq!(first.mtime_nsec(), again.mtime_nsec());
    assert_eq!(first.mode() & 0o777, 0o600);
}

#[test]
fn compiled_plugin_that_others_can_write_is_not_run() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cache");
    let file = kept(&folder);
    let before = std::fs::metadata(&file).unwrap().ino();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let after = std::fs::metadata(kept(&folder)).unwrap();
    assert_ne!(before, after.ino());
    assert_eq!(after.mode() & 0o777, 0o600);
}

#[test]
fn compiled_plugin_behind_a_link_is_not_run() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cache");
    let file = kept(&folder);
    let elsewhere = parent.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    kept(&folder);
    assert!(!std::fs::symlink_metadata(&file).unwrap().is_symlink());
}

/// An authority of our own and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, names: &[&str], expired: bool) -> (String, KeyPair) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = if expired {
            date_time_ymd(2021, 1, 1)
        } else {
            date_time_ymd(2090, 1, 1)
        };
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    /// A TLS server with a certificate for these names; it answers HTTP 200.
    /// With `clients` it wants a certificate of this authority.
    async fn serve(&self, names: &[&str], expired: bool, clients: bool) -> SocketAddr {
        let resolver = SingleCertAndKey::from(self.certified(names, expired));
        self.serve_whatever(Arc::new(resolver), clients).await
    }

    fn certified(&self, names: &[&str], expired: bool) -> CertifiedKey {
        let (pem, key) = self.sign(names, expired);
        let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).unwrap()
    }

    async fn serve_whatever(&self, resolver: Arc<dyn ResolvesServerCert>, clients: bool) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
                .unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_cert_resolver(resolver);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut asked = [0; 4096];
                    let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut asked).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        address
    }
}

/// TLS as the document would have it, its files in `folder`.
fn tls(folder: &tempfile::TempDir, authority: &Authority) -> Tls {
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    Tls {
        verify: true,
        ca: Some(ca),
        server_name: None,
        client_cert: None,
        client_key: None,
    }
}

async fn probe_tls(plugin: &str, address: SocketAddr, settings: &Tls) -> Finding {
    let mut request = request(address, "{}");
    request.tls = Some(Arc::new(TlsClient::new(settings).unwrap()));
    request.server_name = settings.server_name.clone();
    standard(plugin).probe(&request).await.finding
}

#[tokio::test]
async fn certificates_are_verified_and_every_fault_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let settings = tls(&folder, &authority);

    let good = authority.serve(&["127.0.0.1"], false, false).await;
    let finding = probe_tls("http", good, &settings).await;
    assert_eq!(finding.cause, Cause::Healthy, "{finding}");

    let strange = Authority::new().serve(&["127.0.0.1"], false, false).await;
    let other = authority.serve(&["10.9.9.9"], false, false).await;
    let expired = authority.serve(&["127.0.0.1"], true, false).await;
    let clear = Echo::start("a").await;
    for (address, word) in [
        (strange, "unknown authority"),
        (other, "not for"),
        (expired, "expired"),
        (clear.address, "does not speak TLS"),
    ] {
        let finding = probe_tls("http", address, &settings).await;
        assert_eq!(finding.cause, Cause::Tls, "{finding}");
        assert!(finding.detail.contains(word), "{finding}");
    }
}

/// A server whose certificate changes while its TLS sessions live on.
#[derive(Debug)]
struct Renewed(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn each_probe_verifies_the_certificate_of_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let good = authority.certified(&["127.0.0.1"], false);
    let server = Arc::new(Renewed(Mutex::new(Arc::new(good))));
    let address = authority.serve_whatever(server.clone(), false).await;
    let mut request = request(address, "{}");
    request.tls = Some(Arc::new(TlsClient::new(&tls(&folder, &authority)).unwrap()));
    let plugin = standard("http");
    let probe = plugin.probe(&request).await;
    assert_eq!(probe.finding.cause, Cause::Healthy, "{}", probe.finding);
    assert!(probe.connect.unwrap() + probe.handshake.unwrap() <= probe.took);
    *server.0.lock().unwrap() = Arc::new(authority.certified(&["127.0.0.1"], true));
    let finding = plugin.probe(&request).await.finding;
    assert_eq!(finding.cause, Cause::Tls, "{finding}");
}

#[tokio::test]
async fn unverified_takes_any_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let settings = Tls {
        verify: false,
        ca: None,
        ..tls(&folder, &authority)
    };
    let strange = Authority::new().serve(&["elsewhere.example"], true, false).await;
    assert_eq!(probe_tls("http", strange, &settings).await.cause, Cause::Healthy);
}

#[tokio::test]
async fn server_name_is_what_the_certificate_must_be_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let settings = Tls {
        server_name: Some("kubernetes".into()),
        ..tls(&folder, &authority)
    };
    let named = authority.serve(&["kubernetes"], false, false).await;
    assert_eq!(probe_tls("http", named, &settings).await.cause, Cause::Healthy);
}

#[tokio::test]
async fn client_certificate_is_shown_where_the_endpoint_wants_one() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let address = authority.serve(&["127.0.0.1"], false, true).await;
    let without = tls(&folder, &authority);
    let finding = probe_tls("http", address, &without).await;
    assert_eq!(finding.cause, Cause::Tls, "{finding}");
    assert!(finding.detail.contains("certificate required"), "{finding}");

    let (certificate, key) = authority.sign(&["client"], false);
    let paths = [folder.path().join("client.pem"), folder.path().join("client.key")];
    std::fs::write(&paths[0], certificate).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    let [client_cert, client_key] = paths.map(Some);
    let with = Tls {
        client_cert,
        client_key,
        ..without
    };
    let finding = probe_tls("http", address, &with).await;
    assert_eq!(finding.cause, Cause::Healthy, "{finding}");
}

#[tokio::test]
async fn tls_handshake_warns_of_expiry() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let settings = tls(&folder, &authority);
    let good = authority.serve(&["127.0.0.1"], false, false).await;
    assert_eq!(
        probe_tls("tls-handshake", good, &settings).await.cause,
        Cause::Healthy
    );
    let unverified = Tls {
        verify: false,
        ca: None,
        ..settings
    };
    let expired = authority.serve(&["127.0.0.1"], true, false).await;
    let finding = probe_tls("tls-handshake", expired, &unverified).await;
    assert_eq!(finding.cause, Cause::Unhealthy, "{finding}");
    assert!(finding.detail.contains("expired"), "{finding}");
}

#[tokio::test]
async fn missing_tls_files_are_named() {
    let settings = Tls {
        verify: true,
        ca: Some("/nowhere/ca.pem".into()),
        server_name: None,
        client_cert: None,
        client_key: None,
    };
    assert!(
        TlsClient::new(&settings)
            .err()
            .unwrap()
            .contains("/nowhere/ca.pem")
    );
}
