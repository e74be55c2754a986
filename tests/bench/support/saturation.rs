//! Elections while traffic through the active router takes all cores: bulk
//! streams and short connections at once, and nobody is to take over.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use catamaran::commands::lab::world::World;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use serde_json::json;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

use super::lan::{A, B, Lan, ROUTERS, VIRTUAL, hear_advertisements};
use super::load::{self, Counted};
use super::routers::{Daemon, Pace, Pair, Subject, nodes};
use super::sink::{self, BULK, ECHO};
use super::world::{ENDPOINTS, Host, tune};
use super::{Result, failed};

/// Bulk streams, beside the short connections.
const STREAMS: usize = 64;

/// Load is given for so long at a time; what a takeover interrupts begins anew.
const TURN: Duration = Duration::from_secs(10);

/// How long those sleep that do nothing else.
const NAP: Duration = Duration::from_millis(5);

/// What came of it.
pub struct Saturated {
    /// How often each router changed its state after the election was over.
    pub changes: [usize; 2],
    /// Lines of their logs about that, and about a priority that is not allowed.
    pub lines: Vec<String>,
    /// Times between advertisements of the active router as they reach another
    /// machine's kernel, in milliseconds, sorted.
    pub gaps: Vec<f64>,
    /// Bytes and connections a second.
    pub bytes: f64,
    pub connections: f64,
    /// Why load was interrupted.
    pub interruptions: Vec<String>,
    /// Part of the machine's time that was nobody's.
    pub idle: f64,
    /// How late threads of the daemon's priority wake that do nothing but sleep,
    /// one on each core, at worst: so late is everybody on this machine.
    pub sleepers: Vec<Duration>,
}

/// The machine with the endpoints, and ports enough on all.
pub fn build(world: &mut World, lan: &Lan) -> Result<()> {
    let addresses = ENDPOINTS.map(|address| format!("{address}/24"));
    let server = world.host("server", &addresses.each_ref().map(String::as_str))?;
    sink::start(&server)?;
    let routers = lan.routers.iter().map(|router| &router.host);
    for host in routers.chain([&lan.client, &server]) {
        host.within(tune)?;
    }
    Ok(())
}

/// Lets them elect under load for so long.
pub fn saturate(lan: &Lan, subject: Subject, pace: Pace, time: Duration) -> Result<Saturated> {
    let balancer = balancer();
    let (pair, beside) = match subject {
        Subject::Catamaran | Subject::Container => (Pair::start_with(lan, subject, pace, &balancer)?, None),
        // keepalived carries nothing: a Catamaran without virtual routers does.
        Subject::Keepalived => {
            let pair = Pair::start(lan, subject, pace)?;
            let document = nodes() + &balancer;
            let carrier = Daemon::start(Subject::Catamaran, A, &lan.routers[A].host, &document)?;
            (pair, Some(carrier))
        }
    };
    if !super::wait_until(Duration::from_secs(5), || answers(&lan.client)) {
        return Err(pair.explain("the load balancer does not answer"));
    }
    let before = [A, B].map(|router| pair.daemons[router].changes().len());
    let until = Instant::now() + time;
    let enough = AtomicBool::new(false);
    let (idle, (bulk, opened), gaps, sleepers) = thread::scope(|scope| {
        let hearing = scope.spawn(|| hear(&lan.client, &enough));
        let enough = &enough;
        let sleepers: Vec<_> = (0..cores())
            .map(|core| scope.spawn(move || sleep(core, enough)))
            .collect();
        let from = processor_times()?;
        let bulk = scope.spawn(|| {
            turns(until, |time| {
                load::bulk(&lan.client, &[VIRTUAL], STREAMS, time, &no_cpu)
            })
        });
        let opened = turns(until, |time| {
            load::connections(&lan.client, &[VIRTUAL], time, &no_cpu)
        });
        let bulk = join(bulk);
        let to = processor_times()?;
        enough.store(true, Ordering::Relaxed);
        let idle = (to.1 - from.1) / (to.0 - from.0);
        let sleepers = sleepers.into_iter().map(join).collect::<Result<_>>()?;
        Ok::<_, String>((idle, (bulk, opened), join(hearing)?, sleepers))
    })?;
    drop(beside);
    let rate = |counted: &[Counted]| {
        let (count, seconds) = counted
            .iter()
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.count, sum.1 + one.seconds));
        count / seconds
    };
    let changes = [A, B].map(|router| pair.daemons[router].changes().len() - before[router]);
    Ok(Saturated {
        lines: lines(&pair, before),
        changes,
        gaps,
        bytes: rate(&bulk.counted),
        connections: rate(&opened.counted),
        interruptions: bulk
            .interruptions
            .into_iter()
            .chain(opened.interruptions)
            .collect(),
        idle,
        sleepers,
    })
}

impl Saturated {
    pub fn print(&self, subject: Subject, pace: Pace, time: Duration) {
        let [a, b] = self.changes;
        println!(
            "{} at {} for {:.1} minutes under load: {} state changes (lb-a {a}, lb-b {b})",
            subject.name(),
            pace.name(),
            time.as_secs_f64() / 60.0,
            a + b
        );
        println!(
            "  between advertisements: median {:.1} ms, 99.9 % within {:.1} ms, most {:.1} ms; \
             the second router takes over after {:.1} ms by the RFC",
            self.gap(0.5),
            self.gap(0.999),
            self.gap(1.0),
            pace.active_down_interval().as_secs_f64() * 1_000.0
        );
        println!(
            "  load: {:.1} Gbit/s and {:.0} new connections/s; cores idle {:.1} %; interrupted {} times",
            self.bytes * 8.0 / 1e9,
            self.connections,
            self.idle * 100.0,
            self.interruptions.len()
        );
        let late: Vec<_> = self.sleepers().map(|late| format!("{late:.1}")).collect();
        println!(
            "  threads of the same priority that only sleep woke late by at most {} ms (one on each core)",
            late.join(" and ")
        );
        for line in self.interruptions.iter().chain(&self.lines) {
            println!("  {line}");
        }
    }

