//! Plugins: the registry keeps their bytes, the engine makes code of them, and chains and jobs run it.
//!
//! Compiling takes from a fraction of a second to a minute, so [`Plugins::upload`] and [`Plugins::load`] are
//! synchronous and belong on a blocking thread.
//!
//! Invariant: code runs only when the registry's policy admits it, by what the engine itself found in the module.

use pelton_api::fault::ModuleError;
use pelton_api::manifest::{PluginManifest, PluginRef, Provenance};
use pelton_engine::{Engine, Plugin};
use pelton_registry::{Registry, RegistryError, Upload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of the transform that the jobs bring themselves: it passes records on as they are.
pub const PASS: &str = "pelton-pass";

/// The plugins of this node.
pub struct Plugins {
    engine: Engine,
    registry: Registry,
    /// By name, with the digest of the bytes: a name that was deleted may come back with others.
    compiled: Mutex<BTreeMap<PluginRef, (String, Plugin)>>,
    /// About to be deleted: nobody may begin to use them.
    leaving: Mutex<BTreeSet<PluginRef>>,
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
    /// Its name belongs to the broker.
    #[error("the plugin {0} is built in; choose another name")]
    BuiltIn(PluginRef),
    /// It is being deleted.
    #[error("the plugin {0} is being deleted")]
    Leaving(PluginRef),
}

impl Plugins {
    /// Over this engine and registry; modules of more than `max_bytes` are refused.
    pub fn new(engine: Engine, registry: Registry, max_bytes: usize) -> Self {
        let (compiled, leaving) = (Mutex::default(), Mutex::default());
        Self { engine, registry, compiled, leaving, max_bytes }
    }

    /// The largest module that is taken.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Compiles a module, and keeps it under `plugin` when it is one. Blocks.
    ///
    /// # Errors
    /// [`PluginError`] with what is wrong with the module or its signature, or that the name and version belong to
    /// other bytes.
    pub fn upload(
        &self,
        plugin: &PluginRef,
        bytes: &[u8],
        provenance: Provenance,
        uploaded_by: &str,
    ) -> Result<PluginManifest, PluginError> {
        if bytes.len() > self.max_bytes {
            let refused = ModuleError::TooLarge { size_bytes: bytes.len(), limit_bytes: self.max_bytes };
            return Err(refused.into());
        }
        if is_built_in(plugin) {
            return Err(PluginError::BuiltIn(plugin.clone()));
        }
        if held(&self.leaving).contains(plugin) {
            return Err(PluginError::Leaving(plugin.clone()));
        }
        self.registry.check(plugin, bytes, &provenance)?;
        let compiled = self.engine.compile(plugin, bytes)?;
        let upload = Upload {
            plugin: plugin.clone(),
            bytes,
            facts: compiled.facts().clone(),
            provenance,
            uploaded_by: Some(uploaded_by.to_owned()),
            now_ms: super::now_ms(),
        };
        Ok(self.registry.add(upload)?)
    }

    /// A registered plugin, ready to run; from the compile cache where it can. Blocks.
    ///
    /// # Errors
    /// [`PluginError`] when it is not registered, its bytes are damaged or do not compile any more, or the policy does not
    /// admit it.
    pub fn load(&self, plugin: &PluginRef) -> Result<Plugin, PluginError> {
        if held(&self.leaving).contains(plugin) {
            return Err(PluginError::Leaving(plugin.clone()));
        }
        if let Some(compiled) = self.ready(plugin) {
            return Ok(compiled);
        }
        let bytes = self.registry.bytes(plugin)?;
        let compiled = self.engine.compile(plugin, &bytes)?;
        let unknown = || RegistryError::Unknown { plugin: plugin.clone(), hint: None };
        let manifest = self.registry.get(plugin).ok_or_else(unknown)?;
        let policy = self.registry.policy();
        policy
            .admit(plugin, &manifest.digest, compiled.facts(), &manifest.provenance)
            .map_err(RegistryError::Policy)?;
        held(&self.compiled).insert(plugin.clone(), (manifest.digest, compiled.clone()));
        Ok(compiled)
    }

    /// A plugin that was loaded before and is still registered with the same bytes.
    pub fn ready(&self, plugin: &PluginRef) -> Option<Plugin> {
        let digest = self.registry.get(plugin)?.digest;
        let compiled = held(&self.compiled);
        compiled.get(plugin).filter(|(of, _)| *of == digest).map(|(_, compiled)| compiled.clone())
    }

    /// Lets nobody begin to use the plugin, until the guard is dropped. `None`: somebody else is deleting it.
    pub fn leaving(self: &Arc<Self>, plugin: &PluginRef) -> Option<Leaving> {
        let begun = held(&self.leaving).insert(plugin.clone());
        begun.then(|| Leaving { plugins: Arc::clone(self), plugin: plugin.clone() })
    }

    /// Deletes a plugin that nobody uses. Blocks.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn remove(&self, leaving: &Leaving) -> Result<(), RegistryError> {
        self.registry.remove(&leaving.plugin)?;
        held(&self.compiled).remove(&leaving.plugin);
        Ok(())
    }

    /// What is wrong with the entries on disk that cannot be used, one text for each.
    pub fn damaged(&self) -> Vec<String> {
        self.registry.damaged()
    }

    /// What the policy keeps from running, though it is there, one text for each.
    pub fn refused(&self) -> Vec<String> {
        let policy = self.registry.policy();
        let refused = |plugin: PluginManifest| {
            policy.admit(&plugin.plugin, &plugin.digest, &plugin.facts, &plugin.provenance).err()
        };
        self.registry.list().into_iter().filter_map(refused).map(|error| error.to_string()).collect()
    }

    /// What is registered, by name and version.
    pub fn list(&self) -> Vec<PluginManifest> {
        self.registry.list()
    }

    /// The plugin of that name and version.
    pub fn get(&self, plugin: &PluginRef) -> Option<PluginManifest> {
        self.registry.get(plugin)
    }
}

/// Whether the name belongs to what the jobs bring themselves.
pub fn is_built_in(plugin: &PluginRef) -> bool {
    plugin.name == PASS
}

/// A plugin that is about to be deleted.
pub struct Leaving {
    plugins: Arc<Plugins>,
    plugin: PluginRef,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        held(&self.plugins.leaving).remove(&self.plugin);
    }
}

/// The value, also after a panic elsewhere: every write to it is a single insertion or removal.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
