//! Raw and packet sockets, safely: what std, tokio and nix have no type for.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, bind, recv};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Priority of what these sockets send, `TC_PRIO_CONTROL` of the kernel: ahead
/// of all else where the interface queues, so that a busy uplink does not cost
/// us an election.
pub const PRIORITY: u32 = 7;

/// A socket of any kind that waits in the current runtime.
///
/// Its type says UDP, since tokio registers a file descriptor safely only as a
/// socket that it knows. Only reading through [`RawSocket::wait`] and
/// [`RawSocket::try_read`] is offered, which have nothing of UDP.
pub struct RawSocket(UdpSocket);

impl RawSocket {
    /// Take a socket with all its options set. What it has received before that
    /// could have come from any interface, and is thrown away.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        while recv(socket.as_raw_fd(), &mut [0], MsgFlags::empty()).is_ok() {}
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Wait until `read` gives something; after `None` it is called again, for
    /// the next packet. Safe to cancel.
    pub async fn wait<T>(&self, mut read: impl FnMut(RawFd) -> io::Result<Option<T>>) -> io::Result<T> {
        let read = || loop {
            if let Some(found) = read(self.0.as_raw_fd())? {
                return Ok(found);
            }
        };
        self.0.async_io(Interest::READABLE, read).await
    }

    /// The same without waiting: `None` when nothing is left. Asks the kernel
    /// and not the runtime, which may not have noticed yet what has come.
    pub fn try_read<T>(&self, mut read: impl FnMut(RawFd) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
        loop {
            match read(self.0.as_raw_fd()) {
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Now the runtime knows it too, and need not ask by itself.
                    let _ = self.0.try_io(Interest::READABLE, || Err::<(), _>(error));
                    return Ok(None);
                }
                done => return done,
            }
        }
    }
}

impl AsRawFd for RawSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A packet socket on one interface: with `Type::RAW` of whole frames, with
/// `Type::DGRAM` of what is behind the Ethernet header. It receives what has the
/// Ethernet type `protocol`, nothing when that is 0.
pub fn packet_socket(kind: Type, protocol: u16, index: u32) -> io::Result<Socket> {
    // The kernel wants it in network byte order: packet(7).
    let protocol = Protocol::from(i32::from(protocol.to_be()));
    let socket = Socket::new(Domain::PACKET, kind, Some(protocol))?;
    bind(socket.as_raw_fd(), &link_address(index)?)?;
    Ok(socket)
}

/// The address by which a packet socket is bound to an interface.
///
/// Nothing makes one without `unsafe`, but the list of interfaces has one for
/// each. Its protocol is 0, with which bind(2) keeps the one that the socket has.
fn link_address(index: u32) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter_map(|interface| interface.address?.as_link_addr().copied())
        .find(|address| u32::try_from(address.ifindex()) == Ok(index))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {index}")))
}
