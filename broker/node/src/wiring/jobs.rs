//! Jobs that outlive the process: each is a document of the cluster image (`job/NAME`), and the wanted ones run
//! again by themselves after a start. Plugin manifests are documents too (`plugin/NAME@VERSION`).
//!
//! Invariant: whoever was told that a job runs (or is stopped) finds it so after a restart: the document is
//! durable before the answer.

use super::plugins::Plugins;
use super::{ask_cluster, persistently};
use pelton_api::job::{JobReport, JobSpec};
use pelton_api::manifest::{PluginManifest, PluginRef};
use pelton_core::event::ClusterRequest;
use pelton_jobs::JobRunner;
use pelton_server::Broker;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// The most jobs that one node keeps, stopped ones included.
pub const MAX_JOBS: usize = 1_000;

/// A job as the cluster image keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct JobDocument {
    spec: JobSpec,
    wanted: bool,
}

/// Why a job could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The specification, or what it names, is not right.
    #[error("{0}")]
    Refused(String),
    /// There is no such job.
    #[error("there is no job `{0}`; `pelton job list` shows what there is")]
    Unknown(String),
    /// The broker could not keep the job.
    #[error("the job could not be recorded: {0}")]
    NotRecorded(String),
}

/// The jobs of this node.
pub struct Jobs {
    broker: Broker,
    plugins: Arc<Plugins>,
    runner: JobRunner,
    /// One change at a time, so that the documents and the runner agree.
    changing: Mutex<()>,
    /// Why a wanted job could not be started, by its name.
    problems: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Jobs {
    /// Over this broker and runner.
    pub fn new(broker: Broker, plugins: Arc<Plugins>, runner: JobRunner) -> Self {
        Self { broker, plugins, runner, changing: Mutex::new(()), problems: std::sync::Mutex::default() }
    }

    /// Runs a job, now and after every restart until it is stopped. Running the same one again is fine.
    ///
    /// # Errors
    /// [`JobsError`] with the name of what is unknown or wrong.
    pub async fn run(&self, spec: JobSpec) -> Result<(), JobsError> {
        let _turn = self.changing.lock().await;
        let documents = self.documents();
        if !documents.contains_key(&spec.name) && documents.len() >= MAX_JOBS {
            return Err(JobsError::Refused(format!("there are {MAX_JOBS} jobs already, which is the limit")));
        }
        pelton_jobs::validate::check(&spec).map_err(|e| JobsError::Refused(e.to_string()))?;
        self.start(&spec).await.map_err(JobsError::Refused)?;
        let name = spec.name.clone();
        let wanted = JobDocument { spec, wanted: true };
        if documents.get(&name) == Some(&wanted) {
            return Ok(());
        }
        if let Err(error) = self.record(&name, &wanted).await {
            self.halt(&name).await;
            return Err(error);
        }
        Ok(())
    }

    /// Stops a job: its tasks commit and end, and it stays stopped after a restart.
    ///
    /// # Errors
    /// [`JobsError`].
    pub async fn stop(&self, name: &str) -> Result<(), JobsError> {
        let _turn = self.changing.lock().await;
        let Some(document) = self.documents().remove(name) else {
            return Err(JobsError::Unknown(name.to_owned()));
        };
        if document.wanted {
            self.record(name, &JobDocument { wanted: false, ..document }).await?;
        }
        self.halt(name).await;
        Ok(())
    }

    /// Stops the tasks. A job that the runner does not know (it could never be started) has none.
    async fn halt(&self, name: &str) {
        if let Err(error) = self.runner.stop(name).await {
            tracing::info!(job = name, %error, "the job had no tasks to stop");
        }
    }

    /// What the job does, if there is one of that name.
    pub fn report(&self, name: &str) -> Option<JobReport> {
        self.documents().remove(name).map(|document| self.reported(document))
    }

    /// All jobs, by name.
    pub fn list(&self) -> Vec<JobReport> {
        self.documents().into_values().map(|document| self.reported(document)).collect()
    }

    fn reported(&self, document: JobDocument) -> JobReport {
        let running = self.runner.report(&document.spec.name);
        let tasks = running.map(|report| report.tasks).unwrap_or_default();
        let problem = self.problems().get(&document.spec.name).cloned().filter(|_| document.wanted);
        JobReport { spec: document.spec, wanted: document.wanted, tasks, problem }
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts every wanted job; one that cannot be started now is tried again for as long as it is wanted.
    pub async fn resume(self: Arc<Self>) {
        let wanted = self.documents().into_values().filter(|document| document.wanted);
        for document in wanted.collect::<Vec<_>>() {
            let jobs = Arc::clone(&self);
            tokio::spawn(async move { jobs.resume_one(&document.spec.name).await });
        }
    }

    async fn resume_one(&self, name: &str) {
        let mut pause = Duration::from_millis(500);
        loop {
            let turn = self.changing.lock().await;
            let Some(document) = self.documents().remove(name).filter(|document| document.wanted) else { return };
            if self.runner.report(name).is_some_and(|report| report.wanted) {
                return;
            }
            match self.start(&document.spec).await {
                Ok(()) => return tracing::info!(job = name, "the job runs again"),
                Err(reason) => {
                    tracing::error!(job = name, reason, "the job cannot be started; it is tried again");
                    self.problems().insert(name.to_owned(), reason);
                }
            }
            drop(turn);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    /// Stops the tasks of all jobs, each after its commit, and leaves them wanted.
    pub async fn pause_all(&self) {
        let _turn = self.changing.lock().await;
        self.runner.stop_all().await;
    }

    /// Records a plugin's manifest in the cluster image.
    ///
    /// # Errors
    /// [`JobsError::NotRecorded`].
    pub async fn record_plugin(&self, manifest: &PluginManifest) -> Result<(), JobsError> {
        self.put(format!("plugin/{}", manifest.plugin), manifest).await
    }

    async fn start(&self, spec: &JobSpec) -> Result<(), String> {
        for step in &spec.steps {
            let (plugins, plugin) = (Arc::clone(&self.plugins), step.plugin.clone());
            self.load(plugins, plugin).await?;
        }
        self.runner.start(spec.clone()).await.map_err(|e| e.to_string())?;
        self.problems().remove(&spec.name);
        Ok(())
    }

    async fn load(&self, plugins: Arc<Plugins>, plugin: PluginRef) -> Result<(), String> {
        let named = plugin.clone();
        // Whether the plugin is registered at all is the runner's question, which names the step.
        match tokio::task::spawn_blocking(move || plugins.load(&plugin)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("the plugin {named} cannot be loaded: {error}")),
            Err(error) => Err(format!("the plugin {named} cannot be loaded: {error}")),
        }
    }

    fn documents(&self) -> BTreeMap<String, JobDocument> {
        let mut found = BTreeMap::new();
        for (key, text) in &self.broker.image().documents {
            let Some(name) = key.strip_prefix("job/") else { continue };
            match serde_json::from_str(text) {
                Ok(document) => {
                    found.insert(name.to_owned(), document);
                }
                Err(error) => tracing::error!(job = name, %error, "the job's document cannot be read"),
            }
        }
        found
    }

    async fn record(&self, name: &str, document: &JobDocument) -> Result<(), JobsError> {
        self.put(format!("job/{name}"), document).await
    }

    async fn put(&self, key: String, document: &impl Serialize) -> Result<(), JobsError> {
        let text = serde_json::to_string(document).map_err(|e| JobsError::NotRecorded(e.to_string()))?;
        let (key, text): (Arc<str>, Arc<str>) = (key.into(), text.into());
        let request = || {
            let request = ClusterRequest::PutDocument { key: key.clone(), value: Some(text.clone()) };
            ask_cluster(&self.broker, request)
        };
        persistently(request).await.map_err(|e| JobsError::NotRecorded(e.to_string()))?;
        // Whoever asks next must find it.
        let mut changes = self.broker.image_changes();
        let published = changes.wait_for(|image| image.documents.get(&key) == Some(&text));
        match tokio::time::timeout(super::PATIENCE, published).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(JobsError::NotRecorded("the change was not published in time".to_owned())),
        }
    }
}
