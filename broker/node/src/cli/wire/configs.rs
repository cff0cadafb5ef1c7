//! Configs of topics and brokers: what they are and where they come from, and changing single ones (KIP-226, KIP-339).

use super::{Cluster, Each, Refused, wire};
use crate::cli::wire::connection::Connection;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use serde::Serialize;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What has configs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A broker.
    Broker(i32),
    /// All brokers: what was set at run time for all of them.
    AllBrokers,
}

/// Where a value comes from, the first that there is being in force: Kafka's `ConfigSource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The topic's own.
    Topic,
    /// Set at run time for this broker.
    Broker,
    /// Set at run time for all brokers.
    AllBrokers,
    /// Given to the broker at its start.
    Start,
    /// Nobody set it.
    Default,
    /// Another that this program does not know.
    Other,
}

/// A config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// Its value; nothing where it is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// Whether its value is a secret.
    pub sensitive: bool,
    /// What its values look like.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is for.
    pub documentation: Option<String>,
    /// All values that it has, the one in force first.
    pub synonyms: Vec<Synonym>,
}

/// A value by one of the names that it can be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Synonym {
    /// The name that it was given by.
    pub name: String,
    /// The value.
    pub value: Option<String>,
    /// Who gave it.
    pub source: Source,
}

/// What became of the question for the configs of one resource.
pub type Described = Result<Vec<Config>, Refused>;

/// What becomes of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(i8)]
pub enum Operation {
    /// It has this value.
    Set = 0,
    /// What holds without it holds again.
    Unset = 1,
    /// These come to the end of the list.
    Append = 2,
    /// These are taken out of the list.
    Subtract = 3,
}

/// A change of one config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alteration {
    /// The config.
    pub name: String,
    /// What becomes of it.
    pub operation: Operation,
    /// The value that the operation needs; none for [`Operation::Unset`].
    pub value: Option<String>,
}

impl Source {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::AllBrokers => "all brokers",
            Self::Start => "start of the broker",
            Self::Default => "default",
            Self::Other => "other",
        }
    }

    fn read(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::Start,
            5 => Self::Default,
            _ => Self::Other,
        }
    }
}

impl Resource {
    /// Its type and its name, as the wire has them.
    fn on_the_wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (TOPIC, name.clone()),
            Self::Broker(id) => (BROKER, id.to_string()),
            Self::AllBrokers => (BROKER, String::new()),
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::AllBrokers => f.write_str("all brokers"),
        }
    }
}

impl Cluster {
    /// The configs of topics, in the order of the names.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn topic_configs(&mut self, topics: &[String]) -> anyhow::Result<Each<String, Vec<Config>>> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let resources: Vec<Resource> = topics.iter().cloned().map(Resource::Topic).collect();
        let described = describe(self.any(), &resources)?;
        if described.len() != topics.len() {
            return Err(self.odd("DescribeConfigs"));
        }
        let named = described.into_iter().map(|result| (result.resource_name.to_string(), read(result)));
        Ok(named.collect())
    }

    /// The configs of a resource.
    ///
    /// # Errors
    /// When the broker does not answer, or there is none of that id.
    pub fn configs(&mut self, resource: &Resource) -> anyhow::Result<Described> {
        let connection = match resource {
            // What a broker was started with is known to that one alone.
            Resource::Broker(id) => self.broker(*id)?,
            Resource::Topic(_) | Resource::AllBrokers => self.any(),
        };
        let described = describe(connection, std::slice::from_ref(resource))?;
        match <[_; 1]>::try_from(described) {
            Ok([result]) => Ok(read(result)),
            Err(_) => Err(self.odd("DescribeConfigs")),
        }
    }

    /// Changes configs of a resource, or checks that it could. All of them are changed, or none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn alter_configs(
        &mut self,
        resource: &Resource,
        alterations: &[Alteration],
        validate_only: bool,
    ) -> anyhow::Result<Result<(), Refused>> {
        let config = |alteration: &Alteration| {
            AlterableConfig::default()
                .with_name(wire(&alteration.name))
                .with_config_operation(alteration.operation as i8)
                .with_value(alteration.value.as_deref().map(wire))
        };
        let (kind, name) = resource.on_the_wire();
        let altered = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(wire(&name))
            .with_configs(alterations.iter().map(config).collect());
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![altered]).with_validate_only(validate_only);
        let connection = match resource {
            Resource::Broker(id) => self.broker(*id)?,
            Resource::Topic(_) | Resource::AllBrokers => self.any(),
        };
        let answer = connection.ask(0..=1, &request)?;
        let [result] = &answer.responses[..] else { return Err(self.odd("IncrementalAlterConfigs")) };
        Ok(Refused::check(result.error_code, result.error_message.as_ref()))
    }
}

fn describe(connection: &mut Connection, resources: &[Resource]) -> anyhow::Result<Vec<DescribeConfigsResult>> {
    let asked = resources.iter().map(|resource| {
        let (kind, name) = resource.on_the_wire();
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(wire(&name))
            .with_configuration_keys(None)
    });
    let request = DescribeConfigsRequest::default()
        .with_resources(asked.collect())
        .with_include_synonyms(true)
        .with_include_documentation(true);
    Ok(connection.ask(3..=4, &request)?.results)
}

fn read(result: DescribeConfigsResult) -> Described {
    Refused::check(result.error_code, result.error_message.as_ref())?;
    let mut configs: Vec<Config> = result.configs.into_iter().map(config).collect();
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(configs)
}

fn config(config: DescribeConfigsResourceResult) -> Config {
    let synonyms = config.synonyms.iter().map(|synonym| Synonym {
        name: synonym.name.to_string(),
        value: synonym.value.as_ref().map(ToString::to_string),
        source: Source::read(synonym.source),
    });
    Config {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        source: Source::read(config.config_source),
        read_only: config.read_only,
        sensitive: config.is_sensitive,
        kind: kind(config.config_type),
        documentation: config.documentation.as_ref().map(ToString::to_string).filter(|text| !text.is_empty()),
        synonyms: synonyms.collect(),
    }
}

/// Kafka's `ConfigType` (KIP-569).
fn kind(number: i8) -> &'static str {
    match number {
        1 => "boolean",
        2 => "string",
        3 => "int",
        4 => "short",
        5 => "long",
        6 => "double",
        7 => "list",
        8 => "class",
        9 => "password",
        _ => "unknown",
    }
}
