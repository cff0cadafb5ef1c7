//! From uploaded bytes to a checked plugin.
//!
//! What a module is, is told by what the component exports, never by whether encoding it succeeded: `wit-component` encodes any module,
//! also one that is no plugin.

use crate::adapter;
use crate::adapter::interceptor::InterceptorExports;
use crate::adapter::partitioner::PartitionerExports;
use crate::adapter::transform::TransformExports;
use crate::cache::{Trusted, hex};
use crate::compiler;
use crate::engine::Inner;
use crate::host::Grant;
use crate::host::log::{Lines, escaped};
use crate::module::Form;
use crate::plugin::{Code, Exports, Plugin, PluginInner};
use pelton_api::fault::ModuleError;
use pelton_api::manifest::{Abi, ModuleFacts, PluginKind, PluginRef};
use sha2::{Digest, Sha256};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use wasmtime::component::{Component, ComponentExportIndex};

/// The worlds that are run, each in any version 0.1.x.
const WORLDS: [(PluginKind, &str); 3] = [
    (PluginKind::Transform, "pelton:plugin/transform@0.1."),
    (PluginKind::Interceptor, "pelton:plugin/interceptor@0.1."),
    (PluginKind::Partitioner, "pelton:plugin/partitioner@0.1."),
];
/// Names listed in an error; a module may have a hundred thousand.
const NAMES_SHOWN: usize = 20;
/// Length of a text of the guest's making (a name, a message) in an error.
const TEXT_SHOWN_CHARS: usize = 200;

/// What a module was found to be.
struct Found {
    kind: PluginKind,
    interface: String,
    abi: Abi,
    imports: Vec<String>,
    code: Code,
}

/// Code that can be linked.
enum Compiled {
    Component(Component),
    Flat(wasmtime::Module, PluginKind),
}

pub(crate) fn compile(engine: &Arc<Inner>, name: &PluginRef, bytes: &[u8]) -> Result<Plugin, ModuleError> {
    let limit_bytes = engine.limits.module_bytes;
    if bytes.len() > limit_bytes {
        return Err(ModuleError::TooLarge { size_bytes: bytes.len(), limit_bytes });
    }
    let found = match compiled(engine, bytes, Form::of(bytes)?)? {
        Compiled::Component(component) => component_found(engine, &component, bytes)?,
        Compiled::Flat(module, kind) => flat_found(engine, &module, kind)?,
    };
    let inner = Arc::new(PluginInner {
        name: name.clone(),
        kind: found.kind,
        interface: found.interface.clone(),
        engine: Arc::clone(engine),
        code: found.code,
        lines: Lines::new(name, Arc::clone(&engine.logs)),
        fuel_used: AtomicU64::new(0),
    });
    let mut facts = ModuleFacts {
        kind: found.kind,
        interface: found.interface,
        abi: found.abi,
        imports: found.imports,
        wants: None,
        reads: None,
    };
    match found.kind {
        PluginKind::Transform => adapter::transform::check(&inner)?,
        PluginKind::Interceptor => facts.wants = Some(adapter::interceptor::describe(&inner)?),
        PluginKind::Partitioner => facts.reads = Some(adapter::partitioner::describe(&inner)?),
    }
    Ok(Plugin { inner, facts: Arc::new(facts) })
}

/// The code of the module: from the cache, or compiled and kept.
fn compiled(engine: &Inner, bytes: &[u8], form: Form) -> Result<Compiled, ModuleError> {
    let digest = hex(&Sha256::digest(bytes));
    let cached = || {
        let code = engine.cache.as_ref()?.load(&digest)?;
        let loaded = load(engine, &code, form);
        loaded.inspect_err(|error| tracing::warn!(digest, "a compiled plugin on disk cannot be loaded: {error:#}")).ok()
    };
    if let Some(compiled) = cached() {
        return Ok(compiled);
    }
    let _one_at_a_time = engine.compiling.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = cached() {
        return Ok(compiled);
    }
    if form != Form::Component {
        wasmtime::Module::validate(&engine.wasmtime, bytes).map_err(|error| compiler::not_wasm(&error))?;
    }
    let code = match &engine.compiler {
        Some(program) => program.compile(bytes, form, engine.fuel, engine.limits.compile_time)?,
        None => compiler::compile(&engine.wasmtime, bytes, form)?,
    };
    if let Some(cache) = &engine.cache {
        cache.store(&code, &digest);
    }
    load(engine, &code, form).map_err(|error| ModuleError::Compile(shown(&format!("{error:#}"))))
}

fn load(engine: &Inner, code: &Trusted, form: Form) -> wasmtime::Result<Compiled> {
    match form {
        Form::Component | Form::Core => code.component(&engine.wasmtime).map(Compiled::Component),
        Form::Flat(kind) => code.module(&engine.wasmtime).map(|module| Compiled::Flat(module, kind)),
    }
}

