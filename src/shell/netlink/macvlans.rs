//! Macvlan interfaces: a second hardware address on an interface, for the
//! virtual MAC of a virtual router.
//!
//! Which are ours, and how they are named, is their maker's business.

use std::io;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, InfoKind, LinkAttribute, LinkInfo,
    LinkMessage, MacVlanMode,
};
use rtnetlink::{LinkMacVlan, LinkMessageBuilder, LinkUnspec};

use super::links::{is_absence, state_of};
use super::{Netlink, refused};

/// A macvlan interface, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name, 1–15 bytes.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
}

impl Netlink {
    /// Make an interface on top of `parent` that has a hardware address of its
    /// own. Gives its index; [`Netlink::switch_on`] follows.
    ///
    /// Its own settings, which go with it: it answers ARP for its own addresses
    /// alone, takes packets though the way back leads over `parent`, and makes
    /// itself no IPv6 addresses.
    ///
    /// Its mode is `bridge`. In a private one the kernel keeps multicast that
    /// comes from its very MAC away from `parent`, and with it the advertisements
    /// of another Active router.
    ///
    /// # Errors
    /// Name the new interface. `AlreadyExists` when there is one of that name.
    pub async fn add_macvlan(&self, parent: u32, name: &str, mac: [u8; 6]) -> io::Result<u32> {
        let wrong = |error| refused(format_args!("cannot make the interface {name}"), error);
        let link = LinkMacVlan::new(name, parent, MacVlanMode::Bridge)
            .address(mac.to_vec())
            .build();
        self.handle.link().add(link).execute().await.map_err(wrong)?;
        let Some(made) = self.link_message(name).await? else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the interface {name} was removed at once"),
            ));
        };
        let index = made.header.index;
        // Only a message that changes an interface may carry them.
        let settings = LinkUnspec::new_with_index(index).append_extra_attribute(settings());
        self.set(settings).await.map_err(wrong)?;
        Ok(index)
    }

    /// Switch an interface on (`ip link set up`).
    ///
    /// # Errors
    /// Name the interface. `NotFound` when it is not there.
    pub async fn switch_on(&self, index: u32) -> io::Result<()> {
        match self.set(LinkUnspec::new_with_index(index).up()).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let interface = self.name_of(index).await;
                Err(refused(format_args!("cannot switch {interface} on"), error))
            }
        }
    }

    /// All macvlan interfaces, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn macvlans(&self) -> io::Result<Vec<Macvlan>> {
        let links = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let links = links.map_err(|error| refused("cannot read the interfaces", error))?;
        Ok(links.iter().filter_map(macvlan).collect())
    }

    /// Remove an interface with its addresses; harmless when there is none.
    ///
    /// # Errors
    /// Name the interface.
    pub async fn remove_link(&self, index: u32) -> io::Result<()> {
        match self.handle.link().del(index).execute().await {
            Err(rtnetlink::Error::NetlinkError(answer)) if is_absence(&answer.to_io()) => Ok(()),
            Err(error) => {
                let interface = self.name_of(index).await;
                Err(refused(format_args!("cannot remove {interface}"), error))
            }
            Ok(()) => Ok(()),
        }
    }

    async fn set(&self, link: LinkMessageBuilder<LinkUnspec>) -> Result<(), rtnetlink::Error> {
        self.handle.link().set(link.build()).execute().await
    }
}

/// `arp_ignore`, `rp_filter` and `addrgenmode` of ip-sysctl.rst. The first two
/// are no less than what is set for all interfaces, so loose (2) holds where
/// that is strict (1).
fn settings() -> LinkAttribute {
    let mut ipv4 = InetDevConf::default();
    ipv4.arp_ignore = 1;
    ipv4.rp_filter = 2;
    LinkAttribute::AfSpecUnspec(vec![
        AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(ipv4)]),
        AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]),
    ])
}

fn macvlan(message: &LinkMessage) -> Option<Macvlan> {
    let kind = LinkInfo::Kind(InfoKind::MacVlan);
    let is_one = |attribute: &LinkAttribute| match attribute {
        LinkAttribute::LinkInfo(info) => info.contains(&kind),
        _ => false,
    };
    let state = state_of(message)?;
    message.attributes.iter().any(is_one).then_some(Macvlan {
        index: state.index,
        name: state.name,
        mac: state.mac?,
    })
}
