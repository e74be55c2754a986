//! Settings of an interface that only `/proc/sys/net` has, in the namespace of
//! the calling thread.

use std::fs;
use std::io;

/// How an interface speaks of addresses that others of this machine have
/// (`ip-sysctl.rst`): the greater of what is set for it and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpSettings {
    /// `arp_ignore`: with 1 or 2 it does not answer for them.
    pub ignore: u8,
    /// `arp_announce`: with 2 it does not ask in their name.
    pub announce: u8,
}

/// The settings of an interface; `None` when it is not there.
pub fn arp_settings(interface: &str) -> Option<ArpSettings> {
    let read = |of: &str, setting: &str| -> Option<u8> {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{of}/{setting}")).ok()?;
        value.trim().parse().ok()
    };
    let greater = |setting| Some(read("all", setting)?.max(read(interface, setting)?));
    Some(ArpSettings {
        ignore: greater("arp_ignore")?,
        announce: greater("arp_announce")?,
    })
}

/// Switch IPv6 off on an interface; harmless where there is none.
///
/// # Errors
/// Names the setting that cannot be written: in some containers and under
/// `ProtectKernelTunables=` none can.
pub fn refuse_ipv6(interface: &str) -> io::Result<()> {
    write(interface, "disable_ipv6", "1")
}

/// Take no addresses and no routes from router advertisements.
///
/// # Errors
/// As of [`refuse_ipv6`].
pub fn refuse_router_advertisements(interface: &str) -> io::Result<()> {
    write(interface, "accept_ra", "0")
}

fn write(interface: &str, setting: &str, value: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/{setting}"), value) {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot set net.ipv6.conf.{interface}.{setting}={value}: {error}"),
        )),
        Ok(()) => Ok(()),
    }
}
