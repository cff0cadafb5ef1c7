//! The topic configs by which plugins are attached: their names, defaults and meanings.
//!
//! What their values may be is checked where plugins are known ([`pelton_api::hooks::Hooks::check`]); this is what a
//! broker must know of them without knowing plugins: what DescribeConfigs shows, which are lists, and which topic
//! dead letters go to.

use pelton_core::cluster::topic_config::ConfigKind::{self, List, Text};
use pelton_core::cluster::topic_config::{ConfigKey, config};
use std::collections::BTreeMap;

/// Topic configs by name.
pub type Configs = BTreeMap<String, String>;

/// The ordered chain of interceptors.
pub const INTERCEPTORS: &str = "pelton.interceptors";
/// What a fault of an interceptor does.
pub const ON_ERROR: &str = "pelton.interceptors.on.error";
/// Where records go that a chain could not handle.
pub const DEAD_LETTER_TOPIC: &str = "pelton.interceptors.dead.letter.topic";
/// The value of [`ON_ERROR`] that needs a dead-letter topic.
pub const DEAD_LETTER: &str = "dead-letter";

const BREAKER_OPEN: &str = "pelton.interceptors.breaker.open";
/// Configs of one plugin: `pelton.plugin.NAME.config` and `pelton.plugin.NAME.emit`.
const PLUGIN_PREFIX: &str = "pelton.plugin.";

/// Every config that is not a single plugin's, by name.
pub const PLUGIN_CONFIGS: &[ConfigKey] = &[
    config(
        INTERCEPTORS,
        List,
        "",
        "The interceptors that records pass, in this order: audit@2,mask@1. Set to nothing it turns the broker's defaults off.",
    ),
    config(
        "pelton.interceptors.breaker.faults",
        Text,
        "5",
        "Faults in a row after which an interceptor is not called for a while; 0 for never.",
    ),
    config(
        BREAKER_OPEN,
        Text,
        "refuse",
        "What happens while an interceptor is not called: refuse, or bypass. bypass is the default unless on.error is reject.",
    ),
    config(
        "pelton.interceptors.breaker.pause.ms",
        Text,
        "30000",
        "How long an interceptor is not called before it is tried again, in milliseconds.",
    ),
    config(
        DEAD_LETTER_TOPIC,
        Text,
        "",
        "Where records go under on.error=dead-letter; the topic's name and -dead-letter unless it is set.",
    ),
    config(
        ON_ERROR,
        Text,
        "reject",
        "What a fault of an interceptor does, or a record that it rejects: reject, skip, or dead-letter.",
    ),
    config(
        "pelton.interceptors.shadow",
        List,
        "",
        "A second chain that sees what the first one sees and decides nothing; differences are reported.",
    ),
    config(
        "pelton.partitioner",
        Text,
        "",
        "What says in which partition a record belongs: murmur2, crc32, round-robin, sticky, or a plugin such as geo@1.",
    ),
    config(
        "pelton.partitioner.mode",
        Text,
        "verify",
        "verify refuses records in a wrong partition; route moves the records of this topic to their partitions of another.",
    ),
    config("pelton.partitioner.target", Text, "", "The topic to which mode=route moves the records of this one."),
];

/// The config of that name, if it is not a single plugin's.
pub fn plugin_config(name: &str) -> Option<&'static ConfigKey> {
    PLUGIN_CONFIGS.iter().find(|config| config.name == name)
}

/// What the values of the config look like; text, where there is no such config.
pub fn kind_of(name: &str) -> ConfigKind {
    let emits = || if is_of_one_plugin(name) && name.ends_with(".emit") { List } else { Text };
    plugin_config(name).map_or_else(emits, |config| config.kind)
}

/// What the config does, for people.
pub fn documentation(name: &str) -> Option<&'static str> {
    match plugin_config(name) {
        Some(config) => Some(config.doc),
        None if !is_of_one_plugin(name) => None,
        None if name.ends_with(".emit") => {
            Some("The topics to which the plugin may emit records, separated by commas.")
        }
        None => Some("The plugin's own configuration, a JSON object."),
    }
}

/// The default of a config for this topic, given all that are set for it.
pub fn default_of(config: &ConfigKey, topic: &str, effective: &Configs) -> String {
    let rejects = effective.get(ON_ERROR).is_none_or(|policy| policy.trim() == "reject");
    match config.name {
        BREAKER_OPEN if !rejects => "bypass".to_owned(),
        DEAD_LETTER_TOPIC => default_dead_letter_topic(topic),
        _ => config.default.to_owned(),
    }
}

/// The dead-letter topic that these configs need, if they need one.
pub fn dead_letter_topic(topic: &str, effective: &Configs) -> Option<String> {
    let chain = effective.get(INTERCEPTORS).is_some_and(|chain| !chain.trim().is_empty());
    if !chain || effective.get(ON_ERROR).is_none_or(|policy| policy.trim() != DEAD_LETTER) {
        return None;
    }
    let named = effective.get(DEAD_LETTER_TOPIC).map(|name| name.trim()).filter(|name| !name.is_empty());
    Some(named.map_or_else(|| default_dead_letter_topic(topic), str::to_owned))
}

fn default_dead_letter_topic(topic: &str) -> String {
    format!("{topic}-dead-letter")
}

fn is_of_one_plugin(name: &str) -> bool {
    let plugin = name.strip_prefix(PLUGIN_PREFIX).and_then(|rest| rest.rsplit_once('.'));
    plugin.is_some_and(|(plugin, config)| !plugin.is_empty() && matches!(config, "config" | "emit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_dead_letter_topic_is_needed_by_a_chain_that_writes_dead_letters() {
        let chain = ("pelton.interceptors", "mask@1");
        let policy = ("pelton.interceptors.on.error", "dead-letter");
        assert_eq!(dead_letter_topic("t", &configs(&[chain])), None);
        assert_eq!(dead_letter_topic("t", &configs(&[policy])), None);
        assert_eq!(dead_letter_topic("t", &configs(&[chain, policy])).as_deref(), Some("t-dead-letter"));
        let named = configs(&[chain, policy, ("pelton.interceptors.dead.letter.topic", "letters")]);
        assert_eq!(dead_letter_topic("t", &named).as_deref(), Some("letters"));
    }

    #[test]
    fn defaults_depend_on_what_is_set_and_every_name_is_in_order() {
        let open = plugin_config(BREAKER_OPEN).unwrap();
        assert_eq!(default_of(open, "t", &configs(&[])), "refuse");
        assert_eq!(default_of(open, "t", &configs(&[("pelton.interceptors.on.error", "skip")])), "bypass");
        assert!(PLUGIN_CONFIGS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!((kind_of("pelton.plugin.audit.emit"), kind_of("pelton.plugin.audit.config")), (List, Text));
        assert!(documentation("pelton.plugin.audit.config").is_some() && documentation("pelton.else").is_none());
    }
}
