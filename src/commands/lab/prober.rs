//! A finer eye on the virtual address than requests are: many small attempts,
//! each of which goes all the way to an endpoint and back.
//!
//! An attempt speaks plain HTTP where TLS is spoken, and is refused for it with
//! a few bytes. Those come from an endpoint, through a load balancer that
//! works: the kernel of one that is stopped accepts connections, too. There is
//! no cryptography in it, so that hundreds a second cost little.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::resident::Resident;
use super::world::Host;

/// From attempt to attempt: the shortest outage that can be seen.
pub const EVERY: Duration = Duration::from_millis(5);

/// How long an attempt may take; the next ones do not wait for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Attempts from its start on, until it is dropped.
pub struct Prober {
    answered: Arc<Mutex<Vec<SystemTime>>>,
    _resident: Resident,
}

impl Prober {
    /// Start it in `host`.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(host: &Host, address: SocketAddr) -> Result<Self, String> {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let resident = Resident::of(host)?;
        resident.runtime().spawn(attempts(address, answered.clone()));
        Ok(Self {
            answered,
            _resident: resident,
        })
    }

    /// When attempts were answered, in that order.
    pub fn answered(&self) -> Vec<SystemTime> {
        self.answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn attempts(address: SocketAddr, answered: Arc<Mutex<Vec<SystemTime>>>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let answered = answered.clone();
        tokio::spawn(async move {
            if matches!(timeout(PATIENCE, attempt(address)).await, Ok(Ok(1..))) {
                answered
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(SystemTime::now());
            }
        });
    }
}

/// How many bytes of a refusal came back.
async fn attempt(address: SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    // Leave no TIME_WAIT behind: it would answer for a later connection from the
    // same port whose load balancer has gone, and so hide that from its client.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    stream.read(&mut [0; 16]).await
}
