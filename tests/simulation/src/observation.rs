//! What clients did and were told. The invariants compare it with what the broker holds.

use crate::entry::Entry;
use pelton_core::event::AbortedTransaction;
use pelton_core::model::{Isolation, Offset, TopicPartition, Watermarks};

/// One thing that a client knows.
#[derive(Debug, Clone)]
pub enum Observation {
    /// These values were acknowledged with `acks=all`, the first of them at `base_offset`.
    Acknowledged {
        /// Where.
        partition: TopicPartition,
        /// Offset of the first.
        base_offset: Offset,
        /// The values, in order; `None` where an interceptor took the record away.
        values: Vec<Option<Vec<u8>>>,
    },
    /// A fetch was answered.
    Fetched {
        /// Where.
        partition: TopicPartition,
        /// As what it was read.
        isolation: Isolation,
        /// First offset wanted.
        from: Offset,
        /// All records of the batches that came, also those below `from`.
        records: Vec<Entry>,
        /// The aborted transactions that were named.
        aborted: Vec<AbortedTransaction>,
        /// The four offsets in the answer.
        watermarks: Watermarks,
    },
    /// A transaction of the job began: it turns the inputs `from .. to` into outputs.
    Began {
        /// The simulator's number of it.
        serial: u64,
        /// First input offset.
        from: Offset,
        /// One past the last input offset.
        to: Offset,
        /// How many outputs go to which partition.
        outputs: Vec<(TopicPartition, usize)>,
    },
    /// Its client asks to commit: from here on it may commit, heard or unheard.
    CommitAsked(u64),
    /// Its client was told that it is committed.
    Committed(u64),
    /// Its client left it without asking to commit, or was told that it is aborted.
    NotCommitted(u64),
    /// A group offset is asked to be committed outside of a transaction.
    OffsetAsked {
        /// The group.
        group: &'static str,
        /// Of which partition of the inputs.
        partition: i32,
        /// The next offset to read.
        offset: Offset,
    },
    /// That was acknowledged.
    OffsetCommitted {
        /// The group.
        group: &'static str,
        /// Of which partition of the inputs.
        partition: i32,
        /// The next offset to read.
        offset: Offset,
    },
    /// A group's offset was fetched.
    OffsetFetched {
        /// The group.
        group: &'static str,
        /// Of which partition of the inputs.
        partition: i32,
        /// The next offset to read, if there is one.
        offset: Option<Offset>,
    },
    /// An honest request was refused for a reason that nothing excuses.
    Unexpected(String),
}
