//! `cargo bench --bench cage`: how hostile plugins end, and what their
//! neighbours notice of it.
//!
//! Three tables: each deed of the fixture `hostile` by itself, the time that
//! was over its time-out; the same with many instances at once; and an honest
//! check of a hundred endpoints, alone and beside two hundred endless instances
//! of each kind. Servers have the other core to themselves.

#[path = "../support/deeds.rs"]
mod deeds;
#[path = "../support/memory.rs"]
mod memory;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use catamaran::pure::health::Cause;
use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin, Probe, ProbeRequest};
use deeds::DEEDS;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const HOSTILE: &[u8] = include_bytes!("../plugins/hostile.wasm");

/// Of hostile probes.
const TIMEOUT: Duration = Duration::from_millis(250);

const TIMES: usize = 20;

const AT_ONCE: usize = 200;

/// Endpoints of the honest check, each probed so often for so long.
const ENDPOINTS: u16 = 100;
const INTERVAL: Duration = Duration::from_millis(500);
const WATCHED: Duration = Duration::from_secs(5);

fn main() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the hard limit may be had");
    let [silent, web] = [
        server(b""),
        server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ];
    let runtime = Builder::new_current_thread().enable_all().build();
    let json = std::env::args().any(|arg| arg == "--json");
    runtime.expect("a runtime").block_on(async {
        let bench = Bench::new(silent, web);
        let alone = bench.ends(1, TIMES).await;
        let together = bench.ends(AT_ONCE, AT_ONCE).await;
        let beside = bench.neighbours().await;
        print(&alone, &together, &beside, json);
    });
}

struct Bench {
    hostile: Plugin,
    honest: Plugin,
    silent: SocketAddr,
    web: SocketAddr,
}

/// How one deed ended.
struct End {
    deed: &'static str,
    cause: String,
    /// The longest probe, and what of it was over the time-out.
    longest: Duration,
    over: Duration,
}

/// What an honest check notices.
struct Notice {
    beside: &'static str,
    probes: usize,
    failed: usize,
    /// From when a probe was due to its verdict.
    median: Duration,
    p99: Duration,
    longest: Duration,
    /// Kilobytes of this process at most.
    memory: u64,
}

impl Bench {
    fn new(silent: SocketAddr, web: SocketAddr) -> Self {
        let host = Host::new(None, 256 << 20).expect("a host");
        let load = |bytes| {
            let plugin = host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"));
            plugin.expect("a plugin")
        };
        Self {
            hostile: load(HOSTILE),
            honest: load(plugin_store::standard("http").expect("a standard plugin")),
            silent,
            web,
        }
    }

