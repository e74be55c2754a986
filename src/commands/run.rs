//! `catamaran run`: the daemon.

use std::future::pending;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use super::admin::Admin;
use super::check::warnings;
use crate::app::App;
use crate::pure::config::units::Time;
use crate::pure::config::{Config, Node};
use crate::shell::admin::AdminSocket;
use crate::shell::document;
use crate::shell::service_manager::{News, ServiceManager};
use crate::shell::telemetry::{Format, Telemetry};

/// Beyond handing over and draining: a process takes a moment to end.
const TO_END: Duration = Duration::from_secs(5);

/// Balance connections and hold virtual addresses as a document says, until SIGTERM or SIGINT.
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
    let config = match super::load(&source) {
        Ok(checked) => {
            eprint!("{}", warnings(&source, &checked.warnings));
            checked.config
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
        .and_then(|_telemetry| serve(&config, node, &args));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
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
fn administer(app: &App, admin: &Admin) -> Result<(), String> {
    match AdminSocket::bind(&admin.place()) {
        Ok(socket) => {
            // Ends with the runtime.
            tokio::spawn(socket.serve(app.answer()));
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

fn serve(config: &Config, node: Option<&Node>, args: &Args) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let signals = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        let mut terminate = signals(SignalKind::terminate())?;
        let mut interrupt = signals(SignalKind::interrupt())?;
        let manager = ServiceManager::of_environment()
            .map_err(|error| format!("cannot reach the service manager at NOTIFY_SOCKET: {error}"))?;
        let manager = Arc::new(manager);
        let mut app = App::start(config, node)?;
        administer(&app, &args.admin)?;
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
            pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            () = told() => {}
        }
        manager.tell(&News::Stopping(time_to_stop(config, args)));
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
                () = tokio::time::sleep(config.daemon.drain_timeout) => {}
                () = hurry => {}
            }
        }
        app.stop();
        Ok(())
    })
}