fn flat_found(engine: &Arc<Inner>, module: &wasmtime::Module, kind: PluginKind) -> Result<Found, ModuleError> {
    let code = Code::Flat(crate::flat::compile(engine, module, kind)?);
    let mut imports: Vec<String> = Vec::new();
    for import in module.imports() {
        let name = match (import.module(), import.name()) {
            ("pelton", "state_0_1") => "state",
            ("pelton", _) => "host",
            (foreign, _) => foreign,
        };
        if !imports.iter().any(|known| known == name) {
            imports.push(name.to_owned());
        }
    }
    Ok(Found { kind, interface: format!("pelton_{kind}_0_1"), abi: Abi::Flat, imports, code })
}

fn component_found(engine: &Inner, component: &Component, bytes: &[u8]) -> Result<Found, ModuleError> {
    let (kind, interface) = world(engine, component, bytes)?;
    let imports = imports(engine, component, kind)?;
    let exports = exports(engine, component, kind, &interface)?;
    let pre = engine.linker.instantiate_pre(component).map_err(|error| {
        // The names were checked: what is left is a function that 0.1 does not have, or has otherwise.
        ModuleError::ForbiddenImport(shown(&format!("{error:#}")))
    })?;
    Ok(Found { kind, interface, abi: Abi::Component, imports, code: Code::Component { pre, exports } })
}

/// The world that the component exports, and the interface by which it was told.
fn world(engine: &Inner, component: &Component, bytes: &[u8]) -> Result<(PluginKind, String), ModuleError> {
    let ty = component.component_type();
    let mut worlds = ty.exports(&engine.wasmtime).filter_map(|(name, _)| {
        let (kind, _) = WORLDS.iter().find(|(_, track)| name.starts_with(track))?;
        Some((*kind, name.to_owned()))
    });
    match (worlds.next(), worlds.next()) {
        (Some(world), None) => return Ok(world),
        (Some((_, one)), Some((_, other))) => {
            let detail = format!("it exports `{one}` and `{other}`; a plugin is of one kind");
            return Err(ModuleError::Compile(shown(&detail)));
        }
        (None, _) => {}
    }
    // Foreign imports say more than missing exports: a module for WASI is built otherwise, not written otherwise.
    if let Some((name, _)) = ty.imports(&engine.wasmtime).find(|(name, _)| Grant::of_import(name).is_none()) {
        return Err(ModuleError::ForbiddenImport(shown(name)));
    }
    // A core module without the section becomes a component without exports; its own say more.
    let core = wasmtime::Module::new(&engine.wasmtime, bytes).ok();
    let found = match &core {
        Some(module) => listed(module.exports().map(|export| export.name())),
        None => listed(ty.exports(&engine.wasmtime).map(|(name, _)| name)),
    };
    let expected = "pelton:plugin/{transform,interceptor,partitioner}@0.1".to_owned();
    Err(ModuleError::NoWorld { expected, found })
}

/// What it imports, by the names of the contract. Every import must be one that the host gives to this kind.
fn imports(engine: &Inner, component: &Component, kind: PluginKind) -> Result<Vec<String>, ModuleError> {
    let mut names: Vec<String> = Vec::new();
    for (import, _) in component.component_type().imports(&engine.wasmtime) {
        let grant = Grant::of_import(import).ok_or_else(|| ModuleError::ForbiddenImport(shown(import)))?;
        if !grant.is_for(kind) {
            return Err(ModuleError::NotGranted { kind, import: shown(import) });
        }
        names.push(grant.name().to_owned());
    }
    Ok(names)
}

fn exports(engine: &Inner, component: &Component, kind: PluginKind, interface: &str) -> Result<Exports, ModuleError> {
    let instance = component.get_export_index(None, interface);
    let function = |name: &str| -> Result<ComponentExportIndex, ModuleError> {
        let index = instance.as_ref().and_then(|instance| component.get_export_index(Some(instance), name));
        index.ok_or_else(|| ModuleError::NoWorld {
            expected: format!("{interface}#{name}"),
            found: listed(component.component_type().exports(&engine.wasmtime).map(|(name, _)| name)),
        })
    };
    Ok(match kind {
        PluginKind::Transform => {
            Exports::Transform(TransformExports { configure: function("configure")?, process: function("process")? })
        }
        PluginKind::Interceptor => Exports::Interceptor(InterceptorExports {
            describe: function("describe")?,
            configure: function("configure")?,
            on_send: function("on-send")?,
            on_acknowledgement: function("on-acknowledgement")?,
            on_consume: function("on-consume")?,
            on_commit: function("on-commit")?,
        }),
        PluginKind::Partitioner => Exports::Partitioner(PartitionerExports {
            describe: function("describe")?,
            configure: function("configure")?,
            partition: function("partition")?,
        }),
    })
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
    escaped(text, TEXT_SHOWN_CHARS * 4)
}
