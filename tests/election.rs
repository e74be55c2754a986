//! Elections on a simulated link: who is Active, for whom, and for how long
//! nobody or more than one is.
//!
//! A failure prints its seed; `CATAMARAN_SEED=N` plays that one alone and
//! `CATAMARAN_STORY=1` tells what happened.

#[path = "support/lan.rs"]
mod lan;
#[path = "support/routers.rs"]
mod routers;

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use catamaran::pure::vrrp::timers::active_down_interval;
use catamaran::pure::vrrp::*;
use lan::{Lan, Random, Weather};
use routers::{address, centiseconds, priority, routers};

/// Seeds of each random test.
const SEEDS: u64 = 10_000;

/// A link on which all routers have started and the election is over.
fn settled(parameters: Vec<Parameters>) -> Lan {
    let mut lan = Lan::new(1, parameters);
    for index in 0..lan.machines.len() {
        lan.start(index);
    }
    let interval = lan.machines[0].parameters.interval.duration();
    lan.run(interval * 6);
    assert_eq!(lan.holders().len(), 1);
    lan.forget();
    lan
}

/// Play a test with each seed and name the one that fails.
fn with_seeds(count: u64, play: impl Fn(&mut Lan), cast: impl Fn(&mut Random) -> Vec<Parameters>) {
    let wanted = std::env::var("CATAMARAN_SEED")
        .ok()
        .map(|seed| seed.parse::<u64>().expect("CATAMARAN_SEED is a number"));
    let seeds = wanted.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let parameters = cast(&mut Random(seed));
        let mut lan = Lan::new(!seed, parameters);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&mut lan))) {
            eprintln!("{}", lan.story);
            eprintln!("seed {seed}: play it again with CATAMARAN_SEED={seed} CATAMARAN_STORY=1");
            resume_unwind(panic);
        }
    }
}

/// Two to five routers of one document, equal only in what they must agree on.
fn any_cast(random: &mut Random) -> Vec<Parameters> {
    let count = 2 + random.below(4);
    let priorities: Vec<u8> = (0..count)
        .map(|_| u8::try_from(1 + random.below(254)).unwrap())
        .collect();
    let version = if random.chance(50) {
        Version::V2
    } else {
        Version::V3
    };
    let interval = match version {
        Version::V2 => Centiseconds::from_seconds(1).unwrap(),
        Version::V3 => centiseconds([1, 10, 100, 4095][usize::try_from(random.below(4)).unwrap()]),
    };
    let mut all = routers(&priorities, version, interval);
    let takeover = if random.chance(70) {
        Takeover::Ranked
    } else {
        Takeover::Rfc
    };
    for router in &mut all {
        router.takeover = takeover;
        router.preempt = random.chance(80);
        if random.chance(20) {
            router.preempt_delay = interval.duration() * u32::try_from(random.below(5)).unwrap();
        }
        if random.chance(30) {
            router.checksum = Some(if random.chance(50) {
                ChecksumForm::MessageOnly
            } else {
                ChecksumForm::PseudoHeader
            });
        }
    }
    all
}

