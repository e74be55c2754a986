//! A pool as the cores share it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::limits::Budget;
use crate::pure::balancer::{EndpointId, Key, Snapshot};
use crate::pure::config::{TcpSettings, WhenNoneReady};

/// One pool, shared by the cores.
pub struct Pool {
    /// Its name in logs.
    pub name: String,
    /// In document order; [`EndpointId`] is the index.
    pub endpoints: Vec<Endpoint>,
    /// What the document says about connecting.
    pub settings: PoolSettings,
    view: watch::Sender<Arc<View>>,
    ticket: AtomicU64,
    refused: AtomicU64,
}

/// What the document says about connecting.
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

/// One endpoint, shared by the cores.
pub struct Endpoint {
    /// Its name in logs.
    pub name: String,
    /// Where connections go.
    pub address: SocketAddr,
    /// Open connections, bounded.
    pub budget: Budget,
}

/// What the cores know of a pool's endpoints at one moment.
pub struct View {
    /// Readiness, weights and tiers.
    pub snapshot: Snapshot,
    /// By endpoint: its open connections are to be reset.
    pub reset: Vec<bool>,
}

impl Pool {
    /// A pool with its first view.
    pub fn new(name: String, endpoints: Vec<Endpoint>, settings: PoolSettings, view: View) -> Self {
        Self {
            name,
            endpoints,
            settings,
            view: watch::Sender::new(Arc::new(view)),
            ticket: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Replace the view in one step. Connections that it wants reset are reset
    /// by their cores at once.
    pub fn publish(&self, view: View) {
        self.view.send_replace(Arc::new(view));
    }

    /// The view of this moment.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// To be told of new views.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// An endpoint by its position.
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        &self.endpoints[id.index()]
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

    /// Choose an endpoint that is not in `tried` and take one of its
    /// connections, to be given back by the caller.
    pub fn pick(&self, key: &Key, ticket: u64, tried: &[EndpointId]) -> Option<EndpointId> {
        let view = self.view();
        let load = |id: EndpointId| self.endpoint(id).budget.used();
        let admit = |id: EndpointId| !tried.contains(&id) && self.endpoint(id).budget.has_room();
        // Another core may take the last connection between the choice and
        // ours; then the endpoint has no room and the next choice is another.
        loop {
            let id = view.snapshot.pick(key, ticket, &load, &admit)?;
            if self.endpoint(id).budget.take() {
                return Some(id);
            }
        }
    }
}
