//! The loop of the virtual routers' thread.
//!
//! ```text
//!  empty the sockets ─► timers that are due ─► wait for whatever comes first
//!        ▲                                            │
//!        └────────────────────────────────────────────┘
//! ```
//!
//! Sockets come before timers: whoever was away hears what was said before it
//! believes that nobody spoke. While nothing is due, they are read as they wake us.

use std::future::pending;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::conditions::Conditions;
use super::station::{Event, Station};
use super::virtual_mac::VirtualMac;
use super::{Changed, Command, OnTurn, virtual_mac};
use crate::pure::config::{Change as DocumentChange, Config, Node, What};
use crate::pure::vrrp::Input;
use crate::shell::alarm::Alarm;
use crate::shell::capabilities::{Capability, how_to_grant, missing};
use crate::shell::netlink::{Change, LinkState, Monitor, Netlink};

/// When to look again at what could not be had.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Messages that one socket may have read in a row before others are looked at.
const TURN: usize = 64;

/// All virtual routers of this node.
pub struct Driver {
    netlink: Netlink,
    monitor: Monitor,
    alarm: Alarm,
    stations: Vec<Station>,
    on_turn: OnTurn,
    /// Who waits for a hand-over to be done.
    yielding: Vec<oneshot::Sender<()>>,
    /// When to look at all interfaces again, though nobody says that they changed.
    look_again: Option<Instant>,
    /// It takes part, and so do routers that come.
    takes_part: bool,
    ending: bool,
    /// Of routers that the document has no more, while they are being removed.
    leaving: Vec<VirtualMac>,
}

impl Driver {
    /// Sweep, and open the sockets of all interfaces that are there.
    pub async fn new(config: &Config, node: &Node, on_turn: OnTurn) -> Result<Self, String> {
        let wanted = [Capability::NetAdmin, Capability::NetRaw];
        let lacks = missing(&wanted);
        if !lacks.is_empty() {
            let names: Vec<_> = lacks.iter().map(|capability| capability.name()).collect();
            return Err(format!(
                "virtual routers want the capabilities NET_ADMIN and NET_RAW; this process lacks {}: {}",
                names.join(" and "),
                how_to_grant(&wanted)
            ));
        }
        let cannot = |error: std::io::Error| format!("virtual routers: {error}");
        // First the monitor: what changes while we look is told afterwards.
        let monitor = Monitor::subscribe().map_err(cannot)?;
        let netlink = Netlink::connect().map_err(cannot)?;
        let alarm = Alarm::new().map_err(cannot)?;
        sweep(&netlink).await.map_err(cannot)?;
        let stations = config.virtual_routers.iter();
        let mut driver = Self {
            netlink,
            monitor,
            alarm,
            stations: stations
                .map(|settings| Station::new(config, node, settings))
                .collect::<Result<_, _>>()?,
            on_turn,
            yielding: Vec::new(),
            look_again: None,
            takes_part: false,
            ending: false,
            leaving: Vec::new(),
        };
        for station in &mut driver.stations {
            station.look(&driver.netlink, &driver.on_turn).await?;
        }
        Ok(driver)
    }

