//! UnregisterBroker (key 64), v0-0: forgets a broker that is gone for good.
//!
//! This node is the only broker and it answers, so there is none to forget: its own id is refused (INVALID_REQUEST), any
//! other is BROKER_ID_NOT_REGISTERED.
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use pelton_core::refusal::Refusal;

/// Refuses.
pub async fn handle(scope: Scope, request: UnregisterBrokerRequest) -> Option<UnregisterBrokerResponse> {
    let asked = request.broker_id.0;
    let refusal = match scope.require(AclOperation::Alter, Resource::Cluster) {
        Err(refusal) => refusal,
        Ok(()) if asked == scope.server.core.node_id => {
            Refusal::InvalidRequest(format!("broker {asked} is this one, which runs; stop it first"))
        }
        Ok(()) => Refusal::BrokerIdNotRegistered(format!("there is no broker {asked}")),
    };
    Some(
        UnregisterBrokerResponse::default()
            .with_error_code(code(Operation::Admin, &refusal))
            .with_error_message(Some(text::wire(&refusal.to_string()))),
    )
}
