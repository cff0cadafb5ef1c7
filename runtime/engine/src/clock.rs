//! The clock of one call of a guest: how long it may take, and how much of that is used.
//!
//! A limit is meant for what the guest does, not for how busy the machine is. So it is processor time that counts against a limit,
//! from the first look on (a tick after the call began), and the work of the host's state store does not. That somebody waits
//! is bounded all the same: by [`WAIT_FACTOR`] times the limit on the wall's clock. A *moment* is what a caller can spare, and
//! is of the wall's clock alone.

use crate::engine::TICK;
use pelton_api::fault::Fault;
use std::time::{Duration, Instant};

/// How many times its limit a call may last by the clock, when its thread does not get the processor. An honest guest that is slow
/// runs when nobody else wants to, which may take a while on a busy machine.
const WAIT_FACTOR: u32 = 40;
/// How many times its limit the host may work for one call: the state store's reads from disk, in the main.
const HOST_TIME_FACTOR: u32 = 10;

/// How long a call may take, and what it means when it takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallTime {
    /// Longer is the guest's fault.
    Limit(Duration),
    /// For longer the caller cannot wait.
    Moment(Duration),
}

impl CallTime {
    /// The limit, or the shorter time that the caller has.
    pub(crate) fn of(limit: Duration, at_most: Option<Duration>) -> Self {
        at_most.filter(|moment| *moment < limit).map_or(Self::Limit(limit), Self::Moment)
    }

    fn duration(self) -> Duration {
        match self {
            Self::Limit(time) | Self::Moment(time) => time,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CallClock {
    time: CallTime,
    began: Instant,
    /// How long the host has worked for the guest.
    host: Duration,
    /// At the first look: what was used until then, and the thread's processor time.
    first_look: Option<(Duration, Duration)>,
}

impl CallClock {
    /// A call begins now.
    pub(crate) fn start(time: CallTime) -> Self {
        Self { time, began: Instant::now(), host: Duration::ZERO, first_look: None }
    }

    /// How much of its time the guest has left; `None`: it must end.
    pub(crate) fn look(&mut self) -> Option<Duration> {
        let time = self.time.duration();
        let wall = self.began.elapsed().saturating_sub(self.host);
        let used = match self.time {
            CallTime::Limit(_) if wall < time * WAIT_FACTOR => self.processor(wall),
            _ => wall,
        };
        time.checked_sub(used).filter(|left| !left.is_zero())
    }

    /// What the guest has used of the processor, where the system tells.
    fn processor(&mut self, wall: Duration) -> Duration {
        let Some(now) = thread_processor_time() else { return wall };
        // The thread may have waited for most of the time before the first look.
        let (before, then) = *self.first_look.get_or_insert((wall.min(TICK * 2), now));
        (before + now.saturating_sub(then)).saturating_sub(self.host).min(wall)
    }

    /// The host has worked for the guest.
    pub(crate) fn host_worked(&mut self, time: Duration) {
        self.host += time;
    }

    /// Until when the host may go on working for the guest.
    pub(crate) fn host_deadline(&self) -> Instant {
        Instant::now() + (self.time.duration() * HOST_TIME_FACTOR).saturating_sub(self.host)
    }

    /// What it means that the time is over.
    pub(crate) fn is_up(&self) -> Fault {
        match self.time {
            CallTime::Limit(time) => Fault::Limit {
                limit: "time",
                detail: format!(
                    "this call may take {time:?}, and its calls of the host {HOST_TIME_FACTOR} times as long"
                ),
            },
            CallTime::Moment(time) => Fault::Late(time),
        }
    }
}

/// For how long the calling thread has run. Linux tells it in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn thread_processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_uses_nothing_of_a_limit_until_it_waits_too_long() {
        let mut clock = CallClock::start(CallTime::Limit(Duration::from_millis(50)));
        assert!(clock.look().is_some());
        std::thread::sleep(Duration::from_millis(80));
        assert!(clock.look().is_some(), "it did nothing");
        clock.began -= Duration::from_millis(50) * WAIT_FACTOR;
        assert_eq!(clock.look(), None, "but somebody waits");
        assert!(matches!(clock.is_up(), Fault::Limit { limit: "time", .. }));
    }

    #[test]
    fn work_uses_a_limit_and_the_hosts_work_does_not() {
        let mut clock = CallClock::start(CallTime::Limit(Duration::from_millis(30)));
        let busy = Instant::now();
        let mut looks = 0_u64;
        while clock.look().is_some() {
            looks += 1;
            assert!(busy.elapsed() < Duration::from_secs(30), "it never ended");
        }
        assert!(looks > 0);
        clock.host_worked(Duration::from_millis(20));
        assert!(clock.look().is_some());
    }

    #[test]
    fn a_moment_is_of_the_walls_clock_and_ends_late() {
        let limit = Duration::from_secs(1);
        assert_eq!(CallTime::of(limit, None), CallTime::Limit(limit));
        assert_eq!(CallTime::of(limit, Some(limit * 2)), CallTime::Limit(limit));
        let mut clock = CallClock::start(CallTime::of(limit, Some(Duration::from_millis(2))));
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!((clock.look(), clock.is_up()), (None, Fault::Late(Duration::from_millis(2))));
    }
}
