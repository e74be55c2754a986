//! The state machine of a virtual router, input by input (RFC 9568 §6.4).

#[path = "support/routers.rs"]
mod routers;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use catamaran::pure::vrrp::*;
use routers::{address, centiseconds, priority, routers};

const SECOND: Duration = Duration::from_secs(1);

/// A router in a state, and the time.
struct Play {
    router: VirtualRouter,
    now: Instant,
}

impl Play {
    /// Router 1, of priority 100, beside router 0 of priority 200 and router 2 of 50.
    fn new(change: impl FnOnce(&mut Parameters)) -> Self {
        let mut parameters = routers(&[200, 100, 50], Version::V3, Centiseconds::SECOND).remove(1);
        change(&mut parameters);
        Self {
            router: VirtualRouter::new(parameters),
            now: Instant::now(),
        }
    }

    fn backup(change: impl FnOnce(&mut Parameters)) -> Self {
        let mut play = Self::new(change);
        play.take(Input::Startup);
        assert_eq!(play.router.state(), State::Backup);
        play
    }

    fn active(change: impl FnOnce(&mut Parameters)) -> Self {
        let mut play = Self::backup(change);
        play.due();
        assert_eq!(play.router.state(), State::Active);
        play
    }

    fn take(&mut self, input: Input) -> Vec<Output> {
        self.router.handle(self.now, input)
    }

    fn after(&mut self, time: Duration, input: Input) -> Vec<Output> {
        self.now += time;
        self.take(input)
    }

    /// Wait for the deadline.
    fn due(&mut self) -> Vec<Output> {
        self.now = self.router.deadline().expect("something is due");
        self.take(Input::TimerDue)
    }

    fn wait(&self) -> Duration {
        self.router.deadline().expect("something is due") - self.now
    }

    /// What it sends with this priority, 0 for leaving.
    fn sends(&self, value: u8) -> Output {
        let parameters = self.router.parameters();
        let advertisement = Advertisement {
            version: parameters.version,
            vrid: parameters.vrid,
            priority: Priority::new(value),
            interval: parameters.interval,
            authentication: parameters.authentication,
            addresses: parameters.addresses.clone(),
        };
        Output::Send(advertisement, ChecksumForm::default())
    }
}

/// What a router of the document says.
fn from(index: usize, value: u8) -> Received {
    let parameters = &routers(&[200, 100, 50], Version::V3, Centiseconds::SECOND)[index];
    Received {
        source: parameters.source,
        hop_limit: 255,
        unicast: false,
        advertisement: Advertisement {
            version: parameters.version,
            vrid: parameters.vrid,
            priority: Priority::new(value),
            interval: parameters.interval,
            authentication: parameters.authentication,
            addresses: parameters.addresses.clone(),
        },
        form: None,
    }
}

fn hears(received: Received) -> Input {
    Input::Advertisement(received)
}

fn changed(from: State, to: State, why: Why) -> Output {
    Output::Changed { from, to, why }
}

fn as_it_is(_: &mut Parameters) {}

// RFC 9568 §6.4.1
#[test]
fn owner_is_active_from_its_start() {
    let mut play = Play::new(|parameters| parameters.priority = Priority::OWNER);
    let sends = play.sends(255);
    assert_eq!(
        play.take(Input::Startup),
        [
            Output::AddAddresses,
            sends,
            Output::Announce,
            changed(State::Initialize, State::Active, Why::Owner)
        ]
    );
    assert_eq!(play.wait(), SECOND);
}

// RFC 9568 §6.4.1; VRRP of others waits Skew_Time beyond three intervals, we by rank.
#[test]
fn started_router_listens_for_three_intervals_and_its_rank() {
    let play = Play::backup(as_it_is);
    assert_eq!(play.wait(), Duration::from_micros(3_031_250 + 50_000));
    let by_the_book = Play::backup(|parameters| parameters.takeover = Takeover::Rfc);
    assert_eq!(by_the_book.wait(), Duration::from_nanos(3_609_375_000));
}

// Known fault of others: a packet in Initialize reaches a branch "unreachable".
#[test]
fn message_before_the_start_is_ignored() {
    let mut play = Play::new(as_it_is);
    assert_eq!(
        play.take(hears(from(0, 200))),
        [Output::Ignored(address(0), Reason::NotTakingPart)]
    );
    assert_eq!(play.router.deadline(), None);
}

