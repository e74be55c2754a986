//! A pool with what is believed of its endpoints.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::probing::Subject;
use crate::pure::balancer::{Algorithm, Candidate, Snapshot, identity};
use crate::pure::config::{Endpoint, OnDown, Pool as Settings, WhenNoneReady, Wish};
use crate::pure::health::Belief;
use crate::shell::forward::proxy::{self, Budget, Order, Pool, PoolSettings, Resets, View};

/// A pool, its endpoints with the beliefs about them, and the rule from these
/// to what the cores are told.
pub struct Supervised {
    pool: Arc<Pool>,
    now: Mutex<Membership>,
}

/// Who belongs to a pool by a document, and how their readiness is judged.
pub struct Membership {
    rule: Rule,
    settings: PoolSettings,
    /// In document order.
    members: Vec<Arc<Member>>,
}

/// An endpoint of a pool. It is the same one for as long as documents have it.
pub struct Member {
    endpoint: Arc<proxy::Endpoint>,
    standing: Mutex<Standing>,
    /// When the last probe began whose finding has counted.
    counted: watch::Sender<Option<Instant>>,
    probed: Mutex<Option<Probed>>,
}

/// The task that probes an endpoint, and how it is told what to probe.
pub struct Probed {
    /// What it probes.
    pub subject: watch::Sender<Arc<Subject>>,
    /// Ends it.
    pub task: AbortHandle,
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

impl Standing {
    /// What a health core is to start with.
    pub fn belief(self) -> Belief {
        match self {
            Self::Unknown => Belief::Unknown,
            Self::Up => Belief::Up,
            Self::Down => Belief::Down,
        }
    }
}

/// How beliefs become readiness.
struct Rule {
    algorithm: Algorithm,
    endpoints: Vec<Candidate>,
    wishes: Vec<Wish>,
    on_down: OnDown,
    when_none_ready: WhenNoneReady,
}

impl Member {
    /// One that nothing is known of; `checked`: probes will tell.
    fn new(endpoint: &Endpoint, checked: bool) -> Self {
        Self {
            endpoint: Arc::new(proxy::Endpoint {
                name: endpoint.name.clone(),
                address: endpoint.address,
                budget: Budget::new(endpoint.max_connections),
                order: Order::default(),
            }),
            standing: Mutex::new(if checked { Standing::Unknown } else { Standing::Up }),
            counted: watch::Sender::new(None),
            probed: Mutex::new(None),
        }
    }

    /// The endpoint as the cores share it.
    pub fn endpoint(&self) -> &Arc<proxy::Endpoint> {
        &self.endpoint
    }

    /// What is believed.
    pub fn standing(&self) -> Standing {
        *lock(&self.standing)
    }

    /// To be believed from the next view on.
    pub fn set_standing(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }

    /// The task that probes it, if there is one.
    pub fn probed(&self) -> MutexGuard<'_, Option<Probed>> {
        lock(&self.probed)
    }

    /// A probe that began then is believed, as far as one probe is.
    pub fn count(&self, began: Instant) {
        self.counted.send_replace(Some(began));
    }

    /// Wait until it has been probed after `then`, if it is probed at all.
    pub async fn probed_since(&self, then: Instant) {
        if self.probed().is_none() {
            return;
        }
        let since = |began: &Option<Instant>| began.is_some_and(|began| began >= then);
        // The sender lives as long as we do.
        let _ = self.counted.subscribe().wait_for(since).await;
    }
}

impl Supervised {
    /// A pool as the document has it; endpoints with a check are unknown.
    pub fn new(settings: &Settings, resets: Resets) -> Self {
        let membership = Membership::new(settings, &[]);
        Self {
            pool: Arc::new(Pool::new(settings.name.clone(), membership.view(), resets)),
            now: Mutex::new(membership),
        }
    }

    /// The pool as the cores share it.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Its endpoints, in document order.
    pub fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.now).members.clone()
    }

    /// Some of them are probed.
    pub fn is_probed(&self) -> bool {
        self.members().iter().any(|member| member.probed().is_some())
    }

    /// Whom it would have by another document: those that stay, and new ones.
    pub fn membership(&self, settings: &Settings) -> Membership {
        Membership::new(settings, &self.members())
    }

    /// Have these members from now on; the cores know it at once. Returns those
    /// that left.
    pub fn adopt(&self, membership: Membership) -> Vec<Arc<Member>> {
        let mut now = lock(&self.now);
        let former = std::mem::replace(&mut *now, membership);
        self.pool.publish(now.view());
        let left = |member: &Arc<Member>| !now.members.iter().any(|stays| Arc::ptr_eq(stays, member));
        former.members.into_iter().filter(left).collect()
    }

    /// A new belief about an endpoint; the cores know it at once. Returns how
    /// many endpoints are ready now.
    pub fn believe(&self, member: &Member, standing: Standing) -> usize {
        let now = lock(&self.now);
        member.set_standing(standing);
        self.pool.publish(now.view());
        now.rule.ready(&now.standings()).filter(|ready| *ready).count()
    }

    /// By endpoint: the operator's wish, what is believed, and whether it takes
    /// connections.
    pub fn standings(&self) -> Vec<(Arc<Member>, Wish, Standing, bool)> {
        let now = lock(&self.now);
        let standings = now.standings();
        let ready = now.rule.ready(&standings);
        let members = now.members.iter().zip(&now.rule.wishes);
        members
            .zip(standings.iter())
            .zip(ready)
            .map(|(((member, wish), standing), ready)| (member.clone(), *wish, *standing, ready))
            .collect()
    }

    /// Wait until each endpoint that is probed at all has been probed after `then`.
    pub async fn probed_since(&self, then: Instant) {
        for member in self.members() {
            member.probed_since(then).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Membership {
    fn new(settings: &Settings, former: &[Arc<Member>]) -> Self {
        let member = |endpoint: &Endpoint| {
            let mut former = former.iter();
            // As `pure::config::stays` has it.
            let same = former.find(|member| {
                member.endpoint.name == endpoint.name && member.endpoint.address == endpoint.address
            });
            match same {
                Some(member) => member.clone(),
                None => Arc::new(Member::new(endpoint, settings.check.is_some())),
            }
        };
        Self {
            rule: Rule::new(settings),
            settings: PoolSettings {
                connect_timeout: settings.connect_timeout,
                retries: settings.retries,
                when_none_ready: settings.when_none_ready,
                tcp: settings.tcp,
            },
            members: settings.endpoints.iter().map(member).collect(),
        }
    }

    /// In document order.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    fn standings(&self) -> Vec<Standing> {
        self.members.iter().map(|member| member.standing()).collect()
    }

    fn view(&self) -> View {
        let endpoints = self.members.iter().map(|member| member.endpoint.clone());
        let (snapshot, reset) = self.rule.judge(&self.standings());
        View {
            snapshot,
            reset,
            endpoints: endpoints.collect(),
            settings: self.settings.clone(),
        }
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

    /// Who takes connections, and whose connections are to be reset.
    fn judge(&self, standings: &[Standing]) -> (Snapshot, Vec<bool>) {
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
        // A connection that "try-all" made to an endpoint believed down is left alone.
        let reset = standings.iter().zip(&self.wishes).map(reset).zip(&ready);
        (
            Snapshot::new(self.algorithm, &candidates),
            reset.map(|(reset, ready)| reset && !ready).collect(),
        )
    }
}
