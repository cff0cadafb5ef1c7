//! Starts a broker, gives the composition root its door to the parts, and stops it.

use crate::config::{ServerConfig, StartError};
use crate::driver::storage::DataDirectory;
use crate::driver::{Driver, Opening, Shared};
use crate::net::Listeners;
use crate::server::{MEMORY_KIB, Phase, Server};
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{PartitionReply, PartitionRequest, Reply, Request};
use pelton_core::model::{Isolation, OFFSETS_TOPIC, Offset, PartId, TRANSACTIONS_TOPIC, TopicPartition};
use pelton_core::refusal::Refusal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// How long requests that are being answered may take when the broker stops.
const DRAIN: Duration = Duration::from_secs(5);
/// When retention is first checked after a start.
const FIRST_RETENTION_CHECK: Duration = Duration::from_secs(30);

/// A running broker. Cheap to clone. When the last clone is dropped without [`Broker::stop`], it ends as if the
/// process had been killed: what was acknowledged is kept, and the next start recovers.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Server>,
    directory: Arc<DataDirectory>,
    listeners: Listeners,
    phase: watch::Sender<Phase>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        self.server.driver.abandon();
        self.directory.release();
    }
}

impl Broker {
    /// Takes the data directory, loads what is in it, and listens. When it returns, every partition and every
    /// coordinator is loaded.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let core = Arc::new(config.core);
        let directory = Arc::new(DataDirectory::open(&config.data_dir, core.node_id)?);
        let bound = crate::net::bind(&config.listeners).await?;
        tracing::info!(
            path = %config.data_dir.display(),
            cleanly_stopped = directory.was_clean(),
            "loading the data directory"
        );
        let (images, image) = watch::channel(Arc::new(ClusterImage::default()));
        let opening = Arc::new(Opening::default());
        let shared = Shared {
            core: core.clone(),
            log: config.log,
            directory: directory.clone(),
            images,
            opening: opening.clone(),
        };
        let storage = |error: std::io::Error| StartError::Storage(error.to_string());
        let driver = Driver::start(config.shards, shared).map_err(storage)?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let server = Arc::new(Server {
            driver,
            cluster_id: directory.cluster_id().to_owned(),
            core,
            advertised: config.advertised,
            auto_create_topics: config.auto_create_topics,
            configs: config.configs,
            request_max_bytes: config.request_max_bytes,
            max_idle: (config.connections_max_idle_ms > 0)
                .then(|| Duration::from_millis(config.connections_max_idle_ms)),
            request_memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            answer_memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            phase: phases,
            images: image,
            producer_ids: Mutex::new(0..0),
            making_internal: Mutex::new(()),
        });
        // From here on, dropping this ends the threads.
        let (listeners, accepting) = Listeners::new(bound, config.max_connections);
        let broker = Self { inner: Arc::new(Inner { server: server.clone(), directory, listeners, phase }) };
        opening.done().await.map_err(StartError::Storage)?;
        check_coordinator_topics(&server)?;
        accepting.start(&server);
        let interval = Duration::from_millis(config.retention_check_interval_ms.max(1));
        tokio::spawn(check_retention(server, interval));
        Ok(broker)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.inner.listeners.addresses()
    }

    /// `cluster.id`.
    pub fn cluster_id(&self) -> &str {
        &self.inner.server.cluster_id
    }

    /// Asks a part: the door that the handlers use too. Dropping the future cancels the question.
    pub async fn ask(&self, to: PartId, request: Request) -> Reply {
        self.inner.server.driver.ask(to, request).await
    }

    /// The cluster as it stands.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.inner.server.image()
    }

    /// The cluster as it changes.
    pub fn image_changes(&self) -> watch::Receiver<Arc<ClusterImage>> {
        self.inner.server.images.clone()
    }

    /// Makes `__consumer_offsets` or `__transaction_state` when it is first needed.
    ///
    /// # Errors
    /// Why it could not be made.
    pub async fn ensure_internal_topic(&self, name: &str) -> Result<(), Refusal> {
        self.inner.server.ensure_internal_topic(name).await
    }

    /// Waits until something at or past `offset` can be read, `max_wait` at most; says whether it can.
    pub async fn readable(
        &self,
        partition: &TopicPartition,
        offset: Offset,
        isolation: Isolation,
        max_wait: Duration,
    ) -> bool {
        let request = Request::Partition(PartitionRequest::Watch { offset, isolation });
        let watch = self.inner.server.driver.ask(PartId::Partition(partition.clone()), request);
        let answer = tokio::time::timeout(max_wait, watch).await;
        matches!(answer, Ok(Reply::Partition(Ok(PartitionReply::Readable))))
    }

    /// Stops: takes no more requests, finishes those that are being answered, closes the logs, gives the
    /// data directory back.
    pub async fn stop(&self) {
        let inner = &self.inner;
        inner.phase.send_replace(Phase::Draining);
        if tokio::time::timeout(DRAIN, inner.listeners.drained()).await.is_err() {
            tracing::info!("closing connections whose requests are not finished");
        }
        inner.phase.send_replace(Phase::Closed);
        if inner.server.driver.stop().await
            && let Err(error) = inner.directory.mark_clean()
        {
            tracing::warn!(%error, "the clean shutdown could not be noted; the next start recovers the logs");
        }
        inner.directory.release();
    }
}

/// A coordinator is found by a hash modulo the number of partitions, so that number may never change.
fn check_coordinator_topics(server: &Server) -> Result<(), StartError> {
    let image = server.image();
    let settings = [
        (OFFSETS_TOPIC, "offsets.topic.num.partitions", server.core.offsets_topic_partitions),
        (TRANSACTIONS_TOPIC, "transaction.state.log.num.partitions", server.core.transaction_topic_partitions),
    ];
    for (topic, setting, configured) in settings {
        let Some(existing) = image.topic(topic).map(|topic| topic.partitions) else { continue };
        if existing != configured {
            return Err(StartError::Storage(format!(
                "{topic} has {existing} partitions, but {setting} is {configured}; set {setting}={existing}"
            )));
        }
    }
    Ok(())
}

async fn check_retention(server: Arc<Server>, interval: Duration) {
    let mut phase = server.phase.clone();
    let mut wait = FIRST_RETENTION_CHECK.min(interval);
    // The phase changes only when the broker stops.
    while tokio::time::timeout(wait, phase.wait_for(|phase| *phase > Phase::Serving)).await.is_err() {
        server.driver.retain();
        wait = interval;
    }
}
