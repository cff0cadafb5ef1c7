//! The engine: wasmtime's configuration, the clock that stops runaway guests, and the one door for modules.

use crate::cache::Cache;
use crate::compile;
use crate::compiler::child::Program;
use crate::host::{self, HostData};
use crate::limits::{CORE_INSTANCES, Limits, MEMORIES, TABLE_ELEMENTS, TABLES};
use crate::observe::{LogSink, MetricSink, NoMetrics, TracedLog};
use crate::plugin::Plugin;
use pelton_api::fault::ModuleError;
use pelton_api::manifest::PluginRef;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::component::Linker;

/// How often guests are looked at; the time limit is kept to this precision.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How an engine is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// Where compiled code is kept between starts; it is created when it does not exist. `None` keeps nothing.
    pub cache_dir: Option<PathBuf>,
    /// What each guest may use.
    pub limits: Limits,
    /// Where the numbers of plugins go. By default nowhere.
    pub metrics: Arc<dyn MetricSink>,
    /// Where the lines of plugins go. By default to the log of the process.
    pub logs: Arc<dyn LogSink>,
    /// A program and its arguments that run [`compile_on_stdio`](crate::compile_on_stdio): modules are compiled in a child with
    /// limits of its own. `None` compiles in this process.
    pub compiler: Option<Vec<OsString>>,
    /// Whether fuel is counted, at the cost of a tenth of a guest's speed. It limits nothing.
    pub fuel: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            limits: Limits::default(),
            metrics: Arc::new(NoMetrics),
            logs: Arc::new(TracedLog),
            compiler: None,
            fuel: false,
        }
    }
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig")
            .field("cache_dir", &self.cache_dir)
            .field("limits", &self.limits)
            .field("compiler", &self.compiler)
            .field("fuel", &self.fuel)
            .finish_non_exhaustive()
    }
}

/// The engine could not be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration, or could not reserve address space.
    #[error("the WebAssembly engine cannot be set up: {0} (a limit on address space, `ulimit -v`, must be lifted)")]
    Setup(String),
    /// No thread could be started.
    #[error("the engine's clock thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Compiles plugins. Cheap to clone; the last clone (with the last plugin) stops the clock thread.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What plugins share.
pub(crate) struct Inner {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<HostData>,
    pub(crate) limits: Limits,
    pub(crate) cache: Option<Cache>,
    pub(crate) metrics: Arc<dyn MetricSink>,
    pub(crate) logs: Arc<dyn LogSink>,
    pub(crate) compiler: Option<Program>,
    pub(crate) fuel: bool,
    /// Held during a compilation: one at a time bounds its memory, and wasmtime uses all cores for one.
    pub(crate) compiling: Mutex<()>,
    _ticker: Ticker,
}

impl Engine {
    /// Sets up an engine.
    ///
    /// # Errors
    /// [`EngineError`]. A cache directory that cannot be used is no error: a warning names it, and modules
    /// are compiled at each start.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(format!("{error:#}"));
        let wasmtime = wasmtime::Engine::new(&running_config(&config.limits, config.fuel)).map_err(setup)?;
        let linker = host::linker(&wasmtime).map_err(setup)?;
        let ticker = Ticker::start(wasmtime.clone()).map_err(EngineError::Thread)?;
        let cache = config.cache_dir.and_then(|dir| match Cache::open(dir.clone(), &wasmtime) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled plugins cannot be kept; each start compiles them");
                None
            }
        });
        let inner = Inner {
            wasmtime,
            linker,
            limits: config.limits,
            cache,
            metrics: config.metrics,
            logs: config.logs,
            compiler: config.compiler.and_then(Program::new),
            fuel: config.fuel,
            compiling: Mutex::new(()),
            _ticker: ticker,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Checks and compiles an uploaded module: a component, a core module that carries `wit-bindgen`'s section, or
    /// one of the flat contract. Runs for 0.1 s to a minute on the caller's thread; what was compiled before
    /// comes from the cache.
    ///
    /// # Errors
    /// [`ModuleError`] says what is missing.
    pub fn compile(&self, name: &PluginRef, bytes: &[u8]) -> Result<Plugin, ModuleError> {
        compile::compile(&self.inner, name, bytes)
    }

    /// What each guest may use.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// What an engine that runs code has beyond one that compiles it: every pool has a size.
fn running_config(limits: &Limits, fuel: bool) -> wasmtime::Config {
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(4).saturating_add(CORE_INSTANCES as u32))
        .total_memories(limits.instances)
        .total_tables(limits.instances.saturating_mul(4).saturating_add(TABLES as u32))
        .max_core_instances_per_component(CORE_INSTANCES as u32)
        .max_tables_per_component(TABLES as u32)
        .max_memories_per_component(MEMORIES as u32)
        .max_memory_size(limits.memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(256 << 10);
    let mut config = compiler_config(fuel);
    config
        .memory_init_cow(true)
        .allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool))
        .max_wasm_stack(512 << 10);
    config
}

/// What the code depends on, the same in every process of one version: Cranelift, no threads, no shared memory, nothing whose outcome
/// differs between machines.
pub(crate) fn compiler_config(fuel: bool) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .strategy(wasmtime::Strategy::Cranelift)
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .consume_fuel(fuel)
        .wasm_component_model(true)
        .wasm_memory64(false)
        // The adapters between the parts of a component move bytes from one memory to another.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .shared_memory(false);
    config
}

/// Advances the engine's epoch, so that guests meet their deadlines. Stops and joins its thread when dropped.
struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("pelton-epoch".to_owned()).spawn(move || {
            let (stopped, changed) = &*seen;
            let mut guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                guard = changed.wait_timeout(guard, TICK).unwrap_or_else(PoisonError::into_inner).0;
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let (stopped, changed) = &*self.stop;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the clock has nothing to say at this point: no guest is left to stop.
            let _ = thread.join();
        }
    }
}
