//! FindCoordinator (key 10), v0-5: who coordinates a group or a transactional id.
//!
//! This node coordinates all of them; the topic that holds their state is made when it is first needed. v1
//! added transactional ids (type 1) to groups (type 0), v4 several keys at once (KIP-699), v5 nothing but an
//! error code for transactions.
//!
//! Left out: v6 (share groups).

use super::Scope;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use pelton_core::model::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use pelton_core::refusal::Refusal;

/// Answers for every key.
pub async fn handle(scope: Scope, request: FindCoordinatorRequest) -> Option<FindCoordinatorResponse> {
    let result = match request.key_type {
        0 => scope.server.ensure_internal_topic(OFFSETS_TOPIC).await,
        1 => scope.server.ensure_internal_topic(TRANSACTIONS_TOPIC).await,
        other => {
            Err(Refusal::InvalidRequest(format!("{other} is no type of coordinator: 0 is a group, 1 a transaction")))
        }
    };
    let operation =
        if request.key_type == 0 { Operation::Group } else { Operation::Transaction { knows_fenced: true } };
    let (error, node, host, port) = match &result {
        Ok(()) => {
            let (host, port) = &scope.connection.endpoint;
            (NONE, BrokerId(scope.server.core.node_id), text::wire(host), i32::from(*port))
        }
        Err(refusal) => (code(operation, refusal), BrokerId(-1), text::wire(""), -1),
    };
    let message = result.err().map(|refusal| text::wire(&refusal.to_string()));
    if scope.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(node)
                .with_host(host.clone())
                .with_port(port)
                .with_error_code(error)
                .with_error_message(message.clone())
        });
        return Some(FindCoordinatorResponse::default().with_coordinators(coordinators.collect()));
    }
    Some(
        FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message(message.filter(|_| scope.version >= 1))
            .with_node_id(node)
            .with_host(host)
            .with_port(port),
    )
}
