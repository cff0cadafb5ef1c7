//! What the coordinator tells of its transactional ids: DescribeTransactions and ListTransactions (KIP-664, KIP-994).
//!
//! It shows hard state and changes nothing. The start of a transaction is told after its end too, until the next one begins or the
//! producer is initialised anew, as in Kafka.

use super::Transactions;
use super::state::{Status, Transaction};
use crate::event::{DescribedTransaction, ListedTransaction, TransactionFilter, TransactionReply, TransactionState};
use crate::model::Timestamp;
use crate::refusal::Refusal;
use std::sync::Arc;

impl Transactions {
    /// One transactional id.
    pub(super) fn describe(&self, id: &str) -> Result<TransactionReply, Refusal> {
        let entry = self.entries.get(id).ok_or_else(|| Refusal::TransactionalIdNotFound(id.to_owned()))?;
        let transaction = &entry.transaction;
        Ok(TransactionReply::Described(DescribedTransaction {
            state: transaction.status.into(),
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            timeout_ms: transaction.timeout_ms,
            started: transaction.started,
            partitions: transaction.partitions.iter().cloned().collect(),
        }))
    }

    /// The transactional ids that pass the filter.
    pub(super) fn list(&self, now: Timestamp, filter: &TransactionFilter) -> TransactionReply {
        let passes = |transaction: &Transaction| {
            let states = &filter.states;
            let producers = &filter.producer_ids;
            (states.is_empty() || states.contains(&TransactionState::from(transaction.status)))
                && (producers.is_empty() || producers.contains(&transaction.producer_id))
                && filter.longer_than_ms.is_none_or(|limit_ms| {
                    transaction.started.is_some_and(|since| now.0.saturating_sub(since.0) > limit_ms)
                })
        };
        let listed = self.entries.iter().filter(|(_, entry)| passes(&entry.transaction)).map(|(id, entry)| {
            let Transaction { producer_id, status, .. } = entry.transaction;
            ListedTransaction { transactional_id: Arc::clone(id), producer_id, state: status.into() }
        });
        TransactionReply::Listed(listed.collect())
    }
}

impl From<Status> for TransactionState {
    fn from(status: Status) -> Self {
        match status {
            Status::Empty => Self::Empty,
            Status::Ongoing => Self::Ongoing,
            Status::PrepareCommit => Self::PrepareCommit,
            Status::PrepareAbort => Self::PrepareAbort,
            Status::CompleteCommit => Self::CompleteCommit,
            Status::CompleteAbort => Self::CompleteAbort,
        }
    }
}
