//! Does what the machine says, through the ports, and tells it what came of it. No decision is made here.
//!
//! Guest calls and stores are synchronous and run on the caller's thread: the jobs' runtime has threads of
//! its own. The driver gives way to other tasks after every effect.

use super::TaskSpec;
use super::machine::{ChangelogBounds, Effect, Event, Machine, READ_BYTES, SourceStart, TaskError};
use crate::scheduler::Plugins;
use crate::state::overlay::TaskState;
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::job::{TaskPhase, TaskReport};
use pelton_api::partitioner::Partitioner;
use pelton_api::ports::{Cluster, Partition, PartitionReader, PortError, TransactionalWriter};
use pelton_api::store::{Change, ChangelogStamp, StateStore, StoreError, StoreFactory};
use pelton_api::transform::{Processed, Transform, TransformFactory};
use pelton_record::BatchView;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How long a read of a changelog waits for records that the cluster said are there.
const CHANGELOG_WAIT: Duration = Duration::from_secs(5);

/// Where a task leaves its report for others to read.
pub type SharedReport = Arc<Mutex<TaskReport>>;

/// What a task runs with.
#[derive(Clone)]
pub struct Surroundings {
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// State stores.
    pub stores: Arc<dyn StoreFactory>,
    /// The step's code.
    pub plugin: Arc<dyn TransformFactory>,
    /// Where the partitioner of its output topic comes from.
    pub plugins: Arc<dyn Plugins>,
}

/// Runs one task until `stop` becomes `true` or its sender is gone.
pub async fn run(spec: TaskSpec, around: Surroundings, report: SharedReport, mut stop: watch::Receiver<bool>) {
    let clock = Clock::new();
    let mut machine = Machine::new(spec.clone());
    let mut driver = Driver::new(spec, around, report);
    let mut event = Event::Start;
    loop {
        if *stop.borrow_and_update() || stop.has_changed().is_err() {
            machine.step(clock.now_ms(), Event::Stop);
        }
        let effects = machine.step(clock.now_ms(), event);
        let Some(answer) = driver.perform(effects, &mut stop).await else { return };
        event = answer;
        tokio::task::yield_now().await;
    }
}

