//! Who uses a plugin: read off the configs of topics, the broker's defaults and the jobs, without asking anybody.

use pelton_api::job::JobSpec;
use pelton_api::manifest::PluginRef;
use std::collections::BTreeMap;
use std::fmt;

/// Configs under which plugins are named, and what they do there.
const ROLES: [(&str, &str); 3] = [
    ("pelton.interceptors", "interceptor"),
    ("pelton.interceptors.shadow", "shadow"),
    ("pelton.partitioner", "partitioner"),
];

/// Somebody who uses a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// A topic to which it is attached.
    Topic {
        /// Its name.
        name: String,
        /// `interceptor`, `shadow` or `partitioner`.
        role: &'static str,
    },
    /// The broker's own defaults: every topic that sets nothing else.
    BrokerDefault {
        /// `interceptor`, `shadow` or `partitioner`.
        role: &'static str,
    },
    /// A job that runs.
    Job {
        /// Its name.
        name: String,
        /// The step that runs it.
        step: String,
    },
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { name, role } => write!(f, "topic {name} ({role})"),
            Self::BrokerDefault { role } => write!(f, "the broker's defaults in server.properties ({role})"),
            Self::Job { name, step } => write!(f, "job {name} (step {step})"),
        }
    }
}

/// Plugins that a config names, in its order. Built-in partitioners are none.
pub fn named(value: &str) -> impl Iterator<Item = PluginRef> {
    value.split(',').filter_map(|name| name.trim().parse().ok())
}

/// Who uses `plugin`: topics by their own configs, the broker's defaults, jobs that run.
pub fn users<'a>(
    plugin: &PluginRef,
    defaults: &BTreeMap<String, String>,
    topics: impl Iterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
    jobs: impl Iterator<Item = JobSpec>,
) -> Vec<User> {
    let roles = |configs: &BTreeMap<String, String>| {
        let uses = |key: &str| configs.get(key).is_some_and(|value| named(value).any(|found| found == *plugin));
        ROLES.iter().filter(|(key, _)| uses(key)).map(|(_, role)| *role).collect::<Vec<_>>()
    };
    let mut found: Vec<User> = roles(defaults).into_iter().map(|role| User::BrokerDefault { role }).collect();
    for (name, configs) in topics {
        found.extend(roles(configs).into_iter().map(|role| User::Topic { name: name.to_owned(), role }));
    }
    for job in jobs {
        let steps = job.steps.into_iter().filter(|step| step.plugin == *plugin);
        found.extend(steps.map(|step| User::Job { name: job.name.clone(), step: step.name }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn whoever_names_the_plugin_in_that_version_uses_it() {
        let defaults = configs(&[("pelton.interceptors", "audit@2"), ("pelton.partitioner", "murmur2")]);
        let topics = [
            ("a", configs(&[("pelton.interceptors", "mask@1, audit@2"), ("retention.ms", "1")])),
            ("b", configs(&[("pelton.interceptors", "audit@1"), ("pelton.interceptors.shadow", "audit@2")])),
            ("c", configs(&[("pelton.partitioner", "geo@1"), ("pelton.plugin.audit.config", "{}")])),
            ("d", configs(&[("pelton.interceptors", "")])),
        ];
        let steps = json!([{ "name": "s", "plugin": "audit@2" }, { "name": "t", "plugin": "other@1" }]);
        let job: JobSpec =
            serde_json::from_value(json!({ "name": "j", "sources": ["in"], "sink": "out", "steps": steps })).unwrap();
        let ask = |plugin: &str| {
            let topics = topics.iter().map(|(name, configs)| (*name, configs));
            let found = users(&plugin.parse().unwrap(), &defaults, topics, [job.clone()].into_iter());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let expected = [
            "the broker's defaults in server.properties (interceptor)",
            "topic a (interceptor)",
            "topic b (shadow)",
            "job j (step s)",
        ];
        assert_eq!(ask("audit@2"), expected);
        assert_eq!(ask("audit@1"), ["topic b (interceptor)"]);
        assert_eq!(ask("geo@1"), ["topic c (partitioner)"]);
        assert_eq!(ask("audit@3"), Vec::<String>::new());
    }
}
