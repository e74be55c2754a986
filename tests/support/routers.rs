//! Parameters of routers that share a document.

use std::net::IpAddr;
use std::time::Duration;

use catamaran::pure::vrrp::*;

pub fn priority(value: u8) -> Priority {
    Priority::new(value).unwrap()
}

pub fn address(index: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, 1 + u8::try_from(index).unwrap()])
}

/// Routers of one document with these priorities.
pub fn routers(priorities: &[u8], version: Version, interval: Centiseconds) -> Vec<Parameters> {
    let peer = |(index, &value): (usize, &u8)| Peer {
        address: Some(address(index)),
        priority: priority(value),
    };
    let all: Vec<Peer> = priorities.iter().enumerate().map(peer).collect();
    let router = |(index, &value): (usize, &u8)| Parameters {
        vrid: Vrid::new(51).unwrap(),
        version,
        addresses: vec![IpAddr::from([10, 0, 0, 250])],
        interval,
        priority: priority(value),
        authentication: Authentication::None,
        preempt: true,
        preempt_delay: Duration::ZERO,
        source: address(index),
        peers: all
            .iter()
            .copied()
            .filter(|peer| peer.address != Some(address(index)))
            .collect(),
        unicast: false,
        takeover: Takeover::Ranked,
        checksum: None,
    };
    priorities.iter().enumerate().map(router).collect()
}

pub fn centiseconds(value: u16) -> Centiseconds {
    Centiseconds::new(value).unwrap()
}
