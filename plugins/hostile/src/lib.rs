//! Test fixture: a check plugin that misbehaves in the way its `config` says,
//! `{"do": "loop"}` for example. The host must turn each of these into a failed
//! probe and go on. It is never embedded in the balancer.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use catamaran_check::http::{Header, HttpRequest};
use catamaran_check::{
    Check, Error, Failure, Request, Verdict, connection, export, http, log, quote, reason,
};
use serde::Deserialize;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hostile {
    r#do: Deed,
}
export!(Hostile);

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// Compute for ever without calling the host.
    Loop,
    /// Fill memory without end.
    Allocate,
    /// Stop at an instruction that traps.
    Trap,
    /// Call itself without end.
    Recurse,
    /// Ask for `http://127.0.0.1:1/`, an address that is not the endpoint's.
    Elsewhere,
    /// The same with the other address as `//127.0.0.1:1/`.
    ElsewhereSchemeless,
    /// Be denied as in `elsewhere`, and then claim that all is well.
    ElsewhereThenLie,
    /// Put a second request into the path's and a header's line breaks.
    Smuggle,
    /// Set a header that is the host's.
    HostHeader,
    /// Write 100,000 log lines, then be healthy.
    LogFlood,
    /// Write one log line of 16 MiB with control characters, then be healthy.
    LogHuge,
    /// Answer healthy with 16 MiB of text.
    HugeVerdict,
    /// Answer with an error of 16 MiB.
    HugeError,
    /// Answer healthy with a text that would draw over a terminal.
    UglyVerdict,
    /// Call the host for ever, with a call that never waits.
    HostCallLoop,
    /// Connect and close for ever.
    ConnectLoop,
    /// Request `/` for ever.
    RequestLoop,
    /// Read one byte at a time to the end of the connection.
    SlowRead,
    /// Open 64 connections and keep them; the verdict counts those granted.
    ManyConnections,
    /// Connect and wait for bytes that may never come.
    Hold,
    /// Read with a `max` of 0, then of more than is allowed.
    ReadLimits,
    /// Write more than is allowed at once.
    WriteLimit,
    /// Request with a body that is over its limit.
    BodyLimit,
    /// Request with a `max-body` that is over its limit.
    MaxBodyLimit,
    /// Offer a million protocols in a TLS handshake.
    HugeList,
    /// Request with a million headers.
    HugeHeaders,
    /// Go on using a connection after `shutdown`.
    WriteAfterShutdown,
    /// Say how many probes this instance has served; it must be the first.
    Remember,
    /// Be unhealthy, for comparison.
    Unhealthy,
    /// Return the plugin's own error, for comparison.
    Error,
    /// Be degraded, for comparison.
    Degraded,
    /// Be healthy, for comparison.
    Healthy,
}

const MILLION: usize = 1_000_000;

const MANY: usize = 16 * 1024 * 1024;

