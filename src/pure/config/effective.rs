//! [`Config`] → document, with every default written out. What this writes
//! reads back as an equal `Config`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::file::{self, File, Named, PluginConfig};
use super::source::Format;
use super::units::{OrOff, Size, Time};
use super::{
    Announce, Arp, Check, Config, Endpoint, Forwarding, Listener, OnDown, Password, PluginSource, Pool,
    Registry, Tls, Track, TrackSubject, VirtualRouter, WhenNoneReady, Wish,
};
use crate::pure::balancer::Algorithm;
use crate::pure::vrrp::{ChecksumForm, Takeover};

/// The document that says everything `config` holds. Fails only if the format
/// cannot hold it, which no document that was read can cause.
pub fn effective(config: &Config, format: Format) -> Result<String, String> {
    let file = document(config);
    match format {
        Format::Toml => toml::to_string(&file).map_err(|error| error.to_string()),
        Format::Json => {
            let text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
            Ok(text + "\n")
        }
    }
}

fn document(config: &Config) -> File {
    File {
        schema: None,
        nodes: named(&config.nodes, |node| (&node.name, self::node(node))),
        virtual_routers: named(&config.virtual_routers, |router| {
            (&router.name, self::router(router, config))
        }),
        listeners: named(&config.listeners, |listener| {
            (&listener.name, self::listener(listener, config))
        }),
        pools: named(&config.pools, |pool| (&pool.name, self::pool(pool, config))),
        checks: named(&config.checks, |check| (&check.name, self::check(check))),
        registries: named(&config.registries, |registry| {
            (&registry.host, self::registry(registry))
        }),
        daemon: file::Daemon {
            threads: config.daemon.threads.map(i64::from),
            drain_timeout: Some(Time(config.daemon.drain_timeout)),
            max_connections: config.daemon.max_connections.map(i64::from),
            plugin_cache: config.daemon.plugin_cache.as_deref().map(text),
            plugin_memory: Some(Size(config.daemon.plugin_memory)),
        },
    }
}

fn named<'a, T, F>(values: &'a [T], write: impl Fn(&'a T) -> (&'a String, F)) -> Named<F> {
    values
        .iter()
        .map(write)
        .map(|(name, value)| (name.clone(), value))
        .collect()
}

/// Paths came out of text, so nothing is lost.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn node(node: &super::Node) -> file::Node {
    file::Node {
        address: Some(node.address.to_string()),
        interface: Some(node.interface.clone()),
        priority: Some(node.priority.into()),
    }
}

fn router(router: &VirtualRouter, config: &Config) -> file::VirtualRouter {
    file::VirtualRouter {
        vrid: Some(router.vrid.into()),
        addresses: Some(router.addresses.iter().map(ToString::to_string).collect()),
        version: Some(router.version.into()),
        advertisement_interval: Some(Time(router.advertisement_interval)),
        authentication: router.password.as_ref().map(authentication),
        unicast: Some(router.unicast),
        virtual_mac: Some(router.virtual_mac),
        preempt: Some(router.preempt),
        preempt_delay: Some(Time(router.preempt_delay)),
        accept: Some(router.accept),
        interface: router.interface.clone(),
        takeover: Some(match router.takeover {
            Takeover::Ranked => file::Takeover::Ranked,
            Takeover::Rfc => file::Takeover::Rfc,
        }),
        checksum: Some(match router.checksum {
            None => file::Checksum::Auto,
            Some(ChecksumForm::PseudoHeader) => file::Checksum::Rfc5798,
            Some(ChecksumForm::MessageOnly) => file::Checksum::Rfc9568,
        }),
        sync: router.sync.clone(),
        announce: Some(announce(&router.announce)),
        track: Some(
            router
                .track
                .iter()
                .map(|track| self::track(track, config))
                .collect(),
        ),
    }
}

fn authentication(password: &Password) -> file::Authentication {
    let mut written = file::Authentication::default();
    match password {
        Password::Text(pass) => written.pass = Some(pass.clone()),
        Password::File(path) => written.pass_file = Some(text(path)),
    }
    written
}

fn announce(announce: &Announce) -> file::Announce {
    file::Announce {
        after: Some(announce.after.iter().copied().map(Time).collect()),
        refresh: or_off(announce.refresh),
        arp: Some(match announce.arp {
            Arp::Request => file::Arp::Request,
            Arp::Reply => file::Arp::Reply,
            Arp::Both => file::Arp::Both,
        }),
    }
}

fn track(track: &Track, config: &Config) -> file::Track {
    let mut written = file::Track {
        weight: track.weight.map(i64::from),
        ..file::Track::default()
    };
    match &track.subject {
        TrackSubject::Pool(id) => written.pool = Some(config.pool(*id).name.clone()),
        TrackSubject::Interface(name) => written.interface = Some(name.clone()),
        TrackSubject::Check { check, port } => {
            written.check = Some(config.check(*check).name.clone());
            written.port = Some((*port).into());
        }
        TrackSubject::File(path) => written.file = Some(text(path)),
    }
    written
}