// RFC 9568 §6.4.2
#[test]
fn backup_takes_over_with_the_addresses_first_and_the_message_second() {
    let mut play = Play::backup(as_it_is);
    let silence = play.wait();
    let sends = play.sends(100);
    assert_eq!(
        play.due(),
        [
            Output::AddAddresses,
            sends,
            Output::Announce,
            changed(State::Backup, State::Active, Why::Silence(silence))
        ]
    );
}

#[test]
fn timer_that_fires_early_does_nothing() {
    let mut play = Play::backup(as_it_is);
    assert_eq!(play.after(SECOND, Input::TimerDue), []);
    let mut play = Play::active(as_it_is);
    assert_eq!(play.after(SECOND / 2, Input::TimerDue), []);
}

#[test]
fn backup_follows_a_higher_and_an_equal_priority() {
    for value in [100, 101, 200, 255] {
        let mut play = Play::backup(as_it_is);
        assert_eq!(play.after(SECOND * 2, hears(from(0, value))), [], "{value}");
        assert!(play.wait() > SECOND * 3, "{value}");
    }
}

// RFC 9568 §6.4.2: "Active_Down_Timer = Skew_Time"; the first in rank need not wait.
#[test]
fn backup_that_is_first_takes_over_at_once_when_the_active_leaves() {
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(0, 200)));
    assert_eq!(play.take(hears(from(0, 0))), []);
    assert_eq!(play.wait(), Duration::ZERO);
    let outputs = play.due();
    assert_eq!(
        outputs.last(),
        Some(&changed(
            State::Backup,
            State::Active,
            Why::ActiveLeft(address(0))
        ))
    );
}

#[test]
fn backup_that_heard_a_stranger_waits_skew_time() {
    let mut play = Play::backup(as_it_is);
    let mut stranger = from(0, 200);
    stranger.source = IpAddr::from([10, 0, 0, 77]);
    play.take(hears(stranger.clone()));
    assert_eq!(play.wait(), Duration::from_nanos(3_609_375_000));
    stranger.advertisement.priority = None;
    play.take(hears(stranger));
    assert_eq!(play.wait(), Duration::from_nanos(609_375_000));
}

#[test]
fn farewell_of_somebody_else_than_the_active_changes_nothing() {
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(0, 200)));
    let wait = play.wait();
    assert_eq!(
        play.take(hears(from(2, 0))),
        [Output::Ignored(address(2), Reason::NotTheActive)]
    );
    assert_eq!(play.wait(), wait);
}

// RFC 9568 §6.4.2: a lower priority does not stop the timer of a router that preempts.
#[test]
fn backup_by_the_book_lets_its_timer_run_on_when_it_hears_a_lower_priority() {
    let mut play = Play::backup(|parameters| parameters.takeover = Takeover::Rfc);
    let before = play.wait();
    play.after(SECOND, hears(from(2, 50)));
    assert_eq!(play.wait(), before - SECOND);
}

#[test]
fn backup_by_rank_preempts_at_once() {
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(2, 50)));
    // Router 0 may be there and comes first.
    assert_eq!(play.wait(), Duration::from_millis(50));
    let outputs = play.due();
    assert_eq!(
        outputs.last(),
        Some(&changed(
            State::Backup,
            State::Active,
            Why::Preempted(address(2), Some(priority(50)))
        ))
    );
}

// RFC 9568 §6.4.3
#[test]
fn active_gives_way_to_a_higher_priority_and_to_an_equal_one_of_a_higher_address() {
    for (index, value) in [(0, 101), (2, 100)] {
        let mut play = Play::active(as_it_is);
        let heard = from(index, value);
        let (source, theirs) = (heard.source, heard.advertisement.priority);
        assert_eq!(
            play.take(hears(heard)),
            [
                Output::RemoveAddresses,
                changed(State::Active, State::Backup, Why::Outranked(source, theirs))
            ]
        );
    }
}

// RFC 9568 §6.4.3; known fault of others: both stay Active without a word when
// one does not hear the other.
#[test]
fn active_asserts_itself_against_a_lower_priority_and_says_so() {
    let mut play = Play::active(as_it_is);
    play.now += SECOND / 2;
    let sends = play.sends(100);
    let two = Output::Noticed(Notice::TwoActive(address(2)));
    assert_eq!(play.take(hears(from(2, 50))), std::slice::from_ref(&sends));
    assert_eq!(play.wait(), SECOND);
    // Announced at the takeover, half a second ago; again after a whole one.
    play.now += SECOND / 2;
    assert_eq!(play.take(hears(from(2, 50))), [sends, Output::Announce, two]);
}

