//! Why a request is refused: one fact each. `broker/server/src/protocol/error_code.rs` maps them to
//! Kafka's error codes, exhaustively and in that one place.

/// What a principal has no permission for, as far as Kafka's error codes tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protected {
    /// A topic.
    Topic,
    /// A group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The cluster.
    Cluster,
}

impl std::fmt::Display for Protected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Topic => "topic",
            Self::Group => "group",
            Self::TransactionalId => "transactional id",
            Self::Cluster => "cluster",
        })
    }
}

/// A fact that stops a request. The variants carry Kafka's public names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation")]
pub enum Refusal {
    #[error("the offset is outside of what the log holds")]
    OffsetOutOfRange,
    #[error("this server does not host that topic or partition")]
    UnknownTopicOrPartition,
    #[error("no topic has that id")]
    UnknownTopicId,
    #[error("the record batch is damaged: {0}")]
    CorruptMessage(String),
    #[error("the record batch breaks a rule: {0}")]
    InvalidRecord(String),
    #[error("{0}")]
    InvalidTimestamp(String),
    #[error("the batch is larger than the topic's max.message.bytes")]
    RecordTooLarge,
    #[error("the batch's format is older than version 2; use a client that writes record format v2")]
    UnsupportedFormat,
    #[error("the producer's sequence number skips records")]
    OutOfOrderSequence,
    #[error("the producer id is not known and its first sequence number is not 0")]
    UnknownProducerId,
    #[error("a producer with a newer epoch has taken over")]
    InvalidProducerEpoch,
    #[error("a producer with the same transactional id has taken over")]
    ProducerFenced,
    #[error("the producer id belongs to another transactional id")]
    InvalidProducerIdMapping,
    #[error("the transaction is in a state that does not allow this")]
    InvalidTxnState,
    #[error("the transaction is being completed; try again")]
    ConcurrentTransactions,
    #[error("the transaction timeout is larger than transaction.max.timeout.ms")]
    InvalidTransactionTimeout,
    #[error("the coordinator was replaced by one with a newer epoch")]
    TransactionCoordinatorFenced,
    #[error("the partition was not added to the transaction; start a new transaction")]
    TransactionNotEnlisted,
    #[error("the coordinator is still reading its log; try again")]
    CoordinatorLoadInProgress,
    #[error("the coordinator is not available; try again")]
    CoordinatorNotAvailable,
    #[error("this is not the coordinator of that group or transactional id")]
    NotCoordinator,
    #[error("the member is not known in this group")]
    UnknownMemberId,
    #[error("the member must join again with the id that it was given")]
    MemberIdRequired(String),
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    #[error("the group is rebalancing; join again")]
    RebalanceInProgress,
    #[error("the group's protocol type or its protocols do not match the member's")]
    InconsistentGroupProtocol,
    #[error("another member holds that group.instance.id")]
    FencedInstanceId,
    #[error("the session timeout is outside of the allowed range")]
    InvalidSessionTimeout,
    #[error("the group id is not valid")]
    InvalidGroupId,
    #[error("the group has reached group.max.size")]
    GroupMaxSizeReached,
    #[error("a transaction has pending offsets for this partition; try again")]
    UnstableOffsetCommit,
    #[error("the metadata with the committed offset is too long")]
    OffsetMetadataTooLarge,
    #[error("Group {0} not found.")]
    GroupIdNotFound(String),
    #[error("the group has members; stop them first")]
    NonEmptyGroup,
    #[error("the group subscribes to that topic; stop its members first")]
    GroupSubscribedToTopic,
    #[error("the principal may not do this to the {0}; ask an administrator for the permission")]
    AuthorizationFailed(Protected),
    #[error("fewer replicas are in sync than min.insync.replicas asks for; there is one")]
    NotEnoughReplicas,
    #[error("no transactional id {0} is known")]
    TransactionalIdNotFound(String),
    #[error("{0}")]
    BrokerIdNotRegistered(String),
    #[error("a topic of that name exists")]
    TopicAlreadyExists,
    #[error("the topic name is not valid: {0}")]
    InvalidTopicName(String),
    #[error("the number of partitions is not valid: {0}")]
    InvalidPartitions(String),
    #[error("the replication factor is not valid: {0}")]
    InvalidReplicationFactor(String),
    #[error("the replica assignment is not valid: {0}")]
    InvalidReplicaAssignment(String),
    #[error("the configuration is not valid: {0}")]
    InvalidConfig(String),
    #[error("the topic's configs were changed at the same time; try again")]
    ConcurrentChange,
    #[error("the request is not valid: {0}")]
    InvalidRequest(String),
    #[error("the operation is not allowed: {0}")]
    PolicyViolation(String),
    #[error("the leader epoch of the request is older than the partition's")]
    FencedLeaderEpoch,
    #[error("the leader epoch of the request is newer than the partition's")]
    UnknownLeaderEpoch,
    #[error("the log could not be written or read: {0}")]
    Storage(String),
    #[error("there is no room to write the log; make room and it goes on: {0}")]
    NoRoom(String),
    #[error("{0} is not among log.dirs; name one of them by its absolute path")]
    LogDirNotFound(String),
    #[error("this broker has no replica of that partition")]
    ReplicaNotAvailable,
    #[error("the request was not finished in time")]
    RequestTimedOut,
    #[error("the broker is stopping")]
    Stopping,
}
