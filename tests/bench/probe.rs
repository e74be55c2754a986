//! `cargo bench --bench probe`: probes a second on one core, what the sandbox
//! costs against the same probe written natively, and what each language a
//! check can be written in costs.
//!
//! The server has the other core to itself. Rounds of both kinds take turns
//! and medians are printed, because machines are noisy. CPU time is the
//! probing threads' own, user and system. A language's check is the one that
//! `catamaran plugin new` writes, built by its own tools; where those are not
//! at hand the table says so.

#[path = "../support/kit.rs"]
mod kit;
#[path = "probe/languages.rs"]
mod languages;
#[path = "../support/memory.rs"]
mod memory;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin, ProbeRequest};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const PROBES: usize = 8_000;
const AT_ONCE: usize = 32;

/// A plugin without a network, for the price of an instance alone.
const HOSTILE: &[u8] = include_bytes!("../plugins/hostile.wasm");

fn main() {
    pin(0);
    let server = serve();
    let runtime = runtime();
    let began = Instant::now();
    let host = Host::new(None, 1 << 30).expect("a host");
    let http = load(&host, plugin_store::standard("http").expect("a standard plugin"));
    let compile = began.elapsed();
    let nothing = load(&host, HOSTILE);

    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.native.push(round(&runtime, move || native(server)));
        rounds.plugin.push(round(&runtime, || probe(&http, server, "{}")));
        rounds
            .instance
            .push(round(&runtime, || probe(&nothing, server, r#"{"do":"healthy"}"#)));
    }
    let json = std::env::args().any(|arg| arg == "--json");
    rounds.print(compile, json);
    let rows = languages::measure(&runtime, server.port());
    languages::print(&rows, json);
}

/// What one kind of probe took, per probe.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

#[derive(Default)]
struct Rounds {
    native: Vec<Cost>,
    plugin: Vec<Cost>,
    instance: Vec<Cost>,
}

impl Rounds {
    fn print(&self, compile: Duration, json: bool) {
        let [native, plugin, instance] = [&self.native, &self.plugin, &self.instance].map(|rounds| Cost {
            wall: median(rounds.iter().map(|cost| cost.wall)),
            cpu: median(rounds.iter().map(|cost| cost.cpu)),
        });
        let sandbox = median(
            self.plugin
                .iter()
                .zip(&self.native)
                .map(|(plugin, native)| plugin.cpu - native.cpu),
        );
        if json {
            let row = |cost: Cost| json!({ "wall-us": cost.wall, "cpu-us": cost.cpu, "per-second": 1e6 / cost.wall });
            let all = json!({
                "native": row(native), "plugin": row(plugin), "instance": row(instance),
                "sandbox-cpu-us": sandbox, "compile-ms": compile.as_secs_f64() * 1e3,
            });
            return println!("{all:#}");
        }
        println!("medians of {ROUNDS} rounds of {PROBES} probes, {AT_ONCE} at once, one core\n");
        println!("{:24}{:>14}{:>14}{:>16}", "", "wall us", "cpu us", "probes/s");
        for (name, cost) in [
            ("native http probe", native),
            ("http plugin", plugin),
            ("instance and call alone", instance),
        ] {
            println!(
                "{name:24}{:>14.1}{:>14.1}{:>16.0}",
                cost.wall,
                cost.cpu,
                1e6 / cost.wall
            );
        }
        println!(
            "\nsandbox cost            {sandbox:.1} us CPU a probe, plugin to native {:.2}",
            plugin.cpu / native.cpu
        );
        println!("compiling the plugin    {:.0} ms", compile.as_secs_f64() * 1e3);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Run one round and give its cost per probe in microseconds.
fn round<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, probe: impl Fn() -> F) -> Cost {
    let (wall, cpu) = (Instant::now(), thread_cpu());
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..PROBES {
            if running.len() == AT_ONCE {
                running
                    .join_next()
                    .await
                    .expect("one runs")
                    .expect("no probe panics");
            }
            running.spawn(probe());
        }
        running.join_all().await;
    });
    let per_probe = |time: Duration| time.as_secs_f64() * 1e6 / PROBES as f64;
    Cost {
        wall: per_probe(wall.elapsed()),
        cpu: per_probe(thread_cpu() - cpu),
    }
}

fn load(host: &Host, bytes: &[u8]) -> Plugin {
    host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"))
        .expect("a plugin")
}

fn probe(plugin: &Plugin, address: SocketAddr, config: &str) -> impl Future<Output = ()> + Send + use<> {
    let (plugin, request) = (plugin.clone(), request(address, config));
    async move {
        let probe = plugin.probe(&request).await;
        assert!(probe.finding.cause.is_success(), "{}", probe.finding);
    }
}

fn request(address: SocketAddr, config: &str) -> ProbeRequest {
    ProbeRequest {
        name: "endpoint".into(),
        address,
        server_name: None,
        tls: None,
        config: config.into(),
        timeout: Duration::from_secs(5),
    }
}

/// The same request by the same HTTP library, without a plugin.
async fn native(address: SocketAddr) {
    let exchange = async {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("a socket option");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::get("/")
            .header("host", address.to_string())
            .header("user-agent", "catamaran")
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert!(answer.status().is_success());
        answer.into_body().collect().await.expect("a body");
    };
    tokio::time::timeout(Duration::from_secs(5), exchange)
        .await
        .expect("in time");
}

/// A server on the other core that answers every request with 200.
fn serve() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        pin(1);
        runtime().block_on(async {
            let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
            // Every address of the loopback interface reaches it.
            let port = listener.local_addr().expect("an address").port();
            tell.send(SocketAddr::from(([127, 0, 0, 1], port)))
                .expect("someone waits");
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut asked = [0; 1024];
                    if stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                        stream.write_all(answer).await.expect("the probe reads");
                    }
                });
            }
        });
    });
    told.recv().expect("the server starts")
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Stay on one core where there are two.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > core) && set.set(core).is_ok() {
        // Without it the figures are noisier, no more.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// This thread's, and that of the host's thread where plugins run.
fn thread_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("usage of this thread");
    let [user, system] = [usage.user_time(), usage.system_time()];
    let own = Duration::from_micros(
        (user.tv_sec() + system.tv_sec()) as u64 * 1_000_000 + (user.tv_usec() + system.tv_usec()) as u64,
    );
    own + plugins_cpu()
}

fn plugins_cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("threads of this process");
    let folders = threads.flatten().map(|thread| thread.path());
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let of_plugins = folders.filter(|folder| read(folder.join("comm")).trim() == "plugins");
    // The first number is the time on a core, in nanoseconds.
    let spent = of_plugins.filter_map(|folder| {
        let schedstat = read(folder.join("schedstat"));
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}
