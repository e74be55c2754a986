//! `[virtual-routers.NAME]`: RFC 9568 (version 3) and RFC 3768 (version 2).

use std::time::Duration;

use super::super::file::{self, File};
use super::super::tree::Path;
use super::super::units::Time;
use super::super::{Announce, Arp, CheckId, Node, Password, PoolId, Track, TrackSubject, VirtualRouter};
use super::report::Report;
use crate::pure::addr::{IpPrefix, ListenAddr};
use crate::pure::vrrp::{ChecksumForm, Takeover};

pub(super) fn check(file: &File, nodes: &[Node], report: &mut Report<'_>) -> Vec<VirtualRouter> {
    let table = Path::default().key("virtual-routers");
    let no_nodes = file.nodes.is_empty() && !report.was_refused(&Path::default().key("nodes"));
    if no_nodes && !file.virtual_routers.is_empty() {
        report.wrong_key(
            &table,
            "the document has no nodes, so nobody can hold the virtual addresses",
            "add [nodes.NAME] with address and interface for every load balancer",
        );
    }
    let mut routers: Vec<VirtualRouter> = Vec::new();
    for (name, written) in file.virtual_routers.iter() {
        let path = table.key(name);
        report.name(&path, name);
        let router = router(name, written, file, &path, report);
        refuse_clashes(&router, written, &routers, &path, report);
        refuse_strangers(&router, nodes, &path, report);
        routers.push(router);
    }
    warn_of_owners_of_nothing(nodes, &routers, report);
    routers
}

fn router(
    name: &str,
    written: &file::VirtualRouter,
    file: &File,
    path: &Path,
    report: &mut Report<'_>,
) -> VirtualRouter {
    if written.vrid.is_none() {
        report.missing(
            path,
            "vrid",
            "add a number from 1 to 255 that nobody else on the link uses, such as vrid = 51",
        );
    }
    let version = report
        .optional_number(&path.key("version"), written.version, 2, 3)
        .unwrap_or(3);
    let addresses = addresses(written, path, report);
    refuse_ipv6_in_version_2(version, &addresses, path, report);
    let preempt = written.preempt.unwrap_or(true);
    let delay_path = path.key("preempt-delay");
    let preempt_delay = report.time(&delay_path, written.preempt_delay, Duration::ZERO, PREEMPT_DELAY);
    if !preempt && !preempt_delay.is_zero() {
        report.warn(&delay_path, "has no effect with preempt = false", "");
    }
    VirtualRouter {
        name: name.to_string(),
        vrid: report
            .optional_number(&path.key("vrid"), written.vrid, 1, 255)
            .unwrap_or(0),
        addresses,
        version,
        advertisement_interval: advertisement_interval(written, version, path, report),
        password: password(written, version, path, report),
        unicast: written.unicast.unwrap_or(false),
        virtual_mac: virtual_mac(written, path, report),
        preempt,
        preempt_delay,
        accept: accept(written, path, report),
        interface: interface(written, path, report),
        takeover: match written.takeover {
            None | Some(file::Takeover::Ranked) => Takeover::Ranked,
            Some(file::Takeover::Rfc) => Takeover::Rfc,
        },
        checksum: checksum(written, version, path, report),
        sync: sync(written, path, report),
        announce: announce(written.announce.as_ref(), path, report),
        track: tracks(written, file, path, report),
    }
}

const PREEMPT_DELAY: (Time, Time) = (Time(Duration::ZERO), Time(Duration::from_secs(3600)));

