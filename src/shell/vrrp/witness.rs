//! Hears who says to have a virtual address: in ARP as a sender (RFC 826), in
//! IPv6 as the target of a neighbour advertisement (RFC 4861 §4.4).
//!
//! It only reports. Our own claims are not among them, unless the network sends
//! them back to us.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::raw::{RawSocket, packet_socket};

/// The Ethernet type of ARP.
const ARP: u16 = 0x0806;

/// The ICMPv6 type of a neighbour advertisement.
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

/// Where the sender's addresses are in an ARP packet, and the target's in a
/// neighbour advertisement.
const SENDER_MAC: usize = 8;
const SENDER_IP: usize = 14;
const TARGET_IP: usize = 8;
const OPTIONS: usize = 24;

/// Somebody says to have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub ip: IpAddr,
    /// Where it is said to be.
    pub mac: [u8; 6],
}

/// Hears claims to some addresses of one family on one interface.
///
/// The kernel drops all else before it costs more than a few instructions, and
/// looks at nothing but ARP, or ICMPv6: other traffic does not pass here.
pub struct AddressWitness {
    socket: RawSocket,
    addresses: Vec<IpAddr>,
}

impl AddressWitness {
    /// Listen for claims to `addresses`, of which there is at least one, and all
    /// of the first one's family.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when the interface is not there, and for more than
    /// some thousand addresses.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn open(interface: &str, index: u32, addresses: &[IpAddr]) -> io::Result<Self> {
        let socket = match addresses.first() {
            Some(IpAddr::V4(_)) => arp_socket(index, addresses)?,
            Some(IpAddr::V6(_)) => advertisement_socket(interface, addresses)?,
            None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to watch")),
        };
        Ok(Self {
            socket: RawSocket::new(socket)?,
            addresses: addresses.to_vec(),
        })
    }

    /// Wait for the next claim; safe to cancel.
    ///
    /// # Errors
    /// When the socket is of no use any more.
    pub async fn next(&self) -> io::Result<Claim> {
        self.socket.wait(|socket| self.read(socket)).await
    }

    fn read(&self, socket: RawFd) -> io::Result<Option<Claim>> {
        // More than enough for what is of interest; the rest is cut off.
        let mut buffer = [0; 256];
        let length = match recv(socket, &mut buffer, MsgFlags::empty()) {
            // Told once when the interface is switched off; it goes on later.
            Err(Errno::ENETDOWN) => return Ok(None),
            length => length?,
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let claim = if self.addresses[0].is_ipv4() {
            claim_of_arp(packet)
        } else {
            claim_of_advertisement(packet)
        };
        Ok(claim.filter(|claim| self.addresses.contains(&claim.ip)))
    }
}

fn arp_socket(index: u32, addresses: &[IpAddr]) -> io::Result<Socket> {
    let socket = packet_socket(Type::DGRAM, ARP, index)?;
    socket.attach_filter(&arp_filter(addresses))?;
    Ok(socket)
}

