//! The clients. All of it runs on threads in the client's namespace; an error
//! on any of them fails the measure.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockRef, Socket};

use super::sink::{BULK, ECHO};
use super::world::Host;
use super::{Result, failed};

/// No answer for this long is an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// Before a measure counts, so that windows and caches have grown.
const WARM_UP: Duration = Duration::from_millis(200);

/// Bytes taken from a bulk stream at once.
const GULP: usize = 1 << 20;

/// Clients that open connections one after the other.
const WORKERS: usize = 16;

const REQUEST: [u8; 64] = [b'?'; 64];

/// One connection, one request, one answer; the connection stays open.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut stream = connect(address).map_err(failed("cannot connect"))?;
    ask(&mut stream, request).map_err(failed("no answer"))?;
    Ok(stream)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    let mut answer = [0; REQUEST.len()];
    let answer = &mut answer[..request.len()];
    stream.write_all(request)?;
    stream.read_exact(answer)?;
    if answer == request {
        Ok(())
    } else {
        Err(io::Error::other("the answer differs from the request"))
    }
}

/// What was counted between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub count: f64,
    pub seconds: f64,
    /// Processor seconds of the subject meanwhile.
    pub cpu: Option<f64>,
}

/// Bytes that `streams` connections receive in `duration`.
pub fn bulk(
    host: &Host,
    addresses: &[Ipv4Addr],
    streams: usize,
    duration: Duration,
    cpu: &(impl Fn() -> Result<Option<f64>> + Sync),
) -> Result<Counted> {
    count_for(duration, cpu, |stop, total| {
        workers(host, streams, |number| {
            let stream = connect(target(addresses, number, BULK)).map_err(failed("cannot connect"))?;
            let stream = Socket::from(stream);
            let mut space = vec![MaybeUninit::uninit(); GULP];
            while !stop.load(Ordering::Relaxed) {
                // TCP drops the bytes uncopied: tcp(7). The client is not what is measured.
                let received = stream
                    .recv_with_flags(&mut space, nix::libc::MSG_TRUNC)
                    .map_err(failed("a stream stalls"))?;
                if received == 0 {
                    return Err("a stream ended early".into());
                }
                total.fetch_add(received as u64, Ordering::Relaxed);
            }
            Ok(())
        })
        .map(drop)
    })
}

/// Connections of one byte each way, opened and closed in `duration`.
pub fn connections(
    host: &Host,
    addresses: &[Ipv4Addr],
    duration: Duration,
    cpu: &(impl Fn() -> Result<Option<f64>> + Sync),
) -> Result<Counted> {
    count_for(duration, cpu, |stop, total| {
        workers(host, WORKERS, |worker| {
            for number in worker.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                exchange(target(addresses, number, ECHO), b"?")?;
                total.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
        .map(drop)
    })
}

/// Times between request and answer in microseconds: `connections` open
/// ones that ask `rate` times a second together.
///
/// A request that had to wait for the answer before it counts from when it was
/// due, so that one slow answer is not forgiven the ones it delays; how late the
/// client itself wakes does not count.
pub fn latencies(
    host: &Host,
    addresses: &[Ipv4Addr],
    connections: usize,
    rate: f64,
    duration: Duration,
) -> Result<Vec<f64>> {
    let interval = Duration::from_secs_f64(connections as f64 / rate);
    let start = Instant::now() + WARM_UP;
    let samples = workers(host, connections, |number| {
        let mut stream = exchange(target(addresses, number, ECHO), &REQUEST)?;
        let mut due = start + interval.mul_f64(number as f64 / connections as f64);
        let mut samples = Vec::new();
        while due < start + duration {
            let wait = due.saturating_duration_since(Instant::now());
            thread::sleep(wait);
            let from = if wait.is_zero() { due } else { Instant::now() };
            ask(&mut stream, &REQUEST).map_err(failed("no answer"))?;
            samples.push(from.elapsed().as_secs_f64() * 1e6);
            due += interval;
        }
        Ok(samples)
    })?;
    Ok(samples.concat())
}

/// Opens `count` connections, uses each once and keeps them.
pub fn idle(host: &Host, addresses: &[Ipv4Addr], count: usize) -> Result<Vec<TcpStream>> {
    const OPENERS: usize = 8;
    let opened = workers(host, OPENERS, |opener| {
        let mine = (opener..count).step_by(OPENERS);
        mine.map(|number| exchange(target(addresses, number, ECHO), b"?"))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(opened.into_iter().flatten().collect())
}

/// Closes with a reset: thousands of ports need not be waited for.
pub fn reset(streams: Vec<TcpStream>) -> Result<()> {
    for stream in streams {
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .map_err(failed("linger"))?;
    }
    Ok(())
}

fn target(addresses: &[Ipv4Addr], number: usize, port: u16) -> SocketAddr {
    SocketAddr::from((addresses[number % addresses.len()], port))
}

/// Lets `work` add to a total, and reads it twice with `duration` in between.
fn count_for(
    duration: Duration,
    cpu: &(impl Fn() -> Result<Option<f64>> + Sync),
    work: impl FnOnce(&AtomicBool, &AtomicU64) -> Result<()> + Send,
) -> Result<Counted> {
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let working = scope.spawn(|| work(&stop, &total));
        let read = || -> Result<(Instant, u64, Option<f64>)> {
            Ok((Instant::now(), total.load(Ordering::Relaxed), cpu()?))
        };
        thread::sleep(WARM_UP);
        let before = read();
        thread::sleep(duration);
        let after = read();
        stop.store(true, Ordering::Relaxed);
        working
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (before, after) = (before?, after?);
        if after.1 == before.1 {
            return Err("nothing got through".into());
        }
        Ok(Counted {
            count: (after.1 - before.1) as f64,
            seconds: (after.0 - before.0).as_secs_f64(),
            cpu: after.2.zip(before.2).map(|(after, before)| after - before),
        })
    })
}

/// Runs numbered workers in `host`, all at once, and gathers what they return.
fn workers<T: Send>(host: &Host, count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || host.enter().and_then(|()| work(number))))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
