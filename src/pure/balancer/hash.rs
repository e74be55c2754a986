//! The one hash of this room: the same on every machine and in every build,
//! because two load balancers must agree. Not for secrets.

use std::net::{IpAddr, SocketAddr};

/// What an endpoint is known by: its address and port.
pub fn identity(address: SocketAddr) -> u64 {
    hash(&bytes(address))
}

/// The hash of a client's address alone.
pub fn of_ip(address: SocketAddr) -> u64 {
    hash(&octets(address.ip()))
}

/// The hash of a client's address and port.
pub fn of_address(address: SocketAddr) -> u64 {
    hash(&bytes(address))
}

/// FNV-1a over the bytes (its 64 bit constants), then mixed, because FNV
/// leaves the high bits of short inputs alike.
pub fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(folded)
}

/// The finaliser of SplitMix64: every bit of the input reaches every bit of the output.
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 16 octets of address, IPv4 as its mapped IPv6 address: the same client is
/// the same whichever socket it came through.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The 16 octets and the port, big-endian.
fn bytes(address: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&octets(address.ip()));
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_what_the_other_load_balancer_computes() {
        // Literals, computed by another program: a change here moves every connection of a running pair.
        assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(
            identity("211.183.3.100:6443".parse().unwrap()),
            0x3777_f337_884d_1193
        );
    }

    #[test]
    fn mapped_client_is_the_same_client() {
        assert_eq!(
            of_ip("10.0.0.1:1".parse().unwrap()),
            of_ip("[::ffff:10.0.0.1]:2".parse().unwrap())
        );
    }
}