/// Milliseconds since the Unix epoch that never go back.
struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Clock {
    fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: millis(since_epoch) }
    }

    fn now_ms(&self) -> u64 {
        self.started_ms.saturating_add(millis(self.started.elapsed()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Driver {
    spec: TaskSpec,
    around: Surroundings,
    writer: Box<dyn TransactionalWriter>,
    inputs: Vec<Box<dyn PartitionReader>>,
    changelogs: Vec<Box<dyn PartitionReader>>,
    /// Lent to the guest during a call.
    state: Option<Box<TaskState>>,
    instance: Option<Box<dyn Transform>>,
    /// Of the output topic, where it has one.
    partitioner: Option<Box<dyn Partitioner>>,
    report: SharedReport,
}

impl Driver {
    fn new(spec: TaskSpec, around: Surroundings, report: SharedReport) -> Self {
        let reader = |partition: &Partition| around.cluster.reader(partition.clone());
        Self {
            writer: around.cluster.writer(&spec.transactional_id),
            inputs: spec.sources.iter().map(reader).collect(),
            changelogs: spec.changelogs.iter().map(reader).collect(),
            state: None,
            instance: None,
            partitioner: None,
            report,
            spec,
            around,
        }
    }

    /// Performs effects in order and answers with the event of the last one, or `None` when the task has ended.
    async fn perform(&mut self, effects: Vec<Effect>, stop: &mut watch::Receiver<bool>) -> Option<Event> {
        for effect in effects {
            match effect {
                Effect::KeepCall => {
                    self.state().keep_call();
                }
                Effect::DropCall => self.state().drop_call(),
                Effect::Discard => self.discard(),
                Effect::Report(report) => self.publish(report),
                Effect::Finished => return None,
                Effect::BackOff { ms } => {
                    // An early end of the pause is harmless, so a closed channel may end it too.
                    let _ = tokio::time::timeout(Duration::from_millis(ms), stop.wait_for(|stop| *stop)).await;
                    return Some(Event::Woken);
                }
                answered => return Some(self.answer(answered).await.unwrap_or_else(Event::Failed)),
            }
        }
        None
    }

    async fn answer(&mut self, effect: Effect) -> Result<Event, TaskError> {
        Ok(match effect {
            Effect::InitWriter => {
                self.writer.init().await?;
                Event::WriterReady
            }
            Effect::LocateSources => {
                let starts = self.locate().await?;
                Event::Located { starts, largest: self.largest().await? }
            }
            Effect::OpenStores { entry_bytes } => self.open_stores(entry_bytes)?,
            Effect::DescribeChangelogs => Event::ChangelogsDescribed(self.describe().await?),
            Effect::SetStoresAside => {
                self.discard();
                self.around.stores.set_aside(&self.spec.id)?;
                Event::SetAside
            }
            Effect::NewInstance => {
                (self.instance, self.partitioner) = (None, None);
                self.instance = Some(self.around.plugin.instantiate(&self.spec.config, &self.spec.stores)?);
                if self.spec.partitioned {
                    self.partitioner = self.around.plugins.partitioner(&self.spec.id.job, &self.spec.output.topic)?;
                }
                Event::InstanceReady
            }
            Effect::ReadChangelog { store, from } => {
                let reader = self.changelogs.get_mut(store).ok_or_else(|| missing("changelog"))?;
                Event::ChangelogRead(reader.read(from, READ_BYTES, CHANGELOG_WAIT).await?)
            }
            Effect::ReadInput { source, from, max_wait_ms } => {
                let reader = self.inputs.get_mut(source).ok_or_else(|| missing("source"))?;
                Event::InputRead(reader.read(from, READ_BYTES, Duration::from_millis(max_wait_ms)).await?)
            }
            Effect::Apply { changes, stamps } => {
                self.state().apply(&changes, &stamps)?;
                Event::Applied
            }
            Effect::Process(batch) => self.process(&batch)?,
            Effect::Send(batches) => {
                for (to, batch) in batches {
                    self.writer.send(&to, batch).await?;
                }
                Event::Sent
            }
            Effect::TakeChanges => Event::ChangesTaken(self.state().changes()),
            Effect::Commit(offsets) => Event::Committed(self.writer.commit(&self.spec.group, &offsets).await?),
            Effect::Abort => {
                self.writer.abort().await?;
                Event::Aborted
            }
            other => return Err(TaskError::Inconsistent(format!("{other:.80?} has no answer"))),
        })
    }

    async fn locate(&mut self) -> Result<Vec<SourceStart>, TaskError> {
        let mut starts = Vec::with_capacity(self.spec.sources.len());
        for (source, reader) in self.spec.sources.iter().zip(&mut self.inputs) {
            let committed = self.around.cluster.committed_offset(&self.spec.group, source).await?;
            let (start, end) = reader.bounds().await?;
            starts.push(SourceStart { committed, start, end });
        }
        Ok(starts)
    }

    async fn largest(&mut self) -> Result<Vec<usize>, TaskError> {
        let mut topics = vec![&self.spec.output.topic, &self.spec.dead_letter.topic];
        topics.extend(self.spec.changelogs.iter().map(|changelog| &changelog.topic));
        let mut largest = Vec::with_capacity(topics.len());
        for name in topics {
            let topic = self.around.cluster.topic(name).await?;
            largest.push(topic.ok_or_else(|| PortError::Unknown(name.clone()))?.max_message_bytes);
        }
        Ok(largest)
    }

    async fn describe(&mut self) -> Result<Vec<ChangelogBounds>, TaskError> {
        let mut changelogs = Vec::with_capacity(self.spec.changelogs.len());
        for (changelog, reader) in self.spec.changelogs.iter().zip(&mut self.changelogs) {
            let topic = self.around.cluster.topic(&changelog.topic).await?;
            let topic = topic.ok_or_else(|| PortError::Unknown(changelog.topic.clone()))?;
            let (start, end) = reader.bounds().await?;
            changelogs.push(ChangelogBounds { topic_id: topic.id, start, end });
        }
        Ok(changelogs)
    }

    fn open_stores(&mut self, entry_bytes: Vec<usize>) -> Result<Event, TaskError> {
        // What is open holds the lock on the files.
        self.state = None;
        let store = self.around.stores.open(&self.spec.id, &self.spec.stores)?;
        let state = self.state.insert(Box::new(TaskState::new(store, entry_bytes)));
        Ok(Event::StoresOpened { stamps: state.stamps()?, estimated_keys: state.estimated_keys() })
    }

    fn process(&mut self, batch: &Bytes) -> Result<Event, TaskError> {
        let instance = self.instance.as_mut().ok_or_else(|| missing("transform"))?;
        let state = self.state.take().unwrap_or_else(stateless);
        let (state, result) = instance.process(batch, state);
        let state = state.into_any().downcast::<TaskState>();
        let state = state.map_err(|_| Fault::Host("the engine gave back another state than it was lent".to_owned()))?;
        if let Some(damage) = state.damage() {
            return Err(damage.clone().into());
        }
        let result: Result<Processed, Fault> = match state.call_fault() {
            Some(fault) => Err(fault.clone()),
            None => result,
        };
        let pending_bytes = state.pending_bytes();
        self.state = Some(state);
        let places = result.as_ref().ok().and_then(|processed| self.place(&processed.output));
        Ok(Event::Processed { result, places, pending_bytes })
    }

    /// Asks the partitioner, if there is one, where the records of an output belong. One that is no batch is left for
    /// the machine to refuse, so that it is not the partitioner that is blamed.
    fn place(&mut self, output: &Bytes) -> Option<Result<Vec<i32>, Fault>> {
        let partitioner = self.partitioner.as_mut()?;
        if output.is_empty() {
            return Some(Ok(Vec::new()));
        }
        let well_formed =
            BatchView::parse(output).and_then(|view| view.records()?.try_for_each(|record| record.map(drop)));
        let target = &self.spec.output;
        well_formed.ok().map(|()| partitioner.partition(output, &target.topic, target.partitions))
    }

    fn state(&mut self) -> &mut TaskState {
        self.state.get_or_insert_with(stateless)
    }

    fn discard(&mut self) {
        self.state = None;
        (self.instance, self.partitioner) = (None, None);
    }

    fn publish(&self, report: TaskReport) {
        if report.phase == TaskPhase::Failed {
            let reason = report.last_error.as_deref().unwrap_or("unknown");
            tracing::warn!("task {} failed and will be tried again: {reason}", self.spec.id);
        }
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

fn missing(what: &str) -> TaskError {
    TaskError::Inconsistent(format!("the task has no such {what}"))
}

/// The state of a step that has no stores.
fn stateless() -> Box<TaskState> {
    Box::new(TaskState::new(Box::new(NoStore), Vec::new()))
}

struct NoStore;

impl StateStore for NoStore {
    fn get(&self, store: usize, _key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Err(StoreError::Failed(format!("there is no store number {store}: the step has none")))
    }

    fn apply(&mut self, changes: &[Change], _stamps: &[(usize, ChangelogStamp)]) -> Result<(), StoreError> {
        match changes.first() {
            None => Ok(()),
            Some(change) => {
                Err(StoreError::Failed(format!("there is no store number {}: the step has none", change.store)))
            }
        }
    }

    fn stamps(&self) -> Result<Vec<Option<ChangelogStamp>>, StoreError> {
        Ok(Vec::new())
    }

    fn estimated_keys(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
