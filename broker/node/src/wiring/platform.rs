//! The plugin platform of this node, as the admin HTTP asks for it: who uses a plugin, what is attached to a topic,
//! deleting, attaching, rolling back.
//!
//! It decides nothing about records. It keeps what follows from attachments ([`super::attachments`]) in step with the
//! cluster: the jobs that route.
//!
//! Invariant: a plugin that a topic, the broker's defaults or a running job names is not deleted.

use super::attachments::{self, Topic};
use super::jobs::{Jobs, JobsError};
use super::plugin_log::PluginLog;
use super::plugins::Plugins;
use super::uses::{self, User};
use bytes::Bytes;
use pelton_api::job::JobSpec;
use pelton_api::manifest::{PluginManifest, PluginRef};
use pelton_core::refusal::Refusal;
use pelton_hooks::Chains;
use pelton_registry::RegistryError;
use pelton_server::Broker;
use pelton_server::topic_configs::Change;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long until what failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The plugin platform of this node.
pub struct Platform {
    /// The broker.
    pub broker: Broker,
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// What is attached to topics.
    pub chains: Arc<Chains>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// What plugins said.
    pub log: Arc<PluginLog>,
    /// `pelton.*` configs that topics have unless they set their own.
    pub defaults: BTreeMap<String, String>,
}

/// Why something about plugins could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Somebody uses the plugin.
    #[error("{plugin} is in use by {}; detach it there first", users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    InUse {
        /// The plugin.
        plugin: PluginRef,
        /// Who uses it.
        users: Vec<User>,
    },
    /// Somebody else deletes it at this moment.
    #[error("{0} is being deleted")]
    Leaving(PluginRef),
    /// The registry.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The cluster image.
    #[error("{0}")]
    Jobs(#[from] JobsError),
    /// There is no such topic.
    #[error("there is no topic `{0}`; `pelton topic list` shows what there is")]
    UnknownTopic(String),
    /// The topic has no partitioner that a producer could ask.
    #[error("{0}")]
    NoPartitioner(String),
    /// The batch is not one that can be placed, or the partitioner failed.
    #[error("{0}")]
    Partitioner(String),
    /// A thread of the broker failed.
    #[error("{0}")]
    Internal(String),
}

impl Platform {
    /// Who uses the plugin.
    pub fn users(&self, plugin: &PluginRef) -> Vec<User> {
        let image = self.broker.image();
        let topics = image.topics.iter().map(|(name, topic)| (&**name, &*topic.configs));
        uses::users(plugin, &self.defaults, topics, self.jobs.wanted_specs().into_iter())
    }

    /// Deletes a plugin that nobody uses.
    ///
    /// # Errors
    /// [`PlatformError::InUse`] and others.
    pub async fn delete(&self, plugin: &PluginRef) -> Result<(), PlatformError> {
        let leaving = self.plugins.leaving(plugin).ok_or_else(|| PlatformError::Leaving(plugin.clone()))?;
        // No job begins meanwhile.
        let _turn = self.jobs.turn().await;
        let in_use = |users: Vec<User>| {
            if users.is_empty() { Ok(()) } else { Err(PlatformError::InUse { plugin: plugin.clone(), users }) }
        };
        in_use(self.users(plugin))?;
        let manifest = self.plugins.get(plugin);
        // The cluster's changes come one after another: whatever was attached before this one is seen after it.
        self.jobs.forget_plugin(plugin).await?;
        if let Err(error) = in_use(self.users(plugin)) {
            if let Some(manifest) = manifest {
                self.jobs.record_plugin(&manifest).await?;
            }
            return Err(error);
        }
        let plugins = self.plugins.clone();
        match tokio::task::spawn_blocking(move || plugins.remove(&leaving)).await {
            Ok(removed) => Ok(removed?),
            Err(error) => Err(PlatformError::Internal(format!("deleting failed: {error}"))),
        }
    }

    /// The manifest and who uses it.
    pub fn describe(&self, plugin: &PluginRef) -> Option<(PluginManifest, Vec<User>)> {
        self.plugins.get(plugin).map(|manifest| (manifest, self.users(plugin)))
    }

    /// The topic as far as its plugins go.
    ///
    /// # Errors
    /// [`PlatformError::UnknownTopic`].
    pub fn topic(&self, name: &str) -> Result<Topic, PlatformError> {
        let image = self.broker.image();
        let topic = image.topic(name).ok_or_else(|| PlatformError::UnknownTopic(name.to_owned()))?;
        let configs = self.broker.topic_configs(name).unwrap_or_default();
        Ok(Topic { name: name.to_owned(), partitions: topic.partitions, configs })
    }

