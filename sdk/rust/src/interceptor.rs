//! What a plugin of the kind `interceptor` implements.

use crate::{Batch, Verdict, Wants};
use serde::de::DeserializeOwned;

/// What stands on the way of the records of a topic, for every client.
///
/// There may be many instances at a time, and none outlives a fault, so what must be remembered belongs into the store
/// ([`Store::of_partition`](crate::Store::of_partition)), not into a field. An error of a hook is a fault of the whole
/// batch; what then becomes of the batch is the topic's choice.
pub trait Interceptor: Sized + 'static {
    /// The plugin's parameters for a topic. `#[serde(deny_unknown_fields)]` names a misspelt key to the
    /// operator; [`NoConfig`](crate::NoConfig) is for a plugin that takes none.
    type Config: DeserializeOwned;

    /// The hooks at which it is called, and what it does there. Asked before it has a configuration.
    fn wants() -> Wants;

    /// Makes an instance.
    ///
    /// # Errors
    /// Text that says what is wrong with the configuration; the topic's config is refused with it.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Before a producer's batch is appended; once for each attempt of the producer. `out` begins as "unchanged".
    ///
    /// Offsets of the records are not known yet: [`Record::offset`](crate::Record::offset) counts from 0.
    ///
    /// # Errors
    /// Text that says why the whole batch failed.
    fn on_send(&mut self, from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        let _ = (from, batch, out);
        Ok(())
    }

    /// When the batch has been committed, or refused. The producer is answered afterwards.
    ///
    /// # Errors
    /// Text for the operator; it changes nothing for the producer.
    fn on_acknowledgement(&mut self, from: &Origin, acknowledged: &Acknowledgement) -> Result<(), String> {
        let _ = (from, acknowledged);
        Ok(())
    }

    /// Before a batch leaves to a consumer. `out` begins as "unchanged".
    ///
    /// # Errors
    /// Text that says why the whole batch failed.
    fn on_consume(&mut self, to: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        let _ = (to, batch, out);
        Ok(())
    }

    /// When a group has committed offsets of a topic. The committer is answered afterwards.
    ///
    /// # Errors
    /// Text for the operator; it changes nothing for the committer.
    fn on_commit(&mut self, committed: &Commit) -> Result<(), String> {
        let _ = committed;
        Ok(())
    }
}

/// Who sends or reads, and where. A text is empty where Kafka's protocol does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// `User:alice`; `User:ANONYMOUS` without authentication.
    pub principal: String,
    /// `client.id`.
    pub client_id: String,
    /// `/127.0.0.1`.
    pub client_address: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// What became of a producer's batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledgement {
    /// Offset of the first record; -1 when the batch was refused.
    pub base_offset: i64,
    /// Records as the producer counts them.
    pub record_count: i32,
    /// When the broker answered, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why the batch was refused.
    pub error: Option<String>,
}

/// Offsets of one topic that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// Who commits.
    pub principal: String,
    /// `client.id`.
    pub client_id: String,
    /// `/127.0.0.1`.
    pub client_address: String,
    /// The group.
    pub group: String,
    /// Member id, or the transactional id of a commit within a transaction.
    pub member: String,
    /// The topic.
    pub topic: String,
    /// Partitions, and the next offset that the group will read of each.
    pub offsets: Vec<(i32, i64)>,
    /// Whether the offsets take effect only when a transaction commits.
    pub transactional: bool,
}