#[test]
fn active_answers_a_farewell_with_its_message() {
    let mut play = Play::active(as_it_is);
    let sends = play.sends(100);
    assert_eq!(play.take(hears(from(0, 0))), [sends]);
}

#[test]
fn active_advertises_from_deadline_to_deadline() {
    let mut play = Play::active(as_it_is);
    let first = play.router.deadline().unwrap();
    play.now = first + SECOND / 4;
    let sends = play.sends(100);
    assert_eq!(play.take(Input::TimerDue), std::slice::from_ref(&sends));
    assert_eq!(play.router.deadline(), Some(first + SECOND));
    // Late by more than one: the lost ones are not made up for.
    play.now = first + SECOND * 3;
    assert_eq!(play.take(Input::TimerDue), [sends]);
    assert_eq!(play.wait(), SECOND);
}

// Known fault of others: the message is built once, and changes are never sent.
#[test]
fn active_says_at_once_that_its_priority_changed() {
    let mut play = Play::active(as_it_is);
    let fitness = Fitness {
        weight: -30,
        stands_back: false,
    };
    let sends = play.sends(70);
    assert_eq!(
        play.take(Input::FitnessChanged(fitness)),
        std::slice::from_ref(&sends)
    );
    assert_eq!(play.take(Input::FitnessChanged(fitness)), []);
    assert_eq!(play.due(), [sends]);
}

// RFC 9568 §6.4.3: Shutdown; the addresses stay until the successor is heard.
#[test]
fn active_that_stops_answers_until_its_successor_is_heard() {
    let mut play = Play::active(as_it_is);
    let sends = play.sends(0);
    assert_eq!(play.take(Input::Shutdown), [sends]);
    assert!(!play.router.stopped());
    assert_eq!(
        play.take(hears(from(2, 50))),
        [
            Output::RemoveAddresses,
            changed(State::Active, State::Initialize, Why::HandedOver(address(2)))
        ]
    );
    assert!(play.router.stopped());
}

#[test]
fn active_that_stops_ends_when_nobody_takes_over_or_it_is_told_twice() {
    let mut play = Play::active(as_it_is);
    play.take(Input::Shutdown);
    // One interval and the Skew_Time of the lowest priority.
    assert_eq!(play.wait(), Duration::from_nanos(1_996_093_750));
    assert_eq!(
        play.due(),
        [
            Output::RemoveAddresses,
            changed(State::Active, State::Initialize, Why::NobodyTookOver)
        ]
    );
    let mut play = Play::active(as_it_is);
    play.take(Input::Shutdown);
    assert_eq!(
        play.take(Input::Shutdown),
        [
            Output::RemoveAddresses,
            changed(State::Active, State::Initialize, Why::Stopped)
        ]
    );
}

#[test]
fn only_router_of_its_document_stops_without_waiting() {
    let mut play = Play::active(|parameters| parameters.peers.clear());
    let sends = play.sends(0);
    assert_eq!(
        play.take(Input::Shutdown),
        [
            sends,
            Output::RemoveAddresses,
            changed(State::Active, State::Initialize, Why::Stopped)
        ]
    );
}

#[test]
fn backup_that_stops_says_nothing() {
    let mut play = Play::backup(as_it_is);
    assert_eq!(
        play.take(Input::Shutdown),
        [changed(State::Backup, State::Initialize, Why::Stopped)]
    );
}

// Known fault of others: a version 3 message with another interval is dropped.
#[test]
fn backup_adopts_the_interval_of_the_active() {
    let mut play = Play::backup(as_it_is);
    let mut heard = from(0, 200);
    heard.advertisement.interval = centiseconds(400);
    assert_eq!(
        play.take(hears(heard)),
        [Output::Noticed(Notice::IntervalDiffers(address(0)))]
    );
    assert_eq!(play.wait(), SECOND * 12 + SECOND / 8);
    // As Active it has its own again.
    play.due();
    assert_eq!(play.wait(), SECOND);
}