    /// Sets and removes `pelton.*` configs of a topic, through the same door as AlterConfigs.
    ///
    /// # Errors
    /// Why they are refused.
    pub async fn alter(
        &self,
        topic: &str,
        changes: Vec<(String, Change)>,
        by: &str,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        self.broker.alter_topic_configs(topic, changes, by, validate_only).await?;
        if !validate_only {
            self.jobs.run_routes(&self.routes()).await;
        }
        Ok(())
    }

    /// Sets the configs again that were in effect before the last switch.
    ///
    /// # Errors
    /// Why they are refused, or that there is nothing to go back to.
    pub async fn rollback(&self, topic: &str, by: &str) -> Result<(), Refusal> {
        self.broker.rollback(topic, by).await?;
        self.jobs.run_routes(&self.routes()).await;
        Ok(())
    }

    /// Where the records of an uncompressed batch belong, by the topic's partitioner.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub async fn partition(&self, topic: &str, batch: Bytes) -> Result<Vec<i32>, PlatformError> {
        let topic = self.topic(topic)?;
        if topic.route().is_some() {
            return Err(PlatformError::NoPartitioner(format!(
                "records may go to any partition of {}: the platform routes them on",
                topic.name
            )));
        }
        let chains = self.chains.clone();
        let placed = tokio::task::spawn_blocking(move || {
            let made = chains.partitioner_of(&topic.name, &topic.configs).map_err(PlatformError::Partitioner)?;
            let Some(mut partitioner) = made else {
                return Err(PlatformError::NoPartitioner(format!("the topic {} has no partitioner", topic.name)));
            };
            check_batch(&batch).map_err(PlatformError::Partitioner)?;
            partitioner
                .partition(&batch, &topic.name, topic.partitions)
                .map_err(|fault| PlatformError::Partitioner(fault.to_string()))
        });
        placed.await.unwrap_or_else(|error| Err(PlatformError::Internal(format!("the partitioner failed: {error}"))))
    }

    fn routes(&self) -> BTreeMap<String, JobSpec> {
        let image = self.broker.image();
        let names = image.topics.iter().filter(|(_, topic)| !topic.internal).map(|(name, _)| &**name);
        attachments::routes(names.filter_map(|name| self.topic(name).ok()))
    }

    /// How many partitions the source and the sink of each route have.
    fn route_sizes(&self, routes: &BTreeMap<String, JobSpec>) -> BTreeMap<String, Vec<i32>> {
        let image = self.broker.image();
        let partitions = |topic: &String| image.topic(topic).map_or(0, |topic| topic.partitions);
        let sizes = |spec: &JobSpec| spec.sources.iter().chain([&spec.sink]).map(partitions).collect();
        routes.iter().map(|(name, spec)| (name.clone(), sizes(spec))).collect()
    }

    /// Keeps the jobs that route in step with the configs and the partitions of topics, until `stop`.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.broker.image_changes();
        let mut seen = None;
        let mut sizes: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        loop {
            let routes = self.routes();
            let now = self.route_sizes(&routes);
            if seen.as_ref() != Some(&(routes.clone(), now.clone())) {
                // A route has a task for each partition of its source, so one whose topics have grown begins anew.
                let grown = |name: &String| sizes.get(name).is_some_and(|before| now.get(name) != Some(before));
                let mut kept = routes.clone();
                kept.retain(|name, _| !grown(name));
                if kept.len() < routes.len() {
                    self.jobs.run_routes(&kept).await;
                }
                sizes.clone_from(&now);
                seen = self.jobs.run_routes(&routes).await.then_some((routes, now));
            }
            let again =
                async { if seen.is_some() { std::future::pending().await } else { tokio::time::sleep(AGAIN).await } };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }
}

/// Whether the bytes are one whole uncompressed batch of records.
fn check_batch(batch: &[u8]) -> Result<(), String> {
    const RIGHT: &str = "the body must be one uncompressed record batch, format v2";
    let view = pelton_record::BatchView::parse(batch).map_err(|error| format!("{RIGHT}: {error}"))?;
    let header = view.header();
    if header.total_len() != batch.len() {
        return Err(format!("{RIGHT}: it says that it has {} bytes and has {}", header.total_len(), batch.len()));
    }
    if header.attributes.codec() != Ok(pelton_record::Codec::None) || header.attributes.is_control() {
        return Err(format!("{RIGHT}, of data records"));
    }
    let records = view.records().map_err(|error| format!("{RIGHT}: {error}"))?;
    for record in records {
        record.map_err(|error| format!("{RIGHT}: {error}"))?;
    }
    Ok(())
}
