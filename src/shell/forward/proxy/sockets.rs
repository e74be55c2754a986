//! Sockets with the options that balancing wants.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::pure::addr::ListenAddr;
use crate::pure::config::TcpSettings;

/// Connections that may wait to be accepted, per socket; the kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// `copies` sockets on one address, among which the kernel spreads connections.
/// Port 0 is a free port, the same for all. `beside_ours`: other sockets of this
/// process have the port already, and are to go on having it.
///
/// The address need not exist yet (IP_FREEBIND): it may come with a virtual
/// router. What is set here is inherited by every accepted connection.
pub fn listen(
    bind: ListenAddr,
    tcp: &TcpSettings,
    copies: usize,
    beside_ours: bool,
) -> io::Result<Vec<TcpListener>> {
    // Sockets that share a port would also share it with another process of
    // ours, and each would get half of the connections; one that does not
    // share finds out whether the port is free.
    let port = bound(bind, beside_ours)?
        .local_addr()?
        .as_socket()
        .map_or(bind.port, |address| address.port());
    (0..copies)
        .map(|_| {
            let socket = bound(ListenAddr { port, ..bind }, true)?;
            socket.set_tcp_nodelay(true)?;
            notice_loss(SockRef::from(&socket), tcp)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn bound(bind: ListenAddr, shared: bool) -> io::Result<Socket> {
    match bind.ip {
        Some(ip) => bound_to(SocketAddr::new(ip, bind.port), shared, true),
        None => every_address(bind.port, |address| bound_to(address, shared, false)),
    }
}

/// IPv6 that takes IPv4 too, or IPv4 alone where there is no IPv6: a kernel
/// without it knows no such family, some sandboxes know no such address.
fn every_address<T>(port: u16, bound_to: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let without_ipv6 = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL].map(|error| Some(error as i32));
    match bound_to((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if without_ipv6.contains(&error.raw_os_error()) => {
            bound_to((Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    }
}

fn bound_to(address: SocketAddr, shared: bool, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Connect to an endpoint; the caller bounds the time, and calls
/// [`keep_watch`] once the connection turns out not to be a short one.
///
/// The last packet of the handshake is held back, to go out with the client's
/// first bytes: one packet and one wake-up of the endpoint less for each
/// connection. The caller must write what there is and then call
/// [`acknowledge`].
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    // Without it the handshake only takes a packet more.
    let _ = SockRef::from(&socket).set_tcp_quickack(false);
    socket.connect(address).await
}

/// Let the endpoint know that it is connected, if it does not yet, and
/// acknowledge without delay from now on, as sockets do at first.
pub fn acknowledge(stream: &TcpStream) {
    // The kernel acknowledges by itself a moment later.
    let _ = SockRef::from(stream).set_tcp_quickack(true);
}

/// Notice from now on when the endpoint is lost.
pub fn keep_watch(stream: &TcpStream, tcp: &TcpSettings) {
    // Fails only on a socket that is closed already.
    let _ = notice_loss(SockRef::from(stream), tcp);
}

/// Notice when the other side is lost; a listening socket hands it on to what
/// it accepts from now on.
pub fn notice_loss(socket: SockRef<'_>, tcp: &TcpSettings) -> io::Result<()> {
    match tcp.keepalive {
        Some(idle) => {
            let between = (idle / 3).max(Duration::from_secs(1));
            let keepalive = TcpKeepalive::new()
                .with_time(idle)
                .with_interval(between)
                .with_retries(3);
            socket.set_tcp_keepalive(&keepalive)?;
        }
        None => socket.set_keepalive(false)?,
    }
    socket.set_tcp_user_timeout(tcp.user_timeout)
}

/// Make closing this socket a reset instead of an orderly end.
pub fn reset_on_close(stream: &TcpStream) {
    // Fails only on a socket that is closed already, which is what we want.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_is_ipv4_alone_where_there_is_no_ipv6() {
        let v6: SocketAddr = "[::]:6443".parse().unwrap();
        let v4: SocketAddr = "0.0.0.0:6443".parse().unwrap();
        assert_eq!(every_address(6443, Ok).unwrap(), v6);
        for refused in [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL] {
            let without_ipv6 = |address: SocketAddr| match address {
                SocketAddr::V6(_) => Err(io::Error::from(refused)),
                SocketAddr::V4(_) => Ok(address),
            };
            assert_eq!(every_address(6443, without_ipv6).unwrap(), v4);
        }
        let taken = |_| Err::<SocketAddr, _>(io::Error::from(Errno::EADDRINUSE));
        assert_eq!(
            every_address(6443, taken).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
