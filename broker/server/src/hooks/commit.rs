//! Commits of groups, told to the `on-commit` hooks of the topics whose offsets were committed: once for each topic.
//! The committer is answered when what the hooks emitted is durable.

use super::{Client, TopicTable};
use pelton_api::hooks::Commit;
use pelton_api::interceptor::Hook;
use pelton_core::model::{Offset, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a group has committed.
pub struct Committed {
    /// Group id.
    pub group: Arc<str>,
    /// Member id, or the transactional id.
    pub member: Arc<str>,
    /// Whether the offsets take effect only when a transaction commits.
    pub transactional: bool,
    /// Partitions and the next offset of each.
    pub offsets: Vec<(TopicPartition, Offset)>,
}

impl TopicTable {
    /// Tells the hooks.
    ///
    /// # Errors
    /// [`Refusal::CoordinatorNotAvailable`] when what a plugin emitted could not be appended: the offsets are
    /// committed, and committing them again tells the plugin again.
    pub async fn committed(&self, client: impl Fn() -> Client, committed: Committed) -> Result<(), Refusal> {
        let mut by_topic: BTreeMap<Arc<str>, Vec<(i32, Offset)>> = BTreeMap::new();
        for (TopicPartition { topic, partition }, offset) in committed.offsets {
            by_topic.entry(topic).or_default().push((partition, offset));
        }
        let mut told = Vec::new();
        for (name, offsets) in by_topic {
            let Some((topic, hooks)) = self.wanting(&name, Hook::OnCommit) else { continue };
            let Client { principal, client_id, client_address } = client();
            let partition = offsets.first().map_or(0, |(partition, _)| *partition);
            let commit = Commit {
                principal,
                client_id,
                client_address,
                group: committed.group.clone(),
                member: committed.member.clone(),
                topic: name,
                offsets,
                transactional: committed.transactional,
            };
            let call = topic.call_commit(move || hooks.on_commit(&commit));
            told.push((topic, partition, call));
        }
        for (topic, partition, call) in told {
            let emitted = match call.await {
                Ok(emitted) => topic.emitter().emit(partition, emitted).await,
                Err(_) => Err("on-commit could not be called".to_owned()),
            };
            if let Err(why) = emitted {
                tracing::warn!(group = %committed.group, why, "a commit is answered as one to make again");
                return Err(Refusal::CoordinatorNotAvailable);
            }
        }
        Ok(())
    }

    /// Whether any topic has hooks, so that a commit has to be looked at.
    pub fn is_used(&self) -> bool {
        !self.inner.is_empty()
    }
}
