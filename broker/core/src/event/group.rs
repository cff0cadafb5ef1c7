//! What a group coordinator may be asked, and its answers (Kafka's classic group protocol).

use crate::model::{LeaderEpoch, MemberId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A question to the coordinator of a group.
#[derive(Debug, Clone)]
pub enum GroupRequest {
    /// JoinGroup. Answer: [`GroupReply::Joined`], when the rebalance completes.
    Join(JoinGroup),
    /// SyncGroup. Answer: [`GroupReply::Synced`], when the leader has given the assignments.
    Sync(SyncGroup),
    /// Heartbeat. Answer: [`GroupReply::Done`].
    Heartbeat {
        /// The group.
        group: Arc<str>,
        /// The generation that the member is in.
        generation: i32,
        /// The member.
        member: MemberId,
        /// Its static identity (KIP-345).
        instance: Option<Arc<str>>,
    },
    /// LeaveGroup. Answer: [`GroupReply::Left`].
    Leave {
        /// The group.
        group: Arc<str>,
        /// Who leaves.
        members: Vec<LeavingMember>,
    },
    /// OffsetCommit. Answer: [`GroupReply::Done`], when the offsets are durable.
    Commit(OffsetCommit),
    /// TxnOffsetCommit: the offsets stay pending until the transaction is decided. Answer: [`GroupReply::Done`].
    CommitInTransaction(TransactionalOffsetCommit),
    /// The transaction of this producer was decided (from the partition of `__consumer_offsets`, after the
    /// marker is written): its pending offsets become committed, or vanish. Answer: [`GroupReply::Done`].
    CompleteTransaction {
        /// The transaction's producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// `true` commits, `false` aborts.
        commit: bool,
    },
    /// OffsetFetch. Answer: [`GroupReply::Offsets`].
    FetchOffsets {
        /// The group.
        group: Arc<str>,
        /// The partitions, or all that the group has committed.
        partitions: Option<Vec<TopicPartition>>,
        /// Refuse with `UnstableOffsetCommit` where a transaction has pending offsets (KIP-447).
        require_stable: bool,
    },
}

/// JoinGroup, in core words.
#[derive(Debug, Clone)]
pub struct JoinGroup {
    /// The group.
    pub group: Arc<str>,
    /// Empty for a new member.
    pub member: MemberId,
    /// Its static identity (KIP-345).
    pub instance: Option<Arc<str>>,
    /// An id for a new member, made by the shell (the core has no randomness): client id, `-`, a UUID.
    pub proposed_member: MemberId,
    /// From the request header.
    pub client_id: Arc<str>,
    /// Address of the client.
    pub client_host: Arc<str>,
    /// `consumer`, `connect` ...
    pub protocol_type: Arc<str>,
    /// Assignment protocols in the member's order of preference, with their metadata.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to join again.
    pub rebalance_timeout_ms: i32,
    /// A new member must join twice, the second time with its id (KIP-394; JoinGroup v4 and later).
    pub require_known_member: bool,
}

/// The answer to a join.
#[derive(Debug, Clone)]
pub struct JoinedGroup {
    /// The new generation.
    pub generation: i32,
    /// The protocol type.
    pub protocol_type: Arc<str>,
    /// The chosen assignment protocol.
    pub protocol: Arc<str>,
    /// The member that assigns.
    pub leader: MemberId,
    /// The id of the asking member.
    pub member: MemberId,
    /// All members with their metadata, for the leader alone; empty for the others.
    pub members: Vec<JoinedMember>,
    /// A static leader that came back: it must not assign anew (KIP-814; JoinGroup v9).
    pub skip_assignment: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone)]
pub struct JoinedMember {
    /// Its id.
    pub member: MemberId,
    /// Its static identity.
    pub instance: Option<Arc<str>>,
    /// Its metadata under the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup, in core words.
#[derive(Debug, Clone)]
pub struct SyncGroup {
    /// The group.
    pub group: Arc<str>,
    /// The generation that was joined.
    pub generation: i32,
    /// The member.
    pub member: MemberId,
    /// Its static identity.
    pub instance: Option<Arc<str>>,
    /// Checked when given (v5).
    pub protocol_type: Option<Arc<str>>,
    /// Checked when given (v5).
    pub protocol: Option<Arc<str>>,
    /// From the leader: every member's assignment.
    pub assignments: BTreeMap<MemberId, Bytes>,
}

/// The answer to a sync.
#[derive(Debug, Clone)]
pub struct SyncedGroup {
    /// The protocol type.
    pub protocol_type: Arc<str>,
    /// The chosen assignment protocol.
    pub protocol: Arc<str>,
    /// The asking member's assignment.
    pub assignment: Bytes,
}

/// One member that leaves.
#[derive(Debug, Clone)]
pub struct LeavingMember {
    /// Its id; may be empty for a static member.
    pub member: MemberId,
    /// Its static identity.
    pub instance: Option<Arc<str>>,
}

/// What became of a leave.
#[derive(Debug, Clone)]
pub struct LeaveResult {
    /// The id that was asked for.
    pub member: MemberId,
    /// The static identity that was asked for.
    pub instance: Option<Arc<str>>,
    /// Why it was refused, if it was.
    pub refusal: Option<crate::refusal::Refusal>,
}

/// OffsetCommit, in core words.
#[derive(Debug, Clone)]
pub struct OffsetCommit {
    /// The group.
    pub group: Arc<str>,
    /// The generation; negative for a consumer outside of the group protocol.
    pub generation: i32,
    /// The member; empty for a consumer outside of the group protocol.
    pub member: MemberId,
    /// Its static identity.
    pub instance: Option<Arc<str>>,
    /// What is committed.
    pub offsets: Vec<CommitOffset>,
}

/// TxnOffsetCommit, in core words.
#[derive(Debug, Clone)]
pub struct TransactionalOffsetCommit {
    /// The transaction's producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The transactional id; the transaction coordinator is asked whether the group is enlisted.
    pub transactional_id: Arc<str>,
    /// The rest; generation and member are checked when given (KIP-447).
    pub commit: OffsetCommit,
}

/// One offset to commit.
#[derive(Debug, Clone)]
pub struct CommitOffset {
    /// Of which partition.
    pub partition: TopicPartition,
    /// The next offset that the group will read.
    pub offset: Offset,
    /// Epoch of the last record read, if known (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own note.
    pub metadata: Arc<str>,
}

/// One offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset that the group will read.
    pub offset: Offset,
    /// Epoch of the last record read, if known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own note.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
}

/// An answer of a group coordinator.
#[derive(Debug, Clone)]
pub enum GroupReply {
    /// A join is complete.
    Joined(JoinedGroup),
    /// A sync is complete.
    Synced(SyncedGroup),
    /// What became of each leaving member.
    Left(Vec<LeaveResult>),
    /// Committed offsets; `None` where the group has none. Ordered by topic and partition.
    Offsets(Vec<(TopicPartition, Option<CommittedOffset>)>),
    /// It is done, and durable where it must be.
    Done,
}
