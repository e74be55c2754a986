//! `catamaran run`: the daemon.

use std::future::pending;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tracing::level_filters::LevelFilter;

use super::admin::Admin;
use super::check::{bad_json, warnings};
use crate::app::{App, Waiting};
use crate::pure::config::units::Time;
use crate::pure::config::{Checked, Config, Node, Severity};
use crate::shell::admin::{AdminSocket, Refusal};
use crate::shell::document::{self, LoadError, Source};
use crate::shell::plugin_store::Available;
use crate::shell::service_manager::{News, ServiceManager};
use crate::shell::telemetry::{Format, Telemetry};

/// Beyond handing over and draining: a process takes a moment to end.
const TO_END: Duration = Duration::from_secs(5);

/// Balance connections and hold virtual addresses as a document says, until SIGTERM or SIGINT.
///
/// SIGHUP has it read its document again, as `catamaran reload` does.
///
/// The first signal hands the virtual addresses over, then drains: no new
/// connections, open ones may finish for `daemon.drain-timeout`. The second
/// ends at once, as does the time of `--stop-within`.
#[derive(clap::Args)]
pub struct Args {
    /// The document, TOML or JSON; `-` reads standard input
    ///
    /// Without it, the text in the environment variable CATAMARAN_DOCUMENT, or
    /// else the file /etc/catamaran/cluster.toml.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of the document's nodes this machine is; by default the one with
    /// the host's name. A document without nodes needs none.
    #[arg(long, env = "CATAMARAN_NODE", value_name = "NAME")]
    node: Option<String>,
    /// Be gone within this time of the first signal, whatever the document says
    ///
    /// For those who kill what takes longer, as podman does after 10s: what is
    /// still open is then reset and told of, instead of cut off.
    #[arg(long, env = "CATAMARAN_STOP_WITHIN", value_name = "DURATION")]
    stop_within: Option<Time>,
    #[command(flatten)]
    admin: Admin,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: Format,
    /// Log this level and what matters more: error, warn, info, debug or trace.
    #[arg(long, env = "CATAMARAN_LOG", default_value = "info", value_name = "LEVEL")]
    log: LevelFilter,
}

