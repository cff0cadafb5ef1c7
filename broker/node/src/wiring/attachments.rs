//! What follows from the plugin configs of topics: which jobs route records. Pure; [`super::platform`] sees to it.

use pelton_api::job::{Guarantee, JobSpec, StepSpec};
use pelton_api::manifest::PluginRef;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What jobs that the platform runs by itself begin with.
pub const ROUTE_PREFIX: &str = "route-";

/// The longest part of a topic's name that stands in its route's name as it is.
const NAME_PART: usize = 60;

/// A topic, as far as its plugins go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// The `pelton.*` configs in effect.
    pub configs: BTreeMap<String, String>,
}

impl Topic {
    fn config(&self, name: &str) -> &str {
        self.configs.get(name).map_or("", |value| value.trim())
    }

    /// The job that routes the records of this topic to its data topic, if there is to be one.
    pub fn route(&self) -> Option<JobSpec> {
        let target = self.config("pelton.partitioner.target");
        if self.config("pelton.partitioner").is_empty() || self.config("pelton.partitioner.mode") != "route" {
            return None;
        }
        let pass = StepSpec {
            name: "pass".to_owned(),
            plugin: PluginRef { name: super::plugins::PASS.to_owned(), version: 1 },
            stores: Vec::new(),
            config: serde_json::Value::Object(serde_json::Map::new()),
        };
        Some(JobSpec {
            name: route_name(&self.name),
            sources: vec![self.name.clone()],
            sink: target.to_owned(),
            dead_letter: None,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval_ms: 100,
            steps: vec![pass],
        })
    }
}

/// The name of the job that routes a topic's records. Jobs' names are shorter than topics' may be.
pub fn route_name(topic: &str) -> String {
    let whole = format!("{ROUTE_PREFIX}{topic}");
    if whole.len() <= pelton_jobs::validate::MAX_NAME_LEN {
        return whole;
    }
    let digest: String = Sha256::digest(topic).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let part: String = topic.chars().take(NAME_PART).collect();
    format!("{ROUTE_PREFIX}{part}-{digest}")
}

/// The jobs that these topics need, by name.
pub fn routes(topics: impl Iterator<Item = Topic>) -> BTreeMap<String, JobSpec> {
    topics.filter_map(|topic| topic.route()).map(|route| (route.name.clone(), route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, configs: &[(&str, &str)]) -> Topic {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Topic { name: name.to_owned(), partitions: 6, configs }
    }

    #[test]
    fn a_topic_in_mode_route_has_a_job_that_passes_its_records_on() {
        let by_geo = ("pelton.partitioner", "geo@1");
        let target = ("pelton.partitioner.target", "orders");
        let route = topic("in", &[by_geo, target, ("pelton.partitioner.mode", "route")]).route().unwrap();
        assert_eq!(
            (route.name.as_str(), route.sources.as_slice(), route.sink.as_str()),
            ("route-in", &["in".to_owned()][..], "orders")
        );
        assert_eq!(pelton_jobs::validate::check(&route), Ok(()));
        assert_eq!(route.steps[0].plugin.to_string(), "pelton-pass@1");
        assert_eq!(topic("in", &[by_geo, target]).route(), None);
        let verifying = topic("out", &[by_geo]);
        let routing = topic("in", &[by_geo, target, ("pelton.partitioner.mode", "route")]);
        assert_eq!(routes([verifying, routing].into_iter()).into_keys().collect::<Vec<_>>(), ["route-in"]);
        assert_eq!(topic("in", &[target, ("pelton.partitioner.mode", "route")]).route(), None);
    }

    #[test]
    fn every_topic_name_gives_a_job_name_of_its_own() {
        let long = |last: char| format!("{}{last}", "x".repeat(248));
        assert_eq!(route_name("in"), "route-in");
        assert_eq!(route_name(&"x".repeat(94)), format!("route-{}", "x".repeat(94)));
        let (a, b) = (route_name(&long('a')), route_name(&long('b')));
        assert!(a != b && a.len() <= 100 && b.len() <= 100, "{a} {b}");
        let target = ("pelton.partitioner.target", "orders");
        let configs = [("pelton.partitioner", "murmur2"), target, ("pelton.partitioner.mode", "route")];
        assert_eq!(pelton_jobs::validate::check(&topic(&long('a'), &configs).route().unwrap()), Ok(()));
    }
}
