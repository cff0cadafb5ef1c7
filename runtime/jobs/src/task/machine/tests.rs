use super::*;
use crate::double::{Cluster, CountingFactory, Mirror, at};
use crate::state::memory::MemoryStores;
use crate::state::overlay::TaskState;
use crate::task::Target;
use pelton_api::partitioner::Partitioner;
use pelton_api::store::{StoreFactory, TaskId};
use pelton_api::transform::{Transform, TransformFactory};
use pelton_record::BatchView;
use std::sync::Arc;

mod route;
mod scripted;
mod simulation;

pub(super) fn spec(sources: usize, stores: usize) -> TaskSpec {
    let store = |n: usize| format!("store{n}");
    TaskSpec {
        id: TaskId { job: "pv".into(), step: "count".into(), partition: 0 },
        plugin: "counting@1".parse().unwrap(),
        config: "{}".into(),
        sources: (0..sources).map(|n| at(&format!("in{n}"), 0)).collect(),
        stores: (0..stores).map(store).collect(),
        changelogs: (0..stores).map(|n| at(&format!("log{n}"), 0)).collect(),
        output: Target { topic: "out".into(), partitions: 2 },
        partitioned: true,
        dead_letter: Target { topic: "dead".into(), partitions: 1 },
        group: "pelton-pv-count".into(),
        transactional_id: "pelton-pv-count-0".into(),
        commit_interval_ms: 50,
    }
}

pub(super) fn cluster(spec: &TaskSpec) -> Cluster {
    let mut cluster = Cluster::default();
    for partition in spec.sources.iter().chain(&spec.changelogs) {
        cluster.make_topic(&partition.topic, 1);
    }
    cluster.make_topic(&spec.output.topic, spec.output.partitions);
    cluster.make_topic(&spec.dead_letter.topic, 1);
    cluster
}

/// A task's process: the machine, and what the driver would hold. It performs effects at once.
pub(super) struct Process {
    pub machine: Machine,
    spec: TaskSpec,
    stores: MemoryStores,
    epoch: u32,
    state: Option<Box<TaskState>>,
    instance: Option<Box<dyn Transform>>,
    /// Whether the output topic has a partitioner.
    placed: bool,
    /// Effects that were not answered yet, and the event to be given to the machine.
    pub waiting: VecDeque<Effect>,
    pub event: Option<Event>,
    pub finished: bool,
    /// Every effect that was asked for, by name, for scripted tests.
    pub asked: Vec<&'static str>,
    pub backoffs: Vec<u64>,
}

impl Process {
    pub fn new(spec: &TaskSpec, stores: &MemoryStores) -> Self {
        Self {
            machine: Machine::new(spec.clone()),
            spec: spec.clone(),
            stores: stores.clone(),
            epoch: 0,
            state: None,
            instance: None,
            placed: spec.output.topic == "mirrored",
            waiting: VecDeque::new(),
            event: Some(Event::Start),
            finished: false,
            asked: Vec::new(),
            backoffs: Vec::new(),
        }
    }

    /// Gives the machine its event, and performs all effects that are not answered. What is left waits.
    pub fn think(&mut self, now_ms: u64) {
        let Some(event) = self.event.take() else { return };
        self.waiting.extend(self.machine.step(now_ms, event));
        let answered = |effect: &Effect| !self.unanswered(effect);
        assert!(self.waiting.iter().filter(|e| answered(e)).count() <= 1, "at most one effect is answered");
        assert!(self.waiting.iter().rev().skip(1).all(|e| !answered(e)), "the answered effect stands last");
        while self.waiting.front().is_some_and(|effect| self.unanswered(effect)) {
            match self.waiting.pop_front().unwrap() {
                Effect::KeepCall => drop(self.state().keep_call()),
                Effect::DropCall => self.state().drop_call(),
                Effect::Discard => (self.state, self.instance) = (None, None),
                Effect::Finished => self.finished = true,
                _ => {}
            }
        }
        assert!(self.finished || self.waiting.len() == 1, "a task that has not ended waits for something");
    }

    fn unanswered(&self, effect: &Effect) -> bool {
        use Effect::*;
        matches!(effect, KeepCall | DropCall | Discard | Report(_) | Finished)
    }

    /// Performs the waiting effect. `partly` stops a send half way.
    pub fn act(&mut self, cluster: &mut Cluster, partly: bool) {
        let Some(effect) = self.waiting.pop_front() else { return };
        self.event = Some(self.perform(effect, cluster, partly).unwrap_or_else(Event::Failed));
    }

    /// The waiting effect is not performed, or it is not known to have been.
    pub fn fail(&mut self) {
        self.waiting.clear();
        self.event = Some(Event::Failed(TaskError::Port(PortError::Retriable("injected".into()))));
    }

    fn state(&mut self) -> &mut TaskState {
        // A step without stores has an empty state, which nobody opens.
        assert!(self.state.is_some() || self.spec.stores.is_empty(), "the stores are open");
        let open = || self.stores.open(&self.spec.id, &[]).expect("there is nothing to open");
        self.state.get_or_insert_with(|| Box::new(TaskState::new(open(), Vec::new())))
    }

