//! EndTxn (key 26), v0-4: commits or aborts a transaction.
//!
//! The answer comes when the decision is durable; the markers follow, and until they are written the next
//! transaction of the same id is told CONCURRENT_TRANSACTIONS. v2 answers PRODUCER_FENCED where older versions
//! answered INVALID_PRODUCER_EPOCH.
//!
//! Left out: v5, which returns a bumped epoch (`transaction.version` 2). Memory: 8 times the request, for the names.

use super::Scope;
use super::scope::unexpected;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};
use pelton_core::event::{TransactionReply, TransactionRequest, TransactionResult};
use pelton_core::model::{ProducerEpoch, ProducerId};

/// Decides the transaction.
pub async fn handle(scope: Scope, request: EndTxnRequest) -> Option<EndTxnResponse> {
    let operation = Operation::Transaction { knows_fenced: scope.version >= 2 };
    let end = TransactionRequest::End {
        transactional_id: request.transactional_id.0.as_str().into(),
        producer_id: ProducerId(request.producer_id.0),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        result: if request.committed { TransactionResult::Commit } else { TransactionResult::Abort },
    };
    let allowed = scope.require(AclOperation::Write, Resource::TransactionalId(&request.transactional_id.0));
    let ended = match allowed {
        Ok(()) => scope.ask_transaction(&request.transactional_id.0, end).await,
        Err(refusal) => Err(refusal),
    };
    let error = match ended {
        Ok(TransactionReply::Ended(_)) => NONE,
        Ok(other) => code(operation, &unexpected(&other)),
        Err(refusal) => code(operation, &refusal),
    };
    Some(EndTxnResponse::default().with_error_code(error))
}
