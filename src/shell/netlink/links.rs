//! Interfaces: their state and their addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::packet_route::address::{AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};

use super::addresses::{flags_of, is_ours, prefix_of};
use super::{Netlink, errno, refused};
use crate::pure::addr::IpPrefix;

/// An interface itself, without its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The kernel's number for it; one that is made anew has another.
    pub index: u32,
    /// Its name, 1–15 bytes; it may change.
    pub name: String,
    /// Its hardware address; `None` when it is no Ethernet.
    pub mac: Option<[u8; 6]>,
    /// Switched on (`ip link set up`).
    pub up: bool,
    /// Up, and as far as the kernel knows frames pass: there is a carrier, and
    /// the port does not wait for permission (`IFF_RUNNING`, RFC 2863).
    pub carrier: bool,
}

/// An interface and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface itself.
    pub state: LinkState,
    /// Its first IPv4 address that is not of ours: what RFC 9568 §1.7 calls
    /// the primary address. `None` when it has no such address.
    pub primary: Option<Ipv4Addr>,
    /// Its first link-local IPv6 address that is not of ours and can be used:
    /// `None` too while duplicate address detection goes on.
    pub link_local: Option<Ipv6Addr>,
    /// All its addresses of both families, in the kernel's order.
    pub addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// With the length of its network's prefix.
    pub prefix: IpPrefix,
    /// Carries our mark: [`Netlink::add_address`] has added it.
    pub ours: bool,
    /// Stays until somebody removes it: it has no lifetime.
    pub permanent: bool,
}

impl Netlink {
    /// The interface of that name, or `None` when there is none (yet).
    ///
    /// What changes while this is read, a [`Monitor`](super::Monitor) made
    /// before tells.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let Some(message) = self.link_message(name).await? else {
            return Ok(None);
        };
        let Some(state) = state_of(&message) else {
            return Ok(None);
        };
        let mut addresses = self.addresses().await?;
        addresses.retain(|address| address.header.index == state.index);
        let foreign = || addresses.iter().filter(|address| !is_ours(address));
        Ok(Some(Link {
            primary: foreign().find_map(primary),
            link_local: foreign().find_map(link_local),
            addresses: addresses.iter().filter_map(address).collect(),
            state,
        }))
    }

    /// The interface's name, or its number when it has none any more.
    pub(super) async fn name_of(&self, index: u32) -> String {
        let mut answers = std::pin::pin!(self.handle.link().get().match_index(index).execute());
        let link = answers.try_next().await.ok().flatten();
        link.and_then(|link| state_of(&link))
            .map_or_else(|| format!("interface {index}"), |state| state.name)
    }

    pub(super) async fn link_message(&self, name: &str) -> io::Result<Option<LinkMessage>> {
        let mut answers = std::pin::pin!(self.handle.link().get().match_name(name).execute());
        match answers.try_next().await {
            Err(rtnetlink::Error::NetlinkError(answer)) if is_absence(&answer.to_io()) => Ok(None),
            answer => {
                answer.map_err(|error| refused(format_args!("cannot read the interface {name}"), error))
            }
        }
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    errno(error) == Some(Errno::ENODEV)
}

/// `None` when the message does not even name the interface.
pub(super) fn state_of(message: &LinkMessage) -> Option<LinkState> {
    let mut name = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(found) => name = Some(found.clone()),
            LinkAttribute::Address(found) if message.header.link_layer_type == LinkLayerType::Ether => {
                mac = found.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    Some(LinkState {
        index: message.header.index,
        name: name?,
        mac,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::Running),
    })
}

fn address(message: &AddressMessage) -> Option<Address> {
    Some(Address {
        prefix: prefix_of(message)?,
        ours: is_ours(message),
        permanent: flags_of(message).contains(AddressFlags::Permanent),
    })
}

fn primary(message: &AddressMessage) -> Option<Ipv4Addr> {
    match prefix_of(message)?.ip {
        IpAddr::V4(ip) if message.header.scope == AddressScope::Universe => Some(ip),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

fn link_local(message: &AddressMessage) -> Option<Ipv6Addr> {
    match prefix_of(message)?.ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() && is_usable(message) => Some(ip),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Whether duplicate address detection is over and found nobody; an optimistic
/// address may be used before (RFC 4429).
pub(super) fn is_usable(message: &AddressMessage) -> bool {
    let flags = flags_of(message);
    flags.contains(AddressFlags::Optimistic)
        || !flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
}
