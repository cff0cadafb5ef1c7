//! One instance: its store, its clock, and what ended it.
//!
//! Invariant: an instance that has failed once is never entered again, for a trap leaves its memory anyhow.

use super::fault::{self, TEXT_BYTES};
use crate::clock::CallTime;
use crate::engine::TICK;
use crate::host::log::escaped;
use crate::host::{HostData, Purpose};
use crate::plugin::{Code, PluginInner};
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::transform::StateAccess;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Func, Lift, Lower};
use wasmtime::{Store, UpdateDeadline};

/// What the guest hands over beside its output's bytes: reasons of rejections, in the main.
const HANDOVER_SLACK_BYTES: usize = 4 << 20;

/// Ticks until a call is looked at for the first time. Most have ended by then.
const FIRST_LOOK: u64 = 1;

/// What a call of the guest comes to: its answer, or its own error; or what ended it.
pub(crate) type Called<R> = wasmtime::Result<Result<R, String>>;

/// One instance, and the memory and the clock that belong to it.
pub(crate) struct Guest {
    plugin: Arc<PluginInner>,
    store: Store<HostData>,
    failed: bool,
}

/// The functions of an instance.
pub(crate) enum Instance {
    Component(wasmtime::component::Instance),
    Flat(crate::flat::Instance),
}

impl Guest {
    /// Makes an instance; the start code of the guest runs.
    pub(super) fn new(plugin: &Arc<PluginInner>, purpose: Purpose) -> Result<(Self, Instance), Fault> {
        let limits = &plugin.engine.limits;
        let mut store = Store::new(&plugin.engine.wasmtime, HostData::new(Arc::clone(plugin), purpose));
        store.limiter(|data| &mut data.meter);
        store.set_hostcall_fuel(limits.output_bytes.saturating_add(HANDOVER_SLACK_BYTES));
        store.epoch_deadline_callback(|mut cx| match cx.data_mut().clock.look() {
            Some(left) => Ok(UpdateDeadline::Continue(ticks(left))),
            None => Err(crate::host::Stop(cx.data().clock.is_up()).into()),
        });
        let mut guest = Self { plugin: Arc::clone(plugin), store, failed: false };
        guest.begin(CallTime::Limit(limits.call_time));
        let made = match &plugin.code {
            Code::Component { pre, .. } => pre.instantiate(&mut guest.store).map(Instance::Component),
            Code::Flat(module) => module.instantiate(&mut guest.store).map(Instance::Flat),
        };
        guest.count_fuel();
        match made {
            Ok(instance) => Ok((guest, instance)),
            Err(error) => Err(fault::of_instantiation(&error, guest.store.data())),
        }
    }

    /// Enters the guest for one call.
    pub(super) fn call<R>(
        &mut self,
        time: CallTime,
        enter: impl FnOnce(&mut Store<HostData>) -> Called<R>,
    ) -> Result<R, Fault> {
        self.begin(time);
        let called = enter(&mut self.store);
        self.count_fuel();
        match called {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(Fault::Refused(escaped(&refusal, TEXT_BYTES))),
            Err(error) => Err(fault::of_call(&error, self.store.data())),
        }
    }

    /// Does `work`, which enters the guest and checks what it answers, unless the guest has failed before.
    pub(super) fn unless_failed<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R, Fault>) -> Result<R, Fault> {
        if self.failed {
            let name = &self.plugin.name;
            return Err(Fault::Host(format!("this instance of {name} has failed before; a new one must be made")));
        }
        let result = work(self);
        self.failed = result.is_err();
        result
    }

    /// The same with the state lent to the guest for as long as that.
    pub(super) fn with_state<R>(
        &mut self,
        state: Box<dyn StateAccess>,
        work: impl FnOnce(&mut Self) -> Result<R, Fault>,
    ) -> (Box<dyn StateAccess>, Result<R, Fault>) {
        self.store.data_mut().state = Some(state);
        let result = self.unless_failed(work);
        let state = self.store.data_mut().state.take().expect("a host call puts the state back before it returns");
        (state, result)
    }

    pub(super) fn data(&mut self) -> &mut HostData {
        self.store.data_mut()
    }

    /// The exported function; it was there when the module was checked.
    pub(super) fn function(
        &mut self,
        instance: &wasmtime::component::Instance,
        index: &ComponentExportIndex,
    ) -> Result<Func, Fault> {
        let function = instance.get_func(&mut self.store, index);
        function.ok_or_else(|| Fault::Host("a function of the plugin is gone since it was checked".to_owned()))
    }

    /// Whether the function has these types, told at upload.
    pub(super) fn check_type<P, R>(&self, function: Func, name: &str) -> Result<(), ModuleError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        function.typed::<P, R>(&self.store).map(|_| ()).map_err(|error| ModuleError::NoWorld {
            expected: format!("{}#{name}", self.plugin.interface),
            found: format!(
                "a function of that name with another type ({})",
                crate::compile::shown(&format!("{error:#}"))
            ),
        })
    }

    /// Starts the clock of one call.
    fn begin(&mut self, time: CallTime) {
        self.store.data_mut().begin_call(time);
        self.store.set_epoch_deadline(FIRST_LOOK);
        if self.plugin.engine.fuel {
            // Cannot fail in an engine that counts fuel. Time is what is limited, not fuel.
            let _ = self.store.set_fuel(u64::MAX);
        }
    }

    fn count_fuel(&self) {
        if self.plugin.engine.fuel {
            let used = u64::MAX - self.store.get_fuel().unwrap_or(u64::MAX);
            self.plugin.fuel_used.fetch_add(used, Ordering::Relaxed);
        }
    }
}

/// Ticks of the engine's clock in that time, rounded up. The first of them has begun already, so the guest is looked at a
/// little early, and once more.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).max(1)
}
