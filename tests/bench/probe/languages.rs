//! The check that `catamaran plugin new` writes, in each language.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use catamaran::shell::wasm::Host;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::kit::{plugin, rust, told};
use super::{AT_ONCE, memory, request};

/// How long each is probed with.
const SPAN: Duration = Duration::from_secs(3);

/// Endpoints of one server, each with an address of its own.
const ENDPOINTS: u32 = 1000;

const LANGUAGES: [&str; 4] = ["rust", "c", "python", "javascript"];

/// What a language's check costs.
pub struct Row {
    pub language: &'static str,
    pub bytes: usize,
    pub compile: Duration,
    /// From nothing to a verdict about an endpoint that refuses, microseconds.
    pub start: f64,
    pub per_second: f64,
    /// Most memory over what there was before the first instance, kilobytes.
    pub memory: u64,
}

/// One row a language, or why there is none.
pub fn measure(runtime: &Runtime, port: u16) -> Vec<Result<Row, String>> {
    let rows = LANGUAGES.iter().map(|language| {
        let component = build(language).map_err(|why| format!("{language}: not built: {why}"))?;
        Ok(row(language, &component, runtime, port))
    });
    rows.collect()
}

/// The table, or for machines a line of JSON each.
pub fn print(rows: &[Result<Row, String>], json: bool) {
    if !json {
        println!("\nthe check of `plugin new`, {ENDPOINTS} endpoints, {AT_ONCE} at once, one core\n");
        let head = ["bytes", "compile ms", "start us", "probes/s", "memory MiB"];
        println!("{:12}{}", "", head.map(|word| format!("{word:>14}")).concat());
    }
    for row in rows {
        match row {
            Ok(row) => row.print(json),
            Err(why) => eprintln!("{why}"),
        }
    }
}

impl Row {
    fn print(&self, json: bool) {
        let compile = self.compile.as_secs_f64() * 1e3;
        let memory = self.memory as f64 / 1024.0;
        if json {
            let row = json!({
                "language": self.language, "bytes": self.bytes, "compile-ms": compile, "start-us": self.start,
                "per-second": self.per_second, "memory-mib": memory,
            });
            return println!("{row}");
        }
        println!(
            "{:12}{:>14}{compile:>14.0}{:>14.1}{:>14.0}{memory:>14.1}",
            self.language, self.bytes, self.start, self.per_second
        );
    }
}

fn row(language: &'static str, component: &[u8], runtime: &Runtime, port: u16) -> Row {
    let host = Host::new(None, 1 << 30).expect("a host");
    let began = Instant::now();
    let plugin = super::load(&host, component);
    let compile = began.elapsed();
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let endpoint = |number: u32| {
        let [.., high, low] = (number % ENDPOINTS).to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(127, 1, high, low), port))
    };
    memory::forget_peak();
    let before = memory::resident();
    let refused = during(runtime, || {
        let (plugin, request) = (plugin.clone(), request(nobody, "{}"));
        async move { drop(plugin.probe(&request).await) }
    });
    let mut number = 0;
    let well = during(runtime, || {
        number += 1;
        let (plugin, request) = (plugin.clone(), request(endpoint(number), "{}"));
        async move {
            let probe = plugin.probe(&request).await;
            assert!(probe.finding.cause.is_success(), "{}", probe.finding);
        }
    });
    Row {
        language,
        bytes: component.len(),
        compile,
        start: 1e6 / refused,
        per_second: well,
        memory: memory::peak().saturating_sub(before),
    }
}

/// Probes a second.
fn during<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, mut probe: impl FnMut() -> F) -> f64 {
    let began = Instant::now();
    let done = runtime.block_on(async {
        let (mut running, mut done) = (JoinSet::new(), 0u32);
        while began.elapsed() < SPAN {
            if running.len() == AT_ONCE {
                running
                    .join_next()
                    .await
                    .expect("one runs")
                    .expect("no probe panics");
                done += 1;
            }
            running.spawn(probe());
        }
        done + u32::try_from(running.join_all().await.len()).expect("few")
    });
    f64::from(done) / began.elapsed().as_secs_f64()
}

/// A project from nothing, with the tools that `tests/plugin_languages.rs`
/// leaves in the target folder.
fn build(language: &str) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let project = folder.path().join("bench");
    let environment = match language {
        "rust" => rust()?,
        _ => Vec::new(),
    };
    done(&mut plugin(
        folder.path(),
        &["new", "bench", "--language", language],
    ))?;
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tools = match language {
        "python" => Some((kept.join("plugin-languages-python"), ".venv")),
        "javascript" => Some((
            kept.join("plugin-languages-javascript/node_modules"),
            "node_modules",
        )),
        _ => None,
    };
    if let Some((tools, name)) = tools
        && tools.is_dir()
    {
        symlink(tools, project.join(name)).map_err(|error| error.to_string())?;
    }
    done(plugin(&project, &["build"]).envs(environment))?;
    fs::read(project.join("bench.wasm")).map_err(|error| error.to_string())
}

fn done(command: &mut Command) -> Result<(), String> {
    let told = told(command);
    match told.code {
        Some(0) => Ok(()),
        _ => Err(told.err.trim().replace('\n', " ")),
    }
}
