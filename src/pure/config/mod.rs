//! The document: what people write, and what is true after checking.
//!
//! These types are the checked side ("parse, don't validate"): references lead
//! somewhere, numbers are in range, defaults are filled in. Nobody checks again.

mod check;
mod de;
mod difference;
mod effective;
pub mod file;
mod mistake;
mod read;
mod router;
mod schema;
mod source;
mod tree;
pub mod units;
mod words;

pub use check::{Checked, Refused, check};
pub use difference::{Change, Difference, Step, What, stays};
pub use effective::effective;
pub use mistake::{Mistake, Severity};
pub use router::parameters;
pub use schema::schema;
pub use source::Format;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addr::{IpPrefix, ListenAddr};
use super::balancer::Algorithm;
use super::registry::reference::Reference;
use super::vrrp::{ChecksumForm, Takeover};

/// See [`Config::time_to_settle`].
const SETTLING_MARGIN: Duration = Duration::from_secs(5);

/// Most memory of a check's plugin where the document says nothing, in bytes.
pub const USUAL_MEMORY: u64 = 16 << 20;

/// Most memory of all running plugins where the document says nothing, in bytes.
pub const USUAL_PLUGIN_MEMORY: u64 = 1 << 30;

/// What is known of plugins while a document is checked.
pub trait Plugins {
    /// The names of the plugins in the binary.
    fn standard(&self) -> &[&str];

    /// What a plugin says of its settings; `cache` is where plugins are kept.
    fn schema(&self, plugin: &PluginSource, cache: Option<&Path>) -> Schema;
}

/// What a plugin says of its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Nothing, or it cannot be read, which whoever loads it tells.
    None,
    /// A JSON Schema.
    Text(String),
    /// It is in a registry, and nobody has fetched it yet.
    Unfetched,
}

/// Names alone.
impl<const N: usize> Plugins for [&str; N] {
    fn standard(&self) -> &[&str] {
        self
    }

    fn schema(&self, _: &PluginSource, _: Option<&Path>) -> Schema {
        Schema::None
    }
}

/// A checked document. The order of every list is the document's.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The load balancers that share the document; names are unique.
    pub nodes: Vec<Node>,
    /// Virtual addresses and their VRRP parameters.
    pub virtual_routers: Vec<VirtualRouter>,
    /// Bound addresses.
    pub listeners: Vec<Listener>,
    /// Groups of endpoints.
    pub pools: Vec<Pool>,
    /// Plugins with their settings.
    pub checks: Vec<Check>,
    /// How registries of plugins are reached.
    pub registries: Vec<Registry>,
    /// The daemon's own settings.
    pub daemon: Daemon,
}

impl Config {
    /// The pool a listener names.
    pub fn pool(&self, id: PoolId) -> &Pool {
        &self.pools[id.0]
    }

    /// How long probing every endpoint once takes at most: the longest time-out,
    /// and a margin for findings to arrive on a machine that has other things to do.
    pub fn time_to_settle(&self) -> Duration {
        let timeouts = self.checks.iter().map(|check| check.timeout);
        timeouts.max().unwrap_or_default() + SETTLING_MARGIN
    }

    /// How long handing the virtual addresses over takes at most: a successor is
    /// waited for no longer than the advertisement interval and the longest
    /// Skew_Time, which is no longer.
    pub fn time_to_hand_over(&self) -> Duration {
        let intervals = self
            .virtual_routers
            .iter()
            .map(|router| router.advertisement_interval);
        intervals.max().unwrap_or_default() * 2
    }

    /// The check a pool names.
    pub fn check(&self, id: CheckId) -> &Check {
        &self.checks[id.0]
    }
}

/// Index into [`Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolId(pub usize);

/// Index into [`Config::checks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckId(pub usize);

/// The daemon's own settings (`[daemon]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Daemon {
    /// Threads that carry connections; `None` is one for each core.
    pub threads: Option<u16>,
    /// How long open connections may go on after SIGTERM. Default 30s.
    pub drain_timeout: Duration,
    /// Most connections of the whole process; `None` is what the limit of open
    /// files allows.
    pub max_connections: Option<u32>,
    /// Where plugins from registries and compiled ones are kept; `None` fetches
    /// and compiles at each start.
    pub plugin_cache: Option<PathBuf>,
    /// Most memory of all running plugins together in bytes, 64MiB to 256GiB.
    /// Default 1GiB.
    pub plugin_memory: u64,
}

/// How a registry of plugins is reached (`[registries.HOST]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Host, or host and port, as references have it.
    pub host: String,
    /// Speak HTTP without TLS. Default false.
    pub plain_http: bool,
    /// PEM file of authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// The file with the login; `None` is where podman and docker keep it.
    pub auth_file: Option<PathBuf>,
}

