//! Topics as a document: how many partitions, which settings. What `export` writes and `import` reads, and what has to be done so that a
//! cluster has what a document says.
//!
//! It decides and does nothing else: no broker is asked here.

use super::wire::{Alteration, Operation};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Topics, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// By name.
    pub topics: Vec<SavedTopic>,
}

/// A topic, in a document and in a cluster alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTopic {
    /// Its name.
    pub topic: String,
    /// How many partitions it has; without it the broker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// How many replicas each of them has; without it the broker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i16>,
    /// The settings that were given to the topic itself.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

/// What is to be done to one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The topic.
    pub topic: String,
    /// It is made, of what the document says.
    pub create: bool,
    /// How many partitions it is to have, where it has fewer.
    pub partitions: Option<i32>,
    /// Settings that change, when the topic is there already.
    pub configs: Vec<Alteration>,
    /// What differs and is left as it is.
    pub left: Vec<String>,
}

impl Snapshot {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is none, or says two things of one topic.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let form = "it has the form {\"topics\": [{\"topic\": \"orders\", \"partitions\": 6, \"configs\": {}}]}";
        let snapshot: Self = serde_json::from_str(text).with_context(|| form.to_owned())?;
        let mut seen = BTreeSet::new();
        for topic in &snapshot.topics {
            if !seen.insert(&topic.topic) {
                bail!("the topic {} stands in the document twice; leave it there once", topic.topic);
            }
            if topic.partitions.is_some_and(|count| count < 1)
                || topic.replication_factor.is_some_and(|count| count < 1)
            {
                bail!("the topic {}: it needs one partition and one replica at least", topic.topic);
            }
        }
        Ok(snapshot)
    }
}

impl Step {
    /// What has to be done so that a cluster has the topic `wanted`, which is there as `there`, or not at all. Settings that
    /// the document does not have are left alone, unless it is `exact`.
    pub fn towards(wanted: &SavedTopic, there: Option<&SavedTopic>, exact: bool) -> Self {
        let topic = wanted.topic.clone();
        let Some(there) = there else {
            return Self { topic, create: true, partitions: None, configs: Vec::new(), left: Vec::new() };
        };
        let mut left = Vec::new();
        let partitions = match (wanted.partitions, there.partitions) {
            (Some(wanted), Some(there)) if wanted > there => Some(wanted),
            (Some(wanted), Some(there)) if wanted < there => {
                left.push(format!("it has {there} partitions, more than {wanted}; partitions are never taken away"));
                None
            }
            _ => None,
        };
        if let (Some(wanted), Some(there)) = (wanted.replication_factor, there.replication_factor)
            && wanted != there
        {
            left.push(format!("its replication factor is {there} and not {wanted}"));
        }
        let differ = wanted.configs.iter().filter(|(key, value)| there.configs.get(*key) != Some(value));
        let mut configs: Vec<Alteration> = differ
            .map(|(key, value)| Alteration { name: key.clone(), operation: Operation::Set, value: Some(value.clone()) })
            .collect();
        let further = there.configs.keys().filter(|key| !wanted.configs.contains_key(*key));
        if exact {
            configs.extend(further.map(|key| Alteration {
                name: key.clone(),
                operation: Operation::Unset,
                value: None,
            }));
        } else {
            left.extend(further.map(|key| format!("{key} is set and not in the document; --exact unsets it")));
        }
        Self { topic, create: false, partitions, configs, left }
    }

    /// Whether anything is to be done.
    pub fn is_nothing(&self) -> bool {
        !self.create && self.partitions.is_none() && self.configs.is_empty()
    }

    /// What becomes of the topic, in a word.
    pub fn result(&self) -> &'static str {
        match (self.create, self.is_nothing()) {
            (true, _) => "created",
            (false, true) => "unchanged",
            (false, false) => "altered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(partitions: i32, configs: &[(&str, &str)]) -> SavedTopic {
        SavedTopic {
            topic: "orders".to_owned(),
            partitions: Some(partitions),
            replication_factor: Some(1),
            configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_document_survives_the_way_through_json() {
        let snapshot = Snapshot { topics: vec![topic(6, &[("retention.ms", "1")])] };
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(Snapshot::read(&text).unwrap(), snapshot);
        assert_eq!(Snapshot::read("{\"topics\": [{\"topic\": \"a\"}]}").unwrap().topics[0].partitions, None);
        for (bad, reason) in [
            ("[]", "it has the form"),
            ("{\"topics\": [{\"topic\": \"a\", \"partitons\": 1}]}", "it has the form"),
            ("{\"topics\": [{\"topic\": \"a\"}, {\"topic\": \"a\"}]}", "twice"),
            ("{\"topics\": [{\"topic\": \"a\", \"partitions\": 0}]}", "one partition"),
        ] {
            assert!(Snapshot::read(bad).unwrap_err().to_string().contains(reason), "{bad}");
        }
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let there = topic(6, &[("retention.ms", "1")]);
        let step = Step::towards(&there, Some(&there), true);
        assert!(step.is_nothing() && step.left.is_empty());
        assert_eq!(step.result(), "unchanged");
        assert_eq!(Step::towards(&there, None, false).result(), "created");
    }

    #[test]
    fn what_differs_is_changed_or_named() {
        let there = topic(6, &[("retention.ms", "1"), ("segment.bytes", "2000000")]);
        let step = Step::towards(&topic(8, &[("retention.ms", "2")]), Some(&there), false);
        assert_eq!((step.partitions, step.result()), (Some(8), "altered"));
        assert_eq!(step.configs.len(), 1);
        assert_eq!((step.configs[0].operation, step.configs[0].value.as_deref()), (Operation::Set, Some("2")));
        assert!(step.left[0].contains("segment.bytes"), "{:?}", step.left);

        let exact = Step::towards(&topic(8, &[("retention.ms", "2")]), Some(&there), true);
        assert_eq!(exact.configs[1].operation, Operation::Unset);
        assert!(exact.left.is_empty());

        let fewer = Step::towards(&topic(2, &[]), Some(&topic(6, &[])), false);
        assert!(fewer.is_nothing() && fewer.left[0].contains("never taken away"));
        let mut replicas = topic(6, &[]);
        replicas.replication_factor = Some(3);
        assert!(Step::towards(&replicas, Some(&topic(6, &[])), false).left[0].contains("is 1 and not 3"));
    }
}
