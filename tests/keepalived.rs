//! Elections with the real keepalived as the other router, as they are while a
//! cluster moves from one to the other: each pair on an Ethernet of its own.
//!
//! `cargo test --release --test keepalived -- --nocapture` shows how long each
//! takeover took.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/pair.rs"]
mod pair;

use capture::{Capture, Dissected};
use catamaran::commands::lab::world::World;
use enclosed::each_enclosed;
use installed::installed;
use pair::{End, Pair, Record, Side, Terms};

const FOUNDING_CASE: Terms = Terms {
    password: Some("1111"),
    ..Terms::PLAIN
};

const V2_UNICAST: Terms = Terms {
    unicast: true,
    ..FOUNDING_CASE
};

const V3: Terms = Terms {
    version: 3,
    ..Terms::PLAIN
};

const V3_IN_A_HURRY: Terms = Terms {
    interval_ms: 100,
    ..V3
};

const V3_UNICAST: Terms = Terms {
    unicast: true,
    ..V3_IN_A_HURRY
};

const V3_IPV6: Terms = Terms { ipv6: true, ..V3 };

const V3_IPV6_UNICAST: Terms = Terms {
    ipv6: true,
    ..V3_UNICAST
};

/// Who has the higher priority, and how it comes to its end.
const STORIES: [(Side, End); 6] = [
    (Side::Catamaran, End::Stopped),
    (Side::Catamaran, End::Killed),
    (Side::Catamaran, End::Unplugged),
    (Side::Keepalived, End::Stopped),
    (Side::Keepalived, End::Killed),
    (Side::Keepalived, End::Unplugged),
];

// The higher priority holds the address; when it ends the other one has it,
// and when it is back it has it again.

#[test]
fn v2_with_password_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, FOUNDING_CASE, story).await;
        });
    }
}

#[test]
fn v2_without_authentication_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, Terms::PLAIN, story).await;
        });
    }
}

#[test]
fn v2_unicast_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V2_UNICAST, story).await;
        });
    }
}

#[test]
fn v3_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V3, story).await;
        });
    }
}

#[test]
fn v3_in_a_hurry_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V3_IN_A_HURRY, story).await;
        });
    }
}

#[test]
fn v3_unicast_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V3_UNICAST, story).await;
        });
    }
}

#[test]
fn v3_ipv6_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V3_IPV6, story).await;
        });
    }
}

#[test]
fn v3_ipv6_unicast_fails_over_and_back() {
    if installed(&["keepalived"]) {
        each_enclosed(&STORIES, async |world, story| {
            fails_over_and_back(world, V3_IPV6_UNICAST, story).await;
        });
    }
}

#[test]
fn started_together_the_higher_priority_ends_up_with_the_address() {
    if !installed(&["keepalived"]) {
        return;
    }
    let rfc = Terms {
        takeover: "rfc",
        ..FOUNDING_CASE
    };
    let cases = [FOUNDING_CASE, rfc, V3_IPV6].map(|terms| Side::BOTH.map(|first| (terms, first)));
    each_enclosed(cases.as_flattened(), async |mut world, &(terms, first)| {
        let mut pair = Pair::new(&mut world, terms, first).await;
        pair.start_both();
        pair.is_held_by(first).await;
        let record = pair.retire().await;
        println!(
            "{first:?} first, {}: {}",
            terms.takeover,
            record.states.join(", ")
        );
        assert_nothing_odd(&record, terms, &pair);
    });
}

#[test]
fn replaced_routers_announcements_are_not_taken_for_a_dispute() {
    if !installed(&["keepalived", "tshark"]) {
        return;
    }
    // keepalived is Active before Catamaran's patience ends, and is replaced
    // while its announcements are under way.
    let terms = Terms {
        theirs_ms: Some(100),
        ..V3
    };
    let cases = [terms, Terms { ipv6: true, ..terms }];
    each_enclosed(&cases, async |mut world, &terms| {
        let capture = Capture::start().await;
        let mut pair = Pair::new(&mut world, terms, Side::Catamaran).await;
        pair.start(Side::Catamaran).await;
        pair.start(Side::Keepalived).await;
        pair.is_held_by(Side::Catamaran).await;
        let record = pair.retire().await;
        let frames = capture
            .end_after(&format!("vrrp.prio == 0 && {}", from(&pair)))
            .await;

        let [complaint] = record.complaints.as_slice() else {
            panic!("{:#?}\n{}", record.complaints, pair.story());
        };
        assert!(
            complaint.contains("has another advertisement interval"),
            "{complaint}"
        );
        for address in terms.addresses() {
            let (filter, expected) = announcement(terms, address, pair.mac());
            let sent = frames.like(&format!("{filter} && {}", from(&pair)), &expected);
            assert!((1..=BURST).contains(&sent.len()), "{} announcements", sent.len());
        }
    });
}

