//! From bytes to machine code, in this process or in a child of it.
//!
//! A compiler works long on hostile input, and may be led to use all memory or to crash. In a child with limits of its own
//! ([`child`]) that costs the upload and nothing else.

pub(crate) mod child;

use crate::cache::Trusted;
use crate::compile::shown;
use crate::module::Form;
use pelton_api::fault::ModuleError;

/// Compiles in this process.
pub(crate) fn compile(engine: &wasmtime::Engine, bytes: &[u8], form: Form) -> Result<Trusted, ModuleError> {
    precompile(engine, bytes, form).map(Trusted::of_compiler)
}

/// Serialized machine code of the module.
fn precompile(engine: &wasmtime::Engine, bytes: &[u8], form: Form) -> Result<Vec<u8>, ModuleError> {
    let failed = |error: wasmtime::Error| ModuleError::Compile(shown(&format!("{error:#}")));
    match form {
        // A component is validated by nobody but its compiler.
        Form::Component => engine.precompile_component(bytes).map_err(|error| not_wasm(&error)),
        Form::Core => engine.precompile_component(&encode(engine, bytes)?).map_err(failed),
        Form::Flat(_) => engine.precompile_module(bytes).map_err(failed),
    }
}

/// The engine does not take these bytes.
pub(crate) fn not_wasm(error: &wasmtime::Error) -> ModuleError {
    ModuleError::NotWasm(shown(&format!("{error:#}")))
}

/// Makes a component of a core module.
fn encode(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| {
        // wit-component's message does not name the import alone. The module is valid, so it can be asked.
        let module = wasmtime::Module::new(engine, bytes);
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
