//! One node: the broker, the plugins, the jobs and the admin HTTP, put together and taken apart in order.
//!
//! Start: broker (which locks the data directory) -> plugins -> jobs -> admin. Stop: the other way round, so that
//! each task commits while the broker still answers.
//!
//! Invariant: guests and state stores run on the jobs' own runtime, never on the network's threads.

use crate::admin::{self, Admin};
use crate::config::NodeConfig;
use crate::wiring::cluster::BrokerCluster;
use crate::wiring::jobs::Jobs;
use crate::wiring::plugins::Plugins;
use crate::wiring::stores;
use anyhow::Context;
use pelton_engine::{Engine, EngineConfig, Limits};
use pelton_jobs::JobRunner;
use pelton_registry::Registry;
use pelton_server::{Broker, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
    jobs_runtime: Option<tokio::runtime::Runtime>,
}

impl Node {
    /// Starts everything; when this returns, the node answers.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub async fn start(config: NodeConfig) -> anyhow::Result<Self> {
        let broker = Broker::start(server_config(&config)).await?;
        match Self::start_around(&broker, &config).await {
            Ok(node) => Ok(node),
            Err(error) => {
                broker.stop().await;
                Err(error)
            }
        }
    }

    async fn start_around(broker: &Broker, config: &NodeConfig) -> anyhow::Result<Self> {
        let directory = config.data_dir.clone();
        let max_bytes = config.plugin_max_bytes;
        let plugins = tokio::task::spawn_blocking(move || open_plugins(&directory, max_bytes)).await??;
        let plugins = Arc::new(plugins);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Opening a store waits for the disk on one of these threads; the other tasks go on meanwhile.
        let jobs_runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.max(4))
            .thread_name("pelton-jobs")
            .enable_all()
            .build()
            .context("cannot start the threads of the jobs")?;
        let cluster = Arc::new(BrokerCluster::new(broker.clone(), &config.core));
        let handle = jobs_runtime.handle().clone();
        let runner = JobRunner::new(cluster, plugins.clone(), stores::open(&config.data_dir), handle);
        let jobs = Arc::new(Jobs::new(broker.clone(), plugins.clone(), runner));
        let admin = admin::start(config.admin, broker.clone(), plugins, jobs.clone()).await;
        let admin = match admin {
            Ok(admin) => admin,
            Err(error) => {
                jobs_runtime.shutdown_background();
                return Err(error);
            }
        };
        jobs.clone().resume().await;
        Ok(Self { broker: broker.clone(), jobs, admin, jobs_runtime: Some(jobs_runtime) })
    }

    /// Where clients connect.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.broker.addresses()
    }

    /// Where the admin HTTP answers.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Stops gracefully: the jobs commit, then the broker closes its logs.
    pub async fn stop(mut self) {
        self.admin.stop();
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

fn server_config(config: &NodeConfig) -> ServerConfig {
    ServerConfig {
        listeners: config.listeners.clone(),
        advertised: config.advertised.clone(),
        data_dir: config.data_dir.clone(),
        shards: config.shards,
        core: config.core.clone(),
        log: config.log.clone(),
        auto_create_topics: config.auto_create_topics,
        request_max_bytes: config.request_max_bytes,
        connections_max_idle_ms: config.connections_max_idle_ms,
        max_connections: config.max_connections,
        retention_check_interval_ms: config.retention_check_interval_ms,
        configs: config.statics.clone(),
    }
}

fn open_plugins(data_dir: &std::path::Path, max_bytes: usize) -> anyhow::Result<Plugins> {
    let directory = data_dir.join("plugins");
    let limits = Limits { module_bytes: max_bytes, ..Limits::default() };
    let engine = Engine::new(EngineConfig { cache_dir: Some(data_dir.join("plugin-cache")), limits })?;
    let registry = Registry::open(directory)?;
    for damage in registry.damaged() {
        tracing::error!("a plugin cannot be used, and no job that names it runs: {damage}");
    }
    Ok(Plugins::new(engine, registry, max_bytes))
}

#[cfg(test)]
mod tests;
