//! Everything that can come into a virtual router and go out of it.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Advertisement, ChecksumForm, Parameters, Priority};

/// What can come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Take part from now on.
    Startup,
    /// Take part no more. An Active goes on answering until somebody else has
    /// taken over; [`VirtualRouter::stopped`](super::VirtualRouter::stopped)
    /// says when that is. A second one ends at once.
    Shutdown,
    /// The deadline is over.
    TimerDue,
    /// A message that could be read.
    Advertisement(Received),
    /// The interface can carry messages.
    InterfaceUp,
    /// It cannot.
    InterfaceDown(Fault),
    /// What we are fit for has changed.
    FitnessChanged(Fitness),
    /// The document says something else from now on. Never the identifier, the
    /// version, the family or the way to send: with another one of these it is
    /// another virtual router.
    ParametersChanged(Box<Parameters>),
    /// The address we send from is another one now.
    SourceChanged(IpAddr),
    /// Hand over, and rank last until then.
    Yield {
        /// When the wish ends.
        until: Instant,
    },
    /// The wish ends now.
    YieldEnds,
    /// Somebody removed a virtual address of ours.
    AddressGone(IpAddr),
    /// The kernel does not take a virtual address.
    AddressRefused,
}

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The sender's address.
    pub source: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// It was sent to us, not to the group.
    pub unicast: bool,
    /// What it says.
    pub advertisement: Advertisement,
    /// The form of its checksum, where there are two.
    pub form: Option<ChecksumForm>,
}

/// What tracked conditions come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// The sum of the weights of what fails; 0 or less.
    pub weight: i32,
    /// Something without a weight fails: rank last.
    pub stands_back: bool,
}

impl Fitness {
    /// What failing conditions of these weights come to; `None` stands back.
    pub fn of(failing: impl IntoIterator<Item = Option<i16>>) -> Self {
        let mut fitness = Self::default();
        for weight in failing {
            match weight {
                Some(weight) => fitness.weight = fitness.weight.saturating_add(weight.into()),
                None => fitness.stands_back = true,
            }
        }
        fitness
    }
}

/// Why a router cannot take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// There is no such interface.
    NoInterface,
    /// The interface is set down.
    Down,
    /// It has no carrier.
    NoCarrier,
    /// It has no address to send from.
    NoSource,
    /// The kernel did not take a virtual address.
    AddressRefused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoInterface => "the interface does not exist",
            Self::Down => "the interface is down",
            Self::NoCarrier => "the interface has no carrier",
            Self::NoSource => "the interface has no address to send from",
            Self::AddressRefused => "the kernel refuses the virtual address",
        })
    }
}

/// What can go out, in the order in which it is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send it to the group, or to each peer.
    Send(Advertisement, ChecksumForm),
    /// Put the virtual addresses on the interface.
    AddAddresses,
    /// Take them off.
    RemoveAddresses,
    /// Take these off, which are not virtual addresses any more.
    DropAddresses(Vec<IpAddr>),
    /// Tell the link where the virtual addresses are now.
    Announce,
    /// The state changed.
    Changed {
        /// Before.
        from: State,
        /// From now on.
        to: State,
        /// Why.
        why: Why,
    },
    /// An advertisement had no effect.
    Ignored(IpAddr, Reason),
    /// Something that operators want to know.
    Noticed(Notice),
}

/// RFC 9568 §6.4, and what it lacks for a router that cannot take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started, or stopped.
    Initialize,
    /// Cannot take part.
    Fault(Fault),
    /// Ready to take over.
    Backup,
    /// Holds the virtual addresses.
    Active,
}

impl State {
    /// One word, as in logs and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Fault(_) => "fault",
            Self::Backup => "backup",
            Self::Active => "active",
        }
    }
}

