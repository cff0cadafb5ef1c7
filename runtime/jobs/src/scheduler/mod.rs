//! Starts and stops jobs: one task for every step and partition.
//!
//! What a job needs is checked before any of it runs ([`prepare`]): its topics, its plugins, their
//! configuration. Then its tasks run until the job is stopped; a task that fails starts over by itself, with
//! growing pauses, for ever.
//!
//! Not here: where specifications are kept. The composition root starts the jobs that it remembers.

pub mod prepare;

use crate::task::driver::{self, SharedReport, Surroundings};
use crate::task::machine::Machine;
use pelton_api::fault::Fault;
use pelton_api::job::{JobReport, JobSpec, TaskPhase};
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::Partitioner;
use pelton_api::ports::{Cluster, PortError};
use pelton_api::store::StoreFactory;
use pelton_api::transform::TransformFactory;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pause before a task that panicked is started anew.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// Finds the code of a step. The registry implements it.
pub trait Plugins: Send + Sync {
    /// The compiled transform of that name and version, if there is one. Never asked for [`crate::pass::PLUGIN`].
    fn transform(&self, plugin: &PluginRef) -> Option<Arc<dyn TransformFactory>>;

    /// A fresh instance of what says in which partition of its sink, `topic`, a record of this job belongs; `None` where
    /// nothing says so, and records go where Kafka's Java client would send them. Asked whenever a task of the job's last
    /// step makes a fresh instance of its plugin.
    ///
    /// # Errors
    /// The topic's partitioner cannot be had: the task waits and asks again, rather than place records by another.
    fn partitioner(&self, job: &str, topic: &str) -> Result<Option<Box<dyn Partitioner>>, Fault> {
        let _ = (job, topic);
        Ok(None)
    }
}

/// A job cannot be started or stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The specification is wrong, by itself or against this cluster.
    #[error(transparent)]
    Spec(#[from] crate::validate::SpecError),
    /// A topic that the job names does not exist.
    #[error("there is no topic `{topic}`, which the job `{job}` names as its {role}; create it first")]
    UnknownTopic {
        /// The topic.
        topic: String,
        /// The job.
        job: String,
        /// `source` or `sink`.
        role: &'static str,
    },
    /// A plugin that the job names does not exist.
    #[error("there is no plugin `{plugin}`, which step `{step}` names; upload it first (`pelton plugin upload`)")]
    UnknownPlugin {
        /// The plugin.
        plugin: PluginRef,
        /// The step.
        step: String,
    },
    /// A topic has another number of partitions than the job needs.
    #[error("topic `{topic}` has {found} partitions and {expected} are needed: {why}")]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: i32,
        /// How many it should have.
        expected: i32,
        /// Why that many.
        why: String,
    },
    /// The plugin does not accept its configuration.
    #[error("step `{step}`: {fault}")]
    Configuration {
        /// The step.
        step: String,
        /// What the plugin says.
        fault: pelton_api::fault::Fault,
    },
    /// A job of that name runs with another specification.
    #[error("job `{0}` is running with another specification; stop it first (`pelton job stop {0}`)")]
    Running(String),
    /// The job is being started or stopped by someone else.
    #[error("job `{0}` is being started or stopped; try again")]
    Busy(String),
    /// Two jobs would share internal topics.
    #[error("job `{job}` would share `{name}` with job `{other}`; rename the job or its step")]
    NameClash {
        /// The job that was to be started.
        job: String,
        /// The job that has the name.
        other: String,
        /// The topic or group.
        name: String,
    },
    /// There is no job of that name.
    #[error("there is no job `{0}`")]
    Unknown(String),
    /// The cluster could not be asked.
    #[error("the cluster could not be asked: {0}")]
    Cluster(#[from] PortError),
    /// The runtime of the jobs is shutting down.
    #[error("the jobs are shutting down")]
    ShuttingDown,
}

