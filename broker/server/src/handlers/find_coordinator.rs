//! FindCoordinator (key 10), v0-6: who coordinates a group or a transactional id.
//!
//! This node coordinates all of them; the topic that holds their state is made when it is first needed. v1 added
//! transactional ids (type 1) to groups (type 0), v4 several keys at once (KIP-699), v5 nothing but an error code for
//! transactions, v6 share groups (type 2), of which there are none: INVALID_REQUEST, as Kafka says where they are
//! switched off.
//!
//! Left out: share groups. Memory: 256 times the request: a key of one byte gets an answer with an address.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use pelton_core::model::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use pelton_core::refusal::Refusal;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers for every key.
pub async fn handle(scope: Scope, request: FindCoordinatorRequest) -> Option<FindCoordinatorResponse> {
    let kind = request.key_type;
    if scope.version < 4 {
        let found = find(&scope, kind, std::slice::from_ref(&request.key)).await;
        let host = text::wire(&scope.connection.endpoint.0);
        let answer = answer(&scope, kind, &host, request.key, found.into_iter().next().unwrap_or(Ok(())));
        return Some(
            FindCoordinatorResponse::default()
                .with_error_code(answer.error_code)
                .with_error_message(answer.error_message.filter(|_| scope.version >= 1))
                .with_node_id(answer.node_id)
                .with_host(answer.host)
                .with_port(answer.port),
        );
    }
    let found = find(&scope, kind, &request.coordinator_keys).await;
    let answers = request.coordinator_keys.into_iter().zip(found);
    let host = text::wire(&scope.connection.endpoint.0);
    let coordinators = answers.map(|(key, found)| answer(&scope, kind, &host, key, found));
    Some(FindCoordinatorResponse::default().with_coordinators(coordinators.collect()))
}

/// Whether each key has its coordinator here, and why not.
async fn find(scope: &Scope, kind: i8, keys: &[StrBytes]) -> Vec<Result<(), Refusal>> {
    let allowed = |key: &StrBytes| match kind {
        GROUP => scope.require(AclOperation::Describe, Resource::Group(key)),
        TRANSACTION => scope.require(AclOperation::Describe, Resource::TransactionalId(key)),
        other => Err(Refusal::InvalidRequest(format!(
            "there are no coordinators of type {other} here: 0 is a group, 1 a transaction"
        ))),
    };
    let mut found: Vec<_> = keys.iter().map(allowed).collect();
    if found.iter().any(Result::is_ok) {
        let topic = if kind == GROUP { OFFSETS_TOPIC } else { TRANSACTIONS_TOPIC };
        if let Err(refusal) = scope.server.ensure_internal_topic(topic).await {
            for found in found.iter_mut().filter(|found| found.is_ok()) {
                *found = Err(refusal.clone());
            }
        }
    }
    found
}

/// The answer for one key. The answers share the bytes of the host.
fn answer(scope: &Scope, kind: i8, host: &StrBytes, key: StrBytes, found: Result<(), Refusal>) -> Coordinator {
    let answer = Coordinator::default().with_key(key);
    let Err(refusal) = found else {
        return answer
            .with_node_id(BrokerId(scope.server.core.node_id))
            .with_host(host.clone())
            .with_port(i32::from(scope.connection.endpoint.1))
            .with_error_code(NONE);
    };
    let operation = if kind == GROUP { Operation::Group } else { Operation::Transaction { knows_fenced: true } };
    answer
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(code(operation, &refusal))
        .with_error_message(Some(text::wire(&refusal.to_string())))
}