    fn asked(&self, deed: &str) -> ProbeRequest {
        request(self.silent, format!(r#"{{"do":"{deed}"}}"#), TIMEOUT)
    }

    async fn ends(&self, at_once: usize, times: usize) -> Vec<End> {
        let mut ends = Vec::new();
        for (deed, expected) in DEEDS {
            let mut longest = Duration::ZERO;
            for _ in 0..times / at_once {
                for probe in together(&self.hostile, &self.asked(deed), at_once).await {
                    // Many at once may be cut off before they come to it.
                    let cut_off = at_once > 1 && probe.finding.cause == Cause::TimedOut;
                    let as_expected = probe.finding.cause == *expected || cut_off;
                    assert!(as_expected, "{deed}: {}", probe.finding);
                    longest = longest.max(probe.took);
                }
            }
            ends.push(End {
                deed,
                cause: json!(expected).as_str().unwrap_or_default().into(),
                longest,
                over: longest.saturating_sub(TIMEOUT),
            });
        }
        ends
    }

    async fn neighbours(&self) -> Vec<Notice> {
        let mut notices = vec![self.watch("nobody").await];
        for (deed, _) in DEEDS.iter().filter(|(deed, _)| !deed.starts_with("elsewhere")) {
            let mut crowd = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (plugin, asked) = (self.hostile.clone(), self.asked(deed));
                crowd.spawn(async move {
                    loop {
                        plugin.probe(&asked).await;
                    }
                });
            }
            notices.push(self.watch(deed).await);
            crowd.shutdown().await;
        }
        notices
    }

    async fn watch(&self, beside: &'static str) -> Notice {
        memory::forget_peak();
        let mut endpoints = JoinSet::new();
        for endpoint in 0..ENDPOINTS {
            let mut address = self.web;
            let [_, low] = endpoint.to_be_bytes();
            address.set_ip(Ipv4Addr::new(127, 0, 1, low).into());
            let asked = request(address, "{}".into(), Duration::from_secs(1));
            endpoints.spawn(followed(self.honest.clone(), asked, endpoint));
        }
        let mut probes: Vec<(Duration, bool)> = endpoints.join_all().await.concat();
        probes.sort();
        let at = |share: f64| probes[((probes.len() - 1) as f64 * share) as usize].0;
        Notice {
            beside,
            probes: probes.len(),
            failed: probes.iter().filter(|(_, good)| !good).count(),
            median: at(0.5),
            p99: at(0.99),
            longest: at(1.0),
            memory: memory::peak(),
        }
    }
}

/// One endpoint's probes: how long after it was due each verdict came, and
/// whether it was a good one.
async fn followed(plugin: Plugin, asked: ProbeRequest, place: u16) -> Vec<(Duration, bool)> {
    sleep(INTERVAL * u32::from(place) / u32::from(ENDPOINTS)).await;
    let mut due = interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (end, mut probes) = (Instant::now() + WATCHED, Vec::new());
    while Instant::now() < end {
        let was_due = due.tick().await;
        let probe = plugin.probe(&asked).await;
        probes.push((was_due.elapsed(), probe.finding.cause.is_success()));
    }
    probes
}

async fn together(plugin: &Plugin, asked: &ProbeRequest, count: usize) -> Vec<Probe> {
    let mut probes = JoinSet::new();
    for _ in 0..count {
        let (plugin, asked) = (plugin.clone(), asked.clone());
        probes.spawn(async move { plugin.probe(&asked).await });
    }
    probes.join_all().await
}

fn request(address: SocketAddr, config: String, timeout: Duration) -> ProbeRequest {
    ProbeRequest {
        name: "endpoint".into(),
        address,
        server_name: None,
        tls: None,
        config,
        timeout,
    }
}

/// A server that gives everybody this answer at once; one without keeps
/// connections until their clients have gone.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || attend(stream, answer));
        }
    });
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn attend(mut stream: TcpStream, answer: &[u8]) {
    let mut asked = [0; 1024];
    let has_asked = stream.read(&mut asked).is_ok_and(|read| read > 0);
    if answer.is_empty() {
        // It is over when the plugin's side is.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    } else if has_asked {
        // A probe that was cut off reads it no more.
        let _ = stream.write_all(answer);
    }
}

fn print(alone: &[End], crowd: &[End], notices: &[Notice], json: bool) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    if json {
        let ends = |ends: &[End]| -> Vec<_> {
            let row = |end: &End| {
                json!({
                    "deed": end.deed, "verdict": end.cause,
                    "longest-ms": ms(end.longest), "over-time-out-ms": ms(end.over),
                })
            };
            ends.iter().map(row).collect()
        };
        let neighbours: Vec<_> = notices
            .iter()
            .map(|notice| {
                json!({
                    "beside": notice.beside, "probes": notice.probes, "failed": notice.failed,
                    "median-ms": ms(notice.median), "p99-ms": ms(notice.p99),
                    "longest-ms": ms(notice.longest), "memory-kb": notice.memory,
                })
            })
            .collect();
        let all = json!({ "alone": ends(alone), "at-once": ends(crowd), "neighbours": neighbours });
        return println!("{all:#}");
    }
    println!(
        "hostile probes with a time-out of {} ms: {TIMES} one after the other, {AT_ONCE} at once\n",
        TIMEOUT.as_millis()
    );
    let (longest, over) = ("longest ms", "over time-out");
    println!(
        "{:22}{:14}{longest:>12}{over:>15}{longest:>16}{over:>15}",
        "", "verdict"
    );
    for (end, many) in alone.iter().zip(crowd) {
        println!(
            "{:22}{:14}{:>12.1}{:>15.1}{:>16.1}{:>15.1}",
            end.deed,
            end.cause,
            ms(end.longest),
            ms(end.over),
            ms(many.longest),
            ms(many.over)
        );
    }
    println!(
        "\nan honest check, {ENDPOINTS} endpoints each {} ms, beside {AT_ONCE} instances of another\n",
        INTERVAL.as_millis()
    );
    println!(
        "{:22}{:>10}{:>10}{:>12}{:>10}{:>12}{:>14}",
        "beside", "probes", "failed", "median ms", "p99 ms", "longest ms", "memory MiB"
    );
    for notice in notices {
        println!(
            "{:22}{:>10}{:>10}{:>12.1}{:>10.1}{:>12.1}{:>14.1}",
            notice.beside,
            notice.probes,
            notice.failed,
            ms(notice.median),
            ms(notice.p99),
            ms(notice.longest),
            notice.memory as f64 / 1024.0
        );
    }
}
