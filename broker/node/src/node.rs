//! One node: the broker, the plugins, the jobs and the admin HTTP, put together and taken apart in order.
//!
//! Start: admin, which says how far the rest is -> broker, which locks the data directory and then has the plugins opened,
//! since no client may come before the interceptors of its topics -> all of the admin -> jobs. Stop: the jobs before the broker, so that each task commits while
//! the broker still answers, and the admin last.
//!
//! Invariant: guests and state stores run on the jobs' own runtime, never on the network's threads.

use crate::admin::{self, Admin, Live};
use crate::config::{NodeConfig, keys};
use crate::wiring::cluster::{BrokerCluster, JobNames};
use crate::wiring::hooks::{JobCode, NodeLibrary, Operator};
use crate::wiring::jobs::Jobs;
use crate::wiring::platform::Platform;
use crate::wiring::plugin_log::PluginLog;
use crate::wiring::plugins::Plugins;
use crate::wiring::stores;
use anyhow::Context;
use pelton_api::hooks::Hooks;
use pelton_engine::{Engine, EngineConfig, Limits, Metrics};
use pelton_hooks::{Chains, Options};
use pelton_jobs::JobRunner;
use pelton_registry::Registry;
use pelton_server::auth::AllowAll;
use pelton_server::quota::Unlimited;
use pelton_server::{Broker, Readiness, ServerConfig, Stage};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// How long a stop waits for the tasks to commit; what they have not committed by then is done again after the
/// next start.
const JOBS_STOP: Duration = Duration::from_secs(20);

/// How long a stop waits for the broker to close its logs.
const BROKER_STOP: Duration = Duration::from_secs(30);

/// A node that runs.
pub struct Node {
    broker: Broker,
    jobs: Arc<Jobs>,
    admin: Admin,
    readiness: Arc<Readiness>,
    following: watch::Sender<bool>,
    jobs_runtime: Option<tokio::runtime::Runtime>,
}

/// What is opened in the data directory beside the logs.
struct Opened {
    plugins: Arc<Plugins>,
    library: Arc<NodeLibrary>,
    chains: Arc<Chains>,
    log: Arc<PluginLog>,
    metrics: Arc<Metrics>,
}

impl Node {
    /// Starts everything; when this returns, the node answers.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub async fn start(config: NodeConfig) -> anyhow::Result<Self> {
        let slot = Arc::new(OnceLock::new());
        let (filled, opening) = (slot.clone(), config.clone());
        let open = move || -> Result<Arc<dyn Hooks>, String> {
            let opened = open_plugins(&opening).map_err(|error| format!("{error:#}"))?;
            let hooks: Arc<dyn Hooks> = opened.chains.clone();
            // The broker opens once.
            let _ = filled.set(opened);
            Ok(hooks)
        };
        let readiness = Arc::new(Readiness::default());
        // Before the broker, so that somebody can say how far that is; but a directory that is taken is named first.
        let admin = admin::bind(config.admin, config.admin_token.clone()).await;
        let admin = admin.map(|bound| bound.start(readiness.clone()));
        let broker = Broker::start(server_config(&config, readiness.clone()), open).await?;
        let opened = slot.get().context("the broker started without its plugins");
        let node = match (opened, admin) {
            (Ok(opened), Ok(admin)) => Self::start_around(&broker, opened, &config, admin, readiness).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if node.is_err() {
            broker.stop().await;
        }
        node
    }

