//! From one document to another while connections go on.
//!
//! ```text
//!  prepare, may fail:    load plugins ─ bind sockets ─ probe new endpoints once ─ virtual routers
//!  switch, cannot fail:  pools ─ listeners ─ tracked conditions
//!  afterwards:           connections of what went drain, then are reset
//! ```
//!
//! Whatever is dropped before the switch leaves everything as it was. Only the
//! virtual routers change by themselves, all or none: they come last, and what
//! is ready by then serves the addresses that they bring.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::probing::{Probing, leave};
use super::supervised::{Member, Membership, Standing, Supervised};
use super::{App, listener, most, not_bound};
use crate::pure::config::{Change, Config, Difference, Node, Step, What, Wish};
use crate::shell::forward::proxy::{Bound, Listener, Plan};
use crate::shell::plugin_store::Available;

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// What became another.
    pub steps: Vec<Step>,
    /// Keys that are another only after a restart.
    pub restart: Vec<String>,
    /// Sentences about what comes with it.
    pub cautions: Vec<String>,
    /// What is odd about the document, as `check` shows it.
    pub warnings: Vec<String>,
}

/// All that is ready to be switched to.
struct Ready {
    config: Config,
    difference: Difference,
    probing: Probing,
    pools: Vec<Successor>,
    listeners: Vec<Bound>,
    plan: Plan,
}

/// A pool and who is to belong to it.
struct Successor {
    pool: Arc<Supervised>,
    membership: Membership,
}

/// Endpoints that are probed for the first time. Unless it is told that they are
/// wanted, they are not probed any more when this is dropped.
struct Fresh {
    members: Vec<Arc<Member>>,
    wanted: bool,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.wanted {
            self.members.iter().for_each(|member| leave(member));
        }
    }
}

impl App {
    /// Run by another document from now on. Nothing has changed when this fails,
    /// nor when it is dropped before it is done.
    ///
    /// # Errors
    /// One sentence: what of the document cannot be had.
    pub async fn reload(&mut self, new: &Config, available: Available) -> Result<Reloaded, String> {
        let difference = Difference::between(&self.config, new, self.node.as_deref());
        let config = difference.config.clone();
        let own = |node: &&Node| Some(&node.name) == self.node.as_ref();
        let node = config.nodes.iter().find(own).cloned();
        let probing = {
            let (probing, config) = (self.probing.clone(), config.clone());
            let renewed = spawn_blocking(move || probing.renewed(&config, &available)).await;
            renewed.map_err(|error| format!("cannot load plugins: {error}"))??
        };
        let pools = self.successors(&config);
        let listeners = self.successor_listeners(&config, &difference, &pools);
        let plan = self
            .proxy
            .plan(&listeners)
            .map_err(|error| not_bound(&config, &error))?;
        let mut fresh = self.probe_first(&config, &probing, &pools).await;
        let mut ready = Ready {
            config,
            difference,
            probing,
            pools,
            listeners,
            plan,
        };
        ready.add_files(&self.probing);
        if let Some(node) = &node {
            self.change_elections(&ready, node).await?;
        }
        fresh.wanted = true;
        Ok(self.switch(ready, node.as_ref()))
    }

    fn successors(&self, config: &Config) -> Vec<Successor> {
        let successor = |settings: &crate::pure::config::Pool| {
            let mut pools = self.pools.iter();
            match pools.find(|pool| pool.pool().name == settings.name) {
                Some(pool) => Successor {
                    pool: pool.clone(),
                    membership: pool.membership(settings),
                },
                None => {
                    let pool = Arc::new(Supervised::new(settings, self.resets.clone()));
                    Successor {
                        membership: pool.membership(settings),
                        pool,
                    }
                }
            }
        };
        config.pools.iter().map(successor).collect()
    }

    /// The same ones where nothing about them is another.
    fn successor_listeners(
        &self,
        config: &Config,
        difference: &Difference,
        pools: &[Successor],
    ) -> Vec<Bound> {
        let pools: Vec<_> = pools.iter().map(|successor| successor.pool.clone()).collect();
        let successor = |settings: &crate::pure::config::Listener| {
            let mut listeners = self.listeners.iter().map(|(listener, _)| listener);
            let former = listeners.find(|listener| listener.name == settings.name);
            let is_same = |former: &&Arc<Listener>| {
                let pool = pools[settings.pool.0].pool();
                difference.of(What::Listener, &settings.name).is_none() && Arc::ptr_eq(&former.pool, pool)
            };
            let listener = match former.filter(is_same) {
                Some(same) => same.clone(),
                None => Arc::new(listener(settings, &pools, former.map(Arc::as_ref))),
            };
            (listener, settings.bind.clone())
        };
        config.listeners.iter().map(successor).collect()
    }

