//! Advertisements as packets: raw sockets of IP protocol 112.
//!
//! Neither the content of advertisements nor their checksum is looked at or
//! made here; in IPv6 too the checksum is the codec's, which knows the source
//! address that it covers.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::libc::{BPF_K, BPF_RET, c_int, in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recv, recvmsg,
    sendmsg, setsockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use super::raw::{PRIORITY, RawSocket};

/// VRRP's number among the protocols of IP (RFC 9568 §5.1.1.4, §5.1.2.4).
const PROTOCOL: i32 = 112;

/// TTL and hop limit (RFC 9568 §5.1.1.3, §5.1.2.3): shows that nobody has
/// forwarded the packet.
const HOPS: u32 = 255;

/// Type of service and traffic class: network control (RFC 2474 §4.2.2.2).
const NETWORK_CONTROL: u32 = 0xC0;

/// All VRRP routers of a link (RFC 9568 §5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The same in IPv6 (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Bytes of packets that may wait to be read, as the kernel counts: some
/// hundred advertisements, so that a stalled process wakes up to the last ones
/// of everybody and not of the loudest.
const RECEIVE_BUFFER: usize = 1 << 18;

/// Bytes of a buffer that any advertisement fits into: the longest IPv4 header,
/// the fixed part and 255 addresses of IPv6.
pub const LARGEST: usize = 60 + 8 + 255 * 16;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// To whom advertisements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// To all VRRP routers of the link.
    Multicast,
    /// To each peer, for networks without multicast.
    Unicast,
}

/// What came in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'b> {
    /// Who sent it, if that is true.
    pub source: IpAddr,
    /// The multicast group or one of our addresses. What is meant for the other
    /// mode may come too: a peer that is in it can so be told from silence.
    pub destination: IpAddr,
    /// TTL or hop limit; `None` when the kernel did not say.
    pub ttl: Option<u8>,
    /// The VRRP message, perhaps; cut off where the buffer ended.
    pub message: &'b [u8],
}

/// Sends and receives advertisements on one interface, in one family and mode.
pub struct AdvertisementSocket {
    socket: RawSocket,
    index: u32,
    family: Family,
}

impl AdvertisementSocket {
    /// Join the multicast group, if that is the mode.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, and when the interface is not there.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn open(interface: &str, index: u32, family: Family, mode: Mode) -> io::Result<Self> {
        let socket = match family {
            Family::V4 => socket_v4(index, mode),
            Family::V6 => socket_v6(index, mode),
        }?;
        Self::on(interface, index, family, socket)
    }

    /// One that only sends, and from addresses that another interface of this
    /// machine has: for interfaces with a virtual MAC.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, and when the interface is not there.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn open_to_send(interface: &str, index: u32, family: Family) -> io::Result<Self> {
        let socket = match family {
            Family::V4 => socket_v4(index, Mode::Unicast),
            Family::V6 => socket_v6(index, Mode::Unicast),
        }?;
        if family == Family::V6 {
            // Link-local addresses of other interfaces are strange ones otherwise.
            socket.set_freebind_v6(true)?;
        }
        // Nobody reads what would come: a program that drops everything.
        socket.attach_filter(&[SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, 0)])?;
        Self::on(interface, index, family, socket)
    }

    fn on(interface: &str, index: u32, family: Family, socket: Socket) -> io::Result<Self> {
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        // After the type of service, which sets it too.
        socket.set_priority(PRIORITY)?;
        Ok(Self {
            socket: RawSocket::new(socket)?,
            index,
            family,
        })
    }

    /// Wait for the next packet; safe to cancel. `buffer` should have
    /// [`LARGEST`] bytes.
    ///
    /// # Errors
    /// When the socket is of no use any more.
    pub async fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Received<'b>> {
        let read = |socket| self.read(socket, buffer);
        let envelope = self.socket.wait(read).await?;
        Ok(envelope.around(buffer))
    }

    /// The same without waiting: `None` when nothing is left. Whoever has been
    /// away calls it until then, before it believes that others were silent.
    ///
    /// # Errors
    /// When the socket is of no use any more.
    pub fn try_receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let envelope = self.socket.try_read(|socket| self.read(socket, buffer))?;
        Ok(envelope.map(|envelope| envelope.around(buffer)))
    }

    /// Send a message from one of our addresses, without waiting.
    ///
    /// # Errors
    /// The kernel's: `source` is not (yet) an address of this machine, the
    /// interface is down, there is no way to `destination`, its queue is full.
    /// `InvalidInput` when one of the addresses is of the other family.
    pub fn send(&self, source: IpAddr, destination: IpAddr, message: &[u8]) -> io::Result<()> {
        match (self.family, source, destination) {
            (Family::V4, IpAddr::V4(source), IpAddr::V4(destination)) => {
                let control = in_pktinfo {
                    ipi_ifindex: self.interface()?,
                    ipi_spec_dst: in_addr {
                        s_addr: u32::from_ne_bytes(source.octets()),
                    },
                    ipi_addr: in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                self.send_with(&ControlMessage::Ipv4PacketInfo(&control), &to, message)
            }
            (Family::V6, IpAddr::V6(source), IpAddr::V6(destination)) => {
                let control = in6_pktinfo {
                    ipi6_addr: in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: self.index,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.index));
                self.send_with(&ControlMessage::Ipv6PacketInfo(&control), &to, message)
            }
            (Family::V4 | Family::V6, _, _) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{source} and {destination} are not both of {:?}", self.family),
            )),
        }
    }

    fn send_with<A: SockaddrLike>(
        &self,
        control: &ControlMessage<'_>,
        to: &A,
        message: &[u8],
    ) -> io::Result<()> {
        let message = [IoSlice::new(message)];
        let control = std::slice::from_ref(control);
        sendmsg(
            self.socket.as_raw_fd(),
            &message,
            control,
            MsgFlags::empty(),
            Some(to),
        )?;
        Ok(())
    }

    fn interface(&self) -> io::Result<c_int> {
        c_int::try_from(self.index).map_err(io::Error::other)
    }

    fn read(&self, socket: RawFd, buffer: &mut [u8]) -> io::Result<Option<Envelope>> {
        match self.family {
            Family::V4 => {
                let length = recv(socket, buffer, MsgFlags::empty())?;
                Ok(buffer.get(..length).and_then(open_v4))
            }
            Family::V6 => read_v6(socket, buffer),
        }
    }
}

