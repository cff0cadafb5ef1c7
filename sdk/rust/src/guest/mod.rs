//! The path from the contract's bytes to a plugin and back, one file for each world. Wasm and the test harnesses share it.
//! Public for the `export_*!` macros alone; no promise is made about it.

pub mod interceptor;
pub mod partitioner;
pub mod transform;

/// The bindings of the world `interceptor-plugin`.
#[cfg(target_arch = "wasm32")]
pub use crate::host::wasm::interceptor as interceptor_bindings;
/// The bindings of the world `partitioner-plugin`.
#[cfg(target_arch = "wasm32")]
pub use crate::host::wasm::partitioner as partitioner_bindings;
/// The bindings of the world `transform-plugin`.
#[cfg(target_arch = "wasm32")]
pub use crate::host::wasm::transform as bindings;

use crate::Batch;
use crate::batch::Progress;
use pelton_record::BatchView;

/// Lets `plugin` walk a batch, and fails when what it reached of the batch is damaged.
pub(crate) fn over_batch<R>(
    view: &BatchView<'_>,
    progress: &Progress,
    plugin: impl FnOnce(Batch<'_>) -> Result<R, String>,
) -> Result<R, String> {
    let answer = plugin(Batch::new(view, progress))?;
    match progress.damage.take() {
        Some(damage) => Err(format!("the input batch is damaged: {damage}")),
        None => Ok(answer),
    }
}

pub(crate) fn viewed(batch: &[u8]) -> Result<BatchView<'_>, String> {
    BatchView::parse(batch).map_err(|error| format!("the input is no record batch: {error}"))
}

/// A panic's text reaches the operator's log before the trap.
#[cfg(target_arch = "wasm32")]
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}
