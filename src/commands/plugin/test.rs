//! `catamaran plugin test`: a plugin against its recorded exchanges.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::project::Project;
use super::workshop::Workshop;
use crate::pure::config::{Tls, USUAL_PLUGIN_MEMORY};
use crate::pure::exchange::file::Exchange;
use crate::pure::health::Cause;
use crate::shell::document::count;
use crate::shell::plugin_store;
use crate::shell::wasm::{Host, Plugin, ProbeRequest, TlsClient};

/// Memory for the plugin; not what is tested here.
const MEMORY: u64 = 256 << 20;

/// What is tested.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's folder, whose `exchanges/*.toml` are replayed; in a clone also a folder of `plugins/`
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The component [default: the one that `plugin build` writes]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
}

/// Replay all exchanges; the report, and whether all went as written.
///
/// # Errors
/// When there is no component, it does not load, or there is no exchange.
pub fn run(args: &Args) -> Result<(String, bool), String> {
    let path = match &args.plugin {
        Some(path) => path.clone(),
        None => component(&args.folder)?,
    };
    if !path.is_file() {
        return Err(format!(
            "{} is not there; `catamaran plugin build` makes it",
            path.display()
        ));
    }
    let bytes = plugin_store::read_file(&path, None).map_err(|error| error.to_string())?;
    let plugin = Host::new(None, USUAL_PLUGIN_MEMORY)?
        .load(&bytes, MEMORY, &mut |_| {})
        .map_err(|why| format!("{}: {why}", path.display()))?;
    let outcomes = replay_folder(&plugin, &args.folder.join("exchanges"))?;
    let wrong = outcomes.iter().filter(|(_, faults)| !faults.is_empty()).count();
    let mut report = String::new();
    for (name, faults) in &outcomes {
        let _ = match faults.is_empty() {
            true => writeln!(report, "{name}: as written"),
            false => writeln!(
                report,
                "{name}: wrong\n    {}",
                faults.join("\n").replace('\n', "\n    ")
            ),
        };
    }
    let _ = writeln!(report, "{}, {wrong} wrong", count(outcomes.len(), "exchange"));
    Ok((report, wrong == 0))
}

/// Where the component of the plugin in a folder is.
fn component(folder: &Path) -> Result<PathBuf, String> {
    if let Some(project) = Project::find(folder)? {
        return Ok(project.component());
    }
    let whole = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = whole
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let no_plugin = || {
        format!(
            "{} is no plugin's folder (no wit/worlds.wit in it); name one, or a component with --plugin",
            folder.display()
        )
    };
    let workshop = Workshop::find(&whole).map_err(|_| no_plugin())?;
    let plugins = workshop.plugins(&[name.to_owned()]).map_err(|_| no_plugin())?;
    let plugin = plugins.first().ok_or_else(no_plugin)?;
    Ok(workshop.component(plugin))
}

/// Replay all exchanges of a folder, in alphabetical order: the name of each
/// and what was not as written.
///
/// # Errors
/// When the folder cannot be read or holds no exchange.
pub fn replay_folder(plugin: &Plugin, folder: &Path) -> Result<Vec<(String, Vec<String>)>, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!("{}: no exchange (NAME.toml) in it", folder.display()));
    }
    files.sort();
    let runtime = crate::commands::runtime()?;
    let outcomes = files.iter().map(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let faults = fs::read_to_string(path)
            .map_err(|error| error.to_string())
            .and_then(|text| Exchange::read(&text))
            .map_or_else(
                |why| vec![why],
                |exchange| runtime.block_on(replay(plugin, &exchange)),
            );
        (name, faults)
    });
    Ok(outcomes.collect())
}

/// Replay an exchange; what was not as written.
pub async fn replay(plugin: &Plugin, exchange: &Exchange) -> Vec<String> {
    // Nobody is spoken to with it; that it is there tells the plugin of TLS.
    let unused = Tls {
        verify: false,
        ca: None,
        server_name: None,
        client_cert: None,
        client_key: None,
    };
    let tls = match exchange.tls.as_ref().map(|_| TlsClient::new(&unused)).transpose() {
        Ok(tls) => tls.map(Arc::new),
        Err(why) => return vec![why],
    };
    let request = ProbeRequest {
        name: exchange.endpoint.name.clone(),
        address: exchange.endpoint.address,
        server_name: exchange.endpoint.server_name.clone(),
        tls,
        config: exchange.config_json(),
        timeout: exchange.timeout,
    };
    let (probe, mut faults) = plugin.replay(&request, exchange).await;
    let finding = &probe.finding;
    if finding.cause != exchange.verdict {
        faults.push(format!(
            "the verdict is {finding}; wanted is {}",
            exchange.verdict.word()
        ));
    }
    for text in &exchange.detail.0 {
        if !finding.detail.contains(text) {
            faults.push(format!(
                "the verdict is {finding}; {text:?} does not appear in it"
            ));
        }
    }
    let lines: Vec<_> = probe.log.iter().map(|(_, text)| text.as_str()).collect();
    for text in &exchange.log.0 {
        if !lines.iter().any(|line| line.contains(text)) {
            faults.push(format!("{text:?} does not appear in the log: {lines:?}"));
        }
    }
    let told = matches!(finding.cause, Cause::Trapped | Cause::BadPlugin | Cause::TimedOut);
    if !faults.is_empty() && told && !lines.is_empty() {
        faults.push(format!("the plugin logged:\n  {}", lines.join("\n  ")));
    }
    if !faults.is_empty() && !exchange.about.is_empty() {
        faults.insert(0, exchange.about.clone());
    }
    faults
}