// Known fault of others: one address more on one node makes two Active.
#[test]
fn other_addresses_are_said_and_no_reason_to_contest() {
    let mut play = Play::backup(as_it_is);
    let mut heard = from(0, 200);
    heard.advertisement.addresses.push(IpAddr::from([10, 0, 0, 251]));
    assert_eq!(
        play.take(hears(heard)),
        [Output::Noticed(Notice::AddressesDiffer(address(0)))]
    );
    assert!(play.wait() > SECOND * 3);
}

// RFC 9568 §7.1, RFC 3768 §7.1
#[test]
fn message_that_is_not_for_us_or_not_from_this_link_is_ignored_by_name() {
    let mut two = from(0, 200);
    two.advertisement.version = Version::V2;
    let mut far = from(0, 200);
    far.hop_limit = 254;
    let mut other = from(0, 200);
    other.advertisement.vrid = Vrid::new(52).unwrap();
    let mut unicast = from(0, 200);
    unicast.unicast = true;
    let mut family = from(0, 200);
    family.source = "fe80::1".parse().unwrap();
    for (received, reason) in [
        (two, Reason::Version(2)),
        (far, Reason::HopLimit(254)),
        (other, Reason::Vrid),
        (unicast, Reason::Mode),
        (family, Reason::Family),
        (from(1, 200), Reason::OwnAddress),
    ] {
        let mut play = Play::backup(as_it_is);
        let (wait, source) = (play.wait(), received.source);
        assert_eq!(play.take(hears(received)), [Output::Ignored(source, reason)]);
        assert_eq!(play.wait(), wait, "{reason:?}");
    }
}

#[test]
fn unicast_from_a_stranger_is_ignored() {
    let mut play = Play::backup(|parameters| parameters.unicast = true);
    let mut received = from(0, 200);
    received.unicast = true;
    // Unicast may be routed.
    received.hop_limit = 64;
    assert_eq!(play.take(hears(received.clone())), []);
    received.source = IpAddr::from([10, 0, 0, 77]);
    assert_eq!(
        play.take(hears(received.clone())),
        [Output::Ignored(received.source, Reason::NotAPeer)]
    );
}

// RFC 3768 §7.1, RFC 2338 §7.1
#[test]
fn version_2_wants_the_same_password_and_the_same_interval() {
    let password = |text| Authentication::password(text).unwrap();
    let with = |authentication, interval| {
        let mut received = from(0, 200);
        received.advertisement.version = Version::V2;
        received.advertisement.authentication = authentication;
        received.advertisement.interval = interval;
        received
    };
    for (received, outcome) in [
        (with(password("1111"), Centiseconds::SECOND), None),
        (
            with(password("1112"), Centiseconds::SECOND),
            Some(Reason::Authentication),
        ),
        (
            with(Authentication::None, Centiseconds::SECOND),
            Some(Reason::Authentication),
        ),
        (
            with(password("1111"), Centiseconds::from_seconds(2).unwrap()),
            Some(Reason::Interval),
        ),
    ] {
        let mut play = Play::backup(|parameters| {
            parameters.version = Version::V2;
            parameters.authentication = password("1111");
        });
        let expected: Vec<_> = outcome
            .into_iter()
            .map(|reason| Output::Ignored(address(0), reason))
            .collect();
        assert_eq!(play.take(hears(received)), expected);
    }
}

#[test]
fn form_of_the_checksum_is_that_of_whoever_was_heard_last() {
    let mut play = Play::backup(as_it_is);
    let mut received = from(0, 200);
    received.form = Some(ChecksumForm::MessageOnly);
    play.take(hears(received));
    let outputs = play.due();
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Send(_, ChecksumForm::MessageOnly))),
        "{outputs:?}"
    );
}

#[test]
fn interface_without_carrier_takes_the_router_out_and_its_return_makes_a_backup() {
    let mut play = Play::active(as_it_is);
    let fault = State::Fault(Fault::NoCarrier);
    assert_eq!(
        play.take(Input::InterfaceDown(Fault::NoCarrier)),
        [
            Output::RemoveAddresses,
            changed(State::Active, fault, Why::Fault(Fault::NoCarrier))
        ]
    );
    assert_eq!(play.router.deadline(), None);
    assert_eq!(
        play.after(SECOND, Input::InterfaceUp),
        [changed(fault, State::Backup, Why::InterfaceUp)]
    );
}

