//! The rooms that speak to the kernel, against the kernel: each test has its
//! own machines on its own Ethernet.

#[path = "support/enclosed.rs"]
mod enclosed;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use catamaran::commands::lab::world::{Host, INTERFACE, World};
use catamaran::pure::addr::IpPrefix;
use catamaran::shell::netlink::{
    ArpSettings, Change, Lifetime, Link, Macvlan, Monitor, Netlink, arp_settings,
};
use catamaran::shell::vrrp::{
    AddressWitness, AdvertisementSocket, Announcer, ArpOperation, Claim, Family, LARGEST, Mode, Received,
    forwards, gratuitous_arp, unsolicited_advertisement,
};
use enclosed::{PATIENCE, at, enclosed, found, run};
use tokio::time::timeout;

const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
const GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

/// A virtual address of each family.
const VIRTUAL_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 250);
const VIRTUAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x250);

/// Nobody's hardware address: locally administered.
const STRANGE_MAC: [u8; 6] = [0x02, 0, 0x5e, 0x10, 0, 0x0a];

fn prefix(text: &str) -> IpPrefix {
    text.parse().unwrap()
}

fn virtual_prefixes() -> [IpPrefix; 2] {
    [prefix("192.0.2.250/24"), prefix("2001:db8::250/64")]
}

fn seconds(seconds: u64) -> Lifetime {
    Lifetime::at_least(Duration::from_secs(seconds))
}

/// A host with the usual addresses, what tells about it, and its interface.
struct Machine {
    host: Host,
    netlink: Netlink,
    monitor: Monitor,
    index: u32,
}

impl Machine {
    async fn new(world: &mut World, name: &str, number: u8) -> Self {
        let addresses = [format!("192.0.2.{number}/24"), format!("2001:db8::{number:x}/64")];
        let host = world
            .host(name, &addresses.each_ref().map(String::as_str))
            .unwrap();
        let monitor = at(&host, Monitor::subscribe).unwrap();
        let netlink = at(&host, Netlink::connect).unwrap();
        let index = netlink.link(INTERFACE).await.unwrap().unwrap().state.index;
        let machine = Self {
            host,
            netlink,
            monitor,
            index,
        };
        found("a port that forwards", async || {
            machine.is_plugged_in().await.then_some(())
        })
        .await;
        machine
    }

    /// Both ends of the cable are ready, which the kernel gets to in its own time.
    async fn is_plugged_in(&self) -> bool {
        let port = Command::new("ip")
            .args(["-details", "link", "show", self.host.name()])
            .output()
            .unwrap();
        let forwards = String::from_utf8_lossy(&port.stdout).contains("state forwarding");
        forwards && self.link().await.state.carrier
    }

    async fn link(&self) -> Link {
        self.netlink.link(INTERFACE).await.unwrap().unwrap()
    }

    fn mac(&self) -> [u8; 6] {
        let shown = run(&self.host, &format!("ip -oneline link show {INTERFACE}"));
        mac_after("link/ether", &shown)
    }

    /// The link-local address, as soon as it can be used.
    async fn link_local(&self) -> Ipv6Addr {
        found("a link-local address", async || self.link().await.link_local).await
    }

    /// The addresses with our mark.
    async fn ours(&self) -> Vec<IpPrefix> {
        let addresses = self.link().await.addresses;
        let ours = addresses.iter().filter(|address| address.ours);
        ours.map(|address| address.prefix).collect()
    }

    /// Read changes until `wanted` says yes to one.
    async fn change<T>(&mut self, mut wanted: impl FnMut(&Change) -> Option<T>) -> T {
        let look = async {
            loop {
                if let Some(found) = wanted(&self.monitor.next().await.unwrap()) {
                    return found;
                }
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(found) => found,
            Err(_) => panic!("never told; now {}", run(&self.host, "ip address")),
        }
    }

    async fn gone(&mut self, wanted: IpAddr) {
        let here = self.index;
        self.change(|change| match change {
            Change::AddressGone { index, ip } => (*index == here && *ip == wanted).then_some(()),
            _ => None,
        })
        .await;
    }

    async fn carrier(&mut self, wanted: bool) {
        self.change(|change| match change {
            Change::LinkChanged(state) => (state.name == INTERFACE && state.carrier == wanted).then_some(()),
            _ => None,
        })
        .await;
    }

    fn socket(&self, family: Family, mode: Mode) -> AdvertisementSocket {
        at(&self.host, || {
            AdvertisementSocket::open(INTERFACE, self.index, family, mode)
        })
        .unwrap()
    }

    fn announcer(&self) -> Announcer {
        at(&self.host, || Announcer::open(self.index)).unwrap()
    }

    fn witness(&self, addresses: &[IpAddr]) -> AddressWitness {
        at(&self.host, || {
            AddressWitness::open(INTERFACE, self.index, addresses)
        })
        .unwrap()
    }
}

/// The hardware address that stands behind a word.
fn mac_after(word: &str, text: &str) -> [u8; 6] {
    let mac = text.split_whitespace().skip_while(|found| *found != word).nth(1);
    let bytes = mac
        .unwrap()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap());
    bytes.collect::<Vec<_>>().try_into().unwrap()
}