fn addresses(written: &file::VirtualRouter, path: &Path, report: &mut Report<'_>) -> Vec<IpPrefix> {
    let path_of_all = path.key("addresses");
    let help = "add the virtual addresses, such as addresses = [\"211.183.3.250/24\"]";
    let Some(texts) = &written.addresses else {
        report.missing(path, "addresses", help);
        return Vec::new();
    };
    if texts.is_empty() && !report.was_refused(&path_of_all) {
        report.wrong(&path_of_all, "a virtual router needs at least one address", help);
    }
    let mut addresses: Vec<IpPrefix> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let path = path_of_all.index(index);
        let Some(prefix) = report.parsed::<IpPrefix>(&path, text, "a virtual address") else {
            continue;
        };
        if !report.unicast(&path, prefix.ip) {
            continue;
        }
        if addresses.iter().any(|other| other.ip == prefix.ip) {
            report.wrong(
                &path,
                format!("{} is in the list already", prefix.ip),
                "remove one of the two",
            );
        }
        if addresses
            .first()
            .is_some_and(|first| first.ip.is_ipv4() != prefix.ip.is_ipv4())
        {
            report.wrong(
                &path,
                format!("{} is of another family than {}", prefix.ip, addresses[0].ip),
                "a virtual router carries IPv4 or IPv6; write a second one for the other (it may have the same vrid)",
            );
            continue;
        }
        addresses.push(prefix);
    }
    refuse_too_many(&addresses, &path_of_all, report);
    addresses
}

/// The count is one byte (RFC 9568 §5.2.5), and the packet must fit a link of
/// 1500 bytes.
fn refuse_too_many(addresses: &[IpPrefix], path: &Path, report: &mut Report<'_>) {
    let most = if addresses.first().is_some_and(|first| first.ip.is_ipv6()) {
        90
    } else {
        255
    };
    if addresses.len() > most {
        report.wrong(
            path,
            format!(
                "{} addresses do not fit into one advertisement, at most {most} do",
                addresses.len()
            ),
            "spread them over several virtual routers",
        );
    }
}

fn refuse_ipv6_in_version_2(version: u8, addresses: &[IpPrefix], path: &Path, report: &mut Report<'_>) {
    if version == 2 && addresses.first().is_some_and(|first| first.ip.is_ipv6()) {
        report.wrong(
            &path.key("version"),
            "VRRP version 2 knows only IPv4",
            "leave `version` out, or write version = 3",
        );
    }
}

/// Version 2: whole seconds in one byte (RFC 3768 §5.3.7). Version 3: 1 to 4095
/// centiseconds (RFC 9568 §5.2.7).
fn advertisement_interval(
    written: &file::VirtualRouter,
    version: u8,
    path: &Path,
    report: &mut Report<'_>,
) -> Duration {
    let path = path.key("advertisement-interval");
    let second = Duration::from_secs(1);
    let Some(value) = written.advertisement_interval else {
        return second;
    };
    if version == 2 {
        let mut range = (Time(second), Time(Duration::from_secs(255)));
        if value.0.subsec_nanos() > 0 {
            let help = "write whole seconds from 1s to 4m15s, or use version = 3 everywhere";
            report.wrong(
                &path,
                format!("VRRP version 2 cannot say {value}, only whole seconds"),
                help,
            );
            range.0 = Time(Duration::ZERO);
        }
        return report.time(&path, Some(value), second, range);
    }
    if !value.0.as_millis().is_multiple_of(10) {
        let help = "write a multiple of 10ms from 10ms to 40s950ms";
        report.wrong(
            &path,
            format!("VRRP cannot say {value}, only steps of 10ms"),
            help,
        );
        return value.0;
    }
    report.time(
        &path,
        Some(value),
        second,
        (
            Time(Duration::from_millis(10)),
            Time(Duration::from_millis(40_950)),
        ),
    )
}

/// RFC 9568 §6.1 Accept_Mode.
fn accept(written: &file::VirtualRouter, path: &Path, report: &mut Report<'_>) -> bool {
    if written.accept == Some(false) {
        report.wrong(
            &path.key("accept"),
            "a load balancer that does not accept packets to the virtual address balances nothing",
            "remove `accept`",
        );
    }
    true
}

fn sync(written: &file::VirtualRouter, path: &Path, report: &mut Report<'_>) -> Option<String> {
    report
        .filled(&path.key("sync"), &written.sync)
        .map(str::to_string)
}

