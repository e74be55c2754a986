//! Virtual MACs, with pairs of real daemons: what clients remember, where
//! frames go, and what is left of it.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, INTERFACE, World};
use daemon::{Daemon, NODES, VIRTUAL, count, document, echo, gains, has, hosts, loses};
use enclosed::{PATIENCE, enclosed, found, run};
use nix::sys::signal::Signal;

/// RFC 9568 §7.3, of virtual router 51.
const MAC: &str = "00:00:5e:00:01:33";
const MAC_V6: &str = "00:00:5e:00:02:33";

/// Family, VRID and the index of the interface below, which is 32.
const LINK: &str = "vr4-33-20";
const LINK_V6: &str = "vr6-33-20";

const VIRTUAL_V6: &str = "fd00:51::250";

fn with_virtual_mac() -> String {
    document("virtual-mac = true\n")
}

fn with_virtual_mac_v6() -> String {
    let router = r#"
[virtual-routers.six]
vrid = 51
addresses = ["fd00:51::250/64"]
advertisement-interval = "100ms"
virtual-mac = true
"#;
    format!("{NODES}{router}")
}

/// What every node needs, and the daemon does not touch.
fn set_arp(host: &Host, ignore: u8, announce: u8) {
    for (setting, value) in [("arp_ignore", ignore), ("arp_announce", announce)] {
        let file = format!("/proc/sys/net/ipv4/conf/{INTERFACE}/{setting}");
        host.within(|| std::fs::write(file, value.to_string())).unwrap();
    }
}

/// Two daemons on nodes that are set as they should be; the first is Active.
async fn pair(world: &mut World, document: &str) -> (Daemon, Daemon) {
    let (a, b) = hosts(world);
    for host in [&a, &b] {
        set_arp(host, 1, 2);
    }
    let daemons = (Daemon::start(&a, document), Daemon::start(&b, document));
    daemons.0.is("active").await;
    daemons.1.is("backup").await;
    daemons
}

/// The macvlan interfaces of a host.
fn macvlans(host: &Host) -> Vec<String> {
    let shown = run(host, "ip -oneline link show type macvlan");
    let name = |line: &str| line.split([' ', '@']).nth(1).unwrap().to_string();
    shown.lines().map(name).collect()
}

async fn has_no_macvlan(host: &Host) {
    found(&format!("no macvlan on {}", host.name()), async || {
        macvlans(host).is_empty().then_some(())
    })
    .await;
}

/// The host behind whose port the switch has seen frames from this MAC last.
fn seen_at(mac: &str) -> Option<String> {
    let shown = Command::new("bridge").args(["fdb", "show"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with(mac))?;
    line.split(' ').nth(2).map(str::to_string)
}

async fn moves_to(mac: &str, host: &Host) {
    found(&format!("{mac} at {}", host.name()), async || {
        (seen_at(mac)? == host.name()).then_some(())
    })
    .await;
}

/// Writes down every change of what a client remembers of its neighbours.
struct Memory {
    file: PathBuf,
    writer: Child,
}

impl Memory {
    async fn of(client: &Host) -> Self {
        let file = Path::new(FOLDER).join("neighbours");
        let output = std::fs::File::create(&file).unwrap();
        let mut monitor = Command::new("ip");
        monitor.args(["monitor", "neigh"]).stdout(output);
        let writer = client.within(|| monitor.spawn()).unwrap();
        let memory = Self { file, writer };
        found("a writer that writes", async || {
            for word in ["replace", "del"] {
                let nobody = format!("192.0.2.99 lladdr 02:00:00:00:00:99 dev {INTERFACE}");
                run(client, &format!("ip neighbour {word} {nobody}"));
            }
            (!memory.of_address("192.0.2.99").is_empty()).then_some(())
        })
        .await;
        memory
    }

    /// The MACs that an address was ever at.
    fn of_address(&self, address: &str) -> Vec<String> {
        let written = std::fs::read_to_string(&self.file).unwrap();
        let about = written
            .lines()
            .filter(|line| line.starts_with(&format!("{address} ")));
        let mut macs: Vec<String> = about
            .filter_map(|line| line.split_once("lladdr ")?.1.split(' ').next())
            .map(str::to_string)
            .collect();
        macs.dedup();
        macs
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.writer.kill();
        let _ = self.writer.wait();
    }
}

/// Talk to a virtual address until it answers.
async fn answers(client: &Host, address: &str) {
    let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 7);
    found(&format!("an answer of {address}"), async || {
        client.within(|| {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"a").ok()?;
            stream.read_exact(&mut [0]).ok()
        })
    })
    .await;
}