async fn received<'b>(socket: &AdvertisementSocket, buffer: &'b mut [u8]) -> Received<'b> {
    let received = timeout(PATIENCE, socket.receive(buffer)).await;
    received.expect("an advertisement arrives").unwrap()
}

async fn claim(witness: &AddressWitness) -> Claim {
    let claim = timeout(PATIENCE, witness.next()).await;
    claim.expect("a claim is heard").unwrap()
}

// Netlink.

#[test]
fn virtual_address_left_alone_goes_away_by_itself() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        let began = Instant::now();
        for address in virtual_prefixes() {
            machine
                .netlink
                .add_address(machine.index, address, seconds(1))
                .await
                .unwrap();
        }
        assert_eq!(machine.ours().await, virtual_prefixes());
        // Which of them goes first is not said.
        let mut left = virtual_prefixes().map(|address| address.ip).to_vec();
        machine
            .change(|change| {
                if let Change::AddressGone { ip, .. } = change {
                    left.retain(|left| left != ip);
                }
                left.is_empty().then_some(())
            })
            .await;
        assert!(
            began.elapsed() >= Duration::from_millis(900),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(machine.ours().await, []);
    });
}

#[test]
fn renewed_virtual_address_outlives_its_lifetime() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            for address in virtual_prefixes() {
                machine
                    .netlink
                    .add_address(machine.index, address, seconds(2))
                    .await
                    .unwrap();
            }
            assert_eq!(machine.ours().await, virtual_prefixes());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert_eq!(machine.ours().await, virtual_prefixes());
    });
}

#[test]
fn virtual_address_is_marked_and_keeps_out_of_the_way() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let routes = ["ip -4 route show", "ip -6 route show"];
        let before = routes.map(|show| run(&machine.host, show));
        let elsewhere = [prefix("198.51.100.9/24"), prefix("2001:db8:1::9/64")];
        for address in elsewhere {
            machine
                .netlink
                .add_address(machine.index, address, seconds(60))
                .await
                .unwrap();
        }
        // An own route to the prefix would lead away from the real way there.
        assert_eq!(routes.map(|show| run(&machine.host, show)), before);
        let shown = run(&machine.host, &format!("ip -oneline address show {INTERFACE}"));
        let line = |ip: &str| shown.lines().find(|line| line.contains(ip)).unwrap();
        assert!(!line("198.51.100.9").contains(" brd "), "{shown}");
        assert!(line("2001:db8:1::9").contains("deprecated"), "{shown}");
        assert!(!line("2001:db8:1::9").contains("tentative"), "{shown}");
        assert!(line("198.51.100.9").contains("scope global"), "{shown}");
    });
}

#[test]
fn marked_addresses_are_ours_alone() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        assert_eq!(machine.netlink.marked_addresses().await.unwrap(), []);
        for address in virtual_prefixes() {
            machine
                .netlink
                .add_address(machine.index, address, seconds(60))
                .await
                .unwrap();
        }
        // Loopback, too.
        let loopback = prefix("203.0.113.1/32");
        machine
            .netlink
            .add_address(1, loopback, seconds(60))
            .await
            .unwrap();
        let mut marked = machine.netlink.marked_addresses().await.unwrap();
        marked.sort();
        let [v4, v6] = virtual_prefixes();
        assert_eq!(marked, [(1, loopback), (machine.index, v4), (machine.index, v6)]);
        // Another life finds them all the same.
        let successor = at(&machine.host, Netlink::connect).unwrap();
        for (index, address) in marked {
            successor.remove_address(index, address).await.unwrap();
        }
        assert_eq!(machine.netlink.marked_addresses().await.unwrap(), []);
        let link = machine.link().await;
        assert_eq!(link.primary, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(
            link.addresses
                .iter()
                .any(|address| address.prefix == prefix("2001:db8::1/64"))
        );
    });
}

