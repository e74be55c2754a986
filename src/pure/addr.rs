//! Address types shared by all rooms.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a listener binds: an address and a port, or `*` for every address of
/// both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenAddr {
    /// `None` is `*`: one socket for IPv6 that takes IPv4 too, or IPv4 alone
    /// on a kernel without IPv6.
    pub ip: Option<IpAddr>,
    /// 1 to 65535.
    pub port: u16,
}

impl ListenAddr {
    /// Whether one connection could be meant for both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.port == other.port && (self.covers(other.ip) || other.covers(self.ip))
    }

    /// Whether a connection to `target` arrives here.
    pub fn accepts(&self, target: SocketAddr) -> bool {
        self.port == target.port() && self.covers(Some(target.ip()))
    }

    fn covers(&self, ip: Option<IpAddr>) -> bool {
        match (self.ip, ip) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(IpAddr::V4(mine)), Some(IpAddr::V4(theirs))) => {
                mine == theirs || mine == Ipv4Addr::UNSPECIFIED
            }
            (Some(IpAddr::V6(mine)), Some(IpAddr::V6(theirs))) => {
                mine == theirs || mine == Ipv6Addr::UNSPECIFIED
            }
            // A socket on an explicit `::` is bound to IPv6 only.
            (Some(_), Some(_)) => false,
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => write!(f, "*:{}", self.port),
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
        }
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_prefix("*:") {
            Some(port) => port.parse().ok().map(|port| Self { ip: None, port }),
            None => text.parse::<SocketAddr>().ok().map(|a| Self {
                ip: Some(a.ip()),
                port: a.port(),
            }),
        };
        match parsed {
            Some(addr) if addr.port != 0 => Ok(addr),
            _ => Err("expected an address and a port from 1 to 65535, such as \"*:6443\", \"10.0.0.1:6443\" or \"[fd00::1]:6443\"".into()),
        }
    }
}

/// An address with the length of its network prefix: `211.183.3.250/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpPrefix {
    /// The address itself, host bits kept.
    pub ip: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub length: u8,
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

impl FromStr for IpPrefix {
    type Err = String;

    /// Without a length the prefix is the address alone (/32, /128), as
    /// keepalived reads it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected an address with a prefix length, such as \"211.183.3.250/24\" or \"fd00::250/64\""
                .to_string()
        };
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        if length > longest {
            return Err(format!(
                "a prefix length of {length} is too long here: at most {longest}"
            ));
        }
        Ok(Self { ip, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> ListenAddr {
        text.parse().unwrap()
    }

    #[test]
    fn star_overlaps_every_address_of_its_port_only() {
        assert!(listen("*:6443").overlaps(&listen("10.0.0.1:6443")));
        assert!(listen("[fd00::1]:6443").overlaps(&listen("*:6443")));
        assert!(!listen("*:6443").overlaps(&listen("10.0.0.1:6444")));
    }

    #[test]
    fn unspecified_address_covers_its_own_family_only() {
        assert!(listen("0.0.0.0:80").overlaps(&listen("10.0.0.1:80")));
        assert!(!listen("[::]:80").overlaps(&listen("10.0.0.1:80")));
    }

    #[test]
    fn listen_address_refuses_port_zero_and_names() {
        assert!("*:0".parse::<ListenAddr>().is_err());
        assert!("localhost:80".parse::<ListenAddr>().is_err());
        assert!("10.0.0.1".parse::<ListenAddr>().is_err());
    }

    #[test]
    fn prefix_length_defaults_to_the_host_and_is_bounded_by_family() {
        assert_eq!("10.0.0.1".parse::<IpPrefix>().unwrap().length, 32);
        assert_eq!("fd00::1".parse::<IpPrefix>().unwrap().length, 128);
        assert!(
            "10.0.0.1/33"
                .parse::<IpPrefix>()
                .unwrap_err()
                .contains("at most 32")
        );
    }
}
