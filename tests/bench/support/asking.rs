//! The client that asks at the virtual address, again and again, and the echo
//! in each router that answers.
//!
//! It is a client as any other: its neighbour table says where the address is,
//! and only what comes over the wire changes that.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::lan::VIRTUAL;
use super::world::Host;
use super::{Result, failed};

const PORT: u16 = 7;

/// From one probe to the next.
pub const PERIOD: Duration = Duration::from_micros(500);

/// An answer that has not come by then is lost.
const LATE: Duration = Duration::from_millis(100);

/// A probe: its number. An answer: the same, and which router it is of.
type Probe = [u8; 4];
type Reply = [u8; 5];

/// Answers in `host`, whenever that has the virtual address, for as long as
/// this process lives.
pub fn echo(host: &Host, index: usize) -> Result<()> {
    let mark = u8::try_from(index).map_err(failed("a router's number"))?;
    let socket = host.within(|| -> std::io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        // The address is not there yet.
        socket.set_freebind_v4(true)?;
        socket.bind(&SocketAddr::from((VIRTUAL, PORT)).into())?;
        Ok(socket.into())
    });
    let socket = socket.map_err(failed("echo"))?;
    thread::spawn(move || {
        let mut probe = Probe::default();
        loop {
            // Errors are of one probe: the address may be leaving.
            let Ok((length, client)) = socket.recv_from(&mut probe) else {
                continue;
            };
            if length == probe.len() {
                let [one, two, three, four] = probe;
                let _ = socket.send_to(&[one, two, three, four, mark], client);
            }
        }
    });
    Ok(())
}

/// An answer that came.
#[derive(Clone, Copy)]
struct Answer {
    number: usize,
    router: usize,
    at: Instant,
}

/// A client at work.
pub struct Asking {
    enough: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    asking: JoinHandle<Vec<Instant>>,
    hearing: JoinHandle<()>,
}

impl Asking {
    /// Asks in `client` from now on.
    pub fn start(client: &Host) -> Result<Self> {
        let socket = client.within(|| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            // Answers from anywhere else are none.
            socket.connect((VIRTUAL, PORT))?;
            socket.set_read_timeout(Some(LATE))?;
            Ok(socket)
        });
        let socket = socket.map_err(failed("client"))?;
        let ears = socket.try_clone().map_err(failed("client"))?;
        let enough = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (stop_asking, stop_hearing, heard) = (enough.clone(), enough.clone(), answers.clone());
        Ok(Self {
            enough,
            answers,
            asking: thread::spawn(move || ask(&socket, &stop_asking)),
            hearing: thread::spawn(move || hear(&ears, &heard, &stop_hearing)),
        })
    }

    /// When this router first answered a probe after `since`.
    pub fn answered(&self, router: usize, since: Instant) -> Option<Instant> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let later = answers.iter().rev().take_while(|answer| answer.at > since);
        later
            .filter(|answer| answer.router == router)
            .last()
            .map(|answer| answer.at)
    }

    /// Ends it, and tells what came of it.
    pub fn finish(self) -> Asked {
        self.enough.store(true, Ordering::Relaxed);
        let asked = self.asking.join();
        let heard = self.hearing.join();
        let (Ok(asked), Ok(())) = (asked, heard) else {
            panic!("the client panicked");
        };
        let mut probes: Vec<(Instant, Option<Answer>)> = asked.into_iter().map(|at| (at, None)).collect();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers.iter() {
            if let Some(probe) = probes.get_mut(answer.number) {
                probe.1 = Some(*answer);
            }
        }
        Asked { probes }
    }
}

fn ask(socket: &UdpSocket, enough: &AtomicBool) -> Vec<Instant> {
    let mut asked = Vec::new();
    let mut due = Instant::now();
    while !enough.load(Ordering::Relaxed) {
        let number = u32::try_from(asked.len()).expect("a run is shorter than that");
        asked.push(Instant::now());
        // Nobody there: that is a probe without an answer.
        let _ = socket.send(&number.to_be_bytes());
        // One that is late does not make up for what it missed.
        due = (due + PERIOD).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    asked
}

/// Until it is enough, and no answer has come for a while.
fn hear(socket: &UdpSocket, answers: &Mutex<Vec<Answer>>, enough: &AtomicBool) {
    let mut reply = Reply::default();
    loop {
        match socket.recv(&mut reply) {
            Ok(length) if length == reply.len() => {
                let [number @ .., router] = reply;
                let answer = Answer {
                    number: u32::from_be_bytes(number) as usize,
                    router: router.into(),
                    at: Instant::now(),
                };
                answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(answer);
            }
            // Somebody else's, or an error of one probe.
            Ok(_) => {}
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {}
            Err(_) if enough.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}

/// Every probe with its answer.
pub struct Asked {
    probes: Vec<(Instant, Option<Answer>)>,
}

impl Asked {
    /// The longest that somebody who asks again and again had to wait for an
    /// answer, to whichever of the probes, between two moments.
    pub fn outage(&self, from: Instant, to: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        let mut next: Option<Instant> = None;
        for (asked, answer) in self.probes.iter().rev() {
            if let Some(answer) = answer {
                next = Some(next.map_or(answer.at, |next| next.min(answer.at)));
            }
            if let Some(next) = next
                && (from..to).contains(asked)
            {
                longest = longest.max(next - *asked);
            }
        }
        longest
    }

    /// Probes between two moments that were never answered.
    pub fn lost(&self, from: Instant, to: Instant) -> usize {
        let between = self.probes.iter().filter(|(asked, _)| (from..to).contains(asked));
        between.filter(|(_, answer)| answer.is_none()).count()
    }

    /// How often another router answered than before.
    pub fn moves(&self, from: Instant, to: Instant) -> usize {
        let answers = self.probes.iter().filter(|(asked, _)| (from..to).contains(asked));
        let routers: Vec<usize> = answers
            .filter_map(|(_, answer)| Some(answer.as_ref()?.router))
            .collect();
        routers.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}
