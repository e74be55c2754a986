//! Virtual routers on the wire.
//!
//! - [`AdvertisementSocket`]: sends and receives advertisements
//! - [`Announcer`]: tells the network where a virtual address is
//! - [`AddressWitness`]: hears who else says to have a virtual address
//!
//! This room knows packets, not their meaning: advertisements are bytes here,
//! which `pure::vrrp` reads and writes, and what follows from them it decides.
//! Addresses are added and removed by `shell::netlink`.
//!
//! A socket belongs to one interface, of that moment: when the interface is
//! made anew, so must the socket be. That it loses its carrier is harmless.

mod announce;
mod raw;
mod socket;
mod witness;

pub use announce::{Announcer, ArpOperation, forwards, gratuitous_arp, unsolicited_advertisement};
pub use socket::{AdvertisementSocket, Family, GROUP_V4, GROUP_V6, LARGEST, Mode, Received};
pub use witness::{AddressWitness, Claim};
