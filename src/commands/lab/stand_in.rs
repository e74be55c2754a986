//! A stand-in for a Kubernetes apiserver: what a load balancer, its probes and
//! a few clients see of one. It keeps no objects and asks nobody who they are.
//!
//! Its condition is set by lines on standard input, each answered by the same
//! line on standard output once it holds; it ends when standard input does. As
//! a container, where nobody is at its standard input, it is `--alone`.

use std::convert::Infallible;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;

/// Names the stand-in in every answer.
pub const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// How often a watch says something.
const BOOKMARKS: Duration = Duration::from_secs(1);

/// `--etcd-healthcheck-timeout` and `--etcd-readycheck-timeout` of an apiserver, by default.
const ETCD_CHECK: Duration = Duration::from_secs(2);

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long requests may go on after the listener has closed.
const FINISH: Duration = Duration::from_secs(10);

/// What is up with an apiserver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Condition {
    /// Nothing.
    #[default]
    Healthy,
    /// Its own etcd is gone: every health path answers 500.
    EtcdGone,
    /// Etcd is there but has lost its quorum: health answers 500 when the
    /// question to etcd has timed out; readiness asks twice.
    QuorumLost,
    /// `--anonymous-auth=false`: health answers 401.
    AnonymousOff,
    /// Within `--shutdown-delay-duration`: serves, but is not ready.
    Terminating,
}

/// How a stand-in is started.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name it gives in its answers [default: the host's]
    #[arg(long)]
    name: Option<String>,
    /// Where it serves
    #[arg(long)]
    listen: SocketAddr,
    /// PEM file of its certificate [default: it makes one that nobody knows]
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Take no orders: the end of standard input means nothing then
    #[arg(long)]
    alone: bool,
    /// `--shutdown-delay-duration` in seconds: how long it serves after SIGTERM
    #[arg(long, default_value_t = 0)]
    shutdown_delay: u64,
}

/// Serve until SIGTERM or the end of standard input.
///
/// # Errors
/// When files cannot be read or the address cannot be had.
pub fn run(args: &Args) -> Result<(), String> {
    crate::commands::runtime()?.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<(), String> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => host_name()?,
    };
    let tls = TlsAcceptor::from(Arc::new(tls(args, &name)?));
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let (set_condition, condition) = watch::channel(Condition::Healthy);
    let set_condition = Arc::new(set_condition);
    let (ended, mut end) = watch::channel(false);
    // Alone, `ended` stays here until the end, and so never says that it is there.
    if !args.alone {
        let set_condition = set_condition.clone();
        thread::spawn(move || {
            follow_orders(&set_condition);
            let _ = ended.send(true);
        });
    }
    say("listening");

    let name: Arc<str> = name.into();
    let mut connections = JoinSet::new();
    let mut leave = Box::pin(async {
        terminate.recv().await;
        set_condition.send_replace(Condition::Terminating);
        sleep(Duration::from_secs(args.shutdown_delay)).await;
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(tls.clone(), stream, name.clone(), condition.clone()));
                }
                // Out of files, say: the next attempt may do better.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut leave => break,
            _ = end.changed() => return Ok(()),
        }
    }
    drop(listener);
    let _ = timeout(FINISH, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Take conditions from standard input until it ends.
fn follow_orders(condition: &watch::Sender<Condition>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match <Condition as clap::ValueEnum>::from_str(&line, false) {
            Ok(wanted) => {
                condition.send_replace(wanted);
                say(&line);
            }
            Err(why) => say(&why),
        }
    }
}

fn say(line: &str) {
    // Whoever does not listen does not need to know.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn host_name() -> Result<String, String> {
    let name = nix::unistd::gethostname().map_err(|error| format!("cannot read the host name: {error}"))?;
    Ok(name.to_string_lossy().into_owned())
}

