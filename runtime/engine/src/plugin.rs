//! A compiled plugin: checked, and ready to be instantiated.

use crate::adapter;
use crate::adapter::interceptor::InterceptorExports;
use crate::adapter::partitioner::PartitionerExports;
use crate::adapter::transform::TransformExports;
use crate::engine::Inner;
use crate::host::HostData;
use crate::host::log::Lines;
use pelton_api::interceptor::InterceptorFactory;
use pelton_api::manifest::{ModuleFacts, PluginKind, PluginRef};
use pelton_api::partitioner::PartitionerFactory;
use pelton_api::transform::TransformFactory;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::InstancePre;

/// A compiled plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<PluginInner>,
    pub(crate) facts: Arc<ModuleFacts>,
}

/// What all instances of a plugin share.
pub(crate) struct PluginInner {
    pub(crate) name: PluginRef,
    pub(crate) kind: PluginKind,
    pub(crate) interface: String,
    pub(crate) engine: Arc<Inner>,
    pub(crate) code: Code,
    pub(crate) lines: Lines,
    /// Of all calls that have ended; stays 0 in an engine that does not count.
    pub(crate) fuel_used: AtomicU64,
}

/// The code of a plugin, by the form in which it speaks the contract.
pub(crate) enum Code {
    /// `sdk/wit/plugin.wit`.
    Component { pre: InstancePre<HostData>, exports: Exports },
    /// `sdk/wit/FLAT.md`.
    Flat(crate::flat::Module),
}

/// Where the functions of the exported interface stand among a component's exports.
pub(crate) enum Exports {
    Transform(TransformExports),
    Interceptor(InterceptorExports),
    Partitioner(PartitionerExports),
}

impl Plugin {
    /// Name and version.
    pub fn name(&self) -> &PluginRef {
        &self.inner.name
    }

    /// Kind, interface, imports, and what the plugin says of itself.
    pub fn facts(&self) -> &ModuleFacts {
        &self.facts
    }

    /// Makes instances of it as a step of a stream job. `None`: it is of another kind.
    pub fn transform(&self) -> Option<Arc<dyn TransformFactory>> {
        (self.inner.kind == PluginKind::Transform)
            .then(|| Arc::new(adapter::transform::Factory::new(Arc::clone(&self.inner))) as Arc<dyn TransformFactory>)
    }

    /// Makes instances of it as an interceptor. `None`: it is of another kind.
    pub fn interceptor(&self) -> Option<Arc<dyn InterceptorFactory>> {
        let wants = self.facts.wants?;
        let has_state = self.facts.imports.iter().any(|import| import == "state");
        let factory = adapter::interceptor::Factory::new(Arc::clone(&self.inner), wants, has_state);
        Some(Arc::new(factory))
    }

    /// Makes instances of it as a partitioner. `None`: it is of another kind.
    pub fn partitioner(&self) -> Option<Arc<dyn PartitionerFactory>> {
        let reads = self.facts.reads?;
        Some(Arc::new(adapter::partitioner::Factory::new(Arc::clone(&self.inner), reads)))
    }

    /// Fuel that all calls of all its instances have used so far, roughly one for each instruction. 0 in an engine that was set
    /// up without [`EngineConfig::fuel`](crate::EngineConfig::fuel).
    pub fn fuel_used(&self) -> u64 {
        self.inner.fuel_used.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.inner.name).field("facts", &self.facts).finish_non_exhaustive()
    }
}
