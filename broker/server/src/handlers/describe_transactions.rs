//! DescribeTransactions (key 65), v0-0: how transactional ids stand (KIP-664).
//!
//! State, producer, timeout, when the open transaction began (-1 where none is open) and the partitions that it has touched.
//! An id that nobody knows is TRANSACTIONAL_ID_NOT_FOUND. Topics that the client may not see are left out.
//!
//! An id that is named twice is described once: the answer is so bounded by what there is, and not by how often it is
//! asked for.
//!
//! Memory: 128 times the request, for the ids and what is put together of each; and the partitions of the transactions
//! that are named, each bounded by the record that keeps it.

use super::Scope;
use super::scope::{transaction_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::driver::Pending;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};
use pelton_core::event::{DescribedTransaction, TransactionReply, TransactionRequest};
use pelton_core::model::{TRANSACTIONS_TOPIC, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;

/// Describes each transactional id.
pub async fn handle(scope: Scope, request: DescribeTransactionsRequest) -> Option<DescribeTransactionsResponse> {
    let mut seen = BTreeSet::new();
    let ids = request.transactional_ids.into_iter().filter(|id| seen.insert(id.clone()));
    let asked: Vec<_> = ids.map(|id| (ask(&scope, &id), id)).collect();
    let mut states = Vec::with_capacity(asked.len());
    for (pending, id) in asked {
        let state = match described(pending).await {
            Ok(described) => state(&scope, &described),
            Err(refusal) => TransactionState::default()
                .with_error_code(code(Operation::Transaction { knows_fenced: true }, &refusal)),
        };
        states.push(state.with_transactional_id(id));
    }
    Some(DescribeTransactionsResponse::default().with_transaction_states(states))
}

fn ask(scope: &Scope, id: &TransactionalId) -> Result<Pending, Refusal> {
    scope.require(AclOperation::Describe, Resource::TransactionalId(&id.0))?;
    if scope.image().topic(TRANSACTIONS_TOPIC).is_none() {
        return Err(Refusal::TransactionalIdNotFound(id.0.to_string()));
    }
    let describe = TransactionRequest::Describe { transactional_id: id.0.as_str().into() };
    Ok(scope.ask_transaction_coordinator(scope.transaction_coordinator_of(&id.0), describe))
}

async fn described(pending: Result<Pending, Refusal>) -> Result<DescribedTransaction, Refusal> {
    match transaction_answer(pending?.await)? {
        TransactionReply::Described(described) => Ok(described),
        other => Err(unexpected(&other)),
    }
}

fn state(scope: &Scope, described: &DescribedTransaction) -> TransactionState {
    TransactionState::default()
        .with_transaction_state(text::wire(described.state.name()))
        .with_transaction_timeout_ms(described.timeout_ms)
        .with_transaction_start_time_ms(described.started.map_or(-1, |started| started.0))
        .with_producer_id(ProducerId(described.producer_id.0))
        .with_producer_epoch(described.producer_epoch.0)
        .with_topics(topics(scope, &described.partitions))
}

/// The partitions by topic; they come in order.
fn topics(scope: &Scope, partitions: &[TopicPartition]) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for partition in partitions {
        match topics.last_mut().filter(|topic| topic.topic.0.as_str() == &*partition.topic) {
            Some(topic) => topic.partitions.push(partition.partition),
            None => topics.push(
                TopicData::default()
                    .with_topic(TopicName(text::wire(&partition.topic)))
                    .with_partitions(vec![partition.partition]),
            ),
        }
    }
    topics.retain(|topic| scope.authorize(AclOperation::Describe, Resource::Topic(&topic.topic.0)));
    topics
}
