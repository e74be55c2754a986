//! The interface with a virtual router's own MAC (RFC 9568 §7.3).
//!
//! ```text
//!  vr4-33-20   macvlan, 00:00:5e:00:01:33: has the virtual addresses;
//!      │       advertisements leave here
//!  ens32       its own MAC: has the node's address; advertisements are heard
//!              here, answers to clients leave here, and announcements, in
//!              which the caller writes the virtual MAC
//! ```
//!
//! Packet sockets, as announcements need them, have no place on an interface
//! that comes and goes: the kernel keeps whoever closes one, under load up to
//! a second.
//!
//! It is there only while the router is Active: a Backup must not take frames
//! for that MAC, nor make a switch believe that it is here. What a killed
//! process leaves behind is an interface whose addresses run out: it answers
//! nobody, and the next start removes it.

use std::io;

use tokio::task::JoinHandle;

use crate::pure::vrrp::Vrid;
use crate::shell::netlink::{
    ArpSettings, Macvlan, Netlink, arp_settings, refuse_ipv6, refuse_router_advertisements,
};
use crate::shell::vrrp::{AdvertisementSocket, Family};

/// Makes the interface of one virtual router, and removes it.
pub struct VirtualMac {
    family: Family,
    vrid: Vrid,
    apart: Netlink,
    link: Option<VirtualLink>,
    /// Removes the former one.
    leaving: Option<JoinHandle<()>>,
    /// It was said what the host's settings do.
    warned: bool,
}

/// The interface, while there is one.
pub struct VirtualLink {
    /// The kernel's number for it.
    pub index: u32,
    /// See [`name`].
    pub name: String,
    /// Sends with the virtual MAC, from the addresses of the interface below.
    pub socket: AdvertisementSocket,
}

impl VirtualMac {
    /// No interface yet.
    ///
    /// # Errors
    /// When there can be no netlink socket.
    pub fn new(family: Family, vrid: Vrid) -> io::Result<Self> {
        Ok(Self {
            family,
            vrid,
            apart: Netlink::connect()?,
            link: None,
            leaving: None,
            warned: false,
        })
    }

    /// The virtual MAC.
    pub fn mac(&self) -> [u8; 6] {
        self.vrid.mac(self.family == Family::V6)
    }

    /// The interface, while there is one.
    pub fn link(&self) -> Option<&VirtualLink> {
        self.link.as_ref()
    }

    /// See that the interface is there and switched on; gives its index.
    ///
    /// # Errors
    /// Name the interface. When it lies on one that is no Ethernet, or is
    /// bridged itself, the kernel refuses it.
    pub async fn make(&mut self, netlink: &Netlink, parent: u32) -> io::Result<u32> {
        if let Some(made) = &self.link {
            let found = netlink.link(&made.name).await?.map(|link| link.state);
            if found.is_some_and(|state| state.index == made.index && state.up) {
                return Ok(made.index);
            }
            self.remove();
        }
        let name = name(self.family, self.vrid, parent);
        let index = match netlink.add_macvlan(parent, &name, self.mac()).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove_former(netlink, &name).await?;
                netlink.add_macvlan(parent, &name, self.mac()).await?
            }
            added => added?,
        };
        match self.open(netlink, index, name).await {
            Ok(link) => self.link = Some(link),
            Err(error) => {
                self.remove_later(index);
                return Err(error);
            }
        }
        Ok(index)
    }

    async fn open(&self, netlink: &Netlink, index: u32, name: String) -> io::Result<VirtualLink> {
        // Before it is up: nothing of the link's IPv6 may get at it.
        let refused = match self.family {
            Family::V4 => refuse_ipv6(&name),
            Family::V6 => refuse_router_advertisements(&name),
        };
        if let Err(error) = refused {
            tracing::warn!(interface = name, %error, "router advertisements may give it addresses and routes");
        }
        netlink.switch_on(index).await?;
        Ok(VirtualLink {
            socket: AdvertisementSocket::open_to_send(&name, index, self.family)?,
            index,
            name,
        })
    }

    /// One of that name is there: ours, which is about to go or was left by a
    /// former life, or somebody else's, which stays.
    async fn remove_former(&mut self, netlink: &Netlink, name: &str) -> io::Result<()> {
        self.gone().await;
        let links = netlink.macvlans().await?;
        match links.iter().find(|link| link.name == name && is_ours(link)) {
            Some(former) => self.apart.remove_link(former.index).await,
            None => Ok(()),
        }
    }

    /// Remove the interface, without waiting for it; harmless without one.
    pub fn remove(&mut self) {
        if let Some(link) = self.link.take() {
            self.remove_later(link.index);
        }
    }

    fn remove_later(&mut self, index: u32) {
        let (apart, before) = (self.apart.clone(), self.leaving.take());
        self.leaving = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // Nobody ends it early, and it cannot panic.
                let _ = before.await;
            }
            if let Err(error) = apart.remove_link(index).await {
                tracing::error!(%error, "an interface without addresses stays");
            }
        }));
    }

    /// Say once when the interface below is set so that it tells clients its own
    /// MAC for the virtual addresses.
    ///
    /// It answers for every address of the machine, before the virtual MAC does;
    /// and it asks for clients in the name of the address that it answers from.
    /// In IPv6 it does neither. These settings are the host's: whoever kills us
    /// would keep us from setting them back.
    pub fn warn_of_settings(&mut self, router: &str, interface: &str) {
        if self.warned || self.family == Family::V6 {
            return;
        }
        // It may not be there yet.
        let wanted = arp_settings(interface).map_or_else(Vec::new, |arp| wanted(interface, arp));
        self.warned = !wanted.is_empty();
        if self.warned {
            let wanted = wanted.join(" ");
            tracing::warn!(
                virtual_router = router,
                "{interface} tells clients its own MAC for the virtual addresses, so that they notice a \
                 takeover late; set on every node: sysctl -w {wanted}"
            );
        }
    }

    /// Nothing is being removed any more.
    pub fn has_gone(&self) -> bool {
        self.leaving.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Wait until what was removed has gone.
    pub async fn gone(&mut self) {
        if let Some(leaving) = self.leaving.take() {
            // Nobody ends it early, and it cannot panic.
            let _ = leaving.await;
        }
    }
}

