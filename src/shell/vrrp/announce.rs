//! Tells the network that a virtual address is here now: gratuitous ARP and
//! unsolicited neighbour advertisements.
//!
//! When, how often and for which addresses is the caller's business.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::{Socket, Type};

use super::raw::{PRIORITY, packet_socket};

/// All stations of an Ethernet.
const BROADCAST: [u8; 6] = [0xFF; 6];

/// The Ethernet address of [`ALL_NODES`] (RFC 2464 §7).
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// All IPv6 hosts of a link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// ICMPv6's number among the next headers of IPv6.
const ICMPV6: u8 = 58;

/// Bytes of a neighbour advertisement with one option (RFC 4861 §4.4).
const ADVERTISEMENT: u8 = 32;

/// What a gratuitous ARP pretends to be. Both are legal (RFC 5227 §3); some old
/// devices learn from replies only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpOperation {
    /// What most send.
    Request,
    /// An answer that nobody asked for.
    Reply,
}

/// A frame that says `ip` is at `mac` (RFC 9568 §6.4.1, RFC 826): 42 bytes.
///
/// ```text
///  Ethernet  to everybody, from mac, type 0x0806
///  ARP       hardware 1, protocol 0x0800, lengths 6 and 4, operation
///            sender mac and ip, target (everybody, or mac) and ip
/// ```
pub fn gratuitous_arp(mac: [u8; 6], ip: Ipv4Addr, operation: ArpOperation) -> Vec<u8> {
    let (operation, target) = match operation {
        // Receivers ignore a request's target (RFC 9568 §6.4.1); keepalived's is this.
        ArpOperation::Request => (1, BROADCAST),
        // RFC 5944 §4.6; with another target Linux takes it for an answer too many.
        ArpOperation::Reply => (2, mac),
    };
    let ip = ip.octets();
    [
        &ethernet(BROADCAST, mac, 0x0806)[..],
        &[0, 1, 0x08, 0x00, 6, 4, 0, operation],
        &mac,
        &ip,
        &target,
        &ip,
    ]
    .concat()
}

/// A frame that says `ip` is at `mac`, overriding what was known (RFC 9568
/// §6.4.1, RFC 4861 §4.4): 86 bytes.
///
/// `router` is what the kernel's own advertisements say of this machine, see
/// [`forwards`]: hosts that hear both must not be told contrary things.
pub fn unsolicited_advertisement(mac: [u8; 6], ip: Ipv6Addr, router: bool) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    let flags = if router { OVERRIDE | 0x80 } else { OVERRIDE };
    let icmp = |checksum: u16| {
        [
            &[136, 0][..],
            &checksum.to_be_bytes(),
            &[flags, 0, 0, 0],
            &ip.octets(),
            // The target's link-layer address, one times eight bytes long.
            &[2, 1],
            &mac,
        ]
        .concat()
    };
    [
        &ethernet(ALL_NODES_MAC, mac, 0x86DD)[..],
        &[0x60, 0, 0, 0, 0, ADVERTISEMENT, ICMPV6, 255],
        &ip.octets(),
        &ALL_NODES.octets(),
        &icmp(checksum(ip, &icmp(0))),
    ]
    .concat()
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes()].concat()
}

/// ICMPv6's, over the pseudo-header too (RFC 4443 §2.3, RFC 8200 §8.1).
fn checksum(source: Ipv6Addr, message: &[u8]) -> u16 {
    let lengths = [0, 0, 0, ADVERTISEMENT, 0, 0, 0, ICMPV6];
    let covered = [&source.octets()[..], &ALL_NODES.octets(), &lengths, message].concat();
    let (words, _) = covered.as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    // Two folds are enough for so few words; what is left fits.
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    !u16::try_from(folded).unwrap_or_default()
}

/// Whether the kernel forwards IPv6 of this interface, and so calls itself a
/// router in its neighbour advertisements.
pub fn forwards(interface: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    // 1, or 2 on older kernels; without IPv6 there is nothing to forward.
    fs::read_to_string(setting).is_ok_and(|forwards| forwards.trim() != "0")
}

/// Sends frames on one interface.
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// # Errors
    /// Without CAP_NET_RAW, and `NotFound` when the interface is not there.
    pub fn open(index: u32) -> io::Result<Self> {
        let socket = packet_socket(Type::RAW, 0, index)?;
        socket.set_nonblocking(true)?;
        socket.set_priority(PRIORITY)?;
        Ok(Self { socket })
    }

    /// Send a whole frame, without waiting.
    ///
    /// # Errors
    /// The kernel's: the interface is down or gone, its queue is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x0a];

    fn hex(frame: &[u8]) -> String {
        frame.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // VRRP.md §14: captured from keepalived.
    #[test]
    fn gratuitous_arp_is_what_keepalived_sends() {
        let ip = Ipv4Addr::new(211, 183, 3, 250);
        assert_eq!(
            hex(&gratuitous_arp(MAC, ip, ArpOperation::Request)),
            "ffffffffffff02005e10000a0806000108000604000102005e10000ad3b703faffffffffffffd3b703fa"
        );
    }

    // RFC 5944 §4.6.
    #[test]
    fn gratuitous_reply_targets_the_sender_itself() {
        let ip = Ipv4Addr::new(211, 183, 3, 250);
        assert_eq!(
            hex(&gratuitous_arp(MAC, ip, ArpOperation::Reply)),
            "ffffffffffff02005e10000a0806000108000604000202005e10000ad3b703fa02005e10000ad3b703fa"
        );
    }

    #[test]
    fn unsolicited_advertisement_is_what_keepalived_sends() {
        let ip = "fd00:51::250".parse().unwrap();
        assert_eq!(
            hex(&unsolicited_advertisement(MAC, ip, false)),
            concat!(
                "33330000000102005e10000a86dd6000000000203afffd000051000000000000000000000250",
                "ff0200000000000000000000000000018800f74120000000fd000051000000000000000000000250",
                "020102005e10000a"
            )
        );
        let router = unsolicited_advertisement(MAC, ip, true);
        // RFC 1624: the sum grows by what the flags grow by.
        assert_eq!(hex(&router[56..62]), "7741a0000000");
    }
}