#[test]
fn removing_what_is_not_there_is_harmless() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        for address in virtual_prefixes() {
            for index in [machine.index, 1, 4711] {
                machine.netlink.remove_address(index, address).await.unwrap();
            }
        }
    });
}

#[test]
fn refused_address_names_itself_and_the_interface() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let add = async |index, address| {
            let added = machine
                .netlink
                .add_address(index, prefix(address), seconds(1))
                .await;
            added.unwrap_err()
        };
        let error = add(4711, "192.0.2.250/24").await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .starts_with("cannot add 192.0.2.250/24 to interface 4711: "),
            "{error}"
        );
        // No address that an interface could have.
        let error = add(machine.index, "ff02::1/128").await;
        assert!(
            error.to_string().starts_with("cannot add ff02::1/128 to ens32: "),
            "{error}"
        );
    });
}

#[test]
fn interface_is_described_with_what_it_has() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let link_local = machine.link_local().await;
        let link = machine.link().await;
        assert_eq!(link.state.name, INTERFACE);
        assert_eq!(link.state.mac, Some(machine.mac()));
        assert!(link.state.up && link.state.carrier);
        assert_eq!(link.primary, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(link_local.is_unicast_link_local());
        assert_eq!(machine.netlink.link("eth7").await.unwrap(), None);
        let loopback = machine.netlink.link("lo").await.unwrap().unwrap();
        assert_eq!((loopback.state.mac, loopback.primary), (None, None));
    });
}

#[test]
fn monitor_tells_of_an_address_removed_by_hand() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        for address in virtual_prefixes() {
            machine
                .netlink
                .add_address(machine.index, address, seconds(60))
                .await
                .unwrap();
            run(
                &machine.host,
                &format!("ip address del {address} dev {INTERFACE}"),
            );
            machine.gone(address.ip).await;
        }
    });
}

#[test]
fn monitor_tells_of_foreign_addresses_only_and_when_they_can_be_used() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        let (index, link_local) = (machine.index, machine.link_local().await);
        let [ours, _] = virtual_prefixes();
        machine
            .netlink
            .add_address(index, ours, seconds(60))
            .await
            .unwrap();
        let by_hand = prefix("192.0.2.7/24");
        run(
            &machine.host,
            &format!("ip address add {by_hand} dev {INTERFACE}"),
        );
        let mut added = Vec::new();
        machine
            .change(|change| {
                if let Change::AddressAdded { ip, .. } = change {
                    added.push(*ip);
                }
                added.contains(&by_hand.ip).then_some(())
            })
            .await;
        // The host's own address may be told of late, or was there before.
        added.retain(|ip| ![IpAddr::V6(link_local), by_hand.ip].contains(ip));
        let own: Vec<_> = machine.link().await.addresses;
        let is_own = |ip: &IpAddr| own.iter().any(|one| one.prefix.ip == *ip && !one.ours);
        assert!(added.iter().all(is_own), "{added:?}");
    });
}

#[test]
fn monitor_tells_of_a_pulled_cable_and_of_a_removed_interface() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        machine.host.set_cable(false).unwrap();
        machine.carrier(false).await;
        let state = machine.link().await.state;
        assert!(state.up && !state.carrier);
        machine.host.set_cable(true).unwrap();
        machine.carrier(true).await;
        run(&machine.host, &format!("ip link set {INTERFACE} down"));
        machine.carrier(false).await;
        assert!(!machine.link().await.state.up);
        run(&machine.host, &format!("ip link del {INTERFACE}"));
        let gone = machine
            .change(|change| match change {
                Change::LinkGone { index } => Some(*index),
                _ => None,
            })
            .await;
        assert_eq!(gone, machine.index);
    });
}

