//! Loading plugins and running probes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use super::bindings::catamaran::health::types::{Endpoint, Request, Verdict};
use super::bindings::{FullCheck, FullCheckPre};
use super::budget::{Budget, Share};
use super::course::{Course, Facts};
use super::guest::{Guest, Level, Reach};
use super::imports;
use super::lanes::{Crossing, Lanes, Paced, Resumed};
use super::limits::{CROSSING, Fence, Refused, TEXT, engine_config, guest_memory};
use super::line::{Line, Recorder, Stage};
use super::precompiled;
use super::runner::Runner;
use super::ticker::Ticker;
use super::tls::TlsClient;
use super::wasi;
use crate::pure::exchange::file::Exchange;
use crate::pure::exchange::recording::Heard;
use crate::pure::health::{Cause, Finding};

/// Compiles plugins and keeps what their probes share.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    cache: Option<PathBuf>,
}

struct Shared {
    engine: Engine,
    linker: Linker<Guest>,
    ticker: Ticker,
    runner: Runner,
    crossing: Arc<Crossing>,
    budget: Arc<Budget>,
}

/// A plugin, compiled and linked; cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    shared: Arc<Shared>,
    ready: FullCheckPre<Guest>,
    memory: u64,
    lanes: Arc<Lanes>,
    share: Arc<Share>,
}

/// One probe, asked for.
#[derive(Clone)]
pub struct ProbeRequest {
    /// The endpoint's name in the document.
    pub name: String,
    /// Where to probe.
    pub address: SocketAddr,
    /// For `Host` and TLS; `None` is the address.
    pub server_name: Option<String>,
    /// TLS on every connection.
    pub tls: Option<Arc<TlsClient>>,
    /// JSON text for the plugin.
    pub config: String,
    /// Time for the whole probe.
    pub timeout: Duration,
}

/// One probe, done.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// How it ended.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
    /// Of that, the opening of its newest connection; none where that failed.
    pub connect: Option<Duration>,
    /// Of that, the TLS handshake on the newest connection.
    pub handshake: Option<Duration>,
    /// What the plugin logged, at most 16 lines of at most 1,024 bytes.
    pub log: Vec<(Level, String)>,
    /// Log lines beyond that.
    pub dropped: u32,
    /// Bytes of memory that the instance had in the end.
    pub memory: usize,
}

impl Host {
    /// An engine without plugins. Compiled plugins are kept in `cache` when it
    /// is a folder that nobody else can write; all running instances together
    /// get at most `memory` bytes.
    ///
    /// # Errors
    /// When the kernel has no memory or thread for it.
    pub fn new(cache: Option<PathBuf>, memory: u64) -> Result<Self, String> {
        let wrong = |error: wasmtime::Error| format!("cannot start the plugin host: {error:#}");
        let engine = Engine::new(&engine_config()).map_err(wrong)?;
        let mut linker = Linker::new(&engine);
        FullCheck::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest).map_err(wrong)?;
        wasi::add_to_linker(&mut linker).map_err(wrong)?;
        let no_thread = |error: io::Error| format!("cannot start the plugin host: {error}");
        let ticker = Ticker::start(engine.clone()).map_err(no_thread)?;
        let runner = Runner::start().map_err(no_thread)?;
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                linker,
                ticker,
                runner,
                crossing: Crossing::new(),
                budget: Budget::new(memory),
            }),
            cache,
        })
    }

    /// Compile a component, or take it from the cache; its instances get at
    /// most `memory` bytes.
    ///
    /// # Errors
    /// A sentence that says why it is not a plugin that can run here. `warn`
    /// is told when the cache cannot be used.
    pub fn load(&self, bytes: &[u8], memory: u64, warn: &mut dyn FnMut(String)) -> Result<Plugin, String> {
        let component = self.compile(bytes, warn)?;
        self.refuse_strange_imports(&component)?;
        let ready = self
            .shared
            .linker
            .instantiate_pre(&component)
            .and_then(FullCheckPre::new)
            .map_err(|error| format!("not a check plugin for this version: {error:#}"))?;
        Ok(Plugin {
            shared: self.shared.clone(),
            ready,
            memory,
            lanes: self.shared.crossing.lanes(),
            share: self.shared.budget.share(),
        })
    }

    fn compile(&self, bytes: &[u8], warn: &mut dyn FnMut(String)) -> Result<Component, String> {
        let engine = &self.shared.engine;
        let compile = || {
            Component::from_binary(engine, bytes).map_err(|error| {
                let what = if bytes.starts_with(b"\0asm") {
                    ""
                } else {
                    "not WebAssembly: "
                };
                format!("cannot compile the plugin: {what}{error:#}")
            })
        };
        match &self.cache {
            Some(folder) => precompiled::load(engine, folder, bytes, compile, warn),
            None => compile(),
        }
    }

    fn refuse_strange_imports(&self, component: &Component) -> Result<(), String> {
        let kind = component.component_type();
        let mut imports = kind.imports(&self.shared.engine);
        imports.try_for_each(|(name, _)| imports::grant(name).map(drop))
    }
}

