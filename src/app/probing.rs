//! Health tasks: each endpoint's health core, fed by its check's plugin.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::log_rate::LogRate;
use super::supervised::{Member, Probed, Standing, Supervised};
use crate::pure::balancer::identity;
use crate::pure::config::{Check, CheckId, Config, Endpoint, Pool, Wish};
use crate::pure::digest::sha256;
use crate::pure::exchange::recording::Heard;
use crate::pure::health::{Belief, EndpointHealth, Finding, Input, Output, Parameters};
use crate::shell::plugin_store::Available;
use crate::shell::wasm::{Host, Level, Plugin, Probe, ProbeRequest, TlsClient};

/// The checks of a document, compiled and ready to probe.
#[derive(Clone)]
pub struct Probing {
    host: Host,
    checks: Vec<Loaded>,
    plugins: Plugins,
}

/// A check with its plugin.
#[derive(Clone)]
pub struct Loaded {
    check: Arc<Check>,
    plugin: Plugin,
    tls: Option<Arc<TlsClient>>,
    /// A digest of the plugin, whatever it is called.
    digest: String,
    log_rate: Arc<LogRate>,
}

/// An endpoint and how it is probed.
pub struct Subject {
    /// The check.
    pub check: Loaded,
    /// The endpoint.
    pub endpoint: Endpoint,
}

impl Probing {
    /// Load the plugin of every check, from where it is available.
    ///
    /// # Errors
    /// A sentence that names the check and what it lacks.
    pub fn new(config: &Config, available: &Available) -> Result<Self, String> {
        let empty = Self {
            host: Host::new(config.daemon.plugin_cache.clone(), config.daemon.plugin_memory)?,
            checks: Vec::new(),
            plugins: Plugins::new(),
        };
        empty.renewed(config, available)
    }

    /// The checks of another document, or the same ones with what their files
    /// have in them now. What is compiled already is used again.
    ///
    /// # Errors
    /// As [`Probing::new`].
    pub fn renewed(&self, config: &Config, available: &Available) -> Result<Self, String> {
        let mut plugins = Plugins::new();
        let mut checks: Vec<Loaded> = Vec::new();
        for check in &config.checks {
            let loaded = Loaded::new(&self.host, check, available, &self.plugins, &mut plugins)
                .map_err(|why| format!("check {}: {why}", check.name))?;
            if !self.checks.iter().any(|known| known.is(&loaded)) {
                loaded.warn();
            }
            checks.push(loaded);
        }
        Ok(Self {
            host: self.host.clone(),
            checks,
            plugins,
        })
    }

    /// The check at `id`.
    pub fn check(&self, id: CheckId) -> &Loaded {
        &self.checks[id.0]
    }

    /// Those whose files have other things in them than in `former`, though the
    /// document says the same.
    pub fn with_other_files(&self, former: &Self) -> Vec<&str> {
        let is_other = |now: &&Loaded| {
            let mut former = former.checks.iter();
            former.any(|was| was.check == now.check && !was.is(now))
        };
        let others = self.checks.iter().filter(is_other);
        others.map(|loaded| loaded.check.name.as_str()).collect()
    }

    /// Have an endpoint probed as its pool wants it, or not at all; what is
    /// believed of it stays until probes say otherwise.
    pub fn attend(
        &self,
        pool: &Arc<Supervised>,
        settings: &Pool,
        endpoint: &Endpoint,
        member: &Arc<Member>,
        tasks: &mut JoinSet<()>,
    ) {
        let check = settings.check.filter(|_| endpoint.state != Wish::Disabled);
        let Some(check) = check else {
            leave(member);
            member.set_standing(match settings.check {
                Some(_) => Standing::Unknown,
                None => Standing::Up,
            });
            return;
        };
        let subject = Arc::new(Subject {
            check: self.check(check).clone(),
            endpoint: endpoint.clone(),
        });
        let mut probed = member.probed();
        if let Some(probed) = &*probed {
            probed.subject.send_if_modified(|now| {
                let is_other = !now.is(&subject);
                if is_other {
                    *now = subject;
                }
                is_other
            });
            return;
        }
        let (subject, subjects) = watch::channel(subject);
        let place = Place {
            pool: pool.clone(),
            member: member.clone(),
        };
        let task = tasks.spawn(follow(subjects, member.standing().belief(), place));
        *probed = Some(Probed { subject, task });
    }
}

/// Probe an endpoint no more.
pub fn leave(member: &Member) {
    if let Some(probed) = member.probed().take() {
        probed.task.abort();
    }
}

impl Subject {
    /// Whether both come to the same probes.
    fn is(&self, other: &Self) -> bool {
        self.check.is(&other.check) && self.endpoint.probe_address == other.endpoint.probe_address
    }

    fn parameters(&self) -> Parameters {
        let check = &self.check.check;
        Parameters {
            interval: check.interval,
            fast_interval: check.fast_interval,
            down_interval: check.down_interval,
            rise: check.rise,
            fall: check.fall,
        }
    }
}

/// Plugins that are loaded already, by what they are and their memory.
type Plugins = HashMap<(String, u64), Plugin>;

impl Loaded {
    /// Load one check; a plugin that several checks share is compiled once, and
    /// not at all where it was compiled for `former`.
    fn new(
        host: &Host,
        check: &Check,
        available: &Available,
        former: &Plugins,
        plugins: &mut Plugins,
    ) -> Result<Self, String> {
        let bytes = available
            .bytes(&check.plugin)
            .map_err(|error| error.to_string())?;
        let digest = sha256(&bytes).to_string();
        let key = (digest.clone(), check.memory);
        let plugin = match plugins.get(&key).or(former.get(&key)) {
            Some(plugin) => plugin.apart(),
            None => host.load(&bytes, check.memory, &mut |warning| tracing::warn!("{warning}"))?,
        };
        plugins.insert(key, plugin.clone());
        Ok(Self {
            check: Arc::new(check.clone()),
            plugin,
            tls: check.tls.as_ref().map(TlsClient::new).transpose()?.map(Arc::new),
            digest,
            log_rate: Arc::default(),
        })
    }