#[test]
fn interface_that_leaves_a_bridge_is_not_gone() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        for command in [
            "ip link add other type bridge",
            "ip link set ens32 master other",
            "ip link set ens32 nomaster",
            "ip link del other",
        ] {
            run(&machine.host, command);
        }
        let mut gone = Vec::new();
        machine
            .change(|change| match change {
                Change::LinkGone { index } => {
                    gone.push(*index);
                    Some(())
                }
                _ => None,
            })
            .await;
        assert_eq!(gone.len(), 1);
        assert_ne!(gone[0], machine.index);
    });
}

#[test]
fn monitor_that_was_not_read_says_so_and_then_tells_what_is_new() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        let [address, _] = virtual_prefixes();
        // Each makes two messages; what may wait is a few thousand at most.
        for _ in 0..10_000 {
            machine
                .netlink
                .add_address(machine.index, address, seconds(60))
                .await
                .unwrap();
            machine
                .netlink
                .remove_address(machine.index, address)
                .await
                .unwrap();
        }
        machine
            .change(|change| (*change == Change::Overrun).then_some(()))
            .await;
        run(
            &machine.host,
            &format!("ip address add 192.0.2.7/24 dev {INTERFACE}"),
        );
        let next = timeout(PATIENCE, machine.monitor.next()).await.unwrap().unwrap();
        let expected = Change::AddressAdded {
            index: machine.index,
            ip: prefix("192.0.2.7").ip,
        };
        assert_eq!(next, expected);
    });
}

