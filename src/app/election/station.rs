//! One virtual router on its interface: carries out what its core decides.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant, SystemTime};

use super::announcing::Announcing;
use super::conditions::Conditions;
use super::lease::Lease;
use super::sentences::{self, News};
use super::status::{PeerStatus, RouterStatus, seconds};
use super::virtual_mac::{VirtualLink, VirtualMac};
use super::{OnTurn, Turn};
use crate::pure::addr::IpPrefix;
use crate::pure::config::{self, Announce, Arp, Config, Node, VirtualRouter as Settings};
use crate::pure::vrrp::timers::active_down_interval;
use crate::pure::vrrp::{
    Advertisement, Carrier, ChecksumForm, Fault, Input, Notice, Output, Parameters, Priority, Reason,
    Received, State, VirtualRouter, Why,
};
use crate::shell::netlink::{Address, Lifetime, Link, Netlink};
use crate::shell::vrrp::{
    AddressWitness, AdvertisementSocket, Announcer, ArpOperation, Claim, Family, GROUP_V4, GROUP_V6, LARGEST,
    Mode, forwards, gratuitous_arp, unsolicited_advertisement,
};

/// How long after taking over the one that was Active before may still say that
/// it has the addresses, and how long between two answers to whoever does.
const CONTEST: Duration = Duration::from_secs(1);

/// A virtual router and what it stands on.
pub struct Station {
    name: String,
    interface: String,
    prefixes: Vec<IpPrefix>,
    /// The source by the document; otherwise the interface is asked.
    named_source: Option<IpAddr>,
    peers: Vec<(String, IpAddr)>,
    lease: Lease,
    router: VirtualRouter,
    wire: Option<Wire>,
    /// Makes the interface that has the addresses, where it is not the wire's.
    virtual_mac: Option<VirtualMac>,
    announcing: Announcing,
    arp: &'static [ArpOperation],
    /// Its group, whose routers stand back together.
    sync: Option<String>,
    /// What its own tracked conditions come to.
    own: Conditions,
    lowered_by: Vec<String>,
    counters: BTreeMap<&'static str, u64>,
    news: News,
    since: SystemTime,
    why: String,
    /// When it last had reason to say that the addresses are here.
    asserted: Instant,
    /// The document has it no more.
    leaves: bool,
}

/// Another document for a router that goes on, ready to be taken.
pub struct Revision {
    /// The router as it would begin by that document.
    plan: Box<Station>,
    announce: Announce,
    /// Sees who else claims the addresses, where there is an interface.
    witness: Option<AddressWitness>,
    /// Virtual addresses that somebody else has put on the interface.
    foreign: Vec<IpAddr>,
}

/// The sockets on an interface, for as long as it is the same one.
struct Wire {
    index: u32,
    mac: Option<[u8; 6]>,
    /// Virtual addresses that somebody else has put there for good.
    foreign: Vec<IpAddr>,
    socket: AdvertisementSocket,
    announcer: Announcer,
    witness: AddressWitness,
}

/// What woke a station.
pub enum Event {
    /// An advertisement, or what was taken for one.
    Heard(Heard),
    /// Somebody says to have one of the addresses.
    Claimed(Claim),
    /// The kernel does not renew an address.
    Refused(io::Error),
    /// A socket is of no use any more.
    Broken,
}

/// A message, read or not.
pub enum Heard {
    /// It is one.
    Message(Received),
    /// It is none, from there.
    Malformed(IpAddr, String),
}

