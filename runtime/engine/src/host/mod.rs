//! What a guest may ask: one file for each interface of `sdk/wit/plugin.wit`.
//!
//! Each file has the plain methods of [`HostData`] that answer, which components and flat modules share, and `add_to`, which
//! binds them to a component's imports.
//!
//! Invariant: what a world does not grant is refused here too, not only when a component is linked: a flat module
//! asks for everything by one import.

pub(crate) mod emit;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod state;
pub(crate) mod time;

use crate::clock::{CallClock, CallTime};
use crate::limits::{Limits, Meter};
use crate::plugin::PluginInner;
use pelton_api::fault::Fault;
use pelton_api::hooks::Emission;
use pelton_api::manifest::PluginKind;
use pelton_api::transform::StateAccess;
use std::sync::Arc;
use wasmtime::component::Linker;

/// Interfaces of the contract; every 0.1.x of them is served.
const PACKAGE: &str = "pelton:plugin/";
const TRACK: &str = "0.1.";

/// What an instance may ask of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    Log,
    Metrics,
    State,
    Emit,
    Clock,
    Random,
}

impl Grant {
    const ALL: [Self; 6] = [Self::Log, Self::Metrics, Self::State, Self::Emit, Self::Clock, Self::Random];

    /// The name of the interface in the contract.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::State => "state",
            Self::Emit => "emit",
            Self::Clock => "clock",
            Self::Random => "random",
        }
    }

    /// Whether plugins of that kind have it.
    pub(crate) fn is_for(self, kind: PluginKind) -> bool {
        match kind {
            PluginKind::Interceptor => true,
            PluginKind::Transform => matches!(self, Self::Log | Self::Metrics | Self::State),
            PluginKind::Partitioner => matches!(self, Self::Log | Self::Metrics),
        }
    }

    /// The grant that an import of a component asks for: `pelton:plugin/log@0.1.1`. `None`: the host has no such interface.
    pub(crate) fn of_import(import: &str) -> Option<Self> {
        let (name, version) = import.strip_prefix(PACKAGE)?.split_once('@')?;
        let served = version.starts_with(TRACK);
        Self::ALL.into_iter().find(|grant| served && grant.name() == name)
    }
}

/// Everything that the host gives, for the components of an engine.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostData>> {
    let mut linker = Linker::new(engine);
    log::add_to(&mut linker)?;
    metrics::add_to(&mut linker)?;
    state::add_to(&mut linker)?;
    emit::add_to(&mut linker)?;
    time::add_to(&mut linker)?;
    Ok(linker)
}

/// What an instance is made for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Purpose {
    /// Label of its numbers; empty where an instance belongs to no topic.
    pub(crate) topic: Arc<str>,
    /// How many state stores it has.
    pub(crate) stores: usize,
    /// Topics to which it may emit.
    pub(crate) emit: Arc<[Arc<str>]>,
}

/// What the host keeps for one instance.
pub(crate) struct HostData {
    pub(crate) plugin: Arc<PluginInner>,
    pub(crate) meter: Meter,
    pub(crate) purpose: Purpose,
    /// Lent for the time of one call about records.
    pub(crate) state: Option<Box<dyn StateAccess>>,
    /// What the guest has put into its stores during this call.
    pub(crate) state_written_bytes: usize,
    /// Batches for other topics, of this call. `None` outside of a hook.
    pub(crate) emitted: Option<emit::Emitted>,
    /// Of the call that has begun.
    pub(crate) clock: CallClock,
    /// What the host of a flat module keeps for it.
    pub(crate) flat: Option<crate::flat::Guest>,
}

impl HostData {
    pub(crate) fn new(plugin: Arc<PluginInner>, purpose: Purpose) -> Self {
        let limits = &plugin.engine.limits;
        Self {
            meter: Meter::new(limits),
            purpose,
            state: None,
            state_written_bytes: 0,
            emitted: None,
            clock: CallClock::start(CallTime::Limit(limits.call_time)),
            flat: None,
            plugin,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.plugin.engine.limits
    }

    /// Starts the clocks and counters of one call.
    pub(crate) fn begin_call(&mut self, time: CallTime) {
        self.state_written_bytes = 0;
        self.emitted = None;
        self.clock = CallClock::start(time);
    }

    /// Lets the guest emit during the call that has begun.
    pub(crate) fn let_emit(&mut self) {
        self.emitted = Some(emit::Emitted::default());
    }

    /// What the guest emitted during the call, in its order.
    pub(crate) fn take_emitted(&mut self) -> Vec<Emission> {
        self.emitted.take().map(emit::Emitted::into_batches).unwrap_or_default()
    }

    /// Stops a guest that asks for what its world does not grant.
    pub(crate) fn granted(&self, grant: Grant) -> Result<(), Stop> {
        let kind = self.plugin.kind;
        if grant.is_for(kind) {
            return Ok(());
        }
        Err(Stop::malformed(format!("it asks for `{}`, which is not granted to a {kind}", grant.name())))
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

    pub(crate) fn limit(limit: &'static str, detail: impl Into<String>) -> Self {
        Self(Fault::Limit { limit, detail: detail.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_told_by_name_and_version() {
        assert_eq!(Grant::of_import("pelton:plugin/log@0.1.0"), Some(Grant::Log));
        assert_eq!(Grant::of_import("pelton:plugin/random@0.1.7"), Some(Grant::Random));
        for foreign in
            ["pelton:plugin/log@0.2.0", "pelton:plugin/log", "pelton:plugin/disk@0.1.0", "wasi:cli/exit@0.1.0"]
        {
            assert_eq!(Grant::of_import(foreign), None, "{foreign}");
        }
        assert!(!Grant::Clock.is_for(PluginKind::Partitioner) && !Grant::Emit.is_for(PluginKind::Transform));
    }
}