#[test]
fn macvlan_is_made_with_the_virtual_mac_and_settings_of_its_own_and_removed_once() {
    enclosed(async |mut world| {
        let mut machine = Machine::new(&mut world, "lb", 1).await;
        // RFC 9568 §7.3: of virtual router 51.
        let virtual_mac = [0x00, 0x00, 0x5e, 0x00, 0x01, 51];
        let add = || {
            machine
                .netlink
                .add_macvlan(machine.index, "vr4-33-20", virtual_mac)
        };
        let index = add().await.unwrap();
        let state = async || machine.netlink.link("vr4-33-20").await.unwrap().unwrap().state;
        let before = state().await;
        assert_eq!(
            (before.index, before.mac, before.up),
            (index, Some(virtual_mac), false)
        );
        assert_eq!(add().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        for (setting, value) in [("arp_ignore", "1"), ("rp_filter", "2")] {
            let file = format!("/proc/sys/net/ipv4/conf/vr4-33-20/{setting}");
            let found = machine.host.within(|| std::fs::read_to_string(file)).unwrap();
            assert_eq!(found.trim(), value, "{setting}");
        }
        machine.netlink.switch_on(index).await.unwrap();
        assert!(state().await.up);
        let shown = run(&machine.host, "ip -details address show vr4-33-20");
        assert!(shown.contains("macvlan mode bridge"), "{shown}");
        // A link-local address would be there at once.
        assert!(!shown.contains("inet"), "{shown}");
        let expected = Macvlan {
            index,
            name: "vr4-33-20".into(),
            mac: virtual_mac,
        };
        assert_eq!(machine.netlink.macvlans().await.unwrap(), [expected]);
        // By whichever socket.
        let apart = at(&machine.host, Netlink::connect).unwrap();
        for _ in 0..2 {
            apart.remove_link(index).await.unwrap();
        }
        machine
            .change(|change| (*change == Change::LinkGone { index }).then_some(()))
            .await;
        assert_eq!(machine.netlink.macvlans().await.unwrap(), []);
        let error = machine.netlink.switch_on(index).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn arp_settings_are_the_interfaces_or_those_of_all() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let settings = || machine.host.within(|| arp_settings(INTERFACE));
        let set = |of: &str, setting: &str, value: &str| {
            let file = format!("/proc/sys/net/ipv4/conf/{of}/{setting}");
            machine.host.within(|| std::fs::write(file, value)).unwrap();
        };
        let expected = |ignore, announce| Some(ArpSettings { ignore, announce });
        for of in ["all", INTERFACE] {
            set(of, "arp_ignore", "0");
            set(of, "arp_announce", "0");
        }
        assert_eq!(settings(), expected(0, 0));
        set(INTERFACE, "arp_ignore", "1");
        set("all", "arp_announce", "2");
        assert_eq!(settings(), expected(1, 2));
        set("all", "arp_ignore", "2");
        assert_eq!(settings(), expected(2, 2));
        assert_eq!(machine.host.within(|| arp_settings("eth7")), None);
    });
}

// Advertisements.

#[test]
fn multicast_advertisement_arrives_at_others_with_source_and_ttl() {
    enclosed(async |mut world| {
        let from = Machine::new(&mut world, "lb-a", 1).await;
        let to = Machine::new(&mut world, "lb-b", 2).await;
        let source = IpAddr::V6(from.link_local().await);
        to.link_local().await;
        for (family, source, group) in [
            (Family::V4, prefix("192.0.2.1").ip, GROUP_V4),
            (Family::V6, source, GROUP_V6),
        ] {
            let sender = from.socket(family, Mode::Multicast);
            let receiver = to.socket(family, Mode::Multicast);
            sender.send(source, group, b"advertisement").unwrap();
            let mut buffer = [0; LARGEST];
            let expected = Received {
                source,
                destination: group,
                ttl: Some(255),
                message: b"advertisement",
            };
            assert_eq!(received(&receiver, &mut buffer).await, expected);
            // Its own it does not hear.
            assert_eq!(sender.try_receive(&mut buffer).unwrap(), None);
        }
    });
}

#[test]
fn unicast_advertisement_arrives_and_the_other_mode_can_be_told() {
    enclosed(async |mut world| {
        let from = Machine::new(&mut world, "lb-a", 1).await;
        let to = Machine::new(&mut world, "lb-b", 2).await;
        for (family, source, destination, group) in [
            (Family::V4, "192.0.2.1", "192.0.2.2", GROUP_V4),
            (Family::V6, "2001:db8::1", "2001:db8::2", GROUP_V6),
        ] {
            let (source, destination) = (prefix(source).ip, prefix(destination).ip);
            let sender = from.socket(family, Mode::Unicast);
            let receivers = [Mode::Unicast, Mode::Multicast].map(|mode| to.socket(family, mode));
            let source_to_group = match family {
                Family::V4 => source,
                Family::V6 => from.link_local().await.into(),
            };
            sender.send(source_to_group, group, b"group").unwrap();
            sender.send(source, destination, b"peer").unwrap();
            let mut buffer = [0; LARGEST];
            let expected = Received {
                source,
                destination,
                ttl: Some(255),
                message: b"peer",
            };
            let [unicast, multicast] = receivers;
            assert_eq!(received(&multicast, &mut buffer).await.destination, group);
            assert_eq!(received(&multicast, &mut buffer).await, expected);
            if family == Family::V6 {
                // This machine has joined the group, so all its raw sockets have.
                assert_eq!(received(&unicast, &mut buffer).await.destination, group);
            }
            assert_eq!(received(&unicast, &mut buffer).await, expected);
        }
    });
}

#[test]
fn source_that_is_not_ours_is_refused() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let v4 = machine.socket(Family::V4, Mode::Multicast);
        let v6 = machine.socket(Family::V6, Mode::Multicast);
        assert!(v4.send(VIRTUAL_V4.into(), GROUP_V4, b"x").is_err());
        assert!(v6.send(VIRTUAL_V6.into(), GROUP_V6, b"x").is_err());
        let mixed = v4.send(VIRTUAL_V6.into(), GROUP_V4, b"x").unwrap_err();
        assert_eq!(mixed.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn all_that_waits_is_read_without_waiting() {
    enclosed(async |mut world| {
        let from = Machine::new(&mut world, "lb-a", 1).await;
        let to = Machine::new(&mut world, "lb-b", 2).await;
        let sender = from.socket(Family::V4, Mode::Multicast);
        let receiver = to.socket(Family::V4, Mode::Multicast);
        for number in 0..100 {
            sender.send(prefix("192.0.2.1").ip, GROUP_V4, &[number]).unwrap();
        }
        let mut heard: Vec<u8> = Vec::new();
        // A small buffer cuts nothing off that fits into it.
        let mut buffer = [0; 21];
        // The runtime has had no chance yet to notice that something came.
        while let Some(received) = receiver.try_receive(&mut buffer).unwrap() {
            heard.extend(received.message);
        }
        while heard.len() < 100 {
            heard.extend(received(&receiver, &mut buffer).await.message);
        }
        assert_eq!(heard, (0..100).collect::<Vec<u8>>());
        assert_eq!(receiver.try_receive(&mut buffer).unwrap(), None);
    });
}

#[test]
fn packet_that_does_not_fit_into_the_buffer_is_passed_over() {
    enclosed(async |mut world| {
        let from = Machine::new(&mut world, "lb-a", 1).await;
        let to = Machine::new(&mut world, "lb-b", 2).await;
        let sender = from.socket(Family::V4, Mode::Multicast);
        let receiver = to.socket(Family::V4, Mode::Multicast);
        for message in [&[0; 5000][..], b"fits", b""] {
            sender.send(prefix("192.0.2.1").ip, GROUP_V4, message).unwrap();
        }
        let mut buffer = [0; LARGEST];
        assert_eq!(received(&receiver, &mut buffer).await.message, b"fits");
        assert_eq!(received(&receiver, &mut buffer).await.message, b"");
    });
}

#[test]
fn advertisements_arrive_again_after_the_cable_was_pulled() {
    enclosed(async |mut world| {
        let from = Machine::new(&mut world, "lb-a", 1).await;
        let mut to = Machine::new(&mut world, "lb-b", 2).await;
        let source = IpAddr::V6(from.link_local().await);
        let sockets = [
            (Family::V4, prefix("192.0.2.1").ip, GROUP_V4),
            (Family::V6, source, GROUP_V6),
        ]
        .map(|(family, source, group)| {
            let sockets = [&from, &to].map(|machine| machine.socket(family, Mode::Multicast));
            (sockets, source, group)
        });
        to.host.set_cable(false).unwrap();
        to.carrier(false).await;
        to.host.set_cable(true).unwrap();
        to.carrier(true).await;
        for ([sender, receiver], source, group) in sockets {
            let mut buffer = [0; LARGEST];
            found("an advertisement", async || {
                sender.send(source, group, b"again").unwrap();
                receiver.try_receive(&mut buffer).unwrap().map(|_| ())
            })
            .await;
        }
    });
}

// Announcements.

#[test]
fn announcement_changes_what_the_neighbours_remember() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        let client = Machine::new(&mut world, "client", 2).await;
        client.link_local().await;
        let ours = machine.mac();
        for (ip, frame) in [
            (
                IpAddr::V4(VIRTUAL_V4),
                gratuitous_arp(ours, VIRTUAL_V4, ArpOperation::Request),
            ),
            (
                IpAddr::V4(Ipv4Addr::new(192, 0, 2, 251)),
                gratuitous_arp(ours, Ipv4Addr::new(192, 0, 2, 251), ArpOperation::Reply),
            ),
            (
                IpAddr::V6(VIRTUAL_V6),
                unsolicited_advertisement(ours, VIRTUAL_V6, false),
            ),
        ] {
            let remembered = || {
                let shown = run(&client.host, &format!("ip neighbour show {ip} dev {INTERFACE}"));
                mac_after("lladdr", &shown)
            };
            run(
                &client.host,
                &format!("ip neighbour replace {ip} lladdr 02:00:5e:10:00:0a dev {INTERFACE} nud reachable"),
            );
            assert_eq!(remembered(), STRANGE_MAC);
            machine.announcer().send(&frame).unwrap();
            found("the neighbour entry", async || {
                (remembered() == ours).then_some(())
            })
            .await;
        }
    });
}