/// Runs jobs. Clones share them.
#[derive(Clone)]
pub struct JobRunner(Arc<Inner>);

struct Inner {
    cluster: Arc<dyn Cluster>,
    plugins: Arc<dyn Plugins>,
    stores: Arc<dyn StoreFactory>,
    handle: Handle,
    jobs: Mutex<BTreeMap<String, Job>>,
}

struct Job {
    spec: JobSpec,
    condition: Condition,
    reports: Vec<SharedReport>,
}

enum Condition {
    /// Someone is starting or stopping it, outside of the lock.
    Changing {
        wanted: bool,
    },
    Running {
        stop: watch::Sender<bool>,
        tasks: Vec<JoinHandle<()>>,
    },
    Stopped,
}

impl JobRunner {
    /// A runner whose tasks run on `handle`, which should belong to a runtime of the jobs' own: guests and
    /// stores block its threads.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        plugins: Arc<dyn Plugins>,
        stores: Arc<dyn StoreFactory>,
        handle: Handle,
    ) -> Self {
        Self(Arc::new(Inner { cluster, plugins, stores, handle, jobs: Mutex::default() }))
    }

    /// Checks a job, makes its internal topics and starts its tasks. Starting a running job with the same
    /// specification does nothing.
    ///
    /// # Errors
    /// [`JobError`]; then nothing runs.
    pub async fn start(&self, spec: JobSpec) -> Result<(), JobError> {
        crate::validate::check(&spec)?;
        if !self.claim(&spec)? {
            return Ok(());
        }
        // On the jobs' runtime: plugins may be compiled and guests called. It goes on if the caller goes away,
        // so that a claim is never left behind.
        let inner = self.0.clone();
        let started = self.0.handle.spawn(async move { inner.start_claimed(spec).await });
        started.await.map_err(|_| JobError::ShuttingDown)?
    }

    /// Claims the name for a start. `false` if the job runs already.
    fn claim(&self, spec: &JobSpec) -> Result<bool, JobError> {
        let mut jobs = self.0.lock();
        let (mut reports, mut old) = (Vec::new(), None);
        if let Some(job) = jobs.get(&spec.name) {
            match &job.condition {
                Condition::Running { .. } if job.spec == *spec => return Ok(false),
                Condition::Running { .. } => return Err(JobError::Running(spec.name.clone())),
                Condition::Changing { .. } => return Err(JobError::Busy(spec.name.clone())),
                Condition::Stopped => (reports, old) = (job.reports.clone(), Some(&job.spec)),
            }
        }
        let names = prepare::owned_names(spec);
        for (other, job) in jobs.iter().filter(|(name, _)| **name != spec.name) {
            if let Some(name) = prepare::owned_names(&job.spec).intersection(&names).next() {
                let (job, other, name) = (spec.name.clone(), other.clone(), name.clone());
                return Err(JobError::NameClash { job, other, name });
            }
        }
        let shown = old.unwrap_or(spec).clone();
        let job = Job { spec: shown, condition: Condition::Changing { wanted: true }, reports };
        jobs.insert(spec.name.clone(), job);
        Ok(true)
    }

    /// Stops a job: each task commits what it has processed and ends. Stopping a stopped job does nothing.
    ///
    /// # Errors
    /// [`JobError::Unknown`], [`JobError::Busy`].
    pub async fn stop(&self, name: &str) -> Result<(), JobError> {
        let (stop, tasks) = {
            let mut jobs = self.0.lock();
            let job = jobs.get_mut(name).ok_or_else(|| JobError::Unknown(name.to_owned()))?;
            match std::mem::replace(&mut job.condition, Condition::Changing { wanted: false }) {
                Condition::Running { stop, tasks } => (stop, tasks),
                Condition::Stopped => {
                    job.condition = Condition::Stopped;
                    return Ok(());
                }
                changing => {
                    job.condition = changing;
                    return Err(JobError::Busy(name.to_owned()));
                }
            }
        };
        let (inner, name) = (self.0.clone(), name.to_owned());
        let stopped = self.0.handle.spawn(async move {
            stop.send_replace(true);
            for task in tasks {
                // A panic was logged by the supervisor; there is nothing left to stop.
                let _ = task.await;
            }
            if let Some(job) = inner.lock().get_mut(&name) {
                job.condition = Condition::Stopped;
            }
        });
        stopped.await.map_err(|_| JobError::ShuttingDown)
    }

    /// Stops every job that runs.
    pub async fn stop_all(&self) {
        let names: Vec<String> = self.0.lock().keys().cloned().collect();
        let stops: Vec<_> = names
            .into_iter()
            .map(|name| {
                let runner = self.clone();
                self.0.handle.spawn(async move { runner.stop(&name).await })
            })
            .collect();
        for stop in stops {
            let _ = stop.await;
        }
    }

    /// Where a job stands, or `None` if there is none of that name.
    pub fn report(&self, name: &str) -> Option<JobReport> {
        self.0.lock().get(name).map(Job::report)
    }

    /// Where all jobs stand, by name.
    pub fn list(&self) -> Vec<JobReport> {
        self.0.lock().values().map(Job::report).collect()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start_claimed(&self, spec: JobSpec) -> Result<(), JobError> {
        let prepared = prepare::prepare(&spec, &*self.cluster, &*self.plugins).await;
        let mut jobs = self.lock();
        let tasks = match prepared {
            Ok(tasks) => tasks,
            Err(error) => {
                match jobs.get_mut(&spec.name) {
                    Some(job) if !job.reports.is_empty() => job.condition = Condition::Stopped,
                    _ => drop(jobs.remove(&spec.name)),
                }
                return Err(error);
            }
        };
        let (stop, stopped) = watch::channel(false);
        let mut reports = Vec::with_capacity(tasks.len());
        let mut handles = Vec::with_capacity(tasks.len());
        for (task, plugin) in tasks {
            let report: SharedReport = Arc::new(Mutex::new(Machine::new(task.clone()).report().clone()));
            let (cluster, stores, plugins) = (self.cluster.clone(), self.stores.clone(), self.plugins.clone());
            let around = Surroundings { cluster, stores, plugin, plugins };
            let supervised = supervise(self.handle.clone(), task, around, report.clone(), stopped.clone());
            handles.push(self.handle.spawn(supervised));
            reports.push(report);
        }
        let condition = Condition::Running { stop, tasks: handles };
        jobs.insert(spec.name.clone(), Job { spec, condition, reports });
        Ok(())
    }
}