#[test]
fn what_is_sent_is_dissected_without_complaint() {
    if !installed(&["keepalived", "tshark"]) {
        return;
    }
    let cases = [
        FOUNDING_CASE,
        Terms::PLAIN,
        V2_UNICAST,
        V3,
        V3_IN_A_HURRY,
        V3_UNICAST,
        V3_IPV6,
        V3_IPV6_UNICAST,
    ];
    each_enclosed(&cases, async |mut world, &terms| {
        let capture = Capture::start().await;
        let mut pair = Pair::new(&mut world, terms, Side::Catamaran).await;
        pair.start(Side::Keepalived).await;
        pair.is_held_by(Side::Keepalived).await;
        pair.start(Side::Catamaran).await;
        pair.is_held_by(Side::Catamaran).await;
        pair.end(Side::Catamaran, End::Stopped).await;
        pair.is_held_by(Side::Keepalived).await;
        let frames = capture
            .end_after(&format!("vrrp.prio == 0 && {}", from(&pair)))
            .await;

        let source = pair.source(Side::Catamaran).await;
        let [active, leaves] = ["200", "0"].map(|priority| advertisement(terms, &source, priority));
        let sent = frames.like(&format!("vrrp && {}", from(&pair)), &active);
        let (last, others) = sent.split_last().unwrap();
        assert_eq!(*last, leaves);
        assert_all_are(&active, others);
        for address in terms.addresses() {
            let (filter, expected) = announcement(terms, address, pair.mac());
            assert_all_are(
                &expected,
                &frames.like(&format!("{filter} && {}", from(&pair)), &expected),
            );
        }
        let record = pair.retire().await;
        assert_nothing_odd(&record, terms, &pair);
    });
}

async fn fails_over_and_back(mut world: World, terms: Terms, &(first, end): &(Side, End)) {
    let second = first.other();
    let mut pair = Pair::new(&mut world, terms, first).await;
    pair.start(first).await;
    pair.is_held_by(first).await;
    pair.start(second).await;
    pair.end(first, end).await;
    let over = pair.is_held_by(second).await;
    pair.bring_back(first, end).await;
    let back = pair.is_held_by(first).await;
    println!(
        "{first:?} {end:?}: over in {} ms, back in {} ms",
        over.as_millis(),
        back.as_millis()
    );

    let record = pair.retire().await;
    let states: &[&str] = match (first, end) {
        (Side::Catamaran, End::Stopped) => {
            &["backup", "active", "initialize", "backup", "active", "initialize"]
        }
        (Side::Catamaran, End::Killed) => &["backup", "active", "backup", "active", "initialize"],
        (Side::Catamaran, End::Unplugged) => &["backup", "active", "fault", "backup", "active", "initialize"],
        (Side::Keepalived, _) => &["backup", "active", "backup", "initialize"],
    };
    if is_patient(terms) {
        assert_eq!(record.states, states, "{}", pair.story());
    }
    assert_nothing_odd(&record, terms, &pair);
}

/// A busy machine keeps processes waiting for some tenths of a second, which is
/// more than routers in a hurry allow each other.
fn is_patient(terms: Terms) -> bool {
    terms.interval_ms >= 1_000
}

fn assert_nothing_odd(record: &Record, terms: Terms, pair: &Pair) {
    let is_haste = |complaint: &&String| {
        complaint.contains("is active too") || complaint.contains("says to have a virtual address")
    };
    let complaints = record.complaints.iter();
    let odd: Vec<_> = complaints
        .filter(|one| is_patient(terms) || !is_haste(one))
        .collect();
    assert!(odd.is_empty(), "{odd:#?}\n{}", pair.story());
}

