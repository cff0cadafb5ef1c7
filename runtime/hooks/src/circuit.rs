//! One plugin of one topic as seen from outside: its breakers, its counters, its last fault, and who is told.

use crate::breaker::{Admission, Breaker, BreakerSettings, BreakerState, Ended, Transition};
use crate::library::{Event, Events};
use crate::report::{Counters, FaultReport, LinkReport, count};
use pelton_api::fault::Fault;
use pelton_api::interceptor::{Hook, HookSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Longest fault that is kept, in bytes.
const MAX_FAULT_BYTES: usize = 1024;
/// The least time between two events about faults of one plugin on one topic.
const EVENT_PAUSE_MS: u64 = 1000;

/// The time, in milliseconds since the Unix epoch: read once from the system, and from then on never going back.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's.
    System {
        /// When the clock was made.
        start: Instant,
        /// What time it was then.
        start_ms: u64,
    },
    /// One that its owner sets.
    Manual(Arc<AtomicU64>),
}

impl Default for Clock {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::System { start: Instant::now(), start_ms: since_epoch.as_millis() as u64 }
    }
}

impl Clock {
    /// The time.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System { start, start_ms } => start_ms + start.elapsed().as_millis() as u64,
            Self::Manual(now_ms) => now_ms.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug, Default)]
struct Faults {
    last: Option<FaultReport>,
    event_at_ms: Option<u64>,
    unreported: u64,
}

/// See the module.
pub(crate) struct Circuit {
    pub(crate) topic: Arc<str>,
    /// `mask@1`.
    pub(crate) plugin: Arc<str>,
    pub(crate) digest: String,
    pub(crate) counters: Counters,
    settings: BreakerSettings,
    /// One for each hook: what works at one of them says nothing of another.
    breakers: [Mutex<Breaker>; Hook::ALL.len()],
    faults: Mutex<Faults>,
    events: Arc<dyn Events>,
    clock: Clock,
}

impl Circuit {
    pub(crate) fn new(
        topic: Arc<str>,
        plugin: Arc<str>,
        digest: String,
        settings: BreakerSettings,
        events: Arc<dyn Events>,
        clock: Clock,
    ) -> Self {
        Self {
            topic,
            plugin,
            digest,
            counters: Counters::default(),
            settings,
            breakers: Hook::ALL.map(|_| Mutex::new(Breaker::new(settings))),
            faults: Mutex::default(),
            events,
            clock,
        }
    }

    /// Whether to call the plugin now.
    pub(crate) fn admit(&self, hook: Hook) -> Admission {
        let admission = self.breaker(hook).admit(self.clock.now_ms());
        if admission == Admission::Open {
            count(&self.counters.of(hook).bypassed, 1);
        }
        admission
    }

    /// Counts the time that a call took.
    pub(crate) fn busy(&self, hook: Hook, time: Duration) {
        let of = self.counters.of(hook);
        count(&of.calls, 1);
        count(&of.busy_ns, time.as_nanos() as u64);
    }

    /// An admitted call ended well.
    pub(crate) fn well(&self, admission: Admission, hook: Hook) {
        if self.end(admission, hook, Ended::Well) == Some(Transition::Closed) {
            self.events.event(Event::BreakerClosed { topic: self.topic.clone(), plugin: self.plugin.clone() });
        }
    }

    /// An admitted call ended in a way that says nothing of the plugin: over bytes that nobody could have read, or because the caller
    /// could wait no longer.
    pub(crate) fn neither(&self, admission: Admission, hook: Hook) {
        self.end(admission, hook, Ended::Neither);
    }

    /// An admitted call failed.
    pub(crate) fn fault(&self, admission: Admission, hook: Hook, fault: &Fault) {
        count(&self.counters.of(hook).faults, 1);
        let text = shortened(&fault.to_string(), MAX_FAULT_BYTES).to_owned();
        let unreported = self.note(hook, &text);
        let (topic, plugin) = (self.topic.clone(), self.plugin.clone());
        if let Some(unreported) = unreported {
            self.events.event(Event::Fault {
                topic: topic.clone(),
                plugin: plugin.clone(),
                hook,
                fault: text,
                unreported,
            });
        }
        if let Some(Transition::Opened(faults)) = self.end(admission, hook, Ended::Fault) {
            let (open, pause_ms) = (self.settings.open, self.settings.pause_ms);
            self.events.event(Event::BreakerOpened { topic, plugin, faults, open, pause_ms });
        }
    }

    pub(crate) fn report(&self, hooks: HookSet, state_bytes: usize) -> LinkReport {
        LinkReport {
            plugin: self.plugin.to_string(),
            digest: self.digest.clone(),
            breaker: self.worst(hooks),
            hooks: hooks.iter().map(|hook| self.counters.report(hook)).collect(),
            state_bytes: state_bytes as u64,
            last_fault: self.faults.lock().unwrap_or_else(PoisonError::into_inner).last.clone(),
        }
    }

    fn end(&self, admission: Admission, hook: Hook, ended: Ended) -> Option<Transition> {
        self.breaker(hook).ended(admission, ended, self.clock.now_ms())
    }

    /// The state of the breaker that is furthest from closed.
    fn worst(&self, hooks: HookSet) -> BreakerState {
        let states: Vec<BreakerState> = hooks.iter().map(|hook| self.breaker(hook).state()).collect();
        let worse = [BreakerState::Open, BreakerState::HalfOpen];
        worse.into_iter().find(|state| states.contains(state)).unwrap_or(BreakerState::Closed)
    }

    /// Keeps the fault for the report. Gives how many were not told of, when it is time to tell again.
    fn note(&self, hook: Hook, text: &str) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.last = Some(FaultReport { text: text.to_owned(), hook, at_ms: now_ms as i64 });
        if faults.event_at_ms.is_some_and(|at| now_ms < at.saturating_add(EVENT_PAUSE_MS)) {
            faults.unreported += 1;
            return None;
        }
        faults.event_at_ms = Some(now_ms);
        Some(std::mem::take(&mut faults.unreported))
    }

    fn breaker(&self, hook: Hook) -> std::sync::MutexGuard<'_, Breaker> {
        self.breakers[hook as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The front of `text`, at most `most` bytes of it, cut between characters.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
