//! The one door through which topics and their configs change, whoever asks: Kafka's requests, the composition root,
//! and the broker itself.
//!
//! What it does: it works out the configs that a topic is to have, has those of plugins checked, asks the cluster part,
//! and then lets what is attached follow. What it does not do: it knows no plugin and no value of theirs.
//!
//! Invariants: of one topic, one alteration, creation or deletion runs at a time, and runs to its end even when nobody
//! waits for it any more, so that what is attached never lags behind what the topic's configs say; nothing is visible
//! to a client of a new topic before its hooks are there.

mod changes;
mod growth;
pub mod plugin_configs;
mod shown;

pub use changes::{Change, altered, changed, check_is_list, words};
pub use growth::grow;
pub use shown::{Shown, shown_configs};

use crate::hooks::effective;
use crate::server::Server;
use pelton_api::hooks::CONFIG_PREFIX;
use pelton_core::cluster::topic_config::check_topic_configs;
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::event::{ClusterReply, ClusterRequest, NewTopic, TopicRefusal};
use pelton_core::model::{METADATA_TOPIC, TopicId};
use pelton_core::refusal::Refusal;
use plugin_configs::Configs;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// How often an alteration is worked out anew when the topic has changed meanwhile.
const ATTEMPTS: usize = 16;
/// How long the image may take to show what the cluster part has answered for.
const IMAGE_WAIT: Duration = Duration::from_secs(30);

/// Whose turn it is to change which topic.
#[derive(Debug, Default)]
pub struct Altering {
    /// Topics that somebody changes or waits to change.
    turns: Mutex<BTreeMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
}

/// The right to change one topic, until it is dropped.
struct Turn<'a> {
    altering: &'a Altering,
    topic: Arc<str>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Altering {
    async fn turn(&self, topic: &str) -> Turn<'_> {
        let topic: Arc<str> = topic.into();
        let turn = self.lock().entry(topic.clone()).or_default().clone();
        Turn { altering: self, topic, held: Some(turn.lock_owned().await) }
    }

    /// One turn for each topic, taken in the order of their names, so that no two askers wait for each other.
    async fn turns<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Vec<Turn<'_>> {
        let topics: BTreeSet<&Arc<str>> = topics.collect();
        let mut turns = Vec::with_capacity(topics.len());
        for topic in topics {
            turns.push(self.turn(topic).await);
        }
        turns
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut turns = self.altering.lock();
        // The map holds one, and everybody who waits another.
        if turns.get(&self.topic).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.topic);
        }
    }
}

/// Changes some configs of a topic, and what is attached to it; with `validate_only` it checks that this could be done.
/// `by` names who does it, for the record of switches.
///
/// # Errors
/// [`Refusal::InvalidConfig`] names the config that cannot be; [`Refusal::UnknownTopicOrPartition`]; what a switch was
/// refused for, when the configs are set and are not in force yet (asking again tries the switch again).
pub async fn alter(
    server: &Arc<Server>,
    topic: &str,
    changes: Vec<(String, Change)>,
    by: &str,
    validate_only: bool,
) -> Result<(), Refusal> {
    let broker = server.clone();
    let work_out = move |own: &Configs| altered(own, &broker.configs, &changes);
    to_the_end(change(server.clone(), topic.into(), by.into(), validate_only, work_out)).await?
}

/// Gives a topic these configs and no others.
///
/// # Errors
/// As for [`alter`].
pub async fn replace(
    server: &Arc<Server>,
    topic: &str,
    configs: Configs,
    by: &str,
    validate_only: bool,
) -> Result<(), Refusal> {
    let work_out = move |_: &Configs| Ok(configs.clone());
    to_the_end(change(server.clone(), topic.into(), by.into(), validate_only, work_out)).await?
}

/// Makes topics, with what is attached to them; one result for each, in order.
///
/// # Errors
/// A refusal of the request as a whole.
pub async fn create(
    server: &Arc<Server>,
    topics: Vec<NewTopic>,
    validate_only: bool,
) -> Result<Vec<TopicRefusal>, Refusal> {
    to_the_end(make(server.clone(), topics, validate_only)).await?
}