/// Why the state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was told to take part.
    Started,
    /// As the owner it need not wait (RFC 9568 §6.4.1).
    Owner,
    /// Nobody was heard for so long.
    Silence(Duration),
    /// The Active left.
    ActiveLeft(IpAddr),
    /// We come before the router that was Active.
    Preempted(IpAddr, Option<Priority>),
    /// Somebody comes before us.
    Outranked(IpAddr, Option<Priority>),
    /// Somebody took over as we wished.
    HandedOver(IpAddr),
    /// It was told to stop.
    Stopped,
    /// It was told to stop, and nobody took over.
    NobodyTookOver,
    /// The interface is back.
    InterfaceUp,
    /// It cannot take part.
    Fault(Fault),
    /// It was asleep for so long beyond a deadline that somebody else may be Active.
    WokeUpLate(Duration),
    /// After a fault that nobody reports the end of.
    TriesAgain,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |priority: &Option<Priority>| priority.map_or("0".into(), |own| own.to_string());
        match self {
            Self::Started => write!(f, "started"),
            Self::Owner => write!(f, "started as the owner"),
            Self::Silence(time) => write!(f, "no advertisement for {time:.0?}"),
            Self::ActiveLeft(who) => write!(f, "{who} left"),
            Self::Preempted(who, theirs) => {
                write!(f, "{who} advertises priority {}, ours is higher", shown(theirs))
            }
            Self::Outranked(who, theirs) => {
                write!(f, "{who} advertises priority {} and comes first", shown(theirs))
            }
            Self::HandedOver(who) => write!(f, "handed over to {who}"),
            Self::Stopped => write!(f, "stopped"),
            Self::NobodyTookOver => write!(f, "stopped, and nobody took over"),
            Self::InterfaceUp => write!(f, "the interface is up"),
            Self::Fault(fault) => fault.fmt(f),
            Self::WokeUpLate(late) => {
                write!(f, "woke up {late:.0?} late, somebody else may be active")
            }
            Self::TriesAgain => write!(f, "tries again"),
        }
    }
}

/// Why an advertisement had no effect; each is counted under its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// This router does not take part now.
    NotTakingPart,
    /// It may come from beyond the link: TTL or hop limit is not 255 (RFC 9568 §7.1).
    HopLimit(u8),
    /// The other version.
    Version(u8),
    /// Another virtual router.
    Vrid,
    /// Of another address family.
    Family,
    /// Another password, or none, or one where we have none (RFC 2338 §7.1).
    Authentication,
    /// Version 2: another interval (RFC 3768 §7.1).
    Interval,
    /// Unicast where multicast is agreed, or the reverse.
    Mode,
    /// Unicast from a router that the document does not name.
    NotAPeer,
    /// From our own address.
    OwnAddress,
    /// A router left that was not the Active one.
    NotTheActive,
}

impl Reason {
    /// One word, as in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotTakingPart => "not-taking-part",
            Self::HopLimit(_) => "hop-limit",
            Self::Version(_) => "version",
            Self::Vrid => "vrid",
            Self::Family => "family",
            Self::Authentication => "authentication",
            Self::Interval => "interval",
            Self::Mode => "mode",
            Self::NotAPeer => "not-a-peer",
            Self::OwnAddress => "own-address",
            Self::NotTheActive => "not-the-active",
        }
    }
}

/// What operators want to know, though it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The Active's interval is another than ours; it is adopted (RFC 9568 §5.2.7).
    IntervalDiffers(IpAddr),
    /// Its virtual addresses are other than ours (RFC 9568 §7.1: log, and go on).
    AddressesDiffer(IpAddr),
    /// A router of lower priority is Active beside us: it does not hear us.
    TwoActive(IpAddr),
    /// Two routers are configured as the owner.
    TwoOwners(IpAddr),
    /// A virtual address was removed by somebody, and is put back.
    PutBack(IpAddr),
    /// Nobody else was ever heard of who could take over.
    NobodyElse,
    /// Nobody took over; we go on.
    NobodyTookOver,
}
