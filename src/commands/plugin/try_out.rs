//! `catamaran plugin try`: a component against a real endpoint, once or each
//! time that it changes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::inspect::mebibytes;
use crate::app::{Loaded, Probing};
use crate::commands::alone::Alone;
use crate::commands::probe::{as_json, level_word};
use crate::pure::anatomy::Anatomy;
use crate::pure::config::units::Time;
use crate::pure::config::{Config, Endpoint};
use crate::pure::exchange::recording::{Heard, Recording};
use crate::shell::plugin_store::{self, Available};
use crate::shell::wasm::Probe;

/// How often a watched file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What is tried.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE")]
    plugin: PathBuf,
    #[command(flatten)]
    alone: Alone,
    /// Probe again when the file changes, and after each --interval, until interrupted
    #[arg(long)]
    watch: bool,
    /// Time from probe to probe with --watch
    #[arg(long, value_name = "DURATION", default_value = "2s", requires = "watch")]
    interval: Time,
    /// Write what was said to a new file, for `catamaran plugin test`
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    record: Option<PathBuf>,
    /// Print JSON, one object a probe
    #[arg(long)]
    json: bool,
}

/// Try a component; whether the (last) probe succeeded.
///
/// # Errors
/// A line for each thing that is wrong with the command line or the component.
pub fn run(args: &Args) -> Result<bool, String> {
    let runtime = crate::commands::runtime().map_err(|why| format!("catamaran: {why}"))?;
    match args.watch {
        true => runtime.block_on(watch(args)),
        false => runtime.block_on(once(args)),
    }
}

async fn once(args: &Args) -> Result<bool, String> {
    let trial = Trial::load(args)?;
    let (probe, heard) = trial.check.probe_recorded(&trial.endpoint).await;
    print(&trial, &probe, args.json);
    if let Some(path) = &args.record {
        let text = trial.recording(&probe, &heard, &args.alone.settings()?)?;
        // What somebody wrote is not written over.
        let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("catamaran: {}: {error}", path.display()))?;
    }
    Ok(probe.finding.cause.is_success())
}

/// Probe for ever; only what is wrong with the command line ends it.
async fn watch(args: &Args) -> Result<bool, String> {
    loop {
        let state = state(&args.plugin);
        let until = match Trial::load(args) {
            Ok(trial) => {
                let probe = trial.check.probe(&trial.endpoint).await;
                print(&trial, &probe, args.json);
                Some(Instant::now() + args.interval.0)
            }
            Err(why) => {
                eprintln!("{why}\nwaiting for another {}", args.plugin.display());
                None
            }
        };
        while self::state(&args.plugin) == state && until.is_none_or(|until| Instant::now() < until) {
            sleep(LOOK).await;
        }
    }
}

/// What tells that a file was written again.
fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A loaded component and whom it probes.
struct Trial {
    config: Config,
    check: Loaded,
    endpoint: Endpoint,
}

impl Trial {
    fn load(args: &Args) -> Result<Self, String> {
        let file = args.plugin.display();
        let available = Available::default();
        let config = args.alone.document(&format!("file:{file}"), &available)?;
        let bytes =
            plugin_store::read_file(&args.plugin, None).map_err(|error| format!("catamaran: {error}"))?;
        Anatomy::read(&bytes).map_err(|why| format!("catamaran: {file}: {why}"))?;
        let probing = Probing::new(&config, &available).map_err(|why| {
            let why = why.strip_prefix("check check: ").unwrap_or(&why);
            format!("catamaran: {file}: {why}")
        })?;
        let pool = config.pools.first();
        let parts = pool.and_then(|pool| Some((pool.check?, pool.endpoints.first()?)));
        let (check, endpoint) = parts.ok_or("catamaran: name an --endpoint")?;
        Ok(Self {
            check: probing.check(check).clone(),
            endpoint: endpoint.clone(),
            config,
        })
    }

    fn recording(&self, probe: &Probe, heard: &[Heard], settings: &Value) -> Result<String, String> {
        let check = self.config.checks.first().ok_or("catamaran: no check")?;
        let recording = Recording {
            name: &self.endpoint.name,
            address: self.endpoint.probe_address,
            server_name: check.tls.as_ref().and_then(|tls| tls.server_name.as_deref()),
            tls: check.tls.is_some(),
            config: settings,
            timeout: check.timeout,
            finding: &probe.finding,
            connections: heard,
        };
        recording.toml().map_err(|why| format!("catamaran: {why}"))
    }
}

fn print(trial: &Trial, probe: &Probe, json: bool) {
    if json {
        let mut value = as_json(&trial.endpoint.name, &trial.endpoint, probe);
        value["connect-ms"] = json!(probe.connect.map(milliseconds));
        value["handshake-ms"] = json!(probe.handshake.map(milliseconds));
        value["memory-bytes"] = json!(probe.memory);
        println!("{value}");
        return;
    }
    print!("{}", report(probe));
}

fn report(probe: &Probe) -> String {
    let mut text = format!("{}\n", probe.finding);
    let mut parts = String::new();
    let known = [("connect", probe.connect), ("TLS handshake", probe.handshake)];
    for (part, took) in known {
        if let Some(took) = took {
            let _ = write!(parts, ", {part} {:.1} ms", milliseconds(took));
        }
    }
    let memory = mebibytes(probe.memory as u64);
    let _ = writeln!(
        text,
        "  {:.1} ms{parts}; {memory} of memory",
        milliseconds(probe.took)
    );
    for (level, line) in &probe.log {
        let _ = writeln!(text, "  {} {line}", level_word(*level));
    }
    if probe.dropped > 0 {
        let _ = writeln!(text, "  {} more log lines were dropped", probe.dropped);
    }
    text
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::health::{Cause, Finding};
    use crate::shell::wasm::Level;

    #[test]
    fn report_has_all_that_is_known_of_a_probe() {
        let probe = Probe {
            finding: Finding {
                cause: Cause::Healthy,
                detail: "200".into(),
            },
            took: Duration::from_micros(3140),
            connect: Some(Duration::from_micros(200)),
            handshake: None,
            log: vec![(Level::Info, "hello".into())],
            dropped: 2,
            memory: 17 * 65_536,
        };
        assert_eq!(
            report(&probe),
            "healthy: 200\n  3.1 ms, connect 0.2 ms; 1.1 MiB of memory\n  info hello\n  2 more log lines were dropped\n"
        );
    }
}
