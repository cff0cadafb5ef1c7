//! AlterClientQuotas (key 49), v0-1: sets quotas of users, client ids and addresses (KIP-546).
//!
//! No quota is enforced here, and a quota that is kept and not obeyed would be a lie: each entry that sets one is refused
//! (POLICY_VIOLATION). To remove one that is not there is no error, as in Kafka. A kind of entity that is not known is
//! UNSUPPORTED_VERSION. v1 is flexible.
//!
//! Left out: quotas.
//!
//! Memory: the entities of the request come back, with some 100 bytes for each entry.

use super::Scope;
use super::describe_client_quotas::ENTITY_TYPES;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData as EntryResult};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

/// Answers for each entry.
pub async fn handle(scope: Scope, request: AlterClientQuotasRequest) -> Option<AlterClientQuotasResponse> {
    let allowed = scope.require(AclOperation::AlterConfigs, Resource::Cluster);
    let entries = request.entries.into_iter().map(|entry| {
        let result = match &allowed {
            Ok(()) => check(&entry),
            Err(refusal) => Err((code(Operation::Admin, refusal), refusal.to_string())),
        };
        let (error, message) = result.map_or_else(|(error, message)| (error, Some(message)), |()| (NONE, None));
        let entities = entry.entity.into_iter().map(|entity| {
            EntityData::default().with_entity_type(entity.entity_type).with_entity_name(entity.entity_name)
        });
        EntryResult::default()
            .with_error_code(error)
            .with_error_message(message.as_deref().map(text::wire))
            .with_entity(entities.collect())
    });
    Some(AlterClientQuotasResponse::default().with_entries(entries.collect()))
}

fn check(entry: &EntryData) -> Result<(), (i16, String)> {
    if entry.entity.is_empty() {
        return Err((ResponseError::InvalidRequest.code(), "say whose quota it is".to_owned()));
    }
    for entity in &entry.entity {
        let entity = entity.entity_type.as_str();
        if !ENTITY_TYPES.contains(&entity) {
            let why = format!("quotas are for users, client ids and addresses, not for {entity}");
            return Err((ResponseError::UnsupportedVersion.code(), why));
        }
    }
    match entry.ops.iter().find(|op| !op.remove) {
        Some(op) => {
            let why = format!("{}: this broker enforces no quotas, so it keeps none", op.key.as_str());
            Err((ResponseError::PolicyViolation.code(), why))
        }
        None => Ok(()),
    }
}
