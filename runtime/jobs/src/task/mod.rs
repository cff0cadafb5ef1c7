//! One task: one step of a job over one partition of the step's input.
//!
//! [`machine`] decides and is pure; [`driver`] does what the machine says. What the machine works with:
//! [`chunk`] cuts input into guest calls, [`outbox`] gathers what is to be sent, [`changelog`] writes and
//! reads state changes, [`dead_letter`] wraps what a step could not use.

pub mod changelog;
pub mod chunk;
pub mod dead_letter;
pub mod driver;
pub mod machine;
pub mod outbox;
pub mod restore;

use pelton_api::manifest::PluginRef;
use pelton_api::ports::Partition;
use pelton_api::store::TaskId;

/// Everything that is fixed about a task while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// Job, step and partition.
    pub id: TaskId,
    /// The code that it runs.
    pub plugin: PluginRef,
    /// The plugin's configuration, as JSON.
    pub config: String,
    /// What it reads: the same partition of each source of its step.
    pub sources: Vec<Partition>,
    /// Its state stores.
    pub stores: Vec<String>,
    /// The changelog of each store.
    pub changelogs: Vec<Partition>,
    /// Where its outputs go.
    pub output: Target,
    /// Whether the output topic's own partitioner says which partition each of them belongs to. It does for a job's
    /// sink; between two steps the hash of the key alone lets all records of a key meet in one task.
    pub partitioned: bool,
    /// Where rejected records go.
    pub dead_letter: Target,
    /// The consumer group that its input offsets are committed for.
    pub group: String,
    /// Under which it writes.
    pub transactional_id: String,
    /// How long a transaction stays open at most, in milliseconds.
    pub commit_interval_ms: u64,
}

/// A topic that a task writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name.
    pub topic: String,
    /// Number of partitions, at least 1.
    pub partitions: i32,
}
