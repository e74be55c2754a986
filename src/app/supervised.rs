//! A pool with what is believed of its endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::pure::balancer::{Algorithm, Candidate, Snapshot, identity};
use crate::pure::config::{Endpoint, OnDown, Pool as Settings, WhenNoneReady, Wish};
use crate::shell::forward::proxy::{self, Budget, Pool, PoolSettings, View};

/// A pool, the beliefs about its endpoints, and the rule from these to what
/// the cores are told.
pub struct Supervised {
    pool: Arc<Pool>,
    rule: Rule,
    standings: Mutex<Vec<Standing>>,
    /// By the index of each endpoint that is probed: when the last probe began
    /// whose finding has counted.
    counted: watch::Sender<HashMap<usize, Option<Instant>>>,
}

/// What is believed of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not probed yet.
    Unknown,
    /// Believed healthy, or without a check.
    Up,
    /// Believed unhealthy.
    Down,
}

/// How beliefs become readiness.
struct Rule {
    algorithm: Algorithm,
    endpoints: Vec<Candidate>,
    wishes: Vec<Wish>,
    on_down: OnDown,
    when_none_ready: WhenNoneReady,
}

impl Supervised {
    /// A pool as the document has it; endpoints with a check are unknown.
    pub fn new(settings: &Settings) -> Self {
        let rule = Rule::new(settings);
        let first = if settings.check.is_some() {
            Standing::Unknown
        } else {
            Standing::Up
        };
        let standings = vec![first; settings.endpoints.len()];
        let is_probed = |endpoint: &Endpoint| settings.check.is_some() && endpoint.state != Wish::Disabled;
        let endpoints = settings.endpoints.iter().enumerate();
        let probed = endpoints.filter(|(_, endpoint)| is_probed(endpoint));
        let counted = probed.map(|(index, _)| (index, None)).collect();
        let endpoint = |endpoint: &Endpoint| proxy::Endpoint {
            name: endpoint.name.clone(),
            address: endpoint.address,
            budget: Budget::new(endpoint.max_connections),
        };
        let pool = Pool::new(
            settings.name.clone(),
            settings.endpoints.iter().map(endpoint).collect(),
            PoolSettings {
                connect_timeout: settings.connect_timeout,
                retries: settings.retries,
                when_none_ready: settings.when_none_ready,
                tcp: settings.tcp,
            },
            rule.view(&standings),
        );
        Self {
            pool: Arc::new(pool),
            rule,
            standings: Mutex::new(standings),
            counted: watch::Sender::new(counted),
        }
    }

    /// The pool as the cores share it.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// A new belief about the endpoint at `index`; the cores know it at once.
    /// Returns how many endpoints are ready now.
    pub fn believe(&self, index: usize, standing: Standing) -> usize {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings[index] = standing;
        self.pool.publish(self.rule.view(&standings));
        self.rule.ready(&standings).filter(|ready| *ready).count()
    }

    /// By endpoint: the operator's wish, what is believed, and whether it takes
    /// connections.
    pub fn standings(&self) -> Vec<(Wish, Standing, bool)> {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = self.rule.ready(&standings);
        let wishes = self.rule.wishes.iter().copied();
        wishes
            .zip(standings.iter().copied())
            .zip(ready)
            .map(|((wish, standing), ready)| (wish, standing, ready))
            .collect()
    }

    /// A probe of the endpoint at `index` that began then is believed, as far as
    /// one probe is.
    pub fn count(&self, index: usize, began: Instant) {
        self.counted.send_modify(|counted| {
            counted.insert(index, Some(began));
        });
    }

    /// Wait until each endpoint that is probed at all has been probed after `then`.
    pub async fn probed_since(&self, then: Instant) {
        let since = |began: &Option<Instant>| began.is_some_and(|began| began >= then);
        let all = |counted: &HashMap<_, _>| counted.values().all(since);
        // The sender lives as long as we do.
        let _ = self.counted.subscribe().wait_for(all).await;
    }
}

impl Rule {
    fn new(settings: &Settings) -> Self {
        let candidate = |endpoint: &Endpoint| Candidate {
            weight: endpoint.weight,
            backup: endpoint.backup,
            ready: false,
            identity: identity(endpoint.address),
        };
        Self {
            algorithm: settings.balance,
            endpoints: settings.endpoints.iter().map(candidate).collect(),
            wishes: settings.endpoints.iter().map(|endpoint| endpoint.state).collect(),
            on_down: settings.on_down,
            when_none_ready: settings.when_none_ready,
        }
    }

    fn ready<'a>(&'a self, standings: &'a [Standing]) -> impl Iterator<Item = bool> + 'a {
        standings
            .iter()
            .zip(&self.wishes)
            .map(|(&standing, &wish)| wish == Wish::Enabled && standing == Standing::Up)
    }

    fn view(&self, standings: &[Standing]) -> View {
        let mut ready: Vec<bool> = self.ready(standings).collect();
        if self.when_none_ready == WhenNoneReady::TryAll && !ready.contains(&true) {
            ready = self.wishes.iter().map(|&wish| wish == Wish::Enabled).collect();
        }
        let reset = |(&standing, &wish): (&Standing, &Wish)| {
            wish == Wish::Disabled || standing == Standing::Down && self.on_down == OnDown::Reset
        };
        let candidates: Vec<Candidate> = self
            .endpoints
            .iter()
            .zip(&ready)
            .map(|(&endpoint, &ready)| Candidate { ready, ..endpoint })
            .collect();
        View {
            snapshot: Snapshot::new(self.algorithm, &candidates),
            // A connection that "try-all" made to an endpoint believed down is left alone.
            reset: standings
                .iter()
                .zip(&self.wishes)
                .map(reset)
                .zip(&ready)
                .map(|(reset, ready)| reset && !ready)
                .collect(),
        }
    }
}
