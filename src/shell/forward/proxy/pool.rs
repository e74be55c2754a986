//! A pool as the cores share it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::leash::Order;
use super::limits::Budget;
use super::resets::Resets;
use crate::pure::balancer::{EndpointId, Key, Snapshot};
use crate::pure::config::{TcpSettings, WhenNoneReady};

/// One pool, shared by the cores for as long as the document has it, whatever
/// becomes of its endpoints.
pub struct Pool {
    /// Its name in logs.
    pub name: String,
    view: watch::Sender<Arc<View>>,
    resets: Resets,
    ticket: AtomicU64,
    refused: AtomicU64,
}

/// What the document says about connecting.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// Time for one attempt.
    pub connect_timeout: Duration,
    /// Further attempts after the first.
    pub retries: u8,
    /// What new connections get while no endpoint is ready.
    pub when_none_ready: WhenNoneReady,
    /// Endpoint side keepalive and user time-out.
    pub tcp: TcpSettings,
}

/// One endpoint, shared by the cores and by its connections, which it outlives
/// in no document.
pub struct Endpoint {
    /// Its name in logs.
    pub name: String,
    /// Where connections go.
    pub address: SocketAddr,
    /// Open connections, bounded.
    pub budget: Budget,
    /// What becomes of its connections.
    pub order: Order,
}

/// What the cores know of a pool at one moment.
pub struct View {
    /// Readiness, weights and tiers.
    pub snapshot: Snapshot,
    /// In document order; [`EndpointId`] is the index.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// By endpoint: its open connections are to be reset.
    pub reset: Vec<bool>,
    /// What the document says about connecting.
    pub settings: PoolSettings,
}

impl Pool {
    /// A pool with its first view; `resets` are those of the cores that carry
    /// its connections.
    pub fn new(name: String, view: View, resets: Resets) -> Self {
        view.give_orders();
        Self {
            name,
            view: watch::Sender::new(Arc::new(view)),
            resets,
            ticket: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Replace the view in one step. Connections that it wants reset are reset
    /// by their cores at once.
    pub fn publish(&self, view: View) {
        let some = view.give_orders();
        self.view.send_replace(Arc::new(view));
        if some {
            self.resets.carry_out();
        }
    }

    /// The view of this moment.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// To be told of new views.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// A new connection's ticket; one a connection, however often it retries,
    /// so that turns are kept exactly.
    pub fn draw_ticket(&self) -> u64 {
        self.ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Count a connection that no endpoint could take.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections no endpoint could take since the last call.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }
}

impl View {
    /// Whether there is one to reset that was not.
    fn give_orders(&self) -> bool {
        let given = self.endpoints.iter().zip(&self.reset).map(|(endpoint, reset)| {
            if *reset {
                endpoint.order.reset_as_down()
            } else {
                endpoint.order.keep();
                false
            }
        });
        given.fold(false, |some, new| some | new)
    }

    /// Choose an endpoint that is not in `tried` and take one of its
    /// connections, to be given back by the caller.
    pub fn pick(&self, key: &Key, ticket: u64, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        let endpoint = |id: EndpointId| &self.endpoints[id.index()];
        let load = |id: EndpointId| endpoint(id).budget.used();
        let is_tried = |one: &Arc<Endpoint>| tried.iter().any(|tried| Arc::ptr_eq(tried, one));
        let admit = |id: EndpointId| !is_tried(endpoint(id)) && endpoint(id).budget.has_room();
        // Another core may take the last connection between the choice and
        // ours; then the endpoint has no room and the next choice is another.
        loop {
            let chosen = endpoint(self.snapshot.pick(key, ticket, &load, &admit)?);
            if chosen.budget.take() {
                return Some(chosen);
            }
        }
    }
}