    /// Whether both probe in the same way.
    fn is(&self, other: &Self) -> bool {
        let files = |of: &Self| of.tls.as_ref().map(|tls| tls.files().to_string());
        self.check == other.check && self.digest == other.digest && files(self) == files(other)
    }

    fn warn(&self) {
        if self.tls.as_ref().is_some_and(|tls| !tls.verified()) {
            tracing::warn!(
                check = self.check.name,
                "certificates of endpoints are not verified (tls.verify = false)"
            );
        }
    }

    /// How many of a probe's lines may be logged; what is dropped is said here.
    fn may_log(&self, probe: &Probe) -> usize {
        let lines = probe.log.iter().filter(|(level, _)| is_shown(*level)).count();
        let now = Instant::now().into_std();
        let allowed = self.log_rate.allow(now, lines, probe.dropped);
        let check = &self.check.name;
        if allowed.dropped_before > 0 {
            tracing::warn!(
                check,
                lines = allowed.dropped_before,
                "lines of the plugin were dropped"
            );
        }
        if allowed.full {
            tracing::warn!(
                check,
                "the plugin logs too much; further lines are dropped and counted"
            );
        }
        allowed.lines
    }

    /// Probe an endpoint once.
    pub async fn probe(&self, endpoint: &Endpoint) -> Probe {
        self.plugin.probe(&self.request(endpoint)).await
    }

    /// The same, and what was said on its connections.
    pub async fn probe_recorded(&self, endpoint: &Endpoint) -> (Probe, Vec<Heard>) {
        self.plugin.probe_recorded(&self.request(endpoint)).await
    }

    fn request(&self, endpoint: &Endpoint) -> ProbeRequest {
        let check = &self.check;
        ProbeRequest {
            name: endpoint.name.clone(),
            address: endpoint.probe_address,
            server_name: check.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            tls: self.tls.clone(),
            config: check.config.clone(),
            timeout: check.timeout,
        }
    }
}

/// Whether anybody gets to see such a line; others need no allowance.
fn is_shown(level: Level) -> bool {
    match level {
        Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(tracing::Level::INFO),
        Level::Warn => tracing::enabled!(tracing::Level::WARN),
        Level::Error => tracing::enabled!(tracing::Level::ERROR),
    }
}

/// An endpoint in its pool.
struct Place {
    pool: Arc<Supervised>,
    member: Arc<Member>,
}

/// A probe in flight.
struct InFlight {
    began: Instant,
    probe: Pin<Box<dyn Future<Output = Probe> + Send>>,
}

/// Who is told of an endpoint's probes and of what is believed after them.
pub trait Observer {
    /// A probe of this check came to an end.
    fn probed(&self, check: &Loaded, probe: &Probe);
    /// The belief changed, after so many findings like `why` in a row.
    fn changed(&self, from: Belief, to: Belief, why: &Finding, after: u8);
    /// What came of a probe that began then is believed, as far as one probe is.
    fn counted(&self, began: Instant);
}

/// Drive one endpoint's health core for as long as somebody says what to probe.
/// Another subject is probed soon; `belief` holds until probes speak against it.
pub async fn follow(mut subjects: watch::Receiver<Arc<Subject>>, belief: Belief, observer: impl Observer) {
    let mut subject = subjects.borrow_and_update().clone();
    let seed = identity(subject.endpoint.probe_address) ^ u64::from(std::process::id());
    let mut health =
        EndpointHealth::new(subject.parameters(), seed, Instant::now().into_std()).believing(belief);
    let mut probe: Option<InFlight> = None;
    loop {
        let due = health.deadline().map(Instant::from_std);
        let input = tokio::select! {
            probe = in_flight(&mut probe) => {
                observer.probed(&subject.check, &probe);
                Input::Found(probe.finding)
            }
            changed = subjects.changed() => {
                if changed.is_err() {
                    return;
                }
                subject = subjects.borrow_and_update().clone();
                Input::ParametersChanged(subject.parameters())
            }
            () = until(due) => Input::TimerDue,
        };
        let over = match input {
            Input::Found(_) => probe.take(),
            Input::ParametersChanged(_) => {
                probe = None;
                None
            }
            Input::TimerDue => None,
        };
        for output in health.handle(Instant::now().into_std(), input) {
            match output {
                Output::StartProbe => {
                    let subject = subject.clone();
                    probe = Some(InFlight {
                        began: Instant::now(),
                        probe: Box::pin(async move { subject.check.probe(&subject.endpoint).await }),
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

async fn in_flight(probe: &mut Option<InFlight>) -> Probe {
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
    fn probed(&self, check: &Loaded, probe: &Probe) {
        let (pool, endpoint) = (&self.pool.pool().name, &self.member.endpoint().name);
        let shown = probe.log.iter().filter(|(level, _)| is_shown(*level));
        for (level, text) in shown.take(check.may_log(probe)) {
            match level {
                Level::Debug => tracing::debug!(pool, endpoint, text, "plugin"),
                Level::Info => tracing::info!(pool, endpoint, text, "plugin"),
                Level::Warn => tracing::warn!(pool, endpoint, text, "plugin"),
                Level::Error => tracing::error!(pool, endpoint, text, "plugin"),
            }
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
        let ready = self.pool.believe(&self.member, standing);
        let (pool, endpoint) = (&self.pool.pool().name, &self.member.endpoint().name);
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
        self.member.count(began);
    }
}
