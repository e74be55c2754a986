//! The mirror of the document: what people write, key by key.
//!
//! The doc line of a field is its user documentation, and its description in
//! the JSON Schema. Everything is optional here, also what must be there: the
//! check reports what is missing together with everything else. Addresses are
//! text here and parsed by the check.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::units::{OrOff, Size, Time};

/// The configuration of a group of Catamaran load balancers. The same document
/// goes to every one of them.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(title = "Catamaran")]
pub struct File {
    /// Where editors find the JSON Schema of the document; it means nothing here.
    #[serde(rename = "$schema", skip_serializing)]
    pub schema: Option<String>,
    /// The load balancers that share the document, by name. Each finds itself by `--node`,
    /// `CATAMARAN_NODE` or host name. May be left out when there are no virtual routers.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub nodes: Named<Node>,
    /// Virtual addresses that move between the nodes with VRRP, by name.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub virtual_routers: Named<VirtualRouter>,
    /// Bound addresses that take connections, by name.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub listeners: Named<Listener>,
    /// Groups of endpoints that connections are spread over, by name.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub pools: Named<Pool>,
    /// How endpoints are probed, by name.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub checks: Named<Check>,
    /// How registries of plugins are reached, by host or host:port, as in `oci:HOST:PORT/NAME@sha256:HEX`.
    /// Those that ask for no login and have a public certificate need nothing here.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub registries: Named<Registry>,
    /// Settings of the daemon itself.
    pub daemon: Daemon,
}

/// How a registry of plugins is reached.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Registry {
    /// Speak HTTP without TLS. What is fetched is the pinned plugin all the same, but a login can be read on
    /// the way. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
    /// PEM file of authorities to trust besides the system's. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// File with the login, as `podman login --authfile` and docker write it. Default: where these keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_file: Option<String>,
}

/// Settings of the daemon itself.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Daemon {
    /// Threads that carry connections, 1 to 1024. Default: one for each core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<i64>,
    /// How long open connections may go on after SIGTERM, 0s to 24h. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Time>,
    /// Most open connections of the whole process, 1 to 1000000000. Default: what the limit of open
    /// files allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_connections: Option<i64>,
    /// Directory where plugins from registries, and all as compiled, are kept for the next start. Default:
    /// none, fetch and compile at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_cache: Option<String>,
    /// Most memory of all running plugins together, 64MiB to 256GiB. Default: 1GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_memory: Option<Size>,
}

/// One load balancer.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["address", "interface"]))]
pub struct Node {
    /// Its address: the source of VRRP advertisements, and where unicast ones are sent. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["211.183.3.251"]))]
    pub address: Option<String>,
    /// The network interface of that address, at most 15 bytes. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["ens32"]))]
    pub interface: Option<String>,
    /// VRRP priority, 1 to 255: the node with the highest is Active. 255 is for the owner, whose own
    /// address is the virtual address. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub priority: Option<i64>,
}

/// Virtual addresses that move together from node to node.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["vrid", "addresses"]))]
pub struct VirtualRouter {
    /// Virtual router identifier, 1 to 255; each only once for IPv4 and once for IPv6, and not used by
    /// anyone else on the link. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub vrid: Option<i64>,
    /// The virtual addresses with prefix length, all IPv4 or all IPv6; without a length the address
    /// alone (/32, /128). At least one. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = [["211.183.3.250/24"]]))]
    pub addresses: Option<Vec<String>>,
    /// VRRP version, 2 (IPv4 only, as keepalived speaks by default) or 3. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 3))]
    pub version: Option<i64>,
    /// Time between advertisements. Version 2: whole seconds from 1s to 4m15s. Version 3: 10ms to
    /// 40s950ms in steps of 10ms. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertisement_interval: Option<Time>,
    /// A password in every advertisement, version 2 only. It keeps strangers apart, not attackers out.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Send advertisements to the other nodes' addresses instead of the multicast group. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unicast: Option<bool>,
    /// Give the virtual addresses a MAC of their own, 00:00:5e:00:01:VRID (IPv6: 00:00:5e:00:02:VRID), as
    /// the RFC has it: it moves with them, so clients have nothing to learn. It is on a macvlan interface
    /// that only the Active node has. It works where a port may use a second MAC, as on switches of your
    /// own. It breaks in most clouds, on virtual switches that refuse forged MACs or do not learn them
    /// (VMware, OpenStack), on Wi-Fi and with 802.1X. Every node needs
    /// `net.ipv4.conf.INTERFACE.arp_ignore=1` and `.arp_announce=2` for IPv4, and a firewall that does not
    /// insist that packets come in where answers go out. Agree on it on all nodes. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_mac: Option<bool>,
    /// Take the addresses back from a node of lower priority. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preempt: Option<bool>,
    /// How long to wait before taking them back, 0s to 1h. Default: 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preempt_delay: Option<Time>,
    /// Accept packets to the virtual addresses, as a load balancer must. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
    /// The network interface on every node, at most 15 bytes. Default: each node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// How long a backup waits before it takes over. Default: "ranked".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
    /// What the checksum covers in version 3 over IPv4. Default: "auto".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// Name of a group whose virtual routers stand back together: when one cannot hold its addresses, or
    /// a tracked condition lowers one, so it is with all of them. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// How the link is told where the addresses are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<Announce>,
    /// Conditions under which a node ranks lower or stands back. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Vec<Track>>,
}