/// After a takeover: at once, and again for those that missed it, as a switch
/// does whose port forwards late.
const ANNOUNCE_AFTER: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
const LONGEST_AFTER: Time = Time(Duration::from_secs(300));
const REFRESH: Duration = Duration::from_secs(60);
const REFRESH_RANGE: (Time, Time) = (Time(Duration::from_secs(1)), Time(Duration::from_secs(24 * 3600)));

fn announce(written: Option<&file::Announce>, path: &Path, report: &mut Report<'_>) -> Announce {
    let path = path.key("announce");
    let after = match written.and_then(|written| written.after.as_ref()) {
        None => ANNOUNCE_AFTER.to_vec(),
        Some(times) => announce_after(times, &path.key("after"), report),
    };
    let refresh = written.and_then(|written| written.refresh);
    Announce {
        after,
        refresh: report.time_or_off(&path.key("refresh"), refresh, Some(REFRESH), REFRESH_RANGE),
        arp: match written.and_then(|written| written.arp) {
            None | Some(file::Arp::Request) => Arp::Request,
            Some(file::Arp::Reply) => Arp::Reply,
            Some(file::Arp::Both) => Arp::Both,
        },
    }
}

fn announce_after(times: &[Time], path: &Path, report: &mut Report<'_>) -> Vec<Duration> {
    if times.is_empty() || times.len() > 16 {
        report.wrong(
            path,
            format!("{} times are not 1 to 16", times.len()),
            "write some, such as after = [\"0s\", \"100ms\", \"1s\"], or leave `after` out",
        );
    }
    for (index, pair) in times.windows(2).enumerate() {
        if pair[1] <= pair[0] {
            report.wrong(
                &path.index(index + 1),
                format!("{} is not after {}", pair[1], pair[0]),
                "write the times in ascending order",
            );
        }
    }
    let range = (Time(Duration::ZERO), LONGEST_AFTER);
    let times = times.iter().enumerate();
    times
        .map(|(index, time)| report.time(&path.index(index), Some(*time), Duration::ZERO, range))
        .collect()
}

fn interface(written: &file::VirtualRouter, path: &Path, report: &mut Report<'_>) -> Option<String> {
    let name = written.interface.clone()?;
    let place = path.key("interface");
    report.interface(&place, &name);
    if written.unicast == Some(true) {
        report.wrong_key(
            &place,
            "unicast goes to the nodes' own addresses, which are on the nodes' own interfaces",
            "remove `interface`, or remove `unicast` to use multicast",
        );
    }
    Some(name)
}

/// RFC 9568 §7.2: advertisements have it as their source, so that switches
/// learn it; it knows no unicast.
fn virtual_mac(written: &file::VirtualRouter, path: &Path, report: &mut Report<'_>) -> bool {
    let wanted = written.virtual_mac.unwrap_or(false);
    if wanted && written.unicast == Some(true) {
        report.wrong_key(
            &path.key("virtual-mac"),
            "advertisements from the virtual MAC are multicast, and networks that want unicast seldom allow a second MAC",
            "remove `virtual-mac`, or remove `unicast` to use multicast",
        );
    }
    wanted
}

fn checksum(
    written: &file::VirtualRouter,
    version: u8,
    path: &Path,
    report: &mut Report<'_>,
) -> Option<ChecksumForm> {
    let form = match written.checksum? {
        file::Checksum::Auto => None,
        file::Checksum::Rfc5798 => Some(ChecksumForm::PseudoHeader),
        file::Checksum::Rfc9568 => Some(ChecksumForm::MessageOnly),
    };
    if version == 2 && form.is_some() {
        report.warn(
            &path.key("checksum"),
            "has no effect in version 2, which has one way",
            "",
        );
    }
    form
}

