//! The balancer's hash, written out so that every machine and every build
//! agrees: two load balancers with the same document must make the same choice.
//!
//! FNV-1a with 64 bits over the bytes, its start value moved by a domain, then
//! the finishing steps of SplitMix64 (FNV alone mixes its high bits badly). It
//! is no defence against clients that choose their addresses.

use std::net::{IpAddr, SocketAddr};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a hash is for; the same bytes hash differently in each domain.
const ENDPOINT: u64 = 1;
const CLIENT: u64 = 2;
const CLIENT_FLOW: u64 = 3;

/// Who an endpoint is, independent of its place in the document: a hash of its
/// address and port. The scope of a link-local address does not count, because
/// it differs from machine to machine.
pub fn identity(address: SocketAddr) -> u64 {
    hash_address(ENDPOINT, address.ip(), Some(address.port()))
}

/// A client whatever port it calls from. An IPv4 address and the same address
/// mapped into IPv6 are one client.
pub fn client(source: SocketAddr) -> u64 {
    hash_address(CLIENT, source.ip(), None)
}

/// A client's address and port.
pub fn client_flow(source: SocketAddr) -> u64 {
    hash_address(CLIENT_FLOW, source.ip(), Some(source.port()))
}

fn hash_address(domain: u64, address: IpAddr, port: Option<u16>) -> u64 {
    let mut bytes = [0u8; 19];
    let length = match address.to_canonical() {
        IpAddr::V4(address) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&address.octets());
            5
        }
        IpAddr::V6(address) => {
            bytes[0] = 6;
            bytes[1..17].copy_from_slice(&address.octets());
            17
        }
    };
    let Some(port) = port else {
        return hash64(domain, &bytes[..length]);
    };
    bytes[length..length + 2].copy_from_slice(&port.to_be_bytes());
    hash64(domain, &bytes[..length + 2])
}

/// The hash of `bytes` in `domain`. Domain 0 starts as FNV-1a does.
pub fn hash64(domain: u64, bytes: &[u8]) -> u64 {
    mix(fnv1a(FNV_OFFSET ^ mix(domain), bytes))
}

/// Two hashes made one, in this order.
pub(super) fn combine(first: u64, second: u64) -> u64 {
    mix(first ^ mix(second).rotate_left(32))
}

fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// The finishing steps of SplitMix64: a bijection in which each input bit moves
/// about half of the output bits. 0 stays 0.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// SplitMix64, for tests that want many seeded numbers.
    pub(in super::super) struct Random(pub u64);

    impl Random {
        pub fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(self.0)
        }

        pub fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn fnv_gives_the_published_values() {
        // http://www.isthe.com/chongo/tech/comp/fnv/ (test vectors of FNV-1a, 64 bits)
        assert_eq!(fnv1a(FNV_OFFSET, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(FNV_OFFSET, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn mix_gives_the_published_values() {
        // The first outputs of SplitMix64 seeded with 0.
        let mut random = Random(0);
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn mapped_address_is_the_same_client() {
        let plain = address("192.0.2.1:4000");
        let mapped = address("[::ffff:192.0.2.1]:4000");
        assert_eq!(client(plain), client(mapped));
        assert_eq!(client_flow(plain), client_flow(mapped));
        assert_eq!(identity(plain), identity(mapped));
    }

    #[test]
    fn port_counts_for_the_flow_only() {
        let (one, other) = (address("192.0.2.1:4000"), address("192.0.2.1:4001"));
        assert_eq!(client(one), client(other));
        assert_ne!(client_flow(one), client_flow(other));
    }

    #[test]
    fn scope_does_not_count() {
        assert_eq!(
            identity(address("[fe80::1%2]:80")),
            identity(address("[fe80::1%3]:80"))
        );
    }
}