impl Station {
    /// A router that waits for its start.
    ///
    /// # Errors
    /// For parameters that cannot be.
    pub fn new(config: &Config, node: &Node, settings: &Settings) -> Result<Self, String> {
        let named_source = settings.sends_from(node);
        let ipv4 = settings.addresses.first().is_some_and(|first| first.ip.is_ipv4());
        let unknown = if ipv4 {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let source = named_source.unwrap_or(unknown);
        let parameters = config::parameters(config, settings, node, source)?;
        let longest = active_down_interval(parameters.version, Priority::LAST, parameters.interval);
        let virtual_mac = settings
            .virtual_mac
            .then(|| VirtualMac::new(if ipv4 { Family::V4 } else { Family::V6 }, parameters.vrid))
            .transpose()
            .map_err(|error| format!("virtual router {}: {error}", settings.name))?;
        let others = config.nodes.iter().filter(|other| other.name != node.name);
        Ok(Self {
            name: settings.name.clone(),
            interface: settings.interface.clone().unwrap_or(node.interface.clone()),
            prefixes: settings.addresses.clone(),
            named_source,
            peers: others
                .filter_map(|other| Some((other.name.clone(), settings.sends_from(other)?)))
                .collect(),
            // Whoever took over in the meantime has announced itself by then.
            lease: Lease::new(Lifetime::at_least(longest + Duration::from_secs(1))),
            router: VirtualRouter::new(parameters),
            wire: None,
            virtual_mac,
            announcing: Announcing::new(&settings.announce),
            arp: match settings.announce.arp {
                Arp::Request => &[ArpOperation::Request],
                Arp::Reply => &[ArpOperation::Reply],
                Arp::Both => &[ArpOperation::Request, ArpOperation::Reply],
            },
            sync: settings.sync.clone(),
            own: Conditions::default(),
            lowered_by: Vec::new(),
            counters: BTreeMap::new(),
            news: News::default(),
            since: SystemTime::now(),
            why: "not started".into(),
            asserted: Instant::now(),
            leaves: false,
        })
    }

    /// Its name in the document.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is the document's router of that name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name && !self.leaves
    }

    /// The document has it no more.
    pub fn leaves(&self) -> bool {
        self.leaves
    }

    /// Hand over and end: the document has it no more.
    pub async fn leave(&mut self, netlink: &Netlink, on_turn: &OnTurn) {
        self.leaves = true;
        self.take(netlink, on_turn, Input::Shutdown).await;
    }

    /// It leaves, and nothing of it is left but an interface that may be about to go.
    pub fn has_left(&self) -> bool {
        self.leaves && self.stopped()
    }

    /// Its interface, to be waited for.
    pub fn into_virtual_mac(self) -> Option<VirtualMac> {
        self.virtual_mac
    }

    /// What another document wants of the same router, with whatever that takes.
    ///
    /// # Errors
    /// When the kernel refuses a socket.
    pub async fn revision(
        &self,
        netlink: &Netlink,
        config: &Config,
        node: &Node,
        settings: &Settings,
    ) -> Result<Revision, String> {
        let plan = Box::new(Self::new(config, node, settings)?);
        let cannot = |error: io::Error| format!("virtual router {}: {error}", self.name);
        let witness = |wire: &Wire| {
            let addresses = &plan.router.parameters().addresses;
            AddressWitness::open(&self.interface, wire.index, addresses)
        };
        let witness = self.wire.as_ref().map(witness).transpose().map_err(cannot)?;
        let link = netlink.link(&self.interface).await.map_err(cannot)?;
        let is_new = |prefix: &&IpPrefix| !self.prefixes.contains(prefix);
        let new: Vec<IpPrefix> = plan.prefixes.iter().filter(is_new).copied().collect();
        let known = self.wire.iter().flat_map(|wire| &wire.foreign);
        let known = known.filter(|ip| plan.prefixes.iter().any(|prefix| prefix.ip == **ip));
        let foreign = link.map_or_else(Vec::new, |link| foreign(&link, &new));
        Ok(Revision {
            foreign: foreign.into_iter().chain(known.copied()).collect(),
            announce: settings.announce.clone(),
            witness,
            plan,
        })
    }

    /// Go on by another document.
    pub async fn revise(&mut self, netlink: &Netlink, on_turn: &OnTurn, revision: Revision) {
        let Revision {
            plan,
            announce,
            witness,
            foreign,
        } = revision;
        let now = Instant::now();
        let parameters = Parameters {
            // As the interface has it.
            source: self.router.parameters().source,
            ..plan.router.parameters().clone()
        };
        let outputs = self
            .router
            .handle(now, Input::ParametersChanged(Box::new(parameters)));
        // First of all what goes, while it is known how it was added.
        for output in &outputs {
            if let Output::DropAddresses(gone) = output {
                self.drop_addresses(netlink, on_turn, gone).await;
            }
        }
        self.prefixes = plan.prefixes;
        self.peers = plan.peers;
        self.sync = plan.sync;
        self.arp = plan.arp;
        self.announcing.change(now, &announce);
        self.lease.change(now, plan.lease.lifetime());
        if let (Some(wire), Some(witness)) = (&mut self.wire, witness) {
            wire.witness = witness;
            wire.foreign = foreign;
        }
        self.carry_out_all(netlink, on_turn, outputs).await;
    }