    pub fn json(&self) -> serde_json::Value {
        json!({
            "state_changes": self.changes,
            "advertisement_gap_ms": {
                "p50": self.gap(0.5),
                "p999": self.gap(0.999),
                "max": self.gap(1.0),
            },
            "gbit_s": self.bytes * 8.0 / 1e9,
            "connections_s": self.connections,
            "idle": self.idle,
            "sleepers_late_ms": self.sleepers().collect::<Vec<_>>(),
            "interruptions": self.interruptions,
            "lines": self.lines,
        })
    }

    fn sleepers(&self) -> impl Iterator<Item = f64> {
        self.sleepers.iter().map(|late| late.as_secs_f64() * 1_000.0)
    }

    /// The time between advertisements below which this part of them lies.
    fn gap(&self, part: f64) -> f64 {
        let place = (self.gaps.len() as f64 * part) as usize;
        self.gaps[place.min(self.gaps.len() - 1)]
    }
}

fn balancer() -> String {
    let mut text = "[daemon]\ndrain-timeout = \"0s\"\n".to_string();
    for (name, port) in [("echo", ECHO), ("bulk", BULK)] {
        text +=
            &format!("[listeners.{name}]\nbind = [\"{VIRTUAL}:{port}\"]\npool = \"{name}\"\nlog = false\n");
        text += &format!("[pools.{name}.endpoints]\n");
        for (number, address) in (1..).zip(ENDPOINTS) {
            text += &format!("master{number} = \"{address}:{port}\"\n");
        }
    }
    text
}

fn answers(client: &Host) -> bool {
    client.within(|| load::exchange((VIRTUAL, ECHO).into(), b"?").is_ok())
}

fn no_cpu() -> Result<Option<f64>> {
    Ok(None)
}

/// What came of a load.
#[derive(Default)]
struct Turns {
    counted: Vec<Counted>,
    interruptions: Vec<String>,
}

fn turns(until: Instant, load: impl Fn(Duration) -> Result<Counted>) -> Turns {
    let mut turns = Turns::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return turns;
        }
        match load(left.min(TURN)) {
            Ok(counted) => turns.counted.push(counted),
            Err(why) => turns.interruptions.push(why),
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Sleeps on one core, as often and as important as a daemon; tells how late it
/// woke at worst.
fn sleep(core: usize, enough: &AtomicBool) -> Result<Duration> {
    let mut only = CpuSet::new();
    only.set(core).map_err(failed("a core"))?;
    sched_setaffinity(Pid::from_raw(0), &only).map_err(failed("sched_setaffinity"))?;
    // Where it may not, neither may the daemon, whose log is shown.
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    let mut latest = Duration::ZERO;
    while !enough.load(Ordering::Relaxed) {
        let due = Instant::now() + NAP;
        thread::sleep(NAP);
        latest = latest.max(due.elapsed());
    }
    Ok(latest)
}

/// Hears the active router's advertisements; tells the times in between.
///
/// The kernel notes when one arrives, so that this thread may be late.
fn hear(client: &Host, enough: &AtomicBool) -> Result<Vec<f64>> {
    let socket = client.within(|| hear_advertisements(Duration::from_millis(100)))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).map_err(failed("time stamps"))?;
    let mut arrived = BTreeSet::new();
    while !enough.load(Ordering::Relaxed) {
        let mut packet = [0; 128];
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let message = match recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::empty(),
        ) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => continue,
            Err(error) => return Err(failed("recvmsg")(io::Error::from(error))),
        };
        let stamp = message
            .cmsgs()
            .map_err(failed("recvmsg"))?
            .find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                _ => None,
            });
        if source(&packet) == ROUTERS[A] {
            arrived.insert(stamp.ok_or("no time stamp")?);
        }
    }
    let arrived: Vec<Duration> = arrived.into_iter().collect();
    let gaps = arrived
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1_000.0);
    let mut gaps: Vec<f64> = gaps.collect();
    gaps.sort_by(f64::total_cmp);
    if gaps.is_empty() {
        return Err("no advertisements were heard".into());
    }
    Ok(gaps)
}

/// Bytes 12 to 15 of the IP header.
fn source(packet: &[u8; 128]) -> Ipv4Addr {
    Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15])
}

/// All the time of the machine's processors, and what of it was idle, in ticks:
/// proc_stat(5).
fn processor_times() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").map_err(failed("/proc/stat"))?;
    let line = text.lines().next().unwrap_or_default();
    let times: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    match times[..] {
        [_, _, _, idle, waiting, ..] => Ok((times.iter().sum(), idle + waiting)),
        _ => Err("/proc/stat: no times".into()),
    }
}

/// What the logs say after the first election.
fn lines(pair: &Pair, before: [usize; 2]) -> Vec<String> {
    let mut lines = Vec::new();
    for router in [A, B] {
        let daemon = &pair.daemons[router];
        let log = daemon.log();
        let ordinary = log.lines().filter(|line| line.contains("no real-time priority"));
        lines.extend(ordinary.map(ToString::to_string));
        lines.extend(daemon.lines_of_changes().into_iter().skip(before[router]));
    }
    lines
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
