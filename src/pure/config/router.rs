//! From the document to the parameters of a virtual router on one node.

use std::net::IpAddr;

use super::{Config, Node, Password, VirtualRouter};
use crate::pure::vrrp::{Authentication, Centiseconds, Parameters, Peer, Priority, Version, Vrid};

/// What `router` is on `node`, which sends from `source`.
///
/// # Errors
/// Only for what checking has refused already: a number that the protocol
/// cannot say; and for a password that is still in a file.
pub fn parameters(
    config: &Config,
    router: &VirtualRouter,
    node: &Node,
    source: IpAddr,
) -> Result<Parameters, String> {
    let version = if router.version == 2 {
        Version::V2
    } else {
        Version::V3
    };
    let wrong = |what: &str| format!("virtual router {}: {what}", router.name);
    let interval = Centiseconds::from_duration(version, router.advertisement_interval)
        .ok_or_else(|| wrong("the interval cannot be said"))?;
    let authentication = match &router.password {
        None => Authentication::None,
        Some(Password::Text(password)) => {
            Authentication::password(password).ok_or_else(|| wrong("the password cannot be said"))?
        }
        Some(Password::File(_)) => return Err(wrong("nobody has read the password")),
    };
    let priority = |node: &Node| Priority::new(node.priority).ok_or_else(|| wrong("priority 0"));
    let peers = config.nodes.iter().filter(|peer| peer.name != node.name);
    Ok(Parameters {
        vrid: Vrid::new(router.vrid).ok_or_else(|| wrong("vrid 0"))?,
        version,
        addresses: router.addresses.iter().map(|prefix| prefix.ip).collect(),
        interval,
        priority: priority(node)?,
        authentication,
        preempt: router.preempt,
        preempt_delay: router.preempt_delay,
        source,
        peers: peers
            .map(|peer| {
                Ok(Peer {
                    address: router.sends_from(peer),
                    priority: priority(peer)?,
                })
            })
            .collect::<Result<_, String>>()?,
        unicast: router.unicast,
        takeover: router.takeover,
        checksum: router.checksum,
    })
}

impl VirtualRouter {
    /// The address of its family that `node` sends from, as far as the document
    /// says: on an interface that is not the node's own, and in IPv6, where
    /// link-local addresses are used, the interface has to be asked.
    pub fn sends_from(&self, node: &Node) -> Option<IpAddr> {
        let ipv4 = self.addresses.first().is_some_and(|first| first.ip.is_ipv4());
        let usable = match node.address {
            IpAddr::V4(_) => ipv4,
            IpAddr::V6(address) => !ipv4 && (self.unicast || address.is_unicast_link_local()),
        };
        (usable && self.interface.is_none()).then_some(node.address)
    }
}
