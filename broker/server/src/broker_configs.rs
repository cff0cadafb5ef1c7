//! The configs of brokers: what there is, where a value comes from, and changing those that can be changed at run time.
//!
//! What it does: it knows the table of broker configs and the order of their sources (KIP-226: this broker's own, those of
//! all brokers, those that the start was given, the defaults), asks the cluster part for changes, and passes on those that are no defaults
//! of topic configs ([`obeyed`]). What it does not do: it obeys none of them; and of defaults of topic configs partitions are
//! told by the cluster part.

pub mod obeyed;
mod table;

pub use table::{BROKER_CONFIGS, broker_config};

use crate::server::Server;
use crate::topic_configs::plugin_configs::Configs;
use crate::topic_configs::{Change, changed, check_is_list, shown_when, to_the_end, words};
use pelton_core::cluster::topic_config::ConfigKind;
use pelton_core::cluster::{ClusterImage, dynamic_config};
use pelton_core::event::ClusterRequest;
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// How often a change is worked out anew when the configs have changed meanwhile.
const ATTEMPTS: usize = 16;

/// Where a value comes from, by Kafka's numbers (`ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// The topic's own.
    Topic = 1,
    /// Set at run time for this broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// Given at the start.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

/// What is to become of the dynamic configs of a broker.
#[derive(Debug, Clone)]
pub enum BrokerChange {
    /// It is to have these and no others.
    Replace(Configs),
    /// These are to change, the others stay.
    Change(Vec<(String, Change)>),
}

/// Whether the config can be changed while the broker runs.
pub fn is_dynamic(name: &str) -> bool {
    dynamic_config(name).is_some()
}

/// What was set at run time for this broker, else for all.
fn set_at_run_time(server: &Server, name: &str) -> Option<String> {
    let image = server.image();
    let set = |broker: &str| image.broker_configs.get(broker)?.get(name).cloned();
    set(&server.core.node_id.to_string()).or_else(|| set(""))
}

/// A value, with the name that it was set under and where it comes from.
pub type Synonym = (String, String, Source);

/// Names that mean the same in other units, the finest first, with how many of the first one's unit each one's is
/// (`DynamicBrokerConfig.brokerConfigSynonyms`).
const IN_OTHER_UNITS: &[&[(&str, i64)]] = &[
    &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
    &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)],
    &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)],
    &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)],
];

/// Those names for one of them; of any other config its own.
fn in_other_units(name: &str) -> Vec<(&str, i64)> {
    let family = IN_OTHER_UNITS.iter().find(|family| family.iter().any(|(known, _)| *known == name));
    family.map_or_else(|| vec![(name, 1)], |family| family.to_vec())
}

/// The value of a broker config under that very name; `None` where nobody gives it any.
pub fn value(server: &Server, name: &str) -> Option<String> {
    sources(server, &[name]).into_iter().next().map(|(_, value, _)| value)
}

/// The values that a broker config has under all of its names, the one in force first. As in Kafka, nothing is shown before
/// the first value that goes by the very name: what is set in hours alone is no value of the name in milliseconds.
pub fn synonyms(server: &Server, name: &str) -> Vec<Synonym> {
    let names: Vec<&str> = in_other_units(name).into_iter().map(|(name, _)| name).collect();
    sources(server, &names).into_iter().skip_while(|(found, _, _)| found != name).collect()
}

/// What holds for topics that set nothing else, in the unit of the topic's config: the finest unit that somebody set.
pub fn value_for_topics(server: &Server, name: &str) -> Option<String> {
    in_other_units(name).into_iter().find_map(|(name, factor)| {
        let value = value(server, name)?;
        if factor == 1 {
            return Some(value);
        }
        let number = value.trim().parse::<i64>().ok()?.saturating_mul(factor);
        // Kafka's word for no limit.
        Some(number.max(-1).to_string())
    })
}

/// All values of configs of these names, source by source in the order in which they hold.
fn sources(server: &Server, names: &[&str]) -> Vec<Synonym> {
    let image = server.image();
    let own = server.core.node_id.to_string();
    let dynamic = |broker: &str, name: &str| image.broker_configs.get(broker)?.get(name).cloned();
    let given = |name: &str| server.configs.get(name).filter(|value| !value.is_empty()).cloned();
    let default = |name: &str| {
        let of_table = || broker_config(name).map(|config| config.default.to_owned());
        server.started.defaults.get(name).cloned().or_else(of_table).filter(|default| !default.is_empty())
    };
    let mut found = Vec::new();
    for source in [Source::DynamicBroker, Source::DynamicDefaultBroker, Source::StaticBroker, Source::Default] {
        for name in names {
            let value = match source {
                Source::DynamicBroker => dynamic(&own, name),
                Source::DynamicDefaultBroker => dynamic("", name),
                Source::StaticBroker => given(name),
                Source::Default => default(name),
                Source::Topic => None,
            };
            found.extend(value.map(|value| ((*name).to_owned(), value, source)));
        }
    }
    found
}

/// Changes the dynamic configs of a broker, or of all of them (`broker` is empty); with `validate_only` it checks that
/// this could be done.
///
/// # Errors
/// [`Refusal::InvalidRequest`] names what cannot be changed at run time, or not to that value.
pub async fn alter(
    server: &Arc<Server>,
    broker: &str,
    change: BrokerChange,
    validate_only: bool,
) -> Result<(), Refusal> {
    to_the_end(alter_now(server.clone(), broker.into(), change, validate_only)).await?
}

async fn alter_now(
    server: Arc<Server>,
    broker: Arc<str>,
    change: BrokerChange,
    validate_only: bool,
) -> Result<(), Refusal> {
    for _ in 0..ATTEMPTS {
        let from = of_broker(&server.image(), &broker);
        let configs = match &change {
            BrokerChange::Replace(configs) => configs.clone(),
            BrokerChange::Change(changes) => changed(&from, changes, |name| list_of(&server, name, &from))?,
        };
        obeyed::check(&configs)?;
        let request = ClusterRequest::AlterBrokerConfigs {
            broker: broker.clone(),
            configs: configs.clone(),
            from: from.clone(),
            validate_only,
        };
        match server.ask_cluster(request).await {
            // Somebody else was first; what he changed is durable and about to be shown.
            Err(Refusal::ConcurrentChange) => shown_when(&server, |image| of_broker(image, &broker) != from).await?,
            Err(refusal) => return Err(refusal),
            Ok(_) if validate_only || configs == *from => return Ok(()),
            Ok(_) => {
                shown_when(&server, |image| of_broker(image, &broker) != from).await?;
                obeyed::obey(&server);
                return Ok(());
            }
        }
    }
    Err(Refusal::ConcurrentChange)
}

fn of_broker(image: &ClusterImage, broker: &str) -> Arc<Configs> {
    image.broker_configs.get(broker).cloned().unwrap_or_default()
}

/// What is appended to or taken from: what is set here, else what holds.
fn list_of(server: &Server, name: &str, own: &Configs) -> Result<Vec<String>, Refusal> {
    check_is_list(name, broker_config(name).map_or(ConfigKind::Text, |config| config.kind))?;
    let inherited = || value(server, name);
    Ok(words(&own.get(name).cloned().or_else(inherited).unwrap_or_default()))
}
