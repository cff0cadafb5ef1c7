//! Topics that have hooks from their first record on: made ready, and recorded, before they are made.

use super::journal::{Journal, Switch};
use super::table::TopicTable;
use crate::server::now_ms;
use pelton_core::model::TopicId;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Who switches when a topic is made.
const BY_CREATION: &str = "creation";

impl TopicTable {
    /// Puts the hooks of a topic in that is about to be made, and records that they are there from offset 0 on.
    /// `effective` were checked. Whoever asks is the only one who changes the topic, and calls [`TopicTable::forget`]
    /// when it is not made after all.
    ///
    /// # Errors
    /// Why the topic must not be made.
    pub async fn prepare_new(
        &self,
        topic: &str,
        id: TopicId,
        partitions: i32,
        effective: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let Some(hooks) = self.attach(topic, partitions, effective).await? else { return Ok(()) };
        let switch = Switch {
            at_ms: now_ms(),
            by: BY_CREATION.to_owned(),
            identity: hooks.identity().to_owned(),
            configs: effective.clone(),
            offsets: vec![0; usize::try_from(partitions).unwrap_or(0)],
        };
        let text = Journal::new(id).add(switch);
        self.put_journal(topic, Some(text)).await?;
        self.insert(&topic.into(), partitions, hooks);
        Ok(())
    }

    /// Forgets a topic that is no more: its hooks and its switches.
    pub async fn forget(&self, topic: &str) {
        self.remove(topic);
        if self.image().documents.contains_key(&*Journal::key(topic))
            && let Err(refusal) = self.put_journal(topic, None).await
        {
            // It names the id of the topic that is gone, so nobody will take it for a later one's.
            tracing::warn!(topic, %refusal, "the record of a deleted topic's switches stays");
        }
    }
}
