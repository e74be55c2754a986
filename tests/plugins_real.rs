//! Plugins that know a protocol, against the servers that speak it: those of
//! the distribution, each in a network of its own, which ends with the test.

#[path = "plugins_real/certificates.rs"]
mod certificates;
#[path = "plugins_real/dns.rs"]
mod dns;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "plugins_real/etcd.rs"]
mod etcd;
#[path = "plugins_real/grpc_health.rs"]
mod grpc_health;
#[path = "support/installed.rs"]
mod installed;
#[path = "plugins_real/mysql.rs"]
mod mysql;
#[path = "plugins_real/postgres.rs"]
mod postgres;
#[path = "plugins_real/redis.rs"]
mod redis;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use catamaran::pure::config::Tls;
use catamaran::pure::health::{Cause, Finding};
use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin, ProbeRequest, TlsClient};

use enclosed::settle;
use installed::packaged;

/// A server that is killed when it is dropped, and with the enclosure.
struct Server(Child);

impl Server {
    fn start(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let child = installed::program_of_root(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// TLS with whoever is there.
fn unverified() -> Tls {
    Tls {
        verify: false,
        ca: None,
        server_name: None,
        client_cert: None,
        client_key: None,
    }
}

/// A standard plugin and how it reaches servers on loopback.
struct Check {
    plugin: Plugin,
    tls: Option<Arc<TlsClient>>,
}

impl Check {
    fn of(plugin: &str) -> Self {
        let host = Host::new(None, 1 << 30).unwrap();
        let bytes = plugin_store::standard(plugin).expect("a standard plugin");
        let plugin = host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"));
        Self {
            plugin: plugin.unwrap(),
            tls: None,
        }
    }

    fn with_tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(Arc::new(TlsClient::new(tls).unwrap()));
        self
    }

    async fn probe(&self, port: u16, config: &str) -> Finding {
        self.probe_at((Ipv4Addr::LOCALHOST, port).into(), config).await
    }

    async fn probe_at(&self, address: SocketAddr, config: &str) -> Finding {
        let request = ProbeRequest {
            name: "e0".into(),
            address,
            server_name: None,
            tls: self.tls.clone(),
            config: config.into(),
            timeout: Duration::from_secs(10),
        };
        self.plugin.probe(&request).await.finding
    }

    /// Probe until the finding is of that cause and says that.
    async fn finds(&self, port: u16, config: &str, cause: Cause, text: &str) -> Finding {
        let mut last = None;
        let what = format!("{cause:?}, {text:?}");
        let found = enclosed::found(&what, async || {
            let finding = self.probe(port, config).await;
            let is_it = finding.cause == cause && finding.detail.contains(text);
            if !is_it && last.as_ref() != Some(&finding) {
                eprintln!("{port} {config}: {finding}");
            }
            last = Some(finding.clone());
            is_it.then_some(finding)
        });
        found.await
    }
}

/// Run a client of a server to its end.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
