//! An interceptor that writes down what the one inside of it answers, how long that took and what it cost.
//!
//! The chain above it decides as in the broker; what it decides by is read here.

use pelton_api::fault::Fault;
use pelton_api::interceptor::{Answered, Call, Interceptor, InterceptorFactory, Wants};
use pelton_api::transform::{Rejection, StateAccess};
use pelton_engine::Plugin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the last call gave.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    /// Whether it was called at all.
    pub called: bool,
    /// Records that it refused.
    pub rejected: Vec<Rejection>,
    /// How it failed.
    pub fault: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Fuel that it used.
    pub fuel: u64,
}

/// Where calls are written down.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Tape>>);

impl Recorder {
    /// Takes what was written down since the last time.
    pub fn take(&self) -> Tape {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes recorded instances.
pub struct Recorded {
    /// Makes the instances inside.
    pub inner: Arc<dyn InterceptorFactory>,
    /// Whose fuel is read.
    pub plugin: Plugin,
    /// Where calls are written down.
    pub recorder: Recorder,
}

impl InterceptorFactory for Recorded {
    fn wants(&self) -> Wants {
        self.inner.wants()
    }

    fn has_state(&self) -> bool {
        self.inner.has_state()
    }

    fn instantiate(&self, topic: &str, config: &str, emit: &[String]) -> Result<Box<dyn Interceptor>, Fault> {
        let inner = self.inner.instantiate(topic, config, emit)?;
        Ok(Box::new(Instance { inner, plugin: self.plugin.clone(), recorder: self.recorder.clone() }))
    }
}

struct Instance {
    inner: Box<dyn Interceptor>,
    plugin: Plugin,
    recorder: Recorder,
}

impl Interceptor for Instance {
    fn call(
        &mut self,
        call: Call<'_>,
        state: Box<dyn StateAccess>,
        at_most: Option<Duration>,
    ) -> (Box<dyn StateAccess>, Result<Answered, Fault>) {
        let (fuel, started) = (self.plugin.fuel_used(), Instant::now());
        let (state, answered) = self.inner.call(call, state, at_most);
        let mut tape = self.recorder.lock();
        tape.called = true;
        tape.took += started.elapsed();
        tape.fuel += self.plugin.fuel_used().saturating_sub(fuel);
        match &answered {
            Ok(answered) => tape.rejected.extend(answered.rejected.iter().cloned()),
            Err(fault) => tape.fault = Some(fault.to_string()),
        }
        drop(tape);
        (state, answered)
    }
}
