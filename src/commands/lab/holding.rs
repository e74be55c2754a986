//! Whether a host has the virtual address: the kernel's word, not the daemon's.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::world::Host;

/// When an address came to a host and went from it, since we look.
pub struct Holding {
    changes: watch::Receiver<Vec<(SystemTime, bool)>>,
}

impl Holding {
    /// Look from now on; the host does not have the address yet.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn of(host: &Host, address: IpAddr) -> Result<Self, String> {
        let runtime = Handle::current();
        let (connection, netlink, mut messages) = host
            .within(|| {
                let _runtime = runtime.enter();
                rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr])
            })
            .map_err(|error| format!("no rtnetlink socket: {error}"))?;
        let (tell, changes) = watch::channel(Vec::new());
        tokio::spawn(connection);
        tokio::spawn(async move {
            // The connection lasts as long as this.
            let _netlink = netlink;
            while let Some((message, _)) = messages.next().await {
                let held = match &message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(it)) if is(it, address) => {
                        true
                    }
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(it)) if is(it, address) => {
                        false
                    }
                    _ => continue,
                };
                tell.send_if_modified(|changes: &mut Vec<_>| note(changes, held));
            }
        });
        Ok(Self { changes })
    }

    /// Whether it is there now.
    pub fn held(&self) -> bool {
        self.changes.borrow().last().is_some_and(|(_, held)| *held)
    }

    /// When the address came (`true`) or went (`false`), no earlier than `since`;
    /// waits for it. `None` when it did not within `patience`.
    pub async fn change(&self, held: bool, since: SystemTime, patience: Duration) -> Option<SystemTime> {
        let find = |changes: &Vec<(SystemTime, bool)>| {
            let wanted = changes.iter().find(|(at, to)| *at >= since && *to == held);
            wanted.map(|(at, _)| *at)
        };
        let mut changes = self.changes.clone();
        let seen = timeout(patience, changes.wait_for(|changes| find(changes).is_some())).await;
        find(&*seen.ok()?.ok()?)
    }
}

/// A renewal changes nothing.
fn note(changes: &mut Vec<(SystemTime, bool)>, held: bool) -> bool {
    let before = changes.last().is_some_and(|(_, held)| *held);
    if before != held {
        changes.push((SystemTime::now(), held));
    }
    before != held
}

fn is(message: &AddressMessage, address: IpAddr) -> bool {
    message.attributes.contains(&AddressAttribute::Local(address))
}
