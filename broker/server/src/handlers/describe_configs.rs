//! DescribeConfigs (key 32), v1-4: the settings of topics and of brokers.
//!
//! A topic's settings: its own, else what was set at run time for this broker or for all, else what the broker was started
//! with, else the default; synonyms (v1) show that order under the names that each was set by. A broker's settings come
//! from the same sources without the first; an empty name asks for what was set at run time for all brokers. What cannot be
//! changed at run time is read only. v3 added types and documentation, v4 is flexible. The configs by which plugins are
//! attached come in the same way, those of single plugins where somebody sets them; who asks for all configs of a topic is
//! shown those that Kafka does not have only where somebody set them. Secrets are not among the settings. No names of configs
//! asked for (null or an empty list) means all. A resource that stands in the request twice is described once.
//!
//! Left out: loggers, clients' metrics and groups as resources (INVALID_REQUEST).
//!
//! Memory: a resource of a few bytes asks for the whole table, some ten kilobytes, but once for each topic that there is; the
//! factor is for the request alone.

use super::Scope;
use super::scope::checked_name;
use crate::auth::{AclOperation, Resource};
use crate::broker_configs::{self, BROKER_CONFIGS, Source};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use crate::topic_configs::{self, Shown, plugin_configs};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, TopicName};
use pelton_core::cluster::topic_config::ConfigKind;
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What of the answer the client wants.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

/// Describes each resource.
pub async fn handle(scope: Scope, request: DescribeConfigsRequest) -> Option<DescribeConfigsResponse> {
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation && scope.version >= 3,
    };
    let mut seen = BTreeSet::new();
    let mut resources = request.resources;
    resources.retain(|resource| seen.insert((resource.resource_type, resource.resource_name.clone())));
    let results = resources.into_iter().map(|resource| describe(&scope, resource, wanted));
    Some(DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe(scope: &Scope, resource: DescribeConfigsResource, wanted: Wanted) -> DescribeConfigsResult {
    let keys: BTreeSet<&str> = resource.configuration_keys.iter().flatten().map(|key| key.as_str()).collect();
    let asked = |config: &Shown| match keys.is_empty() {
        true => resource.resource_type != TOPIC || config.is_listed(),
        false => keys.contains(&*config.name),
    };
    let described = match resource.resource_type {
        TOPIC => describe_topic(scope, &resource),
        BROKER => describe_broker(scope, &resource),
        other => Err(Refusal::InvalidRequest(format!("resources of the type {other} have no configs here"))),
    };
    let result = DescribeConfigsResult::default().with_resource_type(resource.resource_type);
    let result = match described {
        Ok(configs) => {
            let configs = configs.iter().filter(|(config, _)| asked(config));
            result.with_configs(configs.map(|(config, read_only)| entry(config, *read_only, wanted)).collect())
        }
        Err(refusal) => result
            .with_error_code(code(Operation::Admin, &refusal))
            .with_error_message(Some(text::wire(&refusal.to_string()))),
    };
    result.with_resource_name(resource.resource_name)
}

/// The configs of a topic; none of them is read only.
fn describe_topic(scope: &Scope, resource: &DescribeConfigsResource) -> Result<Vec<(Shown, bool)>, Refusal> {
    let name = &resource.resource_name;
    let image = scope.image();
    let found = scope.topic(AclOperation::DescribeConfigs, &image, &TopicName(name.clone()));
    let (_, topic) = found.map_err(|refusal| checked_name(name, refusal))?;
    let configs = topic_configs::shown_configs(&scope.server, name, topic);
    Ok(configs.into_iter().map(|config| (config, false)).collect())
}

/// The configs of this broker, or what was set for all, each with whether it is read only.
fn describe_broker(scope: &Scope, resource: &DescribeConfigsResource) -> Result<Vec<(Shown, bool)>, Refusal> {
    scope.require(AclOperation::DescribeConfigs, Resource::Cluster)?;
    let (name, server) = (resource.resource_name.as_str(), &scope.server);
    let node = server.core.node_id;
    if name.is_empty() {
        let image = scope.image();
        let set = image.broker_configs.get("").into_iter().flat_map(|configs| configs.iter());
        let shown = set.map(|(name, value)| {
            let synonyms = vec![(name.clone(), value.clone(), Source::DynamicDefaultBroker)];
            (broker_config(name, synonyms, None), false)
        });
        return Ok(shown.collect());
    }
    if name != node.to_string() {
        return Err(Refusal::InvalidRequest(format!(
            "there is no broker {name}; name {node}, or nothing for the defaults of all brokers"
        )));
    }
    let names: BTreeSet<&str> =
        BROKER_CONFIGS.keys().copied().chain(server.configs.keys().map(String::as_str)).collect();
    let shown = names.into_iter().map(|name| {
        let synonyms = broker_configs::synonyms(server, name);
        let value = broker_configs::value(server, name);
        (broker_config(name, synonyms, value.as_deref()), !broker_configs::is_dynamic(name))
    });
    Ok(shown.collect())
}

fn broker_config(name: &str, synonyms: Vec<broker_configs::Synonym>, value: Option<&str>) -> Shown {
    let known = broker_configs::broker_config(name);
    let doc = known.map(|config| config.doc).or_else(|| plugin_configs::documentation(name));
    Shown::new(name, synonyms, value, known.map_or(ConfigKind::Text, |config| config.kind), doc)
}

fn entry(config: &Shown, read_only: bool, wanted: Wanted) -> DescribeConfigsResourceResult {
    let synonyms = config.synonyms.iter().filter(|_| wanted.synonyms).map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(text::wire(name))
            .with_value(Some(text::wire(value)))
            .with_source(*source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_name(text::wire(&config.name))
        .with_value(config.value.as_deref().map(text::wire))
        .with_config_source(config.source as i8)
        .with_read_only(read_only)
        .with_config_type(kind_code(config.kind))
        .with_synonyms(synonyms.collect())
        .with_documentation(config.doc.filter(|_| wanted.documentation).map(text::wire))
}

/// Kafka's number for the type of a config (KIP-569).
fn kind_code(kind: ConfigKind) -> i8 {
    match kind {
        ConfigKind::Boolean => 1,
        ConfigKind::OneOf(_) | ConfigKind::Text => 2,
        ConfigKind::Int(_) | ConfigKind::IntOf(_) => 3,
        ConfigKind::Long(_) => 5,
        ConfigKind::Double(..) => 6,
        ConfigKind::SomeOf(_) | ConfigKind::List => 7,
    }
}
