//! One endpoint's health: when to probe it, and what to believe.

use std::time::{Duration, Instant};

use super::Finding;
use super::rise_fall::{Belief, RiseFall};
use super::schedule::Schedule;

/// How an endpoint is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// From probe to probe while nothing changes.
    pub interval: Duration,
    /// From probe to probe while a change is being confirmed.
    pub fast_interval: Duration,
    /// From probe to probe while down.
    pub down_interval: Duration,
    /// Successes in a row to go up, at least 1.
    pub rise: u8,
    /// Failures in a row to go down, at least 1.
    pub fall: u8,
}

/// What can come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline is over.
    TimerDue,
    /// The probe in flight came to an end.
    Found(Finding),
    /// The endpoint is probed in another way from now on. A probe in flight is to
    /// be given up; nothing of it is to be handed in.
    ParametersChanged(Parameters),
}

/// What can go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start a probe; exactly one [`Input::Found`] is to follow.
    StartProbe,
    /// The belief changed.
    Changed {
        /// The belief before.
        from: Belief,
        /// The belief from now on.
        to: Belief,
        /// The finding that decided.
        why: Finding,
        /// How many findings in a row it took.
        after: u8,
    },
}

/// The core. One probe is in flight at most.
#[derive(Clone, Debug)]
pub struct EndpointHealth {
    parameters: Parameters,
    rise_fall: RiseFall,
    schedule: Schedule,
    in_flight: bool,
}

impl EndpointHealth {
    /// Nothing is believed, the first probe is due soon; `seed` spreads probes.
    pub fn new(parameters: Parameters, seed: u64, now: Instant) -> Self {
        Self {
            parameters,
            rise_fall: RiseFall::new(parameters.rise, parameters.fall),
            schedule: Schedule::new(now, parameters.interval, seed),
            in_flight: false,
        }
    }

    /// As [`EndpointHealth::new`], but this is believed until probes speak
    /// against it as often as it takes.
    #[must_use]
    pub fn believing(self, belief: Belief) -> Self {
        Self {
            rise_fall: self.rise_fall.believing(belief),
            ..self
        }
    }

