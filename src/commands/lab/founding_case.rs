//! The founding case: who is where, and the one document for both load balancers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::world::INTERFACE;
use crate::pure::vrrp::timers::active_down_interval;
use crate::pure::vrrp::{Centiseconds, Priority, Version};

/// A machine of the founding case.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Its host name.
    pub name: &'static str,
    /// Its address; all share one /24.
    pub address: Ipv4Addr,
}

impl Machine {
    const fn new(name: &'static str, last: u8) -> Self {
        Self {
            name,
            address: Ipv4Addr::new(211, 183, 3, last),
        }
    }

    /// The address as an interface has it.
    pub fn prefix(&self) -> String {
        format!("{}/24", self.address)
    }
}

/// The load balancers with their priorities, the preferred one first.
pub const LOAD_BALANCERS: [(Machine, u8); 2] =
    [(Machine::new("lb-a", 251), 200), (Machine::new("lb-b", 252), 100)];

/// The control planes.
pub const CONTROL_PLANES: [Machine; 3] = [
    Machine::new("master1", 100),
    Machine::new("master2", 101),
    Machine::new("master3", 102),
];

/// Where clients live.
pub const WORKER: Machine = Machine::new("worker1", 110);

/// What clients connect to.
pub const VIRTUAL: Machine = Machine::new("virtual", 250);

/// The port of apiservers and of the listener.
pub const PORT: u16 = 6443;

/// Failures in a row until an endpoint is down.
pub const FALL: u64 = 3;

/// Successes in a row until it is up again.
pub const RISE: u64 = 2;

/// An apiserver's or the listener's address.
pub fn socket(machine: &Machine) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(machine.address), PORT)
}

/// What the document leaves to the lab.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From probe to probe.
    pub interval: Duration,
    /// Time for one probe.
    pub timeout: Duration,
    /// From advertisement to advertisement: one that version 2 or 3 can say.
    pub advertisement_interval: Duration,
}

impl Timing {
    /// The version that can say the advertisement interval: 2 as in the
    /// founding case, or 3.
    pub fn version(&self) -> Version {
        match Centiseconds::from_duration(Version::V2, self.advertisement_interval) {
            Some(_) => Version::V2,
            None => Version::V3,
        }
    }

    /// How long an Active is silent before the second load balancer takes over,
    /// at the latest.
    pub fn active_down_interval(&self) -> Duration {
        let (version, [_, (_, priority)]) = (self.version(), LOAD_BALANCERS);
        let priority = Priority::new(priority).unwrap_or(Priority::LAST);
        let interval = Centiseconds::from_duration(version, self.advertisement_interval);
        active_down_interval(version, priority, interval.unwrap_or(Centiseconds::SECOND))
    }

    /// The document, with the certificates of endpoints verified against `authority`.
    pub fn document(&self, authority: &Path) -> String {
        let mut text = String::new();
        for (machine, priority) in &LOAD_BALANCERS {
            text += &format!(
                "[nodes.{}]\naddress   = \"{}\"\ninterface = \"{INTERFACE}\"\npriority  = {priority}\n\n",
                machine.name, machine.address
            );
        }
        let authentication = match self.version() {
            Version::V2 => "authentication = { pass = \"1111\" }\n",
            // It has none.
            Version::V3 => "",
        };
        text += &format!(
            r#"[virtual-routers.apiserver]
vrid      = 51
addresses = ["{}"]
version   = {}
advertisement-interval = "{}ms"
track     = [{{ pool = "apiserver" }}]
{authentication}
[listeners.apiserver]
bind       = ["*:{PORT}"]
pool       = "apiserver"
forwarding = "proxy"

[pools.apiserver]
balance = "round-robin"
check   = "apiserver"

[pools.apiserver.endpoints]
"#,
            VIRTUAL.prefix(),
            self.version().get(),
            self.advertisement_interval.as_millis(),
        );
        for machine in &CONTROL_PLANES {
            text += &format!("{} = \"{}\"\n", machine.name, socket(machine));
        }
        text += &format!(
            r#"
[checks.apiserver]
plugin   = "apiserver-healthz"
interval = "{}ms"
timeout  = "{}ms"
rise     = {RISE}
fall     = {FALL}
config   = {{ path = "/healthz" }}
tls      = {{ ca = "{}" }}
"#,
            self.interval.as_millis(),
            self.timeout.as_millis(),
            authority.display()
        );
        text
    }
}
