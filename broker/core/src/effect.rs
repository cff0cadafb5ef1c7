//! What a machine asks of the world. The shell performs effects in the order in which they were given
//! and reports back as events; it never branches on what they mean.

use crate::cluster::{ClusterImage, Configs};
use crate::event::{AbortedTransaction, Envelope, Event, Fetched, OffsetLookup, Reply, ReplyTo, Request};
use crate::model::{LeaderEpoch, Offset, PartId, Timestamp, Token, TopicId, TopicPartition};
use bytes::Bytes;
use pelton_record::BatchHeader;
use std::sync::Arc;

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Give this event to the shard that owns the part.
    Send(Envelope),
    /// Give the answer to whoever waits under the token.
    Reply {
        /// The waiting request.
        token: Token,
        /// The answer.
        reply: Reply,
    },
    /// Append batches to the partition's log, in one go with every other write of the same step: once one has failed, the
    /// later ones of the step are not made. On failure: [`crate::event::Event::NoRoom`] where the medium is full and the
    /// log is as it was, [`crate::event::Event::StorageFailed`] otherwise.
    Write {
        /// Whose log.
        partition: TopicPartition,
        /// In offset order.
        batches: Vec<AssignedBatch>,
    },
    /// Make everything below `through` durable, then report [`crate::event::Event::Flushed`]. Requests of
    /// one log may be merged into the newest (group commit).
    Flush {
        /// Whose log.
        partition: TopicPartition,
        /// One past the last offset to sync.
        through: Offset,
    },
    /// Remember an aborted transaction in the partition's `.txnindex`.
    RecordAborted {
        /// Whose log.
        partition: TopicPartition,
        /// The transaction.
        aborted: AbortedTransaction,
        /// The last stable offset when it was aborted.
        last_stable: Offset,
    },
    /// Find whole batches in `from .. end`, put them (or where they lie) into `answer.records` and give the answer. With
    /// `with_aborted`, put the aborted transactions that overlap them into `answer.aborted` as well.
    Read {
        /// The waiting request.
        token: Token,
        /// Whose log.
        partition: TopicPartition,
        /// First offset wanted.
        from: Offset,
        /// One past the last offset that may be given.
        end: Offset,
        /// Size limit; the first batch is given even when it is larger.
        max_bytes: usize,
        /// Whether the reader wants aborted transactions named.
        with_aborted: bool,
        /// The answer but for the records.
        answer: Fetched,
    },
    /// Delete what lies below `before` from the partition's log, durably, report [`crate::event::Event::Trimmed`], and
    /// answer [`crate::event::PartitionReply::RecordsDeleted`].
    DeleteRecords {
        /// The waiting request.
        token: Token,
        /// Whose log.
        partition: TopicPartition,
        /// First offset to keep.
        before: Offset,
    },
    /// Look an offset up in the log below `end` and answer [`crate::event::PartitionReply::Located`].
    Locate {
        /// The waiting request.
        token: Token,
        /// Whose log.
        partition: TopicPartition,
        /// What to look for: a timestamp, or the largest.
        lookup: OffsetLookup,
        /// One past the last offset that may be given.
        end: Offset,
        /// For the answer.
        leader_epoch: LeaderEpoch,
    },
    /// Make and open the log of a new partition in the shard that owns it.
    CreatePartition {
        /// The partition.
        partition: TopicPartition,
        /// Its topic's id.
        topic_id: TopicId,
        /// Its topic's configs.
        configs: Configs,
    },
    /// The configs of the partition's topic were changed: its machine ([`crate::shard::Shard::configure`]) and its log
    /// follow. Nothing is to do where the partition is of another creation of the topic, or gone.
    ConfigurePartition {
        /// The partition.
        partition: TopicPartition,
        /// Its topic's id.
        topic_id: TopicId,
        /// All configs of its topic.
        configs: Configs,
    },
    /// Forget the partition and delete its log.
    DeletePartition {
        /// The partition.
        partition: TopicPartition,
        /// The id of the topic that was deleted.
        topic_id: TopicId,
    },
    /// The cluster image has changed: publish it to whoever reads it.
    PublishImage(Arc<ClusterImage>),
    /// Send [`crate::event::Event::Tick`] to this part at `at` or soon after. An earlier wish of the same part is replaced.
    WakeAt {
        /// The part.
        part: PartId,
        /// When.
        at: Timestamp,
    },
}

impl Effect {
    /// Gives an answer to whoever waits for it; nothing where nobody does.
    pub(crate) fn answer(reply_to: ReplyTo, reply: Reply) -> Option<Self> {
        match reply_to {
            ReplyTo::Shell(token) => Some(Self::Reply { token, reply }),
            ReplyTo::Part(to, question) => Some(Self::Send(Envelope { to, event: Event::Answer { question, reply } })),
            ReplyTo::Nobody => None,
        }
    }

    /// Asks another part.
    pub(crate) fn ask(to: PartId, reply_to: ReplyTo, request: Request) -> Self {
        Self::Send(Envelope { to, event: Event::Ask { reply_to, request } })
    }
}

/// A batch with its place in the log.
#[derive(Debug, Clone)]
pub struct AssignedBatch {
    /// The header to write, base offset and leader epoch as assigned, the CRC right (neither is covered by it).
    pub header: BatchHeader,
    /// The batch as it came. The shell writes the header in place of the one that this begins with.
    pub bytes: Bytes,
}