    /// Take one input. A timer that fires early, late or twice does no harm.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Output> {
        match input {
            Input::TimerDue if self.in_flight || now < self.schedule.due() => Vec::new(),
            Input::TimerDue => {
                self.in_flight = true;
                vec![Output::StartProbe]
            }
            Input::ParametersChanged(parameters) => {
                self.parameters = parameters;
                self.rise_fall.change(parameters.rise, parameters.fall);
                self.schedule.restart(now, parameters.interval);
                self.in_flight = false;
                Vec::new()
            }
            Input::Found(finding) => {
                self.in_flight = false;
                let from = self.rise_fall.belief();
                let after = self.rise_fall.observe(finding.cause.is_success());
                self.schedule.advance(now, self.next_interval());
                let to = self.rise_fall.belief();
                after
                    .map(|after| Output::Changed {
                        from,
                        to,
                        why: finding,
                        after,
                    })
                    .into_iter()
                    .collect()
            }
        }
    }

    /// When to hand in [`Input::TimerDue`]; `None` while a probe is in flight.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.in_flight).then(|| self.schedule.due())
    }

    fn next_interval(&self) -> Duration {
        match (self.rise_fall.in_doubt(), self.rise_fall.belief()) {
            (true, _) => self.parameters.fast_interval,
            (false, Belief::Down) => self.parameters.down_interval,
            (false, Belief::Up | Belief::Unknown) => self.parameters.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cause;
    use super::*;

    const PARAMETERS: Parameters = Parameters {
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(1),
        down_interval: Duration::from_secs(30),
        rise: 2,
        fall: 3,
    };

    fn found(cause: Cause) -> Input {
        Input::Found(Finding {
            cause,
            detail: String::new(),
        })
    }

    /// Runs one probe at its due time; gives the outputs and the wait for the next.
    fn probe(health: &mut EndpointHealth, cause: Cause) -> (Vec<Output>, Duration) {
        let due = health.deadline().expect("no probe is in flight");
        assert_eq!(health.handle(due, Input::TimerDue), [Output::StartProbe]);
        let outputs = health.handle(due, found(cause));
        (outputs, health.deadline().unwrap() - due)
    }

    fn about(seconds: u64) -> std::ops::Range<Duration> {
        let interval = Duration::from_secs(seconds);
        interval.mul_f64(0.94)..interval.mul_f64(1.06)
    }

    #[test]
    fn unknown_becomes_up_with_its_first_success() {
        let mut health = EndpointHealth::new(PARAMETERS, 1, Instant::now());
        let (outputs, wait) = probe(&mut health, Cause::Healthy);
        let why = Finding {
            cause: Cause::Healthy,
            detail: String::new(),
        };
        assert_eq!(
            outputs,
            [Output::Changed {
                from: Belief::Unknown,
                to: Belief::Up,
                why,
                after: 1
            }]
        );
        assert!(about(10).contains(&wait), "{wait:?}");
    }

    #[test]
    fn up_is_probed_fast_while_failing_and_slowly_once_down() {
        let mut health = EndpointHealth::new(PARAMETERS, 1, Instant::now());
        probe(&mut health, Cause::Degraded);
        for _ in 0..2 {
            let (outputs, wait) = probe(&mut health, Cause::Refused);
            assert_eq!(outputs, []);
            assert!(about(1).contains(&wait), "{wait:?}");
        }
        let (outputs, wait) = probe(&mut health, Cause::TimedOut);
        assert!(
            matches!(
                &outputs[..],
                [Output::Changed {
                    to: Belief::Down,
                    after: 3,
                    ..
                }]
            ),
            "{outputs:?}"
        );
        assert!(about(30).contains(&wait), "{wait:?}");
    }

    #[test]
    fn other_parameters_are_probed_with_soon_and_change_no_belief_by_themselves() {
        let now = Instant::now();
        let mut health = EndpointHealth::new(PARAMETERS, 1, now);
        probe(&mut health, Cause::Healthy);
        let due = health.deadline().unwrap();
        assert_eq!(health.handle(due, Input::TimerDue), [Output::StartProbe]);
        let changed = Parameters {
            fall: 2,
            ..PARAMETERS
        };
        assert_eq!(health.handle(due, Input::ParametersChanged(changed)), []);
        let wait = health.deadline().expect("the probe in flight is given up") - due;
        assert!(wait < Duration::from_millis(200), "{wait:?}");
        assert_eq!(probe(&mut health, Cause::Refused).0, []);
        let (outputs, _) = probe(&mut health, Cause::Refused);
        assert!(
            matches!(
                &outputs[..],
                [Output::Changed {
                    from: Belief::Up,
                    after: 2,
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }

    #[test]
    fn belief_from_before_holds_until_probes_say_otherwise_often_enough() {
        let mut health = EndpointHealth::new(PARAMETERS, 1, Instant::now()).believing(Belief::Up);
        assert_eq!(probe(&mut health, Cause::Refused).0, []);
        assert_eq!(probe(&mut health, Cause::Refused).0, []);
        assert_eq!(probe(&mut health, Cause::Refused).0.len(), 1);
    }

    #[test]
    fn probe_in_flight_is_the_only_one() {
        let mut health = EndpointHealth::new(PARAMETERS, 1, Instant::now());
        let due = health.deadline().unwrap();
        assert_eq!(health.handle(due, Input::TimerDue), [Output::StartProbe]);
        assert_eq!(health.deadline(), None);
        assert_eq!(health.handle(due, Input::TimerDue), []);
    }

    #[test]
    fn early_timer_starts_nothing() {
        let now = Instant::now();
        let mut health = EndpointHealth::new(PARAMETERS, 1, now);
        probe(&mut health, Cause::Healthy);
        let early = health.deadline().unwrap() - Duration::from_millis(1);
        assert_eq!(health.handle(early, Input::TimerDue), []);
    }
}