/// What one client sees of a failover by SIGTERM and one by SIGKILL.
async fn client_sees_one_mac(mut world: World, document: String, address: &str, mac: &str, link: &str) {
    let client = world.host("client", &["192.0.2.3/24", "fd00:51::3/64"]).unwrap();
    let (a, b) = pair(&mut world, &document).await;
    for host in [&a.host, &b.host] {
        run(
            host,
            &format!(
                "ip address add fd00:51::{}/64 dev {INTERFACE} nodad",
                host.name().len()
            ),
        );
        echo(host, "[::]:7".parse().unwrap());
    }
    let memory = Memory::of(&client).await;
    answers(&client, address).await;
    moves_to(mac, &a.host).await;
    assert_eq!(macvlans(&a.host), [link]);
    assert_eq!(macvlans(&b.host), [] as [&str; 0]);
    let a_host = a.host.clone();
    a.stop();
    b.is("active").await;
    answers(&client, address).await;
    moves_to(mac, &b.host).await;
    assert_eq!(macvlans(&a_host), [] as [&str; 0]);
    assert_eq!(macvlans(&b.host), [link]);
    // Back, and away again without a farewell.
    let a = Daemon::start(&a_host, &document);
    a.is("active").await;
    has_no_macvlan(&b.host).await;
    answers(&client, address).await;
    a.signal(Signal::SIGKILL);
    b.is("active").await;
    answers(&client, address).await;
    moves_to(mac, &b.host).await;
    loses(&a_host, address).await;
    answers(&client, address).await;
    assert_eq!(memory.of_address(address), [mac]);
}

#[test]
fn clients_remember_one_mac_whoever_is_active() {
    enclosed(async |world| {
        client_sees_one_mac(world, with_virtual_mac(), VIRTUAL, MAC, LINK).await;
    });
}

#[test]
fn clients_remember_one_mac_whoever_is_active_in_ipv6() {
    enclosed(async |world| {
        client_sees_one_mac(world, with_virtual_mac_v6(), VIRTUAL_V6, MAC_V6, LINK_V6).await;
    });
}

// RFC 9568 §7.2.
#[test]
fn advertisements_leave_from_the_virtual_mac() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        let sent = |interface: &str| {
            let shown = run(&a.host, "cat /proc/net/dev");
            let line = shown
                .lines()
                .find_map(|line| line.trim().strip_prefix(&format!("{interface}:")));
            // Packets are the second number of what is sent, after eight of what is received.
            let packets = line.unwrap().split_whitespace().nth(9).unwrap();
            packets.parse::<u64>().unwrap()
        };
        let before = (sent(LINK), count(&b.is("backup").await, "received"));
        b.router("ten more advertisements", |router| {
            count(router, "received") >= before.1 + 10
        })
        .await;
        assert!(sent(LINK) >= before.0 + 10, "{before:?}, {}", sent(LINK));
    });
}

// A macvlan that is private keeps the other's advertisements away from the
// interface below, since they come from its very MAC.
#[test]
fn two_active_after_a_partition_hear_each_other_again() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        let isolate = |word: &str| {
            for port in [&a.host, &b.host].map(Host::name) {
                let words = ["link", "set", port, "type", "bridge_slave", "isolated", word];
                assert!(Command::new("ip").args(words).status().unwrap().success());
            }
        };
        isolate("on");
        b.is("active").await;
        assert_eq!(macvlans(&a.host), [LINK]);
        assert_eq!(macvlans(&b.host), [LINK]);
        isolate("off");
        b.is("backup").await;
        a.is("active").await;
        has_no_macvlan(&b.host).await;
        // They have the same MAC, so nobody claims what is another's.
        for daemon in [&a, &b] {
            let router = daemon.router("an answer", |_| true).await;
            assert_eq!(router.counters.get("address-claimed-by-another"), None);
        }
    });
}