/// How long a backup waits beyond the silence that the Active one is allowed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// By its rank among the document's nodes: the first at once. As soon as a router is heard that the
    /// document does not name, as "rfc".
    Ranked,
    /// The Skew_Time of the RFC. Right while a keepalived takes part.
    Rfc,
}

/// What the checksum covers in version 3 over IPv4, where documents differ. On receipt both are right.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// As the router that was heard last; at first "rfc5798".
    Auto,
    /// The message and an IPv4 pseudo-header, as keepalived has it.
    Rfc5798,
    /// The message alone.
    Rfc9568,
}

/// Gratuitous ARP (IPv4) and unsolicited neighbour advertisements (IPv6).
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Announce {
    /// Times after a takeover, ascending, each at most 5m; 1 to 16 of them.
    /// Default: ["0s", "50ms", "200ms", "500ms", "1s", "2s", "5s"].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub after: Option<Vec<Time>>,
    /// From then on again and again, 1s to 24h apart, or "off". Default: 1m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<OrOff<Time>>,
    /// What a gratuitous ARP pretends to be. Default: "request".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp: Option<Arp>,
}

/// What a gratuitous ARP pretends to be; a few old devices learn from one kind only.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arp {
    /// A question for the address, as most send.
    Request,
    /// An answer that nobody asked for.
    Reply,
    /// One of each.
    Both,
}

/// VRRP version 2 authentication; exactly one of `pass` and `pass-file`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{ "required": ["pass"] }, { "required": ["pass-file"] }]))]
pub struct Authentication {
    /// The password, 1 to 8 bytes, sent in clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub pass: Option<String>,
    /// A file that holds the password, for documents that everybody may read. A line feed at its end is
    /// not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/run/secrets/vrrp-password"]))]
    pub pass_file: Option<String>,
}

/// A condition; exactly one of `pool`, `interface`, `check` and `file`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Track {
    /// The pool of this name has a ready endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The network interface of this name is up and has a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The check of this name succeeds against the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// With `check`: the port of the node's own address that is probed, 1 to 65535. Default: that of the
    /// first listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i64>,
    /// The file of this path exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Added to the priority while the condition fails, -254 to -1. Default: none, the node stands back
    /// altogether.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -254, max = -1))]
    pub weight: Option<i64>,
}

/// One or more bound addresses, and where their connections go.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["bind", "pool"]))]
pub struct Listener {
    /// Addresses with port; `*` is every address of both families. At least one. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = [["*:6443"]]))]
    pub bind: Option<Vec<String>>,
    /// Name of the pool that its connections go to. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How its connections are carried. Default: "proxy".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Most open connections, 1 to 1000000000; more wait to be accepted. Default: no limit but the daemon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_connections: Option<i64>,
    /// Silence in both directions after which a connection is closed, 1s to 168h, or "off". Default: "off".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<OrOff<Time>>,
    /// Silence of a client before TCP keepalive asks whether it is still there, whole seconds from 1s
    /// to 9h, or "off". Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<OrOff<Time>>,
    /// How long data sent to a client may stay unacknowledged, 1s to 24h, or "off" for the kernel's own
    /// limit (about 15 minutes). Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_timeout: Option<OrOff<Time>>,
    /// Write a log line when a connection ends. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
}

/// How connections are carried.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// In user space.
    Proxy,
    /// In the kernel, source rewritten; not in this version yet.
    Nat,
    /// In the kernel, answers bypass the load balancer; not in this version yet.
    Direct,
}

