//! DescribeClientQuotas (key 48), v0-1: which quotas users, client ids and addresses have (KIP-546).
//!
//! None can be set (AlterClientQuotas), so no filter finds any. The filter is checked as Kafka checks it: a kind of entity
//! that is not known is UNSUPPORTED_VERSION, one that is named twice or matched in an unknown way INVALID_REQUEST. v1 is
//! flexible.
//!
//! Left out: quotas.
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use std::collections::BTreeSet;

/// The kinds of entities that have quotas in Kafka.
pub const ENTITY_TYPES: [&str; 3] = ["user", "client-id", "ip"];

const EXACT: i8 = 0;
const ANY: i8 = 2;

/// Finds none.
pub async fn handle(scope: Scope, request: DescribeClientQuotasRequest) -> Option<DescribeClientQuotasResponse> {
    let allowed = scope.require(AclOperation::DescribeConfigs, Resource::Cluster);
    let allowed = allowed.map_err(|refusal| (code(Operation::Admin, &refusal), refusal.to_string()));
    let checked = allowed.and_then(|()| check(&request.components).map_err(|(error, why)| (error.code(), why)));
    let response = DescribeClientQuotasResponse::default().with_error_message(None);
    Some(match checked {
        Ok(()) => response.with_entries(Some(Vec::new())),
        Err((error, why)) => {
            response.with_error_code(error).with_error_message(Some(text::wire(&why))).with_entries(None)
        }
    })
}

fn check(components: &[ComponentData]) -> Result<(), (ResponseError, String)> {
    let mut named = BTreeSet::new();
    for component in components {
        let entity = component.entity_type.as_str();
        if !ENTITY_TYPES.contains(&entity) {
            let why = format!("quotas are for users, client ids and addresses, not for {entity}");
            return Err((ResponseError::UnsupportedVersion, why));
        }
        if !named.insert(entity) {
            let why = format!("the filter names {entity} more than once");
            return Err((ResponseError::InvalidRequest, why));
        }
        if !(EXACT..=ANY).contains(&component.match_type) {
            let why = format!("{} is no way to match: 0 exactly, 1 the default, 2 any", component.match_type);
            return Err((ResponseError::InvalidRequest, why));
        }
        if (component.match_type == EXACT) != component._match.is_some() {
            let why = format!("a match of {entity} has a name when it is exact, and none otherwise");
            return Err((ResponseError::InvalidRequest, why));
        }
    }
    let addresses = named.contains("ip");
    if addresses && named.len() > 1 {
        let why = "an address has quotas of its own; ask for it alone";
        return Err((ResponseError::InvalidRequest, why.to_owned()));
    }
    Ok(())
}