    /// Probe once what nothing is known of, so that it takes connections from the
    /// switch on; until then, what goes takes them.
    async fn probe_first(&mut self, config: &Config, probing: &Probing, pools: &[Successor]) -> Fresh {
        let began = Instant::now();
        let mut fresh = Fresh {
            members: Vec::new(),
            wanted: false,
        };
        for (settings, successor) in config.pools.iter().zip(pools) {
            let members = successor.membership.members();
            for (endpoint, member) in settings.endpoints.iter().zip(members) {
                let is_unknown = member.probed().is_none() && member.standing() == Standing::Unknown;
                if is_unknown && settings.check.is_some() && endpoint.state != Wish::Disabled {
                    probing.attend(&successor.pool, settings, endpoint, member, &mut self.tasks);
                    fresh.members.push(member.clone());
                }
            }
        }
        let probed = async {
            for member in &fresh.members {
                member.probed_since(began).await;
            }
        };
        // Whoever has not answered by then is not ready.
        let _ = timeout(config.time_to_settle(), probed).await;
        fresh
    }

    async fn change_elections(&mut self, ready: &Ready, node: &Node) -> Result<(), String> {
        match &self.election {
            Some(election) => election.change(&ready.config, node, &ready.difference).await,
            None if ready.config.virtual_routers.is_empty() => Ok(()),
            None => {
                let election = self.elect(&ready.config, node)?;
                election.take_part();
                self.election = Some(election);
                Ok(())
            }
        }
    }

    fn switch(&mut self, ready: Ready, node: Option<&Node>) -> Reloaded {
        let Ready {
            config,
            difference,
            probing,
            pools,
            listeners,
            plan,
        } = ready;
        let mut drained = Drained::default();
        let former = std::mem::take(&mut self.pools);
        for (settings, successor) in config.pools.iter().zip(pools) {
            let Successor { pool, membership } = successor;
            for (endpoint, member) in settings.endpoints.iter().zip(membership.members()) {
                member.endpoint().budget.set_most(endpoint.max_connections);
                probing.attend(&pool, settings, endpoint, member, &mut self.tasks);
            }
            drained.members.extend(pool.adopt(membership));
            self.pools.push(pool);
        }
        let is_left = |pool: &&Arc<Supervised>| !self.pools.iter().any(|stays| Arc::ptr_eq(stays, pool));
        for pool in former.iter().filter(is_left) {
            drained.members.extend(pool.members());
        }
        self.whole.set_most(Some(most(&config, self.fits)));
        for (settings, (listener, _)) in config.listeners.iter().zip(&listeners) {
            listener.budget.set_most(settings.max_connections);
        }
        self.proxy.carry_out(plan);
        let stays = |name: &str| listeners.iter().any(|(listener, _)| listener.name == name);
        let gone = self.listeners.drain(..).map(|(listener, _)| listener);
        drained
            .listeners
            .extend(gone.filter(|listener| !stays(&listener.name)));
        self.listeners = listeners;
        self.probing = probing;
        self.config = config.clone();
        self.show();
        if let Some(node) = node {
            let fresh = |name: &str| is_tracked_anew(&config, &difference, name);
            self.track(&config, node, fresh);
        }
        self.drain_what_went(drained);
        // Those that have ended need no keeping.
        while self.tasks.try_join_next().is_some() {}
        told(difference)
    }

    /// Connections of what went may finish, for as long as a drain takes.
    fn drain_what_went(&mut self, drained: Drained) {
        drained.members.iter().for_each(|member| leave(member));
        if drained.members.is_empty() && drained.listeners.is_empty() {
            return;
        }
        let (time, resets) = (self.config.daemon.drain_timeout, self.resets.clone());
        self.tasks.spawn(async move {
            sleep(time).await;
            for member in drained.members {
                member.endpoint().order.reset_as_drained();
            }
            for listener in drained.listeners {
                listener.order.reset_as_drained();
            }
            resets.carry_out();
        });
    }
}

/// What is not in the document any more.
#[derive(Default)]
struct Drained {
    members: Vec<Arc<Member>>,
    listeners: Vec<Arc<Listener>>,
}

impl Ready {
    /// Files that the document names have other things in them.
    fn add_files(&mut self, former: &Probing) {
        for name in self.probing.with_other_files(former) {
            self.difference.steps.push(Step {
                what: What::Check,
                name: name.into(),
                change: Change::Changed,
                keys: vec!["files".into()],
            });
        }
    }
}

/// Whether the conditions of a virtual router, or what they refer to, are others.
fn is_tracked_anew(config: &Config, difference: &Difference, router: &str) -> bool {
    let own = difference.of(What::VirtualRouter, router).is_some();
    let mut routers = config.virtual_routers.iter();
    let settings = routers.find(|settings| settings.name == router);
    let check = |check: &str| difference.of(What::Check, check).is_some();
    let tracks = settings.iter().flat_map(|settings| &settings.track);
    own || tracks
        .filter_map(|track| track.check())
        .any(|id| check(&config.check(id).name))
}

/// Logged, and for whoever asked.
fn told(difference: Difference) -> Reloaded {
    for step in &difference.steps {
        tracing::info!("{step}");
    }
    for key in &difference.restart {
        tracing::warn!(key, "restart to apply");
    }
    for caution in &difference.cautions {
        tracing::warn!("{caution}");
    }
    tracing::info!(changes = difference.steps.len(), "reloaded");
    Reloaded {
        steps: difference.steps,
        restart: difference.restart,
        cautions: difference.cautions,
        warnings: Vec::new(),
    }
}
