//! What is kept of a topic's switches: when, by whom, to what, and at which offsets. Pure; [`super::switch`] writes it.
//!
//! A topic's journal is the document `switches/TOPIC`. It names the topic's id, so that a topic that was made anew
//! does not inherit the switches of the one before.

use pelton_core::cluster::ClusterImage;
use pelton_core::model::TopicId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Switches that are kept.
const MAX_SWITCHES: usize = 100;
/// Bytes of a journal, of the 512 KiB that a document may have; older switches make way.
const MAX_BYTES: usize = 384 << 10;
/// Bytes that an offset takes at most.
const OFFSET_BYTES: usize = 20;
/// Bytes that a switch takes beside its configs and offsets, its identity among them.
const SWITCH_BYTES: usize = 64 << 10;

/// One switch of a topic's hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who asked for it.
    pub by: String,
    /// What was switched to (`TopicHooks::identity`); empty: nothing.
    pub identity: String,
    /// The `pelton.*` configs that were then in effect.
    pub configs: BTreeMap<String, String>,
    /// By partition: the first offset that went through what was switched to.
    pub offsets: Vec<i64>,
}

/// Checks that a switch to these configs can be recorded.
///
/// # Errors
/// Text for the operator.
pub fn check_room(partitions: i32, configs: &BTreeMap<String, String>) -> Result<(), String> {
    let texts: usize = configs.iter().map(|(name, value)| escaped(name) + escaped(value)).sum();
    let bytes = texts + usize::try_from(partitions).unwrap_or(0).saturating_mul(OFFSET_BYTES);
    if bytes + SWITCH_BYTES <= MAX_BYTES {
        return Ok(());
    }
    Err(format!(
        "pelton.plugin: the configs of the plugins and the topic's {partitions} partitions make a record of {bytes} bytes, and \
         there is room for {}; shorten the configs",
        MAX_BYTES - SWITCH_BYTES
    ))
}

/// Bytes of a text in JSON, quotes and separators with it, at most.
fn escaped(text: &str) -> usize {
    text.len() + 6 + text.bytes().filter(|byte| matches!(byte, 0..=31 | b'"' | b'\\')).count() * 5
}

/// The switches of one topic, the last one last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    topic_id: String,
    switches: Vec<Switch>,
}

impl Journal {
    /// Of a topic that never switched.
    pub fn new(topic_id: TopicId) -> Self {
        Self { topic_id: format!("{topic_id:?}"), switches: Vec::new() }
    }

    /// The key of its document.
    pub fn key(topic: &str) -> String {
        format!("switches/{topic}")
    }

    /// The journal of a topic as the image has it.
    pub fn of(image: &ClusterImage, topic: &str, topic_id: TopicId) -> Self {
        let empty = Self::new(topic_id);
        let Some(text) = image.documents.get(&*Self::key(topic)) else { return empty };
        match serde_json::from_str::<Self>(text) {
            Ok(journal) if journal.topic_id == empty.topic_id => journal,
            Ok(_) => empty,
            Err(error) => {
                tracing::error!(topic, %error, "the record of a topic's switches cannot be read; it begins anew");
                empty
            }
        }
    }

    /// The last switch.
    pub fn last(&self) -> Option<&Switch> {
        self.switches.last()
    }

    /// The switch before the last.
    pub fn before_last(&self) -> Option<&Switch> {
        self.switches.iter().rev().nth(1)
    }

    /// All of them.
    pub fn into_switches(self) -> Vec<Switch> {
        self.switches
    }

    /// Adds a switch and gives the document's text; the oldest make way.
    pub fn add(&mut self, switch: Switch) -> String {
        self.switches.push(switch);
        let over = self.switches.len().saturating_sub(MAX_SWITCHES);
        self.switches.drain(..over);
        loop {
            let text = serde_json::to_string(self).expect("maps with text keys are JSON");
            if text.len() <= MAX_BYTES || self.switches.len() == 1 {
                return text;
            }
            let half = self.switches.len() / 2;
            self.switches.drain(..half);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn switch(number: i64, offsets: usize) -> Switch {
        Switch {
            at_ms: number,
            by: "admin".to_owned(),
            identity: format!("audit@{number}"),
            configs: BTreeMap::from([("pelton.interceptors".to_owned(), format!("audit@{number}"))]),
            offsets: vec![i64::MAX; offsets],
        }
    }

    #[test]
    fn the_last_hundred_are_kept_for_this_creation_of_the_topic() {
        let mut journal = Journal::new(TopicId(7));
        let mut text = String::new();
        for number in 0..150 {
            text = journal.add(switch(number, 2));
        }
        let mut image = ClusterImage::default();
        image.documents.insert("switches/t".into(), text.as_str().into());
        let read = Journal::of(&image, "t", TopicId(7));
        assert_eq!(read, journal);
        assert_eq!((read.last().unwrap().at_ms, read.before_last().unwrap().at_ms), (149, 148));
        assert_eq!(read.into_switches().len(), MAX_SWITCHES);
        assert_eq!(Journal::of(&image, "t", TopicId(8)).last(), None, "made anew");
        image.documents.insert("switches/t".into(), Arc::from("{"));
        assert_eq!(Journal::of(&image, "t", TopicId(7)).last(), None);
    }

    #[test]
    fn what_no_record_can_hold_is_not_attached() {
        let configs = |value: &str| BTreeMap::from([("pelton.plugin.mask.config".to_owned(), value.repeat(1_000))]);
        assert!(check_room(1_000, &configs(&"x".repeat(64))).is_ok());
        assert!(check_room(1_000, &configs(&"x".repeat(400))).is_err());
        assert!(check_room(20_000, &configs("x")).is_err());
        let mut journal = Journal::new(TopicId(7));
        // The longest that is let through, with everything escaped and every offset long.
        let configs = configs(&"\u{1}".repeat(50));
        check_room(500, &configs).unwrap();
        let long = Switch { configs, identity: "x".repeat(60_000), ..switch(1, 500) };
        assert!(journal.add(long).len() <= MAX_BYTES);
    }

    #[test]
    fn long_switches_make_older_ones_go() {
        let mut journal = Journal::new(TopicId(7));
        for number in 0..40 {
            assert!(journal.add(switch(number, 1_000)).len() <= MAX_BYTES);
        }
        assert_eq!(journal.last().unwrap().at_ms, 39);
        assert!(journal.before_last().is_some());
        assert!(journal.add(switch(40, 30_000)).len() > MAX_BYTES);
        assert_eq!(journal.into_switches().len(), 1, "the last one is kept whatever its length");
    }
}
