//! IncrementalAlterConfigs (key 44), v0-1: changes single configs of topics.
//!
//! A config is set, unset, or, where it is a list, appended to or subtracted from (KIP-339). A resource, or a config of one,
//! that stands in the request twice is refused; the others are altered one by one.
//!
//! Left out: the configs of brokers, which are set where a broker is started, and of loggers, clients and groups.

use super::Scope;
use super::scope::resolve;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use crate::topic_configs::{self, Change};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Changes the configs of each resource, or only checks that it could.
pub async fn handle(scope: Scope, request: IncrementalAlterConfigsRequest) -> Option<IncrementalAlterConfigsResponse> {
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
    Some(IncrementalAlterConfigsResponse::default().with_responses(responses))
}

async fn alter(scope: &Scope, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let Named { topic, by } = named(scope, resource.resource_type, &resource.resource_name)?;
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    topic_configs::alter(&scope.server, &topic, changes, &by, validate_only).await
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

/// The topic that a resource names, and who asks.
pub(super) struct Named {
    pub topic: Arc<str>,
    pub by: String,
}

/// Finds the topic that a resource names.
///
/// # Errors
/// [`Refusal::InvalidRequest`] for what is no topic, [`Refusal::UnknownTopicOrPartition`].
pub(super) fn named(scope: &Scope, resource_type: i8, resource_name: &StrBytes) -> Result<Named, Refusal> {
    match resource_type {
        TOPIC => {}
        BROKER => {
            let why =
                "the settings of a broker are given at its start (server.properties); change them there and restart it";
            return Err(Refusal::InvalidRequest(why.to_owned()));
        }
        other => {
            return Err(Refusal::InvalidRequest(format!("resources of type {other} are not altered; 2 is a topic")));
        }
    }
    let image = scope.image();
    let (topic, _) = resolve(&image, false, &TopicName(resource_name.clone()), Uuid::nil())?;
    // Clients are not authenticated yet, so this is all that is known of who asks.
    let by = format!("User:ANONYMOUS, client.id {:?} at {}", scope.client_id, scope.connection.client_host);
    Ok(Named { topic: topic.clone(), by })
}

/// Whether each resource stands in the request only once.
pub(super) fn each_once<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> Vec<Result<(), Refusal>> {
    let resources: Vec<(i8, &str)> = resources.collect();
    let mut counts = BTreeMap::new();
    for resource in &resources {
        *counts.entry(*resource).or_insert(0usize) += 1;
    }
    let doubled = |(_, name): &(i8, &str)| Refusal::InvalidRequest(format!("the request names {name} more than once"));
    resources.iter().map(|resource| if counts[resource] > 1 { Err(doubled(resource)) } else { Ok(()) }).collect()
}