#[test]
fn router_whose_interface_came_back_does_not_preempt_before_it_reaches_anybody() {
    let mut play = Play::backup(|parameters| parameters.interval = centiseconds(1));
    play.take(Input::InterfaceDown(Fault::NoCarrier));
    play.take(Input::InterfaceUp);
    let mut lower = from(2, 50);
    lower.advertisement.interval = centiseconds(1);
    for _ in 0..99 {
        play.after(Duration::from_millis(10), hears(lower.clone()));
        assert!(play.wait() >= Duration::from_millis(30));
    }
    play.after(Duration::from_millis(10), hears(lower));
    // Router 0 may be there and comes first.
    assert_eq!(play.wait(), Duration::from_millis(2));
}

// Known fault of others: a start before the interface is there ends the daemon.
#[test]
fn start_without_an_interface_waits_for_it() {
    let mut play = Play::new(as_it_is);
    assert_eq!(play.take(Input::InterfaceDown(Fault::NoInterface)), []);
    let fault = State::Fault(Fault::NoInterface);
    assert_eq!(
        play.take(Input::Startup),
        [changed(State::Initialize, fault, Why::Fault(Fault::NoInterface))]
    );
    assert_eq!(
        play.take(Input::InterfaceUp),
        [changed(fault, State::Backup, Why::InterfaceUp)]
    );
}

#[test]
fn address_that_somebody_removes_is_put_back_by_the_active_only() {
    let own = IpAddr::from([10, 0, 0, 250]);
    let mut play = Play::active(as_it_is);
    assert_eq!(
        play.take(Input::AddressGone(own)),
        [
            Output::AddAddresses,
            Output::Announce,
            Output::Noticed(Notice::PutBack(own))
        ]
    );
    assert_eq!(play.take(Input::AddressGone(address(1))), []);
    let mut play = Play::backup(as_it_is);
    assert_eq!(play.take(Input::AddressGone(own)), []);
}

#[test]
fn address_that_the_kernel_refuses_is_left_to_others_and_tried_again() {
    let mut play = Play::active(as_it_is);
    let sends = play.sends(0);
    let fault = State::Fault(Fault::AddressRefused);
    assert_eq!(
        play.take(Input::AddressRefused),
        [
            sends,
            Output::RemoveAddresses,
            changed(State::Active, fault, Why::Fault(Fault::AddressRefused))
        ]
    );
    assert_eq!(play.due(), [changed(fault, State::Backup, Why::TriesAgain)]);
}

#[test]
fn active_that_slept_gives_way_before_it_hears_or_says_anything() {
    let mut play = Play::active(as_it_is);
    let outputs = play.after(SECOND * 60, hears(from(2, 50)));
    assert_eq!(
        outputs,
        [
            Output::RemoveAddresses,
            changed(State::Active, State::Backup, Why::WokeUpLate(SECOND * 59))
        ]
    );
    // And then, as it comes before the other, takes over by rank.
    assert_eq!(play.wait(), Duration::from_millis(50));
}

#[test]
fn backup_that_slept_through_its_timer_listens_once_more() {
    let mut play = Play::backup(as_it_is);
    assert_eq!(play.after(SECOND * 60, Input::TimerDue), []);
    assert!(play.wait() > SECOND * 3);
    assert_eq!(play.router.state(), State::Backup);
}

#[test]
fn yield_without_anybody_else_is_said_and_keeps_the_addresses() {
    let mut play = Play::active(|parameters| parameters.peers.clear());
    let until = play.now + SECOND * 60;
    let sends = play.sends(1);
    assert_eq!(
        play.take(Input::Yield { until }),
        [sends, Output::Noticed(Notice::NobodyElse)]
    );
}

/// The parameters of a router, changed.
fn other(play: &Play, change: impl FnOnce(&mut Parameters)) -> Input {
    let mut parameters = play.router.parameters().clone();
    change(&mut parameters);
    Input::ParametersChanged(Box::new(parameters))
}

