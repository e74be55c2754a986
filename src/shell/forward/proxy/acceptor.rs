//! Accepting: from a listening socket to connection tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Listener;
use super::connection::Places;
use super::core::Phase;
use super::crew::Crew;
use super::limits::Budget;
use super::record::Record;
use super::sockets::{notice_loss, reset_on_close};

/// Pause when the kernel has no descriptor or memory for one more connection.
const WHEN_EXHAUSTED: Duration = Duration::from_millis(10);

/// What takes the connections of one listening socket.
pub struct Acceptor {
    /// The socket's listener, as it is now; nothing is accepted any more once
    /// its sender is gone.
    pub listener: watch::Receiver<Arc<Listener>>,
    /// Bounds the process.
    pub whole: Arc<Budget>,
    /// The cores that may carry the connections.
    pub crew: Arc<Crew>,
}

impl Acceptor {
    /// Accept while the phase is [`Phase::Running`] and the listener is there,
    /// then take what already waits.
    pub async fn run(mut self, socket: TcpListener, mut phase: watch::Receiver<Phase>) {
        {
            // A sender that is gone ends both waits, and the loop with them.
            drop(phase.wait_for(|phase| *phase != Phase::Waiting).await);
            let over = async { drop(phase.wait_for(|phase| *phase != Phase::Running).await) };
            tokio::pin!(over);
            loop {
                tokio::select! {
                    biased;
                    accepted = socket.accept() => self.take(accepted).await,
                    changed = self.listener.changed() => match changed {
                        Ok(()) => self.adopt(&socket),
                        Err(_) => break,
                    },
                    () = &mut over => break,
                }
            }
        }
        let Ok(socket) = socket.into_std() else { return };
        while let Ok((stream, address)) = socket.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            self.take(stream.map(|stream| (stream, address))).await;
        }
    }

    /// The listener is another one now.
    fn adopt(&mut self, socket: &TcpListener) {
        let listener = self.listener.borrow_and_update().clone();
        if let Err(error) = notice_loss(SockRef::from(socket), &listener.tcp) {
            tracing::error!(listener = listener.name, %error, "tcp.keepalive stays as it was");
        }
    }

    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let taken = accepted.and_then(|(stream, address)| {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let member = self.crew.choose();
            match Places::take(&self.listener.borrow(), &self.whole, member.load()) {
                Some(places) => member.carry(places, stream, Record::new(address))?,
                None => reset_on_close(&stream),
            }
            Ok(())
        });
        match taken {
            Ok(()) => {}
            // The client went away while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(listener = self.listener.borrow().name, %error, "cannot accept");
                tokio::time::sleep(WHEN_EXHAUSTED).await;
            }
        }
    }
}
