//! The state machine of one virtual router (RFC 9568 §6.4, RFC 3768 §6.4).
//!
//! It sends nothing and waits for nothing: the driver hands in what happened
//! and the time, carries out what comes back, in order, and asks for the next
//! [`VirtualRouter::deadline`].
//!
//! Beyond the documents, and in harmony with them on the wire:
//!
//! - **Ranked takeover.** `Skew_Time` keeps backups apart that do not know each
//!   other. While only named routers are heard, a backup knows its rank instead:
//!   the first takes over at once, the next wait a small step each, nobody longer
//!   than `Skew_Time`.
//! - **Make before break.** Who hands over goes on answering until its successor
//!   is heard; who takes over has the addresses before it says so.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::accept;
use super::roster::{Heard, Roster};
use super::timers::{active_down_interval, silence_allowed, skew_time};
use super::{
    Advertisement, Authentication, Centiseconds, ChecksumForm, Fault, Fitness, Input, Notice, Output, Peer,
    Priority, Reason, Received, State, Version, Vrid, Why,
};

/// Shortest time between two announcements that somebody else provokes.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_secs(1);

/// Shortest and longest step from rank to rank: longer than an advertisement
/// takes to arrive, shorter than anybody notices.
const STEP: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// What an advertisement may be late, at least: at 10 ms intervals, with both
/// cores taken by traffic for ten minutes, the worst was 3.7 ms late.
const GRACE: Duration = Duration::from_millis(5);

/// How long after an address was refused it is tried again, at least.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// How long a router whose interface came back leaves the addresses with a lower
/// one that serves: as long as the kernel takes to ask again for neighbours that
/// did not answer, without whom it reaches no endpoint.
const AFTER_LINK: Duration = Duration::from_secs(1);

/// What the document says of a virtual router on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Its identifier.
    pub vrid: Vrid,
    /// The version that all its routers speak.
    pub version: Version,
    /// The virtual addresses, 1–255, of one family.
    pub addresses: Vec<IpAddr>,
    /// Our own interval.
    pub interval: Centiseconds,
    /// Our priority while nothing lowers it.
    pub priority: Priority,
    /// Version 2's password.
    pub authentication: Authentication,
    /// Take over from a router of lower priority.
    pub preempt: bool,
    /// How long to let it go on first.
    pub preempt_delay: Duration,
    /// The address we send from; ties are decided by it (RFC 9568 §6.4.3).
    pub source: IpAddr,
    /// The other routers that the document names.
    pub peers: Vec<Peer>,
    /// Messages go to each peer, not to the group.
    pub unicast: bool,
    /// How long a backup waits.
    pub takeover: Takeover,
    /// Which form a checksum has where there are two; `None` is that of whoever
    /// was heard last.
    pub checksum: Option<ChecksumForm>,
}

/// How long a backup waits beyond what the Active is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// By its rank, while only named routers are heard; never longer than `Skew_Time`.
    #[default]
    Ranked,
    /// `Skew_Time`, as RFC 9568 §6.1 has it.
    Rfc,
}

/// The core.
#[derive(Clone, Debug)]
pub struct VirtualRouter {
    parameters: Parameters,
    roster: Roster,
    fitness: Fitness,
    /// What keeps the interface from carrying messages.
    fault: Option<Fault>,
    yields_until: Option<Instant>,
    announced: Option<Instant>,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Initialize,
    Fault { fault: Fault, retry: Option<Instant> },
    Backup(Backup),
    Active(Active),
}

