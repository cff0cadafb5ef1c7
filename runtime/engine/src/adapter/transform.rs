//! The kind `transform`: an instance as `pelton_api::transform::Transform`.
//!
//! Invariant: an instance that has failed once is never entered again, for a trap leaves its memory anyhow.
//! What it answers is checked whole before anyone else reads it.

use super::fault::{self, TEXT_BYTES};
use crate::engine::TICK;
use crate::host::HostData;
use crate::host::log::escaped;
use crate::plugin::PluginInner;
use bytes::Bytes;
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::transform::{Processed, Rejection, StateAccess, Transform, TransformFactory};
use pelton_record::{BatchError, BatchView};
use std::sync::Arc;
use wasmtime::component::{ComponentType, Func, Instance, Lift};
use wasmtime::{Store, UpdateDeadline};

/// What the guest hands over beside its output's bytes: reasons of rejections, in the main.
const HANDOVER_SLACK_BYTES: usize = 4 << 20;
/// Bytes of one reason; the rest is cut.
const REASON_BYTES: usize = 1 << 10;

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct GuestRejection {
    #[component(name = "offset-delta")]
    offset_delta: i32,
    #[component(name = "reason")]
    reason: String,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct GuestProcessed {
    #[component(name = "output")]
    output: Vec<u8>,
    #[component(name = "rejected")]
    rejected: Vec<GuestRejection>,
}

type ConfigureResult = (Result<(), String>,);
type ProcessResult = (Result<GuestProcessed, String>,);

/// Makes instances of one plugin.
pub(crate) struct Factory {
    plugin: Arc<PluginInner>,
}

impl Factory {
    pub(crate) fn new(plugin: Arc<PluginInner>) -> Self {
        Self { plugin }
    }
}

impl TransformFactory for Factory {
    fn instantiate(&self, config: &str, stores: &[String]) -> Result<Box<dyn Transform>, Fault> {
        let (mut store, instance) = instantiate(&self.plugin, stores)?;
        let configure = function(&mut store, &instance, &self.plugin.exports.configure);
        let process = function(&mut store, &instance, &self.plugin.exports.process);
        let (Some(configure), Some(process)) = (configure, process) else {
            return Err(Fault::Host("the plugin's functions are gone since it was checked".to_owned()));
        };
        begin_call(&mut store);
        let answer = configure
            .typed::<(&str, &[String]), ConfigureResult>(&store)
            .and_then(|configure| configure.call(&mut store, (config, stores)));
        match answer {
            Ok((Ok(()),)) => {
                Ok(Box::new(WasmTransform { plugin: Arc::clone(&self.plugin), store, process, failed: false }))
            }
            Ok((Err(refusal),)) => Err(Fault::Refused(escaped(&refusal, TEXT_BYTES))),
            Err(error) => Err(fault::of_call(&error, store.data())),
        }
    }
}

/// Makes an instance once, to learn at upload what would fail at every start: too much memory, a trap in
/// the start function, functions of other types.
pub(crate) fn check(plugin: &Arc<PluginInner>) -> Result<(), ModuleError> {
    let (mut store, instance) = match instantiate(plugin, &[]) {
        Ok(made) => made,
        // The host's lack of room says nothing about the module.
        Err(Fault::Host(_)) => return Ok(()),
        Err(fault) => return Err(ModuleError::Compile(format!("no instance of it can be made: {fault}"))),
    };
    let configure = function(&mut store, &instance, &plugin.exports.configure)
        .and_then(|function| function.typed::<(&str, &[String]), ConfigureResult>(&store).err());
    let process = function(&mut store, &instance, &plugin.exports.process)
        .and_then(|function| function.typed::<(&[u8],), ProcessResult>(&store).err());
    for (name, mismatch) in [("configure", configure), ("process", process)] {
        if let Some(error) = mismatch {
            return Err(ModuleError::NoWorld {
                expected: format!("{}#{name}", plugin.interface),
                found: format!(
                    "a function of that name with another type ({})",
                    crate::compile::shown(&format!("{error:#}"))
                ),
            });
        }
    }
    Ok(())
}

fn instantiate(plugin: &Arc<PluginInner>, stores: &[String]) -> Result<(Store<HostData>, Instance), Fault> {
    let limits = &plugin.engine.limits;
    let mut store = Store::new(&plugin.engine.wasmtime, HostData::new(limits, plugin.log.clone(), stores));
    store.limiter(|data| &mut data.meter);
    store.set_hostcall_fuel(limits.output_bytes.saturating_add(HANDOVER_SLACK_BYTES));
    store.epoch_deadline_callback(|cx| match cx.data().time_left() {
        Some(left) => Ok(UpdateDeadline::Continue(ticks(left))),
        None => Err(crate::host::Stop(cx.data().time_is_up()).into()),
    });
    begin_call(&mut store);
    match plugin.pre.instantiate(&mut store) {
        Ok(instance) => Ok((store, instance)),
        Err(error) => Err(fault::of_instantiation(&error, store.data())),
    }
}

fn function(
    store: &mut Store<HostData>,
    instance: &Instance,
    index: &wasmtime::component::ComponentExportIndex,
) -> Option<Func> {
    instance.get_func(store, index)
}

/// Starts the clock of one call.
fn begin_call(store: &mut Store<HostData>) {
    store.data_mut().begin_call();
    let call_time = store.data().limits.call_time;
    store.set_epoch_deadline(ticks(call_time));
}

/// Ticks of the engine's clock in that time, rounded up, and one for the tick that has begun.
fn ticks(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// One instance, owned by one task.
struct WasmTransform {
    plugin: Arc<PluginInner>,
    store: Store<HostData>,
    process: Func,
    failed: bool,
}

impl Transform for WasmTransform {
    fn process(
        &mut self,
        batch: &Bytes,
        state: Box<dyn StateAccess>,
    ) -> (Box<dyn StateAccess>, Result<Processed, Fault>) {
        if self.failed {
            let name = &self.plugin.name;
            let fault = Fault::Host(format!("this instance of {name} has failed before; a new one must be made"));
            return (state, Err(fault));
        }
        self.store.data_mut().state = Some(state);
        let result = self.call(batch);
        self.failed = result.is_err();
        let state = self.store.data_mut().state.take().expect("a host call puts the state back before it returns");
        (state, result)
    }
}

impl WasmTransform {
    fn call(&mut self, batch: &[u8]) -> Result<Processed, Fault> {
        let header = match BatchView::parse(batch) {
            Ok(view) => *view.header(),
            Err(error) => return Err(Fault::Host(format!("the input is no record batch: {error}"))),
        };
        begin_call(&mut self.store);
        let answer = self
            .process
            .typed::<(&[u8],), ProcessResult>(&self.store)
            .and_then(|process| process.call(&mut self.store, (batch,)));
        match answer {
            Ok((Ok(processed),)) => {
                let rejected = rejections(processed.rejected, header.record_count, header.last_offset_delta)?;
                Ok(Processed { output: self.output(processed.output)?, rejected })
            }
            Ok((Err(refusal),)) => Err(Fault::Refused(escaped(&refusal, TEXT_BYTES))),
            Err(error) => Err(fault::of_call(&error, self.store.data())),
        }
    }

    /// The output, when it is one whole uncompressed batch of data records; empty when it has none.
    fn output(&self, output: Vec<u8>) -> Result<Bytes, Fault> {
        let allowed = self.store.data().limits.output_bytes;
        if output.len() > allowed {
            let detail = format!("one call may emit {allowed} bytes, not {}", output.len());
            return Err(Fault::Limit { limit: "output", detail });
        }
        if output.is_empty() {
            return Ok(Bytes::new());
        }
        let records = checked_records(&output).map_err(|error| Fault::Malformed(format!("its output: {error}")))?;
        Ok(if records == 0 { Bytes::new() } else { Bytes::from(output) })
    }
}

/// How many records the batch has, each of them read to its end.
fn checked_records(output: &[u8]) -> Result<i32, String> {
    let said = |error: BatchError| error.to_string();
    let view = BatchView::parse(output).map_err(said)?;
    if view.bytes().len() != output.len() {
        return Err(format!("{} bytes follow the batch", output.len() - view.bytes().len()));
    }
    if view.header().attributes.is_control() {
        return Err("a control batch".to_owned());
    }
    for record in view.records().map_err(said)? {
        for header in record.map_err(said)?.headers() {
            header.map_err(said)?;
        }
    }
    Ok(view.header().record_count)
}

/// The rejections, when they are of this batch: none twice, none of a record that it cannot have.
fn rejections(
    rejected: Vec<GuestRejection>,
    record_count: i32,
    last_offset_delta: i32,
) -> Result<Vec<Rejection>, Fault> {
    if i32::try_from(rejected.len()).is_ok_and(|count| count <= record_count) {
        let mut seen = std::collections::BTreeSet::new();
        let foreign = rejected.iter().find(|rejection| {
            let delta = rejection.offset_delta;
            !(0..=last_offset_delta).contains(&delta) || !seen.insert(delta)
        });
        if let Some(rejection) = foreign {
            let delta = rejection.offset_delta;
            return Err(Fault::Malformed(format!(
                "it rejects offset delta {delta}, which is not in the batch or was rejected already"
            )));
        }
        let bounded = |rejection: GuestRejection| Rejection {
            offset_delta: rejection.offset_delta,
            reason: escaped(&rejection.reason, REASON_BYTES),
        };
        return Ok(rejected.into_iter().map(bounded).collect());
    }
    Err(Fault::Malformed(format!("it rejects {} records of {record_count}", rejected.len())))
}
