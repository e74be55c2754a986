//! What connections are made of when it is not the network alone: an exchange
//! that is replayed, and an ear on what is said.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::bindings::catamaran::health::connection::TlsSession;
use super::bindings::catamaran::health::types::Error;
use crate::pure::exchange::file::{Exchange, Tls};
use crate::pure::exchange::play::{Connected, Play, Read};
use crate::pure::exchange::recording::{Event, Heard};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Where a probe's connections go, and who listens.
#[derive(Clone, Default)]
pub struct Line {
    /// An exchange in the endpoint's place; none is the network.
    pub stage: Option<Stage>,
    /// Notes what is said.
    pub recorder: Option<Recorder>,
}

/// An exchange being replayed.
#[derive(Clone)]
pub struct Stage(Arc<Mutex<Scene>>);

struct Scene {
    play: Play,
    waiting: Vec<Waker>,
}

/// One connection of an exchange.
pub struct Played {
    stage: Stage,
    number: usize,
}

impl Stage {
    /// At the beginning of an exchange.
    pub fn new(exchange: &Exchange) -> Self {
        Self(Arc::new(Mutex::new(Scene {
            play: Play::new(exchange),
            waiting: Vec::new(),
        })))
    }

    /// What was not as written, when the probe is over.
    pub fn faults(&self) -> Vec<String> {
        self.lock().play.faults()
    }

    /// The next connection.
    pub fn connect(&self) -> Result<Played, Error> {
        match self.lock().play.connect() {
            Connected::Open(number) => Ok(Played {
                stage: self.clone(),
                number,
            }),
            Connected::Refused => Err(Error::Refused),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scene {
    /// Whoever waits to read looks again.
    fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

impl Played {
    /// The handshake, as the exchange has it.
    pub fn start_tls(&self) -> Result<(), Error> {
        let mut scene = self.stage.lock();
        let outcome = scene.play.start_tls(self.number);
        scene.wake();
        outcome.map_err(Error::Tls)
    }

    /// What the handshake settled.
    pub fn session(&self) -> Option<TlsSession> {
        self.stage.lock().play.tls().map(session)
    }
}

fn session(tls: &Tls) -> TlsSession {
    TlsSession {
        version: tls.version.clone(),
        alpn: tls.alpn.clone(),
        subject: tls.subject.clone(),
        expires_in_seconds: tls.expires_in_days.saturating_mul(DAY),
        certificate: tls.certificate_hex.clone(),
        verified: tls.verified,
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let mut scene = self.stage.lock();
        scene.play.finish(self.number);
        scene.wake();
    }
}

impl AsyncRead for Played {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scene = self.stage.lock();
        match scene.play.read(self.number, buffer.remaining()) {
            Read::Bytes(bytes) => buffer.put_slice(&bytes),
            Read::End => {}
            Read::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Read::Wait => {
                scene.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Played {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut scene = self.stage.lock();
        let goes_on = scene.play.write(self.number, bytes);
        scene.wake();
        Poll::Ready(match goes_on {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scene = self.stage.lock();
        scene.play.finish(self.number);
        scene.wake();
        Poll::Ready(Ok(()))
    }
}

/// Notes what is said on all connections of a probe.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Heard>>>);

/// Its part for one connection.
pub struct Ear {
    recorder: Recorder,
    number: usize,
}

impl Recorder {
    /// What was heard, connection by connection.
    pub fn heard(&self) -> Vec<Heard> {
        self.lock().clone()
    }

    /// For the next connection.
    pub fn ear(&self) -> Ear {
        let mut all = self.lock();
        all.push(Heard::default());
        Ear {
            recorder: self.clone(),
            number: all.len() - 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear {
    /// Something happened.
    pub fn note(&self, event: Event) {
        self.recorder.lock()[self.number].push(event);
    }

    /// TLS begins; where it begins with the connection, that is no event.
    pub fn tls_begins(&self) {
        let mut all = self.recorder.lock();
        if !all[self.number].events.is_empty() {
            all[self.number].push(Event::StartTls);
        }
    }
}
