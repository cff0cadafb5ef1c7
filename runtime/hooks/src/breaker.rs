//! The circuit breaker of one plugin on one topic: after so many faults in a row it is not called for a while.
//!
//! Pure: the time is given in. Invariants: while the circuit is open, at most one call in each pause is let through (the
//! trial); only the outcome of a trial closes it; calls that began before it opened change nothing when they end.

use serde::{Deserialize, Serialize};

/// What a topic does while a circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenOpen {
    /// Fails closed: batches are refused for the time being.
    Refuse,
    /// Goes on as if the plugin were not attached.
    Bypass,
}

/// `pelton.interceptors.breaker.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Faults in a row that open the circuit; 0: never.
    pub faults: u32,
    /// What happens while it is open.
    pub open: WhenOpen,
    /// Milliseconds until one call is tried.
    pub pause_ms: u64,
}

/// What a circuit says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Call the plugin.
    Call,
    /// Call the plugin; this call decides whether the circuit closes.
    Trial,
    /// Do not call it.
    Open,
}

/// How an admitted call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The plugin answered.
    Well,
    /// It failed.
    Fault,
    /// It failed over bytes that nobody could have read: says nothing about the plugin.
    Neither,
}

/// A change of the circuit that the operator is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It opened, after so many faults in a row.
    Opened(u32),
    /// It closed.
    Closed,
}

/// The circuit as the operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// The plugin is called.
    Closed,
    /// It is not called.
    Open,
    /// One call is being tried.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { faults: u32 },
    Open { until_ms: u64, faults: u32 },
    HalfOpen { since_ms: u64, faults: u32 },
}

/// One circuit.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
}

