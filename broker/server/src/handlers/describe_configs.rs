//! DescribeConfigs (key 32), v1-4: the settings of topics and of this broker.
//!
//! A topic's settings come from the table of topic configs: the topic's own value, else what the broker's
//! configuration sets for all topics, else the default; synonyms (v1) show that order. v3 added types and documentation.
//! The configs of plugins come in the same way, those of single plugins where somebody sets them.
//! The broker's settings are those that were given at its start, read only.
//!
//! Left out: loggers, clients' metrics and groups as resources.

use super::Scope;
use super::scope::resolve;
use crate::hooks::effective;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use crate::topic_configs::plugin_configs::{self, PLUGIN_CONFIGS};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, TopicName};
use pelton_core::cluster::TopicImage;
use pelton_core::cluster::topic_config::{ConfigKind, TOPIC_CONFIGS, TopicConfig};
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;
use uuid::Uuid;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// Kafka's numbers for the types of configs that plugins have (KIP-569).
const STRING: i8 = 2;
const LIST: i8 = 7;

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
    let results = request.resources.into_iter().map(|resource| {
        let described = match resource.resource_type {
            TOPIC => describe_topic(&scope, &resource, wanted),
            BROKER => describe_broker(&scope, &resource, wanted),
            other => Err(Refusal::InvalidRequest(format!(
                "resources of type {other} are not described; 2 is a topic, 4 a broker"
            ))),
        };
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match described {
            Ok(configs) => result.with_configs(configs),
            Err(refusal) => result
                .with_error_code(code(Operation::Admin, &refusal))
                .with_error_message(Some(text::wire(&refusal.to_string()))),
        }
    });
    Some(DescribeConfigsResponse::default().with_results(results.collect()))
}

fn is_wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
}

fn describe_topic(
    scope: &Scope,
    resource: &DescribeConfigsResource,
    wanted: Wanted,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let image = scope.image();
    let (_, topic) = resolve(&image, false, &TopicName(resource.resource_name.clone()), Uuid::nil())?;
    let known = TOPIC_CONFIGS
        .iter()
        .filter(|config| is_wanted(resource, config.name))
        .map(|config| topic_config(scope, topic, config, wanted));
    let plugins = plugin_configs(scope, &resource.resource_name, topic, wanted);
    Ok(known.chain(plugins.into_iter().filter(|config| is_wanted(resource, &config.name))).collect())
}

/// The configs by which plugins are attached.
fn plugin_configs(scope: &Scope, name: &str, topic: &TopicImage, wanted: Wanted) -> Vec<DescribeConfigsResourceResult> {
    let defaults = effective::defaults(&scope.server.configs);
    let effective = effective::effective(&defaults, topic.internal, &topic.configs);
    let table = PLUGIN_CONFIGS.iter().map(|config| config.name).chain(effective.keys().map(String::as_str));
    let names: BTreeSet<&str> = table.collect();
    let describe = |config_name: &str| {
        let default = plugin_configs::plugin_config(config_name);
        let default = default.map(|config| plugin_configs::default_of(config, name, &effective));
        // What the topic declines, or what is for a plugin that it does not have, does not hold for it.
        let broker = defaults.get(config_name).filter(|_| effective.contains_key(config_name));
        let values = [
            topic.configs.get(config_name).map(|value| (config_name, value.as_str(), SOURCE_TOPIC)),
            broker.map(|value| (config_name, value.as_str(), SOURCE_STATIC_BROKER)),
            default.as_ref().map(|value| (config_name, value.as_str(), SOURCE_DEFAULT)),
        ];
        let kind = if plugin_configs::is_list(config_name) { LIST } else { STRING };
        let doc = plugin_configs::documentation(config_name);
        described(config_name, &values, kind, doc.unwrap_or_default(), wanted)
    };
    names.into_iter().map(describe).collect()
}