fn password(
    written: &file::VirtualRouter,
    version: u8,
    path: &Path,
    report: &mut Report<'_>,
) -> Option<Password> {
    let authentication = written.authentication.as_ref()?;
    let path = path.key("authentication");
    if version == 3 {
        report.wrong_key(
            &path,
            "VRRP version 3 has no authentication",
            "remove `authentication`, or write version = 2 for routers that ask for a password",
        );
    }
    if authentication.pass.is_some() && authentication.pass_file.is_some() {
        report.wrong_key(
            &path.key("pass-file"),
            "the password is in the document already",
            "remove `pass`, or remove `pass-file`",
        );
    }
    if let Some(file) = report.file(&path.key("pass-file"), &authentication.pass_file) {
        return Some(Password::File(file));
    }
    let Some(pass) = &authentication.pass else {
        if authentication.pass_file.is_none() && !report.was_refused(&path.key("pass-file")) {
            report.missing(
                &path,
                "pass",
                "write authentication = { pass = \"…\" } with 1 to 8 bytes, or pass-file = \"PATH\", or remove `authentication`",
            );
        }
        return None;
    };
    if pass.is_empty() || pass.len() > 8 {
        let help = "write 1 to 8 bytes; keepalived cuts longer passwords at 8 without a word";
        report.wrong(
            &path.key("pass"),
            format!("a password of {} bytes does not fit", pass.len()),
            help,
        );
    }
    Some(Password::Text(pass.clone()))
}

fn refuse_clashes(
    router: &VirtualRouter,
    written: &file::VirtualRouter,
    others: &[VirtualRouter],
    path: &Path,
    report: &mut Report<'_>,
) {
    let ipv4 = |router: &VirtualRouter| router.addresses.first().map(|first| first.ip.is_ipv4());
    let family = if ipv4(router) == Some(true) {
        "IPv4"
    } else {
        "IPv6"
    };
    let same = |other: &&VirtualRouter| other.vrid == router.vrid && ipv4(other) == ipv4(router);
    if let Some(other) = others.iter().find(same)
        && ipv4(router).is_some()
        && router.vrid > 0
    {
        report.wrong(
            &path.key("vrid"),
            format!(
                "virtual router {:?} has vrid {} for {family} already",
                other.name, router.vrid
            ),
            "give each virtual router of one family a vrid of its own",
        );
    }
    for (index, text) in written.addresses.iter().flatten().enumerate() {
        let Ok(prefix) = text.parse::<IpPrefix>() else {
            continue;
        };
        let has = |other: &&VirtualRouter| other.addresses.iter().any(|address| address.ip == prefix.ip);
        if let Some(other) = others.iter().find(has) {
            report.wrong(
                &path.key("addresses").index(index),
                format!(
                    "{} is an address of virtual router {:?} already",
                    prefix.ip, other.name
                ),
                "an address belongs to one virtual router",
            );
        }
    }
}

/// What nodes and addresses must be to each other.
fn refuse_strangers(router: &VirtualRouter, nodes: &[Node], path: &Path, report: &mut Report<'_>) {
    for (index, prefix) in router.addresses.iter().enumerate() {
        let Some(node) = nodes.iter().find(|node| node.address == prefix.ip) else {
            continue;
        };
        // RFC 9568 §6.1: the owner's priority is 255.
        if node.priority != 255 {
            report.wrong(
                &path.key("addresses").index(index),
                format!(
                    "{} is the own address of node {:?}, whose priority is {}",
                    prefix.ip, node.name, node.priority
                ),
                format!(
                    "write an address that no node has, or give node {:?} priority 255 as the owner",
                    node.name
                ),
            );
        } else if router.virtual_mac {
            report.wrong_key(
                &path.key("virtual-mac"),
                format!(
                    "{} is the own address of node {:?}, whose interface answers for it with its own MAC",
                    prefix.ip, node.name
                ),
                "remove `virtual-mac`, or write addresses that no node has",
            );
        }
    }
    if !router.unicast {
        return;
    }
    let Some(first) = router.addresses.first() else {
        return;
    };
    if let Some(node) = nodes
        .iter()
        .find(|node| node.address.is_ipv4() != first.ip.is_ipv4())
    {
        report.wrong(
            &path.key("unicast"),
            format!(
                "{} cannot be advertised to {}, the address of node {:?}",
                first.ip, node.address, node.name
            ),
            "unicast needs nodes with addresses of the same family; remove `unicast` to use multicast",
        );
    } else if nodes.len() == 1 {
        report.warn(
            &path.key("unicast"),
            "with one node there is nobody to advertise to",
            "",
        );
    }
}