    /// Drive them until a shutdown is over.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            if self.next_due().is_some_and(|due| due <= Instant::now()) {
                self.hear_what_waits().await;
                self.do_what_is_due().await;
            }
            self.be_fit().await;
            if !self.stations.iter().any(Station::hands_over) {
                for waiting in self.yielding.drain(..) {
                    // Whoever asked may have gone.
                    let _ = waiting.send(());
                }
            }
            if self.ending && self.stations.iter().all(Station::stopped) {
                for station in self.stations {
                    self.leaving.extend(station.into_virtual_mac());
                }
                for virtual_mac in &mut self.leaving {
                    virtual_mac.gone().await;
                }
                return;
            }
            self.forget_what_has_left();
            match self.wait(&mut commands).await {
                Woken::Due => {}
                Woken::Event(index, event) => {
                    if matches!(event, Event::Broken) {
                        self.look_again = Some(Instant::now());
                    }
                    self.stations[index]
                        .happened(&self.netlink, &self.on_turn, event)
                        .await;
                }
                Woken::Changed(Ok(change)) => self.changed(change).await,
                Woken::Changed(Err(error)) => self.is_deaf(&error).await,
                Woken::Command(command) => self.obey(command).await,
            }
        }
    }

    async fn hear_what_waits(&mut self) {
        for station in &mut self.stations {
            for _ in 0..TURN {
                let Some(heard) = station.waiting() else { break };
                station
                    .happened(&self.netlink, &self.on_turn, Event::Heard(heard))
                    .await;
            }
        }
    }

    async fn do_what_is_due(&mut self) {
        for station in &mut self.stations {
            station.due(&self.netlink, &self.on_turn).await;
        }
        if self.look_again.is_some_and(|then| then <= Instant::now()) {
            self.look_again = None;
            self.changed(Change::Overrun).await;
        }
    }

    /// Nobody tells any more what changes.
    async fn is_deaf(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "changes of interfaces are not told any more");
        match Monitor::subscribe() {
            Ok(monitor) => {
                self.monitor = monitor;
                self.changed(Change::Overrun).await;
            }
            // Until then the old one goes on saying so, which must not keep us busy.
            Err(_) => sleep(TRY_AGAIN).await,
        }
    }

    /// Let every router know what its conditions and its group's come to.
    async fn be_fit(&mut self) {
        for index in 0..self.stations.len() {
            let group = self.stations[index].sync().map(|name| {
                let mates = self.stations.iter().filter(|mate| mate.sync() == Some(name));
                mates
                    .map(Station::conditions)
                    .fold(Conditions::default(), Conditions::and)
            });
            self.stations[index]
                .be_fit(&self.netlink, &self.on_turn, &group.unwrap_or_default())
                .await;
        }
    }

    /// Routers that the document has no more, once nothing is left to be done.
    fn forget_what_has_left(&mut self) {
        if !self.stations.iter().any(Station::has_left) {
            return;
        }
        self.leaving.retain(|virtual_mac| !virtual_mac.has_gone());
        let (left, stay) = std::mem::take(&mut self.stations)
            .into_iter()
            .partition::<Vec<_>, _>(Station::has_left);
        self.stations = stay;
        self.leaving
            .extend(left.into_iter().filter_map(Station::into_virtual_mac));
    }

    fn next_due(&self) -> Option<Instant> {
        let stations = self.stations.iter().filter_map(Station::deadline);
        stations.chain(self.look_again).min()
    }

    async fn wait(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Woken {
        let next = self.next_due();
        let events: Vec<_> = self
            .stations
            .iter_mut()
            .map(|station| Box::pin(station.event()))
            .collect();
        let some = !events.is_empty();
        let first = async move {
            match some {
                true => select_all(events).await,
                false => pending().await,
            }
        };
        tokio::select! {
            biased;
            (event, index, _) = first => Woken::Event(index, event),
            rung = self.alarm.until(next) => {
                rung.expect("timerfd_settime(2) takes every duration");
                Woken::Due
            }
            change = self.monitor.next() => Woken::Changed(change),
            // Nobody is left to tell us anything: that is a shutdown, once.
            command = commands.recv(), if !(self.ending && commands.is_closed()) => {
                Woken::Command(command.unwrap_or(Command::Shutdown))
            }
        }
    }

    async fn changed(&mut self, change: Change) {
        for station in &mut self.stations {
            let concerned = match &change {
                Change::AddressGone { index, .. } if station.has_addresses_on(*index) => {
                    station.see_to_addresses(&self.netlink, &self.on_turn).await;
                    station.is_on(*index)
                }
                Change::LinkGone { index } | Change::LinkChanged(LinkState { index, .. })
                    if station.owns(*index) =>
                {
                    station.see_to_addresses(&self.netlink, &self.on_turn).await;
                    false
                }
                Change::LinkGone { index }
                | Change::AddressAdded { index, .. }
                | Change::AddressGone { index, .. } => station.is_on(*index),
                Change::LinkChanged(state) => station.is_on(state.index),
                Change::Overrun => true,
            };
            if concerned && let Err(why) = station.look(&self.netlink, &self.on_turn).await {
                tracing::error!("{why}");
                self.look_again = Some(Instant::now() + TRY_AGAIN);
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Startup => {
                self.takes_part = true;
                self.tell_all(&Input::Startup).await;
            }
            Command::Conditions(name, conditions) => {
                let mut stations = self.stations.iter_mut();
                if let Some(station) = stations.find(|station| station.is_called(&name)) {
                    station.set_conditions(conditions);
                }
            }
            Command::Change(changed, done) => {
                // Whoever asked may have gone.
                let _ = done.send(self.change(&changed).await);
            }
            Command::Yield(time, done) => {
                let input = if time.is_zero() {
                    Input::YieldEnds
                } else {
                    Input::Yield {
                        until: Instant::now() + time,
                    }
                };
                self.tell_all(&input).await;
                self.yielding.push(done);
            }
            Command::Status(asked) => {
                // Whoever asked may have gone.
                let stations = self.stations.iter().filter(|station| !station.leaves());
                let _ = asked.send(stations.map(Station::status).collect());
            }
            Command::Shutdown => {
                self.ending = true;
                self.tell_all(&Input::Shutdown).await;
            }
        }
    }

    /// Run by another document. What may fail comes first, so that all of it is
    /// done or nothing.
    async fn change(&mut self, changed: &Changed) -> Result<(), String> {
        let Changed {
            config,
            node,
            difference,
        } = changed;
        let (mut come, mut revised) = (Vec::new(), Vec::new());
        for settings in &config.virtual_routers {
            match difference.of(What::VirtualRouter, &settings.name) {
                None => {}
                Some(DocumentChange::Changed) => {
                    let mut stations = self.stations.iter();
                    let index = stations.position(|station| station.is_called(&settings.name));
                    let index = index.ok_or_else(|| format!("virtual router {} has ended", settings.name))?;
                    let revision = self.stations[index].revision(&self.netlink, config, node, settings);
                    revised.push((index, revision.await?));
                }
                Some(DocumentChange::Added | DocumentChange::Replaced | DocumentChange::Removed) => {
                    let mut station = Station::new(config, node, settings)?;
                    station.look(&self.netlink, &self.on_turn).await?;
                    come.push(station);
                }
            }
        }
        for (index, revision) in revised {
            self.stations[index]
                .revise(&self.netlink, &self.on_turn, revision)
                .await;
        }
        let goes = |station: &Station| {
            let change = difference.of(What::VirtualRouter, station.name());
            matches!(change, Some(DocumentChange::Removed | DocumentChange::Replaced))
        };
        for station in self.stations.iter_mut().filter(|station| goes(station)) {
            station.leave(&self.netlink, &self.on_turn).await;
        }
        for mut station in come {
            if self.takes_part && !self.ending {
                station.take(&self.netlink, &self.on_turn, Input::Startup).await;
            }
            self.stations.push(station);
        }
        // As operators read them; those that leave are not shown.
        let place = |station: &Station| {
            let mut routers = config.virtual_routers.iter();
            routers.position(|settings| settings.name == station.name())
        };
        self.stations.sort_by_key(place);
        Ok(())
    }

    async fn tell_all(&mut self, input: &Input) {
        for station in &mut self.stations {
            station.take(&self.netlink, &self.on_turn, input.clone()).await;
        }
    }
}

/// What ends a wait.
enum Woken {
    Due,
    Event(usize, Event),
    Changed(std::io::Result<Change>),
    Command(Command),
}

/// Remove the virtual addresses of a former life and the interfaces made for
/// them, before anybody is elected.
pub(super) async fn sweep(netlink: &Netlink) -> std::io::Result<()> {
    for (index, prefix) in netlink.marked_addresses().await? {
        netlink.remove_address(index, prefix).await?;
        tracing::info!(address = %prefix, "removed a virtual address that a former life left");
    }
    virtual_mac::sweep(netlink).await
}
