//! AddOffsetsToTxn (key 25), v0-4: enlists the partition that holds a group's offsets.
//!
//! v2 answers PRODUCER_FENCED where older versions answered INVALID_PRODUCER_EPOCH.
//!
//! Left out: nothing. Memory: 8 times the request, for the names.

use super::Scope;
use super::scope::unexpected;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use pelton_core::coordinator::partition_for;
use pelton_core::event::{TransactionReply, TransactionRequest};
use pelton_core::model::{OFFSETS_TOPIC, ProducerEpoch, ProducerId, TopicPartition};
use pelton_core::refusal::Refusal;

/// Enlists it; the answer comes when that is durable.
pub async fn handle(scope: Scope, request: AddOffsetsToTxnRequest) -> Option<AddOffsetsToTxnResponse> {
    let operation = Operation::Transaction { knows_fenced: scope.version >= 2 };
    let error = add(&scope, &request).await.map_or_else(|refusal| code(operation, &refusal), |()| NONE);
    Some(AddOffsetsToTxnResponse::default().with_error_code(error))
}

async fn add(scope: &Scope, request: &AddOffsetsToTxnRequest) -> Result<(), Refusal> {
    scope.require(AclOperation::Write, Resource::TransactionalId(&request.transactional_id.0))?;
    scope.require(AclOperation::Read, Resource::Group(&request.group_id.0))?;
    scope.server.ensure_internal_topic(OFFSETS_TOPIC).await?;
    let index = partition_for(&request.group_id.0, scope.server.core.offsets_topic_partitions);
    let add = TransactionRequest::AddOffsets {
        transactional_id: request.transactional_id.0.as_str().into(),
        producer_id: ProducerId(request.producer_id.0),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        offsets_partition: TopicPartition::new(OFFSETS_TOPIC, index),
    };
    match scope.ask_transaction(&request.transactional_id.0, add).await? {
        TransactionReply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}