    /// Look at the interface, open the sockets that are missing, and tell the
    /// core what is new.
    ///
    /// # Errors
    /// When the kernel refuses a socket.
    pub async fn look(&mut self, netlink: &Netlink, on_turn: &OnTurn) -> Result<(), String> {
        let link = netlink
            .link(&self.interface)
            .await
            .map_err(|error| error.to_string())?;
        let input = match self.stand_on(link.as_ref()) {
            Ok(()) => Input::InterfaceUp,
            Err(Unusable::Fault(fault)) => Input::InterfaceDown(fault),
            Err(Unusable::Refused(why)) => {
                self.take(netlink, on_turn, Input::InterfaceDown(Fault::NoInterface))
                    .await;
                return Err(why);
            }
        };
        self.take(netlink, on_turn, input).await;
        Ok(())
    }

    fn stand_on(&mut self, link: Option<&Link>) -> Result<(), Unusable> {
        let Some(link) = link else {
            self.wire = None;
            return Err(Unusable::Fault(Fault::NoInterface));
        };
        let state = &link.state;
        if self.wire.as_ref().is_none_or(|wire| wire.index != state.index) {
            let wire = self.open(link).map_err(|error| {
                Unusable::Refused(format!(
                    "virtual router {}: cannot open its sockets on {}: {error}",
                    self.name, self.interface
                ))
            })?;
            self.wire = Some(wire);
            self.warn_of_settings();
        }
        if let Some(wire) = &mut self.wire {
            wire.mac = state.mac;
            // While we hold them they look foreign on a kernel that forgets the mark.
            if self.router.state() != State::Active {
                wire.foreign = foreign(link, &self.prefixes);
                self.warn_of_foreign(link);
            }
        }
        if !state.up {
            return Err(Unusable::Fault(Fault::Down));
        }
        if !state.carrier {
            return Err(Unusable::Fault(Fault::NoCarrier));
        }
        let source = self.source(link).ok_or(Unusable::Fault(Fault::NoSource))?;
        if source != self.router.parameters().source {
            self.router.handle(Instant::now(), Input::SourceChanged(source));
        }
        Ok(())
    }

    fn open(&self, link: &Link) -> io::Result<Wire> {
        let parameters = self.router.parameters();
        let index = link.state.index;
        let family = if parameters.source.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let mode = if parameters.unicast {
            Mode::Unicast
        } else {
            Mode::Multicast
        };
        Ok(Wire {
            index,
            mac: link.state.mac,
            foreign: Vec::new(),
            socket: AdvertisementSocket::open(&self.interface, index, family, mode)?,
            announcer: Announcer::open(index)?,
            witness: AddressWitness::open(&self.interface, index, &parameters.addresses)?,
        })
    }

    /// The address to send from: the document's, if the interface has it.
    fn source(&self, link: &Link) -> Option<IpAddr> {
        let has = |ip: &IpAddr| link.addresses.iter().any(|address| address.prefix.ip == *ip);
        match self.named_source {
            Some(named) => Some(named).filter(has),
            None if self.router.parameters().source.is_ipv4() => link.primary.map(IpAddr::V4),
            None => link.link_local.map(IpAddr::V6),
        }
    }

    /// Wait for something on the wire, or a renewal that fails; never ends
    /// without one. Safe to cancel.
    pub async fn event(&mut self) -> Event {
        let Some(wire) = &self.wire else {
            return std::future::pending().await;
        };
        let mut buffer = [0; LARGEST];
        tokio::select! {
            biased;
            received = wire.socket.receive(&mut buffer) => match received {
                Ok(packet) => Event::Heard(read(packet)),
                Err(_) => Event::Broken,
            },
            claim = wire.witness.next() => claim.map_or(Event::Broken, Event::Claimed),
            error = self.lease.refused() => Event::Refused(error),
        }
    }

    /// What waits on the socket, until nothing is left.
    pub fn waiting(&self) -> Option<Heard> {
        let mut buffer = [0; LARGEST];
        let received = self.wire.as_ref()?.socket.try_receive(&mut buffer);
        received.ok().flatten().map(read)
    }

