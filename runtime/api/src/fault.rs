//! What can go wrong in a guest, kept apart from what goes wrong in the host.

/// A guest failed. The broker and the neighbours go on; the message names the plugin and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The guest answered with an error of its own.
    #[error("the plugin refused: {0}")]
    Refused(String),
    /// The guest trapped: unreachable code, an access out of bounds, a stack overflow.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// The guest used more of something than it may.
    #[error("the plugin exceeded its limit of {limit}: {detail}")]
    Limit {
        /// Which limit: `time`, `memory`, `output`, `state value`.
        limit: &'static str,
        /// What was allowed and what was asked.
        detail: String,
    },
    /// The guest was not ready in the time that the caller could wait. Not the guest's fault: it may take longer elsewhere.
    #[error("the plugin was not ready within {0:?}")]
    Late(std::time::Duration),
    /// The guest's answer is no well-formed record batch or state request.
    #[error("the plugin answered with malformed bytes: {0}")]
    Malformed(String),
    /// The host failed while it served the guest (its state store, for example). Not the guest's doing.
    #[error("the host failed while it served the plugin: {0}")]
    Host(String),
}

/// A module is refused at upload, with what is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The bytes are no Wasm module or component.
    #[error("not a WebAssembly module: {0}")]
    NotWasm(String),
    /// The module exports a world, and imports something that this world does not grant.
    #[error("it is a {kind} and imports `{import}`, which is not granted to a {kind}")]
    NotGranted {
        /// The world that it exports.
        kind: crate::manifest::PluginKind,
        /// What it imports.
        import: String,
    },
    /// The module's own description of itself failed.
    #[error("its `describe` failed: {0}")]
    Describe(Fault),
    /// The module exports no world that Pelton runs.
    #[error("not a Pelton plugin: it exports no `{expected}`; its exports are: {found}")]
    NoWorld {
        /// The interface that must be exported.
        expected: String,
        /// What it exports instead.
        found: String,
    },
    /// The module imports what the sandbox does not give.
    #[error("it imports `{0}`, which the sandbox does not provide; build for wasm32-unknown-unknown, without WASI")]
    ForbiddenImport(String),
    /// The module is larger than the limit.
    #[error("the module has {size_bytes} bytes; the limit is {limit_bytes} (`pelton.plugin.max.bytes`)")]
    TooLarge {
        /// Size of the upload.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Compilation failed.
    #[error("it does not compile: {0}")]
    Compile(String),
}
