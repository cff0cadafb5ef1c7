//! The values of configs, as CreateTopics and AlterConfigs bring them and as the cluster image keeps them.
//!
//! The input is text, a `name=value` on each line. What is promised: whatever is accepted can be obeyed, and memory grows
//! with the text.

use crate::allocation::bounded;
use pelton_core::cluster::dynamic_config;
use pelton_core::cluster::topic_config::{broker_config_of, check_topic_configs, topic_config, topic_config_of};
use pelton_core::config::CoreConfig;
use pelton_core::partition::rules::{AppendRules, DurabilityRules};
use std::collections::BTreeMap;

/// Memory for each byte: the map, copies of values in lists, and messages that quote them.
const FACTOR: usize = 64;
/// Messages that say what would be right.
const MESSAGES_BYTES: usize = 16 << 10;

/// Reads the input as configs.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    bounded(FACTOR * input.len() + MESSAGES_BYTES, || {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let configs: BTreeMap<String, String> =
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let checked = check_topic_configs(&configs);
        let core = CoreConfig::default();
        let append = AppendRules::of(&core, &configs);
        let durability = DurabilityRules::of(&core, &configs, false);
        if checked.is_ok() {
            assert!(append.max_message_bytes >= 0);
            assert!(durability.flush_messages >= 1);
        }
        for (name, value) in &configs {
            let fits = topic_config(name).is_some_and(|config| config.kind.fits(value));
            assert!(fits || checked.is_err() || topic_config(name).is_none(), "{name}={value} was accepted");
            let _ = broker_config_of(name);
            let _ = topic_config_of(name);
            if let Some(kind) = dynamic_config(name) {
                let _ = (kind.fits(value), kind.wanted());
            }
        }
    });
}