/// Whatever can befall routers and their link, for so many intervals.
fn havoc(lan: &mut Lan, intervals: u32) {
    let interval = lan.machines[0].parameters.interval.duration();
    for _ in 0..intervals {
        let index = usize::try_from(lan.random.below(lan.machines.len() as u64)).unwrap();
        match lan.random.below(14) {
            0 => lan.crash(index),
            1 | 2 if !lan.machines[index].alive => lan.start(index),
            3 => {
                let time = lan.random.between(interval / 10, interval * 8);
                lan.sleep(index, time);
            }
            4 => lan.input(index, Input::InterfaceDown(Fault::NoCarrier)),
            5 => lan.input(index, Input::InterfaceUp),
            6 => {
                let weight = -i32::try_from(lan.random.below(255)).unwrap();
                let stands_back = lan.random.chance(30);
                let fitness = Fitness { weight, stands_back };
                lan.input(index, Input::FitnessChanged(fitness));
            }
            7 => {
                let until = lan.now + lan.random.between(interval, interval * 5);
                lan.input(index, Input::Yield { until });
            }
            8 => {
                let gone = lan.machines[index].parameters.addresses[0];
                lan.input(index, Input::AddressGone(gone));
            }
            9 => lan.input(index, Input::AddressRefused),
            10 => lan.input(index, Input::Shutdown),
            11 => {
                let island = lan.random.below(2);
                lan.machines[index].island = island;
            }
            12 => {
                lan.weather = Weather {
                    loss: lan.random.below(60),
                    mangled: lan.random.below(5),
                    delay: lan.random.between(Duration::from_micros(100), interval),
                };
            }
            _ => {}
        }
        let time = lan.random.between(Duration::ZERO, interval * 2);
        lan.run(time);
    }
}

/// The link is whole and fair, every router runs and is fit.
fn heal(lan: &mut Lan) {
    let interval = lan.machines[0].parameters.interval.duration();
    lan.weather = Weather {
        delay: Duration::from_micros(500),
        ..Weather::FAIR
    };
    for index in 0..lan.machines.len() {
        lan.machines[index].island = 0;
        lan.input(index, Input::InterfaceUp);
        lan.input(index, Input::FitnessChanged(Fitness::default()));
    }
    // Sleepers wake, wishes to yield end, farewells are over.
    lan.run(interval * 9);
    for index in 0..lan.machines.len() {
        if !lan.machines[index].alive || lan.machines[index].router.state() == State::Initialize {
            lan.start(index);
        }
    }
}

#[test]
fn whole_link_has_exactly_one_active_after_any_havoc() {
    let play = |lan: &mut Lan| {
        for index in 0..lan.machines.len() {
            if lan.random.chance(80) {
                lan.start(index);
            }
        }
        havoc(lan, 30);
        heal(lan);
        let slowest = lan
            .machines
            .iter()
            .map(|machine| {
                let Parameters {
                    version,
                    interval,
                    preempt_delay,
                    ..
                } = machine.parameters;
                active_down_interval(version, Priority::LAST, interval) + preempt_delay
            })
            .max()
            .unwrap();
        // A refused address is tried again after the longest of these waits.
        lan.run(slowest * 3 + Duration::from_secs(1));
        lan.forget();
        lan.run(slowest * 3);
        assert_eq!(lan.holders().len(), 1, "holders: {:?}", lan.holders());
        assert_eq!(lan.longest_nobody, Duration::ZERO);
        assert_eq!(lan.longest_two, Duration::ZERO);
        let best = |lan: &Lan| {
            let key = |machine: &lan::Machine| machine.parameters.priority;
            lan.machines.iter().map(key).max().unwrap()
        };
        if lan.machines.iter().all(|machine| machine.parameters.preempt) {
            let holder = lan.holders()[0];
            assert_eq!(
                lan.machines[holder].parameters.priority,
                best(lan),
                "the highest holds the addresses"
            );
        }
    };
    with_seeds(SEEDS, play, any_cast);
}

#[test]
fn crash_is_over_within_the_time_of_the_rfc() {
    let play = |lan: &mut Lan| {
        for index in 0..lan.machines.len() {
            lan.start(index);
        }
        let interval = lan.machines[0].parameters.interval.duration();
        lan.run(interval * 20);
        let early = lan.random.between(Duration::ZERO, interval);
        lan.run(early);
        let holders = lan.holders();
        assert_eq!(holders.len(), 1);
        lan.crash(holders[0]);
        let bound = lan
            .machines
            .iter()
            .filter(|machine| machine.alive)
            .map(|machine| {
                let Parameters {
                    version,
                    interval,
                    priority,
                    ..
                } = machine.parameters;
                active_down_interval(version, priority, interval)
            })
            .min()
            .unwrap();
        lan.forget();
        let took = lan.run_until(bound + Weather::FAIR.delay, |lan| !lan.holders().is_empty());
        assert!(took.is_some(), "nobody took over within {bound:?}");
        lan.run(interval * 20);
        assert_eq!(lan.holders().len(), 1);
        let flight = Weather::FAIR.delay;
        // By skew times of milliseconds, which 10 ms intervals make, two may
        // take over within one flight.
        assert!(lan.longest_two <= flight, "two for {:?}", lan.longest_two);
    };
    let cast = |random: &mut Random| {
        let mut all = any_cast(random);
        for router in &mut all {
            router.preempt_delay = Duration::ZERO;
        }
        all
    };
    with_seeds(SEEDS / 4, play, cast);
}

