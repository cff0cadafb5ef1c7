//! What every handler shares: the way to the parts, the cluster image, and the memory for requests and answers.

use crate::auth::Authorizer;
use crate::broker_configs::obeyed::Started;
use crate::driver::Driver;
use crate::driver::directories::LogDirectories;
use crate::fetch::FetchState;
use crate::hooks::TopicTable;
use crate::metrics::Metrics;
use crate::net::Connections;
use crate::net::memory::RequestMemory;
use crate::quota::ClientQuotas;
use crate::topic_configs::{self, Altering};
use pelton_core::cluster::ClusterImage;
use pelton_core::config::CoreConfig;
use pelton_core::event::{ClusterReply, ClusterRequest, NewTopic, Reply, Request, TopicRefusal};
use pelton_core::model::{OFFSETS_TOPIC, PartId, ProducerId, TRANSACTIONS_TOPIC, TopicId};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// Memory for answers to fetches, in KiB.
pub const MEMORY_KIB: usize = 512 * 1024;

/// How far the broker is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It takes no more requests and finishes those that it has; what waits for records has no more time, and what waits
    /// for other clients is told to look for the coordinator again.
    Draining,
    /// Connections are closed at once.
    Closed,
}

/// The broker, as handlers and connections see it.
pub struct Server {
    /// The way to the parts.
    pub driver: Arc<Driver>,
    /// Settings that decisions depend on.
    pub core: Arc<CoreConfig>,
    /// The topics that plugins are attached to.
    pub hooks: TopicTable,
    /// Whose turn it is to change a topic.
    pub altering: Altering,
    /// `cluster.id`.
    pub cluster_id: String,
    /// `log.dirs`.
    pub directories: Arc<LogDirectories>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// Static broker configs that somebody set.
    pub configs: BTreeMap<String, String>,
    /// What holds where nothing else was set at run time.
    pub started: Started,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// What clients may use up.
    pub quotas: Arc<dyn ClientQuotas>,
    /// The largest request.
    pub request_max_bytes: usize,
    /// How long a connection may be silent.
    pub max_idle: Option<Duration>,
    /// Memory for requests.
    pub request_memory: RequestMemory,
    /// The connections, and how many there may be.
    pub connections: Arc<Connections>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What fetches share.
    pub fetching: FetchState,
    /// Memory for answers to fetches, in KiB.
    pub answer_memory: Arc<Semaphore>,
    /// How far the broker is on its way to the end.
    pub phase: watch::Receiver<Phase>,
    /// The cluster as it was published last.
    pub images: watch::Receiver<Arc<ClusterImage>>,
    /// Producer ids of the last block that nobody has yet.
    pub producer_ids: Mutex<std::ops::Range<i64>>,
    /// Held while an internal topic is made, so that it is made once.
    pub making_internal: Mutex<()>,
}

impl Server {
    /// The cluster as it stands.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.images.borrow().clone()
    }

    /// Waits until the broker stops: until it takes no more requests.
    pub async fn stopping(&self) {
        // Who drops the sender leaves nobody to be served either.
        let _ = self.phase.clone().wait_for(|phase| *phase > Phase::Serving).await;
    }

    /// The time of day in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        now_ms()
    }

    /// Asks the cluster part.
    ///
    /// # Errors
    /// Its refusal.
    pub async fn ask_cluster(&self, request: ClusterRequest) -> Result<ClusterReply, Refusal> {
        match self.driver.ask(PartId::Cluster, Request::Cluster(request)).await {
            Reply::Cluster(result) => result,
            other => Err(crate::handlers::unexpected(&other)),
        }
    }

    /// Makes topics, with what is attached to them; one result for each, in order.
    ///
    /// # Errors
    /// A refusal of the request as a whole.
    pub async fn create_topics(
        self: &Arc<Self>,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<TopicRefusal>, Refusal> {
        topic_configs::create(self, topics, validate_only).await
    }

    /// Makes the topic of a coordinator when it is first needed.
    ///
    /// # Errors
    /// Why it could not be made; [`Refusal::InvalidTopicName`] for any other topic.
    pub async fn ensure_internal_topic(&self, name: &str) -> Result<(), Refusal> {
        if self.image().topic(name).is_some() {
            return Ok(());
        }
        let partitions = match name {
            OFFSETS_TOPIC => self.core.offsets_topic_partitions,
            TRANSACTIONS_TOPIC => self.core.transaction_topic_partitions,
            other => return Err(Refusal::InvalidTopicName(format!("{other} is not a topic of a coordinator"))),
        };
        let _making = self.making_internal.lock().await;
        if self.image().topic(name).is_some() {
            return Ok(());
        }
        let setting = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let configs = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
        let topic = NewTopic {
            name: name.into(),
            id: new_topic_id(),
            partitions,
            replication_factor: 1,
            configs: configs.map(setting).into_iter().collect(),
            internal: true,
        };
        // Nothing is ever attached to these, so they need not pass the door of the others.
        let made =
            match self.ask_cluster(ClusterRequest::CreateTopics { topics: vec![topic], validate_only: false }).await? {
                ClusterReply::Topics(mut results) => results.pop(),
                other => return Err(crate::handlers::unexpected(&other)),
            };
        match made {
            Some((_, Ok(_) | Err(Refusal::TopicAlreadyExists))) => Ok(()),
            Some((_, Err(refusal))) => Err(refusal),
            None => Err(Refusal::RequestTimedOut),
        }
    }

    /// A producer id that nobody had before. Ids that are left of a block when the broker stops are lost.
    ///
    /// # Errors
    /// Why the next block could not be had.
    pub async fn next_producer_id(&self) -> Result<ProducerId, Refusal> {
        let mut block = self.producer_ids.lock().await;
        if let Some(next) = block.next() {
            return Ok(ProducerId(next));
        }
        match self.ask_cluster(ClusterRequest::AllocateProducerIds).await? {
            ClusterReply::ProducerIds { first, count } => {
                *block = first.0 + 1..first.0 + count;
                Ok(first)
            }
            other => Err(crate::handlers::unexpected(&other)),
        }
    }
}

/// The time of day in milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the broker makes this topic by itself.
pub fn is_coordinator_topic(name: &str) -> bool {
    name == OFFSETS_TOPIC || name == TRANSACTIONS_TOPIC
}

/// An identity for a new topic. Kafka keeps 0 and 1 for itself.
pub fn new_topic_id() -> TopicId {
    TopicId(uuid::Uuid::new_v4().as_u128())
}
