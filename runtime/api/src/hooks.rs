//! What a broker may call: the hooks of the topics to which plugins are attached.
//!
//! The broker knows no plugin, no chain and no policy. It asks [`Hooks`] whether topic configs are right, has them made into
//! [`TopicHooks`], and calls those on threads that may wait for a guest. `runtime/hooks` implements both; a
//! broker without plugins runs with [`NoHooks`].
//!
//! Every call is synchronous and bounded: a guest's time is limited by the engine.

use crate::interceptor::HookSet;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Topic configs under which plugins are attached begin with this.
pub const CONFIG_PREFIX: &str = "pelton.";

/// Who sends or reads, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `User:ANONYMOUS` without authentication; `Job:NAME` for a stream job of this broker.
    pub principal: Arc<str>,
    /// `client.id`.
    pub client_id: Arc<str>,
    /// In Kafka's notation: `/127.0.0.1`.
    pub client_address: Arc<str>,
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition index.
    pub partition: i32,
}

/// What became of a producer's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Offset of the first record; -1 when the batch was refused.
    pub base_offset: i64,
    /// Records as the producer counts them.
    pub record_count: i32,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why the batch was refused.
    pub error: Option<String>,
}

/// Offsets of one topic that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Who commits.
    pub principal: Arc<str>,
    /// `client.id`.
    pub client_id: Arc<str>,
    /// In Kafka's notation: `/127.0.0.1`.
    pub client_address: Arc<str>,
    /// Group id.
    pub group: Arc<str>,
    /// Member id, or the transactional id of a commit within a transaction.
    pub member: Arc<str>,
    /// Topic name.
    pub topic: Arc<str>,
    /// Partitions and the next offset that the group will read of each.
    pub offsets: Vec<(i32, i64)>,
    /// Whether they take effect only when a transaction commits.
    pub transactional: bool,
}

/// One batch for another topic, to be appended with acks=all before the answer leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// Topic name.
    pub topic: Arc<str>,
    /// One whole uncompressed record batch, its CRC not yet written.
    pub batch: Bytes,
}

/// What became of a batch on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Append it.
    Pass {
        /// The batch in its new form, with the header fields of the old one (producer, sequence, last offset delta,
        /// timestamps, codec) and a right CRC; `None`: as it came. It may have fewer records than
        /// its offsets say, even none.
        changed: Option<Bytes>,
        /// To be appended as well; dead letters among them.
        emitted: Vec<Emission>,
    },
    /// Refuse it: Kafka's INVALID_RECORD, with what is wrong with which record (KIP-467).
    Refuse {
        /// For the whole batch.
        message: String,
        /// Records by their index in the batch, with reasons; empty when the batch as a whole is refused.
        records: Vec<(i32, String)>,
    },
    /// The plugin failed and the topic fails closed: a passing error, which producers answer by trying again.
    Unavailable {
        /// Names the plugin.
        message: String,
    },
}

/// What became of records on their way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Whole batches at the offsets of those that were given, each with a right CRC. Control batches are as they were.
    pub records: Bytes,
    /// To be appended before the answer leaves.
    pub emitted: Vec<Emission>,
}

/// The plugins of a broker, as the broker sees them. Calls may take as long as compiling a module.
pub trait Hooks: Send + Sync {
    /// Checks the configs that a topic is about to have (`pelton.*`, the broker's defaults among them): plugins exist and
    /// are of the right kind, accept their configuration, values are well-formed.
    ///
    /// # Errors
    /// Text for the operator that begins with the config's name.
    fn check(&self, topic: &str, partitions: i32, configs: &BTreeMap<String, String>) -> Result<(), String>;

    /// Makes the hooks of a topic from configs that were checked when they were set. `None`: nothing is attached. A
    /// plugin that cannot be loaded any more gives hooks that fail as the topic's policy says, never none.
    fn attach(&self, topic: &str, partitions: i32, configs: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>>;
}

/// What is attached to one topic, in one version. Called from many threads.
pub trait TopicHooks: Send + Sync {
    /// Tells this version from others: plugins, digests, configuration. For people too: `audit@2[1f3a5c77]`.
    fn identity(&self) -> &str;

    /// The hooks that anything here wants. A partitioner that verifies wants on-send.
    fn hooks(&self) -> HookSet;

    /// Whether batches of one partition must be sent one by one: the next only after [`TopicHooks::sent`]. So it is
    /// where an interceptor keeps state, which must stand for exactly what was appended.
    fn one_by_one(&self) -> bool;

    /// A producer's batch, as it came: whole, of a checked CRC, possibly compressed.
    fn on_send(&self, from: &Origin, batch: &Bytes) -> Sent;

    /// The same on a thread that others wait for, so for no longer than `at_most`. `None`: the guests did not get ready in
    /// that time, or cannot be called so; nothing of the call is kept, and [`TopicHooks::on_send`] must follow elsewhere. What a
    /// guest has logged or counted until then stays logged and counted.
    fn on_send_within(&self, at_most: Duration, from: &Origin, batch: &Bytes) -> Option<Sent> {
        let _ = (at_most, from, batch);
        None
    }

    /// What became of the batch of the last [`TopicHooks::on_send`] of this partition, where [`TopicHooks::one_by_one`]: keeps or
    /// discards what it put into the state.
    fn sent(&self, partition: i32, appended: bool);

    /// What became of a producer's batch. The batches that it gives are appended before the producer is answered.
    fn on_acknowledgement(&self, from: &Origin, acknowledged: &Acknowledgement) -> Vec<Emission>;

    /// Whole batches, as stored, on their way to a consumer.
    ///
    /// # Errors
    /// Text that names the plugin, when the topic fails closed: the consumer gets nothing and tries again.
    fn on_consume(&self, to: &Origin, records: &Bytes) -> Result<Consumed, String>;

    /// Offsets were committed. The batches that it gives are appended before the committer is answered.
    fn on_commit(&self, committed: &Commit) -> Vec<Emission>;
}

/// No plugins at all: `pelton.*` configs are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn check(&self, _topic: &str, _partitions: i32, configs: &BTreeMap<String, String>) -> Result<(), String> {
        match configs.keys().find(|name| name.starts_with(CONFIG_PREFIX)) {
            Some(name) => Err(format!("{name}: this broker runs without plugins")),
            None => Ok(()),
        }
    }

    fn attach(&self, _: &str, _: i32, _: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>> {
        None
    }
}
