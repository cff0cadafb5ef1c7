//! A compiled plugin: checked, and ready to be instantiated.

use crate::adapter::transform::Factory;
use crate::engine::Inner;
use crate::host::HostData;
use crate::host::log::LogSink;
use pelton_api::manifest::{PluginKind, PluginRef};
use pelton_api::transform::TransformFactory;
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, InstancePre};

/// A compiled plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<PluginInner>,
}

pub(crate) struct PluginInner {
    pub(crate) name: PluginRef,
    pub(crate) kind: PluginKind,
    pub(crate) interface: String,
    pub(crate) engine: Arc<Inner>,
    pub(crate) pre: InstancePre<HostData>,
    pub(crate) exports: TransformExports,
    pub(crate) log: LogSink,
}

/// Where a transform's two functions stand among its exports.
pub(crate) struct TransformExports {
    pub(crate) configure: ComponentExportIndex,
    pub(crate) process: ComponentExportIndex,
}

impl Plugin {
    /// Name and version.
    pub fn name(&self) -> &PluginRef {
        &self.inner.name
    }

    /// Which world it implements.
    pub fn kind(&self) -> PluginKind {
        self.inner.kind
    }

    /// The interface that it exports, with its version.
    pub fn interface(&self) -> &str {
        &self.inner.interface
    }

    /// Makes instances of it as a transform.
    pub fn transform(&self) -> Arc<dyn TransformFactory> {
        Arc::new(Factory::new(Arc::clone(&self.inner)))
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.inner.name)
            .field("interface", &self.inner.interface)
            .finish_non_exhaustive()
    }
}
