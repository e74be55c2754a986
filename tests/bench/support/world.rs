//! Three machines on one Ethernet, made of network namespaces that nothing
//! outside sees and that vanish with the last process in them.
//!
//! ```text
//!  client 192.0.2.10 ─┐
//!  lb     192.0.2.20 ─┼─ switch (a bridge)
//!  server 192.0.2.31 ─┘  .32 .33
//! ```

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

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

const LO_INDEX: u32 = 1;
const INTERFACE_INDEX: u32 = 32;
const BRIDGE_INDEX: u32 = 1000;

/// The machines.
pub struct World {
    pub client: Host,
    pub lb: Host,
    pub server: Host,
}

impl World {
    /// Moves this process into namespaces of its own and builds the machines.
    /// Call it once, before there is any other thread.
    pub fn build() -> Result<Self> {
        enclose()?;
        on_netlink(None, async |netlink| {
            let bridge = LinkBridge::new("switch").index(BRIDGE_INDEX).up().build();
            netlink
                .link()
                .add(bridge)
                .execute()
                .await
                .map_err(failed("cannot make a bridge"))
        })?;
        Ok(Self {
            client: Host::new("client", 1, &[CLIENT])?,
            lb: Host::new("lb", 2, &[LB])?,
            server: Host::new("server", 3, &ENDPOINTS)?,
        })
    }
}

/// Root makes a network namespace; anybody else a user namespace first.
fn enclose() -> Result<()> {
    if !geteuid().is_root() {
        // Taken before: inside, unmapped ids are all "nobody".
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(failed(
            "this needs root or user namespaces: unshare(CLONE_NEWUSER)",
        ))?;
        // Without privilege a group is mapped only after setgroups(2) is given
        // up: user_namespaces(7).
        for (file, text) in [
            ("setgroups", "deny".to_string()),
            ("uid_map", format!("0 {user} 1")),
            ("gid_map", format!("0 {group} 1")),
        ] {
            fs::write(format!("/proc/self/{file}"), text).map_err(failed(file))?;
        }
    }
    unshare(CloneFlags::CLONE_NEWNET).map_err(failed("unshare(CLONE_NEWNET)"))
}

/// One machine: a network namespace, held open.
pub struct Host {
    namespace: File,
}

impl Host {
    fn new(name: &str, port: u32, addresses: &[Ipv4Addr]) -> Result<Self> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(failed("unshare(CLONE_NEWNET)"))?;
            File::open("/proc/thread-self/ns/net").map_err(failed("/proc/thread-self/ns/net"))
        };
        let namespace = thread::spawn(make).join().expect("no panic")?;
        let host = Self { namespace };
        host.plug_in(name, BRIDGE_INDEX + port)?;
        on_netlink(Some(&host), async |netlink| {
            for index in [LO_INDEX, INTERFACE_INDEX] {
                let up = LinkUnspec::new_with_index(index).up().build();
                netlink
                    .link()
                    .set(up)
                    .execute()
                    .await
                    .map_err(failed("cannot set up a link"))?;
            }
            for address in addresses {
                let request = netlink.address().add(INTERFACE_INDEX, IpAddr::V4(*address), 24);
                request.execute().await.map_err(failed("cannot add an address"))?;
            }
            Ok(())
        })?;
        // Thousands of connections a second, all between the same addresses: use
        // every port, and again as soon as timestamps tell old and new apart.
        for (setting, value) in [
            ("ip_local_port_range", "1024 65535"),
            ("tcp_tw_reuse", "1"),
            ("tcp_max_syn_backlog", "8192"),
        ] {
            let path = format!("/proc/sys/net/ipv4/{setting}");
            host.within(|| fs::write(&path, value).map_err(failed(&path)))?;
        }
        Ok(host)
    }

    fn plug_in(&self, name: &str, port: u32) -> Result<()> {
        let interface = LinkMessageBuilder::<LinkUnspec>::new()
            .name("ens32")
            .index(INTERFACE_INDEX)
            .setns_by_fd(self.namespace.as_raw_fd())
            .build();
        let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(name)
            .index(port)
            .controller(BRIDGE_INDEX)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(interface)))
            .build();
        on_netlink(None, async |netlink| {
            netlink
                .link()
                .add(cable)
                .execute()
                .await
                .map_err(failed("cannot plug in a host"))
        })
    }

    /// Moves the calling thread, and no other, into this machine for good.
    /// Sockets it opens stay there wherever they are used.
    pub fn enter(&self) -> Result<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).map_err(failed("setns"))
    }

    /// Does something in this machine, on a thread of its own.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter().and_then(|()| work()));
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Where another process finds this machine while this process lives.
    pub fn path(&self) -> PathBuf {
        path_of(self.namespace.as_raw_fd())
    }
}

/// A path by which child processes can open what this process has open.
pub fn path_of(descriptor: RawFd) -> PathBuf {
    format!("/proc/{}/fd/{descriptor}", std::process::id()).into()
}

/// Speaks rtnetlink in a host, or with `None` where this process is.
fn on_netlink<T: Send>(
    host: Option<&Host>,
    work: impl AsyncFnOnce(&Handle) -> Result<T> + Send,
) -> Result<T> {
    let speak = || {
        if let Some(host) = host {
            host.enter()?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(failed("no runtime"))?.block_on(async {
            let (connection, netlink, _) =
                rtnetlink::new_connection().map_err(failed("no rtnetlink socket"))?;
            let connection = tokio::spawn(connection);
            let done = work(&netlink).await;
            connection.abort();
            done
        })
    };
    thread::scope(|scope| scope.spawn(speak).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