#[test]
fn witness_hears_claims_to_the_addresses_it_watches() {
    enclosed(async |mut world| {
        let other = Machine::new(&mut world, "other", 1).await;
        let machine = Machine::new(&mut world, "lb", 2).await;
        machine.link_local().await;
        let other_v6: Ipv6Addr = "2001:db8:1::250".parse().unwrap();
        let announcer = other.announcer();
        let witnesses = [VIRTUAL_V4.into(), VIRTUAL_V6.into()].map(|ip| machine.witness(&[ip]));
        for frame in [
            gratuitous_arp(STRANGE_MAC, Ipv4Addr::new(192, 0, 2, 7), ArpOperation::Request),
            gratuitous_arp(STRANGE_MAC, VIRTUAL_V4, ArpOperation::Request),
            // Ends like the one that is watched.
            unsolicited_advertisement(STRANGE_MAC, other_v6, false),
            unsolicited_advertisement(STRANGE_MAC, VIRTUAL_V6, true),
        ] {
            announcer.send(&frame).unwrap();
        }
        for (witness, ip) in witnesses.iter().zip([VIRTUAL_V4.into(), VIRTUAL_V6.into()]) {
            let mac = STRANGE_MAC;
            assert_eq!(claim(witness).await, Claim { ip, mac });
        }
    });
}

