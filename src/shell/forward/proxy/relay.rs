//! Bytes both ways between a client and its endpoint.
//!
//! Each direction reads through one buffer that the core's connections share,
//! so that an open, quiet connection costs no buffer. A direction that keeps
//! filling that buffer is a bulk transfer and goes on with splice(2).

use std::cell::RefCell;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::pipe::Pipe;
use super::record::Cause;

/// Size of the buffer a core's connections share.
const SHARED: usize = 32 * 1024;

/// Reads in a row that fill the shared buffer before splice(2) takes over:
/// enough that requests and answers of ordinary size never pay for a pipe.
const FULL_READS: u8 = 3;

/// Turns one direction may take before other connections get theirs.
const TURNS: u32 = 4;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SHARED].into_boxed_slice());
}

/// What is on its way between the two sockets of an open connection.
#[derive(Default)]
pub struct Relay {
    to_endpoint: Direction,
    to_client: Direction,
    idle: Option<Box<Idle>>,
}

impl Relay {
    /// End the relay after a silence of `timeout`, counted from now. The next
    /// [`Relay::poll`] sees to it.
    pub fn end_after_silence(&mut self, timeout: Duration) {
        self.idle = Some(Box::new(Idle::new(timeout)));
    }

    /// Move what can be moved, always between the same two sockets; ready with
    /// the cause when the connection ends.
    pub fn poll(
        &mut self,
        client: &mut TcpStream,
        endpoint: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Cause> {
        let before = self.moved();
        let answered = self.to_client.finished == Finished::Both;
        let up = self.to_endpoint.poll(client, endpoint, answered, cx);
        if let Poll::Ready(Err(failure)) = up {
            return Poll::Ready(failure.cause(Cause::ClientReset, Cause::EndpointReset));
        }
        let asked = self.to_endpoint.finished == Finished::Both;
        let down = self.to_client.poll(endpoint, client, asked, cx);
        if let Poll::Ready(Err(failure)) = down {
            return Poll::Ready(failure.cause(Cause::EndpointReset, Cause::ClientReset));
        }
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Cause::Closed);
        }
        let moved = self.moved() != before;
        match &mut self.idle {
            Some(idle) => idle.poll(moved, cx),
            None => Poll::Pending,
        }
    }

    /// Bytes carried to the endpoint and to the client.
    pub fn carried(&self) -> (u64, u64) {
        (self.to_endpoint.carried, self.to_client.carried)
    }

    fn moved(&self) -> u64 {
        self.to_endpoint.carried + self.to_client.carried
    }
}

/// Which socket failed.
enum Failure {
    Source(io::Error),
    Sink(io::Error),
}

impl Failure {
    fn cause(self, source_reset: Cause, sink_reset: Cause) -> Cause {
        let (error, reset) = match self {
            Self::Source(error) => (error, source_reset),
            Self::Sink(error) => (error, sink_reset),
        };
        let lost = matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
        );
        match (lost, reset) {
            (true, Cause::ClientReset) => Cause::ClientLost,
            (true, _) => Cause::EndpointLost,
            (false, reset) => reset,
        }
    }
}

/// One way of a connection.
#[derive(Default)]
struct Direction {
    /// Bytes the sink has taken.
    carried: u64,
    on_its_way: OnItsWay,
    full_reads: u8,
    finished: Finished,
}

/// What was read and is not yet written.
#[derive(Default)]
enum OnItsWay {
    #[default]
    Nothing,
    /// A copy, and how much of it is written.
    Copied(Box<[u8]>, usize),
    /// A pipe that is not empty.
    Piped(Pipe),
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Finished {
    #[default]
    No,
    /// The source has finished; the sink does not know yet.
    Source,
    /// The sink has been told, or closing tells it.
    Both,
}

impl Direction {
    /// Move what can be moved; ready when that is all. Where the other
    /// direction has finished, closing the sockets tells the sink.
    fn poll(
        &mut self,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        other_finished: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        for _ in 0..TURNS {
            if self.finished == Finished::Both {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write(sink, cx)).map_err(Failure::Sink)?;
            if self.finished == Finished::Source {
                if !other_finished {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(Failure::Sink)?;
                }
                self.finished = Finished::Both;
            } else if self.full_reads >= FULL_READS {
                ready!(self.poll_splice(source, cx)).map_err(Failure::Source)?;
            } else {
                ready!(self.poll_copy(source, sink, cx))?;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Write what is on its way; ready when that is nothing.
    fn poll_write(&mut self, sink: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.on_its_way {
                OnItsWay::Nothing => return Poll::Ready(Ok(())),
                OnItsWay::Copied(bytes, written) => {
                    let count = ready!(Pin::new(&mut *sink).poll_write(cx, &bytes[*written..]))?;
                    *written += count;
                    self.carried += count as u64;
                    if *written == bytes.len() {
                        self.on_its_way = OnItsWay::Nothing;
                    }
                }
                OnItsWay::Piped(pipe) => {
                    ready!(sink.poll_write_ready(cx))?;
                    match sink.try_io(Interest::WRITABLE, || pipe.empty(&*sink)) {
                        Ok(count) => self.carried += count as u64,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                    if pipe.held() == 0
                        && let OnItsWay::Piped(pipe) = mem::take(&mut self.on_its_way)
                    {
                        pipe.put_back();
                    }
                }
            }
        }
    }

    /// Read once into the shared buffer and write at once what the sink takes.
    fn poll_copy(
        &mut self,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(source).poll_read(cx, &mut read)).map_err(Failure::Source)?;
            let bytes = read.filled();
            if bytes.is_empty() {
                self.finished = Finished::Source;
                return Poll::Ready(Ok(()));
            }
            self.full_reads = if bytes.len() == SHARED {
                self.full_reads + 1
            } else {
                0
            };
            let written = match Pin::new(sink).poll_write(cx, bytes) {
                Poll::Ready(written) => written.map_err(Failure::Sink)?,
                Poll::Pending => 0,
            };
            self.carried += written as u64;
            if written < bytes.len() {
                self.on_its_way = OnItsWay::Copied(bytes[written..].into(), 0);
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Fill a pipe from the source, or go back to copying when there is none
    /// to be had.
    fn poll_splice(&mut self, source: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(source.poll_read_ready(cx))?;
        let Some(mut pipe) = Pipe::take() else {
            self.full_reads = 0;
            return Poll::Ready(Ok(()));
        };
        // The pipe is empty, so "would block" can only mean the source.
        match source.try_io(Interest::READABLE, || pipe.fill(&*source)) {
            Ok(0) => {
                pipe.put_back();
                self.finished = Finished::Source;
            }
            Ok(_) => self.on_its_way = OnItsWay::Piped(pipe),
            Err(error) => {
                pipe.put_back();
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The end of a connection that is silent for too long.
struct Idle {
    timeout: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            last: Instant::now(),
            timer: Box::pin(sleep(timeout)),
        }
    }

    fn poll(&mut self, moved: bool, cx: &mut Context<'_>) -> Poll<Cause> {
        if moved {
            self.last = Instant::now();
        }
        // The timer is moved on only when it fires: busy connections do not
        // touch it for each byte.
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.last + self.timeout;
            if due <= Instant::now() {
                return Poll::Ready(Cause::IdleTimeout);
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}
