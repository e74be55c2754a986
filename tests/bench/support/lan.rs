//! Two routers and a client on one Ethernet, built as the lab builds its own.
//!
//! ```text
//!  client 192.0.2.10  ─┐
//!  lb-a   192.0.2.251 ─┼─ switch (a bridge)      192.0.2.250: the virtual address
//!  lb-b   192.0.2.252 ─┘
//! ```

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use catamaran::commands::lab::world::{INTERFACE, World};
use catamaran::pure::addr::IpPrefix;
use catamaran::shell::netlink::Netlink;
use socket2::{Domain, Protocol, Socket, Type};

use super::asking;
use super::world::Host;
use super::{Result, failed};

/// The address that moves.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 250);
pub const PREFIX: u8 = 24;
/// The routers' own, the preferred one first.
pub const ROUTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 251), Ipv4Addr::new(192, 0, 2, 252)];
pub const NAMES: [&str; 2] = ["lb-a", "lb-b"];
pub const PRIORITIES: [u8; 2] = [200, 100];
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// The preferred router, to which everything happens, and the other.
pub const A: usize = 0;
pub const B: usize = 1;

/// RFC 9568 §5.1.1.
const PROTOCOL: i32 = 112;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// How often it is looked who holds the address.
const LOOK: Duration = Duration::from_millis(2);

/// The machines.
pub struct Lan {
    pub client: Host,
    pub routers: [Router; 2],
}

/// A machine that may hold the virtual address. It echoes what it is asked
/// there, whichever subject runs.
pub struct Router {
    pub host: Host,
    pub holding: Holding,
}

impl Lan {
    /// Builds the machines, inside an enclosure.
    pub fn build(world: &mut World) -> Result<Self> {
        let client = world.host("client", &[&format!("{CLIENT}/{PREFIX}")])?;
        let mut router = |index: usize| {
            let address = format!("{}/{PREFIX}", ROUTERS[index]);
            let host = world.host(NAMES[index], &[&address])?;
            asking::echo(&host, index)?;
            Ok::<_, String>(Router {
                holding: Holding::watch(&host)?,
                host,
            })
        };
        Ok(Self {
            client,
            routers: [router(A)?, router(B)?],
        })
    }

    /// As it was before: cables in, and no virtual address left anywhere.
    pub fn tidy(&self) -> Result<()> {
        for router in &self.routers {
            router.host.set_cable(true)?;
            router.host.within(remove_virtual_address)?;
        }
        let nobody = || !self.routers.iter().any(|router| router.holding.now());
        match super::wait_until(Duration::from_secs(5), nobody) {
            true => Ok(()),
            false => Err("a virtual address cannot be removed".into()),
        }
    }

    /// Waits for the next advertisement of the preferred router, as the client
    /// hears it.
    pub fn next_advertisement(&self, patience: Duration) -> Result<Instant> {
        self.client.within(|| {
            let socket = hear_advertisements(patience)?;
            let mut packet = [0; 128];
            loop {
                let length = (&socket)
                    .read(&mut packet)
                    .map_err(failed("no advertisement comes"))?;
                let at = Instant::now();
                // The IP header comes first; its bytes 12 to 15 are the source.
                if length > 20 && packet[12..16] == ROUTERS[A].octets() {
                    return Ok(at);
                }
            }
        })
    }
}

/// A socket for all advertisements that come to the client, IP header included.
/// Made there.
pub fn hear_advertisements(patience: Duration) -> Result<Socket> {
    let socket =
        Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL))).map_err(failed("raw socket"))?;
    socket
        .join_multicast_v4(&GROUP, &CLIENT)
        .map_err(failed("multicast group"))?;
    socket
        .set_read_timeout(Some(patience))
        .map_err(failed("time-out"))?;
    Ok(socket)
}

fn remove_virtual_address() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("a runtime"))?;
    runtime.block_on(async {
        let netlink = Netlink::connect().map_err(failed("netlink"))?;
        let link = netlink.link(INTERFACE).await.map_err(failed("netlink"))?;
        let index = link.ok_or("a machine has lost its interface")?.state.index;
        let prefix = IpPrefix {
            ip: IpAddr::V4(VIRTUAL),
            length: PREFIX,
        };
        netlink
            .remove_address(index, prefix)
            .await
            .map_err(failed("netlink"))
    })
}

/// When a machine held the virtual address: it is there for as long as a socket
/// can be bound to it.
pub struct Holding {
    changes: Arc<Mutex<Vec<(Instant, bool)>>>,
}

impl Holding {
    fn watch(host: &Host) -> Result<Self> {
        let changes = Arc::new(Mutex::new(vec![(Instant::now(), false)]));
        let (host, written) = (host.clone(), changes.clone());
        thread::spawn(move || {
            host.enter().expect("a machine of the world");
            loop {
                let holds = UdpSocket::bind(SocketAddr::from((VIRTUAL, 0))).is_ok();
                let mut changes = lock(&written);
                if changes.last().is_none_or(|(_, held)| *held != holds) {
                    changes.push((Instant::now(), holds));
                }
                drop(changes);
                thread::sleep(LOOK);
            }
        });
        Ok(Self { changes })
    }

    /// Whether it is there now.
    pub fn now(&self) -> bool {
        lock(&self.changes).last().is_some_and(|(_, held)| *held)
    }

    /// When it was there between two moments, in order.
    pub fn spans(&self, from: Instant, to: Instant) -> Vec<(Instant, Instant)> {
        let changes = lock(&self.changes);
        let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([to]);
        let spans = changes.iter().zip(ends).filter(|((_, held), _)| *held);
        spans
            .map(|((begin, _), end)| ((*begin).max(from), end.min(to)))
            .filter(|(begin, end)| begin < end)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
