//! Machines on one Ethernet, made of network namespaces.
//!
//! The world's own namespace holds a bridge; each [`Host`] is a namespace with
//! one interface, `ens32`, plugged into it. A host is a place, not a process:
//! any number of programs, or threads of this program, may run in it. Namespaces
//! are named in `/run/netns`, so `ip netns exec` finds them.
//!
//! All of it blocks for a few milliseconds and works on threads of its own, so
//! it may be called with or without an async runtime. It must run inside an
//! [`Enclosure`](super::enclosure::Enclosure), which also cleans up: there is
//! nothing to drop here.
//!
//! ```no_run
//! # use catamaran::commands::lab::world::World;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut world = World::new()?;
//! let lb = world.host("lb-a", &["211.183.3.251/24"])?;
//! let client = world.host("worker1", &["211.183.3.110/24"])?;
//! let mut daemon = lb.within(|| std::process::Command::new("haproxy").spawn())?;
//! let stream = client.within(|| std::net::TcpStream::connect("211.183.3.251:6443"))?;
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::enclosure::{FOLDER, NAMED_NETWORKS};

/// The interface of every host, as in the founding case.
pub const INTERFACE: &str = "ens32";

/// The bridge in the world's own namespace.
pub const BRIDGE: &str = "switch";

// Indexes are chosen rather than asked for: 1 is lo, and the few after it may
// be tunnels that a kernel puts into every new namespace.
const LO_INDEX: u32 = 1;
const INTERFACE_INDEX: u32 = 32;
const BRIDGE_INDEX: u32 = 1000;

/// One Ethernet and the machines on it.
#[derive(Debug)]
pub struct World {
    hosts: Vec<Host>,
}

impl World {
    /// An Ethernet without machines. One for each enclosure.
    ///
    /// # Errors
    /// Outside of an enclosure, and when the kernel refuses a bridge.
    pub fn new() -> Result<Self, String> {
        if !Path::new(FOLDER).is_dir() {
            return Err("a world is built inside an enclosure only".into());
        }
        on_netlink(None, async |netlink| {
            let bridge = LinkBridge::new(BRIDGE).index(BRIDGE_INDEX).build();
            netlink
                .link()
                .add(bridge)
                .execute()
                .await
                .map_err(|error| format!("cannot make a bridge: {error}"))
        })?;
        Ok(Self { hosts: Vec::new() })
    }

    /// Add a machine with addresses on its interface (`"211.183.3.251/24"`).
    ///
    /// Names are unique and at most 15 bytes long: the bridge's port has it too.
    ///
    /// # Errors
    /// For an address without a prefix length, and when the kernel refuses.
    pub fn host(&mut self, name: &str, addresses: &[&str]) -> Result<Host, String> {
        let number = u32::try_from(self.hosts.len()).map_err(|error| error.to_string())?;
        let host = Host {
            name: name.into(),
            port: BRIDGE_INDEX + 1 + number,
            namespace: Path::new(NAMED_NETWORKS).join(name),
        };
        let wrong = |why: String| format!("host {name}: {why}");
        host.create().map_err(wrong)?;
        host.plug_in().map_err(wrong)?;
        on_netlink(Some(&host), async |netlink| {
            for index in [LO_INDEX, INTERFACE_INDEX] {
                set_link(netlink, LinkUnspec::new_with_index(index).up()).await?;
            }
            Ok(())
        })
        .map_err(wrong)?;
        for address in addresses {
            host.add_address(address)?;
        }
        self.hosts.push(host.clone());
        Ok(host)
    }

    /// The machines, in the order of their making.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

/// A machine of the world; a copy is the same machine.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    port: u32,
    namespace: PathBuf,
}