fn tls(args: &Args, name: &str) -> Result<ServerConfig, String> {
    let (certificates, key) = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => identity_of(certificate, key)?,
        (None, _) | (_, None) => own_identity(name, args.listen)?,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| format!("certificate and key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

type Served = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity_of(certificate: &Path, key: &Path) -> Result<Served, String> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    Ok((certificates, key))
}

/// An identity of an authority that is forgotten at once: for clients that verify nothing.
fn own_identity(name: &str, listen: SocketAddr) -> Result<Served, String> {
    let made = Authority::new().and_then(|authority| authority.apiserver(name, &[listen.ip()]));
    let identity = made.map_err(|error| format!("cannot make a certificate for {name:?}: {error}"))?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    match (certificate, key) {
        (Ok(certificate), Ok(key)) => Ok((vec![certificate], key)),
        (Err(error), _) | (_, Err(error)) => Err(format!("cannot use the certificate just made: {error}")),
    }
}

async fn converse(
    tls: TlsAcceptor,
    stream: TcpStream,
    name: Arc<str>,
    condition: watch::Receiver<Condition>,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let stream = timeout(HANDSHAKE, tls.accept(stream)).await.ok()?.ok()?;
    let answer = service_fn(|request: Request<Incoming>| {
        let (name, condition) = (name.clone(), *condition.borrow());
        async move { Ok::<_, Infallible>(answer(&request, &name, condition).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok()
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: &Request<Incoming>, name: &str, condition: Condition) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let asks = |key: &str| query.split('&').any(|part| part.split('=').next() == Some(key));
    let mut answer = match request.uri().path() {
        _ if request.method() != Method::GET => refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        path @ ("/healthz" | "/livez" | "/readyz") => health(&path[1..], asks("verbose"), condition).await,
        "/version" => json_answer(
            StatusCode::OK,
            &json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64", "servedBy": name}),
        ),
        "/api/v1/nodes" if asks("watch") => watch_answer(name),
        "/api/v1/nodes" => json_answer(StatusCode::OK, &nodes(name)),
        _ => refusal(StatusCode::NOT_FOUND, "NotFound"),
    };
    let name = HeaderValue::from_str(name).unwrap_or_else(|_| HeaderValue::from_static("?"));
    answer.headers_mut().insert(SERVED_BY, name);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

async fn health(path: &str, verbose: bool, condition: Condition) -> Answer {
    let failing = match condition {
        Condition::AnonymousOff => return refusal(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Condition::Healthy => &[][..],
        Condition::EtcdGone => &["etcd", "etcd-readiness"],
        Condition::QuorumLost => {
            sleep(if path == "readyz" {
                ETCD_CHECK * 2
            } else {
                ETCD_CHECK
            })
            .await;
            &["etcd", "etcd-readiness"]
        }
        Condition::Terminating => &["shutdown"],
    };
    let report = health_report(path, failing);
    let (status, text) = match report {
        Ok(_) if !verbose => (StatusCode::OK, "ok".into()),
        Ok(report) => (StatusCode::OK, report),
        Err(report) => (StatusCode::INTERNAL_SERVER_ERROR, report),
    };
    let mut answer = Response::new(Full::from(text).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// What a health path says at length: `Ok` when all it looks at is well.
fn health_report(path: &str, failing: &[&str]) -> Result<String, String> {
    let readiness = ["etcd-readiness", "informer-sync", "shutdown"];
    let checks = ["ping", "log", "etcd"]
        .into_iter()
        .chain(readiness.into_iter().filter(|_| path == "readyz"))
        .chain([
            "poststarthook/start-apiserver-admission-initializer",
            "poststarthook/rbac/bootstrap-roles",
        ]);
    let mut report = String::new();
    let mut passed = true;
    for check in checks {
        if failing.contains(&check) {
            passed = false;
            report.push_str(&format!("[-]{check} failed: reason withheld\n"));
        } else {
            report.push_str(&format!("[+]{check} ok\n"));
        }
    }
    if passed {
        Ok(format!("{report}{path} check passed\n"))
    } else {
        Err(format!("{report}{path} check failed\n"))
    }
}

fn nodes(served_by: &str) -> serde_json::Value {
    let node = |name: &str| {
        json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    let items = ["master1", "master2", "master3", "worker1"].map(node);
    json!({
        "kind": "NodeList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "servedBy": served_by,
        "items": items,
    })
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()).boxed_unsync());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refusal(status: StatusCode, reason: &str) -> Answer {
    json_answer(
        status,
        &json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": reason,
            "reason": reason,
            "code": status.as_u16(),
        }),
    )
}

fn watch_answer(name: &str) -> Answer {
    let line = json!({
        "type": "BOOKMARK",
        "object": {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "1", "annotations": {"served-by": name}},
        },
    });
    let body = Watch {
        tick: interval(BOOKMARKS),
        line: format!("{line}\n").into(),
    };
    let mut answer = Response::new(body.boxed_unsync());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// An answer without end: the same line again and again.
struct Watch {
    tick: Interval,
    line: Bytes,
}

impl Body for Watch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.tick.poll_tick(context));
        Poll::Ready(Some(Ok(Frame::data(self.line.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(path: &str, verbose: bool, condition: Condition) -> (u16, String) {
        let answer = health(path, verbose, condition).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn healthy_says_ok() {
        assert_eq!(
            ask("healthz", false, Condition::Healthy).await,
            (200, "ok".into())
        );
    }

    #[tokio::test]
    async fn healthy_names_its_checks_when_verbose() {
        let (status, body) = ask("livez", true, Condition::Healthy).await;
        assert_eq!(status, 200);
        assert!(body.starts_with("[+]ping ok\n"), "{body}");
        assert!(body.ends_with("livez check passed\n"), "{body}");
    }

    #[tokio::test]
    async fn without_etcd_every_health_path_answers_500_at_length() {
        for path in ["healthz", "livez", "readyz"] {
            let (status, body) = ask(path, false, Condition::EtcdGone).await;
            assert_eq!(status, 500);
            assert!(body.starts_with("[+]ping ok\n"), "{body}");
            assert!(body.contains("[-]etcd failed: reason withheld\n"), "{body}");
            assert!(body.ends_with(&format!("{path} check failed\n")), "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_quorum_readyz_answers_after_four_seconds() {
        let asked = tokio::time::Instant::now();
        assert_eq!(ask("readyz", false, Condition::QuorumLost).await.0, 500);
        assert_eq!(asked.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test]
    async fn anonymous_health_access_off_answers_401() {
        let (status, body) = ask("readyz", false, Condition::AnonymousOff).await;
        assert_eq!(status, 401);
        assert!(body.contains("\"reason\":\"Unauthorized\""), "{body}");
    }

    #[tokio::test]
    async fn terminating_is_alive_but_not_ready() {
        assert_eq!(ask("livez", false, Condition::Terminating).await.0, 200);
        let (status, body) = ask("readyz", false, Condition::Terminating).await;
        assert_eq!(status, 500);
        assert!(body.contains("[-]shutdown failed: reason withheld\n"), "{body}");
    }
}