#[test]
fn graceful_stop_leaves_no_moment_without_a_holder() {
    let play = |lan: &mut Lan| {
        for index in 0..lan.machines.len() {
            lan.start(index);
        }
        let interval = lan.machines[0].parameters.interval.duration();
        lan.run(interval * 20);
        let holders = lan.holders();
        assert_eq!(holders.len(), 1);
        lan.forget();
        let leaving = holders[0];
        lan.input(leaving, Input::Shutdown);
        let Parameters {
            version,
            interval: centiseconds,
            takeover,
            ..
        } = lan.machines[leaving].parameters;
        let longest = active_down_interval(version, Priority::LAST, centiseconds);
        let took = lan.run_until(longest, |lan| lan.machines[leaving].router.stopped());
        assert!(took.is_some(), "it still waits after {longest:?}");
        if takeover == Takeover::Ranked {
            // There and back.
            assert!(took.unwrap() <= Weather::FAIR.delay * 2, "{took:?}");
        }
        lan.run(interval * 3);
        assert_eq!(lan.holders().len(), 1);
        assert_eq!(lan.longest_nobody, Duration::ZERO);
    };
    with_seeds(SEEDS / 4, play, any_cast);
}

#[test]
fn yield_hands_over_and_takes_back_without_a_moment_without_a_holder() {
    let mut lan = settled(routers(&[200, 100], Version::V2, Centiseconds::SECOND));
    assert_eq!(lan.holders(), [0]);
    let until = lan.now + Duration::from_secs(60);
    lan.input(0, Input::Yield { until });
    lan.run(Duration::from_millis(10));
    assert_eq!(lan.holders(), [1]);
    lan.run(Duration::from_secs(50));
    assert_eq!(lan.holders(), [1]);
    lan.run(Duration::from_secs(12));
    assert_eq!(lan.holders(), [0]);
    assert_eq!(lan.longest_nobody, Duration::ZERO);
}

#[test]
fn active_that_yields_goes_on_when_nobody_takes_over() {
    let mut lan = settled(routers(&[200, 100], Version::V3, centiseconds(100)));
    lan.crash(1);
    let until = lan.now + Duration::from_secs(60);
    lan.input(0, Input::Yield { until });
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.holders(), [0]);
    assert_eq!(lan.machines[0].router.priority(), Priority::LAST);
    lan.run(Duration::from_secs(60));
    assert_eq!(lan.machines[0].router.priority(), priority(200));
    assert_eq!(lan.longest_nobody, Duration::ZERO);
}

#[test]
fn address_stays_when_all_are_equally_unfit() {
    let mut lan = settled(routers(&[200, 100, 50], Version::V3, centiseconds(10)));
    let unfit = Fitness {
        weight: 0,
        stands_back: true,
    };
    for index in [2, 1, 0] {
        lan.input(index, Input::FitnessChanged(unfit));
    }
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.holders(), [0]);
    assert_eq!(lan.longest_nobody, Duration::ZERO);
}

