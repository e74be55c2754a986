//! `catamaran probe`: run checks once and say what they found.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::alone::Alone;
use crate::app::{Loaded, Probing, fetch};
use crate::pure::config::{Config, Endpoint, Wish};
use crate::shell::plugin_store::Available;
use crate::shell::wasm::{Level, Probe};

/// Run checks once and print verdict, reason and time.
///
/// Either one plugin against one endpoint, or the checks of a document against
/// its endpoints. Exit code 0 when every probe succeeded, 1 when one failed, 2
/// for wrong usage, a wrong document or a plugin that cannot be had.
#[derive(clap::Args)]
pub struct Args {
    /// A standard plugin's name, or file:PATH, file:PATH@sha256:HEX, oci:REGISTRY/NAME@sha256:HEX.
    #[arg(long, value_name = "PLUGIN", requires = "endpoint")]
    plugin: Option<String>,
    #[command(flatten)]
    alone: Alone,
    /// A document whose endpoints to probe; `-` reads standard input.
    ///
    /// Without it and without --plugin, the text in the environment variable
    /// CATAMARAN_DOCUMENT, or else the file /etc/catamaran/cluster.toml.
    #[arg(
        short = 'c',
        long = "document",
        value_name = "FILE",
        conflicts_with = "plugin"
    )]
    document: Option<PathBuf>,
    /// Of the document, only this pool or endpoint.
    #[arg(value_name = "POOL[/ENDPOINT]", conflicts_with = "plugin")]
    only: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One endpoint to probe and what to call it.
struct Target {
    name: String,
    check: Loaded,
    endpoint: Endpoint,
}

/// Probe and print.
pub fn run(args: Args) -> ExitCode {
    let json = args.json;
    match targets(args) {
        Err(report) => {
            eprintln!("{}", report.trim_end());
            ExitCode::from(2)
        }
        Ok(targets) => match probe_all(targets) {
            Ok(probes) => print(&probes, json),
            Err(error) => {
                eprintln!("catamaran: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn targets(args: Args) -> Result<Vec<Target>, String> {
    let say = &mut |line: String| eprintln!("catamaran: {line}");
    let (config, available, only) = match args.plugin {
        Some(plugin) => {
            let (config, available) = one(&args.alone, &plugin, say)?;
            (config, available, None)
        }
        None => {
            let loaded = super::load_whole(super::source(args.document), Available::default(), say);
            let loaded = super::runtime()?.block_on(loaded);
            let (checked, available) = loaded.map_err(|error| error.to_string())?;
            (checked.config, available, args.only)
        }
    };
    let probing = Probing::new(&config, &available)?;
    let (pool_wanted, endpoint_wanted) = match &only {
        None => (None, None),
        Some(only) => match only.split_once('/') {
            Some((pool, endpoint)) => (Some(pool), Some(endpoint)),
            None => (Some(only.as_str()), None),
        },
    };
    let mut targets = Vec::new();
    for pool in config
        .pools
        .iter()
        .filter(|pool| pool_wanted.is_none_or(|wanted| pool.name == wanted))
    {
        let Some(check) = pool.check else { continue };
        for endpoint in &pool.endpoints {
            if endpoint_wanted.is_none_or(|wanted| endpoint.name == wanted) {
                let name = format!("{}/{}", pool.name, endpoint.name);
                targets.push(Target {
                    name,
                    check: probing.check(check).clone(),
                    endpoint: endpoint.clone(),
                });
            }
        }
    }
    match (targets.is_empty(), only) {
        (false, _) => Ok(targets),
        (true, Some(only)) => Err(format!("catamaran: no endpoint with a check is called {only:?}")),
        (true, None) => Err("catamaran: no pool of the document has a check".into()),
    }
}

/// The plugin on the command line, fetched if that is what it takes.
fn one(alone: &Alone, plugin: &str, say: &mut dyn FnMut(String)) -> Result<(Config, Available), String> {
    let mut available = Available::default();
    let config = alone.document(plugin, &available)?;
    let fetched = super::runtime()?.block_on(fetch(&config, &mut available, say));
    let fetched = fetched.map_err(|why| {
        let why = why.strip_prefix("check check: ").unwrap_or(&why);
        format!("catamaran: {why}")
    })?;
    match fetched {
        false => Ok((config, available)),
        // Only now it is known which settings it wants.
        true => Ok((alone.document(plugin, &available)?, available)),
    }
}

/// Probe all at once; the results keep the order of the targets.
fn probe_all(targets: Vec<Target>) -> Result<Vec<(Target, Probe)>, String> {
    Ok(super::runtime()?.block_on(async {
        let mut tasks = JoinSet::new();
        for (place, target) in targets.into_iter().enumerate() {
            tasks.spawn(async move {
                let probe = target.check.probe(&target.endpoint).await;
                (place, target, probe)
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_by_key(|(place, ..)| *place);
        done.into_iter()
            .map(|(_, target, probe)| (target, probe))
            .collect()
    }))
}

fn print(probes: &[(Target, Probe)], json: bool) -> ExitCode {
    if json {
        let probes: Vec<Value> = probes
            .iter()
            .map(|(target, probe)| as_json(&target.name, &target.endpoint, probe))
            .collect();
        println!("{:#}", Value::from(probes));
    } else {
        let widest = probes
            .iter()
            .map(|(target, _)| target.name.len())
            .max()
            .unwrap_or(0);
        for (target, probe) in probes {
            print_line(target, probe, widest);
        }
    }
    let good = probes.iter().all(|(_, probe)| probe.finding.cause.is_success());
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_line(target: &Target, probe: &Probe, widest: usize) {
    let name = &target.name;
    let milliseconds = probe.took.as_secs_f64() * 1e3;
    let wish = if target.endpoint.state == Wish::Enabled {
        ""
    } else {
        " (not enabled)"
    };
    println!("{name:widest$}  {milliseconds:8.1} ms  {}{wish}", probe.finding);
    for (level, text) in &probe.log {
        println!("{:widest$}  {} {text}", "", level_word(*level));
    }
    if probe.dropped > 0 {
        println!("{:widest$}  {} more log lines were dropped", "", probe.dropped);
    }
}

/// A probe as JSON; `name` is what the endpoint is called.
pub(super) fn as_json(name: &str, endpoint: &Endpoint, probe: &Probe) -> Value {
    let log: Vec<Value> = probe
        .log
        .iter()
        .map(|(level, text)| json!({ "level": level_word(*level), "text": text }))
        .collect();
    json!({
        "endpoint": name,
        "address": endpoint.probe_address,
        "success": probe.finding.cause.is_success(),
        "cause": probe.finding.cause,
        "detail": probe.finding.detail,
        "took-ms": probe.took.as_secs_f64() * 1e3,
        "log": log,
        "log-dropped": probe.dropped,
    })
}

/// A level in a word.
pub(super) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
