//! InitProducerId (key 22), v0-5: gives a producer its id and epoch.
//!
//! Without a transactional id any id that nobody had will do. With one, the transaction coordinator ends what an
//! older instance left open and fences it. v3 lets a producer say what it believes that it is, to go on after an
//! error (KIP-360); v4 answers PRODUCER_FENCED where older versions answered INVALID_PRODUCER_EPOCH (KIP-588).
//!
//! Left out: v6 (two-phase commit, KIP-939).

use super::Scope;
use super::scope::unexpected;
use crate::protocol::error_code::{Operation, code};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId as WireProducerId};
use pelton_core::event::{InitializedProducer, TransactionReply, TransactionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;

/// Gives an id.
pub async fn handle(scope: Scope, request: InitProducerIdRequest) -> Option<InitProducerIdResponse> {
    let result = match &request.transactional_id {
        None => scope
            .server
            .next_producer_id()
            .await
            .map(|producer_id| InitializedProducer { producer_id, producer_epoch: ProducerEpoch(0) }),
        Some(id) if id.0.is_empty() => Err(Refusal::InvalidRequest("the transactional id is empty".to_owned())),
        Some(id) => {
            let current = (request.producer_id.0 >= 0)
                .then_some((ProducerId(request.producer_id.0), ProducerEpoch(request.producer_epoch)));
            let timeout_ms = request.transaction_timeout_ms;
            let init = TransactionRequest::InitProducer { transactional_id: id.0.as_str().into(), timeout_ms, current };
            match scope.ask_transaction(&id.0, init).await {
                Ok(TransactionReply::Initialized(producer)) => Ok(producer),
                Ok(other) => Err(unexpected(&other)),
                Err(refusal) => Err(refusal),
            }
        }
    };
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
