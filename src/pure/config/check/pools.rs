//! `[pools.NAME]` and its endpoints.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::file::{self, EndpointTable, File};
use super::super::tree::Path;
use super::super::units::Time;
use super::super::{CheckId, Endpoint, Listener, Node, OnDown, Pool, VirtualRouter, WhenNoneReady, Wish};
use super::listeners::tcp;
use super::report::Report;
use crate::pure::balancer::Algorithm;

pub(super) fn check(file: &File, report: &mut Report<'_>) -> Vec<Pool> {
    let table = Path::default().key("pools");
    let pools = file.pools.iter();
    pools
        .map(|(name, written)| {
            let path = table.key(name);
            report.name(&path, name);
            pool(name, written, file, &path, report)
        })
        .collect()
}

fn pool(name: &str, written: &file::Pool, file: &File, path: &Path, report: &mut Report<'_>) -> Pool {
    let check = written.check.as_deref().map(|name| {
        CheckId(report.reference(
            &path.key("check"),
            name,
            "checks",
            file.checks.iter().map(|(name, _)| name),
        ))
    });
    let connect_path = path.key("connect-timeout");
    Pool {
        name: name.to_string(),
        balance: algorithm(written.balance),
        check,
        endpoints: endpoints(written, path, report),
        connect_timeout: report.time(
            &connect_path,
            written.connect_timeout,
            Duration::from_secs(3),
            ATTEMPT,
        ),
        retries: report
            .optional_number(&path.key("retries"), written.retries, 0, 100)
            .unwrap_or(2),
        on_down: match written.on_down {
            None | Some(file::OnDown::Reset) => OnDown::Reset,
            Some(file::OnDown::Keep) => OnDown::Keep,
        },
        when_none_ready: when_none_ready(written, path, report),
        tcp: tcp(written.keepalive, written.user_timeout, path, report),
    }
}

const ATTEMPT: (Time, Time) = (Time(Duration::from_millis(1)), Time(Duration::from_secs(600)));

fn algorithm(balance: Option<file::Balance>) -> Algorithm {
    match balance {
        None | Some(file::Balance::RoundRobin) => Algorithm::RoundRobin,
        Some(file::Balance::LeastConnections) => Algorithm::LeastConnections,
        Some(file::Balance::SourceHash) => Algorithm::SourceHash,
        Some(file::Balance::Maglev) => Algorithm::Maglev,
        Some(file::Balance::RandomTwo) => Algorithm::RandomTwo,
        Some(file::Balance::First) => Algorithm::First,
    }
}

fn when_none_ready(written: &file::Pool, path: &Path, report: &mut Report<'_>) -> WhenNoneReady {
    let limit_path = path.key("hold-limit");
    let limit = report.time(&limit_path, written.hold_limit, Duration::from_secs(5), ATTEMPT);
    let action = match written.when_none_ready {
        None | Some(file::WhenNoneReady::Refuse) => WhenNoneReady::Refuse,
        Some(file::WhenNoneReady::TryAll) => WhenNoneReady::TryAll,
        Some(file::WhenNoneReady::Hold) => return WhenNoneReady::Hold(limit),
    };
    if written.hold_limit.is_some() && !report.was_refused(&path.key("when-none-ready")) {
        report.wrong_key(
            &limit_path,
            "`hold-limit` means nothing unless connections are held",
            "add when-none-ready = \"hold\", or remove `hold-limit`",
        );
    }
    action
}

/// What the balancer can number.
const MOST_ENDPOINTS: usize = 4096;

fn endpoints(written: &file::Pool, path: &Path, report: &mut Report<'_>) -> Vec<Endpoint> {
    let table = path.key("endpoints");
    let help = "add at least one, such as endpoints = { master1 = \"211.183.3.100:6443\" }";
    if written.endpoints.is_empty() && !report.was_refused(&table) {
        report.wrong_key(path, "the pool has no endpoints", help);
    }
    if written.endpoints.0.len() > MOST_ENDPOINTS {
        let message = format!("{} endpoints are too many", written.endpoints.0.len());
        report.wrong_key(&table, message, format!("a pool has at most {MOST_ENDPOINTS}"));
    }
    let mut taken: HashMap<SocketAddr, &str> = HashMap::new();
    let mut endpoints = Vec::new();
    for (name, written_endpoint) in written.endpoints.iter() {
        let path = table.key(name);
        report.name(&path, name);
        let Some(endpoint) = endpoint(name, written_endpoint, &path, report) else {
            continue;
        };
        if let Some(other) = taken.insert(endpoint.address, name) {
            report.wrong(
                &address_path(report, &path),
                format!(
                    "{} is the address of endpoint {other:?} already",
                    endpoint.address
                ),
                "give an endpoint more connections with `weight`, not by writing it twice",
            );
        }
        endpoints.push(endpoint);
    }
    warn_of_nobody_in_charge(written, &endpoints, &table, report);
    endpoints
}

