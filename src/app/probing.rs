//! Health tasks: each endpoint's health core, fed by its check's plugin.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::supervised::{Standing, Supervised};
use crate::pure::balancer::identity;
use crate::pure::config::{Check, CheckId, Config, Endpoint, PluginSource, Wish};
use crate::pure::health::{Belief, EndpointHealth, Finding, Input, Output, Parameters};
use crate::shell::plugin_store;
use crate::shell::wasm::{Host, Level, Plugin, Probe, ProbeRequest, TlsClient};

/// The checks of a document, compiled and ready to probe.
pub struct Probing {
    checks: Vec<Loaded>,
}

/// A check with its plugin.
#[derive(Clone)]
pub struct Loaded {
    check: Arc<Check>,
    plugin: Plugin,
    tls: Option<Arc<TlsClient>>,
}

impl Probing {
    /// Load the plugin of every check.
    ///
    /// # Errors
    /// A sentence that names the check and what it lacks.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut plugins = HashMap::new();
        let host = Host::new(config.daemon.plugin_cache.clone())?;
        let checks = config.checks.iter().map(|check| {
            Loaded::new(&host, check, &mut plugins).map_err(|why| format!("check {}: {why}", check.name))
        });
        Ok(Self {
            checks: checks.collect::<Result<_, _>>()?,
        })
    }

    /// The check at `id`.
    pub fn check(&self, id: CheckId) -> &Loaded {
        &self.checks[id.0]
    }

    /// Start a task for each endpoint that has a check and is not disabled.
    pub fn start(&self, config: &Config, pools: &[Arc<Supervised>], tasks: &mut JoinSet<()>) {
        for (settings, pool) in config.pools.iter().zip(pools) {
            let Some(check) = settings.check else { continue };
            for (index, endpoint) in settings.endpoints.iter().enumerate() {
                if endpoint.state != Wish::Disabled {
                    let place = Place {
                        pool: pool.clone(),
                        index,
                        endpoint: endpoint.name.clone(),
                    };
                    tasks.spawn(follow(self.check(check).clone(), endpoint.clone(), place));
                }
            }
        }
    }
}

/// Plugins that are loaded already, by source and memory.
type Plugins = HashMap<(PluginSource, u64), Plugin>;

impl Loaded {
    /// Load one check; a plugin that several checks share is compiled once.
    fn new(host: &Host, check: &Check, plugins: &mut Plugins) -> Result<Self, String> {
        let key = (check.plugin.clone(), check.memory);
        let plugin = match plugins.get(&key) {
            Some(plugin) => plugin.clone(),
            None => {
                let bytes = match &check.plugin {
                    PluginSource::Standard(name) => plugin_store::read_standard(name).map(Cow::Borrowed),
                    PluginSource::File { path, sha256 } => {
                        plugin_store::read_file(path, sha256.as_ref()).map(Cow::Owned)
                    }
                }
                .map_err(|error| error.to_string())?;
                let plugin = host.load(&bytes, check.memory, &mut |warning| tracing::warn!("{warning}"))?;
                plugins.insert(key, plugin.clone());
                plugin
            }
        };
        let tls = check.tls.as_ref().map(TlsClient::new).transpose()?.map(Arc::new);
        if tls.as_ref().is_some_and(|tls| !tls.verified()) {
            tracing::warn!(
                check = check.name,
                "certificates of endpoints are not verified (tls.verify = false)"
            );
        }
        Ok(Self {
            check: Arc::new(check.clone()),
            plugin,
            tls,
        })
    }

    /// Probe an endpoint once.
    pub async fn probe(&self, endpoint: &Endpoint) -> Probe {
        let check = &self.check;
        let request = ProbeRequest {
            name: endpoint.name.clone(),
            address: endpoint.probe_address,
            server_name: check.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            tls: self.tls.clone(),
            config: check.config.clone(),
            timeout: check.timeout,
        };
        self.plugin.probe(&request).await
    }
}

/// Where an endpoint stands in its pool.
struct Place {
    pool: Arc<Supervised>,
    index: usize,
    endpoint: String,
}

/// A probe in flight.
struct InFlight<'a> {
    began: Instant,
    probe: Pin<Box<dyn Future<Output = Probe> + Send + 'a>>,
}

