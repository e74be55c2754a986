//! What changes about interfaces and addresses, whoever changed it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::addresses::{is_ours, prefix_of};
use super::errno;
use super::links::{LinkState, is_usable, state_of};

/// Bytes of messages that may wait to be read; the kernel cuts it to
/// `net.core.rmem_max`. A machine that starts many containers sends bursts.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A change of an interface or of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is new, or something about it is; often nothing that matters.
    LinkChanged(LinkState),
    /// An interface was removed, or moved to another namespace.
    LinkGone {
        /// Of the interface.
        index: u32,
    },
    /// An address that is not ours can be used from now on, or was renewed.
    /// What carries our mark is not told: whoever added it knows.
    AddressAdded {
        /// Of the interface.
        index: u32,
        /// The address.
        ip: IpAddr,
    },
    /// An address was removed or has gone by itself, ours or another.
    AddressGone {
        /// Of the interface.
        index: u32,
        /// The address.
        ip: IpAddr,
    },
    /// Changes were lost: look at everything again. Those that follow are newer
    /// than what is seen then.
    Overrun,
}

/// Tells each [`Change`] of the namespace in which it was made, in order.
pub struct Monitor {
    socket: TokioSocket,
    read: VecDeque<Change>,
}

impl Monitor {
    /// Changes from now on.
    ///
    /// # Errors
    /// When there can be no socket.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn subscribe() -> io::Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let groups = groups.iter().fold(0, |all, group| all | 1 << (*group as u32 - 1));
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
        Ok(Self {
            socket,
            read: VecDeque::new(),
        })
    }

    /// Wait for the next change; safe to cancel.
    ///
    /// # Errors
    /// When the socket is of no use any more: make another one.
    pub async fn next(&mut self) -> io::Result<Change> {
        loop {
            if let Some(change) = self.read.pop_front() {
                return Ok(change);
            }
            match poll_fn(|context| self.socket.poll_recv_from_full(context)).await {
                // Not of the kernel.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((datagram, _)) => read_all(&datagram, &mut self.read),
                Err(error) if errno(&error) == Some(Errno::ENOBUFS) => {
                    self.forget_old_changes();
                    return Ok(Change::Overrun);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Empty the socket. What waits there is older than what was lost; told
    /// after an overrun, it would undo what the reader has seen by then.
    fn forget_old_changes(&self) {
        loop {
            match self.socket.socket_ref().recv_from_full() {
                Ok(_) => {}
                Err(error) if errno(&error) == Some(Errno::ENOBUFS) => {}
                // Empty, or an error that the next read will see again.
                Err(_) => return,
            }
        }
    }
}

/// Append the changes that a datagram tells of.
fn read_all(mut datagram: &[u8], changes: &mut VecDeque<Change>) {
    while !datagram.is_empty() {
        let Ok(length) = NetlinkBuffer::new_checked(datagram).map(|message| message.length() as usize) else {
            changes.push_back(Change::Overrun);
            return;
        };
        match NetlinkMessage::deserialize(&datagram[..length]) {
            Ok(message) => changes.extend(change_of(message.payload)),
            // A message that cannot be read is as good as lost.
            Err(_) => changes.push_back(Change::Overrun),
        }
        // Messages begin at multiples of four: NLMSG_ALIGNTO of netlink(7).
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn change_of(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    let NetlinkPayload::InnerMessage(message) = payload else {
        return None;
    };
    match message {
        RouteNetlinkMessage::NewLink(link) if is_interface(&link) => state_of(&link).map(Change::LinkChanged),
        RouteNetlinkMessage::DelLink(link) if is_interface(&link) => Some(Change::LinkGone {
            index: link.header.index,
        }),
        RouteNetlinkMessage::NewAddress(address) if !is_ours(&address) && is_usable(&address) => {
            Some(Change::AddressAdded {
                index: address.header.index,
                ip: prefix_of(&address)?.ip,
            })
        }
        RouteNetlinkMessage::DelAddress(address) => Some(Change::AddressGone {
            index: address.header.index,
            ip: prefix_of(&address)?.ip,
        }),
        // Other messages come to other groups.
        _ => None,
    }
}

/// Bridges use the same messages, with their own family, for an interface that
/// joins or leaves them.
fn is_interface(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(datagram: &[u8]) -> Vec<Change> {
        let mut changes = VecDeque::new();
        read_all(datagram, &mut changes);
        changes.into()
    }

    #[test]
    fn mangled_datagram_is_an_overrun_and_ends() {
        assert_eq!(changes(&[]), []);
        assert_eq!(changes(&[0; 3]), [Change::Overrun]);
        // A length of 17 with nothing behind the header, of zero, and beyond the end.
        for length in [17, 0, 255] {
            let mut header = [0; 16];
            header[0] = length;
            assert_eq!(changes(&header), [Change::Overrun]);
        }
    }
}
