//! AddPartitionsToTxn (key 24), v0-3: enlists partitions in a transaction before they are written.
//!
//! All or none: when one partition does not exist, the others are answered OPERATION_NOT_ATTEMPTED. v2 answers
//! PRODUCER_FENCED where older versions answered INVALID_PRODUCER_EPOCH.
//!
//! Left out: v4 and later, the batched form between brokers (KIP-890). Memory: 32 times the request, for the partitions
//! and what comes of each.

use super::Scope;
use super::scope::{partition_of, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use pelton_core::event::{TransactionReply, TransactionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};

/// Enlists the partitions; the answer comes when that is durable.
pub async fn handle(scope: Scope, request: AddPartitionsToTxnRequest) -> Option<AddPartitionsToTxnResponse> {
    let operation = Operation::Transaction { knows_fenced: scope.version >= 2 };
    let image = scope.image();
    let mut partitions = Vec::new();
    let mut missing = false;
    let transactional_id = request.v3_and_below_transactional_id.0.clone();
    let allowed = scope.require(AclOperation::Write, Resource::TransactionalId(&transactional_id));
    let mut checked = Vec::new();
    for topic in request.v3_and_below_topics {
        let mut results = Vec::with_capacity(topic.partitions.len());
        let writable = allowed.clone().and_then(|()| scope.topic(AclOperation::Write, &image, &topic.name));
        for index in topic.partitions {
            let target = writable.clone().and_then(|(name, described)| partition_of(name, described, index));
            missing |= target.is_err();
            results.push((index, target.as_ref().err().map(|refusal| code(operation, refusal))));
            partitions.extend(target.ok());
        }
        checked.push((topic.name, results));
    }
    let whole = if missing {
        ResponseError::OperationNotAttempted.code()
    } else {
        let transactional_id = transactional_id.as_str();
        let add = TransactionRequest::AddPartitions {
            transactional_id: transactional_id.into(),
            producer_id: ProducerId(request.v3_and_below_producer_id.0),
            producer_epoch: ProducerEpoch(request.v3_and_below_producer_epoch),
            partitions,
        };
        match scope.ask_transaction(transactional_id, add).await {
            Ok(TransactionReply::Done) => NONE,
            Ok(other) => code(operation, &unexpected(&other)),
            Err(refusal) => code(operation, &refusal),
        }
    };
    let results = checked.into_iter().map(|(name, results)| {
        let results = results.into_iter().map(|(index, error): (i32, Option<i16>)| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(error.unwrap_or(whole))
        });
        AddPartitionsToTxnTopicResult::default().with_name(name).with_results_by_partition(results.collect())
    });
    Some(AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect()))
}
