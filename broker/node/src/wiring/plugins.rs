//! Plugins: the registry keeps their bytes, the engine makes code of them, and the jobs run it.
//!
//! Compiling takes from a fraction of a second to a minute, so [`Plugins::upload`] and [`Plugins::load`] are
//! synchronous and belong on a blocking thread.

use pelton_api::fault::ModuleError;
use pelton_api::manifest::{PluginManifest, PluginRef};
use pelton_api::transform::TransformFactory;
use pelton_engine::{Engine, Plugin};
use pelton_registry::{Registry, RegistryError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The plugins of this node.
pub struct Plugins {
    engine: Engine,
    registry: Registry,
    compiled: Mutex<BTreeMap<PluginRef, Plugin>>,
    max_bytes: usize,
}

/// Why a plugin was not taken or cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The module is refused.
    #[error("{0}")]
    Module(#[from] ModuleError),
    /// The registry refused, or could not write.
    #[error("{0}")]
    Registry(#[from] RegistryError),
}

impl Plugins {
    /// Over this engine and registry; modules of more than `max_bytes` are refused.
    pub fn new(engine: Engine, registry: Registry, max_bytes: usize) -> Self {
        Self { engine, registry, compiled: Mutex::new(BTreeMap::new()), max_bytes }
    }

    /// The largest module that is taken.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Compiles a module, and keeps it under `plugin` when it is one. Blocks.
    ///
    /// # Errors
    /// [`PluginError`] with what is wrong with the module, or that the name and version belong to other bytes.
    pub fn upload(&self, plugin: &PluginRef, bytes: &[u8]) -> Result<PluginManifest, PluginError> {
        if bytes.len() > self.max_bytes {
            let refused = ModuleError::TooLarge { size_bytes: bytes.len(), limit_bytes: self.max_bytes };
            return Err(refused.into());
        }
        let compiled = self.engine.compile(plugin, bytes)?;
        let (kind, interface) = (compiled.kind(), compiled.interface().to_owned());
        let manifest = self.registry.add(plugin.clone(), bytes, kind, &interface, now_ms())?;
        held(&self.compiled).insert(plugin.clone(), compiled);
        Ok(manifest)
    }

    /// Makes a registered plugin ready to run, from the compile cache where it can. Blocks. `false` when the
    /// plugin is not registered.
    ///
    /// # Errors
    /// [`PluginError`] when its bytes are damaged or do not compile any more.
    pub fn load(&self, plugin: &PluginRef) -> Result<bool, PluginError> {
        if held(&self.compiled).contains_key(plugin) {
            return Ok(true);
        }
        let bytes = match self.registry.bytes(plugin) {
            Err(RegistryError::Unknown { .. }) => return Ok(false),
            bytes => bytes?,
        };
        let compiled = self.engine.compile(plugin, &bytes)?;
        held(&self.compiled).insert(plugin.clone(), compiled);
        Ok(true)
    }

    /// What is wrong with the entries on disk that cannot be used, one text for each.
    pub fn damaged(&self) -> Vec<String> {
        self.registry.damaged()
    }

    /// What is registered, by name and version.
    pub fn list(&self) -> Vec<PluginManifest> {
        self.registry.list()
    }
}

impl pelton_jobs::Plugins for Plugins {
    fn transform(&self, plugin: &PluginRef) -> Option<Arc<dyn TransformFactory>> {
        held(&self.compiled).get(plugin).map(Plugin::transform)
    }
}

/// The value, also after a panic elsewhere: every write to it is a single insertion.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