fn socket_v4(index: u32, mode: Mode) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL)))?;
    socket.set_ttl_v4(HOPS)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    socket.set_tos_v4(NETWORK_CONTROL)?;
    socket.set_multicast_loop_v4(false)?;
    // Only the group that this very socket has joined; raw sockets of IPv6 have
    // no such choice.
    socket.set_multicast_all_v4(false)?;
    if mode == Mode::Multicast {
        socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    }
    Ok(socket)
}

fn socket_v6(index: u32, mode: Mode) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(PROTOCOL)))?;
    socket.set_unicast_hops_v6(HOPS)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_tclass_v6(NETWORK_CONTROL)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
    if mode == Mode::Multicast {
        socket.join_multicast_v6(&GROUP_V6, index)?;
    }
    Ok(socket)
}

/// All of a packet but the message itself, which is in a part of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Envelope {
    source: IpAddr,
    destination: IpAddr,
    ttl: Option<u8>,
    message: Range<usize>,
}

impl Envelope {
    fn around(self, buffer: &[u8]) -> Received<'_> {
        Received {
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            message: buffer.get(self.message).unwrap_or_default(),
        }
    }
}

/// Read the header that raw sockets of IPv4 deliver (RFC 791 §3.1).
///
/// ```text
///  0               1               2               3
/// +-------+-------+---------------+-------------------------------+
/// |Version|  IHL  |Type of Service|          Total Length         |
/// |         Identification        |Flags|      Fragment Offset    |
/// |  Time to Live |    Protocol   |        Header Checksum        |
/// |                       Source Address                          |
/// |                    Destination Address                        |
/// |                    Options, IHL × 4 in all                    |
/// ```
///
/// `None` when the packet is no such packet or does not fit into the buffer;
/// the kernel lets none of the former through.
fn open_v4(packet: &[u8]) -> Option<Envelope> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_length = usize::from(header[0] & 0x0F) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fits = (header.len()..=total_length).contains(&header_length) && total_length <= packet.len();
    if header[0] >> 4 != 4 || !fits {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    Some(Envelope {
        source: address(12).into(),
        destination: address(16).into(),
        ttl: Some(header[8]),
        message: header_length..total_length,
    })
}

/// Raw sockets of IPv6 deliver no header: what it said comes as control
/// messages (RFC 3542 §6). `None` when the most important ones are missing.
fn read_v6(socket: RawFd, buffer: &mut [u8]) -> io::Result<Option<Envelope>> {
    let mut control = cmsg_space!(in6_pktinfo, c_int);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg::<SockaddrIn6>(socket, &mut parts, Some(&mut control), MsgFlags::empty())?;
    let mut destination = None;
    let mut ttl = None;
    for control in received.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    let (Some(source), Some(destination)) = (received.address, destination) else {
        return Ok(None);
    };
    Ok(Some(Envelope {
        source: source.ip().into(),
        destination: destination.into(),
        ttl,
        message: 0..received.bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VRRP.md §14: version 2, priority 200, behind its Ethernet header.
    const PACKET: [u8; 40] = [
        0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0x03, 0xd0, 0xd3, 0xb7, 0x03, 0x0b, 0xe0,
        0x00, 0x00, 0x12, 0x21, 0x33, 0xc8, 0x01, 0x01, 0x01, 0xdb, 0xb5, 0xd3, 0xb7, 0x03, 0xfa, 0x31, 0x31,
        0x31, 0x31, 0x00, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn header_of_a_captured_packet_is_read() {
        let envelope = open_v4(&PACKET).unwrap();
        assert_eq!(envelope.source, Ipv4Addr::new(211, 183, 3, 11));
        assert_eq!(envelope.destination, GROUP_V4);
        assert_eq!(envelope.ttl, Some(255));
        assert_eq!(envelope.message, 20..40);
    }

    #[test]
    fn message_ends_with_the_packet_and_begins_behind_options() {
        // Ethernet padding is no part of it: VRRP.md §2.3.
        let mut padded = PACKET.to_vec();
        padded.extend([0; 6]);
        assert_eq!(open_v4(&padded).unwrap().message, 20..40);
        padded[0] = 0x46;
        assert_eq!(open_v4(&padded).unwrap().message, 24..40);
    }

    #[test]
    fn mangled_header_is_refused() {
        for length in 0..PACKET.len() {
            assert_eq!(open_v4(&PACKET[..length]), None, "cut after {length} bytes");
        }
        // Another version, a header shorter than the shortest, one beyond the
        // packet; a packet shorter than its header, one beyond the buffer.
        for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x4F), (3, 19), (2, 1)] {
            let mut mangled = PACKET;
            mangled[at] = value;
            assert_eq!(open_v4(&mangled), None, "{value:#x} at {at}");
        }
    }
}
