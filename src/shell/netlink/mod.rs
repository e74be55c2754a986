//! Interfaces and addresses of this machine, over rtnetlink.
//!
//! - `links`: what an interface is and has; macvlan interfaces
//! - `addresses`: virtual addresses, which go away by themselves
//! - `monitor`: what changes, whoever changed it
//!
//! This room decides nothing: which address belongs here, and when, is said by
//! its caller. It neither sends nor receives packets of the network.
//!
//! Everything is about the network namespace of the thread that made the
//! [`Netlink`] or the [`Monitor`], whichever thread uses it later.

mod addresses;
mod links;
mod monitor;

pub use addresses::Lifetime;
pub use links::{Address, Link, LinkState};
pub use monitor::{Change, Monitor};

use std::fmt::Display;
use std::io;

use nix::errno::Errno;
use rtnetlink::Handle;

/// Asks the kernel and tells it what to do; a copy shares the socket.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Open a socket, which a task on the current runtime serves until the last
    /// copy is gone.
    ///
    /// # Errors
    /// When there can be no socket.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn connect() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
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
