//! What becomes of a topic's configs when some are changed. Pure.

use super::plugin_configs::{self, Configs};
use pelton_core::cluster::topic_config::{ConfigKind, topic_config};
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;

/// One change of one config (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It has this value.
    Set(String),
    /// The topic sets it no more.
    Delete,
    /// These are in its list too, at the end where they are new.
    Append(Vec<String>),
    /// These are not in its list any more.
    Subtract(Vec<String>),
}

/// The topic's configs after the changes. `broker` holds what is appended to or taken from where the topic sets nothing.
///
/// # Errors
/// [`Refusal::InvalidConfig`] names a config that is no list and should be appended to; [`Refusal::InvalidRequest`]
/// one that is changed twice.
pub fn altered(own: &Configs, broker: &Configs, changes: &[(String, Change)]) -> Result<Configs, Refusal> {
    changed(own, changes, |name| list_of(name, own, broker))
}

/// As [`altered`], for configs of anything; `list_of` gives what is appended to or taken from.
///
/// # Errors
/// Those of `list_of`; [`Refusal::InvalidRequest`] names a config that is changed twice.
pub fn changed(
    own: &Configs,
    changes: &[(String, Change)],
    list_of: impl Fn(&str) -> Result<Vec<String>, Refusal>,
) -> Result<Configs, Refusal> {
    let mut configs = own.clone();
    let mut changed = BTreeSet::new();
    for (name, change) in changes {
        if !changed.insert(name) {
            return Err(Refusal::InvalidRequest(format!("{name} is changed more than once")));
        }
        match change {
            Change::Set(value) => {
                configs.insert(name.clone(), value.clone());
            }
            Change::Delete => {
                configs.remove(name);
            }
            Change::Append(more) => {
                let list = list_of(name)?;
                let mut there = BTreeSet::new();
                let list = list.iter().chain(more).filter(|word| there.insert(*word));
                configs.insert(name.clone(), list.map(String::as_str).collect::<Vec<_>>().join(","));
            }
            Change::Subtract(gone) => {
                let mut list = list_of(name)?;
                let gone: BTreeSet<&String> = gone.iter().collect();
                list.retain(|word| !gone.contains(word));
                configs.insert(name.clone(), list.join(","));
            }
        }
    }
    Ok(configs)
}

/// The words of a list in a request.
pub fn words(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Only a list can be appended to or taken from.
///
/// # Errors
/// [`Refusal::InvalidConfig`] where values of that kind are none.
pub fn check_is_list(name: &str, kind: ConfigKind) -> Result<(), Refusal> {
    if matches!(kind, ConfigKind::List | ConfigKind::SomeOf(_)) {
        return Ok(());
    }
    let why = format!("{name}: only a list can be appended to or subtracted from; set it instead");
    Err(Refusal::InvalidConfig(why))
}

fn list_of(name: &str, own: &Configs, broker: &Configs) -> Result<Vec<String>, Refusal> {
    let known = topic_config(name);
    check_is_list(name, known.map_or_else(|| plugin_configs::kind_of(name), |config| config.kind))?;
    // What the broker sets for Kafka's own configs goes by other names; the table's default is what Kafka takes.
    let inherited = broker.get(name).map(String::as_str).filter(|_| known.is_none());
    let default = known.map_or("", |config| config.default);
    Ok(words(own.get(name).map(String::as_str).or(inherited).unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn one(name: &str, change: Change) -> Vec<(String, Change)> {
        vec![(name.to_owned(), change)]
    }

    #[test]
    fn set_and_delete_leave_the_others_alone() {
        let own = configs(&[("a", "1"), ("b", "2")]);
        let changes = [("a".to_owned(), Change::Set("3".to_owned())), ("b".to_owned(), Change::Delete)];
        assert_eq!(altered(&own, &configs(&[]), &changes), Ok(configs(&[("a", "3")])));
        assert_eq!(altered(&own, &configs(&[]), &one("c", Change::Delete)), Ok(own));
    }

    #[test]
    fn lists_grow_and_shrink_from_what_holds_now() {
        let (none, chain) = (configs(&[]), "pelton.interceptors");
        let broker = configs(&[(chain, "audit@1, mask@1")]);
        let append = one(chain, Change::Append(words("dedup@1,mask@1")));
        assert_eq!(altered(&none, &broker, &append), Ok(configs(&[(chain, "audit@1,mask@1,dedup@1")])));
        let own = configs(&[(chain, "mask@1")]);
        assert_eq!(altered(&own, &broker, &append), Ok(configs(&[(chain, "mask@1,dedup@1")])));
        let subtract = one(chain, Change::Subtract(words("mask@1")));
        assert_eq!(altered(&own, &broker, &subtract), Ok(configs(&[(chain, "")])));
        let policy = one("cleanup.policy", Change::Append(words("compact")));
        assert_eq!(altered(&none, &none, &policy), Ok(configs(&[("cleanup.policy", "delete,compact")])));
    }

    #[test]
    fn what_is_no_list_is_not_appended_to_and_nothing_is_changed_twice() {
        let none = configs(&[]);
        for name in ["retention.ms", "pelton.partitioner", "pelton.plugin.audit.config", "unheard.of"] {
            let refused = altered(&none, &none, &one(name, Change::Append(words("1"))));
            assert!(matches!(refused, Err(Refusal::InvalidConfig(why)) if why.starts_with(name)));
        }
        let twice = [("a".to_owned(), Change::Delete), ("a".to_owned(), Change::Delete)];
        assert!(matches!(altered(&none, &none, &twice), Err(Refusal::InvalidRequest(_))));
    }
}