/// Run the daemon: 0 after a drain, 1 when it cannot start, 2 for a wrong document.
pub fn run(mut args: Args) -> ExitCode {
    let source = super::source(args.config.take());
    let (config, available) = match load(&source) {
        Ok((checked, available)) => {
            eprint!("{}", warnings(&source, &checked.warnings));
            (checked.config, available)
        }
        Err(LoadError::Lacking(why)) => {
            eprintln!("catamaran: {why}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let config = match document::with_passwords(config) {
        Ok(config) => config,
        Err(why) => {
            eprintln!("catamaran: {why}");
            return ExitCode::FAILURE;
        }
    };
    let node = match node_of(&config, args.node.as_deref()) {
        Ok(node) => node,
        Err(why) => {
            eprintln!("catamaran: {why}");
            return ExitCode::from(2);
        }
    };
    let served = Telemetry::start(args.log_format, args.log)
        .map_err(|error| format!("cannot start the log: {error}"))
        .and_then(|_telemetry| serve(&config, node, available, &source, &args));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The document with its plugins, before there is a log.
fn load(source: &Source) -> Result<(Checked, Available), LoadError> {
    let say = &mut |line: String| eprintln!("catamaran: {line}");
    let runtime = super::runtime().map_err(LoadError::Lacking)?;
    runtime.block_on(super::load_whole(source.clone(), Available::default(), say))
}

/// The node that this machine is; `None` for a document without nodes.
fn node_of<'a>(config: &'a Config, wanted: Option<&str>) -> Result<Option<&'a Node>, String> {
    let names = || {
        config
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let find = |name: &str| config.nodes.iter().find(|node| node.name == name);
    match wanted {
        Some(name) => find(name)
            .map(Some)
            .ok_or_else(|| format!("no node is called {name:?}; the document has: {}", names())),
        None if config.nodes.is_empty() => Ok(None),
        None => {
            let host =
                nix::unistd::gethostname().map_err(|error| format!("cannot read the host name: {error}"))?;
            let host = host.to_string_lossy().into_owned();
            let short = host.split('.').next().unwrap_or(&host).to_string();
            find(&host).or_else(|| find(&short)).map(Some).ok_or_else(|| {
                format!(
                    "no node is called {host:?}, the host's name; say which this is with --node: {}",
                    names()
                )
            })
        }
    }
}

/// Listen for operators. That nobody can ask is no reason not to serve, unless
/// somebody has said where to listen.
fn administer(app: &App, admin: &Admin, reloads: UnboundedSender<Waiting>) -> Result<(), String> {
    match AdminSocket::bind(&admin.place()) {
        Ok(socket) => {
            // Ends with the runtime.
            tokio::spawn(socket.serve(app.answer(reloads)));
            Ok(())
        }
        Err(error) if admin.is_wished() => Err(error.to_string()),
        Err(error) => {
            tracing::warn!(%error, "there is no admin socket");
            Ok(())
        }
    }
}

/// How long it may take to end.
fn time_to_stop(config: &Config, args: &Args) -> Duration {
    let whole = config.time_to_hand_over() + config.daemon.drain_timeout + TO_END;
    args.stop_within
        .map_or(whole, |Time(most)| whole.min(most + TO_END))
}

/// What reads the document again.
struct Reader {
    source: Source,
    node: Option<String>,
    manager: Arc<ServiceManager>,
    /// What runs now does not have to be fetched again, whatever became of its registry.
    available: Available,
}

impl Reader {
    /// Read it and run by it; what came of it, JSON. The daemon is as it was when
    /// that is a refusal.
    async fn reload(&mut self, app: &mut App) -> Result<String, Refusal> {
        self.manager.tell(&News::reloading());
        let outcome = self.read_and_apply(app).await;
        self.manager.tell(&News::Ready);
        outcome
    }

    async fn read_and_apply(&mut self, app: &mut App) -> Result<String, Refusal> {
        let refused = |why: String| {
            tracing::error!("not reloaded: {why}");
            why
        };
        let Some(again) = self.source.again() else {
            let why = format!("{} cannot be read again: restart the daemon", self.source);
            return Err(refused(why).into());
        };
        let say = &mut |line: String| tracing::info!("{line}");
        let loaded = super::load_whole(again, self.available.clone(), say).await;
        let (checked, available) = loaded.map_err(|error| {
            if let LoadError::Lacking(why) = error {
                return refused(why).into();
            }
            let mut json = bad_json(&error);
            json["text"] = refused(error.to_string()).into();
            Refusal::Wrong(json.to_string())
        })?;
        let known = |node: &String| node_of(&checked.config, Some(node));
        if let Some(Err(why)) = self.node.as_ref().map(known) {
            let why = refused(why);
            let json =
                json!({ "good": false, "mistakes": [{ "message": why }], "warnings": [], "text": why });
            return Err(Refusal::Wrong(json.to_string()));
        }
        let config = document::with_passwords(checked.config).map_err(refused)?;
        let mut reloaded = app.reload(&config, available.clone()).await.map_err(refused)?;
        self.available = available;
        let name = self.source.to_string();
        let warnings = checked.warnings.iter();
        reloaded.warnings = warnings
            .map(|warning| warning.render(&name, Severity::Warning))
            .collect();
        serde_json::to_string(&reloaded).map_err(|error| error.to_string().into())
    }
}

fn serve(
    config: &Config,
    node: Option<&Node>,
    available: Available,
    source: &Source,
    args: &Args,
) -> Result<(), String> {
    super::runtime()?.block_on(async {
        let signals = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        let mut terminate = signals(SignalKind::terminate())?;
        let mut interrupt = signals(SignalKind::interrupt())?;
        let mut hangup = signals(SignalKind::hangup())?;
        let manager = ServiceManager::of_environment()
            .map_err(|error| format!("cannot reach the service manager at NOTIFY_SOCKET: {error}"))?;
        let manager = Arc::new(manager);
        let mut app = App::start(config, node, &available)?;
        let (reloads, mut wishes) = unbounded_channel();
        administer(&app, &args.admin, reloads)?;
        let mut reader = Reader {
            source: source.clone(),
            node: node.map(|node| node.name.clone()),
            manager: manager.clone(),
            available,
        };
        if manager.listens() {
            // Ends with the runtime.
            tokio::spawn(app.vitals().report(manager.clone()));
        }
        let mut told = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let work = async {
            app.settle().await;
            app.accept();
            manager.tell(&News::Ready);
            loop {
                let waits = tokio::select! {
                    _ = hangup.recv() => None,
                    waits = wishes.recv() => waits,
                };
                let outcome = reader.reload(&mut app).await;
                if let Some(waits) = waits {
                    // Whoever asked may have gone.
                    let _ = waits.send(outcome);
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = told() => {}
        }
        manager.tell(&News::Stopping(time_to_stop(app.config(), args)));
        let mut hurry = pin!(async {
            let too_long = async {
                match args.stop_within {
                    Some(Time(time)) => tokio::time::sleep(time).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = told() => {}
                () = too_long => {}
            }
        });
        let mut hurried = false;
        app.hand_over(async {
            hurry.as_mut().await;
            hurried = true;
        })
        .await;
        if !hurried {
            let drained = app.drain();
            tokio::select! {
                () = drained => {}
                () = tokio::time::sleep(app.config().daemon.drain_timeout) => {}
                () = hurry => {}
            }
        }
        app.stop();
        Ok(())
    })
}
