//! What a plugin of the kind `partitioner` implements.

use crate::{Parts, Record};
use serde::de::DeserializeOwned;

/// Which partition a record belongs to: one answer for every client and language.
///
/// The answer depends on the record, the configuration, the topic and its number of partitions alone. A plugin that
/// remembers anything from record to record gives different answers to different askers.
pub trait Partitioner: Sized + 'static {
    /// The plugin's parameters for a topic. `#[serde(deny_unknown_fields)]` names a misspelt key to the
    /// operator; [`NoConfig`](crate::NoConfig) is for a plugin that takes none.
    type Config: DeserializeOwned;

    /// The parts of a record that it reads; the others arrive as null, or as no headers.
    fn reads() -> Parts;

    /// Makes an instance.
    ///
    /// # Errors
    /// Text that says what is wrong with the configuration; the topic's config is refused with it.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// The partition of a record, 0 to `partitions - 1`; `None` where any will do. `partitions` is at least 1.
    fn partition(&mut self, record: &Record<'_>, topic: &str, partitions: i32) -> Option<i32>;
}