    /// Take what happened.
    pub async fn happened(&mut self, netlink: &Netlink, on_turn: &OnTurn, event: Event) {
        match event {
            Event::Heard(Heard::Message(received)) => {
                *self.counters.entry("received").or_default() += 1;
                self.take(netlink, on_turn, Input::Advertisement(received)).await;
            }
            Event::Heard(Heard::Malformed(source, why)) => {
                self.count("malformed");
                if self.news.is_news(format!("malformed {source}")) {
                    tracing::warn!(virtual_router = self.name, %source, why, "an advertisement cannot be read");
                }
            }
            Event::Claimed(claim) => self.claimed(&claim),
            Event::Refused(error) => {
                self.cannot_be_had(&error);
                self.take(netlink, on_turn, Input::AddressRefused).await;
            }
            // Looking at the interface opens them again.
            Event::Broken => self.wire = None,
        }
    }

    /// Somebody else than us, or than the Active that is meant to have it, says
    /// to have a virtual address.
    fn claimed(&mut self, claim: &Claim) {
        let ours = [
            self.wire.as_ref().and_then(|wire| wire.mac),
            // Of the former Active one too, for as long as it hands over.
            self.virtual_mac.as_ref().map(VirtualMac::mac),
        ];
        if self.router.state() != State::Active
            || self.router.hands_over()
            || ours.contains(&Some(claim.mac))
            || self.asserted.elapsed() < CONTEST
        {
            return;
        }
        self.asserted = Instant::now();
        self.count("address-claimed-by-another");
        if self.news.is_news(format!("claim {} {:?}", claim.ip, claim.mac)) {
            let mac = claim.mac.map(|byte| format!("{byte:02x}")).join(":");
            tracing::error!(
                virtual_router = self.name,
                address = %claim.ip,
                mac,
                "somebody else on the link says to have a virtual address that is ours"
            );
        }
        self.announcing.begin(Instant::now());
    }

    /// Hand an input to the core and carry out what it wants, in order.
    pub async fn take(&mut self, netlink: &Netlink, on_turn: &OnTurn, input: Input) {
        let outputs = self.router.handle(Instant::now(), input);
        self.carry_out_all(netlink, on_turn, outputs).await;
    }

    async fn carry_out_all(&mut self, netlink: &Netlink, on_turn: &OnTurn, mut outputs: Vec<Output>) {
        while !outputs.is_empty() {
            let mut refused = false;
            for output in outputs {
                refused |= !self.carry_out(netlink, on_turn, output).await;
            }
            outputs = if refused {
                self.router.handle(Instant::now(), Input::AddressRefused)
            } else {
                Vec::new()
            };
        }
    }

    /// False when the kernel did not take an address.
    async fn carry_out(&mut self, netlink: &Netlink, on_turn: &OnTurn, output: Output) -> bool {
        match output {
            Output::Send(advertisement, form) => self.send(&advertisement, form),
            Output::AddAddresses => {
                on_turn(Turn::Come, &self.addresses());
                return self.add_addresses(netlink).await;
            }
            Output::RemoveAddresses => self.remove_addresses(netlink, on_turn).await,
            // Done by then, see `revise`: it is not known any more how they were added.
            Output::DropAddresses(_) => {}
            Output::Announce => {
                // In its turn, not when the timer comes: that is coarse, and the
                // one that was Active before may lose the addresses meanwhile.
                let now = Instant::now();
                self.announcing.begin(now);
                if self.announcing.take_due(now) {
                    self.announce();
                }
            }
            Output::Changed { from, to, why } => self.changed(from, to, why),
            Output::Ignored(source, reason) => self.ignored(source, reason),
            Output::Noticed(notice) => self.noticed(&notice),
        }
        true
    }