    async fn start_around(
        broker: &Broker,
        opened: &Opened,
        config: &NodeConfig,
        admin: Admin,
        readiness: Arc<Readiness>,
    ) -> anyhow::Result<Self> {
        let Opened { plugins, library, chains, log, metrics } = opened;
        library.see(broker.image_changes());
        let defaults = topic_defaults(config);
        check_defaults(chains.clone(), defaults.clone()).await;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Opening a store waits for the disk on one of these threads; the other tasks go on meanwhile.
        let jobs_runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.max(4))
            .thread_name("pelton-jobs")
            .enable_all()
            .build()
            .context("cannot start the threads of the jobs")?;
        let names = Arc::new(JobNames::default());
        let cluster = Arc::new(BrokerCluster::new(broker.clone(), &config.core, names.clone()));
        let code = Arc::new(JobCode::new(plugins.clone(), chains.clone(), broker.clone()));
        let handle = jobs_runtime.handle().clone();
        let runner = JobRunner::new(cluster, code, stores::open(&config.data_dir), handle);
        let jobs = Arc::new(Jobs::new(broker.clone(), plugins.clone(), runner, names));
        let platform = Arc::new(Platform {
            broker: broker.clone(),
            plugins: plugins.clone(),
            chains: chains.clone(),
            jobs: jobs.clone(),
            log: log.clone(),
            defaults,
        });
        // Before the jobs, so that one that does not come up can be seen to.
        admin.open(Live { platform: platform.clone(), metrics: metrics.clone() });
        jobs.clone().resume().await;
        let (following, stop) = watch::channel(false);
        tokio::spawn(platform.follow(stop));
        Ok(Self { broker: broker.clone(), jobs, admin, readiness, following, jobs_runtime: Some(jobs_runtime) })
    }

    /// Where clients connect.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.broker.addresses()
    }

    /// Where the control listener is, if there is one.
    pub fn control(&self) -> Option<SocketAddr> {
        self.broker.control_address()
    }

    /// Where the admin HTTP answers.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Waits until the node cannot go on; see [`Broker::failed`].
    pub async fn failed(&self) -> String {
        self.broker.failed().await
    }

    /// Stops gracefully: the jobs commit, then the broker gives the answers that it owes and closes its logs. `/readyz` says
    /// so all the while.
    pub async fn stop(mut self) {
        self.readiness.reach(Stage::Stopping);
        self.following.send_replace(true);
        if tokio::time::timeout(JOBS_STOP, self.jobs.pause_all()).await.is_err() {
            tracing::warn!("some tasks did not end in time; their open transactions are aborted at the next start");
        }
        if tokio::time::timeout(BROKER_STOP, self.broker.stop()).await.is_err() {
            tracing::warn!("the broker did not close its logs in time; the next start checks their tails");
        }
        if let Some(runtime) = self.jobs_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn server_config(config: &NodeConfig, readiness: Arc<Readiness>) -> ServerConfig {
    ServerConfig {
        listeners: config.listeners.clone(),
        control_listener: config.control_listener.clone(),
        sockets: config.sockets,
        data_dir: config.data_dir.clone(),
        further_log_dirs: config.further_log_dirs.clone(),
        shards: config.shards,
        recovery_threads_per_data_dir: config.recovery_threads_per_data_dir,
        move_bytes_per_second: config.move_bytes_per_second,
        core: config.core.clone(),
        log: config.log.clone(),
        cleaner: config.cleaner.clone(),
        auto_create_topics: config.auto_create_topics,
        delete_topics: config.delete_topics,
        request_max_bytes: config.request_max_bytes,
        connections_max_idle_ms: config.connections_max_idle_ms,
        fetch: config.fetch.clone(),
        max_connections: config.max_connections,
        max_connections_per_ip: config.max_connections_per_ip,
        max_connections_per_ip_overrides: config.max_connections_per_ip_overrides.clone(),
        request_memory_bytes: config.request_memory_bytes,
        retention_check_interval_ms: config.retention_check_interval_ms,
        configs: config.statics.clone(),
        default_configs: config.default_statics.clone(),
        readiness,
        authorizer: Arc::new(AllowAll),
        quotas: Arc::new(Unlimited),
    }
}

/// What topics have unless they set their own.
fn topic_defaults(config: &NodeConfig) -> BTreeMap<String, String> {
    let defaults = config.statics.iter().filter(|(name, _)| keys::is_topic_default(name));
    defaults.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Says so when the defaults for topics cannot be met. They may name a plugin that is uploaded next, so that is no error.
async fn check_defaults(chains: Arc<Chains>, defaults: BTreeMap<String, String>) {
    if defaults.is_empty() {
        return;
    }
    let checked = tokio::task::spawn_blocking(move || chains.check("a-topic", 1, &defaults)).await;
    if let Ok(Err(reason)) = checked {
        tracing::error!(
            "no topic can be made with the broker's defaults, and hooks of those that have them fail: {reason}"
        );
    }
}

fn open_plugins(config: &NodeConfig) -> anyhow::Result<Opened> {
    let (log, metrics) = (Arc::new(PluginLog::default()), Arc::new(Metrics::default()));
    let engine = Engine::new(EngineConfig {
        cache_dir: Some(config.data_dir.join("plugin-cache")),
        limits: Limits { module_bytes: config.plugin_max_bytes, ..Limits::default() },
        metrics: metrics.clone(),
        logs: log.clone(),
        compiler: config.plugin_compiler.clone(),
        ..EngineConfig::default()
    })?;
    let registry = Registry::open(config.data_dir.join("plugins"), config.plugin_policy.clone())?;
    let plugins = Arc::new(Plugins::new(engine, registry, config.plugin_max_bytes));
    for damage in plugins.damaged() {
        tracing::error!("a plugin cannot be used, by no topic and no job that names it: {damage}");
    }
    for refusal in plugins.refused() {
        tracing::error!("a plugin that is there does not run: {refusal}");
    }
    let library = Arc::new(NodeLibrary::new(plugins.clone()));
    let chains = Arc::new(Chains::new(library.clone(), Arc::new(Operator(log.clone())), Options::default()));
    Ok(Opened { plugins, library, chains, log, metrics })
}

#[cfg(test)]
mod tests;