fn advertisement_socket(interface: &str, addresses: &[IpAddr]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.attach_filter(&advertisement_filter(addresses))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

/// The sender of an ARP packet between Ethernet and IPv4.
fn claim_of_arp(packet: &[u8]) -> Option<Claim> {
    if !packet.starts_with(&[0, 1, 0x08, 0x00, 6, 4]) {
        return None;
    }
    let mac = *packet.get(SENDER_MAC..)?.first_chunk()?;
    let ip: [u8; 4] = *packet.get(SENDER_IP..)?.first_chunk()?;
    Some(Claim {
        ip: Ipv4Addr::from(ip).into(),
        mac,
    })
}

/// The target of a neighbour advertisement, at the address that its option has;
/// one without says nothing that a neighbour could remember.
fn claim_of_advertisement(message: &[u8]) -> Option<Claim> {
    let ip: [u8; 16] = *message.get(TARGET_IP..)?.first_chunk()?;
    let mut options = message.get(OPTIONS..)?;
    loop {
        let &[kind, length] = options.first_chunk()?;
        let (option, rest) = options.split_at_checked(usize::from(length) * 8)?;
        // 2: the target's link-layer address. A length of 0 ends it here too.
        if let (2, Some(&[_, _, ref mac @ ..])) = (kind, option.first_chunk::<8>()) {
            return Some(Claim {
                ip: Ipv6Addr::from(ip).into(),
                mac: *mac,
            });
        }
        if option.is_empty() {
            return None;
        }
        options = rest;
    }
}

/// ARP whose sender is one of the addresses, seen from behind the Ethernet header.
fn arp_filter(addresses: &[IpAddr]) -> Vec<SockFilter> {
    let mut program = vec![bpf::load_word(bpf::PACKET_TYPE)];
    // Among these are frames of VLANs that this machine has no interface for.
    program.extend(bpf::refuse(bpf::OTHER_HOST));
    program.push(bpf::load_word(0));
    program.extend(bpf::require(0x0001_0800));
    program.push(bpf::load_half(4));
    program.extend(bpf::require(0x0604));
    program.push(bpf::load_word(SENDER_IP as u32));
    program.extend(bpf::one_of(addresses));
    program
}

/// Neighbour advertisements that nobody has forwarded (RFC 4861 §7.1.2), whose
/// target ends like one of the addresses, seen from behind the IPv6 header.
fn advertisement_filter(addresses: &[IpAddr]) -> Vec<SockFilter> {
    let mut program = vec![bpf::load_byte(0)];
    program.extend(bpf::require(NEIGHBOUR_ADVERTISEMENT));
    program.push(bpf::load_byte(bpf::NETWORK_HEADER + 7));
    program.extend(bpf::require(255));
    // Its last four bytes; the whole of it is compared when it is read.
    program.push(bpf::load_word(TARGET_IP as u32 + 12));
    program.extend(bpf::one_of(addresses));
    program
}

/// Programs for the kernel's packet filter: they end with the number of bytes
/// to keep, 0 to drop the packet. What reads beyond its end drops it too.
mod bpf {
    use std::net::IpAddr;

    use nix::libc::{
        BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, PACKET_OTHERHOST, SKF_AD_OFF,
        SKF_AD_PKTTYPE, SKF_NET_OFF,
    };
    use socket2::SockFilter;

    /// Where the kernel keeps for whom a packet is.
    pub const PACKET_TYPE: u32 = (SKF_AD_OFF + SKF_AD_PKTTYPE) as u32;

    /// Offsets from here count from the network header.
    pub const NETWORK_HEADER: u32 = SKF_NET_OFF as u32;

    /// The packet type of what is meant for others.
    pub const OTHER_HOST: u32 = PACKET_OTHERHOST as u32;

    pub fn load_byte(offset: u32) -> SockFilter {
        SockFilter::new((BPF_LD | BPF_B | BPF_ABS) as u16, 0, 0, offset)
    }

    pub fn load_half(offset: u32) -> SockFilter {
        SockFilter::new((BPF_LD | BPF_H | BPF_ABS) as u16, 0, 0, offset)
    }

    pub fn load_word(offset: u32) -> SockFilter {
        SockFilter::new((BPF_LD | BPF_W | BPF_ABS) as u16, 0, 0, offset)
    }

    /// Drop the packet unless what was loaded is `value`.
    pub fn require(value: u32) -> [SockFilter; 2] {
        [jump_if_equal(value, 1, 0), give(0)]
    }

    /// Drop the packet if what was loaded is `value`.
    pub fn refuse(value: u32) -> [SockFilter; 2] {
        [jump_if_equal(value, 0, 1), give(0)]
    }

    /// Keep the packet if what was loaded are the last four bytes of one of
    /// these, and drop it otherwise.
    pub fn one_of(addresses: &[IpAddr]) -> impl Iterator<Item = SockFilter> {
        let keep = |address: &IpAddr| [jump_if_equal(last_word(*address), 0, 1), give(u32::MAX)];
        addresses.iter().flat_map(keep).chain([give(0)])
    }

    fn last_word(address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(ip) => ip.to_bits(),
            // The lowest bits are the last ones.
            IpAddr::V6(ip) => ip.to_bits() as u32,
        }
    }

    /// Go on behind so many instructions.
    fn jump_if_equal(value: u32, when_equal: u8, when_not: u8) -> SockFilter {
        SockFilter::new((BPF_JMP | BPF_JEQ | BPF_K) as u16, when_equal, when_not, value)
    }

    fn give(bytes: u32) -> SockFilter {
        SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::announce::{ArpOperation, gratuitous_arp, unsolicited_advertisement};
    use super::*;

    const MAC: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x0a];

    #[test]
    fn announcements_are_claims() {
        let ip = Ipv4Addr::new(211, 183, 3, 250);
        let arp = &gratuitous_arp(MAC, ip, ArpOperation::Request)[14..];
        assert_eq!(
            claim_of_arp(arp),
            Some(Claim {
                ip: ip.into(),
                mac: MAC
            })
        );
        let ip: Ipv6Addr = "fd00:51::250".parse().unwrap();
        let advertisement = &unsolicited_advertisement(MAC, ip, false)[54..];
        assert_eq!(
            claim_of_advertisement(advertisement),
            Some(Claim {
                ip: ip.into(),
                mac: MAC
            })
        );
    }

    #[test]
    fn mangled_packets_are_no_claims() {
        let arp = &gratuitous_arp(MAC, Ipv4Addr::LOCALHOST, ArpOperation::Reply)[14..];
        for length in 0..18 {
            assert_eq!(claim_of_arp(&arp[..length]), None, "cut after {length} bytes");
        }
        let advertisement = &unsolicited_advertisement(MAC, Ipv6Addr::LOCALHOST, true)[54..];
        for length in 0..advertisement.len() {
            assert_eq!(
                claim_of_advertisement(&advertisement[..length]),
                None,
                "cut after {length} bytes"
            );
        }
    }

    #[test]
    fn other_options_are_passed_over_and_an_endless_one_ends() {
        let advertisement = &unsolicited_advertisement(MAC, Ipv6Addr::LOCALHOST, true)[54..];
        let (head, option) = advertisement.split_at(OPTIONS);
        let with = |before: &[u8]| claim_of_advertisement(&[head, before, option].concat());
        assert_eq!(with(&[14, 1, 0, 0, 0, 0, 0, 0]).unwrap().mac, MAC);
        assert_eq!(with(&[14, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(with(&[14, 9]), None);
    }
}
