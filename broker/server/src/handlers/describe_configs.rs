//! DescribeConfigs (key 32), v1-4: the settings of topics and of this broker.
//!
//! A topic's settings come from the table of topic configs: the topic's own value, else what the broker's
//! configuration sets for all topics, else the default; synonyms (v1) show that order. v3 added types and documentation.
//! The broker's settings are those that were given at its start, read only.
//!
//! Left out: loggers, clients' metrics and groups as resources.

use super::Scope;
use super::scope::resolve;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, TopicName};
use pelton_core::cluster::TopicImage;
use pelton_core::cluster::topic_config::{ConfigKind, TOPIC_CONFIGS, TopicConfig};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

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
    // What plugins are told stands beside Kafka's configs.
    let plugins = topic
        .configs
        .iter()
        .filter(|(name, _)| name.starts_with("pelton.") && is_wanted(resource, name))
        .map(|(name, value)| entry(name, value, SOURCE_TOPIC, false, 2));
    Ok(known.chain(plugins).collect())
}

fn topic_config(
    scope: &Scope,
    topic: &TopicImage,
    config: &TopicConfig,
    wanted: Wanted,
) -> DescribeConfigsResourceResult {
    let broker_name = broker_name(config.name);
    let broker = broker_name.and_then(|name| Some((name, scope.server.configs.get(name)?.as_str())));
    let values = [
        topic.configs.get(config.name).map(|value| (config.name, value.as_str(), SOURCE_TOPIC)),
        broker.map(|(name, value)| (name, value, SOURCE_STATIC_BROKER)),
        Some((broker_name.unwrap_or(config.name), config.default, SOURCE_DEFAULT)),
    ];
    let mut values = values.into_iter().flatten().peekable();
    let (_, value, source) = values.peek().copied().unwrap_or((config.name, config.default, SOURCE_DEFAULT));
    let result = entry(config.name, value, source, false, kind_code(config.kind));
    let synonyms = values.map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(text::wire(name))
            .with_value(Some(text::wire(value)))
            .with_source(source)
    });
    result
        .with_synonyms(if wanted.synonyms { synonyms.collect() } else { Vec::new() })
        .with_documentation(wanted.documentation.then(|| text::wire(config.doc)))
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
            let result = entry(name, value, SOURCE_STATIC_BROKER, true, 2);
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
        "index.interval.bytes" => "log.index.interval.bytes",
        "max.message.bytes" => "message.max.bytes",
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
