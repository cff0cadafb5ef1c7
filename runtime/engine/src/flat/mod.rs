//! The host of the flat contract (`sdk/wit/FLAT.md`).
//!
//! It links core modules, moves requests into their memory and answers out of it. What an answer means, and whether it may be,
//! the adapters decide, for components and flat modules alike; what a host call does is a method of `HostData`.
//!
//! Invariant: an address or a length of the guest's is compared with its memory before anything is read, written
//! or allocated.

mod ask;
mod instance;
mod wasi;
mod wire;

use crate::compile::shown;
use crate::engine::Inner;
use crate::host::{Grant, HostData};
use pelton_api::fault::ModuleError;
use pelton_api::manifest::PluginKind;
use std::sync::Arc;
use wasmtime::{ExternType, FuncType, InstancePre, Linker, Memory, Store, TypedFunc, ValType};

pub(crate) use instance::Instance;

/// The module that the host's own functions are imported from.
const HOST_MODULE: &str = "pelton";
/// Asks the host for anything but state.
const HOST: &str = "host_0_1";
/// Asks the host for state. A function of its own, so that an import tells whether a plugin keeps any.
const STATE: &str = "state_0_1";
const MEMORY: &str = "memory";
const ALLOC: &str = "pelton_alloc";
const INITIALIZE: &str = "_initialize";

/// A linked flat module.
pub(crate) struct Module {
    pre: InstancePre<HostData>,
    /// The plugin's function: `pelton_interceptor_0_1`.
    export: String,
}

/// What the host keeps for an instance beside what components have too.
pub(crate) struct Guest {
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    /// `pelton_alloc` runs on behalf of a host call, and must not ask the host again.
    in_alloc: bool,
    wasi: wasi::State,
}

/// Links a compiled core module that exports one of the flat contract's functions.
pub(crate) fn compile(engine: &Arc<Inner>, module: &wasmtime::Module, kind: PluginKind) -> Result<Module, ModuleError> {
    let export = format!("pelton_{kind}_0_1");
    check_exports(module, &export)?;
    check_imports(module, kind)?;
    let linked = linker(&engine.wasmtime, module).and_then(|linker| linker.instantiate_pre(module));
    match linked {
        Ok(pre) => Ok(Module { pre, export }),
        // The names were checked: what is left is a function of another type.
        Err(error) => Err(ModuleError::ForbiddenImport(shown(&format!("{error:#}")))),
    }
}

fn check_exports(module: &wasmtime::Module, export: &str) -> Result<(), ModuleError> {
    use ValType::{I32, I64};
    let missing = |name: &str, expected: &str| ModuleError::NoWorld {
        expected: format!("{name}` of the type `{expected}"),
        found: match module.get_export(name) {
            Some(found) => shown(&format!("{found:?}")),
            None => shown(&module.exports().map(|export| export.name()).take(20).collect::<Vec<_>>().join(", ")),
        },
    };
    if !matches!(module.get_export(MEMORY), Some(ExternType::Memory(_))) {
        return Err(missing(MEMORY, "memory"));
    }
    if !has_type(module, ALLOC, &[I32], &[I32]) {
        return Err(missing(ALLOC, "(i32) -> i32"));
    }
    if !has_type(module, export, &[I32, I32, I32], &[I64]) {
        return Err(missing(export, "(i32, i32, i32) -> i64"));
    }
    if module.get_export(INITIALIZE).is_some() && !has_type(module, INITIALIZE, &[], &[]) {
        return Err(missing(INITIALIZE, "() -> ()"));
    }
    let mut worlds = module.exports().filter(|other| {
        other.name() != export && other.name().starts_with("pelton_") && other.name().ends_with("_0_1")
    });
    match worlds.next() {
        Some(other) => Err(ModuleError::Compile(shown(&format!(
            "it exports `{export}` and `{}`; a plugin is of one kind",
            other.name()
        )))),
        None => Ok(()),
    }
}

fn has_type(module: &wasmtime::Module, name: &str, params: &[ValType], results: &[ValType]) -> bool {
    let same = |found: &mut dyn ExactSizeIterator<Item = ValType>, wanted: &[ValType]| {
        found.len() == wanted.len() && found.zip(wanted).all(|(found, wanted)| ValType::eq(&found, wanted))
    };
    match module.get_export(name) {
        Some(ExternType::Func(found)) => same(&mut found.params(), params) && same(&mut found.results(), results),
        _ => false,
    }
}

/// Every import must be one that the host gives to this kind.
fn check_imports(module: &wasmtime::Module, kind: PluginKind) -> Result<(), ModuleError> {
    for import in module.imports() {
        let known = match import.module() {
            HOST_MODULE => [HOST, STATE].contains(&import.name()),
            wasi::MODULE => wasi::serves(import.name()),
            _ => false,
        };
        let name = shown(&format!("{}::{}", import.module(), import.name()));
        if !known {
            return Err(ModuleError::ForbiddenImport(name));
        }
        if import.module() == HOST_MODULE && import.name() == STATE && !Grant::State.is_for(kind) {
            return Err(ModuleError::NotGranted { kind, import: name });
        }
    }
    Ok(())
}

fn linker(engine: &wasmtime::Engine, module: &wasmtime::Module) -> wasmtime::Result<Linker<HostData>> {
    let mut linker = Linker::new(engine);
    ask::add_to(&mut linker)?;
    wasi::add_to(&mut linker)?;
    for import in module.imports().filter(|import| import.module() == wasi::MODULE) {
        if let (true, ExternType::Func(ty)) = (wasi::refuses(import.name()), import.ty()) {
            refuse(&mut linker, import.name(), ty)?;
        }
    }
    Ok(linker)
}

/// A function of WASI that only ever says no. It takes what the module thinks that it takes.
fn refuse(linker: &mut Linker<HostData>, name: &str, ty: FuncType) -> wasmtime::Result<()> {
    if !has_one_i32(&ty) {
        return Err(wasmtime::Error::msg(format!("{}::{name} is imported with another type", wasi::MODULE)));
    }
    linker.func_new(wasi::MODULE, name, ty, |_, _, results| {
        results[0] = wasmtime::Val::I32(wasi::BADF);
        Ok(())
    })?;
    Ok(())
}

fn has_one_i32(ty: &FuncType) -> bool {
    let mut results = ty.results();
    matches!((results.next(), results.next()), (Some(ValType::I32), None))
}

impl Module {
    /// Makes an instance; the start function runs, and `_initialize`.
    pub(crate) fn instantiate(&self, store: &mut Store<HostData>) -> wasmtime::Result<Instance> {
        let instance = self.pre.instantiate(&mut *store)?;
        let gone = |name: &str| wasmtime::Error::msg(format!("`{name}` is gone since the module was checked"));
        let memory = instance.get_memory(&mut *store, MEMORY).ok_or_else(|| gone(MEMORY))?;
        let alloc = instance.get_typed_func::<u32, u32>(&mut *store, ALLOC)?;
        let function = instance.get_typed_func::<(i32, u32, u32), u64>(&mut *store, &self.export)?;
        let wasi = wasi::State::default();
        store.data_mut().flat = Some(Guest { memory, alloc: alloc.clone(), in_alloc: false, wasi });
        if let Some(initialize) = instance.get_func(&mut *store, INITIALIZE) {
            initialize.typed::<(), ()>(&store)?.call(&mut *store, ())?;
        }
        Ok(Instance::new(memory, alloc, function))
    }
}
