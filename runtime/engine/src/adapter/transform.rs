//! The kind `transform`: an instance as `pelton_api::transform::Transform`.

use super::guest::{Called, Guest, Instance};
use crate::clock::CallTime;
use crate::host::Purpose;
use crate::plugin::{Code, Exports, PluginInner};
use crate::records;
use bytes::Bytes;
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::transform::{Processed, StateAccess, Transform, TransformFactory};
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, ComponentType, Func, Lift};

/// One record that the guest refuses, in every interface that has such.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct GuestRejection {
    #[component(name = "offset-delta")]
    pub(crate) offset_delta: i32,
    #[component(name = "reason")]
    pub(crate) reason: String,
}

/// What the guest made of a batch, not yet checked.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct GuestProcessed {
    #[component(name = "output")]
    pub(crate) output: Vec<u8>,
    #[component(name = "rejected")]
    pub(crate) rejected: Vec<GuestRejection>,
}

type Configure<'a> = (&'a str, &'a [String]);
type ConfigureResult = (Result<(), String>,);
type Process<'a> = (&'a [u8],);
type ProcessResult = (Result<GuestProcessed, String>,);

/// Where a transform's two functions stand among a component's exports.
pub(crate) struct TransformExports {
    pub(crate) configure: ComponentExportIndex,
    pub(crate) process: ComponentExportIndex,
}

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
        let purpose = Purpose { stores: stores.len(), ..Purpose::default() };
        let (mut guest, calls) = open(&self.plugin, purpose)?;
        guest.call(CallTime::Limit(self.plugin.engine.limits.call_time), |store| match &calls {
            Calls::Component { configure, .. } => {
                let configure = configure.typed::<Configure<'_>, ConfigureResult>(&store)?;
                Ok(configure.call(store, (config, stores))?.0)
            }
            Calls::Flat(instance) => instance.configure_transform(store, config, stores),
        })?;
        Ok(Box::new(WasmTransform { guest, calls }))
    }
}

/// Makes an instance once, to learn at upload what would fail at every start: too much memory, a trap in
/// the start function, functions of other types.
pub(crate) fn check(plugin: &Arc<PluginInner>) -> Result<(), ModuleError> {
    let (guest, calls) = match open(plugin, Purpose::default()) {
        Ok(made) => made,
        // The host's lack of room says nothing about the module.
        Err(Fault::Host(_)) => return Ok(()),
        Err(fault) => return Err(ModuleError::Compile(format!("no instance of it can be made: {fault}"))),
    };
    if let Calls::Component { configure, process } = &calls {
        guest.check_type::<Configure<'_>, ConfigureResult>(*configure, "configure")?;
        guest.check_type::<Process<'_>, ProcessResult>(*process, "process")?;
    }
    Ok(())
}

enum Calls {
    Component { configure: Func, process: Func },
    Flat(crate::flat::Instance),
}

fn open(plugin: &Arc<PluginInner>, purpose: Purpose) -> Result<(Guest, Calls), Fault> {
    let (mut guest, instance) = Guest::new(plugin, purpose)?;
    let calls = match (instance, &plugin.code) {
        (Instance::Flat(instance), _) => Calls::Flat(instance),
        (Instance::Component(instance), Code::Component { exports: Exports::Transform(exports), .. }) => {
            let configure = guest.function(&instance, &exports.configure)?;
            let process = guest.function(&instance, &exports.process)?;
            Calls::Component { configure, process }
        }
        (Instance::Component(_), _) => return Err(Fault::Host("the plugin is no transform".to_owned())),
    };
    Ok((guest, calls))
}

/// One instance, owned by one task.
struct WasmTransform {
    guest: Guest,
    calls: Calls,
}

impl Transform for WasmTransform {
    fn process(
        &mut self,
        batch: &Bytes,
        state: Box<dyn StateAccess>,
    ) -> (Box<dyn StateAccess>, Result<Processed, Fault>) {
        let calls = &self.calls;
        self.guest.with_state(state, |guest| {
            let input = records::input(batch)?;
            let limits = guest.data().limits().clone();
            let processed = guest.call(CallTime::Limit(limits.call_time), |store| -> Called<GuestProcessed> {
                match calls {
                    Calls::Component { process, .. } => {
                        let process = process.typed::<Process<'_>, ProcessResult>(&store)?;
                        Ok(process.call(store, (batch,))?.0)
                    }
                    Calls::Flat(instance) => instance.process(store, batch),
                }
            })?;
            Ok(Processed {
                rejected: records::rejections(processed.rejected, &input)?,
                output: records::output(processed.output, limits.output_bytes)?,
            })
        })
    }
}