    fn send(&mut self, advertisement: &Advertisement, form: ChecksumForm) {
        let Some(wire) = &self.wire else { return };
        // RFC 9568 §7.2: with the virtual MAC as source.
        let socket = self.virtual_link().map_or(&wire.socket, |link| &link.socket);
        let parameters = self.router.parameters();
        let source = parameters.source;
        let destinations = if parameters.unicast {
            self.peers.iter().map(|(_, address)| *address).collect()
        } else if source.is_ipv4() {
            vec![GROUP_V4.into()]
        } else {
            vec![GROUP_V6.into()]
        };
        let mut failure = None;
        for destination in destinations {
            let carrier = Carrier { source, destination };
            let message = advertisement.encode(carrier, form);
            if let Err(error) = socket.send(source, destination, &message) {
                failure = Some((destination, error));
            }
        }
        self.count("sent");
        if let Some((destination, error)) = failure {
            self.count("send-failed");
            if self.news.is_news(format!("send {destination}")) {
                tracing::warn!(virtual_router = self.name, %destination, %error, "cannot send an advertisement");
            }
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.prefixes.iter().map(|prefix| prefix.ip).collect()
    }

    async fn add_addresses(&mut self, netlink: &Netlink) -> bool {
        self.lease.begin(Instant::now());
        let added = self.try_add_addresses(netlink).await;
        if let Err(error) = &added {
            self.cannot_be_had(error);
        }
        added.is_ok()
    }

    async fn try_add_addresses(&mut self, netlink: &Netlink) -> io::Result<()> {
        let Some(wire) = &self.wire else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let index = match &mut self.virtual_mac {
            Some(virtual_mac) => virtual_mac.make(netlink, wire.index).await?,
            None => wire.index,
        };
        for prefix in self.prefixes_of_ours() {
            netlink.add_address(index, *prefix, self.lease.lifetime()).await?;
        }
        Ok(())
    }

    fn renew_addresses(&mut self, netlink: &Netlink) {
        let Some(index) = self.holder() else { return };
        let ours = self.prefixes_of_ours().copied().collect();
        self.lease.renew(Instant::now(), netlink, index, ours);
    }

    fn cannot_be_had(&self, error: &io::Error) {
        tracing::error!(virtual_router = self.name, %error, "a virtual address cannot be had");
    }

    async fn remove_addresses(&mut self, netlink: &Netlink, on_turn: &OnTurn) {
        self.lease.end();
        self.announcing.end();
        // A reset can only be sent from an address that is still here.
        on_turn(Turn::Go, &self.addresses());
        for prefix in self.prefixes_of_ours() {
            let Some(index) = self.holder() else { break };
            if let Err(error) = netlink.remove_address(index, *prefix).await {
                tracing::error!(virtual_router = self.name, %error, "a virtual address stays for a moment");
            }
        }
        if let Some(virtual_mac) = &mut self.virtual_mac {
            virtual_mac.remove();
        }
    }

    /// Remove some of them; the others stay.
    async fn drop_addresses(&mut self, netlink: &Netlink, on_turn: &OnTurn, gone: &[IpAddr]) {
        // A renewal that is under way would bring them back.
        self.lease.interrupt();
        // A reset can only be sent from an address that is still here.
        on_turn(Turn::Go, gone);
        let Some(index) = self.holder() else { return };
        let ours: Vec<IpPrefix> = self.prefixes_of_ours().copied().collect();
        for prefix in ours.into_iter().filter(|prefix| gone.contains(&prefix.ip)) {
            if let Err(error) = netlink.remove_address(index, prefix).await {
                tracing::error!(virtual_router = self.name, %error, "a virtual address stays for a moment");
            }
        }
    }

    /// Those that are ours to add and remove.
    fn prefixes_of_ours(&self) -> impl Iterator<Item = &IpPrefix> {
        let foreign = self.wire.as_ref().map_or(&[][..], |wire| &wire.foreign);
        self.prefixes
            .iter()
            .filter(|prefix| !foreign.contains(&prefix.ip))
    }

    /// The interface with the virtual MAC, while there is one.
    fn virtual_link(&self) -> Option<&VirtualLink> {
        self.virtual_mac.as_ref()?.link()
    }

    /// The index of the interface that has the addresses while it is Active.
    fn holder(&self) -> Option<u32> {
        match &self.virtual_mac {
            Some(virtual_mac) => virtual_mac.link().map(|link| link.index),
            None => self.wire.as_ref().map(|wire| wire.index),
        }
    }

    fn warn_of_settings(&mut self) {
        if let Some(virtual_mac) = &mut self.virtual_mac {
            virtual_mac.warn_of_settings(&self.name, &self.interface);
        }
    }

    /// Such an address answers whatever the election says. The owner's is its
    /// own (RFC 9568 §1.7); one with a lifetime goes by itself.
    fn warn_of_foreign(&mut self, link: &Link) {
        if self.router.parameters().priority == Priority::OWNER {
            return;
        }
        let ours = self.addresses();
        let stays = link
            .addresses
            .iter()
            .filter(|address| ours.contains(&address.prefix.ip) && address.permanent && !address.ours);
        for Address { prefix, .. } in stays {
            if self.news.is_news(format!("foreign {prefix}")) {
                tracing::error!(
                    virtual_router = self.name,
                    address = %prefix,
                    "a virtual address is on this machine already, whoever is active, as one that a killed \
                     keepalived has left; it is not ours to remove: `ip address del {prefix} dev {}`",
                    self.interface
                );
            }
        }
    }

    fn changed(&mut self, from: State, to: State, why: Why) {
        self.asserted = Instant::now();
        self.since = SystemTime::now();
        self.why = why.to_string();
        self.count(match to {
            State::Active => "became-active",
            State::Backup => "became-backup",
            State::Fault(_) => "faults",
            State::Initialize => "stops",
        });
        let (router, from, to) = (&self.name, from.word(), to.word());
        let (why, priority) = (&self.why, self.router.priority().get());
        tracing::info!(virtual_router = router, from, priority, why, "{to}");
        if self.router.state() == State::Active {
            self.warn_of_settings();
        }
    }

    fn ignored(&mut self, source: IpAddr, reason: Reason) {
        self.count(reason.word());
        let Some(says) = sentences::ignored(reason, self.router.parameters()) else {
            return;
        };
        if self.news.is_news(format!("{} {source}", reason.word())) {
            tracing::warn!(virtual_router = self.name, %source, "a router is not heard: it {says}");
        }
    }

    fn noticed(&mut self, notice: &Notice) {
        let (word, who, says) = sentences::noticed(notice);
        if let Some(word) = word {
            self.count(word);
        }
        if who.is_none_or(|who| self.news.is_news(format!("{word:?} {who}"))) {
            tracing::warn!(virtual_router = self.name, "{says}");
        }
    }

    /// When something is to be done here by itself.
    pub fn deadline(&self) -> Option<Instant> {
        [self.router.deadline(), self.lease.due(), self.announcing.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Do what is due.
    pub async fn due(&mut self, netlink: &Netlink, on_turn: &OnTurn) {
        let now = Instant::now();
        if self.router.deadline().is_some_and(|deadline| deadline <= now) {
            self.take(netlink, on_turn, Input::TimerDue).await;
        }
        if self.lease.due().is_some_and(|due| due <= now) {
            self.renew_addresses(netlink);
        }
        if self.announcing.take_due(now) {
            self.announce();
        }
    }

    fn announce(&mut self) {
        let Some(wire) = &self.wire else { return };
        // Without Ethernet nobody has to learn anything.
        let Some(mac) = wire.mac else { return };
        let (mac, interface) = match (&self.virtual_mac, self.virtual_link()) {
            (Some(virtual_mac), Some(link)) => (virtual_mac.mac(), &link.name),
            _ => (mac, &self.interface),
        };
        let router = forwards(interface);
        let mut failed = false;
        for prefix in &self.prefixes {
            let frames = match prefix.ip {
                IpAddr::V4(ip) => self
                    .arp
                    .iter()
                    .map(|kind| gratuitous_arp(mac, ip, *kind))
                    .collect(),
                IpAddr::V6(ip) => vec![unsolicited_advertisement(mac, ip, router)],
            };
            for frame in frames {
                failed |= wire.announcer.send(&frame).is_err();
            }
        }
        self.count(if failed { "announce-failed" } else { "announced" });
    }

    /// What its tracked conditions come to now.
    pub fn set_conditions(&mut self, own: Conditions) {
        self.own = own;
    }

    /// What makes its whole group less fit.
    pub fn conditions(&self) -> Conditions {
        let mut all = self.own.clone();
        if let State::Fault(fault) = self.router.state() {
            all.fitness.stands_back = true;
            all.words.push(format!("virtual router {}: {fault}", self.name));
        }
        all
    }

    /// The group whose routers stand back together.
    pub fn sync(&self) -> Option<&str> {
        self.sync.as_deref()
    }

    /// Take what its own conditions and those of its group come to.
    pub async fn be_fit(&mut self, netlink: &Netlink, on_turn: &OnTurn, group: &Conditions) {
        let Conditions { fitness, words } = if self.sync.is_some() { group } else { &self.own }.clone();
        if words == self.lowered_by {
            return;
        }
        let before = self.router.priority().get();
        self.lowered_by = words;
        self.take(netlink, on_turn, Input::FitnessChanged(fitness)).await;
        let why = match self.lowered_by.is_empty() {
            true => "all is well".into(),
            false => self.lowered_by.join(", "),
        };
        let (router, to) = (&self.name, self.router.priority().get());
        tracing::info!(virtual_router = router, from = before, to, why, "priority");
    }

    /// The interface that it is on has this index, or none.
    pub fn is_on(&self, index: u32) -> bool {
        self.wire.as_ref().is_none_or(|wire| wire.index == index)
    }

    /// The interface that has its addresses has this index.
    pub fn has_addresses_on(&self, index: u32) -> bool {
        self.holder() == Some(index)
    }

    /// The interface with its virtual MAC has this index.
    pub fn owns(&self, index: u32) -> bool {
        self.virtual_link().is_some_and(|link| link.index == index)
    }

    /// Something about the interface that has its addresses has changed.
    pub async fn see_to_addresses(&mut self, netlink: &Netlink, on_turn: &OnTurn) {
        if self.router.state() != State::Active {
            return;
        }
        let name = self.virtual_link().map_or(&self.interface, |link| &link.name);
        let link = netlink.link(name).await.ok().flatten();
        // We may have removed one ourselves, and added it again since.
        let link = link.filter(|link| link.state.up && self.has_addresses_on(link.state.index));
        let is_missing = |prefix: &&IpPrefix| {
            let mut there = link.iter().flat_map(|link| &link.addresses);
            !there.any(|address| address.prefix.ip == prefix.ip)
        };
        let missing = self.prefixes_of_ours().find(is_missing).map(|prefix| prefix.ip);
        if let Some(ip) = missing {
            self.take(netlink, on_turn, Input::AddressGone(ip)).await;
        }
    }

    /// Nothing is left to be done after a shutdown.
    pub fn stopped(&self) -> bool {
        self.router.stopped()
    }

    /// It waits for its successor.
    pub fn hands_over(&self) -> bool {
        self.router.hands_over()
    }

    /// What operators are shown.
    pub fn status(&self) -> RouterStatus {
        let parameters = self.router.parameters();
        let (now, wall) = (Instant::now(), SystemTime::now());
        let peer = |heard: crate::pure::vrrp::Heard| PeerStatus {
            address: heard.source,
            node: self
                .peers
                .iter()
                .find(|(_, address)| *address == heard.source)
                .map(|(name, _)| name.clone()),
            priority: heard.priority.map_or(0, Priority::get),
            heard: seconds(wall - now.duration_since(heard.at)),
        };
        RouterStatus {
            name: self.name.clone(),
            vrid: parameters.vrid.get(),
            version: parameters.version.get(),
            interface: self.interface.clone(),
            addresses: self.prefixes.iter().map(ToString::to_string).collect(),
            state: self.router.state().word().into(),
            since: seconds(self.since),
            why: self.why.clone(),
            handing_over: self.router.hands_over(),
            priority: self.router.priority().get(),
            configured_priority: parameters.priority.get(),
            lowered_by: self.lowered_by.clone(),
            yields_until: self
                .router
                .yields_until()
                .map(|until| seconds(wall + until.saturating_duration_since(now))),
            peers: self.router.heard().map(peer).collect(),
            counters: self
                .counters
                .iter()
                .map(|(word, count)| ((*word).to_string(), *count))
                .collect(),
        }
    }

    fn count(&mut self, word: &'static str) {
        *self.counters.entry(word).or_default() += 1;
    }
}

/// Why an interface cannot be stood on.
enum Unusable {
    Fault(Fault),
    Refused(String),
}

fn foreign(link: &Link, prefixes: &[IpPrefix]) -> Vec<IpAddr> {
    let theirs = |prefix: &&IpPrefix| {
        link.addresses
            .iter()
            .any(|address| address.prefix.ip == prefix.ip && !address.ours)
    };
    prefixes.iter().filter(theirs).map(|prefix| prefix.ip).collect()
}

fn read(packet: crate::shell::vrrp::Received<'_>) -> Heard {
    let carrier = Carrier {
        source: packet.source,
        destination: packet.destination,
    };
    match Advertisement::decode(packet.message, carrier) {
        Ok(decoded) => Heard::Message(Received {
            source: packet.source,
            hop_limit: packet.ttl.unwrap_or(0),
            unicast: !packet.destination.is_multicast(),
            advertisement: decoded.advertisement,
            form: decoded.form,
        }),
        Err(malformed) => Heard::Malformed(packet.source, malformed.to_string()),
    }
}