fn warn_of_owners_of_nothing(nodes: &[Node], routers: &[VirtualRouter], report: &mut Report<'_>) {
    for node in nodes.iter().filter(|node| node.priority == 255) {
        let owns = routers
            .iter()
            .flat_map(|router| &router.addresses)
            .any(|address| address.ip == node.address);
        if !owns && !routers.is_empty() {
            report.warn(
                &Path::default().key("nodes").key(&node.name).key("priority"),
                "priority 255 is for the owner of a virtual address, which this node is not",
                "write a priority from 1 to 254",
            );
        }
    }
}

fn tracks(written: &file::VirtualRouter, file: &File, path: &Path, report: &mut Report<'_>) -> Vec<Track> {
    let path = path.key("track");
    let tracks = written.track.iter().flatten().enumerate();
    tracks
        .filter_map(|(index, track)| {
            let path = path.index(index);
            let weight = report.optional_number(&path.key("weight"), track.weight, -254, -1);
            let subject = subject(track, file, &path, report)?;
            Some(Track { subject, weight })
        })
        .collect()
}

fn probed_port(track: &file::Track, file: &File, path: &Path, report: &mut Report<'_>) -> u16 {
    if track.port.is_some() {
        let port = report.optional_number(&path.key("port"), track.port, 1, 65_535);
        return port.unwrap_or(0);
    }
    let first = file.listeners.iter().next();
    let bind = first.and_then(|(_, listener)| listener.bind.as_ref()?.first()?.parse::<ListenAddr>().ok());
    bind.map_or_else(
        || {
            report.missing(
                path,
                "port",
                "without listeners, say which port of the node is probed, such as port = 6443",
            );
            0
        },
        |bind| bind.port,
    )
}

fn subject(track: &file::Track, file: &File, path: &Path, report: &mut Report<'_>) -> Option<TrackSubject> {
    let keys = [
        ("pool", &track.pool),
        ("interface", &track.interface),
        ("check", &track.check),
        ("file", &track.file),
    ];
    let mut written = keys
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let Some((key, name)) = written.next() else {
        if !report.was_refused(path) {
            let help = "write one of `pool`, `interface`, `check` and `file`, such as { pool = \"apiserver\", weight = -50 }";
            report.wrong(path, "this says nothing to track", help);
        }
        return None;
    };
    if let Some((second, _)) = written.next() {
        report.wrong_key(
            &path.key(second),
            format!("one entry of `track` watches one thing, and this has `{key}` already"),
            "write an entry for each",
        );
    }
    if key != "check" && track.port.is_some() {
        report.wrong_key(&path.key("port"), "only a `check` probes a port", "remove `port`");
    }
    let place = path.key(key);
    Some(match key {
        "pool" => TrackSubject::Pool(PoolId(report.reference(
            &place,
            name,
            "pools",
            file.pools.iter().map(|(n, _)| n),
        ))),
        "check" => TrackSubject::Check {
            check: CheckId(report.reference(&place, name, "checks", file.checks.iter().map(|(n, _)| n))),
            port: probed_port(track, file, path, report),
        },
        "interface" => {
            report.interface(&place, name);
            TrackSubject::Interface(name.to_string())
        }
        _ => TrackSubject::File(report.file(&place, &track.file).unwrap_or_default()),
    })
}
