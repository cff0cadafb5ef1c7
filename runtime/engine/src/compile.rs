//! From uploaded bytes to a checked plugin.
//!
//! A core module becomes a component by `wit-component`, which encodes any module, also one that is no
//! plugin; so what a module is, is told by what the component exports, never by whether encoding succeeded.

use crate::cache::hex;
use crate::engine::Inner;
use crate::plugin::{Plugin, PluginInner, TransformExports};
use crate::{TRANSFORM_INTERFACE, host};
use pelton_api::fault::ModuleError;
use pelton_api::manifest::{PluginKind, PluginRef};
use sha2::{Digest, Sha256};
use std::sync::{Arc, PoisonError};
use wasmtime::component::{Component, ComponentExportIndex};

const PREAMBLE: &[u8] = b"\0asm";
/// Bytes 4 to 8 of a core module. A component has others.
const CORE_VERSION: &[u8] = &[1, 0, 0, 0];
/// A transform of any 0.1.x is run.
const TRANSFORM_TRACK: &str = "pelton:plugin/transform@0.1.";
/// Names listed in an error; a module may have a hundred thousand.
const NAMES_SHOWN: usize = 20;
/// Length of a text of the guest's making (a name, a message) in an error.
const TEXT_SHOWN_CHARS: usize = 200;

pub(crate) fn compile(engine: &Arc<Inner>, name: &PluginRef, bytes: &[u8]) -> Result<Plugin, ModuleError> {
    let limit_bytes = engine.limits.module_bytes;
    if bytes.len() > limit_bytes {
        return Err(ModuleError::TooLarge { size_bytes: bytes.len(), limit_bytes });
    }
    let version = bytes.strip_prefix(PREAMBLE).and_then(|rest| rest.get(..4)).ok_or_else(|| {
        ModuleError::NotWasm("it does not begin with a WebAssembly preamble (`\\0asm` and a version)".to_owned())
    })?;
    let component = component(engine, bytes, version == CORE_VERSION)?;
    check_imports(engine, &component)?;
    let interface = transform_interface(engine, &component, bytes, version == CORE_VERSION)?;
    let exports = transform_exports(engine, &component, &interface)?;
    let pre = engine.linker.instantiate_pre(&component).map_err(|error| {
        // The names were checked: what is left is a function that 0.1 does not have, or has otherwise.
        ModuleError::ForbiddenImport(shown(&format!("{error:#}")))
    })?;
    let plugin = Plugin {
        inner: Arc::new(PluginInner {
            name: name.clone(),
            kind: PluginKind::Transform,
            interface,
            engine: Arc::clone(engine),
            pre,
            exports,
            log: host::log::LogSink::new(name),
        }),
    };
    crate::adapter::transform::check(&plugin.inner)?;
    Ok(plugin)
}

/// The compiled component: from the cache, or made and kept.
fn component(engine: &Inner, bytes: &[u8], is_core: bool) -> Result<Component, ModuleError> {
    let digest = hex(&Sha256::digest(bytes));
    let cached = || engine.cache.as_ref().and_then(|cache| cache.load(&engine.wasmtime, &digest));
    if let Some(component) = cached() {
        return Ok(component);
    }
    let _one_at_a_time = engine.compiling.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(component) = cached() {
        return Ok(component);
    }
    let encoded;
    let component_bytes = if is_core {
        wasmtime::Module::validate(&engine.wasmtime, bytes).map_err(|error| not_wasm(&error))?;
        encoded = encode(engine, bytes)?;
        &encoded
    } else {
        bytes
    };
    let component = Component::new(&engine.wasmtime, component_bytes)
        .map_err(|error| if is_core { ModuleError::Compile(shown(&format!("{error:#}"))) } else { not_wasm(&error) })?;
    if let Some(cache) = &engine.cache {
        cache.store(&component, &digest);
    }
    Ok(component)
}

fn not_wasm(error: &wasmtime::Error) -> ModuleError {
    ModuleError::NotWasm(shown(&format!("{error:#}")))
}

/// Makes a component of a core module.
fn encode(engine: &Inner, bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| {
        // wit-component's message does not name the import alone. The module is valid, so it can be asked.
        let module = wasmtime::Module::new(&engine.wasmtime, bytes);
        let foreign = module.ok().and_then(|module| {
            let mut imports = module.imports();
            let foreign = imports.find(|import| !import.module().starts_with("pelton:plugin/"))?;
            Some(format!("{}::{}", foreign.module(), foreign.name()))
        });
        match foreign {
            Some(import) => ModuleError::ForbiddenImport(shown(&import)),
            None => ModuleError::Compile(shown(&format!("{error:#}"))),
        }
    })
}

/// Every import must be one that the host gives.
fn check_imports(engine: &Inner, component: &Component) -> Result<(), ModuleError> {
    let ty = component.component_type();
    let foreign = ty.imports(&engine.wasmtime).map(|(name, _)| name).find(|name| !host::provides(name));
    match foreign {
        Some(name) => Err(ModuleError::ForbiddenImport(shown(name))),
        None => Ok(()),
    }
}

/// The transform interface that the component exports.
fn transform_interface(
    engine: &Inner,
    component: &Component,
    bytes: &[u8],
    is_core: bool,
) -> Result<String, ModuleError> {
    let ty = component.component_type();
    if let Some((name, _)) = ty.exports(&engine.wasmtime).find(|(name, _)| name.starts_with(TRANSFORM_TRACK)) {
        return Ok(name.to_owned());
    }
    // A core module without the section becomes a component without exports; its own say more.
    let core = is_core.then(|| wasmtime::Module::new(&engine.wasmtime, bytes).ok()).flatten();
    let found = match &core {
        Some(module) => listed(module.exports().map(|export| export.name())),
        None => listed(ty.exports(&engine.wasmtime).map(|(name, _)| name)),
    };
    Err(ModuleError::NoWorld { expected: TRANSFORM_INTERFACE.to_owned(), found })
}

fn transform_exports(engine: &Inner, component: &Component, interface: &str) -> Result<TransformExports, ModuleError> {
    let instance = component.get_export_index(None, interface);
    let function = |name: &str| -> Result<ComponentExportIndex, ModuleError> {
        let index = instance.as_ref().and_then(|instance| component.get_export_index(Some(instance), name));
        index.ok_or_else(|| ModuleError::NoWorld {
            expected: format!("{interface}#{name}"),
            found: listed(component.component_type().exports(&engine.wasmtime).map(|(name, _)| name)),
        })
    };
    Ok(TransformExports { configure: function("configure")?, process: function("process")? })
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut text = names.take(NAMES_SHOWN).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    if count == 0 {
        text.push_str("none");
    } else if count > NAMES_SHOWN {
        text.push_str(&format!(" and {} more", count - NAMES_SHOWN));
    }
    text
}

/// Text that the uploader may have chosen, bounded and without control characters.
pub(crate) fn shown(text: &str) -> String {
    host::log::escaped(text, TEXT_SHOWN_CHARS * 4)
}