#[test]
fn active_says_its_new_parameters_at_once_and_nothing_where_nothing_new_is_said() {
    let mut play = Play::active(as_it_is);
    let input = other(&play, |parameters| parameters.priority = priority(150));
    let outputs = play.after(SECOND / 2, input.clone());
    assert_eq!(outputs, [play.sends(150)]);
    assert_eq!(play.wait(), SECOND);
    assert_eq!(play.take(input), []);
    let input = other(&play, |parameters| {
        parameters.interval = centiseconds(300);
    });
    let outputs = play.take(input);
    assert_eq!(outputs, [play.sends(150)]);
    assert_eq!(play.wait(), SECOND * 3);
    let quiet = other(&play, |parameters| parameters.preempt = false);
    assert_eq!(play.take(quiet), []);
}

#[test]
fn active_with_other_addresses_drops_those_that_went_before_it_adds_those_that_came() {
    let (old, new) = (IpAddr::from([10, 0, 0, 250]), IpAddr::from([10, 0, 0, 251]));
    let mut play = Play::active(as_it_is);
    let input = other(&play, |parameters| parameters.addresses = vec![new]);
    let outputs = play.take(input);
    let sends = play.sends(100);
    assert_eq!(
        outputs,
        [
            Output::DropAddresses(vec![old]),
            Output::AddAddresses,
            sends,
            Output::Announce
        ]
    );
    let input = other(&play, |parameters| parameters.addresses = vec![old, new]);
    let outputs = play.take(input);
    let sends = play.sends(100);
    assert_eq!(outputs, [Output::AddAddresses, sends, Output::Announce]);
    let input = other(&play, |parameters| parameters.addresses = vec![new]);
    let outputs = play.take(input);
    let sends = play.sends(100);
    assert_eq!(outputs, [Output::DropAddresses(vec![old]), sends]);
}

#[test]
fn active_that_hands_over_is_not_kept_by_another_document() {
    let mut play = Play::active(as_it_is);
    play.take(Input::Shutdown);
    let input = other(&play, |parameters| parameters.priority = priority(150));
    assert_eq!(play.take(input), []);
    assert!(play.router.hands_over());
}

#[test]
fn backup_whose_priority_is_raised_preempts_with_the_next_message() {
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(0, 200)));
    let wait = play.wait();
    let input = other(&play, |parameters| parameters.priority = priority(220));
    assert_eq!(play.take(input), []);
    assert_eq!(play.wait(), wait);
    play.take(hears(from(0, 200)));
    let outputs = play.due();
    assert_eq!(
        outputs.last(),
        Some(&changed(
            State::Backup,
            State::Active,
            Why::Preempted(address(0), Some(priority(200)))
        ))
    );
}

// RFC 9568 §5.2.7: a Backup has the interval of the Active, whatever its own is;
// RFC 3768 §7.1: in version 2 they are the same.
#[test]
fn backup_waits_by_the_new_interval_where_that_is_the_actives() {
    let three = |parameters: &mut Parameters| parameters.interval = centiseconds(300);
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(0, 200)));
    let wait = play.wait();
    let input = other(&play, three);
    play.take(input);
    assert_eq!(play.wait(), wait);

    let mut play = Play::backup(as_it_is);
    let input = other(&play, three);
    play.take(input);
    assert!(play.wait() > SECOND * 9, "nobody was heard yet");

    let mut play = Play::backup(|parameters| parameters.version = Version::V2);
    let mut heard = from(0, 200);
    heard.advertisement.version = Version::V2;
    play.take(hears(heard));
    let input = other(&play, three);
    play.take(input);
    assert!(play.wait() > SECOND * 9);
}

#[test]
fn router_that_the_document_does_not_name_any_more_is_a_stranger_when_it_is_heard() {
    let mut play = Play::backup(as_it_is);
    play.take(hears(from(0, 200)));
    let input = other(&play, |parameters| parameters.peers.clear());
    assert_eq!(play.take(input), []);
    assert_eq!(play.router.heard().count(), 0);
    play.take(hears(from(0, 200)));
    assert_eq!(play.wait(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn other_parameters_wait_for_the_start_and_for_the_interface() {
    let mut play = Play::new(as_it_is);
    let input = other(&play, |parameters| parameters.priority = priority(150));
    assert_eq!(play.take(input), []);
    assert_eq!(play.router.state(), State::Initialize);
    play.take(Input::Startup);
    play.take(Input::InterfaceDown(Fault::NoCarrier));
    let input = other(&play, |parameters| parameters.priority = priority(160));
    assert_eq!(play.take(input), []);
    assert_eq!(play.router.priority(), priority(160));
}