impl Plugin {
    /// The same code with turns and room of its own, for another check:
    /// neither takes from the other what it would not take from any.
    pub fn apart(&self) -> Self {
        Self {
            lanes: self.shared.crossing.lanes(),
            share: self.shared.budget.share(),
            ..self.clone()
        }
    }

    /// Run one probe, on the thread for that. Every ending, also one by the plugin's own fault, is a
    /// finding; it takes at most the request's time-out and a few milliseconds.
    /// Where too many run already, or have all the memory, it waits for room
    /// first; that is not the endpoint's fault and not part of [`Probe::took`].
    pub async fn probe(&self, request: &ProbeRequest) -> Probe {
        self.probe_on(request, Line::default()).await
    }

    /// The same, and what was said on its connections.
    pub async fn probe_recorded(&self, request: &ProbeRequest) -> (Probe, Vec<Heard>) {
        let recorder = Recorder::default();
        let line = Line {
            recorder: Some(recorder.clone()),
            ..Line::default()
        };
        (self.probe_on(request, line).await, recorder.heard())
    }

    /// The same, with an exchange in the endpoint's place; nothing connects to
    /// anything. Also what was not as the exchange has it.
    pub async fn replay(&self, request: &ProbeRequest, exchange: &Exchange) -> (Probe, Vec<String>) {
        let stage = Stage::new(exchange);
        let line = Line {
            stage: Some(stage.clone()),
            ..Line::default()
        };
        (self.probe_on(request, line).await, stage.faults())
    }

    async fn probe_on(&self, request: &ProbeRequest, line: Line) -> Probe {
        let (plugin, request) = (self.clone(), request.clone());
        let probe = async move { plugin.probe_here(&request, line).await };
        self.shared.runner.run(probe).await
    }

