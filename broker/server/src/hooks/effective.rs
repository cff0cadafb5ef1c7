//! Which `pelton.*` configs a topic has in effect: its own over the broker's. Pure.

use pelton_api::hooks::CONFIG_PREFIX;
use std::collections::BTreeMap;

const INTERCEPTORS: &str = "pelton.interceptors";
const SHADOW: &str = "pelton.interceptors.shadow";
const PARTITIONER: &str = "pelton.partitioner";
const PLUGIN: &str = "pelton.plugin.";

/// Whether a key of `server.properties` is a default for topics. Others that begin with `pelton.` are the broker's own.
fn is_default(name: &str) -> bool {
    let family = |prefix: &str| name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    family(INTERCEPTORS)
        || family(PARTITIONER)
        || name.starts_with(PLUGIN) && (name.ends_with(".config") || name.ends_with(".emit"))
}

/// The defaults for topics among the broker's configs.
pub fn defaults(broker: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    broker.iter().filter(|(name, _)| is_default(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a topic has in effect. Topics of the broker itself have none of the defaults, and neither has a topic that
/// says `pelton.interceptors=` (empty). A default for a plugin that the topic has not attached is left out.
pub fn effective(
    defaults: &BTreeMap<String, String>,
    internal: bool,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own: BTreeMap<String, String> = own
        .iter()
        .filter(|(name, _)| name.starts_with(CONFIG_PREFIX))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let declines = own.get(INTERCEPTORS).is_some_and(|chain| chain.trim().is_empty());
    if internal || declines || defaults.is_empty() {
        return own;
    }
    let mut merged = defaults.clone();
    merged.extend(own.clone());
    let attached: Vec<String> = [INTERCEPTORS, SHADOW, PARTITIONER]
        .iter()
        .filter_map(|name| merged.get(*name))
        .flat_map(|chain| chain.split(','))
        .filter_map(|link| Some(link.split_once('@')?.0.trim().to_owned()))
        .collect();
    merged
        .retain(|name, _| own.contains_key(name) || plugin_of(name).is_none_or(|of| attached.iter().any(|a| a == of)));
    merged
}

/// The plugin that a `pelton.plugin.NAME.config` or `.emit` is for.
fn plugin_of(name: &str) -> Option<&str> {
    Some(name.strip_prefix(PLUGIN)?.rsplit_once('.')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topic_overlays_the_brokers_defaults_or_declines_them() {
        let broker = map(&[
            ("pelton.admin.listener", "127.0.0.1:9644"),
            ("pelton.plugin.max.bytes", "1"),
            ("pelton.interceptors", "audit@2"),
            ("pelton.plugin.audit.config", "{}"),
            ("pelton.interceptors.on.error", "skip"),
            ("retention.ms", "5"),
        ]);
        let defaults = defaults(&broker);
        assert_eq!(defaults.len(), 3);
        assert_eq!(effective(&defaults, false, &map(&[("retention.ms", "7")])), defaults);
        assert_eq!(effective(&defaults, true, &map(&[])), map(&[]));
        let declined = map(&[("pelton.interceptors", " ")]);
        assert_eq!(effective(&defaults, false, &declined), declined);
        let own = map(&[("pelton.interceptors", "mask@1")]);
        let expected = map(&[("pelton.interceptors", "mask@1"), ("pelton.interceptors.on.error", "skip")]);
        assert_eq!(effective(&defaults, false, &own), expected, "the config of what is not attached is left out");
        let own = map(&[("pelton.interceptors", "mask@1, audit@3")]);
        assert_eq!(effective(&defaults, false, &own)["pelton.plugin.audit.config"], "{}");
        let own = map(&[("pelton.plugin.other.config", "{}")]);
        assert!(
            effective(&defaults, false, &own).contains_key("pelton.plugin.other.config"),
            "its own mistake is kept"
        );
    }
}
