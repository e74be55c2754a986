//! Interfaces and addresses of this machine, over rtnetlink.
//!
//! - `links`: what an interface is and has
//! - `macvlans`: interfaces of our own, for virtual MACs
//! - `addresses`: virtual addresses, which go away by themselves
//! - `settings`: what `/proc/sys/net` says of an interface
//! - `monitor`: what changes, whoever changed it
//!
//! This room decides nothing: which address belongs here, and when, is said by
//! its caller. It neither sends nor receives packets of the network.
//!
//! Everything is about the network namespace of the thread that made the
//! [`Netlink`] or the [`Monitor`], whichever thread uses it later.

mod addresses;
mod links;
mod macvlans;
mod monitor;
mod settings;

pub use addresses::Lifetime;
pub use links::{Address, Link, LinkState};
pub use macvlans::Macvlan;
pub use monitor::{Change, Monitor};
pub use settings::{ArpSettings, arp_settings, refuse_ipv6, refuse_router_advertisements};

use std::fmt::Display;
use std::io;
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;
use rtnetlink::Handle;
use tokio::runtime::Builder;

/// Asks the kernel and tells it what to do; a copy shares the socket.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Open a socket, which a thread of its own serves until the last copy is
    /// gone: the kernel carries a request out while it is being sent, and lets
    /// the sender wait for as long as others change networks.
    ///
    /// # Errors
    /// When there can be no socket, or no thread.
    pub fn connect() -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        thread::Builder::new().name("netlink".into()).spawn(move || {
            let serve = || {
                let runtime = Builder::new_current_thread().enable_io().build()?;
                let entered = runtime.enter();
                let (connection, handle, _) = rtnetlink::new_connection()?;
                drop(entered);
                Ok((runtime, connection, handle))
            };
            // Whoever waits for it is there.
            match serve() {
                Ok((runtime, connection, handle)) => {
                    let _ = tell.send(Ok(Self { handle }));
                    runtime.block_on(connection);
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })?;
        told.recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of netlink has ended")))
    }
}

/// The kernel's answer behind what was asked of it. The kind stays, and is
/// `NotFound` when there is no such interface.
fn refused(what: impl Display, error: rtnetlink::Error) -> io::Error {
    let error = match error {
        rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
        other => io::Error::other(other.to_string()),
    };
    let kind = match errno(&error) {
        Some(Errno::ENODEV) => io::ErrorKind::NotFound,
        _ => error.kind(),
    };
    io::Error::new(kind, format!("{what}: {error}"))
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}