impl Breaker {
    /// A closed circuit.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { faults: 0 } }
    }

    /// Whether to call the plugin now.
    pub fn admit(&mut self, now_ms: u64) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Call,
            State::Open { until_ms, faults } if now_ms >= until_ms => {
                self.state = State::HalfOpen { since_ms: now_ms, faults };
                Admission::Trial
            }
            // A trial that has not ended within a pause is given up for lost, or the circuit could stay open for ever.
            State::HalfOpen { since_ms, faults }
                if now_ms.saturating_sub(since_ms) >= self.settings.pause_ms.max(1) =>
            {
                self.state = State::HalfOpen { since_ms: now_ms, faults };
                Admission::Trial
            }
            State::Open { .. } | State::HalfOpen { .. } => Admission::Open,
        }
    }

    /// How a call ended that was admitted as `admission`.
    pub fn ended(&mut self, admission: Admission, ended: Ended, now_ms: u64) -> Option<Transition> {
        match (self.state, admission, ended) {
            (State::Closed { .. }, _, Ended::Well) => {
                self.state = State::Closed { faults: 0 };
                None
            }
            (State::Closed { faults }, _, Ended::Fault) => {
                let faults = faults.saturating_add(1);
                if self.settings.faults == 0 || faults < self.settings.faults {
                    self.state = State::Closed { faults };
                    return None;
                }
                self.open(now_ms, faults);
                Some(Transition::Opened(faults))
            }
            (State::HalfOpen { .. }, Admission::Trial, Ended::Well) => {
                self.state = State::Closed { faults: 0 };
                Some(Transition::Closed)
            }
            (State::HalfOpen { faults, .. }, Admission::Trial, Ended::Fault) => {
                self.open(now_ms, faults.saturating_add(1));
                None
            }
            (State::HalfOpen { faults, .. }, Admission::Trial, Ended::Neither) => {
                self.state = State::Open { until_ms: now_ms, faults };
                None
            }
            _ => None,
        }
    }

    /// The circuit as the operator sees it.
    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn open(&mut self, now_ms: u64, faults: u32) {
        self.state = State::Open { until_ms: now_ms.saturating_add(self.settings.pause_ms), faults };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn breaker(faults: u32, pause_ms: u64) -> Breaker {
        Breaker::new(BreakerSettings { faults, open: WhenOpen::Refuse, pause_ms })
    }

    #[test]
    fn it_opens_tries_and_closes() {
        let mut circuit = breaker(2, 100);
        assert_eq!(circuit.ended(Admission::Call, Ended::Fault, 0), None);
        assert_eq!(circuit.ended(Admission::Call, Ended::Well, 1), None);
        assert_eq!(circuit.ended(Admission::Call, Ended::Fault, 2), None);
        assert_eq!(circuit.ended(Admission::Call, Ended::Fault, 3), Some(Transition::Opened(2)));
        assert_eq!(circuit.ended(Admission::Call, Ended::Well, 4), None, "a call from before it opened");
        assert_eq!((circuit.admit(102), circuit.state()), (Admission::Open, BreakerState::Open));
        assert_eq!((circuit.admit(103), circuit.admit(104)), (Admission::Trial, Admission::Open));
        assert_eq!(circuit.ended(Admission::Trial, Ended::Fault, 105), None);
        assert_eq!((circuit.admit(204), circuit.admit(205)), (Admission::Open, Admission::Trial));
        assert_eq!(circuit.ended(Admission::Trial, Ended::Neither, 206), None);
        assert_eq!(circuit.admit(206), Admission::Trial);
        assert_eq!(circuit.ended(Admission::Trial, Ended::Well, 207), Some(Transition::Closed));
        assert_eq!((circuit.admit(208), circuit.state()), (Admission::Call, BreakerState::Closed));
    }

    #[test]
    fn zero_faults_never_open_it_and_a_lost_trial_is_tried_again() {
        let mut never = breaker(0, 100);
        for now in 0..1000 {
            assert_eq!(never.ended(Admission::Call, Ended::Fault, now), None);
        }
        assert_eq!(never.admit(1000), Admission::Call);
        let mut circuit = breaker(1, 100);
        circuit.ended(Admission::Call, Ended::Fault, 0);
        assert_eq!(circuit.admit(100), Admission::Trial);
        assert_eq!((circuit.admit(199), circuit.admit(200)), (Admission::Open, Admission::Trial));
    }

    proptest! {
        /// Whatever happens in whatever order: calls go through freely only while fewer than the limit have failed in a
        /// row, and trials are a pause apart unless one of them said nothing.
        #[test]
        fn the_invariants_hold(
            limit in 0_u32..5,
            pause_ms in 0_u64..50,
            steps in proptest::collection::vec((0_u64..30, 0_u8..4, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut circuit = breaker(limit, pause_ms);
            let mut running: Vec<Admission> = Vec::new();
            let (mut now, mut in_a_row) = (0, 0);
            let mut last_trial: Option<u64> = None;
            for (wait, what, which) in steps {
                now += wait;
                if what == 0 || running.is_empty() {
                    let closed = circuit.state() == BreakerState::Closed;
                    match circuit.admit(now) {
                        Admission::Open => prop_assert!(!closed && limit > 0),
                        Admission::Call => {
                            prop_assert!(closed && (limit == 0 || in_a_row < limit));
                            running.push(Admission::Call);
                        }
                        Admission::Trial => {
                            prop_assert!(!closed);
                            if let Some(last) = last_trial {
                                prop_assert!(now >= last + pause_ms);
                            }
                            last_trial = Some(now);
                            running.push(Admission::Trial);
                        }
                    }
                    continue;
                }
                let admission = running.swap_remove(which.index(running.len()));
                let ended = [Ended::Well, Ended::Fault, Ended::Neither][usize::from(what) % 3];
                let before = circuit.state();
                let transition = circuit.ended(admission, ended, now);
                if before == BreakerState::Closed {
                    in_a_row = match ended { Ended::Well => 0, Ended::Fault => in_a_row + 1, Ended::Neither => in_a_row };
                }
                match transition {
                    Some(Transition::Opened(faults)) => {
                        prop_assert_eq!((faults, before), (in_a_row, BreakerState::Closed));
                        last_trial = None;
                    }
                    Some(Transition::Closed) => {
                        prop_assert_eq!((before, admission, ended), (BreakerState::HalfOpen, Admission::Trial, Ended::Well));
                        in_a_row = 0;
                    }
                    None if ended == Ended::Neither => last_trial = None,
                    None => {}
                }
            }
        }
    }
}
