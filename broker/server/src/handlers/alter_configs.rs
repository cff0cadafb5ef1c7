//! AlterConfigs (key 33), v0-2: gives topics and brokers their configs, all of them at once.
//!
//! What the request does not name goes back to its default, as in Kafka; IncrementalAlterConfigs changes single ones
//! (KIP-339). A resource that stands in the request twice is refused, the others are altered one by one.
//!
//! Of a broker, or of all (an empty name), only what can be changed at run time: the defaults of topic configs, the limits of
//! connections and the speed of compaction.
//!
//! Left out: the configs of loggers, clients and groups.

use super::Scope;
use super::config_alteration::{Alteration, Altered, Resource, alter_each};
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Replaces the configs of each resource, or only checks that it could.
pub async fn handle(scope: Scope, request: AlterConfigsRequest) -> Option<AlterConfigsResponse> {
    let resources = request.resources.into_iter().map(resource).collect();
    let altered = alter_each(&scope, resources, replacement, request.validate_only).await;
    Some(AlterConfigsResponse::default().with_responses(altered.into_iter().map(response).collect()))
}

fn resource(asked: AlterConfigsResource) -> Resource<AlterableConfig> {
    let AlterConfigsResource { resource_type, resource_name, configs, .. } = asked;
    Resource { resource_type, resource_name, configs }
}

fn replacement(asked: &[AlterableConfig]) -> Result<Alteration, Refusal> {
    let mut configs = BTreeMap::new();
    for config in asked {
        let name = config.name.as_str();
        let Some(value) = &config.value else {
            return Err(Refusal::InvalidRequest(format!("{name} has no value; leave it out to unset it")));
        };
        if configs.insert(name.to_owned(), value.as_str().to_owned()).is_some() {
            return Err(Refusal::InvalidRequest(format!("{name} is set more than once")));
        }
    }
    Ok(Alteration::Replace(configs))
}

fn response(altered: Altered) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(altered.resource_type)
        .with_resource_name(altered.resource_name)
        .with_error_code(altered.error_code)
        .with_error_message(altered.error_message)
}