impl Host {
    /// Its name: of the host, of its port on the bridge, and in `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Do something in this machine, on a thread of its own.
    ///
    /// Processes started and sockets opened there stay in this machine; they
    /// also see its host name. Within a runtime, enter its handle in `work`
    /// where that needs it (`tokio::process::Command::spawn`).
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter().expect("the namespace of a host can be entered");
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Move the calling thread, and no other, into this machine for good.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn enter(&self) -> Result<(), String> {
        let namespace = File::open(&self.namespace)
            .map_err(|error| format!("cannot open {}: {error}", self.namespace.display()))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|error| format!("setns: {error}"))?;
        unshare(CloneFlags::CLONE_NEWUTS).map_err(|error| format!("unshare(CLONE_NEWUTS): {error}"))?;
        sethostname(&self.name).map_err(|error| format!("sethostname: {error}"))
    }

    /// Add an address (`"211.183.3.250/24"`) to the interface.
    ///
    /// # Errors
    /// For an address without a prefix length, and when the kernel refuses.
    pub fn add_address(&self, address: &str) -> Result<(), String> {
        let wrong =
            |why: &dyn std::fmt::Display| format!("host {}: cannot add {address:?}: {why}", self.name);
        let (ip, length) = address
            .split_once('/')
            .ok_or_else(|| wrong(&"no prefix length"))?;
        let ip: IpAddr = ip.parse().map_err(|error| wrong(&error))?;
        let length: u8 = length.parse().map_err(|error| wrong(&error))?;
        on_netlink(Some(self), async |netlink| {
            let mut request = netlink.address().add(INTERFACE_INDEX, ip, length);
            // Nobody else can have it, and detection would keep it unusable for a second.
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            request.message_mut().attributes.push(flags);
            request.execute().await.map_err(|error| wrong(&error))
        })
    }

    /// Pull the cable (`false`) or plug it in again: the machine loses its carrier.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_cable(&self, plugged: bool) -> Result<(), String> {
        on_netlink(None, async |netlink| {
            let port = LinkUnspec::new_with_index(self.port);
            set_link(netlink, if plugged { port.up() } else { port.down() }).await
        })
    }

    fn create(&self) -> Result<(), String> {
        let create = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("unshare(CLONE_NEWNET): {error}"))?;
            fs::write(&self.namespace, "").map_err(|error| format!("cannot name its namespace: {error}"))?;
            // A mount keeps the namespace when this thread has gone.
            const NONE: Option<&str> = None;
            mount(
                Some("/proc/thread-self/ns/net"),
                &self.namespace,
                NONE,
                MsFlags::MS_BIND,
                NONE,
            )
            .map_err(|error| format!("cannot keep its namespace: {error}"))
        };
        thread::scope(|scope| scope.spawn(create).join()).unwrap_or_else(|_| Err("a thread panicked".into()))
    }

    fn plug_in(&self) -> Result<(), String> {
        let namespace = File::open(&self.namespace).map_err(|error| error.to_string())?;
        let interface = LinkMessageBuilder::<LinkUnspec>::new()
            .name(INTERFACE)
            .index(INTERFACE_INDEX)
            .setns_by_fd(namespace.as_raw_fd())
            .build();
        let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(&self.name)
            .index(self.port)
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
                .map_err(|error| format!("cannot plug it in: {error}"))
        })
    }
}

async fn set_link(netlink: &Handle, link: LinkMessageBuilder<LinkUnspec>) -> Result<(), String> {
    let link = link.build();
    netlink
        .link()
        .set(link)
        .execute()
        .await
        .map_err(|error| format!("cannot set up a link: {error}"))
}

/// Speak rtnetlink in a host, or with `None` in the world's own namespace.
fn on_netlink<T: Send>(
    host: Option<&Host>,
    work: impl AsyncFnOnce(&Handle) -> Result<T, String> + Send,
) -> Result<T, String> {
    let speak = move || {
        if let Some(host) = host {
            host.enter()?;
        }
        crate::commands::runtime()?.block_on(async {
            let (connection, netlink, _) =
                rtnetlink::new_connection().map_err(|error| format!("no rtnetlink socket: {error}"))?;
            let connection = tokio::spawn(connection);
            let done = work(&netlink).await;
            connection.abort();
            done
        })
    };
    thread::scope(|scope| scope.spawn(speak).join()).unwrap_or_else(|_| Err("a thread panicked".into()))
}