#[test]
fn witness_hears_nothing_of_forged_hops_and_of_other_vlans() {
    enclosed(async |mut world| {
        let other = Machine::new(&mut world, "other", 1).await;
        let machine = Machine::new(&mut world, "lb", 2).await;
        machine.link_local().await;
        let announcer = other.announcer();
        let witnesses = [VIRTUAL_V4.into(), VIRTUAL_V6.into()].map(|ip| machine.witness(&[ip]));
        let mut forwarded = unsolicited_advertisement(STRANGE_MAC, VIRTUAL_V6, true);
        forwarded[21] = 254;
        let mut tagged = gratuitous_arp(STRANGE_MAC, VIRTUAL_V4, ArpOperation::Request);
        // IEEE 802.1Q: VLAN 7.
        tagged.splice(12..12, [0x81, 0x00, 0, 7]);
        let truthful = [
            gratuitous_arp(other.mac(), VIRTUAL_V4, ArpOperation::Reply),
            unsolicited_advertisement(other.mac(), VIRTUAL_V6, true),
        ];
        for frame in [forwarded, tagged].iter().chain(&truthful) {
            announcer.send(frame).unwrap();
        }
        for witness in &witnesses {
            assert_eq!(claim(witness).await.mac, other.mac());
        }
    });
}

#[test]
fn witness_hears_a_host_that_adds_the_address_and_survives_a_switched_off_interface() {
    enclosed(async |mut world| {
        let other = Machine::new(&mut world, "other", 1).await;
        let mut machine = Machine::new(&mut world, "lb", 2).await;
        let witness = machine.witness(&[VIRTUAL_V4.into()]);
        for up in ["down", "up"] {
            run(&machine.host, &format!("ip link set {INTERFACE} {up}"));
        }
        machine.carrier(true).await;
        let [v4, _] = virtual_prefixes();
        other
            .netlink
            .add_address(other.index, v4, seconds(60))
            .await
            .unwrap();
        // Who answers for it claims it, and so does who asks in its name.
        let asking = found("a claim", async || {
            run(&other.host, "ip neighbour flush all");
            let connected = other.host.within(|| {
                let socket = std::net::UdpSocket::bind((VIRTUAL_V4, 0)).unwrap();
                socket.send_to(b"x", "192.0.2.2:9").is_ok()
            });
            assert!(connected);
            timeout(Duration::from_millis(200), witness.next()).await.ok()
        })
        .await
        .unwrap();
        let mac = other.mac();
        assert_eq!(asking, Claim { ip: v4.ip, mac });
    });
}

#[test]
fn witness_watches_as_many_addresses_as_a_virtual_router_can_have() {
    enclosed(async |mut world| {
        let other = Machine::new(&mut world, "other", 1).await;
        let machine = Machine::new(&mut world, "lb", 2).await;
        machine.link_local().await;
        let v4: Vec<IpAddr> = (0..255).map(|n| Ipv4Addr::new(192, 0, 2, n).into()).collect();
        let v6: Vec<IpAddr> = (0..255)
            .map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into())
            .collect();
        let announcer = other.announcer();
        let (on_v4, on_v6) = (machine.witness(&v4), machine.witness(&v6));
        let last: Ipv6Addr = "2001:db8::fe".parse().unwrap();
        announcer
            .send(&gratuitous_arp(
                STRANGE_MAC,
                Ipv4Addr::new(192, 0, 2, 254),
                ArpOperation::Request,
            ))
            .unwrap();
        announcer
            .send(&unsolicited_advertisement(STRANGE_MAC, last, false))
            .unwrap();
        assert_eq!(claim(&on_v4).await.ip, v4[254]);
        assert_eq!(claim(&on_v6).await.ip, v6[254]);
    });
}

#[test]
fn forwarding_is_the_interfaces_setting() {
    enclosed(async |mut world| {
        let machine = Machine::new(&mut world, "lb", 1).await;
        assert!(!machine.host.within(|| forwards(INTERFACE)));
        let setting = "/proc/sys/net/ipv6/conf/ens32/forwarding";
        machine.host.within(|| std::fs::write(setting, "1")).unwrap();
        assert!(machine.host.within(|| forwards(INTERFACE)));
        assert!(!machine.host.within(|| forwards("eth7")));
    });
}