fn endpoint(name: &str, written: &file::Endpoint, path: &Path, report: &mut Report<'_>) -> Option<Endpoint> {
    let bare = EndpointTable::default();
    let (text, table) = match written {
        file::Endpoint::Address(text) => (Some(text), &bare),
        file::Endpoint::Table(table) => (table.address.as_ref(), table),
    };
    let settings = Endpoint {
        name: name.to_string(),
        address: UNKNOWN,
        weight: weight(table, path, report),
        backup: table.backup.unwrap_or(false),
        state: match table.state {
            None | Some(file::State::Enabled) => Wish::Enabled,
            Some(file::State::Drain) => Wish::Drain,
            Some(file::State::Disabled) => Wish::Disabled,
        },
        max_connections: report.connections(path, table.max_connections),
        probe_address: UNKNOWN,
    };
    let check_ip = table
        .check_address
        .as_ref()
        .and_then(|text| report.ip(&path.key("check-address"), text));
    let check_port = report.optional_number(&path.key("check-port"), table.check_port, 1, 65535);
    let Some(text) = text else {
        report.missing(
            path,
            "address",
            "add address and port, such as address = \"211.183.3.100:6443\"",
        );
        return None;
    };
    let address = socket(&address_path(report, path), text, report)?;
    let probe_address = SocketAddr::new(
        check_ip.unwrap_or(address.ip()),
        check_port.unwrap_or(address.port()),
    );
    Some(Endpoint {
        address,
        probe_address,
        ..settings
    })
}

/// Stands in until the address is parsed; never leaves this room.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn weight(table: &EndpointTable, path: &Path, report: &mut Report<'_>) -> u16 {
    let path = path.key("weight");
    if table.weight == Some(0) {
        report.wrong(
            &path,
            "a weight of 0 would give it no connections",
            "write state = \"drain\" to give it none, or a weight from 1 to 256",
        );
        return 1;
    }
    report.optional_number(&path, table.weight, 1, 256).unwrap_or(1)
}

fn socket(path: &Path, text: &str, report: &mut Report<'_>) -> Option<SocketAddr> {
    let example = "write an IP address and a port, such as \"211.183.3.100:6443\" or \"[fd00::100]:6443\"";
    let Ok(address) = text.parse::<SocketAddr>() else {
        let help = match text.parse::<IpAddr>() {
            Ok(ip) => format!(
                "add the port, such as {:?}",
                SocketAddr::new(ip, 6443).to_string()
            ),
            Err(_) if looks_like_a_name(text) => format!("names are not looked up; {example}"),
            Err(_) => example.to_string(),
        };
        report.wrong(path, format!("{text:?} is not an address with a port"), help);
        return None;
    };
    if address.port() == 0 {
        report.wrong(path, "there is no port 0", "write a port from 1 to 65535");
        return None;
    }
    report.unicast(path, address.ip()).then_some(address)
}

fn looks_like_a_name(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_alphabetic()) && text.matches(':').count() <= 1
}

/// The address of an endpoint is the value itself, or in its table.
fn address_path(report: &Report<'_>, path: &Path) -> Path {
    let inner = path.key("address");
    if report.tree.has(&inner) {
        inner
    } else {
        path.clone()
    }
}

fn warn_of_nobody_in_charge(
    written: &file::Pool,
    endpoints: &[Endpoint],
    table: &Path,
    report: &mut Report<'_>,
) {
    if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.state != Wish::Enabled) {
        report.warn(
            table,
            "no endpoint is enabled, so that every connection is refused",
            "",
        );
    }
    if written.check.is_some() {
        return;
    }
    for (name, endpoint) in written.endpoints.iter() {
        if let file::Endpoint::Table(endpoint) = endpoint {
            let keys = [
                ("check-address", endpoint.check_address.is_some()),
                ("check-port", endpoint.check_port.is_some()),
            ];
            for (key, _) in keys.iter().filter(|(_, written)| *written) {
                report.warn(
                    &table.key(name).key(key),
                    "has no effect, as the pool has no `check`",
                    "",
                );
            }
        }
    }
}

/// An endpoint that is one of our own listeners would carry a connection round
/// in circles until no file descriptor is left.
pub(super) fn refuse_loops(
    pools: &[Pool],
    listeners: &[Listener],
    nodes: &[Node],
    routers: &[VirtualRouter],
    report: &mut Report<'_>,
) {
    let node_of = |ip: IpAddr| {
        nodes
            .iter()
            .find(|node| node.address == ip)
            .map(|node| format!("the address of node {:?}", node.name))
    };
    let router_of = |ip: IpAddr| {
        let router = routers
            .iter()
            .find(|router| router.addresses.iter().any(|address| address.ip == ip))?;
        Some(format!("an address of virtual router {:?}", router.name))
    };
    for pool in pools {
        for endpoint in &pool.endpoints {
            let ip = endpoint.address.ip();
            let ours = node_of(ip)
                .or_else(|| router_of(ip))
                .or_else(|| ip.is_loopback().then(|| "a loopback address".into()));
            let catches = |listener: &&Listener| {
                listener.bind.iter().any(|bind| {
                    let explicit = bind.ip.is_some_and(|ip| !ip.is_unspecified());
                    bind.accepts(endpoint.address) && (explicit || ours.is_some())
                })
            };
            if let Some(listener) = listeners.iter().find(catches) {
                let path = Path::default()
                    .key("pools")
                    .key(&pool.name)
                    .key("endpoints")
                    .key(&endpoint.name);
                let why = ours.map(|ours| format!(": it is {ours}")).unwrap_or_default();
                report.wrong(
                    &address_path(report, &path),
                    format!("{} is taken by our own listener {:?}{why}", endpoint.address, listener.name),
                    "connections would go round in circles; write the address of another machine, or bind the listener to other addresses",
                );
            }
        }
    }
}
