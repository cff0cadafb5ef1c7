//! AddPartitionsToTxn, AddOffsetsToTxn, the partitions' verification, and EndTxn.

use super::state::{Status, Transaction};
use super::{Transactions, records};
use crate::coordinator::Outcome;
use crate::event::{InitializedProducer, TransactionReply, TransactionRequest, TransactionResult};
use crate::model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest string of the record schema, in bytes.
const MAX_STRING_BYTES: usize = i16::MAX as usize;
/// Most bytes that the partitions of one transaction take in its record: about half of the largest batch.
const MAX_PARTITIONS_BYTES: usize = 512 * 1024;

impl TransactionRequest {
    /// The transactional id that the question is about, if it is about one.
    pub fn transactional_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::List(_) => None,
            Self::InitProducer { transactional_id, .. }
            | Self::AddPartitions { transactional_id, .. }
            | Self::AddOffsets { transactional_id, .. }
            | Self::Verify { transactional_id, .. }
            | Self::VerifyAll { transactional_id, .. }
            | Self::End { transactional_id, .. }
            | Self::Describe { transactional_id } => Some(transactional_id),
        }
    }
}

/// Refuses what the log's schema cannot hold.
pub(super) fn check_transactional_id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > MAX_STRING_BYTES {
        let message = format!("a transactional id has 1 to {MAX_STRING_BYTES} bytes, not {}", id.len());
        return Err(Refusal::InvalidRequest(message));
    }
    Ok(())
}

impl Transactions {
    /// The state of the id, if this producer is its newest.
    fn owned_by(&self, id: &str, producer: (ProducerId, ProducerEpoch)) -> Result<&Transaction, Refusal> {
        let entry = self.entries.get(id).ok_or(Refusal::InvalidProducerIdMapping)?;
        let transaction = &entry.transaction;
        if transaction.producer_id != producer.0 {
            return Err(Refusal::InvalidProducerIdMapping);
        }
        // The largest epoch exists to fence with and is given to nobody.
        if transaction.producer_epoch != producer.1 || producer.1 == ProducerEpoch(i16::MAX) {
            return Err(Refusal::ProducerFenced);
        }
        Ok(transaction)
    }

    pub(super) fn enlist(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        producer: (ProducerId, ProducerEpoch),
        partitions: &[TopicPartition],
        out: &mut Outcome,
    ) -> Result<TransactionReply, Refusal> {
        let transaction = self.owned_by(id, producer)?;
        if transaction.status.is_completing() {
            return Err(Refusal::ConcurrentTransactions);
        }
        let ongoing = transaction.status == Status::Ongoing;
        if partitions.is_empty() || (ongoing && partitions.iter().all(|p| transaction.partitions.contains(p))) {
            return Ok(TransactionReply::Done);
        }
        if partitions.iter().any(|partition| partition.topic.len() > MAX_STRING_BYTES) {
            return Err(Refusal::InvalidRequest(format!("a topic name has at most {MAX_STRING_BYTES} bytes")));
        }
        let next = transaction.enlisted(now, partitions);
        if records::encoded_len_bound(&next.partitions) > MAX_PARTITIONS_BYTES {
            let message = "the transaction has too many partitions; end it and spread the rest over further ones";
            return Err(Refusal::InvalidRequest(message.into()));
        }
        out.append(vec![records::state_record(id, &next)]);
        Ok(TransactionReply::Done)
    }

    pub(super) fn verify(
        &self,
        id: &str,
        producer: (ProducerId, ProducerEpoch),
        partition: &TopicPartition,
    ) -> Result<TransactionReply, Refusal> {
        match self.open_partitions(id, producer)?.is_some_and(|enlisted| enlisted.contains(partition)) {
            true => Ok(TransactionReply::Done),
            false => Err(Refusal::TransactionNotEnlisted),
        }
    }

    pub(super) fn verify_all(
        &self,
        id: &str,
        producer: (ProducerId, ProducerEpoch),
        partitions: &[TopicPartition],
    ) -> Result<TransactionReply, Refusal> {
        let enlisted = self.open_partitions(id, producer)?;
        let is_enlisted = |partition| enlisted.is_some_and(|enlisted| enlisted.contains(partition));
        Ok(TransactionReply::Verified(partitions.iter().map(is_enlisted).collect()))
    }

    /// The partitions of this producer's open transaction, if there is one.
    fn open_partitions(
        &self,
        id: &str,
        producer: (ProducerId, ProducerEpoch),
    ) -> Result<Option<&BTreeSet<TopicPartition>>, Refusal> {
        let transaction = self.owned_by(id, producer)?;
        match transaction.status {
            Status::PrepareCommit | Status::PrepareAbort => Err(Refusal::ConcurrentTransactions),
            Status::Ongoing => Ok(Some(&transaction.partitions)),
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => Ok(None),
        }
    }

    /// Decides. A repetition after the decision is carried out is answered as the first was; one that comes while the
    /// markers are on their way is told to try again, so that the client does not begin before they are written.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        producer: (ProducerId, ProducerEpoch),
        result: TransactionResult,
        out: &mut Outcome,
    ) -> Result<TransactionReply, Refusal> {
        let transaction = self.owned_by(id, producer)?;
        let ended =
            TransactionReply::Ended(InitializedProducer { producer_id: producer.0, producer_epoch: producer.1 });
        let agrees = transaction.commits() == (result == TransactionResult::Commit);
        match transaction.status {
            Status::Ongoing => {
                let next = transaction.decided(now, producer.1, result);
                self.complete(now, id, next, out);
                Ok(ended)
            }
            Status::CompleteCommit | Status::CompleteAbort if agrees => Ok(ended),
            Status::PrepareCommit | Status::PrepareAbort if agrees => Err(Refusal::ConcurrentTransactions),
            _ => Err(Refusal::InvalidTxnState),
        }
    }
}
