//! What a task asks of a local state store. The changelog topic is the truth; a store is a copy of it
//! that can be rebuilt, and each store carries the stamp of the place in the changelog that it has reached.

use bytes::Bytes;
use std::fmt;

/// A task of a job: partition `partition` of the input of step `step`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Job name.
    pub job: String,
    /// Step name.
    pub step: String,
    /// Partition of the step's input.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.step, self.partition)
    }
}

/// One write to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Number of the store, in the order in which the task opened its stores.
    pub store: usize,
    /// Key.
    pub key: Bytes,
    /// The new value, or `None` to delete.
    pub value: Option<Bytes>,
}

/// How much of its changelog a store holds: exactly the records below `next_offset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogStamp {
    /// Identity of the changelog topic (32 hexadecimal digits), so that a topic that was made anew is noticed.
    pub topic_id: String,
    /// Offset from which the changelog goes on.
    pub next_offset: i64,
    /// Number of the task's commit that wrote the last record applied; 0 before the first.
    pub commit: u64,
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The files are damaged. The store must be set aside and rebuilt from its changelog.
    #[error("the state store is damaged: {0}")]
    Damaged(String),
    /// Anything else: a full disk, a missing permission, another process that holds the store.
    #[error("the state store failed: {0}")]
    Failed(String),
}

/// The state stores of one task.
pub trait StateStore: Send {
    /// The value under `key` in store number `store`.
    ///
    /// # Errors
    /// [`StoreError`], also for a store number that was not opened.
    fn get(&self, store: usize, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Applies all changes and stamps, or, after a crash, none of them.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was applied.
    fn apply(&mut self, changes: &[Change], stamps: &[(usize, ChangelogStamp)]) -> Result<(), StoreError>;

    /// The stamps as they were last applied, by store number; `None` for a store that holds nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stamps(&self) -> Result<Vec<Option<ChangelogStamp>>, StoreError>;

    /// Keys in all stores, estimated.
    fn estimated_keys(&self) -> u64;
}

/// Opens the stores of tasks. A task's stores are open once at a time.
pub trait StoreFactory: Send + Sync {
    /// Opens the stores of `task`, numbered in the order of `stores`; creates what is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open(&self, task: &TaskId, stores: &[String]) -> Result<Box<dyn StateStore>, StoreError>;

    /// Moves the (closed) stores of `task` out of the way, so that the next `open` finds none. Nothing is
    /// deleted. Answers with the place that they were moved to, for the log.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_aside(&self, task: &TaskId) -> Result<String, StoreError>;
}