#[test]
fn unfit_active_is_relieved_at_once_even_by_one_that_does_not_preempt() {
    let mut parameters = routers(&[200, 100], Version::V3, centiseconds(100));
    parameters[1].preempt = false;
    let mut lan = settled(parameters);
    let fitness = Fitness {
        weight: 0,
        stands_back: true,
    };
    lan.input(0, Input::FitnessChanged(fitness));
    lan.run(Duration::from_millis(3));
    assert_eq!(lan.holders(), [1]);
    assert_eq!(lan.longest_nobody, Duration::ZERO);
}

#[test]
fn router_that_does_not_preempt_leaves_the_address_where_it_is() {
    let mut parameters = routers(&[200, 100], Version::V3, centiseconds(100));
    parameters[0].preempt = false;
    let mut lan = settled(parameters);
    lan.crash(0);
    lan.run(Duration::from_secs(5));
    assert_eq!(lan.holders(), [1]);
    lan.start(0);
    lan.run(Duration::from_secs(60));
    assert_eq!(lan.holders(), [1]);
}

#[test]
fn router_that_comes_back_takes_over_after_its_preempt_delay_without_a_gap() {
    let mut parameters = routers(&[200, 100], Version::V3, centiseconds(100));
    parameters[0].preempt_delay = Duration::from_secs(30);
    let mut lan = settled(parameters);
    lan.crash(0);
    lan.run(Duration::from_secs(5));
    lan.start(0);
    lan.forget();
    lan.run(Duration::from_secs(29));
    assert_eq!(lan.holders(), [1]);
    lan.run(Duration::from_secs(4));
    assert_eq!(lan.holders(), [0]);
    assert_eq!(lan.longest_nobody, Duration::ZERO);
    assert!(lan.longest_two <= Weather::FAIR.delay);
}

// Known fault of others: a machine that slept for longer than the others wait
// goes on as if nothing had been.
#[test]
fn active_that_wakes_up_late_gives_way_before_it_takes_over_again() {
    let mut lan = settled(routers(&[200, 100], Version::V3, centiseconds(10)));
    lan.sleep(0, Duration::from_secs(5));
    lan.run(Duration::from_secs(4));
    assert_eq!(lan.holders(), [0, 1], "its kernel takes them off, in truth");
    let changes = lan.changes;
    lan.run(Duration::from_millis(1_010));
    assert_eq!(lan.holders(), [0]);
    // To backup, to active, and the other to backup.
    assert_eq!(lan.changes, changes + 3);
}

// Known fault of others: skew that is cut to whole seconds lets all backups
// take over at the same moment.
#[test]
fn backups_without_ranks_take_over_one_at_a_time() {
    let mut parameters = routers(&[200, 150, 100], Version::V2, Centiseconds::SECOND);
    for router in &mut parameters {
        router.takeover = Takeover::Rfc;
    }
    let mut lan = settled(parameters);
    lan.crash(0);
    lan.forget();
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.holders(), [1]);
    assert_eq!(lan.longest_two, Duration::ZERO);
}

#[test]
fn day_with_five_routers_on_a_bad_link_keeps_the_bounds() {
    let interval = Centiseconds::SECOND;
    let mut lan = Lan::new(2026, routers(&[250, 200, 150, 100, 50], Version::V3, interval));
    lan.weather = Weather {
        loss: 20,
        mangled: 1,
        delay: Duration::from_millis(20),
    };
    for index in 0..5 {
        lan.start(index);
    }
    lan.run(Duration::from_secs(10));
    let slowest = active_down_interval(Version::V3, Priority::LAST, interval);
    for hour in 0..24 {
        let end = lan.now + Duration::from_secs(3_600);
        while lan.now < end {
            // An island of its own for some, for a while; then whole again.
            for index in 0..5 {
                lan.machines[index].island = lan.random.below(3) / 2;
            }
            // What a new island takes to find its Active is not held against it.
            lan.run(slowest + Duration::from_secs(1));
            lan.forget();
            let time = lan
                .random
                .between(Duration::from_secs(10), Duration::from_secs(120));
            lan.run(time);
            assert!(
                lan.longest_nobody <= slowest,
                "hour {hour}: nobody for {:?}",
                lan.longest_nobody
            );
            // Eight in a row are lost once in 400,000 times.
            assert!(
                lan.longest_two <= interval.duration() * 8,
                "hour {hour}: two for {:?}",
                lan.longest_two
            );
        }
        let bad = std::mem::replace(&mut lan.weather, Weather::FAIR);
        for machine in &mut lan.machines {
            machine.island = 0;
        }
        lan.run(slowest * 3);
        lan.forget();
        lan.run(Duration::from_secs(60));
        assert_eq!(lan.holders(), [0], "hour {hour}");
        assert_eq!(lan.longest_nobody, Duration::ZERO);
        assert_eq!(lan.longest_two, Duration::ZERO);
        lan.weather = bad;
    }
    assert!(lan.now - lan.began >= Duration::from_secs(86_400));
}