impl Job {
    fn report(&self) -> JobReport {
        let read = |report: &SharedReport| report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = match &self.condition {
            Condition::Running { .. } => true,
            Condition::Changing { wanted } => *wanted,
            Condition::Stopped => false,
        };
        JobReport { spec: self.spec.clone(), wanted, tasks: self.reports.iter().map(read).collect(), problem: None }
    }
}

/// Runs a task, and runs it anew if it panics: a bug in one task must not stop its job for good.
async fn supervise(
    handle: Handle,
    task: crate::task::TaskSpec,
    around: Surroundings,
    report: SharedReport,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let run = handle.spawn(driver::run(task.clone(), around.clone(), report.clone(), stop.clone()));
        match run.await {
            Err(error) if error.is_panic() => {
                tracing::error!("task {} panicked and will be started anew: {error}", task.id);
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                report.phase = TaskPhase::Failed;
                report.last_error = Some("the task panicked; this is a bug in Pelton".to_owned());
            }
            _ => return,
        }
        if let Ok(Ok(_)) = tokio::time::timeout(AFTER_PANIC, stop.wait_for(|stop| *stop)).await {
            report.lock().unwrap_or_else(PoisonError::into_inner).phase = TaskPhase::Stopped;
            return;
        }
    }
}

#[cfg(test)]
mod tests;