fn listener(listener: &Listener, config: &Config) -> file::Listener {
    file::Listener {
        bind: Some(listener.bind.iter().map(ToString::to_string).collect()),
        pool: Some(config.pool(listener.pool).name.clone()),
        forwarding: Some(match listener.forwarding {
            Forwarding::Proxy => file::Forwarding::Proxy,
            Forwarding::Nat => file::Forwarding::Nat,
            Forwarding::Direct => file::Forwarding::Direct,
        }),
        max_connections: listener.max_connections.map(i64::from),
        idle_timeout: or_off(listener.idle_timeout),
        keepalive: or_off(listener.tcp.keepalive),
        user_timeout: or_off(listener.tcp.user_timeout),
        log: Some(listener.log),
    }
}

fn or_off(time: Option<Duration>) -> Option<OrOff<Time>> {
    Some(time.map(Time).into())
}

fn pool(pool: &Pool, config: &Config) -> file::Pool {
    let (when_none_ready, hold_limit) = match pool.when_none_ready {
        WhenNoneReady::Refuse => (file::WhenNoneReady::Refuse, None),
        WhenNoneReady::Hold(limit) => (file::WhenNoneReady::Hold, Some(Time(limit))),
        WhenNoneReady::TryAll => (file::WhenNoneReady::TryAll, None),
    };
    file::Pool {
        balance: Some(match pool.balance {
            Algorithm::RoundRobin => file::Balance::RoundRobin,
            Algorithm::LeastConnections => file::Balance::LeastConnections,
            Algorithm::SourceHash => file::Balance::SourceHash,
            Algorithm::Maglev => file::Balance::Maglev,
            Algorithm::RandomTwo => file::Balance::RandomTwo,
            Algorithm::First => file::Balance::First,
        }),
        check: pool.check.map(|id| config.check(id).name.clone()),
        endpoints: named(&pool.endpoints, |endpoint| {
            (&endpoint.name, self::endpoint(endpoint))
        }),
        connect_timeout: Some(Time(pool.connect_timeout)),
        retries: Some(pool.retries.into()),
        on_down: Some(match pool.on_down {
            OnDown::Reset => file::OnDown::Reset,
            OnDown::Keep => file::OnDown::Keep,
        }),
        when_none_ready: Some(when_none_ready),
        hold_limit,
        keepalive: or_off(pool.tcp.keepalive),
        user_timeout: or_off(pool.tcp.user_timeout),
    }
}

fn endpoint(endpoint: &Endpoint) -> file::Endpoint {
    let address: SocketAddr = endpoint.address;
    file::Endpoint::Table(file::EndpointTable {
        address: Some(address.to_string()),
        weight: Some(endpoint.weight.into()),
        backup: Some(endpoint.backup),
        state: Some(match endpoint.state {
            Wish::Enabled => file::State::Enabled,
            Wish::Drain => file::State::Drain,
            Wish::Disabled => file::State::Disabled,
        }),
        max_connections: endpoint.max_connections.map(i64::from),
        check_address: (endpoint.probe_address.ip() != address.ip())
            .then(|| endpoint.probe_address.ip().to_string()),
        check_port: (endpoint.probe_address.port() != address.port())
            .then(|| endpoint.probe_address.port().into()),
    })
}

fn check(check: &Check) -> file::Check {
    file::Check {
        plugin: Some(plugin(&check.plugin)),
        interval: Some(Time(check.interval)),
        fast_interval: Some(Time(check.fast_interval)),
        down_interval: Some(Time(check.down_interval)),
        timeout: Some(Time(check.timeout)),
        rise: Some(check.rise.into()),
        fall: Some(check.fall.into()),
        config: Some(serde_json::from_str::<PluginConfig>(&check.config).unwrap_or_default()),
        tls: check.tls.as_ref().map(tls),
        memory: Some(Size(check.memory)),
    }
}

fn plugin(plugin: &PluginSource) -> String {
    match plugin {
        PluginSource::Standard(name) => name.clone(),
        PluginSource::Registry(reference) => format!("oci:{reference}"),
        PluginSource::File { path, sha256: None } => format!("file:{}", text(path)),
        PluginSource::File {
            path,
            sha256: Some(digest),
        } => {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("file:{}@sha256:{hex}", text(path))
        }
    }
}

fn registry(registry: &Registry) -> file::Registry {
    file::Registry {
        plain_http: Some(registry.plain_http),
        ca: registry.ca.as_deref().map(text),
        auth_file: registry.auth_file.as_deref().map(text),
    }
}

fn tls(tls: &Tls) -> file::Tls {
    file::Tls {
        verify: Some(tls.verify),
        ca: tls.ca.as_deref().map(text),
        server_name: tls.server_name.clone(),
        client_cert: tls.client_cert.as_deref().map(text),
        client_key: tls.client_key.as_deref().map(text),
    }
}