/// Deletes topics, with what is attached to them; one result for each, in order.
///
/// # Errors
/// A refusal of the request as a whole.
pub async fn delete(server: &Arc<Server>, topics: Vec<Arc<str>>) -> Result<Vec<TopicRefusal>, Refusal> {
    to_the_end(unmake(server.clone(), topics)).await?
}

/// Runs it even when whoever asked goes away: half a change would leave the topic with other hooks than its configs say.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await.map_err(|_| Refusal::Stopping)
}

async fn change(
    server: Arc<Server>,
    topic: Arc<str>,
    by: Arc<str>,
    validate_only: bool,
    work_out: impl Fn(&Configs) -> Result<Configs, Refusal>,
) -> Result<(), Refusal> {
    let _turn = server.altering.turn(&topic).await;
    for _ in 0..ATTEMPTS {
        let image = server.image();
        let known = image.topic(&topic).filter(|_| *topic != *METADATA_TOPIC);
        let current = known.ok_or(Refusal::UnknownTopicOrPartition)?;
        let configs = work_out(&current.configs)?;
        check_topic_configs(&configs)?;
        let internal = current.internal;
        if attached(&server, &configs, internal) != attached(&server, &current.configs, internal) {
            check_attached(&server, &topic, current.partitions, &configs, internal).await?;
        }
        if !validate_only {
            make_dead_letter_topic(&server, &topic, current.partitions, &configs, internal).await?;
        }
        let request = ClusterRequest::AlterTopicConfigs {
            topic: topic.clone(),
            configs: configs.clone(),
            from: current.configs.clone(),
            validate_only,
        };
        match server.ask_cluster(request).await {
            Err(Refusal::ConcurrentChange) => continue,
            Err(refusal) => return Err(refusal),
            Ok(_) if validate_only => return Ok(()),
            Ok(_) => {}
        }
        shown(&server, &topic, current.id, &configs).await?;
        return server.hooks.switch(&topic, &by).await.map(|_| ());
    }
    Err(Refusal::ConcurrentChange)
}

/// Waits until every handler sees the configs.
async fn shown(server: &Server, topic: &str, id: TopicId, configs: &Configs) -> Result<(), Refusal> {
    let same = |current: &TopicImage| current.id != id || *current.configs == *configs;
    shown_when(server, |image| image.topic(topic).is_none_or(same)).await
}

/// Waits until the image that handlers see is as wanted.
pub(crate) async fn shown_when(server: &Server, wanted: impl Fn(&ClusterImage) -> bool) -> Result<(), Refusal> {
    let mut images = server.images.clone();
    let there = images.wait_for(|image| wanted(image));
    match tokio::time::timeout(IMAGE_WAIT, there).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Refusal::Stopping),
        Err(_) => Err(Refusal::RequestTimedOut),
    }
}

/// The configs of plugins that hold for a topic with these configs.
fn attached(server: &Server, own: &Configs, internal: bool) -> Configs {
    effective::effective(&effective::defaults(&server.configs), internal, own)
}

/// Checks the configs of plugins that a topic is about to have.
async fn check_attached(
    server: &Server,
    topic: &str,
    partitions: i32,
    configs: &Configs,
    internal: bool,
) -> Result<(), Refusal> {
    if internal && let Some(name) = configs.keys().find(|name| name.starts_with(CONFIG_PREFIX)) {
        let why = format!("{name}: nothing can be attached to {topic}, which belongs to the broker");
        return Err(Refusal::InvalidConfig(why));
    }
    let attached = attached(server, configs, internal);
    if attached.is_empty() {
        return Ok(());
    }
    server.hooks.check(topic, partitions, &attached).await
}