    async fn probe_here(&self, request: &ProbeRequest, line: Line) -> Probe {
        let part = self.share.part(guest_memory(self.memory)).await;
        let began = Instant::now();
        let fence = Fence::new(self.memory, part);
        let reach = Reach {
            endpoint: request.address,
            server_name: request.server_name.clone(),
            tls: request.tls.clone(),
            line,
            course: Course::default(),
        };
        let guest = Guest::new(reach, fence);
        let mut store = Store::new(&self.shared.engine, guest);
        // Lists may share their bytes in the plugin's memory; copies do not.
        store.set_hostcall_fuel(guest_memory(self.memory).min(CROSSING));
        store.limiter(|guest| &mut guest.fence);
        store.set_epoch_deadline(1);
        let resumed = Resumed::default();
        let seen = resumed.clone();
        store.epoch_deadline_callback(move |_| {
            if !seen.is_long_ago() {
                return Ok(UpdateDeadline::Continue(1));
            }
            let others = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others))
        });
        let running = self.shared.ticker.running();
        let call = Paced::new(self.call(&mut store, request), self.lanes.clone(), resumed);
        let outcome = timeout(request.timeout, call).await;
        drop(running);
        let guest = store.data();
        let facts = guest.course().facts();
        let finding = match outcome {
            Ok(outcome) => finding(outcome, &facts, guest.fence.refused),
            Err(_) => denial(&facts).unwrap_or_else(|| {
                let limit = request.timeout;
                let doing = match facts.doing {
                    "" => "in the plugin",
                    doing => doing,
                };
                Finding {
                    cause: Cause::TimedOut,
                    detail: format!("no verdict within {limit:?}, {doing}"),
                }
            }),
        };
        let (log, dropped) = guest.log.take();
        Probe {
            finding,
            took: began.elapsed(),
            connect: facts.connect,
            handshake: facts.handshake,
            log,
            dropped,
            memory: guest.fence.used(),
        }
    }

    async fn call(
        &self,
        store: &mut Store<Guest>,
        request: &ProbeRequest,
    ) -> wasmtime::Result<Result<Verdict, String>> {
        let check = self.ready.instantiate_async(&mut *store).await?;
        let asked = Request {
            endpoint: Endpoint {
                name: request.name.clone(),
                address: request.address.ip().to_string(),
                port: request.address.port(),
                server_name: request.server_name.clone(),
                tls: request.tls.is_some(),
            },
            config: request.config.clone(),
            timeout_ms: u32::try_from(request.timeout.as_millis()).unwrap_or(u32::MAX),
        };
        check.call_check(store, &asked).await
    }
}

/// What a call that came to an end means.
fn finding(
    outcome: wasmtime::Result<Result<Verdict, String>>,
    facts: &Facts,
    refused: Option<Refused>,
) -> Finding {
    if let Some(denied) = denial(facts) {
        return denied;
    }
    let network = facts.last_failure.filter(|cause| *cause != Cause::Unhealthy);
    let (cause, detail) = match outcome {
        Ok(Ok(Verdict::Healthy(detail))) => (Cause::Healthy, detail),
        Ok(Ok(Verdict::Degraded(detail))) => (Cause::Degraded, detail),
        Ok(Ok(Verdict::Unhealthy(reason))) => (network.unwrap_or(Cause::Unhealthy), reason),
        // A plugin may pass the network's failure on as its own.
        Ok(Err(fault)) => (network.unwrap_or(Cause::BadPlugin), fault),
        Err(error) => match (refused, error.downcast_ref::<Trap>()) {
            (Some(refused), _) => (Cause::MemoryLimit, refused.to_string()),
            (None, Some(Trap::UnreachableCodeReached)) => (
                Cause::Trapped,
                "the plugin stopped at an unreachable instruction, as a panic does".into(),
            ),
            (None, Some(trap)) => (Cause::Trapped, trap.to_string()),
            // What is around it is where in the plugin's code that was.
            (None, None) => (Cause::BadPlugin, error.root_cause().to_string()),
        },
    };
    Finding {
        cause,
        detail: one_line(&detail),
    }
}

fn denial(facts: &Facts) -> Option<Finding> {
    let what = facts.denied.as_ref()?;
    Some(Finding {
        cause: Cause::Denied,
        detail: one_line(what),
    })
}

/// A plugin's text made fit for a log: one line, bounded, and nothing in it
/// that a terminal obeys.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for letter in text.trim().chars() {
        let piece = if letter.is_control() || turns_text(letter) {
            letter.escape_unicode().to_string()
        } else {
            letter.to_string()
        };
        if line.len() + piece.len() > TEXT {
            break;
        }
        line.push_str(&piece);
    }
    line
}

/// Whether the letter makes what follows read in another direction (UAX #9),
/// or begins a line without being a control character.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_plugin_becomes_one_bounded_line() {
        assert_eq!(one_line(" a\nb\x1b[31m\u{202e} "), "a\\u{a}b\\u{1b}[31m\\u{202e}");
        assert_eq!(one_line(&"ä".repeat(2000)).len(), TEXT);
    }
}
