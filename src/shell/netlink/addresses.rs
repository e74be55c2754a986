//! Virtual addresses: each carries our mark and a lifetime, so that none
//! outlives whoever should have removed it.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};

use super::{Netlink, errno, refused};
use crate::pure::addr::IpPrefix;

/// Who added an address (`IFA_PROTO`, Linux 5.18; older kernels forget it).
/// 0 to 3 are the kernel's own; of the rest nobody keeps a register, so this
/// is one that others are unlikely to choose, and begins like our name.
const MARK: u8 = 0xCA;

/// How long an address stays when nobody renews it: 1–65,535 whole seconds.
///
/// The kernel looks about once a second, so an address may stay a second longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(NonZeroU16);

impl Lifetime {
    /// `duration`, or up to a second more; the longest where that is too long.
    pub fn at_least(duration: Duration) -> Self {
        let begun = u64::from(duration.subsec_nanos() > 0);
        let seconds = duration.as_secs().saturating_add(begun).max(1);
        let seconds = u16::try_from(seconds).ok().and_then(NonZeroU16::new);
        Self(seconds.unwrap_or(NonZeroU16::MAX))
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }
}

impl Netlink {
    /// Add a virtual address, or renew it: afterwards it stays for `lifetime`.
    ///
    /// It answers at once (no duplicate address detection), is not chosen as
    /// the source of other connections in IPv6, and makes no route to its
    /// prefix: the interface's real address has that.
    ///
    /// An address of the same prefix that is there already becomes ours,
    /// with our mark and lifetime; [`Link::addresses`](super::Link::addresses)
    /// tells whether there is one.
    ///
    /// # Errors
    /// Name the address and the interface. `NotFound` when the interface is
    /// gone, `PermissionDenied` without CAP_NET_ADMIN.
    pub async fn add_address(&self, index: u32, prefix: IpPrefix, lifetime: Lifetime) -> io::Result<()> {
        let mut request = self
            .handle
            .address()
            .add(index, prefix.ip, prefix.length)
            .replace();
        *request.message_mut() = ours(index, prefix, lifetime);
        match request.execute().await {
            Ok(()) => Ok(()),
            Err(error) => {
                let interface = self.name_of(index).await;
                Err(refused(format_args!("cannot add {prefix} to {interface}"), error))
            }
        }
    }

    /// Remove an address, whoever added it; harmless when it is not there, or
    /// the interface is not.
    ///
    /// # Errors
    /// Name the address and the interface.
    pub async fn remove_address(&self, index: u32, prefix: IpPrefix) -> io::Result<()> {
        let request = self.handle.address().del(message(index, prefix));
        match request.execute().await {
            Err(error) if !is_absence(&error) => {
                let interface = self.name_of(index).await;
                Err(refused(
                    format_args!("cannot remove {prefix} from {interface}"),
                    error,
                ))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// All addresses that carry our mark, with the index of their interface:
    /// those of this process, and what a former one has left behind.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn marked_addresses(&self) -> io::Result<Vec<(u32, IpPrefix)>> {
        let addresses = self.addresses().await?;
        let marked = addresses.iter().filter(|address| is_ours(address));
        Ok(marked
            .filter_map(|address| Some((address.header.index, prefix_of(address)?)))
            .collect())
    }

    /// All addresses of the namespace, in the kernel's order.
    pub(super) async fn addresses(&self) -> io::Result<Vec<AddressMessage>> {
        let addresses = self.handle.address().get().execute().try_collect().await;
        addresses.map_err(|error| refused("cannot read addresses", error))
    }
}

/// An address as it travels, without any of ours on it.
fn message(index: u32, prefix: IpPrefix) -> AddressMessage {
    let (family, scope) = match prefix.ip {
        // As ip(8) has it; IPv6 derives the scope from the address itself.
        IpAddr::V4(ip) if ip.is_loopback() => (AddressFamily::Inet, AddressScope::Host),
        IpAddr::V4(_) => (AddressFamily::Inet, AddressScope::Universe),
        IpAddr::V6(_) => (AddressFamily::Inet6, AddressScope::Universe),
    };
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family,
        prefix_len: prefix.length,
        scope,
        index,
        ..AddressHeader::default()
    };
    message.attributes = vec![
        AddressAttribute::Local(prefix.ip),
        AddressAttribute::Address(prefix.ip),
    ];
    message
}

/// The same with mark, lifetime and flags, to be added.
fn ours(index: u32, prefix: IpPrefix, lifetime: Lifetime) -> AddressMessage {
    let valid = u32::from(lifetime.0.get());
    let mut life = CacheInfo::default();
    life.ifa_valid = valid;
    let mut flags = AddressFlags::empty();
    let host_length = if prefix.ip.is_ipv6() {
        // The former holder may still have it for a moment, and detection
        // would keep it silent for a second.
        flags |= AddressFlags::Nodad;
        // Deprecated from the beginning: no source for new connections (RFC 4862 §5.5.4).
        life.ifa_preferred = 0;
        128
    } else {
        life.ifa_preferred = valid;
        32
    };
    if prefix.length < host_length {
        flags |= AddressFlags::Noprefixroute;
    }
    let mut message = message(index, prefix);
    message.attributes.extend([
        AddressAttribute::Flags(flags),
        AddressAttribute::CacheInfo(life),
        AddressAttribute::Protocol(AddressProtocol::Other(MARK)),
    ]);
    message
}

/// The address is not there, or the interface, or the interface's IPv6.
fn is_absence(error: &rtnetlink::Error) -> bool {
    let rtnetlink::Error::NetlinkError(answer) = error else {
        return false;
    };
    matches!(
        errno(&answer.to_io()),
        Some(Errno::EADDRNOTAVAIL | Errno::ENODEV | Errno::ENXIO)
    )
}

/// Whether it carries our mark.
pub(super) fn is_ours(address: &AddressMessage) -> bool {
    let mark = AddressAttribute::Protocol(AddressProtocol::Other(MARK));
    address.attributes.contains(&mark)
}

/// All flags: the header has room for eight of them only.
pub(super) fn flags_of(address: &AddressMessage) -> AddressFlags {
    let flags = address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    flags.unwrap_or_else(|| AddressFlags::from_bits_retain(address.header.flags.bits().into()))
}

/// The interface's own address; on a point-to-point link the other attribute
/// is the far end's. `None` for those that are neither IPv4 nor IPv6 unicast.
pub(super) fn prefix_of(address: &AddressMessage) -> Option<IpPrefix> {
    let mut far = None;
    for attribute in &address.attributes {
        match attribute {
            AddressAttribute::Local(ip) => return Some(with_length(address, *ip)),
            AddressAttribute::Address(ip) => far = Some(with_length(address, *ip)),
            _ => {}
        }
    }
    far
}

fn with_length(address: &AddressMessage, ip: IpAddr) -> IpPrefix {
    IpPrefix {
        ip,
        length: address.header.prefix_len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_never_shorter_than_asked_and_never_endless() {
        let seconds = |duration| Lifetime::at_least(duration).duration().as_secs();
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_secs(3)), 3);
        assert_eq!(seconds(Duration::from_millis(3_001)), 4);
        assert_eq!(seconds(Duration::MAX), 65_535);
    }
}
