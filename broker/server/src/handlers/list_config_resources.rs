//! ListConfigResources (key 74), v0-1: what has configs (KIP-714, KIP-1142).
//!
//! v0 asks for clients' metrics (type 16), of which there are none. v1 asks by type, or with no types for all: topics (2) by
//! name and brokers (4) by id. Loggers (8), clients' metrics (16) and groups (32) have no configs here, so they are known and
//! empty; any other type is UNSUPPORTED_VERSION.
//!
//! Memory: the names of all topics.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use pelton_core::model::METADATA_TOPIC;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Lists what there is of the types that are asked for.
pub async fn handle(scope: Scope, request: ListConfigResourcesRequest) -> Option<ListConfigResourcesResponse> {
    let response = ListConfigResourcesResponse::default();
    if let Err(refusal) = scope.require(AclOperation::DescribeConfigs, Resource::Cluster) {
        return Some(response.with_error_code(code(Operation::Admin, &refusal)));
    }
    if scope.version == 0 {
        return Some(response);
    }
    let known = [TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP];
    if request.resource_types.iter().any(|asked| !known.contains(asked)) {
        return Some(response.with_error_code(ResponseError::UnsupportedVersion.code()));
    }
    let asked = |kind: i8| request.resource_types.is_empty() || request.resource_types.contains(&kind);
    let resource =
        |kind: i8, name: &str| ConfigResource::default().with_resource_type(kind).with_resource_name(text::wire(name));
    let mut resources = Vec::new();
    if asked(TOPIC) {
        let image = scope.image();
        let names = image.topics.keys().filter(|name| &***name != METADATA_TOPIC);
        resources.extend(names.map(|name| resource(TOPIC, name)));
    }
    if asked(BROKER) {
        resources.push(resource(BROKER, &scope.server.core.node_id.to_string()));
    }
    Some(response.with_config_resources(resources))
}