impl Check for Hostile {
    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        Ok(match self.r#do {
            Deed::Loop => {
                let mut count = 0u64;
                loop {
                    count = black_box(count.wrapping_add(1));
                }
            }
            Deed::Allocate => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(vec![1u8; 1024 * 1024]));
                }
            }
            Deed::Trap => panic!("told to trap"),
            Deed::Recurse => Verdict::Healthy(recurse(1).to_string()),
            Deed::Elsewhere => ask("http://127.0.0.1:1/"),
            Deed::ElsewhereSchemeless => ask("//127.0.0.1:1/"),
            Deed::ElsewhereThenLie => {
                let _ = ask("http://127.0.0.1:1/");
                Verdict::Healthy("all is well".into())
            }
            Deed::Smuggle => {
                let first = ask("/ HTTP/1.1\r\nhost: a\r\n\r\nGET /second");
                let second = send(HttpRequest {
                    headers: vec![Header {
                        name: "a".into(),
                        value: b"b\r\n\r\nGET /second HTTP/1.1".to_vec(),
                    }],
                    ..get("/")
                });
                Verdict::Unhealthy(format!("path: {}; header: {}", text(first), text(second)))
            }
            Deed::HostHeader => send(HttpRequest {
                headers: vec![Header {
                    name: "Transfer-Encoding".into(),
                    value: b"chunked".to_vec(),
                }],
                ..get("/")
            }),
            Deed::LogFlood => {
                for line in 0..100_000 {
                    log::log(log::Level::Error, &format!("line {line}"));
                }
                Verdict::Healthy("flooded".into())
            }
            Deed::LogHuge => {
                log::log(log::Level::Warn, &"\x1b[2J\n\u{202e}".repeat(MANY / 8));
                Verdict::Healthy("logged".into())
            }
            Deed::HugeVerdict => Verdict::Healthy("x".repeat(MANY)),
            Deed::HugeError => return Err(Failure::Fault("x".repeat(MANY))),
            Deed::UglyVerdict => Verdict::Healthy("fine\x1b[2J\r\nlevel=error forged\u{202e}\0".into()),
            Deed::HostCallLoop => loop {
                log::log(log::Level::Debug, "again");
            },
            Deed::ConnectLoop => loop {
                drop(connection::connect());
            },
            Deed::RequestLoop => loop {
                let _ = black_box(http::request(&get("/")));
            },
            Deed::SlowRead => on_connection(|stream| {
                let mut count = 0u64;
                while !stream.read(1)?.is_empty() {
                    count += 1;
                }
                Ok(format!("read {count} bytes"))
            }),
            Deed::ManyConnections => {
                let tried: Vec<_> = (0..64).map(|_| connection::connect()).collect();
                let granted = tried.iter().filter(|result| result.is_ok()).count();
                let why = tried.iter().find_map(|result| result.as_ref().err()).map(reason);
                Verdict::Unhealthy(format!("{granted} connections granted, then {why:?}"))
            }
            Deed::Hold => on_connection(|stream| {
                while !stream.read(65_536)?.is_empty() {}
                Ok("connection ended".into())
            }),
            Deed::ReadLimits => on_connection(|stream| {
                let none = stream.read(0).map(|bytes| bytes.len());
                let all = stream.read(u32::MAX).map(|bytes| bytes.len());
                Ok(format!("read(0): {none:?}; read(max): {all:?}"))
            }),
            Deed::WriteLimit => on_connection(|stream| {
                let result = stream.write(&vec![b'x'; 65_537]);
                Ok(format!("write(65537): {result:?}"))
            }),
            Deed::BodyLimit => send(HttpRequest {
                method: "POST".into(),
                body: vec![b'x'; 64 * 1024 + 1],
                ..get("/")
            }),
            Deed::MaxBodyLimit => send(HttpRequest {
                max_body: u32::MAX,
                ..get("/")
            }),
            Deed::HugeList => {
                let options = connection::ConnectOptions {
                    alpn: vec![String::new(); MILLION],
                    defer_tls: false,
                };
                match connection::connect_with(&options) {
                    Ok(_) => Verdict::Healthy("connected".into()),
                    Err(error) => Verdict::Unhealthy(reason(&error)),
                }
            }
            Deed::HugeHeaders => {
                let header = Header {
                    name: "a".into(),
                    value: Vec::new(),
                };
                send(HttpRequest {
                    headers: vec![header; MILLION],
                    ..get("/")
                })
            }
            Deed::WriteAfterShutdown => on_connection(|stream| {
                stream.shutdown()?;
                let again = stream.shutdown();
                let write = stream.write(b"x");
                Ok(format!("shutdown: {again:?}; write: {write:?}"))
            }),
            Deed::Remember => {
                static SERVED: AtomicU32 = AtomicU32::new(0);
                Verdict::Healthy(format!("probe {}", SERVED.fetch_add(1, Ordering::Relaxed) + 1))
            }
            Deed::Unhealthy => Verdict::Unhealthy("told to".into()),
            Deed::Error => return Err(Failure::Fault("told to".into())),
            Deed::Degraded => Verdict::Degraded("told to".into()),
            Deed::Healthy => Verdict::Healthy("told to".into()),
        })
    }
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "the deed itself")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(frame[7] + 1) + frame[3]
}

fn get(path: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        path: path.into(),
        headers: Vec::new(),
        body: Vec::new(),
        max_body: 1024,
    }
}

fn ask(path: &str) -> Verdict {
    send(get(path))
}

/// Healthy with the answer, or unhealthy with the error's name and reason.
fn send(request: HttpRequest) -> Verdict {
    match http::request(&request) {
        Ok(response) => Verdict::Healthy(format!(
            "HTTP {}, {} bytes, truncated {}: {}",
            response.status,
            response.body.len(),
            response.truncated,
            quote(&response.body, 80)
        )),
        Err(error) => Verdict::Unhealthy(reason(&error)),
    }
}

fn on_connection(deed: impl FnOnce(&connection::Stream) -> Result<String, Error>) -> Verdict {
    match connection::connect().and_then(|stream| deed(&stream)) {
        Ok(text) => Verdict::Healthy(text),
        Err(error) => Verdict::Unhealthy(reason(&error)),
    }
}

fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Healthy(text) | Verdict::Degraded(text) | Verdict::Unhealthy(text) => text,
    }
}
