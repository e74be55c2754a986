//! What is written down about a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Listener;
use super::limits::Budget;
use super::pool::Endpoint;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Both sides finished.
    Closed,
    /// The client reset it.
    ClientReset,
    /// The endpoint reset it.
    EndpointReset,
    /// The client's machine stopped answering.
    ClientLost,
    /// The endpoint's machine stopped answering.
    EndpointLost,
    /// Silent for longer than the listener's `idle-timeout`.
    IdleTimeout,
    /// Reset by us because its endpoint went down.
    EndpointDown,
    /// Reset by us because the address that the client connected to has left this machine.
    AddressLost,
    /// Reset by us at the end of the time for draining.
    Drained,
    /// Every attempt to connect to an endpoint failed.
    ConnectFailed,
    /// No endpoint was ready.
    NoneReady,
    /// Every ready endpoint had its `max-connections`.
    EndpointsFull,
}

impl Cause {
    /// The cause as a word for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClientReset => "client-reset",
            Self::EndpointReset => "endpoint-reset",
            Self::ClientLost => "client-lost",
            Self::EndpointLost => "endpoint-lost",
            Self::IdleTimeout => "idle-timeout",
            Self::EndpointDown => "endpoint-down",
            Self::AddressLost => "address-lost",
            Self::Drained => "drained",
            Self::ConnectFailed => "connect-failed",
            Self::NoneReady => "none-ready",
            Self::EndpointsFull => "endpoints-full",
        }
    }
}

/// One connection, from its acceptance to its log line.
pub struct Record {
    /// The client.
    pub client: SocketAddr,
    /// When it was accepted.
    pub accepted: Instant,
    /// The endpoint it went to last, and how many connections that has, this one included.
    pub endpoint: Option<Arc<Endpoint>>,
    /// How long the successful attempt to connect took.
    pub connecting: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
    /// Bytes carried from the client.
    pub to_endpoint: u64,
    /// Bytes carried to the client.
    pub to_client: u64,
}

impl Record {
    /// A connection accepted now.
    pub fn new(client: SocketAddr) -> Self {
        Self {
            client,
            accepted: Instant::now(),
            endpoint: None,
            connecting: None,
            retries: 0,
            to_endpoint: 0,
            to_client: 0,
        }
    }

    /// Write the line if the listener wants one, at the moment of HAProxy's
    /// tcplog: the connection still counts.
    pub fn log(&self, listener: &Listener, cause: Cause, whole: &Budget) {
        if !listener.log {
            return;
        }
        let pool = &listener.pool;
        let endpoint = self.endpoint.as_deref();
        tracing::info!(
            target: "catamaran::connection",
            client = %self.client,
            listener = listener.name,
            pool = pool.name,
            endpoint = endpoint.map_or("-", |endpoint| endpoint.name.as_str()),
            connect_ms = self.connecting.map(milliseconds),
            total_ms = milliseconds(self.accepted.elapsed()),
            bytes_to_endpoint = self.to_endpoint,
            bytes_to_client = self.to_client,
            cause = cause.word(),
            connections_all = whole.used(),
            connections_listener = listener.budget.used(),
            connections_endpoint = endpoint.map_or(0, |endpoint| endpoint.budget.used()),
            retries = self.retries,
            "connection",
        );
    }
}

/// Milliseconds with microseconds kept, rounded for people.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