#[derive(Clone, Debug)]
struct Backup {
    /// The Active's interval (`Active_Adver_Interval`).
    interval: Centiseconds,
    /// When to take over (`Active_Down_Timer`).
    take_over: Instant,
    /// Why, when it comes to that.
    why: TakeOver,
    /// Whom we follow.
    active: Option<Heard>,
    /// When the preempt delay is over that the first lower advertisement began.
    may_preempt: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum TakeOver {
    Silence { since: Instant },
    Left(IpAddr),
    Lower(Heard),
}

#[derive(Clone, Debug)]
struct Active {
    /// When to advertise next (`Adver_Timer`).
    advertise: Instant,
    handing_over: Option<HandOver>,
}

#[derive(Clone, Copy, Debug)]
struct HandOver {
    until: Instant,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stop,
    Rank,
}

impl VirtualRouter {
    /// A router in Initialize, whose interface is taken to be up.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            roster: Roster::new(&parameters.peers),
            parameters,
            fitness: Fitness::default(),
            fault: None,
            yields_until: None,
            announced: None,
            phase: Phase::Initialize,
        }
    }

    /// Take one input. A timer that fires early, late or twice does no harm.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Output> {
        let mut outputs = self.give_way_after_sleep(now);
        outputs.extend(self.take(now, input));
        outputs
    }

    fn take(&mut self, now: Instant, input: Input) -> Vec<Output> {
        match input {
            Input::Startup => self.start(now),
            Input::Shutdown => self.shut_down(now),
            Input::TimerDue => self.timer_due(now),
            Input::Advertisement(received) => self.hear(now, &received),
            Input::InterfaceUp => self.interface_up(now),
            Input::InterfaceDown(fault) => self.interface_down(fault),
            Input::FitnessChanged(fitness) => {
                let before = self.priority();
                self.fitness = fitness;
                self.priority_changed(now, before)
            }
            Input::ParametersChanged(parameters) => self.parameters_changed(now, *parameters),
            Input::SourceChanged(source) => {
                self.parameters.source = source;
                Vec::new()
            }
            Input::Yield { until } => self.give_way(now, until),
            Input::YieldEnds => self.yield_ends(now),
            Input::AddressGone(address) => self.address_gone(now, address),
            Input::AddressRefused => self.address_refused(now),
        }
    }

    /// When to hand in [`Input::TimerDue`]; `None` while nothing is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::Initialize => None,
            Phase::Fault { retry, .. } => *retry,
            Phase::Backup(backup) => Some(backup.take_over),
            Phase::Active(active) => Some(
                active
                    .handing_over
                    .map_or(active.advertise, |hand_over| hand_over.until),
            ),
        };
        of_phase.into_iter().chain(self.yields_until).min()
    }

    /// The state of this moment.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Fault { fault, .. } => State::Fault(*fault),
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
        }
    }

    /// Nothing is left to be done after [`Input::Shutdown`].
    pub fn stopped(&self) -> bool {
        matches!(self.phase, Phase::Initialize)
    }

    /// Somebody else is being waited for, who is to take over from us.
    pub fn hands_over(&self) -> bool {
        matches!(&self.phase, Phase::Active(active) if active.handing_over.is_some())
    }

    /// The priority of this moment.
    pub fn priority(&self) -> Priority {
        if self.fitness.stands_back || self.yields_until.is_some() {
            return Priority::LAST;
        }
        self.parameters.priority.weighted(self.fitness.weight)
    }

    /// Until when we rank last because we were told to hand over.
    pub fn yields_until(&self) -> Option<Instant> {
        self.yields_until
    }

    /// What was last heard of the other routers.
    pub fn heard(&self) -> impl Iterator<Item = Heard> + '_ {
        self.roster.heard()
    }

    /// How long an Active of the present interval may be silent before this
    /// router takes over, as it stands.
    pub fn active_down_interval(&self) -> Duration {
        let interval = match &self.phase {
            Phase::Backup(backup) => backup.interval,
            Phase::Initialize | Phase::Fault { .. } | Phase::Active(_) => self.parameters.interval,
        };
        active_down_interval(self.parameters.version, self.priority(), interval)
    }

    /// The document's parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// An Active that was silent for longer than anybody waits (a machine that
    /// was suspended, a process that was stopped) has been replaced by now:
    /// before anything else it becomes a backup, and listens.
    fn give_way_after_sleep(&mut self, now: Instant) -> Vec<Output> {
        let Parameters {
            version, interval, ..
        } = self.parameters;
        let waited_for = active_down_interval(version, Priority::LAST, interval);
        match &self.phase {
            Phase::Active(active) if active.handing_over.is_none() && now > active.advertise + waited_for => {
                let late = now - active.advertise;
                self.become_backup(now, None, Why::WokeUpLate(late))
            }
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_) => Vec::new(),
        }
    }

    // RFC 9568 §6.4.1
    fn start(&mut self, now: Instant) -> Vec<Output> {
        match (&self.phase, self.fault) {
            (Phase::Initialize, Some(fault)) => self.enter_fault(fault, None, Vec::new()),
            (Phase::Initialize, None) if self.priority() == Priority::OWNER => {
                self.become_active(now, Why::Owner)
            }
            (Phase::Initialize, None) => self.become_backup(now, None, Why::Started),
            // It takes part already.
            (Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_), _) => Vec::new(),
        }
    }

    // RFC 9568 §6.4.2 and §6.4.3
    fn shut_down(&mut self, now: Instant) -> Vec<Output> {
        let stopping = |active: &Active| active.handing_over.is_some_and(|one| one.then == Then::Stop);
        match &mut self.phase {
            Phase::Initialize => Vec::new(),
            Phase::Fault { .. } | Phase::Backup(_) => self.enter(Phase::Initialize, Why::Stopped, Vec::new()),
            Phase::Active(active) if stopping(active) => self.leave_active(Phase::Initialize, Why::Stopped),
            Phase::Active(Active {
                handing_over: Some(hand_over),
                ..
            }) => {
                hand_over.then = Then::Stop;
                Vec::new()
            }
            Phase::Active(_) => {
                let outputs = self.hand_over(now, Then::Stop);
                if self.roster.is_empty() {
                    // There is nobody to wait for.
                    let ended = self.leave_active(Phase::Initialize, Why::Stopped);
                    return outputs.into_iter().chain(ended).collect();
                }
                outputs
            }
        }
    }

    fn timer_due(&mut self, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.yields_until.is_some_and(|until| until <= now) {
            outputs = self.yield_ends(now);
        }
        let due = match &mut self.phase {
            Phase::Initialize => Vec::new(),
            Phase::Fault { retry, .. } if retry.is_some_and(|retry| retry <= now) => match self.fault {
                Some(fault) => self.enter_fault(fault, None, Vec::new()),
                None => self.become_backup(now, None, Why::TriesAgain),
            },
            Phase::Backup(backup) if backup.take_over <= now => {
                let late = now - backup.take_over;
                self.take_over_due(now, late)
            }
            Phase::Active(active) => match active.handing_over {
                Some(hand_over) if hand_over.until <= now => self.nobody_took_over(now, hand_over.then),
                None if active.advertise <= now => self.advertise_due(now),
                // Early.
                Some(_) | None => Vec::new(),
            },
            // Early.
            Phase::Fault { .. } | Phase::Backup(_) => Vec::new(),
        };
        outputs.extend(due);
        outputs
    }

    // RFC 9568 §6.4.2: the Active_Down_Timer fires.
    fn take_over_due(&mut self, now: Instant, late: Duration) -> Vec<Output> {
        let down = self.active_down_interval();
        let Phase::Backup(backup) = &mut self.phase else {
            return Vec::new();
        };
        if late > down {
            // We slept through what others may have said: listen once more.
            backup.take_over = now + down;
            backup.why = TakeOver::Silence { since: now };
            return Vec::new();
        }
        let why = match backup.why {
            TakeOver::Silence { since } => Why::Silence(now - since),
            TakeOver::Left(who) => Why::ActiveLeft(who),
            TakeOver::Lower(heard) => Why::Preempted(heard.source, heard.priority),
        };
        self.become_active(now, why)
    }

    // RFC 9568 §6.4.3: the Adver_Timer fires.
    fn advertise_due(&mut self, now: Instant) -> Vec<Output> {
        let interval = self.parameters.interval.duration();
        if let Phase::Active(active) = &mut self.phase {
            // From deadline to deadline, so that lateness does not add up.
            active.advertise += interval;
            if active.advertise <= now {
                active.advertise = now + interval;
            }
        }
        vec![self.send(Some(self.priority()))]
    }

    fn nobody_took_over(&mut self, now: Instant, then: Then) -> Vec<Output> {
        match then {
            Then::Stop => self.leave_active(Phase::Initialize, Why::NobodyTookOver),
            Then::Rank => {
                let outputs = self.advertise_now(now);
                let notice = Output::Noticed(Notice::NobodyTookOver);
                outputs.into_iter().chain([notice]).collect()
            }
        }
    }

    fn hear(&mut self, now: Instant, received: &Received) -> Vec<Output> {
        if let Err(reason) = accept::check(&self.parameters, received) {
            return vec![Output::Ignored(received.source, reason)];
        }
        let theirs = &received.advertisement;
        let heard = Heard {
            source: received.source,
            priority: theirs.priority,
            at: now,
        };
        let ignored = |reason| vec![Output::Ignored(received.source, reason)];
        let outputs = match &self.phase {
            Phase::Initialize | Phase::Fault { .. } => return ignored(Reason::NotTakingPart),
            Phase::Backup(_) => {
                self.roster.hear(heard, received.form);
                self.hear_as_backup(now, heard, theirs.interval)
            }
            Phase::Active(_) => {
                self.roster.hear(heard, received.form);
                self.hear_as_active(now, heard, theirs.interval)
            }
        };
        let notices = accept::notices(&self.parameters, received);
        outputs
            .into_iter()
            .chain(notices.into_iter().map(Output::Noticed))
            .collect()
    }

    // RFC 9568 §6.4.2
    fn hear_as_backup(&mut self, now: Instant, heard: Heard, interval: Centiseconds) -> Vec<Output> {
        let own = self.priority();
        let Some(theirs) = heard.priority else {
            return self.active_left(now, heard);
        };
        if theirs >= own {
            self.follow(now, heard, interval);
            return Vec::new();
        }
        // A named router at the last priority stands back: that is a wish to be
        // relieved, which `preempt = false` does not speak of.
        let stands_back = theirs == Priority::LAST && self.ranked();
        if !self.parameters.preempt && !stands_back {
            self.follow(now, heard, interval);
            return Vec::new();
        }
        let Phase::Backup(backup) = &mut self.phase else {
            return Vec::new();
        };
        let delay = match stands_back {
            true => Duration::ZERO,
            false => self.parameters.preempt_delay,
        };
        let may_preempt = *backup.may_preempt.get_or_insert(now + delay);
        if now < may_preempt {
            self.follow(now, heard, interval);
            if let Phase::Backup(backup) = &mut self.phase {
                backup.may_preempt = Some(may_preempt);
            }
            return Vec::new();
        }
        // The RFC lets its timer run on; by rank we need not wait for it.
        backup.why = TakeOver::Lower(heard);
        if let Some(delay) = self.delay_by_rank(heard.source, interval) {
            self.take_over_by(now + delay, TakeOver::Lower(heard));
        }
        Vec::new()
    }

    /// Priority 0: the Active leaves.
    fn active_left(&mut self, now: Instant, heard: Heard) -> Vec<Output> {
        let Phase::Backup(backup) = &mut self.phase else {
            return Vec::new();
        };
        // Somebody else's farewell says nothing about the one we follow.
        if backup.active.is_some_and(|active| active.source != heard.source) {
            return vec![Output::Ignored(heard.source, Reason::NotTheActive)];
        }
        let interval = backup.interval;
        let skew = skew_time(self.parameters.version, self.priority(), interval);
        let delay = self.delay_by_rank(heard.source, interval).unwrap_or(skew);
        self.take_over_by(now + delay, TakeOver::Left(heard.source));
        Vec::new()
    }

    /// Take over then, or earlier where that is so already.
    fn take_over_by(&mut self, then: Instant, why: TakeOver) {
        if let Phase::Backup(backup) = &mut self.phase
            && then < backup.take_over
        {
            backup.take_over = then;
            backup.why = why;
        }
    }

    /// Accept somebody as the Active one; no timer of ours is due before it has
    /// been silent for longer than it may.
    fn follow(&mut self, now: Instant, heard: Heard, interval: Centiseconds) {
        let wait = self.wait_for_silence(Some(heard.source), interval);
        self.phase = Phase::Backup(Backup {
            interval,
            take_over: now + wait,
            why: TakeOver::Silence { since: now },
            active: Some(heard),
            may_preempt: None,
        });
    }

    // RFC 9568 §6.4.3
    fn hear_as_active(&mut self, now: Instant, heard: Heard, interval: Centiseconds) -> Vec<Output> {
        let Phase::Active(active) = &self.phase else {
            return Vec::new();
        };
        if let Some(hand_over) = active.handing_over {
            return match (heard.priority, hand_over.then) {
                (Some(_), Then::Stop) => self.leave_active(Phase::Initialize, Why::HandedOver(heard.source)),
                (Some(_), Then::Rank) => {
                    self.become_backup(now, Some((heard, interval)), Why::HandedOver(heard.source))
                }
                // Two want to leave; whoever stays says so.
                (None, _) => Vec::new(),
            };
        }
        let own = self.priority();
        match heard.priority {
            None => self.advertise_now(now),
            Some(theirs) if (theirs, heard.source) > (own, self.parameters.source) => self.become_backup(
                now,
                Some((heard, interval)),
                Why::Outranked(heard.source, heard.priority),
            ),
            Some(_) => {
                // RFC 9568 §6.4.3: assert ourselves at once. The other may have
                // announced the addresses as its own: announce them again, but
                // never in step with a flood, nor just after taking over, when
                // what we hear was said before the other heard us.
                let mut outputs = self.advertise_now(now);
                if self
                    .announced
                    .is_none_or(|at| now.duration_since(at) >= BETWEEN_ANNOUNCEMENTS)
                {
                    self.announced = Some(now);
                    outputs.push(Output::Announce);
                    outputs.push(Output::Noticed(Notice::TwoActive(heard.source)));
                }
                outputs
            }
        }
    }

    fn interface_up(&mut self, now: Instant) -> Vec<Output> {
        self.fault = None;
        match &self.phase {
            // Never straight to Active: somebody else is, by now.
            Phase::Fault { retry: None, .. } => {
                let outputs = self.become_backup(now, None, Why::InterfaceUp);
                if let Phase::Backup(backup) = &mut self.phase {
                    backup.may_preempt = Some(now + AFTER_LINK.max(self.parameters.preempt_delay));
                }
                outputs
            }
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_) => Vec::new(),
        }
    }

    fn interface_down(&mut self, fault: Fault) -> Vec<Output> {
        self.fault = Some(fault);
        match &self.phase {
            Phase::Initialize => Vec::new(),
            Phase::Fault { fault: known, .. } if *known == fault => Vec::new(),
            Phase::Active(active) if active.handing_over.is_some_and(|one| one.then == Then::Stop) => {
                self.leave_active(Phase::Initialize, Why::Fault(fault))
            }
            Phase::Active(_) => self.enter_fault(fault, None, vec![Output::RemoveAddresses]),
            Phase::Fault { .. } | Phase::Backup(_) => self.enter_fault(fault, None, Vec::new()),
        }
    }

    /// In every state the next advertisement and the next timer have it; an
    /// Active says it at once.
    fn priority_changed(&mut self, now: Instant, before: Priority) -> Vec<Output> {
        match &self.phase {
            Phase::Active(active) if active.handing_over.is_none() && self.priority() != before => {
                self.advertise_now(now)
            }
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_) => Vec::new(),
        }
    }

    /// Another document. Whoever is Active stays it for now: what it says from
    /// here on decides, as at any other time.
    fn parameters_changed(&mut self, now: Instant, parameters: Parameters) -> Vec<Output> {
        let before = std::mem::replace(&mut self.parameters, parameters);
        self.roster.rename(&self.parameters.peers);
        match &self.phase {
            Phase::Initialize | Phase::Fault { .. } => Vec::new(),
            Phase::Backup(_) => {
                self.listen_by_new_parameters(now, &before);
                Vec::new()
            }
            Phase::Active(active) => {
                let leaves = active.handing_over.is_some();
                self.serve_by_new_parameters(now, &before, leaves)
            }
        }
    }

    /// An interval is the Active's: we have our own from the document only where
    /// the version wants them to be the same, or nobody was heard.
    fn listen_by_new_parameters(&mut self, now: Instant, before: &Parameters) {
        let interval = self.parameters.interval;
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        let ours = self.parameters.version == Version::V2 || backup.active.is_none();
        if !ours || interval == before.interval {
            return;
        }
        let wait = self.wait_for_silence(backup.active.map(|active| active.source), interval);
        if let Phase::Backup(backup) = &mut self.phase {
            backup.interval = interval;
            backup.take_over = now + wait;
            backup.why = TakeOver::Silence { since: now };
        }
    }

    fn serve_by_new_parameters(&mut self, now: Instant, before: &Parameters, leaves: bool) -> Vec<Output> {
        let (was, is) = (&before.addresses, &self.parameters.addresses);
        let gone: Vec<IpAddr> = was.iter().filter(|one| !is.contains(one)).copied().collect();
        let come = is.iter().any(|one| !was.contains(one));
        let says = |of: &Parameters| (of.priority, of.interval, of.authentication, of.addresses.clone());
        let is_news = says(before) != says(&self.parameters);
        let mut outputs = Vec::new();
        if !gone.is_empty() {
            outputs.push(Output::DropAddresses(gone));
        }
        if come {
            outputs.push(Output::AddAddresses);
        }
        if is_news && !leaves {
            outputs.extend(self.advertise_now(now));
        }
        if come {
            self.announced = Some(now);
            outputs.push(Output::Announce);
        }
        outputs
    }

    fn give_way(&mut self, now: Instant, until: Instant) -> Vec<Output> {
        self.yields_until = Some(until);
        match &self.phase {
            Phase::Active(_) if self.roster.is_empty() => {
                let outputs = self.advertise_now(now);
                let notice = Output::Noticed(Notice::NobodyElse);
                outputs.into_iter().chain([notice]).collect()
            }
            Phase::Active(active) if active.handing_over.is_none() => self.hand_over(now, Then::Rank),
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_) => Vec::new(),
        }
    }

    fn yield_ends(&mut self, now: Instant) -> Vec<Output> {
        let before = self.priority();
        self.yields_until = None;
        self.priority_changed(now, before)
    }

    fn address_gone(&mut self, now: Instant, address: IpAddr) -> Vec<Output> {
        match &self.phase {
            Phase::Active(_) if self.parameters.addresses.contains(&address) => {
                self.announced = Some(now);
                vec![
                    Output::AddAddresses,
                    Output::Announce,
                    Output::Noticed(Notice::PutBack(address)),
                ]
            }
            // Not ours, or as it should be.
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) | Phase::Active(_) => Vec::new(),
        }
    }

    fn address_refused(&mut self, now: Instant) -> Vec<Output> {
        match &self.phase {
            Phase::Active(_) => {
                let retry = now + self.active_down_interval().max(AFTER_REFUSAL);
                let outputs = vec![self.send(None), Output::RemoveAddresses];
                self.enter_fault(Fault::AddressRefused, Some(retry), outputs)
            }
            // An answer to what is over already.
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) => Vec::new(),
        }
    }

    fn become_active(&mut self, now: Instant, why: Why) -> Vec<Output> {
        self.announced = Some(now);
        let active = Active {
            advertise: now + self.parameters.interval.duration(),
            handing_over: None,
        };
        // The addresses first: whoever hears the advertisement drops its own.
        let outputs = vec![
            Output::AddAddresses,
            self.send(Some(self.priority())),
            Output::Announce,
        ];
        self.enter(Phase::Active(active), why, outputs)
    }

    /// Follow who was heard, or listen for as long as any Active may be silent.
    fn become_backup(&mut self, now: Instant, heard: Option<(Heard, Centiseconds)>, why: Why) -> Vec<Output> {
        let from = self.state();
        let outputs = match &self.phase {
            Phase::Active(_) => vec![Output::RemoveAddresses],
            Phase::Initialize | Phase::Fault { .. } | Phase::Backup(_) => Vec::new(),
        };
        match heard {
            Some((heard, interval)) => self.follow(now, heard, interval),
            None => {
                let interval = self.parameters.interval;
                self.phase = Phase::Backup(Backup {
                    interval,
                    take_over: now + self.wait_for_silence(None, interval),
                    why: TakeOver::Silence { since: now },
                    active: None,
                    may_preempt: None,
                });
            }
        }
        self.changed(from, why, outputs)
    }

    fn leave_active(&mut self, phase: Phase, why: Why) -> Vec<Output> {
        self.enter(phase, why, vec![Output::RemoveAddresses])
    }

    fn enter_fault(&mut self, fault: Fault, retry: Option<Instant>, outputs: Vec<Output>) -> Vec<Output> {
        self.enter(Phase::Fault { fault, retry }, Why::Fault(fault), outputs)
    }

    fn enter(&mut self, phase: Phase, why: Why, outputs: Vec<Output>) -> Vec<Output> {
        let from = self.state();
        self.phase = phase;
        self.changed(from, why, outputs)
    }

    fn changed(&self, from: State, why: Why, mut outputs: Vec<Output>) -> Vec<Output> {
        let to = self.state();
        outputs.push(Output::Changed { from, to, why });
        outputs
    }

    /// Say that we leave, once; go on until somebody else is heard, or until
    /// the slowest backup has had its time.
    fn hand_over(&mut self, now: Instant, then: Then) -> Vec<Output> {
        let Parameters {
            version, interval, ..
        } = self.parameters;
        let slowest = skew_time(version, Priority::LAST, interval);
        if let Phase::Active(active) = &mut self.phase {
            active.handing_over = Some(HandOver {
                until: now + interval.duration() + slowest,
                then,
            });
        }
        vec![self.send(None)]
    }

    fn advertise_now(&mut self, now: Instant) -> Vec<Output> {
        let interval = self.parameters.interval.duration();
        if let Phase::Active(active) = &mut self.phase {
            active.advertise = now + interval;
            active.handing_over = None;
        }
        vec![self.send(Some(self.priority()))]
    }

    /// Built anew each time, from the parameters of this moment.
    fn send(&self, priority: Option<Priority>) -> Output {
        let parameters = &self.parameters;
        let advertisement = Advertisement {
            version: parameters.version,
            vrid: parameters.vrid,
            priority,
            interval: parameters.interval,
            authentication: parameters.authentication,
            addresses: parameters.addresses.clone(),
        };
        let form = parameters.checksum.or(self.roster.form()).unwrap_or_default();
        Output::Send(advertisement, form)
    }

    fn ranked(&self) -> bool {
        self.parameters.takeover == Takeover::Ranked && !self.roster.has_strangers()
    }

    /// How long to leave it to those before us to take over from `lost`;
    /// `None` where ranks do not hold.
    fn delay_by_rank(&self, lost: IpAddr, interval: Centiseconds) -> Option<Duration> {
        self.ranked().then(|| self.steps(Some(lost), interval))
    }

    fn steps(&self, lost: Option<IpAddr>, interval: Centiseconds) -> Duration {
        let (own, source) = (self.priority(), self.parameters.source);
        let skew = skew_time(self.parameters.version, own, interval);
        step(interval)
            .saturating_mul(self.roster.before(own, source, lost))
            .min(skew)
    }

    /// How long an Active may be silent before we take over (`Active_Down_Interval`).
    fn wait_for_silence(&self, active: Option<IpAddr>, interval: Centiseconds) -> Duration {
        let skew = skew_time(self.parameters.version, self.priority(), interval);
        let beyond = if self.ranked() {
            // The last of three advertisements may come a little late.
            (grace(interval) + self.steps(active, interval)).min(skew)
        } else {
            skew
        };
        silence_allowed(interval) + beyond
    }
}

/// From rank to rank.
fn step(interval: Centiseconds) -> Duration {
    (interval.duration() / 8).clamp(STEP.0, STEP.1)
}

/// What an advertisement may be late.
fn grace(interval: Centiseconds) -> Duration {
    (interval.duration() / 32).max(GRACE)
}
