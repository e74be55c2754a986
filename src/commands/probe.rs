//! `catamaran probe`: run checks once and say what they found.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::app::{Loaded, Probing};
use crate::pure::config::{self, Config, Endpoint, Format, Mistake, Wish};
use crate::shell::plugin_store::Available;
use crate::shell::wasm::{Level, Probe};

/// Run checks once and print verdict, reason and time.
///
/// Either one plugin against one endpoint, or the checks of a document against
/// its endpoints. Exit code 0 when every probe succeeded, 1 when one failed, 2
/// for wrong usage or a wrong document.
#[derive(clap::Args)]
pub struct Args {
    /// A standard plugin's name, or file:PATH, or file:PATH@sha256:HEX.
    #[arg(long, value_name = "PLUGIN", requires = "endpoint")]
    plugin: Option<String>,
    /// The endpoint to probe, such as 10.0.0.1:6443 or [fd00::1]:6443.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "plugin")]
    endpoint: Option<String>,
    /// The plugin's configuration as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "plugin")]
    config: String,
    /// Speak TLS; certificates are verified unless --insecure is given.
    #[arg(long, requires = "plugin")]
    tls: bool,
    /// Speak TLS and accept any certificate.
    #[arg(long, requires = "plugin", conflicts_with = "ca")]
    insecure: bool,
    /// Speak TLS and trust the authorities of this PEM file.
    #[arg(long, value_name = "FILE", requires = "plugin")]
    ca: Option<PathBuf>,
    /// The name that the certificate must be for, and the Host; by default the address.
    #[arg(long, value_name = "NAME", requires = "plugin")]
    server_name: Option<String>,
    /// Time for the probe.
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "plugin")]
    timeout: String,
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
                eprintln!("catamaran: cannot start a runtime: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn targets(args: Args) -> Result<Vec<Target>, String> {
    let (config, only) = match args.plugin {
        Some(_) => (alone(args)?, None),
        None => {
            let source = super::source(args.document);
            let checked = super::load(&source).map_err(|error| error.to_string())?;
            (checked.config, args.only)
        }
    };
    let probing = Probing::new(&config)?;
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

/// The document that the command line amounts to: one pool, one endpoint, one
/// check. Checking it as a document finds the same mistakes.
fn alone(args: Args) -> Result<Config, String> {
    let (Some(plugin), Some(endpoint)) = (args.plugin, args.endpoint) else {
        return Err("catamaran: name a --plugin and an --endpoint, or a document with -c".into());
    };
    let settings: Value = serde_json::from_str(&args.config)
        .map_err(|error| format!("catamaran: --config is not JSON: {error}"))?;
    let mut check = json!({
        "plugin": plugin,
        "timeout": args.timeout,
        "interval": args.timeout,
        "config": settings,
    });
    if args.tls || args.insecure || args.ca.is_some() {
        check["tls"] = if args.insecure {
            json!({ "verify": false })
        } else {
            json!({})
        };
        if let Some(ca) = args.ca {
            check["tls"]["ca"] = json!(ca);
        }
        if let Some(name) = args.server_name {
            check["tls"]["server-name"] = json!(name);
        }
    } else if args.server_name.is_some() {
        return Err("catamaran: --server-name is for TLS, so add --tls, --ca or --insecure".into());
    }
    // A document wants a listener; this one is never started, and its address
    // is one that nobody has (RFC 5737).
    let document = json!({
        "listeners": { "listener": { "bind": ["192.0.2.1:1"], "pool": "pool" } },
        "pools": { "pool": { "check": "check", "endpoints": { "endpoint": endpoint } } },
        "checks": { "check": check },
    });
    match config::check(&document.to_string(), Format::Json, &Available) {
        Ok(checked) => Ok(checked.config),
        Err(refused) => {
            let sentence = |mistake: &Mistake| {
                let help = mistake
                    .help
                    .as_ref()
                    .map_or(String::new(), |help| format!("; {help}"));
                // Where it is in a document that nobody wrote, but for the settings.
                let place = mistake.path.strip_prefix("checks.check.config");
                let place = place.map_or(String::new(), |key| format!("config{key}: "));
                format!("catamaran: {place}{}{help}", mistake.message)
            };
            Err(refused
                .mistakes
                .iter()
                .map(sentence)
                .collect::<Vec<_>>()
                .join("\n"))
        }
    }
}

/// Probe all at once; the results keep the order of the targets.
fn probe_all(targets: Vec<Target>) -> std::io::Result<Vec<(Target, Probe)>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
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
            .map(|(target, probe)| as_json(target, probe))
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

fn as_json(target: &Target, probe: &Probe) -> Value {
    let log: Vec<Value> = probe
        .log
        .iter()
        .map(|(level, text)| json!({ "level": level_word(*level), "text": text }))
        .collect();
    json!({
        "endpoint": target.name,
        "address": target.endpoint.probe_address,
        "success": probe.finding.cause.is_success(),
        "cause": probe.finding.cause,
        "detail": probe.finding.detail,
        "took-ms": probe.took.as_secs_f64() * 1e3,
        "log": log,
        "log-dropped": probe.dropped,
    })
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
