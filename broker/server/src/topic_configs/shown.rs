//! The configs of a topic as clients are shown them: every one that there is, with the values that it has.

use super::plugin_configs::{self, PLUGIN_CONFIGS};
use crate::broker_configs::{self, Source, Synonym};
use crate::hooks::effective;
use crate::server::Server;
use pelton_api::hooks::CONFIG_PREFIX;
use pelton_core::cluster::TopicImage;
use pelton_core::cluster::topic_config::{ConfigKey, ConfigKind, TOPIC_CONFIGS, broker_config_of};
use std::collections::BTreeSet;

/// A topic config that Kafka does not have.
const DURABILITY: &str = "durability";

/// One config.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// The value in force; `None` where nobody gives it any.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: Source,
    /// Every value with the name that it was set under and its source, the one in force first.
    pub synonyms: Vec<Synonym>,
    /// What its values look like.
    pub kind: ConfigKind,
    /// What it does, for people.
    pub doc: Option<&'static str>,
}

impl Shown {
    /// A config with the values that it has, the first of them in force; `default` where there are none.
    pub fn new(
        name: &str,
        synonyms: Vec<Synonym>,
        default: Option<&str>,
        kind: ConfigKind,
        doc: Option<&'static str>,
    ) -> Self {
        let (value, source) = match synonyms.first() {
            Some((_, value, source)) => (Some(value.clone()), *source),
            None => (default.map(str::to_owned), Source::Default),
        };
        Self { name: name.to_owned(), value, source, synonyms, kind, doc }
    }

    /// Whether it is shown to those who ask for all configs of a topic: what Kafka has, and of the rest what somebody has set.
    /// So Kafka's tools list on this broker what they list on Kafka, and nothing that changes a topic is hidden. Who asks for
    /// one by its name is shown it.
    pub fn is_listed(&self) -> bool {
        let kafkas = self.name != DURABILITY && !self.name.starts_with(CONFIG_PREFIX);
        kafkas || self.source != Source::Default
    }
}

/// All configs of a topic, Kafka's and those by which plugins are attached. It need not be made yet.
pub fn shown_configs(server: &Server, name: &str, topic: &TopicImage) -> Vec<Shown> {
    let known = TOPIC_CONFIGS.iter().map(|config| kafkas(server, topic, config));
    known.chain(plugins(server, name, topic)).collect()
}

fn kafkas(server: &Server, topic: &TopicImage, config: &ConfigKey) -> Shown {
    let own = topic.configs.get(config.name);
    let mut synonyms: Vec<_> =
        own.map(|value| (config.name.to_owned(), value.clone(), Source::Topic)).into_iter().collect();
    let mut inherited = None;
    if let Some(broker) = broker_config_of(config.name) {
        synonyms.extend(broker_configs::synonyms(server, broker));
        inherited = broker_configs::value_for_topics(server, broker);
    }
    let default = inherited.as_deref().unwrap_or(config.default);
    Shown::new(config.name, synonyms, Some(default), config.kind, Some(config.doc))
}

fn plugins(server: &Server, name: &str, topic: &TopicImage) -> Vec<Shown> {
    let defaults = effective::defaults(&server.configs);
    let effective = effective::effective(&defaults, topic.internal, &topic.configs);
    let table = PLUGIN_CONFIGS.iter().map(|config| config.name).chain(effective.keys().map(String::as_str));
    let names: BTreeSet<&str> = table.collect();
    let describe = |config: &str| {
        let default = plugin_configs::plugin_config(config);
        let default = default.map(|config| plugin_configs::default_of(config, name, &effective));
        // What the topic declines, or what is for a plugin that it does not have, does not hold for it.
        let broker = defaults.get(config).filter(|_| effective.contains_key(config));
        let values = [
            (topic.configs.get(config).cloned(), Source::Topic),
            (broker.cloned(), Source::StaticBroker),
            (default, Source::Default),
        ];
        let values = values.into_iter().filter_map(|(value, source)| Some((config.to_owned(), value?, source)));
        let kind = plugin_configs::kind_of(config);
        Shown::new(config, values.collect(), Some(""), kind, plugin_configs::documentation(config))
    };
    names.into_iter().map(describe).collect()
}
