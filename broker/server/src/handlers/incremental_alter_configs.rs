//! IncrementalAlterConfigs (key 44), v0-1: changes single configs of topics and brokers.
//!
//! A config is set, unset, or, where it is a list, appended to or subtracted from (KIP-339). A resource, or a config of one,
//! that stands in the request twice is refused; the others are altered one by one.
//!
//! Of a broker, or of all (an empty name), only what can be changed at run time: the defaults of topic configs, the limits of
//! connections and the speed of compaction (KIP-226).
//!
//! Left out: the configs of loggers, clients and groups.

use super::Scope;
use super::config_alteration::{Alteration, Altered, Resource, alter_each};
use crate::topic_configs::{self, Change};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use pelton_core::refusal::Refusal;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Changes the configs of each resource, or only checks that it could.
pub async fn handle(scope: Scope, request: IncrementalAlterConfigsRequest) -> Option<IncrementalAlterConfigsResponse> {
    let resources = request.resources.into_iter().map(resource).collect();
    let altered = alter_each(&scope, resources, changes, request.validate_only).await;
    Some(IncrementalAlterConfigsResponse::default().with_responses(altered.into_iter().map(response).collect()))
}

fn resource(asked: AlterConfigsResource) -> Resource<AlterableConfig> {
    let AlterConfigsResource { resource_type, resource_name, configs, .. } = asked;
    Resource { resource_type, resource_name, configs }
}

fn changes(asked: &[AlterableConfig]) -> Result<Alteration, Refusal> {
    Ok(Alteration::Change(asked.iter().map(change).collect::<Result<_, _>>()?))
}

fn change(config: &AlterableConfig) -> Result<(String, Change), Refusal> {
    let name = config.name.as_str();
    let value = || {
        let missing =
            || Refusal::InvalidRequest(format!("{name} has no value; only operation 1 (delete) goes without"));
        config.value.as_ref().map(StrBytes::as_str).ok_or_else(missing)
    };
    let change = match config.config_operation {
        SET => Change::Set(value()?.to_owned()),
        DELETE => Change::Delete,
        APPEND => Change::Append(topic_configs::words(value()?)),
        SUBTRACT => Change::Subtract(topic_configs::words(value()?)),
        other => {
            let why = format!("{name}: operation {other} is not known; 0 sets, 1 deletes, 2 appends, 3 subtracts");
            return Err(Refusal::InvalidRequest(why));
        }
    };
    Ok((name.to_owned(), change))
}

fn response(altered: Altered) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(altered.resource_type)
        .with_resource_name(altered.resource_name)
        .with_error_code(altered.error_code)
        .with_error_message(altered.error_message)
}