/// Makes the topic for dead letters that the configs need. It takes no hooks: a letter must always get there.
async fn make_dead_letter_topic(
    server: &Server,
    topic: &str,
    partitions: i32,
    configs: &Configs,
    internal: bool,
) -> Result<(), Refusal> {
    let attached = attached(server, configs, internal);
    let Some(name) = plugin_configs::dead_letter_topic(topic, &attached) else { return Ok(()) };
    if server.image().topic(&name).is_some() {
        return Ok(());
    }
    let letters = NewTopic {
        name: name.as_str().into(),
        id: crate::server::new_topic_id(),
        partitions,
        replication_factor: -1,
        configs: Configs::from([(plugin_configs::INTERCEPTORS.to_owned(), String::new())]),
        internal: false,
    };
    let refused = |why: Refusal| {
        Refusal::InvalidConfig(format!("{}: {name} cannot be made: {why}", plugin_configs::DEAD_LETTER_TOPIC))
    };
    match ask_to_create(server, vec![letters], false).await?.pop() {
        Some((_, Ok(_) | Err(Refusal::TopicAlreadyExists))) => Ok(()),
        Some((_, Err(why))) => Err(refused(why)),
        None => Err(Refusal::RequestTimedOut),
    }
}

async fn make(server: Arc<Server>, topics: Vec<NewTopic>, validate_only: bool) -> Result<Vec<TopicRefusal>, Refusal> {
    let _turns = server.altering.turns(topics.iter().map(|topic| &topic.name)).await;
    let mut checked = Vec::with_capacity(topics.len());
    let mut good = Vec::new();
    let mut prepared = Vec::new();
    for topic in topics {
        let name = topic.name.clone();
        match prepare(&server, &topic, validate_only).await {
            Ok(attached) => {
                prepared.extend(attached.then(|| name.clone()));
                checked.push((name, None));
                good.push(topic);
            }
            Err(why) => checked.push((name, Some(why))),
        }
    }
    // When the request as a whole has failed, the topics may have been made all the same: then their hooks are in.
    let made = if good.is_empty() { Vec::new() } else { ask_to_create(&server, good, validate_only).await? };
    for name in prepared {
        if made.iter().any(|(refused, result)| *refused == name && result.is_err()) {
            server.hooks.forget(&name).await;
        }
    }
    let mut made = made.into_iter();
    let results = checked.into_iter().map(|(name, refused)| match refused {
        Some(why) => (name, Err(why)),
        None => made.next().unwrap_or((name, Err(Refusal::RequestTimedOut))),
    });
    Ok(results.collect())
}

/// Checks a topic to be made and gets its hooks ready; says whether it did the latter. What the cluster part refuses
/// anyway, it is left to refuse.
async fn prepare(server: &Server, topic: &NewTopic, validate_only: bool) -> Result<bool, Refusal> {
    if topic.internal || server.image().topic(&topic.name).is_some() {
        return Ok(false);
    }
    let attached = attached(server, &topic.configs, false);
    if attached.is_empty() {
        return Ok(false);
    }
    if let Some((_, refused)) = ask_to_create(server, vec![topic.clone()], true).await?.pop() {
        refused?;
    }
    let partitions = if topic.partitions < 0 { server.core.num_partitions } else { topic.partitions };
    check_attached(server, &topic.name, partitions, &topic.configs, false).await?;
    if validate_only {
        return Ok(false);
    }
    make_dead_letter_topic(server, &topic.name, partitions, &topic.configs, false).await?;
    server.hooks.prepare_new(&topic.name, topic.id, partitions, &attached).await?;
    Ok(true)
}

async fn ask_to_create(
    server: &Server,
    topics: Vec<NewTopic>,
    validate_only: bool,
) -> Result<Vec<TopicRefusal>, Refusal> {
    match server.ask_cluster(ClusterRequest::CreateTopics { topics, validate_only }).await? {
        ClusterReply::Topics(results) => Ok(results),
        other => Err(crate::handlers::unexpected(&other)),
    }
}

async fn unmake(server: Arc<Server>, topics: Vec<Arc<str>>) -> Result<Vec<TopicRefusal>, Refusal> {
    let _turns = server.altering.turns(topics.iter()).await;
    match server.ask_cluster(ClusterRequest::DeleteTopics { topics }).await? {
        ClusterReply::Topics(results) => {
            for (name, _) in results.iter().filter(|(_, result)| result.is_ok()) {
                server.hooks.forget(name).await;
            }
            Ok(results)
        }
        other => Err(crate::handlers::unexpected(&other)),
    }
}

#[cfg(test)]
mod tests;
