//! The broker configs that can be set at run time: which they are, and what a change of one does (KIP-226).
//!
//! Most are the defaults of topic configs. A change of one is obeyed where a change of a topic's configs is: every partition
//! whose configs are not the same afterwards is told. The others are for the shell, which finds them in the image. A
//! broker's own go before those of all brokers, and both before what the broker was started with.

use super::records::Change;
use super::topic_config::{ConfigKind, MAX_VALUE_BYTES, shown, topic_config, topic_config_of};
use super::{Cluster, configure_partitions};
use crate::coordinator::Outcome;
use crate::event::ClusterReply;
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those that are no defaults of topic configs, by name.
const OF_BROKERS_ALONE: &[(&str, ConfigKind)] = &[
    ("log.cleaner.backoff.ms", ConfigKind::Long(1)),
    ("log.cleaner.dedupe.buffer.size", ConfigKind::Long(1_024)),
    ("log.cleaner.io.max.bytes.per.second", ConfigKind::Double(1.0, f64::MAX)),
    ("max.connections", ConfigKind::Int(1)),
    ("max.connections.per.ip", ConfigKind::Int(0)),
    ("max.connections.per.ip.overrides", ConfigKind::List),
];

/// What the values of a broker config look like that can be set at run time; `None` where it cannot.
pub fn dynamic_config(name: &str) -> Option<ConfigKind> {
    let alone = OF_BROKERS_ALONE.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    alone.or_else(|| Some(topic_config_of(name).and_then(topic_config)?.kind))
}

impl Cluster {
    /// As for topics, `configs` were worked out from `from`.
    pub(super) fn alter_broker_configs(
        &self,
        broker: &Arc<str>,
        configs: BTreeMap<String, String>,
        from: &BTreeMap<String, String>,
        validate_only: bool,
        out: &mut Outcome,
    ) -> Result<ClusterReply, Refusal> {
        let node_id = self.config.node_id;
        if !broker.is_empty() && **broker != node_id.to_string() {
            return Err(Refusal::InvalidRequest(format!(
                "there is no broker {broker}; name {node_id}, or nothing for all brokers"
            )));
        }
        let present = self.image.broker_configs.get(broker).cloned().unwrap_or_default();
        if *present != *from {
            return Err(Refusal::ConcurrentChange);
        }
        check(&configs)?;
        if validate_only || configs == *from {
            return Ok(ClusterReply::Done);
        }
        let change = Change::BrokerConfigs(broker.clone(), Arc::new(configs));
        let next = self.after(&change);
        for (name, topic) in &next.topics {
            if self.image.topic(name).is_none_or(|before| before.effective != topic.effective) {
                configure_partitions(name, topic, out);
            }
        }
        super::write(&[change], next, out);
        Ok(ClusterReply::Done)
    }
}

/// Whether all of these can be set at run time, to these values.
fn check(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (name, value) in configs {
        let Some(kind) = dynamic_config(name) else {
            return Err(Refusal::InvalidRequest(format!(
                "{} cannot be changed while the broker runs; set it in its configuration and start it again",
                shown(name)
            )));
        };
        if value.len() > MAX_VALUE_BYTES || !kind.fits(value) {
            return Err(Refusal::InvalidRequest(format!("{name}: {:?} is not {}", shown(value), kind.wanted())));
        }
    }
    Ok(())
}
