//! Routers on a simulated link: one virtual clock, delay, loss, partitions,
//! crashes and sleep, all drawn from one seed.

#![allow(dead_code)] // Each test file uses its own part.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use catamaran::pure::vrrp::*;

/// SplitMix64.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = u64::try_from((longest - shortest).as_nanos()).unwrap();
        shortest + Duration::from_nanos(self.below(span + 1))
    }
}

/// What the link does to messages.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Messages lost, in percent, each receiver by itself.
    pub loss: u64,
    /// Messages with one bit turned over, in percent.
    pub mangled: u64,
    /// The longest a message is under way; the shortest is a tenth of it.
    pub delay: Duration,
}

impl Weather {
    pub const FAIR: Self = Self {
        loss: 0,
        mangled: 0,
        delay: Duration::from_millis(1),
    };
}

/// A machine with one router.
pub struct Machine {
    pub router: VirtualRouter,
    pub parameters: Parameters,
    /// The virtual addresses are on its interface.
    pub holds: bool,
    /// The process runs.
    pub alive: bool,
    /// It is stopped or starved until then.
    pub sleeps_until: Option<Instant>,
    /// What came while it slept.
    inbox: Vec<Received>,
    /// Machines of one island hear each other.
    pub island: u64,
}

enum Event {
    Arrival { to: usize, received: Box<Received> },
}

pub struct Lan {
    pub now: Instant,
    pub began: Instant,
    pub random: Random,
    pub weather: Weather,
    pub machines: Vec<Machine>,
    flights: BinaryHeap<(Reverse<Instant>, Reverse<u64>, usize)>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    /// What happened, for those who look into a failure.
    pub story: String,
    pub tells: bool,
    /// Since when nobody, or more than one, has held the addresses within an island.
    pub nobody_since: Option<Instant>,
    pub two_since: Option<Instant>,
    pub longest_nobody: Duration,
    pub longest_two: Duration,
    pub changes: u64,
}

impl Lan {
    pub fn new(seed: u64, parameters: Vec<Parameters>) -> Self {
        let now = Instant::now();
        let machine = |parameters: Parameters| Machine {
            router: VirtualRouter::new(parameters.clone()),
            parameters,
            holds: false,
            alive: false,
            sleeps_until: None,
            inbox: Vec::new(),
            island: 0,
        };
        Self {
            now,
            began: now,
            random: Random(seed),
            weather: Weather::FAIR,
            machines: parameters.into_iter().map(machine).collect(),
            flights: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            story: String::new(),
            tells: std::env::var_os("CATAMARAN_STORY").is_some(),
            nobody_since: Some(now),
            two_since: None,
            longest_nobody: Duration::ZERO,
            longest_two: Duration::ZERO,
            changes: 0,
        }
    }

    /// Start the process on a machine; what a former life left is swept.
    pub fn start(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.router = VirtualRouter::new(machine.parameters.clone());
        machine.holds = false;
        machine.alive = true;
        machine.sleeps_until = None;
        machine.inbox.clear();
        self.input(index, Input::Startup);
    }

    /// The machine is switched off: no farewell, and the addresses are gone.
    pub fn crash(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.alive = false;
        machine.holds = false;
        self.tell(&format!("{index} crashes"));
        self.observe();
    }

    /// The process does nothing for a while, as in SIGSTOP.
    pub fn sleep(&mut self, index: usize, time: Duration) {
        self.machines[index].sleeps_until = Some(self.now + time);
        self.tell(&format!("{index} sleeps for {time:?}"));
    }

    pub fn input(&mut self, index: usize, input: Input) {
        if !self.machines[index].alive {
            return;
        }
        let now = self.now;
        if self.tells && !matches!(input, Input::TimerDue) {
            self.tell(&format!("{index} <- {input:?}"));
        }
        let before = (
            self.machines[index].router.state(),
            self.machines[index].router.deadline(),
        );
        let timer = matches!(input, Input::TimerDue);
        let outputs = self.machines[index].router.handle(now, input);
        if !outputs.is_empty() && outputs.iter().all(|output| matches!(output, Output::Ignored(..))) {
            let router = &self.machines[index].router;
            assert_eq!(
                before,
                (router.state(), router.deadline()),
                "what is ignored moves nothing"
            );
        }
        for output in outputs {
            if self.tells {
                self.tell(&format!("{index} -> {output:?}"));
            }
            self.carry_out(index, output);
        }
        let machine = &self.machines[index];
        assert_eq!(
            machine.holds,
            machine.router.state() == State::Active,
            "router {index} holds the addresses exactly while it is active"
        );
        if timer {
            assert!(
                machine.router.deadline().is_none_or(|deadline| deadline > now),
                "router {index} has a deadline that is over, after its timer fired"
            );
        }
        self.observe();
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        match output {
            Output::Send(advertisement, form) => self.send(index, &advertisement, form),
            Output::AddAddresses => self.machines[index].holds = true,
            Output::RemoveAddresses => self.machines[index].holds = false,
            Output::Changed { .. } => self.changes += 1,
            Output::DropAddresses(_) | Output::Announce | Output::Ignored(..) | Output::Noticed(_) => {}
        }
    }

