//! What a group coordinator may be asked, and its answers (Kafka's classic group protocol).

use crate::cluster::ClusterImage;
use crate::model::{LeaderEpoch, MemberId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use crate::refusal::Refusal;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
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
    /// ListGroups: the groups of this coordinator. Answer: [`GroupReply::Listed`].
    List {
        /// The states to list, or all.
        states: Option<BTreeSet<GroupState>>,
    },
    /// DescribeGroups. Answer: [`GroupReply::Described`].
    Describe {
        /// Which groups.
        groups: Vec<Arc<str>>,
    },
    /// DeleteGroups: groups without members, with their offsets. Answer: [`GroupReply::Deleted`].
    Delete {
        /// Which groups.
        groups: Vec<Arc<str>>,
    },
    /// OffsetDelete (KIP-496). Answer: [`GroupReply::OffsetsDeleted`].
    DeleteOffsets {
        /// The group.
        group: Arc<str>,
        /// Whose offsets.
        partitions: Vec<TopicPartition>,
    },
    /// These topics were deleted (from the cluster image): every group forgets its offsets of them. Answer: [`GroupReply::Done`].
    TopicsDeleted {
        /// Their names.
        topics: Arc<BTreeSet<Arc<str>>>,
    },
    /// These topics exist, and nobody commits yet: every group forgets its offsets of any other partition. Answer:
    /// [`GroupReply::Done`].
    KeepTopics {
        /// The cluster with its topics.
        image: Arc<ClusterImage>,
    },
}

/// Where a group stands between two generations. Kafka's fifth state, Dead, is a group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// No members; perhaps offsets.
    Empty,
    /// Members join.
    PreparingRebalance,
    /// Members have joined; the leader has yet to assign.
    CompletingRebalance,
    /// Every member has its assignment, or may fetch it.
    Stable,
}

impl GroupState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Empty, Self::PreparingRebalance, Self::CompletingRebalance, Self::Stable];

    /// Its name, as Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group: Arc<str>,
    /// `consumer`, `connect` ...; empty for a group that never had members.
    pub protocol_type: Arc<str>,
    /// Where it stands.
    pub state: GroupState,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Where it stands.
    pub state: GroupState,
    /// `consumer`, `connect` ...; empty for a group that never had members.
    pub protocol_type: Arc<str>,
    /// The chosen assignment protocol; empty unless the group is stable.
    pub protocol: Arc<str>,
    /// Its members, by id.
    pub members: Vec<DescribedMember>,
}

/// A member as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member: MemberId,
    /// Its static identity.
    pub instance: Option<Arc<str>>,
    /// From the header of its join.
    pub client_id: Arc<str>,
    /// Where it joined from.
    pub client_host: Arc<str>,
    /// Its metadata under the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What the leader gave it; empty unless the group is stable.
    pub assignment: Bytes,
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
    pub refusal: Option<Refusal>,
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
    /// How long the offsets are kept, whoever uses the group, where the client says so (OffsetCommit v2 to v4). In
    /// milliseconds; otherwise `offsets.retention.minutes` rules.
    pub retention_ms: Option<i64>,
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
    /// When it expires, where the client has said so.
    pub expires_at: Option<Timestamp>,
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
    /// The groups that were asked for, by id.
    Listed(Vec<ListedGroup>),
    /// What is known of each group, in the order of the question; [`Refusal::GroupIdNotFound`] where there is none.
    Described(Vec<Result<DescribedGroup, Refusal>>),
    /// Why each group was not deleted, if it was not, in the order of the question.
    Deleted(Vec<Option<Refusal>>),
    /// Why the offset of each partition was not deleted, if it was not, in the order of the question.
    OffsetsDeleted(Vec<(TopicPartition, Option<Refusal>)>),
    /// It is done, and durable where it must be.
    Done,
}