/// One load balancer (`[nodes.NAME]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, to be found by `--node`, `CATAMARAN_NODE` or host name.
    pub name: String,
    /// VRRP source and unicast peer address.
    pub address: IpAddr,
    /// The network interface of that address.
    pub interface: String,
    /// VRRP priority, 1 to 255 (255: owner of the address). Default 100.
    pub priority: u8,
}

/// One virtual router (`[virtual-routers.NAME]`).
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualRouter {
    /// Its name in logs.
    pub name: String,
    /// 1 to 255; unique per interface and address family.
    pub vrid: u8,
    /// At least one, all of one family.
    pub addresses: Vec<IpPrefix>,
    /// VRRP version, 2 or 3. Default 3.
    pub version: u8,
    /// Version 2: whole seconds, 1s to 255s. Version 3: 10ms to 40950ms in steps of 10ms. Default 1s.
    pub advertisement_interval: Duration,
    /// Version 2 only.
    pub password: Option<Password>,
    /// Advertise to the other nodes' addresses instead of the multicast group. Default false.
    pub unicast: bool,
    /// The addresses have the MAC of the virtual router instead of the interface's; then
    /// `unicast` is false, and no node owns one of them. Default false.
    pub virtual_mac: bool,
    /// Take the address back from a node of lower priority. Default true.
    pub preempt: bool,
    /// Wait before preempting. Default 0s.
    pub preempt_delay: Duration,
    /// Accept packets to the virtual address. Default true.
    pub accept: bool,
    /// The interface on every node; `None` is the node's own.
    pub interface: Option<String>,
    /// How long a backup waits. Default ranked.
    pub takeover: Takeover,
    /// Version 3 over IPv4; `None` is as heard. Default `None`.
    pub checksum: Option<ChecksumForm>,
    /// The group whose virtual routers stand back together; `None` is by itself.
    pub sync: Option<String>,
    /// How the link is told where the addresses are.
    pub announce: Announce,
    /// Conditions that move the priority.
    pub track: Vec<Track>,
}

/// Where a password is.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// Here: 1 to 8 bytes.
    Text(String),
    /// In this file, which whoever runs the document reads.
    File(PathBuf),
}

/// Without the password, which has no place in a log.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.debug_tuple("Text").finish_non_exhaustive(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// How the link is told where virtual addresses are (`announce`).
#[derive(Clone, Debug, PartialEq)]
pub struct Announce {
    /// Times after a takeover, ascending; 1–16, each at most 5min. Default 0, 50, 200,
    /// 500 ms, 1, 2, 5 s.
    pub after: Vec<Duration>,
    /// Again and again from then on; `None` is "off". Default 1min.
    pub refresh: Option<Duration>,
    /// What a gratuitous ARP pretends to be. Default request.
    pub arp: Arp,
}

/// What a gratuitous ARP pretends to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arp {
    /// A question for the address.
    #[default]
    Request,
    /// An answer that nobody asked for.
    Reply,
    /// One of each.
    Both,
}

/// A condition that moves a virtual router's priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// What is watched.
    pub subject: TrackSubject,
    /// Added to the priority while the condition fails, -254 to -1; `None` stands the node back.
    pub weight: Option<i16>,
}

impl Track {
    /// The check that it takes, if it takes one.
    pub fn check(&self) -> Option<CheckId> {
        match &self.subject {
            TrackSubject::Check { check, .. } => Some(*check),
            TrackSubject::Pool(_) | TrackSubject::Interface(_) | TrackSubject::File(_) => None,
        }
    }
}

/// What a [`Track`] watches.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackSubject {
    /// The pool has a ready endpoint.
    Pool(PoolId),
    /// The interface is up and has a carrier.
    Interface(String),
    /// The check succeeds against this node.
    Check {
        /// Which.
        check: CheckId,
        /// Port of the node's own address that it probes.
        port: u16,
    },
    /// The file exists.
    File(PathBuf),
}

/// One listener (`[listeners.NAME]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// At least one; none overlaps another, here or in another listener.
    pub bind: Vec<ListenAddr>,
    /// Where its connections go.
    pub pool: PoolId,
    /// How its connections are carried. Default proxy.
    pub forwarding: Forwarding,
    /// Most open connections; `None` is no limit but the process's.
    pub max_connections: Option<u32>,
    /// Silence in both directions after which a connection is closed; `None`
    /// (default, "off") never.
    pub idle_timeout: Option<Duration>,
    /// Client side TCP keepalive and user time-out.
    pub tcp: TcpSettings,
    /// Write a log line when a connection ends. Default true.
    pub log: bool,
}

