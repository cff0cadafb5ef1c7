//! The kind `partitioner`: an instance as `pelton_api::partitioner::Partitioner`.

use super::guest::{Guest, Instance};
use crate::clock::CallTime;
use crate::host::Purpose;
use crate::plugin::{Code, Exports, PluginInner};
use crate::records;
use bytes::Bytes;
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::interceptor::Parts;
use pelton_api::partitioner::{Partitioner, PartitionerFactory};
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, Func};

wasmtime::component::flags! {
    GuestParts {
        #[component(name = "key")]
        const KEY;
        #[component(name = "value")]
        const VALUE;
        #[component(name = "headers")]
        const HEADERS;
    }
}

impl From<GuestParts> for Parts {
    fn from(parts: GuestParts) -> Self {
        Self {
            key: parts.contains(GuestParts::KEY),
            value: parts.contains(GuestParts::VALUE),
            headers: parts.contains(GuestParts::HEADERS),
        }
    }
}

type DescribeResult = (GuestParts,);
type Configure<'a> = (&'a str,);
type ConfigureResult = (Result<(), String>,);
type Partition<'a> = (&'a [u8], &'a str, i32);
type PartitionResult = (Result<Vec<i32>, String>,);

/// Where a partitioner's functions stand among a component's exports.
pub(crate) struct PartitionerExports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) configure: ComponentExportIndex,
    pub(crate) partition: ComponentExportIndex,
}

/// Makes instances of one plugin.
pub(crate) struct Factory {
    plugin: Arc<PluginInner>,
    reads: Parts,
}

impl Factory {
    pub(crate) fn new(plugin: Arc<PluginInner>, reads: Parts) -> Self {
        Self { plugin, reads }
    }
}

impl PartitionerFactory for Factory {
    fn reads(&self) -> Parts {
        self.reads
    }

    fn instantiate(&self, config: &str) -> Result<Box<dyn Partitioner>, Fault> {
        let (mut guest, calls) = open(&self.plugin)?;
        guest.call(CallTime::Limit(self.plugin.engine.limits.call_time), |store| match &calls {
            Calls::Component { configure, .. } => {
                let configure = configure.typed::<Configure<'_>, ConfigureResult>(&store)?;
                Ok(configure.call(store, (config,))?.0)
            }
            Calls::Flat(instance) => instance.configure(store, config),
        })?;
        Ok(Box::new(WasmPartitioner { guest, calls }))
    }
}

/// Makes an instance once, at upload: its functions have the right types, and it says what it reads.
pub(crate) fn describe(plugin: &Arc<PluginInner>) -> Result<Parts, ModuleError> {
    let (mut guest, calls) = open(plugin).map_err(ModuleError::Describe)?;
    if let Calls::Component { describe, configure, partition } = &calls {
        guest.check_type::<(), DescribeResult>(*describe, "describe")?;
        guest.check_type::<Configure<'_>, ConfigureResult>(*configure, "configure")?;
        guest.check_type::<Partition<'_>, PartitionResult>(*partition, "partition")?;
    }
    let described = guest.call(CallTime::Limit(plugin.engine.limits.call_time), |store| match &calls {
        Calls::Component { describe, .. } => {
            Ok(Ok(describe.typed::<(), DescribeResult>(&store)?.call(store, ())?.0.into()))
        }
        Calls::Flat(instance) => instance.describe_partitioner(store),
    });
    described.map_err(ModuleError::Describe)
}

enum Calls {
    Component { describe: Func, configure: Func, partition: Func },
    Flat(crate::flat::Instance),
}

fn open(plugin: &Arc<PluginInner>) -> Result<(Guest, Calls), Fault> {
    let (mut guest, instance) = Guest::new(plugin, Purpose::default())?;
    let calls = match (instance, &plugin.code) {
        (Instance::Flat(instance), _) => Calls::Flat(instance),
        (Instance::Component(instance), Code::Component { exports: Exports::Partitioner(exports), .. }) => {
            Calls::Component {
                describe: guest.function(&instance, &exports.describe)?,
                configure: guest.function(&instance, &exports.configure)?,
                partition: guest.function(&instance, &exports.partition)?,
            }
        }
        (Instance::Component(_), _) => return Err(Fault::Host("the plugin is no partitioner".to_owned())),
    };
    Ok((guest, calls))
}

/// One instance.
struct WasmPartitioner {
    guest: Guest,
    calls: Calls,
}

impl Partitioner for WasmPartitioner {
    fn partition(&mut self, batch: &Bytes, topic: &str, partitions: i32) -> Result<Vec<i32>, Fault> {
        let calls = &self.calls;
        self.guest.unless_failed(|guest| {
            let count = records::input(batch)?.header().record_count;
            let call_time = guest.data().limits().hook_time(count.unsigned_abs() as usize);
            let answer = guest.call(CallTime::Limit(call_time), |store| match calls {
                Calls::Component { partition, .. } => {
                    let partition = partition.typed::<Partition<'_>, PartitionResult>(&store)?;
                    Ok(partition.call(store, (batch, topic, partitions))?.0)
                }
                Calls::Flat(instance) => instance.partition(store, batch, topic, partitions),
            })?;
            records::partitions(answer, count, partitions)
        })
    }
}
