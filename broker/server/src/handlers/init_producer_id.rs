//! InitProducerId (key 22), v0-5: gives a producer its id and epoch.
//!
//! Without a transactional id any id that nobody had will do; whoever may write to any topic, or idempotently to the
//! cluster, gets one (KIP-679). With a transactional id, the coordinator ends what an older instance left open and fences
//! it. v3 lets a producer say what it believes that it is, to go on after an error (KIP-360); v4 answers PRODUCER_FENCED
//! where older versions answered INVALID_PRODUCER_EPOCH (KIP-588).
//!
//! Left out: v6 (two-phase commit, KIP-939). Memory: 8 times the request, for the names.

use super::Scope;
use super::scope::unexpected;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId as WireProducerId};
use pelton_core::event::{InitializedProducer, TransactionReply, TransactionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::{Protected, Refusal};

/// Gives an id.
pub async fn handle(scope: Scope, request: InitProducerIdRequest) -> Option<InitProducerIdResponse> {
    let result = initialize(&scope, &request).await;
    let operation = Operation::Transaction { knows_fenced: scope.version >= 4 };
    Some(match result {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(WireProducerId(producer.producer_id.0))
            .with_producer_epoch(producer.producer_epoch.0),
        Err(refusal) => InitProducerIdResponse::default()
            .with_producer_id(WireProducerId(-1))
            .with_producer_epoch(-1)
            .with_error_code(code(operation, &refusal)),
    })
}

async fn initialize(scope: &Scope, request: &InitProducerIdRequest) -> Result<InitializedProducer, Refusal> {
    let Some(id) = &request.transactional_id else {
        if !scope.authorize_anywhere(AclOperation::Write, Protected::Topic) {
            scope.require(AclOperation::IdempotentWrite, Resource::Cluster)?;
        }
        let producer_id = scope.server.next_producer_id().await?;
        return Ok(InitializedProducer { producer_id, producer_epoch: ProducerEpoch(0) });
    };
    scope.require(AclOperation::Write, Resource::TransactionalId(&id.0))?;
    if id.0.is_empty() {
        return Err(Refusal::InvalidRequest("the transactional id is empty".to_owned()));
    }
    let current = match (request.producer_id.0, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => {
            let message = "a producer that says what it is gives both its id and its epoch";
            return Err(Refusal::InvalidRequest(message.to_owned()));
        }
        (id, epoch) => Some((ProducerId(id), ProducerEpoch(epoch))),
    };
    let timeout_ms = request.transaction_timeout_ms;
    let init = TransactionRequest::InitProducer { transactional_id: id.0.as_str().into(), timeout_ms, current };
    match scope.ask_transaction(&id.0, init).await? {
        TransactionReply::Initialized(producer) => Ok(producer),
        other => Err(unexpected(&other)),
    }
}