/// Inputs in any order at any time: the machine's own assertions hold.
#[test]
fn no_sequence_of_inputs_breaks_a_router() {
    let play = |lan: &mut Lan| {
        lan.start(0);
        for _ in 0..100 {
            let now = lan.now;
            let parameters = lan.machines[0].router.parameters().clone();
            let input = any_input(&mut lan.random, now, parameters);
            lan.input(0, input);
            let time = lan.random.between(Duration::ZERO, Duration::from_secs(3));
            if lan.random.chance(50) {
                lan.run(time);
            }
        }
    };
    with_seeds(SEEDS, play, any_cast);
}

fn any_input(random: &mut Random, now: Instant, parameters: Parameters) -> Input {
    let source = address(usize::try_from(random.below(7)).unwrap());
    match random.below(14) {
        0 => Input::Startup,
        1 => Input::Shutdown,
        2 => Input::TimerDue,
        3 => Input::InterfaceUp,
        4 => Input::InterfaceDown(Fault::Down),
        5 => Input::FitnessChanged(Fitness {
            weight: -i32::try_from(random.below(300)).unwrap(),
            stands_back: random.chance(20),
        }),
        6 => Input::Yield {
            until: now + random.between(Duration::ZERO, Duration::from_secs(9)),
        },
        7 => Input::AddressGone(IpAddr::from([10, 0, 0, 250])),
        8 => Input::AddressRefused,
        9 => Input::SourceChanged(source),
        10 => Input::YieldEnds,
        11 => Input::ParametersChanged(Box::new(any_document(random, parameters))),
        _ => Input::Advertisement(Received {
            source,
            hop_limit: if random.chance(90) { 255 } else { 64 },
            unicast: random.chance(10),
            advertisement: Advertisement {
                version: if random.chance(50) {
                    Version::V2
                } else {
                    Version::V3
                },
                vrid: Vrid::new(if random.chance(95) { 51 } else { 52 }).unwrap(),
                priority: Priority::new(u8::try_from(random.below(256)).unwrap()),
                interval: centiseconds(u16::try_from(1 + random.below(4095)).unwrap()),
                authentication: Authentication::None,
                addresses: vec![IpAddr::from([10, 0, 0, 250])],
            },
            form: None,
        }),
    }
}

/// What another document may say of the same virtual router.
fn any_document(random: &mut Random, parameters: Parameters) -> Parameters {
    let seconds = u16::try_from(1 + random.below(40)).unwrap();
    let addresses = 1 + u8::try_from(random.below(3)).unwrap();
    Parameters {
        addresses: (0..addresses)
            .map(|last| IpAddr::from([10, 0, 0, 250 + last]))
            .collect(),
        interval: centiseconds(seconds * 100),
        priority: Priority::new(u8::try_from(1 + random.below(255)).unwrap()).unwrap(),
        preempt: random.chance(50),
        preempt_delay: random.between(Duration::ZERO, Duration::from_secs(9)),
        peers: parameters
            .peers
            .into_iter()
            .filter(|_| random.chance(80))
            .collect(),
        ..parameters
    }
}
