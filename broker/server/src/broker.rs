//! Starts a broker, gives the composition root its door to the parts, and stops it.

use crate::broker_configs::{self, obeyed::Started};
use crate::config::{ServerConfig, StartError};
use crate::driver::checkpoints::Checkpoints;
use crate::driver::directories::LogDirectories;
use crate::driver::{Driver, Opening, Shared};
use crate::fetch::FetchState;
use crate::hooks::append::{Begun, SendFailure, Sending};
use crate::hooks::{Client, Switch, TopicTable};
use crate::metrics::Metrics;
use crate::net::memory::RequestMemory;
use crate::net::{Accepting, Bound, Connections, ControlThreads, Listener, Listeners, SocketConfig};
use crate::protocol::records;
use crate::readiness::{Readiness, Stage};
use crate::server::{MEMORY_KIB, Phase, Server, now_ms};
use crate::topic_configs::{self, Altering, Change};
use pelton_api::hooks::Hooks;
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{
    Acks, Appended, GroupRequest, IncomingBatch, NewTopic, PartitionReply, PartitionRequest, Reply, Request,
    TopicRefusal,
};
use pelton_core::model::{Isolation, OFFSETS_TOPIC, Offset, PartId, TRANSACTIONS_TOPIC, TopicPartition};
use pelton_core::partition::rules::AppendRules;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
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
    directories: Arc<LogDirectories>,
    listeners: Listeners,
    phase: watch::Sender<Phase>,
    readiness: Arc<Readiness>,
    /// Dropped last, when nobody is served any more.
    _control: Option<ControlThreads>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        self.server.driver.abandon();
        self.server.hooks.stop();
        self.directories.release();
    }
}

