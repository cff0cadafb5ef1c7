//! What a plugin of the kind `transform` implements.

use crate::{Batch, Output, Stores};
use serde::de::DeserializeOwned;

/// A step of a stream job: it turns one batch of records into another, with state.
///
/// One instance serves one partition. What it puts into its stores and emits becomes visible together with
/// the input's offsets, in one transaction, or not at all. After an error or a trap the instance is gone
/// and a new one is configured, so what must survive belongs into a store, not into a field.
pub trait Transform: Sized + 'static {
    /// The step's `config` table. `#[serde(deny_unknown_fields)]` names a misspelt key to the operator;
    /// [`NoConfig`](crate::NoConfig) is for a plugin that takes none.
    type Config: DeserializeOwned;

    /// Makes an instance. `stores` are the stores that the job's specification gives this step.
    ///
    /// # Errors
    /// Text that says what is wrong with the configuration; the job is refused with it.
    fn configure(config: Self::Config, stores: &Stores) -> Result<Self, String>;

    /// Turns one batch into records that it emits through `out`. A record that is of no use is best
    /// handed to [`Output::reject`]: it goes to the dead-letter topic and the job goes on.
    ///
    /// # Errors
    /// Text that says why the whole batch failed. Its transaction is aborted and the batch is tried again.
    fn process(&mut self, batch: Batch<'_>, out: &mut Output) -> Result<(), String>;
}
