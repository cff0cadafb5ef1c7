//! The one place where a refusal becomes Kafka's error code.
//!
//! The match over [`Refusal`] is exhaustive: a new fact does not compile before it has a code. Where
//! Kafka answers one fact with different codes for different requests or versions, [`Operation`] decides.

use kafka_protocol::error::ResponseError;
use pelton_core::refusal::{Protected, Refusal};

/// No error.
pub const NONE: i16 = 0;

/// What was asked, as far as the choice of the code depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Produce, with its version.
    Produce(i16),
    /// Fetch and ListOffsets.
    Read,
    /// Requests to a group coordinator.
    Group,
    /// Requests to a transaction coordinator: whether the client's version knows PRODUCER_FENCED (KIP-588).
    Transaction {
        /// Whether it does.
        knows_fenced: bool,
    },
    /// TxnOffsetCommit, with its version.
    TransactionalCommit(i16),
    /// CreateTopics, DeleteTopics, and the requests for configs.
    Admin,
}

/// Kafka's code for a refusal.
pub fn code(operation: Operation, refusal: &Refusal) -> i16 {
    error(operation, refusal).code()
}

fn error(operation: Operation, refusal: &Refusal) -> ResponseError {
    use Refusal as R;
    use ResponseError as E;
    match refusal {
        R::OffsetOutOfRange => E::OffsetOutOfRange,
        R::UnknownTopicOrPartition => E::UnknownTopicOrPartition,
        R::UnknownTopicId => E::UnknownTopicId,
        R::CorruptMessage(_) => E::CorruptMessage,
        R::InvalidRecord(_) => E::InvalidRecord,
        R::InvalidTimestamp(_) => E::InvalidTimestamp,
        R::RecordTooLarge => E::MessageTooLarge,
        R::UnsupportedFormat => E::UnsupportedForMessageFormat,
        R::OutOfOrderSequence => E::OutOfOrderSequenceNumber,
        R::UnknownProducerId => E::UnknownProducerId,
        R::InvalidProducerEpoch => E::InvalidProducerEpoch,
        R::ProducerFenced => fenced(operation),
        R::InvalidProducerIdMapping => E::InvalidProducerIdMapping,
        R::InvalidTxnState => E::InvalidTxnState,
        R::InvalidTransactionTimeout => E::InvalidTransactionTimeout,
        R::TransactionCoordinatorFenced => E::TransactionCoordinatorFenced,
        R::TransactionNotEnlisted => not_enlisted(operation),
        R::ConcurrentTransactions => or_try_again(operation, E::ConcurrentTransactions),
        R::CoordinatorLoadInProgress => loading(operation),
        R::CoordinatorNotAvailable => or_try_again(operation, E::CoordinatorNotAvailable),
        R::NotCoordinator => or_try_again(operation, E::NotCoordinator),
        R::UnknownMemberId => E::UnknownMemberId,
        R::MemberIdRequired(_) => E::MemberIdRequired,
        R::IllegalGeneration => E::IllegalGeneration,
        R::RebalanceInProgress => E::RebalanceInProgress,
        R::InconsistentGroupProtocol => E::InconsistentGroupProtocol,
        R::FencedInstanceId => E::FencedInstanceId,
        R::InvalidSessionTimeout => E::InvalidSessionTimeout,
        R::InvalidGroupId => E::InvalidGroupId,
        R::GroupMaxSizeReached => E::GroupMaxSizeReached,
        R::UnstableOffsetCommit => E::UnstableOffsetCommit,
        R::OffsetMetadataTooLarge => E::OffsetMetadataTooLarge,
        R::GroupIdNotFound(_) => E::GroupIdNotFound,
        R::NonEmptyGroup => E::NonEmptyGroup,
        R::GroupSubscribedToTopic => E::GroupSubscribedToTopic,
        R::AuthorizationFailed(protected) => authorization_failed(*protected),
        R::NotEnoughReplicas => E::NotEnoughReplicas,
        R::TransactionalIdNotFound(_) => E::TransactionalIdNotFound,
        R::BrokerIdNotRegistered(_) => E::BrokerIdNotRegistered,
        R::TopicAlreadyExists => E::TopicAlreadyExists,
        R::InvalidTopicName(_) => E::InvalidTopicException,
        R::InvalidPartitions(_) => E::InvalidPartitions,
        R::InvalidReplicationFactor(_) => E::InvalidReplicationFactor,
        R::InvalidReplicaAssignment(_) => E::InvalidReplicaAssignment,
        R::InvalidConfig(_) => E::InvalidConfig,
        R::InvalidRequest(_) => E::InvalidRequest,
        R::PolicyViolation(_) => E::PolicyViolation,
        R::FencedLeaderEpoch => E::FencedLeaderEpoch,
        R::UnknownLeaderEpoch => E::UnknownLeaderEpoch,
        // It passes when it is tried again, which the code says.
        R::RequestTimedOut | R::ConcurrentChange => E::RequestTimedOut,
        R::Storage(_) | R::NoRoom(_) => storage_failed(operation),
        R::LogDirNotFound(_) => E::LogDirNotFound,
        R::ReplicaNotAvailable => E::ReplicaNotAvailable,
        R::Stopping => stopping(operation),
    }
}