impl Broker {
    /// Takes the data directory, loads what is in it, and listens. When it returns, every partition and every
    /// coordinator is loaded, and what is attached to the topics is in. `hooks` is called once the data directory is
    /// this broker's, and before anything listens; its error is one line and says what to do.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: ServerConfig,
        hooks: impl FnOnce() -> Result<Arc<dyn Hooks>, String> + Send,
    ) -> Result<Self, StartError> {
        let (readiness, limits) = (config.readiness.clone(), config.connection_limits());
        readiness.reach(Stage::Starting);
        let directories = Arc::new(LogDirectories::open(&config.log_dirs(), config.core.node_id)?);
        let core = Arc::new(config.core);
        let hooks = hooks().map_err(StartError::Plugins)?;
        let (bound, control) = bind(config.listeners, config.control_listener, &config.sockets)?;
        let (listeners, accepting) = Listeners::new(bound, limits);
        for (_, directory) in directories.online() {
            let (path, cleanly_stopped) = (directory.path().display(), directory.was_clean());
            tracing::info!(%path, cleanly_stopped, "loading the log directory");
        }
        let (images, image) = watch::channel(Arc::new(ClusterImage::default()));
        let opening = Arc::new(Opening::default());
        readiness.open(opening.clone());
        let metrics = Arc::new(Metrics::default());
        let shared = Shared {
            core: core.clone(),
            log: config.log,
            cleaner: config.cleaner.clone(),
            directories: directories.clone(),
            checkpoints: Arc::new(Checkpoints::read(directories.clone())),
            images,
            opening: opening.clone(),
            metrics: metrics.clone(),
            recovery_threads: config.recovery_threads_per_data_dir,
            move_bytes_per_second: config.move_bytes_per_second,
        };
        let started = Started::new(listeners.connections().limits(), config.cleaner, config.default_configs);
        let storage = |error: std::io::Error| StartError::Storage(error.to_string());
        let driver = Driver::start(config.shards, shared).map_err(storage)?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let server = Arc::new(Server {
            hooks: TopicTable::new(hooks, &config.configs, driver.clone(), image.clone()),
            altering: Altering::default(),
            driver,
            cluster_id: directories.cluster_id().to_owned(),
            directories: directories.clone(),
            core,
            auto_create_topics: config.auto_create_topics,
            delete_topics: config.delete_topics,
            configs: config.configs,
            started,
            authorizer: config.authorizer,
            quotas: config.quotas,
            request_max_bytes: config.request_max_bytes,
            max_idle: (config.connections_max_idle_ms > 0)
                .then(|| Duration::from_millis(config.connections_max_idle_ms)),
            request_memory: RequestMemory::new(config.request_memory_bytes),
            connections: listeners.connections().clone(),
            metrics,
            fetching: FetchState::new(config.fetch),
            answer_memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            phase: phases,
            images: image,
            producer_ids: Mutex::new(0..0),
            making_internal: Mutex::new(()),
        });
        // From here on, dropping this ends the threads.
        let inner = Inner { server: server.clone(), directories, listeners, phase, readiness, _control: control };
        let broker = Self { inner: Arc::new(inner) };
        broker.open(&opening, accepting).await?;
        let interval = Duration::from_millis(config.retention_check_interval_ms.max(1));
        tokio::spawn(check_retention(server, interval));
        Ok(broker)
    }

    /// Waits until everything is loaded, and then accepts connections.
    async fn open(&self, opening: &Opening, accepting: Accepting) -> Result<(), StartError> {
        let Inner { server, readiness, .. } = &*self.inner;
        opening.done().await.map_err(StartError::Storage)?;
        server.driver.loaded();
        check_coordinator_topics(server)?;
        forget_offsets_of_deleted_topics(server).await;
        readiness.reach(Stage::Plugins);
        server.hooks.load().await.map_err(StartError::Plugins)?;
        broker_configs::obeyed::obey(server);
        accepting.start(server);
        readiness.reach(Stage::Serving);
        Ok(())
    }

    /// Where it listens, but for the control listener.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.inner.listeners.addresses()
    }

    /// Where the control listener is, if there is one.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.inner.listeners.control()
    }

    /// The connections, and how many there may be.
    pub fn connections(&self) -> &Connections {
        &self.inner.server.connections
    }

    /// The numbers of this broker, in Prometheus' text format.
    pub async fn exposition(&self) -> String {
        crate::metrics::collect(&self.inner.server).await
    }

    /// `cluster.id`.
    pub fn cluster_id(&self) -> &str {
        &self.inner.server.cluster_id
    }

    /// Asks a part: the door that the handlers use too. Dropping the future cancels the question.
    pub async fn ask(&self, to: PartId, request: Request) -> Reply {
        self.inner.server.driver.ask(to, request).await
    }

    /// Waits until the broker cannot go on, because the log that knows its topics is out of reach, and gives one line that
    /// says why and what to do. Whoever started it should stop it then.
    pub async fn failed(&self) -> String {
        let mut broken = self.inner.directories.broken();
        let reason = broken.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
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

    /// Appends a batch as a client's, through the hooks of its topic; it has its place in the order of the partition
    /// when this returns, and is appended also when nobody waits for what comes of it.
    pub fn append(
        &self,
        from: Client,
        partition: TopicPartition,
        batch: IncomingBatch,
        acks: Acks,
        transactional_id: Option<Arc<str>>,
    ) -> impl Future<Output = Result<Appended, SendFailure>> + Send + use<> {
        let server = &self.inner.server;
        let image = server.image();
        // A topic that is not there is for its partition to refuse.
        let unknown = || AppendRules::of(&server.core, &BTreeMap::new());
        let rules = image.topic(&partition.topic).map_or_else(unknown, |topic| topic.append);
        let begun = match records::check(batch, &partition, &rules, now_ms()) {
            Ok(batch) => server.hooks.append(Sending { partition, batch, acks, transactional_id, rules }, || from),
            Err(errors) => Begun::Failed(SendFailure::Invalid(errors)),
        };
        async move { begun.finish().await.map(|(appended, _)| appended) }
    }

    /// Makes topics, with what is attached to them; one result for each, in order.
    ///
    /// # Errors
    /// A refusal of the request as a whole.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<TopicRefusal>, Refusal> {
        self.inner.server.create_topics(topics, validate_only).await
    }

    /// Changes some configs of a topic, and what is attached to it. `by` names who does it, for the record of switches.
    ///
    /// # Errors
    /// As for [`topic_configs::alter`].
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: Vec<(String, Change)>,
        by: &str,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        topic_configs::alter(&self.inner.server, topic, changes, by, validate_only).await
    }

    /// Sets the `pelton.*` configs again that were in effect before the last switch of the topic's plugins.
    ///
    /// # Errors
    /// [`Refusal::InvalidRequest`] when they were never switched; otherwise as for [`Broker::alter_topic_configs`].
    pub async fn rollback(&self, topic: &str, by: &str) -> Result<(), Refusal> {
        let server = &self.inner.server;
        let changes = server.hooks.rollback_changes(topic)?;
        topic_configs::alter(server, topic, changes, by, false).await
    }

    /// The switches of a topic's plugins that are kept, the last one last.
    pub fn switches(&self, topic: &str) -> Vec<Switch> {
        self.inner.server.hooks.switches(topic)
    }

    /// What is attached to a topic now (`TopicHooks::identity`).
    pub fn attached(&self, topic: &str) -> Option<String> {
        self.inner.server.hooks.identity(topic)
    }

    /// The `pelton.*` configs that a topic has in effect: its own over the broker's.
    pub fn topic_configs(&self, topic: &str) -> Option<BTreeMap<String, String>> {
        let image = self.image();
        let topic = image.topic(topic)?;
        Some(self.inner.server.hooks.effective(topic.internal, &topic.configs))
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
        inner.readiness.reach(Stage::Stopping);
        inner.phase.send_replace(Phase::Draining);
        if tokio::time::timeout(DRAIN, inner.listeners.drained()).await.is_err() {
            tracing::info!("closing connections whose requests are not finished");
        }
        inner.phase.send_replace(Phase::Closed);
        if inner.server.driver.stop().await {
            inner.directories.mark_clean();
        }
        inner.server.hooks.stop();
        inner.directories.release();
    }
}

/// Binds every listener, the control listener among threads of its own.
fn bind(
    listeners: Vec<Listener>,
    control: Option<Listener>,
    sockets: &SocketConfig,
) -> Result<(Vec<Bound>, Option<ControlThreads>), StartError> {
    let mut bound = Vec::with_capacity(listeners.len() + 1);
    for listener in listeners {
        bound.push(crate::net::bind(listener, sockets, Handle::current(), false)?);
    }
    let Some(control) = control else { return Ok((bound, None)) };
    let threads = ControlThreads::start().map_err(|error| StartError::Storage(error.to_string()))?;
    if let Some(handle) = threads.handle() {
        bound.push(crate::net::bind(control, sockets, handle, true)?);
    }
    Ok((bound, Some(threads)))
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

/// Whoever deleted a topic told the groups; a crash may have come between the two.
async fn forget_offsets_of_deleted_topics(server: &Server) {
    let image = server.image();
    let coordinators = image.topic(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions);
    let keep = || Request::Group(GroupRequest::KeepTopics { image: image.clone() });
    let asked: Vec<_> = (0..coordinators).map(|index| server.driver.ask(PartId::Group(index), keep())).collect();
    for (index, pending) in asked.into_iter().enumerate() {
        if let Reply::Group(Err(refusal)) = pending.await {
            tracing::warn!(index, %refusal, "offsets of topics that were deleted stay until the next start");
        }
    }
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
