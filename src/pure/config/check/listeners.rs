//! `[listeners.NAME]`.

use std::time::Duration;

use super::super::file::{self, File};
use super::super::tree::Path;
use super::super::units::{OrOff, Time};
use super::super::{Forwarding, Listener, PoolId, TcpSettings};
use super::report::Report;
use crate::pure::addr::ListenAddr;

pub(super) fn check(file: &File, report: &mut Report<'_>) -> Vec<Listener> {
    let table = Path::default().key("listeners");
    let mut taken: Vec<(Path, ListenAddr)> = Vec::new();
    let mut listeners = Vec::new();
    for (name, written) in file.listeners.iter() {
        let path = table.key(name);
        report.name(&path, name);
        listeners.push(Listener {
            name: name.to_string(),
            bind: bind(written, &path, &mut taken, report),
            pool: pool(written, file, &path, report),
            forwarding: forwarding(written, &path, report),
            max_connections: report.connections(&path, written.max_connections),
            idle_timeout: report.time_or_off(&path.key("idle-timeout"), written.idle_timeout, None, IDLE),
            tcp: tcp(written.keepalive, written.user_timeout, &path, report),
            log: written.log.unwrap_or(true),
        });
    }
    listeners
}

const IDLE: (Time, Time) = (
    Time(Duration::from_secs(1)),
    Time(Duration::from_secs(168 * 3600)),
);

fn bind(
    written: &file::Listener,
    path: &Path,
    taken: &mut Vec<(Path, ListenAddr)>,
    report: &mut Report<'_>,
) -> Vec<ListenAddr> {
    let path_of_all = path.key("bind");
    let help = "add the addresses to listen on, such as bind = [\"*:6443\"]";
    let Some(texts) = &written.bind else {
        report.missing(path, "bind", help);
        return Vec::new();
    };
    if texts.is_empty() && !report.was_refused(&path_of_all) {
        report.wrong(&path_of_all, "a listener needs at least one address", help);
    }
    let mut bind = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let path = path_of_all.index(index);
        let Some(address) = report.parsed::<ListenAddr>(&path, text, "an address to listen on") else {
            continue;
        };
        if let Some((other_path, other)) = taken.iter().find(|(_, other)| other.overlaps(&address)) {
            let message = match other == &address {
                true => format!("{other_path} has {address} already"),
                false => format!("{address} overlaps {other} of {other_path}"),
            };
            report.wrong(
                &path,
                message,
                "every connection must be meant for one listener: change the port or the address",
            );
        }
        taken.push((path, address));
        bind.push(address);
    }
    bind
}

fn pool(written: &file::Listener, file: &File, path: &Path, report: &mut Report<'_>) -> PoolId {
    match &written.pool {
        Some(name) => PoolId(report.reference(
            &path.key("pool"),
            name,
            "pools",
            file.pools.iter().map(|(name, _)| name),
        )),
        None => {
            report.missing(
                path,
                "pool",
                "add the name of the pool its connections go to, such as pool = \"apiserver\"",
            );
            PoolId(0)
        }
    }
}

fn forwarding(written: &file::Listener, path: &Path, report: &mut Report<'_>) -> Forwarding {
    let (forwarding, word) = match written.forwarding {
        None | Some(file::Forwarding::Proxy) => return Forwarding::Proxy,
        Some(file::Forwarding::Nat) => (Forwarding::Nat, "nat"),
        Some(file::Forwarding::Direct) => (Forwarding::Direct, "direct"),
    };
    report.wrong(
        &path.key("forwarding"),
        format!("this version cannot forward with {word:?} yet"),
        "write \"proxy\", or leave `forwarding` out",
    );
    forwarding
}

/// The same for both sides of a connection.
pub(super) fn tcp(
    keepalive: Option<OrOff<Time>>,
    user_timeout: Option<OrOff<Time>>,
    path: &Path,
    report: &mut Report<'_>,
) -> TcpSettings {
    let default = Some(Duration::from_secs(30));
    let keepalive_path = path.key("keepalive");
    let keepalive = report.time_or_off(&keepalive_path, keepalive, default, KEEPALIVE);
    if let Some(value) = keepalive
        && value.subsec_nanos() > 0
        && value >= KEEPALIVE.0.0
    {
        let message = format!(
            "the kernel counts keepalive in whole seconds, {} is not",
            Time(value)
        );
        report.wrong(&keepalive_path, message, "write whole seconds, such as \"30s\"");
    }
    TcpSettings {
        keepalive,
        user_timeout: report.time_or_off(&path.key("user-timeout"), user_timeout, default, USER_TIMEOUT),
    }
}

const KEEPALIVE: (Time, Time) = (Time(Duration::from_secs(1)), Time(Duration::from_secs(9 * 3600)));
const USER_TIMEOUT: (Time, Time) = (Time(Duration::from_secs(1)), Time(Duration::from_secs(24 * 3600)));
