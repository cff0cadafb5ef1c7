//! AlterConfigs (key 33), v0-2: gives topics their configs, all of them at once.
//!
//! What the request does not name goes back to its default, as in Kafka; IncrementalAlterConfigs changes single ones
//! (KIP-339). A resource that stands in the request twice is refused, the others are altered one by one.
//!
//! Left out: the configs of brokers, which are set where a broker is started, and of loggers, clients and groups.

use super::Scope;
use super::incremental_alter_configs::{Named, each_once, named};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use crate::topic_configs;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Replaces the configs of each resource, or only checks that it could.
pub async fn handle(scope: Scope, request: AlterConfigsRequest) -> Option<AlterConfigsResponse> {
    let once = each_once(request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
    let mut responses = Vec::with_capacity(request.resources.len());
    for (resource, once) in request.resources.into_iter().zip(once) {
        let altered = match once {
            Ok(()) => alter(&scope, &resource, request.validate_only).await,
            Err(refusal) => Err(refusal),
        };
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(altered.as_ref().err().map_or(NONE, |refusal| code(Operation::Admin, refusal)))
                .with_error_message(altered.err().map(|refusal| text::wire(&refusal.to_string()))),
        );
    }
    Some(AlterConfigsResponse::default().with_responses(responses))
}

async fn alter(scope: &Scope, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let Named { topic, by } = named(scope, resource.resource_type, &resource.resource_name)?;
    let mut configs = BTreeMap::new();
    for config in &resource.configs {
        let name = config.name.as_str();
        let Some(value) = &config.value else {
            return Err(Refusal::InvalidRequest(format!("{name} has no value; leave it out to unset it")));
        };
        if configs.insert(name.to_owned(), value.as_str().to_owned()).is_some() {
            return Err(Refusal::InvalidRequest(format!("{name} is set more than once")));
        }
    }
    topic_configs::replace(&scope.server, &topic, configs, &by, validate_only).await
}