/// A group of endpoints.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["endpoints"]))]
pub struct Pool {
    /// How connections are spread. Default: "round-robin".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Name of the check that probes the endpoints. Default: none, all are believed healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The endpoints by name, each an address with port or a table. 1 to 4096, no address twice. Required.
    pub endpoints: Named<Endpoint>,
    /// Time for one attempt to connect to an endpoint, 1ms to 10m. Default: 3s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Time>,
    /// Further endpoints to try when one cannot be reached, 0 to 100. Default: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: Option<i64>,
    /// What happens to the connections of an endpoint that goes down. Default: "reset".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_down: Option<OnDown>,
    /// What happens to new connections while no endpoint is ready. Default: "refuse".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_none_ready: Option<WhenNoneReady>,
    /// Longest wait for a ready endpoint with `when-none-ready = "hold"`, 1ms to 10m. Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_limit: Option<Time>,
    /// Silence of an endpoint before TCP keepalive asks whether it is still there, whole seconds from
    /// 1s to 9h, or "off". Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<OrOff<Time>>,
    /// How long data sent to an endpoint may stay unacknowledged, 1s to 24h, or "off" for the kernel's
    /// own limit (about 15 minutes). Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_timeout: Option<OrOff<Time>>,
}

/// How connections are spread.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each in turn, by weight.
    RoundRobin,
    /// The endpoint with the fewest open connections for its weight.
    LeastConnections,
    /// The same client address goes to the same endpoint while that is ready.
    SourceHash,
    /// By a hash of the client's address and port; every node makes the same choice.
    Maglev,
    /// The less loaded of two drawn at random.
    RandomTwo,
    /// The first ready endpoint; the next only when it is full or not ready.
    First,
}

/// What happens to the connections of an endpoint that goes down.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDown {
    /// They are reset at once, so that clients reconnect.
    Reset,
    /// They go on for as long as they can.
    Keep,
}

/// What happens to new connections while no endpoint is ready.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNoneReady {
    /// They are reset at once.
    Refuse,
    /// They wait for a ready endpoint, up to `hold-limit`.
    Hold,
    /// Every enabled endpoint is treated as ready.
    TryAll,
}

/// An endpoint: an address with port, or a table.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Endpoint {
    /// Address and port, such as "211.183.3.100:6443".
    Address(String),
    /// The same with settings.
    Table(EndpointTable),
}

/// One endpoint with its settings.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["address"]))]
pub struct EndpointTable {
    /// Address and port. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["211.183.3.100:6443"]))]
    pub address: Option<String>,
    /// Share of the connections, 1 to 256. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub weight: Option<i64>,
    /// Takes connections only while no other endpoint is ready. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// Whether it may take connections. Default: "enabled".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Most open connections, 1 to 1000000000. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_connections: Option<i64>,
    /// IP address that probes go to. Default: that of `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_address: Option<String>,
    /// Port that probes go to, 1 to 65535. Default: that of `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub check_port: Option<i64>,
}

/// What the operator wishes of an endpoint.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It may take connections.
    Enabled,
    /// It gets no new connections; old ones finish.
    Drain,
    /// It gets no connections and no probes; old ones are reset.
    Disabled,
}

/// How endpoints are probed.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["plugin"]))]
pub struct Check {
    /// The plugin: the name of a standard one (such as "tcp", "http", "apiserver-healthz",
    /// "tls-handshake"), "file:PATH" or "file:PATH@sha256:HEX". Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Time from probe to probe while nothing changes, 10ms to 24h. Default: 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Time>,
    /// Time from probe to probe while a change is being confirmed, 10ms up to `interval`. Default: `interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_interval: Option<Time>,
    /// Time from probe to probe while the endpoint is down, 10ms to 24h. Default: `interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_interval: Option<Time>,
    /// Time for one probe, 1ms up to the shortest of the intervals. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
    /// Successes in a row to go up, 1 to 100. Default: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: Option<i64>,
    /// Failures in a row to go down, 1 to 100. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: Option<i64>,
    /// Settings that are handed to the plugin. Default: {}.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PluginConfig>,
    /// Speak TLS to the endpoint; {} is TLS with all defaults. Default: none, no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Most memory of one running plugin, 1MiB to 256MiB. Default: 16MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
}

/// Settings of a plugin, whatever it understands.
pub type PluginConfig = serde_json::Map<String, serde_json::Value>;

/// TLS towards an endpoint.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Tls {
    /// Verify the endpoint's certificate. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// PEM file of the authorities to trust. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Name that is asked for and verified. Default: the endpoint's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// PEM file of a client certificate; goes with `client-key`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// PEM file of the key of `client-cert`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EndpointVisitor)
    }
}

struct EndpointVisitor;

impl<'de> Visitor<'de> for EndpointVisitor {
    type Value = Endpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address with port, such as \"211.183.3.100:6443\", or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
        Ok(Endpoint::Address(text.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
        EndpointTable::deserialize(MapAccessDeserializer::new(map)).map(Endpoint::Table)
    }
}

/// A table whose keys are names, in the order of the document.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Named<T> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(String, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Named(entries))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9._-]+$" },
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}
