//! Jobs that outlive the process: each is a document of the cluster image (`job/NAME`), and the wanted ones run
//! again by themselves after a start. Plugin manifests are documents too (`plugin/NAME@VERSION`).
//!
//! Jobs that route records are no documents: they follow from the configs of their topics ([`super::attachments`]).
//!
//! Invariant: whoever was told that a job runs (or is stopped) finds it so after a restart: the document is
//! durable before the answer.

use super::attachments::ROUTE_PREFIX;
use super::cluster::JobNames;
use super::plugins::{PluginError, Plugins, is_built_in};
use super::{ask_cluster, persistently};
use pelton_api::job::{JobReport, JobSpec};
use pelton_api::manifest::{PluginManifest, PluginRef};
use pelton_core::event::ClusterRequest;
use pelton_jobs::JobRunner;
use pelton_registry::RegistryError;
use pelton_server::Broker;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard as Turn};

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
    /// The jobs that route, as they are meant to run.
    routes: std::sync::Mutex<BTreeMap<String, JobSpec>>,
    /// Tells the writers of tasks which job they belong to.
    names: Arc<JobNames>,
    /// Why a wanted job could not be started, by its name.
    problems: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Jobs {
    /// Over this broker and runner.
    pub fn new(broker: Broker, plugins: Arc<Plugins>, runner: JobRunner, names: Arc<JobNames>) -> Self {
        let (changing, routes, problems) = (Mutex::new(()), Default::default(), Default::default());
        Self { broker, plugins, runner, changing, routes, names, problems }
    }

    /// Runs a job, now and after every restart until it is stopped. Running the same one again is fine.
    ///
    /// # Errors
    /// [`JobsError`] with the name of what is unknown or wrong.
    pub async fn run(&self, spec: JobSpec) -> Result<(), JobsError> {
        let _turn = self.changing.lock().await;
        let documents = self.documents();
        if !documents.contains_key(&spec.name) && spec.name.starts_with(ROUTE_PREFIX) {
            return Err(JobsError::Refused(format!(
                "names that begin with `{ROUTE_PREFIX}` belong to the jobs that topics have with \
                 pelton.partitioner.mode=route; rename the job"
            )));
        }
        if let Some(step) = spec.steps.iter().find(|step| is_built_in(&step.plugin)) {
            let text = format!("step `{}`: {} is for the platform's own jobs", step.name, step.plugin);
            return Err(JobsError::Refused(text));
        }
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
            return Err(match held(&self.routes).get(name) {
                Some(route) => JobsError::Refused(format!(
                    "the job {name} routes the topic {}; set its pelton.partitioner.mode to verify, or remove its \
                     pelton.partitioner",
                    route.sources.join(", ")
                )),
                None => JobsError::Unknown(name.to_owned()),
            });
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
        let route = || held(&self.routes).get(name).cloned().map(|spec| JobDocument { spec, wanted: true });
        self.documents().remove(name).or_else(route).map(|document| self.reported(document))
    }

    /// All jobs, by name.
    pub fn list(&self) -> Vec<JobReport> {
        let mut documents = self.documents();
        for (name, spec) in held(&self.routes).clone() {
            documents.entry(name).or_insert(JobDocument { spec, wanted: true });
        }
        documents.into_values().map(|document| self.reported(document)).collect()
    }

    /// The jobs that are meant to run, but for those that route.
    pub fn wanted_specs(&self) -> Vec<JobSpec> {
        let wanted = self.documents().into_values().filter(|document| document.wanted);
        wanted.map(|document| document.spec).collect()
    }

    /// Keeps jobs from being started or stopped, until it is dropped.
    pub async fn turn(&self) -> Turn<'_, ()> {
        self.changing.lock().await
    }

    /// Runs these jobs that route, and no others; whether all of them run.
    pub async fn run_routes(&self, wanted: &BTreeMap<String, JobSpec>) -> bool {
        let _turn = self.changing.lock().await;
        let before = std::mem::replace(&mut *held(&self.routes), wanted.clone());
        for (name, spec) in &before {
            if wanted.get(name) != Some(spec) {
                self.halt(name).await;
                held(&self.problems).remove(name);
                tracing::info!(job = name, "the route has ended");
            }
        }
        let mut running = true;
        for (name, spec) in wanted {
            if self.runner.report(name).is_some_and(|report| report.wanted && report.spec == *spec) {
                continue;
            }
            match self.start(spec).await {
                Ok(()) => tracing::info!(job = name, "the route runs"),
                Err(reason) => {
                    running = false;
                    tracing::error!(job = name, reason, "the route cannot be started; it is tried again");
                    held(&self.problems).insert(name.clone(), reason);
                }
            }
        }
        running
    }

    fn reported(&self, document: JobDocument) -> JobReport {
        let running = self.runner.report(&document.spec.name);
        let tasks = running.map(|report| report.tasks).unwrap_or_default();
        let problem = held(&self.problems).get(&document.spec.name).cloned().filter(|_| document.wanted);
        JobReport { spec: document.spec, wanted: document.wanted, tasks, problem }
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
                    held(&self.problems).insert(name.to_owned(), reason);
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
        self.put(format!("plugin/{}", manifest.plugin), Some(manifest)).await
    }

    /// Takes a plugin's manifest out of the cluster image. What the cluster decided before is in the image then.
    ///
    /// # Errors
    /// [`JobsError::NotRecorded`].
    pub async fn forget_plugin(&self, plugin: &PluginRef) -> Result<(), JobsError> {
        self.put(format!("plugin/{plugin}"), None::<&PluginManifest>).await
    }

    async fn start(&self, spec: &JobSpec) -> Result<(), String> {
        for step in spec.steps.iter().filter(|step| !is_built_in(&step.plugin)) {
            let (plugins, plugin) = (Arc::clone(&self.plugins), step.plugin.clone());
            self.load(plugins, plugin).await?;
        }
        self.names.note(spec);
        self.runner.start(spec.clone()).await.map_err(|e| e.to_string())?;
        held(&self.problems).remove(&spec.name);
        Ok(())
    }

    async fn load(&self, plugins: Arc<Plugins>, plugin: PluginRef) -> Result<(), String> {
        let named = plugin.clone();
        // Whether the plugin is registered at all is the runner's question, which names the step.
        match tokio::task::spawn_blocking(move || plugins.load(&plugin)).await {
            Ok(Ok(_) | Err(PluginError::Registry(RegistryError::Unknown { .. }))) => Ok(()),
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
        self.put(format!("job/{name}"), Some(document)).await
    }

    /// Sets a document of the cluster image, or removes it.
    async fn put(&self, key: String, document: Option<&impl Serialize>) -> Result<(), JobsError> {
        let text = document.map(serde_json::to_string).transpose();
        let text = text.map_err(|e| JobsError::NotRecorded(e.to_string()))?;
        let (key, text): (Arc<str>, Option<Arc<str>>) = (key.into(), text.map(Into::into));
        let request = || {
            let request = ClusterRequest::PutDocument { key: key.clone(), value: text.clone() };
            ask_cluster(&self.broker, request)
        };
        persistently(request).await.map_err(|e| JobsError::NotRecorded(e.to_string()))?;
        // Whoever asks next must find it.
        let mut changes = self.broker.image_changes();
        let published = changes.wait_for(|image| image.documents.get(&key) == text.as_ref());
        match tokio::time::timeout(super::PATIENCE, published).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(JobsError::NotRecorded("the change was not published in time".to_owned())),
        }
    }
}

/// The value, also after a panic elsewhere: every write to it is a single step.
fn held<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
