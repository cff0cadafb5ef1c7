//! What the admin HTTP says of the plugins of a topic, and how it is asked to change them.

use super::chain::{Changes, Configs};
use crate::cli::connect::AdminClient;
use crate::cli::text;
use serde::Deserialize;
use serde_json::{Value, json};

/// What is attached to a topic.
#[derive(Debug)]
pub struct TopicPlugins {
    /// The parts that commands decide by.
    pub known: Known,
    /// The whole answer.
    pub whole: Value,
}

/// The parts of the answer that commands decide by.
#[derive(Debug, Deserialize)]
pub struct Known {
    /// The configs in effect, the broker's defaults among them.
    pub configs: Configs,
    /// Those of the topic's own.
    #[serde(default)]
    pub own: Configs,
    /// Tells this version from others.
    #[serde(default)]
    pub identity: Option<String>,
}

impl TopicPlugins {
    /// Asks for it.
    ///
    /// # Errors
    /// When the broker does not answer, or knows no such topic.
    pub fn get(client: &AdminClient, topic: &str) -> anyhow::Result<Self> {
        Self::read(client.get(&path(topic, "")?)?)
    }

    /// Changes it. With `validate_only` the change is checked as if it were made, and nothing is changed.
    ///
    /// # Errors
    /// What the broker has against it.
    pub fn change(client: &AdminClient, topic: &str, changes: &Changes, validate_only: bool) -> anyhow::Result<Self> {
        let body = json!({ "set": changes.set, "remove": changes.remove, "validate_only": validate_only });
        Self::read(client.put_with(&path(topic, "")?, &[JSON], body.to_string())?)
    }

    /// Goes back to what was attached before the last switch.
    ///
    /// # Errors
    /// When there was none.
    pub fn rollback(client: &AdminClient, topic: &str) -> anyhow::Result<Self> {
        Self::read(client.post(&path(topic, "/rollback")?)?)
    }

    fn read(whole: Value) -> anyhow::Result<Self> {
        Ok(Self { known: Known::deserialize(&whole)?, whole })
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn path(topic: &str, suffix: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/topics/{}/plugins{suffix}", text::path_name("topic name", topic)?))
}