/// Who is told of an endpoint's probes and of what is believed after them.
pub trait Observer {
    /// A probe came to an end.
    fn probed(&self, probe: &Probe);
    /// The belief changed, after so many findings like `why` in a row.
    fn changed(&self, from: Belief, to: Belief, why: &Finding, after: u8);
    /// What came of a probe that began then is believed, as far as one probe is.
    fn counted(&self, began: Instant);
}

/// Drive one endpoint's health core for as long as the daemon runs.
pub async fn follow(check: Loaded, endpoint: Endpoint, observer: impl Observer) {
    let parameters = Parameters {
        interval: check.check.interval,
        fast_interval: check.check.fast_interval,
        down_interval: check.check.down_interval,
        rise: check.check.rise,
        fall: check.check.fall,
    };
    let seed = identity(endpoint.probe_address) ^ u64::from(std::process::id());
    let mut health = EndpointHealth::new(parameters, seed, Instant::now().into_std());
    let mut probe: Option<InFlight<'_>> = None;
    loop {
        let due = health.deadline().map(Instant::from_std);
        let input = tokio::select! {
            probe = in_flight(&mut probe) => {
                observer.probed(&probe);
                Input::Found(probe.finding)
            }
            () = until(due) => Input::TimerDue,
        };
        let over = match input {
            Input::Found(_) => probe.take(),
            Input::TimerDue => None,
        };
        for output in health.handle(Instant::now().into_std(), input) {
            match output {
                Output::StartProbe => {
                    probe = Some(InFlight {
                        began: Instant::now(),
                        probe: Box::pin(check.probe(&endpoint)),
                    });
                }
                Output::Changed { from, to, why, after } => observer.changed(from, to, &why, after),
            }
        }
        if let Some(over) = over {
            observer.counted(over.began);
        }
    }
}

async fn in_flight(probe: &mut Option<InFlight<'_>>) -> Probe {
    match probe {
        Some(in_flight) => in_flight.probe.as_mut().await,
        None => pending().await,
    }
}

/// Wait for a moment, or for ever where there is none.
pub async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

impl Observer for Place {
    /// Hand on what the plugin logged, and at debug level the finding itself.
    fn probed(&self, probe: &Probe) {
        let (pool, endpoint) = (&self.pool.pool().name, &self.endpoint);
        for (level, text) in &probe.log {
            match level {
                Level::Debug => tracing::debug!(pool, endpoint, text, "plugin"),
                Level::Info => tracing::info!(pool, endpoint, text, "plugin"),
                Level::Warn => tracing::warn!(pool, endpoint, text, "plugin"),
                Level::Error => tracing::error!(pool, endpoint, text, "plugin"),
            }
        }
        if probe.dropped > 0 {
            tracing::warn!(
                pool,
                endpoint,
                lines = probe.dropped,
                "the plugin logs too much; lines were dropped"
            );
        }
        let (cause, detail) = (probe.finding.cause.word(), &probe.finding.detail);
        tracing::debug!(pool, endpoint, cause, detail, took = ?probe.took, "probe");
    }

    /// Tell the cores first, people second.
    fn changed(&self, from: Belief, to: Belief, why: &Finding, after: u8) {
        let standing = if to == Belief::Up {
            Standing::Up
        } else {
            Standing::Down
        };
        let ready = self.pool.believe(self.index, standing);
        let (pool, endpoint) = (&self.pool.pool().name, &self.endpoint);
        let (from, cause, detail) = (from.to_string(), why.cause.word(), &why.detail);
        match standing {
            Standing::Up => {
                tracing::info!(
                    pool,
                    endpoint,
                    from,
                    cause,
                    detail,
                    probes = after,
                    ready,
                    "endpoint is up"
                );
            }
            Standing::Down | Standing::Unknown => {
                tracing::warn!(
                    pool,
                    endpoint,
                    from,
                    cause,
                    detail,
                    probes = after,
                    ready,
                    "endpoint is down"
                );
            }
        }
        if ready == 0 {
            tracing::error!(pool, "no endpoint is ready");
        }
    }

    fn counted(&self, began: Instant) {
        self.pool.count(self.index, began);
    }
}
