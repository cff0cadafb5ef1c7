//! Changes the hooks of a topic at offsets that are recorded.
//!
//! Every lane of the topic is held, which leaves nothing between the hooks and the shard; each partition says where its
//! log ends once all that was asked of it is decided; that is written down; then the new hooks are put in and the lanes
//! go on. Clients notice nothing but a pause.
//!
//! Invariant: a record is at or past the recorded offset iff it went through the hooks that were switched to.
//! Therefore, where it cannot be known whether the record of a switch was kept, nothing more is taken before a
//! restart.

use super::journal::{Journal, Switch};
use super::table::{HookedTopic, TopicTable};
use crate::handlers::{partition_answer, unexpected};
use crate::server::now_ms;
use crate::topic_configs::Change;
use crate::topic_configs::plugin_configs::INTERCEPTORS;
use bytes::Bytes;
use pelton_api::hooks::{Acknowledgement, CONFIG_PREFIX, Commit, Consumed, Emission, Origin, Sent, TopicHooks};
use pelton_api::interceptor::{Hook, HookSet};
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::event::{ClusterReply, ClusterRequest, PartitionReply, PartitionRequest, Reply, Request};
use pelton_core::model::{Offset, PartId, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long guests, emissions and shards may take to come to rest. Then the old hooks go on.
const REST: Duration = Duration::from_secs(60);
/// How long a change that is durable may take to show in the image.
const SHOWN: Duration = Duration::from_secs(10);
/// How often the lanes of a topic that has lost its hooks are looked at, and how many times.
const SWEEP: (Duration, usize) = (Duration::from_millis(50), 1_200);

/// Who switches when the plugins differ after a start.
const BY_RESTART: &str = "restart";

impl TopicTable {
    /// Puts the hooks in that the topic's configs ask for by now; `None` when they are in already. Whoever asks
    /// is the only one who changes the topic. Once begun it goes on, also when nobody waits for it any more.
    ///
    /// # Errors
    /// Why the old hooks go on.
    pub async fn switch(&self, topic: &str, by: &str) -> Result<Option<Switch>, Refusal> {
        let (table, topic, by) = (self.clone(), topic.to_owned(), by.to_owned());
        let switching = tokio::spawn(async move { table.switch_now(&topic, &by).await });
        switching.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Lets the topic's hooks know of its new partitions: they are attached anew, so that a
    /// partitioner counts them too, and there is a lane for each. A topic without hooks needs nothing. Whoever asks is the
    /// only one who changes the topic.
    ///
    /// # Errors
    /// Why the old hooks go on; the new partitions take nothing then until the next switch or start.
    pub async fn grown(&self, topic: &str, by: &str) -> Result<(), Refusal> {
        if self.identity(topic).is_none() {
            return Ok(());
        }
        let (table, topic, by) = (self.clone(), topic.to_owned(), by.to_owned());
        let switching = tokio::spawn(async move { table.switch_anew(&topic, &by, true).await });
        switching.await.unwrap_or(Err(Refusal::Stopping)).map(|_| ())
    }

    async fn switch_now(&self, topic: &str, by: &str) -> Result<Option<Switch>, Refusal> {
        self.switch_anew(topic, by, false).await
    }

    /// Switches; with `anew` also to what is in already.
    async fn switch_anew(&self, topic: &str, by: &str, anew: bool) -> Result<Option<Switch>, Refusal> {
        let image = self.image();
        let (name, described) = image.topics.get_key_value(topic).ok_or(Refusal::UnknownTopicOrPartition)?;
        let configs = self.effective(described.internal, &described.configs);
        let mut journal = Journal::of(&image, name, described.id);
        if configs.is_empty() && journal.last().is_none() && self.identity(name).is_none() {
            return Ok(None);
        }
        let hooks = self.attach(name, described.partitions, &configs).await?;
        let identity = hooks.as_ref().map_or_else(String::new, |hooks| hooks.identity().to_owned());
        let recorded = journal.last().is_some_and(|last| last.identity == identity && last.configs == configs);
        if !anew && recorded && self.identity(name).unwrap_or_default() == identity {
            return Ok(None);
        }
        let held = Held::new(self, name, described.partitions);
        let offsets = self.settled(&held, name, described).await?;
        if anew && recorded {
            // The same hooks as were recorded, for more partitions. They are there from the new ones' first records on.
            held.topic.set_hooks(hooks);
            return Ok(None);
        }
        let switch = Switch { at_ms: now_ms(), by: by.to_owned(), identity, configs, offsets };
        let text = journal.add(switch.clone());
        if let Err(refusal) = self.put_journal(name, Some(text)).await {
            return Err(self.not_recorded(&held, refusal));
        }
        let detached = hooks.is_none();
        held.topic.set_hooks(hooks);
        tracing::info!(topic, identity = %switch.identity, by, offsets = ?switch.offsets, "the plugins were switched");
        if detached {
            self.sweep_later(held.topic.clone());
        }
        Ok(Some(switch))
    }

    /// The log ends, once nothing is on the way to them any more.
    async fn settled(&self, held: &Held, name: &Arc<str>, topic: &TopicImage) -> Result<Vec<Offset>, Refusal> {
        let rest = async {
            held.topic.quiet().await;
            self.log_ends(name, topic.partitions).await
        };
        tokio::time::timeout(REST, rest).await.unwrap_or(Err(Refusal::RequestTimedOut))
    }

    /// The log end of each partition behind every append that was asked for before.
    async fn log_ends(&self, name: &Arc<str>, partitions: i32) -> Result<Vec<Offset>, Refusal> {
        let ask = |index| {
            let part = PartId::Partition(TopicPartition::new(name.clone(), index));
            self.inner.driver.ask(part, Request::Partition(PartitionRequest::Settle))
        };
        let pending: Vec<_> = (0..partitions).map(ask).collect();
        let mut ends = Vec::with_capacity(pending.len());
        for pending in pending {
            match partition_answer(pending.await)? {
                PartitionReply::Described { watermarks, .. } => ends.push(watermarks.log_end),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(ends)
    }

    /// What goes on when a switch could not be recorded.
    fn not_recorded(&self, held: &Held, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::InvalidRequest(why) | Refusal::PolicyViolation(why) => Refusal::PolicyViolation(format!(
                "the configs are set, but the switch of plugins cannot be recorded, so the old ones go on until the next \
                 change or start: {why}"
            )),
            unknown => {
                let message = format!(
                    "it is not known whether the switch of plugins was recorded ({unknown}); nothing is taken for this \
                     topic before the broker is started again"
                );
                tracing::error!(topic = %held.name, %message);
                let before = held.topic.hooks();
                held.topic.set_hooks(Some(Arc::new(Unrecorded { before, message: message.clone() })));
                Refusal::Storage(message)
            }
        }
    }

    pub(super) async fn attach(
        &self,
        topic: &str,
        partitions: i32,
        configs: &BTreeMap<String, String>,
    ) -> Result<Option<Arc<dyn TopicHooks>>, Refusal> {
        if configs.is_empty() {
            return Ok(None);
        }
        let (hooks, topic, configs) = (self.inner.hooks.clone(), topic.to_owned(), configs.clone());
        let attached = tokio::task::spawn_blocking(move || hooks.attach(&topic, partitions, &configs)).await;
        let failed =
            |_| Refusal::InvalidConfig("the broker failed to attach the plugins; its log says more".to_owned());
        attached.map_err(failed)
    }

    /// Keeps a topic's journal durably, or removes it.
    pub(super) async fn put_journal(&self, topic: &str, text: Option<String>) -> Result<(), Refusal> {
        let key: Arc<str> = Journal::key(topic).into();
        let value: Option<Arc<str>> = text.map(Into::into);
        let request = ClusterRequest::PutDocument { key: key.clone(), value: value.clone() };
        match self.inner.driver.ask(PartId::Cluster, Request::Cluster(request)).await {
            Reply::Cluster(Ok(ClusterReply::Done)) => {}
            Reply::Cluster(Err(refusal)) => return Err(refusal),
            other => return Err(unexpected(&other)),
        }
        // It is durable. The next switch reads it from the image.
        let mut images = self.inner.images.clone();
        let shown = images.wait_for(|image| image.documents.get(&key) == value.as_ref());
        let _ = tokio::time::timeout(SHOWN, shown).await;
        Ok(())
    }

    pub(super) fn image(&self) -> Arc<ClusterImage> {
        self.inner.images.borrow().clone()
    }

    fn sweep_later(&self, topic: Arc<HookedTopic>) {
        tokio::spawn(async move {
            let (pause, times) = SWEEP;
            for _ in 0..times {
                if topic.sweep() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Puts the hooks of all topics in, before anybody may connect. Where they are others than when the broker
    /// stopped, a switch at the log ends is recorded.
    ///
    /// # Errors
    /// Why the broker must not start.
    pub(crate) async fn load(&self) -> Result<(), String> {
        let image = self.image();
        for (name, topic) in image.topics.iter().filter(|(_, topic)| !topic.internal) {
            let configs = self.effective(topic.internal, &topic.configs);
            let mut journal = Journal::of(&image, name, topic.id);
            if configs.is_empty() && journal.last().is_none() {
                continue;
            }
            let failed = |refusal: Refusal| format!("the plugins of {name} cannot be attached: {refusal}");
            let hooks = self.attach(name, topic.partitions, &configs).await.map_err(failed)?;
            let identity = hooks.as_ref().map_or("", |hooks| hooks.identity());
            if journal.last().map_or("", |last| last.identity.as_str()) != identity {
                let offsets = self.log_ends(name, topic.partitions).await.map_err(failed)?;
                tracing::info!(topic = %name, identity, ?offsets, "the plugins are others than before the start");
                let switch = Switch {
                    at_ms: now_ms(),
                    by: BY_RESTART.to_owned(),
                    identity: identity.to_owned(),
                    configs,
                    offsets,
                };
                let text = journal.add(switch);
                if let Err(refusal) = self.put_journal(name, Some(text)).await {
                    let message = format!(
                        "the switch of the plugins of {name} cannot be recorded ({refusal}); nothing is taken for this topic \
                         until it can be"
                    );
                    tracing::error!(%message);
                    self.insert(name, topic.partitions, Arc::new(Unrecorded { before: hooks, message }));
                    continue;
                }
            }
            if let Some(hooks) = hooks {
                self.insert(name, topic.partitions, hooks);
            }
        }
        Ok(())
    }

    /// The switches of a topic that are kept, the last one last.
    pub fn switches(&self, topic: &str) -> Vec<Switch> {
        let image = self.image();
        image.topic(topic).map_or_else(Vec::new, |described| Journal::of(&image, topic, described.id).into_switches())
    }

    /// The changes that bring back what was in effect before the last switch of the topic.
    ///
    /// # Errors
    /// When there is nothing to roll back.
    pub fn rollback_changes(&self, topic: &str) -> Result<Vec<(String, Change)>, Refusal> {
        let image = self.image();
        let described = image.topic(topic).ok_or(Refusal::UnknownTopicOrPartition)?;
        let journal = Journal::of(&image, topic, described.id);
        match (journal.last(), journal.before_last()) {
            (None, _) => Err(Refusal::InvalidRequest(format!("the plugins of {topic} were never switched"))),
            (Some(_), before) => {
                let before = before.map(|before| &before.configs);
                Ok(bring_back(before.unwrap_or(&BTreeMap::new()), &described.configs, &self.inner.defaults))
            }
        }
    }
}

/// The changes after which a topic with these configs of its own has `wanted` in effect.
fn bring_back(
    wanted: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
    defaults: &BTreeMap<String, String>,
) -> Vec<(String, Change)> {
    let mut changes: Vec<_> = wanted.iter().map(|(name, value)| (name.clone(), Change::Set(value.clone()))).collect();
    if wanted.is_empty() && !defaults.is_empty() {
        // Nothing was attached, and only an empty chain keeps the broker's defaults away.
        changes.push((INTERCEPTORS.to_owned(), Change::Set(String::new())));
    }
    let kept: Vec<String> = changes.iter().map(|(name, _)| name.clone()).collect();
    let gone = own.keys().filter(|name| name.starts_with(CONFIG_PREFIX) && !kept.contains(name));
    changes.extend(gone.map(|name| (name.clone(), Change::Delete)));
    changes
}

/// A topic whose lanes are held; they go on when this is dropped, whatever happens.
struct Held {
    name: Arc<str>,
    topic: Arc<HookedTopic>,
}

impl Held {
    fn new(table: &TopicTable, name: &Arc<str>, partitions: i32) -> Self {
        Self { name: name.clone(), topic: table.hold(name, partitions) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.topic.release();
        self.topic.sweep();
    }
}

/// In the place of hooks whose switch may or may not be recorded: takes nothing in.
struct Unrecorded {
    before: Option<Arc<dyn TopicHooks>>,
    message: String,
}

impl TopicHooks for Unrecorded {
    fn identity(&self) -> &str {
        "unrecorded"
    }

    fn hooks(&self) -> HookSet {
        self.before.as_ref().map_or_else(HookSet::default, |hooks| hooks.hooks()).with(Hook::OnSend)
    }

    fn one_by_one(&self) -> bool {
        false
    }

    fn on_send(&self, _from: &Origin, _batch: &Bytes) -> Sent {
        Sent::Unavailable { message: self.message.clone() }
    }

    fn sent(&self, _partition: i32, _appended: bool) {}

    fn on_acknowledgement(&self, from: &Origin, acknowledged: &Acknowledgement) -> Vec<Emission> {
        self.before.as_ref().map_or_else(Vec::new, |hooks| hooks.on_acknowledgement(from, acknowledged))
    }

    fn on_consume(&self, to: &Origin, records: &Bytes) -> Result<Consumed, String> {
        match &self.before {
            Some(hooks) => hooks.on_consume(to, records),
            None => Ok(Consumed { records: records.clone(), emitted: Vec::new() }),
        }
    }

    fn on_commit(&self, committed: &Commit) -> Vec<Emission> {
        self.before.as_ref().map_or_else(Vec::new, |hooks| hooks.on_commit(committed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn after(own: &BTreeMap<String, String>, changes: Vec<(String, Change)>) -> BTreeMap<String, String> {
        crate::topic_configs::altered(own, &BTreeMap::new(), &changes).unwrap()
    }

    #[test]
    fn a_rollback_leaves_nothing_of_what_came_later_and_everything_else() {
        let own = map(&[(INTERCEPTORS, "mask@2"), ("pelton.plugin.mask.config", "{}"), ("retention.ms", "5")]);
        let before = map(&[(INTERCEPTORS, "audit@1")]);
        let back = after(&own, bring_back(&before, &own, &BTreeMap::new()));
        assert_eq!(back, map(&[(INTERCEPTORS, "audit@1"), ("retention.ms", "5")]));
        let nothing = BTreeMap::new();
        assert_eq!(after(&own, bring_back(&nothing, &own, &nothing)), map(&[("retention.ms", "5")]));
        let defaults = map(&[(INTERCEPTORS, "audit@1")]);
        let back = after(&own, bring_back(&nothing, &own, &defaults));
        assert_eq!(back, map(&[(INTERCEPTORS, ""), ("retention.ms", "5")]), "the defaults must stay away");
    }

    #[test]
    fn a_topic_whose_switch_may_be_recorded_or_not_takes_nothing_and_gives_what_it_has() {
        let hooks = Unrecorded { before: None, message: "start the broker again".to_owned() };
        assert!(hooks.hooks().has(Hook::OnSend) && !hooks.one_by_one());
        let from = Origin {
            principal: "p".into(),
            client_id: "c".into(),
            client_address: "/127.0.0.1".into(),
            topic: "t".into(),
            partition: 0,
        };
        let records = Bytes::from_static(b"records");
        assert!(matches!(hooks.on_send(&from, &records), Sent::Unavailable { message } if message.contains("again")));
        assert_eq!(hooks.on_consume(&from, &records).unwrap().records, records);
        let again = Unrecorded { before: Some(Arc::new(hooks)), message: String::new() };
        assert_eq!(again.on_consume(&from, &records).unwrap().records, records);
    }
}
