//! Which advertisements count (RFC 9568 §7.1, RFC 3768 §7.1).

use std::net::IpAddr;

use super::virtual_router::Parameters;
use super::{Notice, Priority, Reason, Received, Version};

/// TTL or hop limit of a message that crossed no router.
const FROM_THIS_LINK: u8 = 255;

/// What is wrong with a message that could be read; the first of all.
///
/// Not asked for here: what makes it unreadable, which
/// [`Advertisement::decode`](super::Advertisement::decode) refuses.
pub(super) fn check(parameters: &Parameters, received: &Received) -> Result<(), Reason> {
    let theirs = &received.advertisement;
    // Unicast may be routed on purpose, and keepalived sends IPv6 with 64.
    if !received.unicast && received.hop_limit != FROM_THIS_LINK {
        return Err(Reason::HopLimit(received.hop_limit));
    }
    if received.source.is_ipv4() != parameters.source.is_ipv4() {
        return Err(Reason::Family);
    }
    if theirs.vrid != parameters.vrid {
        return Err(Reason::Vrid);
    }
    if received.unicast != parameters.unicast {
        return Err(Reason::Mode);
    }
    if received.source == parameters.source {
        return Err(Reason::OwnAddress);
    }
    let is_peer = |peer: &super::Peer| peer.address == Some(received.source);
    if parameters.unicast && !parameters.peers.iter().any(is_peer) {
        return Err(Reason::NotAPeer);
    }
    if theirs.version != parameters.version {
        return Err(Reason::Version(theirs.version.get()));
    }
    if parameters.version == Version::V2 {
        if !theirs.authentication.matches(parameters.authentication) {
            return Err(Reason::Authentication);
        }
        if theirs.interval != parameters.interval {
            return Err(Reason::Interval);
        }
    }
    Ok(())
}

/// What is odd about one that counts.
pub(super) fn notices(parameters: &Parameters, received: &Received) -> Vec<Notice> {
    let (theirs, who) = (&received.advertisement, received.source);
    let mut notices = Vec::new();
    if theirs.interval != parameters.interval {
        notices.push(Notice::IntervalDiffers(who));
    }
    // A list that differs is drift between two documents, no reason to contest
    // who is Active: dropping it makes two.
    if !same(&theirs.addresses, &parameters.addresses) {
        notices.push(Notice::AddressesDiffer(who));
    }
    if theirs.priority == Some(Priority::OWNER) && parameters.priority == Priority::OWNER {
        notices.push(Notice::TwoOwners(who));
    }
    notices
}

/// Whether two lists, each without doubles or not, name the same addresses.
fn same(one: &[IpAddr], other: &[IpAddr]) -> bool {
    let within = |some: &[IpAddr], all: &[IpAddr]| some.iter().all(|address| all.contains(address));
    within(one, other) && within(other, one)
}
