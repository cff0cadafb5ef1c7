//! What a job is: its specification, as users write it in TOML, and what it reports.
//!
//! A job is a chain of steps. Each step runs a transform over its input and emits to the next step's
//! input, the last one to the sink. Between two steps lies a repartition topic that the platform makes:
//! records are placed by the hash of their key, so all records of one key meet in one task.

use crate::manifest::PluginRef;
use serde::{Deserialize, Serialize};

/// A job as its user wrote it. Unknown keys are refused with their name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Letters, digits, `-`, `_` and `.`; names the job's consumer group and internal topics too.
    pub name: String,
    /// Topics that the first step reads. All must have the same number of partitions.
    pub sources: Vec<String>,
    /// Topic that the last step writes.
    pub sink: String,
    /// Topic for records that a step rejected. Default: `NAME-dead-letter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
    /// What a failure may do to the results.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// How long a transaction stays open at most, in milliseconds. Default 100.
    #[serde(default = "default_commit_interval_ms")]
    pub commit_interval_ms: u64,
    /// The chain, first to last. At least one.
    pub steps: Vec<StepSpec>,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Unique within the job; letters, digits, `-` and `_`.
    pub name: String,
    /// The plugin to run.
    pub plugin: PluginRef,
    /// State stores of this step, by name. Each has a compacted changelog topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// The plugin's own configuration, given to its `configure` as JSON.
    #[serde(default = "empty_table", skip_serializing_if = "is_empty_table")]
    pub config: serde_json::Value,
}

/// What a failure may do to the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Outputs, state and input offsets commit in one transaction.
    #[default]
    ExactlyOnce,
}

fn default_commit_interval_ms() -> u64 {
    100
}

fn empty_table() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn is_empty_table(value: &serde_json::Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Where a job or one of its tasks stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskPhase {
    /// Reading the changelog into the state stores.
    Restoring,
    /// Processing and committing.
    Running,
    /// Failed; the reason stands beside it, and it is tried again after a pause.
    Failed,
    /// Stopped on request.
    Stopped,
}

/// What a task read back from its changelog when it started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// Changelog records applied to the stores at this start.
    pub changelog_records_replayed: u64,
    /// Transactions (commit intervals) that those records came from.
    pub commits_replayed: u64,
    /// Keys that the store held before the replay began, estimated by RocksDB.
    pub keys_kept: u64,
    /// How long the restore took, in milliseconds.
    pub restore_ms: u64,
}

/// One task of a job, for `pelton job describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Step name.
    pub step: String,
    /// Partition of the step's input.
    pub partition: i32,
    /// Where it stands.
    pub phase: TaskPhase,
    /// Why it failed last, if it did.
    pub last_error: Option<String>,
    /// Input records taken in committed transactions since this start.
    pub records_in: u64,
    /// Records emitted in committed transactions since this start.
    pub records_out: u64,
    /// Records sent to the dead-letter topic in committed transactions since this start.
    pub records_rejected: u64,
    /// Transactions committed since this start.
    pub commits: u64,
    /// Records between the committed input offset and the last stable offset of the input.
    pub lag: i64,
    /// What the last start replayed.
    pub recovery: RecoveryReport,
}

/// One job, for `pelton job list` and `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    /// The specification as it runs.
    pub spec: JobSpec,
    /// `true` while its tasks are meant to run.
    pub wanted: bool,
    /// Its tasks, by step and partition.
    pub tasks: Vec<TaskReport>,
    /// Why its tasks could not be started, while it is wanted; it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