#[test]
fn what_is_removed_by_hand_comes_back() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        for (count, command) in [
            format!("ip address del {VIRTUAL}/24 dev {LINK}"),
            format!("ip link del {LINK}"),
            format!("ip link set {LINK} down"),
        ]
        .iter()
        .enumerate()
        {
            run(&a.host, command);
            let count = count as u64 + 1;
            a.router(command, |router| router.counters.get("put-back") == Some(&count))
                .await;
            gains(&a.host, VIRTUAL).await;
            let shown = run(&a.host, &format!("ip -oneline link show {LINK}"));
            assert!(shown.contains(",UP"), "{command}: {shown}");
        }
        let router = a.is("active").await;
        assert_eq!(router.counters["became-active"], 1);
        b.is("backup").await;
    });
}

#[test]
fn interface_of_a_former_life_is_swept_at_start() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        let host = a.host.clone();
        a.signal(Signal::SIGKILL);
        b.is("active").await;
        loses(&host, VIRTUAL).await;
        // It stays, and has nothing to answer for.
        assert_eq!(macvlans(&host), [LINK]);
        drop(a);
        // Somebody else's, which only looks similar.
        run(
            &host,
            &format!("ip link add link {INTERFACE} name vr4-34-20 type macvlan mode bridge"),
        );
        // Even when the document no longer wants any.
        let started = Daemon::start(&host, &document(""));
        started.router("an answer", |_| true).await;
        assert_eq!(macvlans(&host), ["vr4-34-20"]);
    });
}

#[test]
fn interface_of_that_name_is_replaced_when_the_backup_becomes_active() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        run(
            &b.host,
            &format!("ip link add link {INTERFACE} name {LINK} address {MAC} type macvlan mode private"),
        );
        a.stop();
        b.is("active").await;
        assert!(has(&b.host, VIRTUAL));
        let shown = run(&b.host, &format!("ip -details link show {LINK}"));
        assert!(shown.contains("mode bridge"), "{shown}");
    });
}

#[test]
fn cut_link_removes_the_interface() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &with_virtual_mac()).await;
        a.host.set_cable(false).unwrap();
        b.is("active").await;
        a.is("fault").await;
        has_no_macvlan(&a.host).await;
        a.host.set_cable(true).unwrap();
        a.is("active").await;
        b.is("backup").await;
        assert_eq!(macvlans(&a.host), [LINK]);
        has_no_macvlan(&b.host).await;
    });
}

#[test]
fn interface_has_no_ipv6_of_its_own() {
    enclosed(async |mut world| {
        let both = with_virtual_mac() + with_virtual_mac_v6().strip_prefix(NODES).unwrap();
        let (host, _) = hosts(&mut world);
        let daemon = Daemon::start(&host, &both);
        for address in [VIRTUAL, VIRTUAL_V6] {
            gains(&host, address).await;
        }
        let setting = |of: &str, setting: &str| {
            let text = run(&host, &format!("cat /proc/sys/net/ipv6/conf/{of}/{setting}"));
            text.trim().to_string()
        };
        assert_eq!(setting(LINK, "disable_ipv6"), "1");
        assert_eq!(setting(LINK_V6, "accept_ra"), "0");
        let addresses = run(&host, &format!("ip -oneline -6 address show dev {LINK_V6}"));
        assert_eq!(addresses.lines().count(), 1, "{addresses}");
        daemon.stop();
        assert_eq!(macvlans(&host), [] as [&str; 0]);
    });
}

#[test]
fn settings_that_undo_the_virtual_mac_are_named_once() {
    enclosed(async |mut world| {
        let (a, b) = hosts(&mut world);
        set_arp(&a, 0, 0);
        set_arp(&b, 1, 2);
        let daemons = [&a, &b].map(|host| Daemon::start(host, &with_virtual_mac()));
        daemons[0].is("active").await;
        daemons[1].is("backup").await;
        let warnings = |host: &Host| {
            let log =
                std::fs::read_to_string(Path::new(FOLDER).join(format!("{}.log", host.name()))).unwrap();
            let wanted = "sysctl -w net.ipv4.conf.ens32.arp_ignore=1 net.ipv4.conf.ens32.arp_announce=2";
            log.matches(wanted).count()
        };
        assert_eq!(warnings(&a), 1);
        assert_eq!(warnings(&b), 0);
    });
}