/// How a connection is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// In user space.
    #[default]
    Proxy,
    /// In the kernel, source rewritten.
    Nat,
    /// In the kernel, answers bypass the load balancer.
    Direct,
}

/// How dead peers are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    /// Silence before the first keepalive probe, 1s to 9h; a third of it
    /// between the next ones, of which three may go unanswered. `None` is
    /// "off". Default 30s.
    pub keepalive: Option<Duration>,
    /// How long sent data may stay unacknowledged (TCP_USER_TIMEOUT). `None`
    /// is "off" (the kernel's own, about 15 minutes). Default 30s.
    pub user_timeout: Option<Duration>,
}

/// One pool (`[pools.NAME]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in logs.
    pub name: String,
    /// How connections are spread. Default round-robin.
    pub balance: Algorithm,
    /// How endpoints are probed; `None` believes all healthy.
    pub check: Option<CheckId>,
    /// At least one, at most 4,096; names and addresses are unique in the pool.
    pub endpoints: Vec<Endpoint>,
    /// Time for one connection attempt, 1ms to 10min. Default 3s.
    pub connect_timeout: Duration,
    /// Further endpoints to try when connecting fails, 0 to 100. Default 2.
    pub retries: u8,
    /// What happens to the connections of an endpoint that goes down. Default reset.
    pub on_down: OnDown,
    /// What happens to new connections while no endpoint is ready. Default refuse.
    pub when_none_ready: WhenNoneReady,
    /// Endpoint side TCP keepalive and user time-out.
    pub tcp: TcpSettings,
}

/// What happens to the connections of an endpoint that goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDown {
    /// Both sides are reset at once, so that clients reconnect.
    #[default]
    Reset,
    /// They go on for as long as they can.
    Keep,
}

/// What happens to a connection while no endpoint is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenNoneReady {
    /// Reset at once.
    #[default]
    Refuse,
    /// Wait up to this long for an endpoint to become ready, then reset.
    Hold(Duration),
    /// Treat every enabled endpoint as ready.
    TryAll,
}

/// One endpoint (`[pools.POOL.endpoints]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name in logs.
    pub name: String,
    /// Where connections go.
    pub address: SocketAddr,
    /// Share of the connections, 1 to 256. Default 1.
    pub weight: u16,
    /// Takes connections only while no other is ready. Default false.
    pub backup: bool,
    /// The operator's wish. Default enabled.
    pub state: Wish,
    /// Most open connections; `None` is no limit.
    pub max_connections: Option<u32>,
    /// Where probes go: `check-address` and `check-port`, by default `address`.
    pub probe_address: SocketAddr,
}

/// The operator's wish for an endpoint, apart from its health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wish {
    /// May take connections.
    #[default]
    Enabled,
    /// No new connections, old ones finish.
    Drain,
    /// No connections and no probes; old ones are reset.
    Disabled,
}

/// One check (`[checks.NAME]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its name in logs.
    pub name: String,
    /// Where the plugin comes from.
    pub plugin: PluginSource,
    /// From probe to probe while nothing changes. Default 2s.
    pub interval: Duration,
    /// From probe to probe while a change is being confirmed. Default: `interval`.
    pub fast_interval: Duration,
    /// From probe to probe while down. Default: `interval`.
    pub down_interval: Duration,
    /// Time for one probe; at most the shortest interval. Default 1s.
    pub timeout: Duration,
    /// Successes in a row to go up, 1 to 100. Default 2.
    pub rise: u8,
    /// Failures in a row to go down, 1 to 100. Default 3.
    pub fall: u8,
    /// Handed to the plugin as JSON text. Default `{}`.
    pub config: String,
    /// The host speaks TLS when present.
    pub tls: Option<Tls>,
    /// Most memory of one plugin instance in bytes, 1MiB to 256MiB. Default 16MiB.
    pub memory: u64,
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PluginSource {
    /// One of the standard plugins in the binary.
    Standard(String),
    /// `oci:REGISTRY/NAME@sha256:HEX`; the digest is always there.
    Registry(Reference),
    /// `file:PATH` or `file:PATH@sha256:HEX`.
    File {
        /// The component.
        path: PathBuf,
        /// Its pinned digest.
        sha256: Option<[u8; 32]>,
    },
}

/// TLS towards an endpoint (`[checks.NAME.tls]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Verify the certificate. Default true.
    pub verify: bool,
    /// PEM file of the authorities to trust; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// Name for SNI and verification; `None` is the endpoint's address.
    pub server_name: Option<String>,
    /// PEM file of a client certificate; goes with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// PEM file of its key.
    pub client_key: Option<PathBuf>,
}
