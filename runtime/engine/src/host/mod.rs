//! What a guest may import: one file for each interface of `sdk/wit/plugin.wit`.

pub(crate) mod log;
pub(crate) mod state;

use crate::limits::{Limits, Meter};
use pelton_api::fault::Fault;
use pelton_api::transform::StateAccess;
use std::time::{Duration, Instant};
use wasmtime::component::Linker;

/// The imports that the host gives, each in any version 0.1.x.
const PROVIDED: [&str; 2] = ["pelton:plugin/log@0.1.", "pelton:plugin/state@0.1."];

/// Whether the host gives the interface of that name.
pub(crate) fn provides(import: &str) -> bool {
    PROVIDED.iter().any(|track| import.starts_with(track))
}

/// Everything that the host gives, for all plugins of an engine.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostData>> {
    let mut linker = Linker::new(engine);
    log::add_to(&mut linker)?;
    state::add_to(&mut linker)?;
    Ok(linker)
}

/// What the host keeps for one instance.
pub(crate) struct HostData {
    pub(crate) meter: Meter,
    pub(crate) limits: Limits,
    pub(crate) log: log::LogSink,
    /// Names of the step's stores; a guest numbers them in this order.
    pub(crate) stores: Vec<String>,
    /// Lent for the time of one `process`.
    pub(crate) state: Option<Box<dyn StateAccess>>,
    /// What the guest has put into its stores during this call.
    pub(crate) state_written_bytes: usize,
    /// When the call began, and how long the host has worked for it since.
    pub(crate) call_began: Instant,
    pub(crate) host_time: Duration,
}

impl HostData {
    pub(crate) fn new(limits: &Limits, log: log::LogSink, stores: &[String]) -> Self {
        Self {
            meter: Meter::new(limits),
            limits: limits.clone(),
            log,
            stores: stores.to_vec(),
            state: None,
            state_written_bytes: 0,
            call_began: Instant::now(),
            host_time: Duration::ZERO,
        }
    }

    /// Starts the clocks and counters of one call.
    pub(crate) fn begin_call(&mut self) {
        self.state_written_bytes = 0;
        self.call_began = Instant::now();
        self.host_time = Duration::ZERO;
    }

    /// How much of its time the guest has left in this call. The state store's time is not the guest's.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let used = self.call_began.elapsed().saturating_sub(self.host_time);
        self.limits.call_time.checked_sub(used).filter(|left| !left.is_zero())
    }

    pub(crate) fn time_is_up(&self) -> Fault {
        Fault::Limit { limit: "time", detail: format!("a call may take {:?}", self.limits.call_time) }
    }
}

/// A fault on its way out of a host function: wasmtime ends the guest with it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Stop(pub(crate) Fault);

impl Stop {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self(Fault::Malformed(what.into()))
    }
}
