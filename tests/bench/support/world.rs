//! Three machines on one Ethernet, built as the lab builds its own.
//!
//! ```text
//!  client 192.0.2.10 ─┐
//!  lb     192.0.2.20 ─┼─ switch (a bridge)
//!  server 192.0.2.31 ─┘  .32 .33
//! ```

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use catamaran::commands::lab::world;
pub use catamaran::commands::lab::world::Host;

use super::{Result, failed};

/// The load balancer's address.
pub const LB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// The server's addresses: three endpoints, as in the founding case.
pub const ENDPOINTS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(192, 0, 2, 31),
    Ipv4Addr::new(192, 0, 2, 32),
    Ipv4Addr::new(192, 0, 2, 33),
];
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// The hidden first argument by which this program starts itself again inside.
pub const INSIDE: &str = "inside";

/// The machines.
pub struct World {
    pub client: Host,
    pub lb: Host,
    pub server: Host,
}

/// Becomes this program inside an enclosure, of root without a user namespace
/// if that is wanted; returns only why it cannot.
pub fn enclose(as_root: bool, arguments: &[String]) -> String {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return format!("this program has no path: {error}"),
    };
    let error = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["lab-inside", "enclose"])
        .args(as_root.then_some("--as-root"))
        .arg("--")
        .arg(program)
        .arg(INSIDE)
        .args(arguments)
        .exec();
    failed(env!("CARGO_BIN_EXE_catamaran"))(error)
}

impl World {
    /// Builds the machines, inside an enclosure.
    pub fn build() -> Result<Self> {
        let mut world = world::World::new()?;
        let mut host = |name, addresses: &[Ipv4Addr]| {
            let addresses: Vec<_> = addresses.iter().map(|address| format!("{address}/24")).collect();
            let host = world.host(name, &addresses.iter().map(String::as_str).collect::<Vec<_>>())?;
            host.within(tune)?;
            Ok::<_, String>(host)
        };
        Ok(Self {
            client: host("client", &[CLIENT])?,
            lb: host("lb", &[LB])?,
            server: host("server", &ENDPOINTS)?,
        })
    }
}

/// Thousands of connections a second, all between the same addresses: use
/// every port, and again as soon as timestamps tell old and new apart.
pub fn tune() -> Result<()> {
    for (setting, value) in [
        ("ip_local_port_range", "1024 65535"),
        ("tcp_tw_reuse", "1"),
        ("tcp_max_syn_backlog", "8192"),
    ] {
        let path = format!("/proc/sys/net/ipv4/{setting}");
        fs::write(&path, value).map_err(failed(&path))?;
    }
    Ok(())
}