/// Kafka tells nobody PRODUCER_FENCED who may not know it.
fn fenced(operation: Operation) -> ResponseError {
    match operation {
        Operation::Produce(_) | Operation::TransactionalCommit(_) | Operation::Transaction { knows_fenced: false } => {
            ResponseError::InvalidProducerEpoch
        }
        _ => ResponseError::ProducerFenced,
    }
}

/// KIP-890: clients from Produce v11 and TxnOffsetCommit v4 on know that they may abort and go on.
fn not_enlisted(operation: Operation) -> ResponseError {
    match operation {
        Operation::Produce(11..) | Operation::TransactionalCommit(4..) => ResponseError::TransactionAbortable,
        _ => ResponseError::InvalidTxnState,
    }
}

/// Producers from before Kafka 2.0 take the usual code for the end of everything.
fn loading(operation: Operation) -> ResponseError {
    match operation {
        Operation::TransactionalCommit(..2) => ResponseError::CoordinatorNotAvailable,
        _ => or_try_again(operation, ResponseError::CoordinatorLoadInProgress),
    }
}

fn storage_failed(operation: Operation) -> ResponseError {
    match operation {
        Operation::Group | Operation::Transaction { .. } | Operation::TransactionalCommit(_) => {
            ResponseError::CoordinatorNotAvailable
        }
        _ => ResponseError::KafkaStorageError,
    }
}

/// What sends each client to look for another broker.
fn stopping(operation: Operation) -> ResponseError {
    match operation {
        Operation::Produce(_) | Operation::Read => ResponseError::NotLeaderOrFollower,
        Operation::Group | Operation::Transaction { .. } | Operation::TransactionalCommit(_) => {
            ResponseError::CoordinatorNotAvailable
        }
        Operation::Admin => ResponseError::NotController,
    }
}

fn authorization_failed(protected: Protected) -> ResponseError {
    match protected {
        Protected::Topic => ResponseError::TopicAuthorizationFailed,
        Protected::Group => ResponseError::GroupAuthorizationFailed,
        Protected::TransactionalId => ResponseError::TransactionalIdAuthorizationFailed,
        Protected::Cluster => ResponseError::ClusterAuthorizationFailed,
    }
}

/// A producer whose transaction could not be verified yet: Kafka tells it NOT_ENOUGH_REPLICAS, which every
/// version of every client answers by trying again.
fn or_try_again(operation: Operation, otherwise: ResponseError) -> ResponseError {
    match operation {
        Operation::Produce(_) => ResponseError::NotEnoughReplicas,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_decides_where_kafka_lets_it_decide() {
        let old = Operation::Transaction { knows_fenced: false };
        let new = Operation::Transaction { knows_fenced: true };
        assert_eq!(code(old, &Refusal::ProducerFenced), 47);
        assert_eq!(code(new, &Refusal::ProducerFenced), 90);
        assert_eq!(code(Operation::Produce(10), &Refusal::TransactionNotEnlisted), 48);
        assert_eq!(code(Operation::Produce(11), &Refusal::TransactionNotEnlisted), 120);
        assert_eq!(code(Operation::Produce(9), &Refusal::ConcurrentTransactions), 19);
        assert_eq!(code(new, &Refusal::ConcurrentTransactions), 51);
        let committing = |version, refusal| code(Operation::TransactionalCommit(version), refusal);
        assert_eq!(committing(4, &Refusal::ProducerFenced), 47);
        assert_eq!(committing(3, &Refusal::TransactionNotEnlisted), 48);
        assert_eq!(committing(4, &Refusal::TransactionNotEnlisted), 120);
        assert_eq!(committing(1, &Refusal::CoordinatorLoadInProgress), 15);
        assert_eq!(committing(2, &Refusal::CoordinatorLoadInProgress), 14);
        assert_eq!(committing(0, &Refusal::Stopping), 15);
        assert_eq!(code(Operation::Group, &Refusal::Storage(String::new())), 15);
        assert_eq!(code(Operation::Read, &Refusal::Storage(String::new())), 56);
    }
}