/// Remove the interfaces of a former life.
///
/// # Errors
/// When the kernel does not answer, or keeps one.
pub async fn sweep(netlink: &Netlink) -> io::Result<()> {
    for link in netlink.macvlans().await?.iter().filter(|link| is_ours(link)) {
        netlink.remove_link(link.index).await?;
        tracing::info!(
            interface = link.name,
            "removed an interface that a former life left"
        );
    }
    Ok(())
}

/// What has to be set on an interface with these settings, in the words of
/// sysctl(8); empty when all is well.
fn wanted(interface: &str, arp: ArpSettings) -> Vec<String> {
    // In sysctl's names, dots are slashes.
    let of = interface.replace('.', "/");
    let wanted = [
        (
            !matches!(arp.ignore, 1 | 2),
            format!("net.ipv4.conf.{of}.arp_ignore=1"),
        ),
        (arp.announce != 2, format!("net.ipv4.conf.{of}.arp_announce=2")),
    ];
    let missing = wanted.into_iter().filter(|(missing, _)| *missing);
    missing.map(|(_, setting)| setting).collect()
}

/// `vr4-33-20`: the family, the VRID as the MAC has it, and the index of the
/// interface below, both hexadecimal: so at most 15 bytes, as names may have.
fn name(family: Family, vrid: Vrid, parent: u32) -> String {
    let family = match family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    format!("vr{family}-{:02x}-{parent:x}", vrid.get())
}

/// Whether a process of ours has made it: by its name, and the MAC that goes with it.
fn is_ours(link: &Macvlan) -> bool {
    let family = |word| match word {
        "vr4" => Some(Family::V4),
        "vr6" => Some(Family::V6),
        _ => None,
    };
    let parts: Vec<&str> = link.name.split('-').collect();
    let &[first, vrid, parent] = &parts[..] else {
        return false;
    };
    let vrid = u8::from_str_radix(vrid, 16).ok().and_then(Vrid::new);
    let (Some(family), Some(vrid), Ok(parent)) = (family(first), vrid, u32::from_str_radix(parent, 16))
    else {
        return false;
    };
    link.name == name(family, vrid, parent) && link.mac == vrid.mac(family == Family::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrid(value: u8) -> Vrid {
        Vrid::new(value).unwrap()
    }

    #[test]
    fn name_always_fits() {
        assert_eq!(name(Family::V4, vrid(51), 32), "vr4-33-20");
        assert_eq!(name(Family::V6, vrid(5), 2), "vr6-05-2");
        // The greatest index that the kernel gives.
        assert_eq!(name(Family::V6, vrid(255), i32::MAX as u32), "vr6-ff-7fffffff");
        assert_eq!("vr6-ff-7fffffff".len(), 15);
    }

    #[test]
    fn settings_that_speak_for_others_are_named() {
        let wanted = |ignore, announce| wanted("bond0.100", ArpSettings { ignore, announce }).join(" ");
        let (ignore, announce) = (
            "net.ipv4.conf.bond0/100.arp_ignore=1",
            "net.ipv4.conf.bond0/100.arp_announce=2",
        );
        assert_eq!(wanted(0, 0), format!("{ignore} {announce}"));
        // Addresses of host scope only; other subnets only.
        assert_eq!(wanted(3, 1), format!("{ignore} {announce}"));
        assert_eq!(wanted(1, 0), announce);
        assert_eq!(wanted(0, 2), ignore);
        assert_eq!(wanted(2, 2), "");
    }

    #[test]
    fn only_our_names_with_their_macs_are_ours() {
        let is_ours = |name: &str, mac| {
            is_ours(&Macvlan {
                index: 7,
                name: name.into(),
                mac,
            })
        };
        let (v4, v6) = ([0, 0, 0x5e, 0, 1, 0x33], [0, 0, 0x5e, 0, 2, 0x33]);
        assert!(is_ours("vr4-33-20", v4));
        assert!(is_ours("vr6-33-20", v6));
        for (name, mac) in [
            ("vr4-33-20", v6),
            ("vr4-34-20", v4),
            ("vr4-33-20", [2, 0, 0x5e, 0, 1, 0x33]),
            ("vr4-33", v4),
            ("vr4-33-20-1", v4),
            ("vr4-33-", v4),
            ("vr4-33-020", v4),
            // keepalived's and FRR's.
            ("vrrp.51", v4),
            ("vrrp4-2-51", v4),
        ] {
            assert!(!is_ours(name, mac), "{name} {mac:x?}");
        }
    }
}