    fn send(&mut self, from: usize, advertisement: &Advertisement, form: ChecksumForm) {
        let source = self.machines[from].parameters.source;
        let group: IpAddr = if source.is_ipv4() {
            IpAddr::from([224, 0, 0, 18])
        } else {
            IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12])
        };
        let carrier = Carrier {
            source,
            destination: group,
        };
        let bytes = advertisement.encode(carrier, form);
        for to in 0..self.machines.len() {
            let heard = to != from
                && self.machines[to].island == self.machines[from].island
                && !self.random.chance(self.weather.loss);
            if !heard {
                continue;
            }
            let mut bytes = bytes.clone();
            if self.random.chance(self.weather.mangled) {
                let bit = self.random.below(bytes.len() as u64 * 8);
                bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
            }
            let Ok(decoded) = Advertisement::decode(&bytes, carrier) else {
                continue;
            };
            let received = Received {
                source,
                hop_limit: 255,
                unicast: false,
                advertisement: decoded.advertisement,
                form: decoded.form,
            };
            let delay = self.random.between(self.weather.delay / 10, self.weather.delay);
            self.fly(self.now + delay, to, received);
        }
    }

    fn fly(&mut self, at: Instant, to: usize, received: Received) {
        let event = Some(Event::Arrival {
            to,
            received: Box::new(received),
        });
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = event;
                place
            }
            None => {
                self.events.push(event);
                self.events.len() - 1
            }
        };
        self.sequence += 1;
        self.flights.push((Reverse(at), Reverse(self.sequence), place));
    }

    /// Let so much time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
        self.observe();
    }

    /// Let time pass until a condition holds; whether it came to that in time.
    pub fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Option<Duration> {
        let (began, end) = (self.now, self.now + limit);
        loop {
            if condition(self) {
                return Some(self.now - began);
            }
            if !self.step(end) {
                self.now = end;
                return condition(self).then_some(limit);
            }
        }
    }

    /// The next event, if it comes by then.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.flights.peek().map(|(Reverse(at), ..)| *at);
        let timer = (0..self.machines.len())
            .filter_map(|index| Some((self.wakes(index)?, index)))
            .min();
        let timer_first = match (timer, arrival) {
            (None, None) => return false,
            (Some((timer, _)), Some(arrival)) => timer < arrival,
            (timer, None) => timer.is_some(),
            (None, Some(_)) => false,
        };
        if timer_first && let Some((at, index)) = timer {
            if at > end {
                return false;
            }
            self.now = self.now.max(at);
            self.wake(index);
        } else if let Some(at) = arrival {
            if at > end {
                return false;
            }
            self.now = self.now.max(at);
            self.arrive();
        }
        true
    }

    /// When a machine has something to do by itself.
    fn wakes(&self, index: usize) -> Option<Instant> {
        let machine = &self.machines[index];
        if !machine.alive {
            return None;
        }
        machine.sleeps_until.or(machine.router.deadline())
    }

    fn wake(&mut self, index: usize) {
        if self.machines[index].sleeps_until.take().is_some() {
            // As the driver does: what waits in the socket comes before the timers.
            for received in std::mem::take(&mut self.machines[index].inbox) {
                self.input(index, Input::Advertisement(received));
            }
            if self.machines[index]
                .router
                .deadline()
                .is_none_or(|deadline| deadline > self.now)
            {
                return;
            }
        }
        self.input(index, Input::TimerDue);
    }

    fn arrive(&mut self) {
        let Some((_, _, place)) = self.flights.pop() else {
            return;
        };
        let Some(Event::Arrival { to, received }) = self.events[place].take() else {
            return;
        };
        self.free.push(place);
        let machine = &mut self.machines[to];
        if !machine.alive {
            return;
        }
        if machine.sleeps_until.is_some() {
            machine.inbox.push(*received);
        } else {
            self.input(to, Input::Advertisement(*received));
        }
    }

    /// Who holds the addresses.
    pub fn holders(&self) -> Vec<usize> {
        (0..self.machines.len())
            .filter(|&index| self.machines[index].holds)
            .collect()
    }

    /// Keep the record of how long nobody, or more than one, held them on an
    /// island where somebody could.
    fn observe(&mut self) {
        let islands = self.machines.iter().map(|machine| machine.island);
        let (mut nobody, mut two) = (false, false);
        for island in islands.collect::<std::collections::BTreeSet<_>>() {
            let there = || {
                self.machines
                    .iter()
                    .filter(|machine| machine.island == island && machine.alive)
            };
            let able = there().any(|machine| {
                machine.sleeps_until.is_none()
                    && matches!(machine.router.state(), State::Backup | State::Active)
            });
            let holders = there().filter(|machine| machine.holds).count();
            nobody |= able && holders == 0;
            two |= holders > 1;
        }
        let now = self.now;
        let note = |is: bool, since: &mut Option<Instant>, longest: &mut Duration| {
            if let Some(since) = *since {
                *longest = (*longest).max(now - since);
            }
            if !is {
                *since = None;
            } else {
                since.get_or_insert(now);
            }
        };
        note(nobody, &mut self.nobody_since, &mut self.longest_nobody);
        note(two, &mut self.two_since, &mut self.longest_two);
    }

    /// Begin the record anew.
    pub fn forget(&mut self) {
        self.longest_nobody = Duration::ZERO;
        self.longest_two = Duration::ZERO;
        self.nobody_since = None;
        self.two_since = None;
        self.observe();
    }

    pub fn tell(&mut self, line: &str) {
        if self.tells {
            let at = self.now - self.began;
            let _ = writeln!(self.story, "{:12.6} {line}", at.as_secs_f64());
        }
    }
}
