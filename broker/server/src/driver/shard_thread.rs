//! One shard: its machines, its logs and its timers, and what it does with a letter.

use super::directories::placement::DirectoryIndex;
use super::effects::Outcomes;
use super::flusher::{Flusher, Sync};
use super::mailbox::Addressee;
use super::numbers::Owed;
use super::timers::Timers;
use super::{Driver, Letter, Shared, checkpoints};
use crate::metrics::TopicNumbers;
use pelton_core::event::{Envelope, Event, PartitionReply, PartitionRequest, Reply, ReplyTo, Request};
use pelton_core::model::{METADATA_TOPIC, Offset, PartId, Timestamp, Token, TopicId, TopicPartition};
use pelton_core::shard::Shard;
use pelton_log::{Log, OsDisk, Trimmed};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Stands for a time that the clock cannot tell.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The time of day at the start, and how much has passed since: a clock that nobody sets back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    epoch_ms: i64,
}

impl Clock {
    fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), epoch_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.epoch_ms.saturating_add(passed))
    }

    /// When it will be that time.
    fn instant(&self, at: Timestamp) -> Instant {
        let from_start = Duration::from_millis(at.0.saturating_sub(self.epoch_ms).max(0) as u64);
        self.started.checked_add(from_start).unwrap_or(self.started + FAR)
    }
}

/// A log and its syncs.
pub(super) struct OpenLog {
    pub log: Log<OsDisk>,
    /// The log directory that it is in.
    pub directory: DirectoryIndex,
    pub topic_id: TopicId,
    /// Tells this opening of the log from others of the same name.
    pub generation: u64,
    /// Whether retention may delete its segments.
    pub deletes: bool,
    /// Whether a sync is under way.
    pub syncing: bool,
    /// One past the last offset that is to be synced.
    pub wanted: Option<Offset>,
    /// What is counted of its topic.
    pub numbers: Arc<TopicNumbers>,
}

/// Who waits for an answer.
pub(super) struct Waiting {
    pub answer: oneshot::Sender<Reply>,
    pub about: Owed,
}

/// What one shard thread owns.
pub(crate) struct ShardThread {
    pub(super) index: usize,
    pub(super) driver: Arc<Driver>,
    pub(super) shared: Arc<Shared>,
    pub(super) shard: Shard,
    pub(super) logs: BTreeMap<TopicPartition, OpenLog>,
    pub(super) waiting: HashMap<Token, Waiting>,
    pub(super) timers: Timers,
    pub(super) clock: Clock,
    pub(super) generations: u64,
    /// Logs whose syncs are to be handed over when the mailbox has been drained.
    pub(super) to_sync: BTreeSet<TopicPartition>,
    /// Logs whose last write found no room.
    pub(super) full: BTreeSet<TopicPartition>,
    /// Coordinators that are loaded when every log that was there is open.
    pub(super) unloaded: Vec<(PartId, TopicPartition)>,
    flusher: Flusher,
    pub(super) checkpointer: mpsc::Sender<checkpoints::Round>,
}

impl ShardThread {
    pub(super) fn new(
        index: usize,
        driver: Arc<Driver>,
        shared: Arc<Shared>,
        flusher: Flusher,
        checkpointer: mpsc::Sender<checkpoints::Round>,
    ) -> Self {
        Self {
            index,
            driver,
            shard: Shard::new(shared.core.clone()),
            shared,
            logs: BTreeMap::new(),
            waiting: HashMap::new(),
            timers: Timers::default(),
            clock: Clock::new(),
            generations: 0,
            to_sync: BTreeSet::new(),
            full: BTreeSet::new(),
            unloaded: Vec::new(),
            flusher,
            checkpointer,
        }
    }

    /// Steps the shard and performs what it asks for.
    pub fn step(&mut self, envelope: Envelope) {
        let mut effects = Vec::new();
        self.shard.step(self.clock.now(), envelope, &mut effects);
        self.perform(effects);
    }

    fn synced(&mut self, partition: TopicPartition, generation: u64, result: Result<Offset, String>) {
        let Some(open) = self.logs.get_mut(&partition).filter(|open| open.generation == generation) else { return };
        open.syncing = false;
        if open.wanted.is_some() {
            self.to_sync.insert(partition.clone());
        }
        match result {
            Ok(through) => {
                open.log.mark_flushed(through);
                self.step(Envelope { to: PartId::Partition(partition), event: Event::Flushed { through } });
            }
            Err(message) => self.storage_failed(partition, message),
        }
    }

    /// Fences the log and tells its machine; nothing is tried again.
    pub fn storage_failed(&mut self, partition: TopicPartition, message: String) {
        tracing::error!(%partition, error = message, "the log is fenced: its disk failed");
        self.suspect(&partition);
        if &*partition.topic == METADATA_TOPIC {
            self.shared.directories.metadata_failed(&message);
        }
        if let Some(open) = self.logs.get_mut(&partition) {
            open.log.fence();
            open.wanted = None;
        }
        self.step(Envelope { to: PartId::Partition(partition), event: Event::StorageFailed { message } });
    }