fn assert_all_are(expected: &Dissected, frames: &[Dissected]) {
    assert!(!frames.is_empty(), "there is none of {expected:?}");
    for frame in frames {
        assert_eq!(frame, expected);
    }
}

/// Announcements of one address when it is taken over: at once, and six times
/// in the following five seconds.
const BURST: usize = 7;

/// How Wireshark calls a checksum that is right.
const GOOD: &str = "1";

/// Finds Catamaran's frames. Errors of ICMP are not among them, since what they
/// are about is in them.
fn from(pair: &Pair) -> String {
    format!("eth.src == {} && !(icmp || icmpv6.type < 128)", pair.mac())
}

/// RFC 3768 §5, RFC 9568 §5. The precedence is keepalived's: internetwork
/// control (RFC 791 §3.1).
fn advertisement(terms: Terms, source: &str, priority: &str) -> Dissected {
    let peer_or = |group| match terms.unicast {
        true => Side::Keepalived.address(terms.ipv6),
        false => group,
    };
    let mut fields = match terms.ipv6 {
        true => vec![
            ("ipv6.src", source),
            ("ipv6.dst", peer_or("ff02::12")),
            ("ipv6.hlim", "255"),
            ("ipv6.tclass", "0x000000c0"),
        ],
        false => vec![
            ("ip.src", source),
            ("ip.dst", peer_or("224.0.0.18")),
            ("ip.ttl", "255"),
            ("ip.dsfield", "0xc0"),
            ("ip.checksum.status", GOOD),
        ],
    };
    // Whole seconds in version 2, centiseconds in version 3.
    fields.push(match (terms.version, terms.interval_ms) {
        (2, _) => ("vrrp.adver_int", "1"),
        (_, 100) => ("vrrp.short_adver_int", "10"),
        (_, _) => ("vrrp.short_adver_int", "100"),
    });
    let kind = if terms.password.is_some() { "1" } else { "0" };
    if terms.version == 2 {
        fields.extend([
            ("vrrp.auth_type", kind),
            ("vrrp.auth_string", terms.password.unwrap_or_default()),
        ]);
    }
    let addresses = terms.addresses().iter().map(|address| without_length(address));
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let list = if terms.ipv6 {
        "vrrp.ipv6_addr"
    } else {
        "vrrp.ip_addr"
    };
    fields.extend([
        ("vrrp.type", "1"),
        ("vrrp.virt_rtr_id", "51"),
        ("vrrp.prio", priority),
        (list, addresses.as_str()),
        ("vrrp.checksum.status", GOOD),
        ("_ws.expert.message", ""),
        ("_ws.malformed", ""),
    ]);
    dissected(fields)
}

/// What finds announcements of an address, and how they are to be: a gratuitous
/// ARP request, or an unsolicited advertisement to all nodes (RFC 4861 §7.2.6),
/// which is a host's as long as the machine forwards nothing.
fn announcement(terms: Terms, address: &str, mac: &str) -> (String, Dissected) {
    let address = without_length(address);
    if terms.ipv6 {
        let filter = format!("icmpv6.nd.na.target_address == {address} && ipv6.dst == ff02::1");
        let fields = vec![
            ("eth.dst", "33:33:00:00:00:01"),
            ("ipv6.src", address),
            ("ipv6.hlim", "255"),
            ("icmpv6.nd.na.flag.r", "0"),
            ("icmpv6.nd.na.flag.s", "0"),
            ("icmpv6.nd.na.flag.o", "1"),
            ("icmpv6.opt.linkaddr", mac),
            ("icmpv6.checksum.status", GOOD),
            ("_ws.expert.message", ""),
            ("_ws.malformed", ""),
        ];
        return (filter, dissected(fields));
    }
    let filter = format!("arp.isgratuitous && arp.src.proto_ipv4 == {address}");
    let fields = vec![
        ("eth.dst", "ff:ff:ff:ff:ff:ff"),
        ("arp.opcode", "1"),
        ("arp.src.hw_mac", mac),
        ("arp.dst.proto_ipv4", address),
        ("_ws.malformed", ""),
    ];
    (filter, dissected(fields))
}

fn without_length(address: &str) -> &str {
    address.split('/').next().unwrap()
}

fn dissected(fields: Vec<(&'static str, &str)>) -> Dissected {
    let owned = |(field, value): (_, &str)| (field, value.to_string());
    fields.into_iter().map(owned).collect()
}
