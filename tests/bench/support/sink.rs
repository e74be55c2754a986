//! The server behind everything measured: it echoes small requests and sends
//! endless bytes, both as cheaply as it can.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use nix::sys::sendfile::sendfile64;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

use super::world::Host;
use super::{Result, failed};

/// Echoes whatever comes.
pub const ECHO: u16 = 6443;
/// Sends until the other side closes.
pub const BULK: u16 = 7000;

const ECHO_THREADS: usize = 2;

/// What a bulk stream repeats.
const BLOCK: usize = 1 << 20;

/// Listens in `host`; serves for as long as this process lives.
pub fn start(host: &Host) -> Result<()> {
    for _ in 0..ECHO_THREADS {
        let listener = host.within(|| listen(ECHO).map_err(failed("cannot listen")))?;
        thread::spawn(move || echo(listener));
    }
    let listener = host.within(|| listen(BULK).map_err(failed("cannot listen")))?;
    let block = block().map_err(failed("cannot write a block of bytes"))?;
    thread::spawn(move || bulk(&listener, &block));
    Ok(())
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn echo(listener: TcpListener) {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            let (mut stream, _) = listener.accept().await.expect("room for a connection");
            tokio::spawn(async move {
                // An idle connection holds no buffer worth speaking of.
                let mut bytes = [0; 256];
                let _ = stream.set_nodelay(true);
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn bulk(listener: &TcpListener, block: &File) {
    for stream in listener.incoming() {
        let stream = stream.expect("room for a connection");
        let block = block.try_clone().expect("room for a descriptor");
        thread::spawn(move || send_for_ever(&stream, &block));
    }
}

/// From the page cache, so that sending copies nothing.
fn send_for_ever(stream: &TcpStream, block: &File) {
    loop {
        let mut offset = 0;
        while usize::try_from(offset).is_ok_and(|offset| offset < BLOCK) {
            let left = BLOCK - usize::try_from(offset).unwrap_or(BLOCK);
            // The end of a stream is the other side's doing.
            if sendfile64(stream, block, Some(&mut offset), left).is_err() {
                return;
            }
        }
    }
}

fn block() -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![b'.'; BLOCK])?;
    Ok(file)
}