fn topic_config(
    scope: &Scope,
    topic: &TopicImage,
    config: &TopicConfig,
    wanted: Wanted,
) -> DescribeConfigsResourceResult {
    let broker_name = broker_name(config.name);
    let broker = broker_name.and_then(|name| Some((name, scope.server.configs.get(name)?.as_str())));
    // The broker's configuration is whole: what is as it would be without it, nobody has set.
    let broker = broker.filter(|(_, value)| *value != config.default);
    let values = [
        topic.configs.get(config.name).map(|value| (config.name, value.as_str(), SOURCE_TOPIC)),
        broker.map(|(name, value)| (name, value, SOURCE_STATIC_BROKER)),
        Some((broker_name.unwrap_or(config.name), config.default, SOURCE_DEFAULT)),
    ];
    described(config.name, &values, kind_code(config.kind), config.doc, wanted)
}

/// A config with the values that it may have, the first of them in force.
fn described(
    name: &str,
    values: &[Option<(&str, &str, i8)>],
    kind: i8,
    doc: &str,
    wanted: Wanted,
) -> DescribeConfigsResourceResult {
    let values: Vec<_> = values.iter().flatten().collect();
    let (_, value, source) = values.first().map_or((name, "", SOURCE_DEFAULT), |first| **first);
    let synonyms = values.iter().map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(text::wire(name))
            .with_value(Some(text::wire(value)))
            .with_source(*source)
    });
    entry(name, value, source, false, kind)
        .with_synonyms(if wanted.synonyms { synonyms.collect() } else { Vec::new() })
        .with_documentation(wanted.documentation.then(|| text::wire(doc)))
}

fn describe_broker(
    scope: &Scope,
    resource: &DescribeConfigsResource,
    wanted: Wanted,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = resource.resource_name.as_str();
    // An empty name asks for the defaults of all brokers, which can only be set at run time: there are none.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let node = scope.server.core.node_id;
    if name != node.to_string() {
        return Err(Refusal::InvalidRequest(format!("{name} is not this broker's id, which is {node}")));
    }
    let configs = scope.server.configs.iter().filter(|(name, _)| is_wanted(resource, name));
    Ok(configs
        .map(|(name, value)| {
            let result = entry(name, value, SOURCE_STATIC_BROKER, true, STRING);
            let doc = plugin_configs::documentation(name).filter(|_| wanted.documentation);
            let result = result.with_documentation(doc.map(text::wire));
            let synonym = DescribeConfigsSynonym::default()
                .with_name(text::wire(name))
                .with_value(Some(text::wire(value)))
                .with_source(SOURCE_STATIC_BROKER);
            if wanted.synonyms { result.with_synonyms(vec![synonym]) } else { result }
        })
        .collect())
}

fn entry(name: &str, value: &str, source: i8, read_only: bool, kind: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text::wire(name))
        .with_value(Some(text::wire(value)))
        .with_config_source(source)
        .with_read_only(read_only)
        .with_config_type(kind)
}

/// Kafka's number for the type of a config (KIP-569).
fn kind_code(kind: ConfigKind) -> i8 {
    match kind {
        ConfigKind::Boolean => 1,
        ConfigKind::OneOf(_) => 2,
        ConfigKind::Int(_) => 3,
        ConfigKind::Long(_) => 5,
        ConfigKind::Double(..) => 6,
        ConfigKind::SomeOf(_) | ConfigKind::List => 7,
    }
}

/// The broker setting that is the default of a topic config.
fn broker_name(topic_config: &str) -> Option<&'static str> {
    Some(match topic_config {
        "cleanup.policy" => "log.cleanup.policy",
        "compression.type" => "compression.type",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "file.delete.delay.ms" => "log.segment.delete.delay.ms",
        "durability" => "durability",
        "flush.messages" => "log.flush.interval.messages",
        "flush.ms" => "log.flush.interval.ms",
        "index.interval.bytes" => "log.index.interval.bytes",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "max.message.bytes" => "message.max.bytes",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.type" => "log.message.timestamp.type",
        "min.insync.replicas" => "min.insync.replicas",
        "retention.bytes" => "log.retention.bytes",
        "retention.ms" => "log.retention.ms",
        "segment.bytes" => "log.segment.bytes",
        "segment.index.bytes" => "log.index.size.max.bytes",
        "segment.ms" => "log.roll.ms",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        _ => return None,
    })
}