    fn retain(&mut self) {
        let now = self.clock.now().0;
        let due: Vec<TopicPartition> = self
            .logs
            .iter()
            .filter(|(_, open)| open.deletes && !open.log.is_fenced())
            .map(|(p, _)| p.clone())
            .collect();
        for partition in due {
            let Some(high_watermark) = self.shard.watermarks(&partition).map(|marks| marks.high_watermark) else {
                continue;
            };
            let Some(open) = self.logs.get_mut(&partition) else { continue };
            match open.log.retain(now, high_watermark) {
                Ok(Trimmed { segments: 0, .. }) => {}
                Ok(Trimmed { segments, removable }) => {
                    let log_start = open.log.log_start();
                    self.driver.remover().remove_later(removable, open.log.config().file_delete_delay_ms);
                    tracing::info!(%partition, segments, log_start, "old segments were deleted");
                    self.step(Envelope { to: PartId::Partition(partition), event: Event::Trimmed { log_start } });
                }
                Err(error) => self.storage_failed(partition, error.to_string()),
            }
        }
    }

    /// Closes every log. A directory in which one could not be closed well is not marked as left in order.
    fn close_logs(&mut self) {
        for (partition, mut open) in std::mem::take(&mut self.logs) {
            self.last_snapshot(&partition, &mut open);
            let (start, end) = (open.log.log_start(), open.log.log_end());
            let closed = open.log.close();
            if closed.is_ok() {
                self.shared.checkpoints.note(open.directory, &partition, end, start);
            }
            if let Err(error) = closed {
                tracing::warn!(%partition, %error, "a log could not be closed well; the next start recovers it");
                self.shared.directories.of(open.directory).mark_unclean();
            }
        }
    }

    /// Performs effects in their order.
    pub fn perform(&mut self, effects: Vec<pelton_core::effect::Effect>) {
        let mut outcomes = Outcomes::default();
        for effect in effects {
            self.perform_one(effect, &mut outcomes);
        }
        let Outcomes { fenced, no_room, trimmed, rolled } = outcomes;
        // First: what has to be taken back is what the machines remember of this very step.
        if !no_room.is_empty() {
            let mut effects = Vec::new();
            self.shard.no_room(self.clock.now(), no_room, &mut effects);
            self.perform(effects);
        }
        for (partition, message) in fenced {
            self.storage_failed(partition, message);
        }
        self.snapshot(rolled);
        for (partition, log_start, token) in trimmed {
            self.step(Envelope { to: PartId::Partition(partition), event: Event::Trimmed { log_start } });
            let reply = PartitionReply::RecordsDeleted { low_watermark: log_start };
            self.answer(token, Reply::Partition(Ok(reply)));
        }
    }
}

impl Addressee for ShardThread {
    type Letter = Letter;

    fn is_brief(letter: &Letter) -> bool {
        use PartitionRequest as Partition;
        match letter {
            Letter::Ask { request: Request::Partition(request), .. } => {
                !matches!(request, Partition::Locate { .. } | Partition::DeleteRecords { .. })
            }
            Letter::Ask { .. } | Letter::Cancel { .. } | Letter::Deliver(_) | Letter::Synced { .. } => true,
            _ => false,
        }
    }

    fn take(&mut self, letter: Letter) -> ControlFlow<()> {
        match letter {
            Letter::Ask { to, request, token, answer } => {
                if let Some(answer) = answer {
                    self.waiting.insert(token, Waiting { answer, about: Owed::of(&request) });
                }
                self.step(Envelope { to, event: Event::Ask { reply_to: ReplyTo::Shell(token), request } });
            }
            Letter::Cancel { part, token } => {
                if self.waiting.remove(&token).is_some() {
                    self.step(Envelope { to: part, event: Event::Cancelled(token) });
                }
            }
            Letter::Deliver(envelope) => self.step(envelope),
            Letter::Open { partition, topic_id, configs } => self.open(partition, topic_id, configs),
            Letter::Opened(opened) => self.opened(*opened),
            Letter::LoadCoordinators => self.load_coordinators(),
            Letter::Configure { partition, topic_id, configs } => self.configure(&partition, topic_id, &configs),
            Letter::Delete { partition, topic_id } => self.delete(&partition, topic_id),
            Letter::Synced { partition, generation, result } => self.synced(partition, generation, result),
            Letter::Directories(letter) => self.directories_letter(letter),
            Letter::Cleaner(letter) => self.answer_cleaner(letter),
            Letter::Numbers { answer } => {
                let _ = answer.send(self.numbers());
            }
            Letter::Checkpoint => self.checkpoint(),
            Letter::Checkpointed { partition, generation, snapshot } => {
                self.checkpointed(&partition, generation, snapshot);
            }
            Letter::Retain => self.retain(),
            Letter::Stop { done } => {
                self.close_logs();
                let _ = done.send(true);
                return ControlFlow::Break(());
            }
            Letter::Abandon => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        while let Some(part) = self.timers.take_due(now) {
            self.step(Envelope { to: part, event: Event::Tick });
        }
    }

    fn settle(&mut self) {
        for partition in std::mem::take(&mut self.to_sync) {
            let Some(open) = self.logs.get_mut(&partition) else { continue };
            if open.syncing || open.wanted.is_none() {
                continue;
            }
            match open.log.flush_handle() {
                Ok(handle) => {
                    open.syncing = true;
                    open.wanted = None;
                    let generation = open.generation;
                    self.flusher.submit(Sync { shard: self.index, partition, generation, handle });
                }
                Err(error) => self.storage_failed(partition, error.to_string()),
            }
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timers.next().map(|at| self.clock.instant(at))
    }
}