    fn perform(&mut self, effect: Effect, cluster: &mut Cluster, partly: bool) -> Result<Event, TaskError> {
        let id = self.spec.transactional_id.clone();
        let mut asked = |name| self.asked.push(name);
        Ok(match effect {
            Effect::InitWriter => {
                asked("init");
                self.epoch = cluster.init(&id);
                Event::WriterReady
            }
            Effect::LocateSources => {
                asked("locate");
                let locate = |source| {
                    let (start, end) = cluster.bounds(source)?;
                    Ok(SourceStart { committed: cluster.committed_offset(&self.spec.group, source), start, end })
                };
                let starts = self.spec.sources.iter().map(locate).collect::<Result<_, PortError>>()?;
                let largest = |topic: String| cluster.describe(&topic).unwrap().max_message_bytes;
                Event::Located { starts, largest: topics(&self.spec).into_iter().map(largest).collect() }
            }
            Effect::OpenStores { entry_bytes } => {
                asked("open");
                self.state = None;
                let store = self.stores.open(&self.spec.id, &self.spec.stores)?;
                let state = self.state.insert(Box::new(TaskState::new(store, entry_bytes)));
                Event::StoresOpened { stamps: state.stamps()?, estimated_keys: state.estimated_keys() }
            }
            Effect::DescribeChangelogs => {
                asked("describe");
                let describe = |changelog: &Partition| {
                    let (start, end) = cluster.bounds(changelog)?;
                    let topic_id = cluster.describe(&changelog.topic).unwrap().id;
                    Ok(ChangelogBounds { topic_id, start, end })
                };
                let changelogs = self.spec.changelogs.iter().map(describe).collect::<Result<_, PortError>>()?;
                Event::ChangelogsDescribed(changelogs)
            }
            Effect::SetStoresAside => {
                asked("set aside");
                self.state = None;
                self.stores.set_aside(&self.spec.id)?;
                Event::SetAside
            }
            Effect::NewInstance => {
                asked("instance");
                let counting: Arc<dyn TransformFactory> = Arc::new(CountingFactory);
                let factory = crate::pass::transform(&self.spec.plugin).unwrap_or(counting);
                self.instance = Some(factory.instantiate(&self.spec.config, &self.spec.stores)?);
                Event::InstanceReady
            }
            Effect::ReadChangelog { store, from } => {
                asked("read changelog");
                // A few records at a time, so that a restore takes several steps.
                Event::ChangelogRead(cluster.read(&self.spec.changelogs[store], from, 200)?)
            }
            Effect::Apply { changes, stamps } => {
                asked("apply");
                self.state().apply(&changes, &stamps)?;
                Event::Applied
            }
            Effect::ReadInput { source, from, .. } => {
                asked("read");
                Event::InputRead(cluster.read(&self.spec.sources[source], from, 300)?)
            }
            Effect::Process(batch) => {
                asked("process");
                self.state();
                let state = self.state.take().expect("there is a state");
                let (state, result) = self.instance.as_mut().unwrap().process(&batch, state);
                let state = state.into_any().downcast::<TaskState>().unwrap();
                if let Some(damage) = state.damage().cloned() {
                    return Err(damage.into());
                }
                let result = state.call_fault().cloned().map_or(result, Err);
                let pending_bytes = state.pending_bytes();
                self.state = Some(state);
                let partitions = self.spec.output.partitions;
                let well_formed = result.as_ref().ok().filter(|processed| BatchView::parse(&processed.output).is_ok());
                let placed = well_formed.filter(|_| self.placed);
                let places = placed.map(|processed| Mirror.partition(&processed.output, "mirrored", partitions));
                Event::Processed { result, places, pending_bytes }
            }
            Effect::Send(batches) => {
                asked("send");
                let count = if partly { batches.len() / 2 } else { batches.len() };
                for (to, batch) in &batches[..count] {
                    cluster.send(&id, self.epoch, to, batch)?;
                }
                if partly {
                    return Err(PortError::Retriable("half was sent".into()).into());
                }
                Event::Sent
            }
            Effect::TakeChanges => {
                asked("take");
                Event::ChangesTaken(self.state().changes())
            }
            Effect::Commit(offsets) => {
                asked("commit");
                Event::Committed(cluster.commit(&id, self.epoch, &self.spec.group, &offsets)?)
            }
            Effect::Abort => {
                asked("abort");
                cluster.abort(&id, self.epoch)?;
                Event::Aborted
            }
            Effect::BackOff { ms } => {
                asked("back off");
                self.backoffs.push(ms);
                Event::Woken
            }
            other => panic!("{other:?} is not answered"),
        })
    }

    /// Runs without faults until the task has ended or has read nothing `idle` times.
    pub fn settle(&mut self, cluster: &mut Cluster, now_ms: &mut u64, idle: usize) {
        let mut idle_reads = 0;
        for _ in 0..100_000 {
            *now_ms += 20;
            self.think(*now_ms);
            if self.finished || idle_reads >= idle {
                return;
            }
            let reads = matches!(self.waiting.front(), Some(Effect::ReadInput { .. }));
            self.act(cluster, false);
            let empty = matches!(&self.event, Some(Event::InputRead(read)) if read.batches.is_empty());
            idle_reads = if reads && empty && self.machine.report().lag == 0 { idle_reads + 1 } else { 0 };
        }
        panic!("the task does not settle: {:?}", self.machine.report());
    }
}
