//! VRRP: which router holds the virtual addresses (RFC 9568, RFC 3768).
//!
//! This room decides and nothing else: advertisements and moments come in,
//! advertisements to send and addresses to add or remove go out. Sockets,
//! netlink and announcements are the driver's, in `shell::vrrp`.
//!
//! - [`packet`]: advertisements as bytes
//! - [`timers`]: intervals, and how long a silence may be
//! - [`VirtualRouter`]: the state machine; [`Input`] and [`Output`] are all that
//!   goes in and out

mod accept;
mod event;
pub mod packet;
mod priority;
mod roster;
pub mod timers;
mod virtual_router;

pub use event::{Fault, Fitness, Input, Notice, Output, Reason, Received, State, Why};
pub use packet::{Advertisement, Authentication, Carrier, ChecksumForm, Decoded, Malformed};
pub use priority::Priority;
pub use roster::{Heard, Peer};
pub use timers::Centiseconds;
pub use virtual_router::{Parameters, Takeover, VirtualRouter};

use std::fmt;

/// A virtual router's identifier, 1–255 (RFC 9568 §5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0.
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => None,
            _ => Some(Self(value)),
        }
    }

    /// 1–255.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The MAC of the virtual router itself, whoever is Active (RFC 9568 §7.3).
    pub const fn mac(self, ipv6: bool) -> [u8; 6] {
        [0x00, 0x00, 0x5E, 0x00, if ipv6 { 2 } else { 1 }, self.0]
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 3768, with the password of RFC 2338: IPv4.
    V2,
    /// RFC 9568 and RFC 5798: IPv4 and IPv6.
    V3,
}

impl Version {
    /// 2 or 3.
    pub const fn get(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9568 §7.3.
    #[test]
    fn virtual_mac_is_the_rfcs() {
        let vrid = Vrid::new(51).unwrap();
        assert_eq!(vrid.mac(false), [0x00, 0x00, 0x5E, 0x00, 0x01, 0x33]);
        assert_eq!(vrid.mac(true), [0x00, 0x00, 0x5E, 0x00, 0x02, 0x33]);
    }
}
