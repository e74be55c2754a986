//! Accepting: from a listening socket to connection tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Listener;
use super::connection::{Places, serve};
use super::core::Phase;
use super::limits::Budget;
use super::record::Record;
use super::sockets::reset_on_close;

/// Pause when the kernel has no descriptor or memory for one more connection.
const WHEN_EXHAUSTED: Duration = Duration::from_millis(10);

/// Accept while the phase is [`Phase::Running`], then take what already waits.
pub async fn accept(
    listener: Arc<Listener>,
    whole: Arc<Budget>,
    socket: TcpListener,
    mut phase: watch::Receiver<Phase>,
) {
    {
        // A sender that is gone ends both waits, and the loop with them.
        drop(phase.wait_for(|phase| *phase != Phase::Waiting).await);
        let over = async { drop(phase.wait_for(|phase| *phase != Phase::Running).await) };
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                accepted = socket.accept() => take(&listener, &whole, accepted).await,
                () = &mut over => break,
            }
        }
    }
    let Ok(socket) = socket.into_std() else { return };
    while let Ok((stream, address)) = socket.accept() {
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        take(&listener, &whole, stream.map(|stream| (stream, address))).await;
    }
}

async fn take(listener: &Arc<Listener>, whole: &Arc<Budget>, accepted: io::Result<(TcpStream, SocketAddr)>) {
    let (stream, address) = match accepted {
        Ok(accepted) => accepted,
        // The client went away while it waited.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return,
        Err(error) => {
            tracing::error!(listener = listener.name, %error, "cannot accept");
            return tokio::time::sleep(WHEN_EXHAUSTED).await;
        }
    };
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    match Places::take(listener, whole) {
        Some(places) => drop(tokio::spawn(serve(places, stream, Record::new(address)))),
        None => reset_on_close(&stream),
    }
}
