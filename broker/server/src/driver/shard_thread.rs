//! One shard: a thread, its mailbox, its machines, its logs and its timers.

use super::directories::placement::DirectoryIndex;
use super::effects::Outcomes;
use super::flusher::{Flusher, Sync};
use super::timers::Timers;
use super::{Driver, Letter, Shared, checkpoints, opening};
use pelton_core::event::{Envelope, Event, PartitionReply, Reply, ReplyTo};
use pelton_core::model::{Offset, PartId, Timestamp, Token, TopicId, TopicPartition};
use pelton_core::shard::Shard;
use pelton_log::{Expired, Log, OsDisk};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Letters that are taken before what they wrote is handed to the flusher.
const LETTERS_AT_ONCE: usize = 256;
/// How long the thread sleeps at most when no timer is set.
const IDLE: Duration = Duration::from_secs(60);

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
}

/// What one shard thread owns.
pub(super) struct ShardThread {
    pub index: usize,
    pub driver: Arc<Driver>,
    pub shared: Arc<Shared>,
    pub shard: Shard,
    pub logs: BTreeMap<TopicPartition, OpenLog>,
    pub waiting: HashMap<Token, oneshot::Sender<Reply>>,
    pub timers: Timers,
    pub clock: Clock,
    pub generations: u64,
    /// Logs whose syncs are to be handed over when the mailbox has been drained.
    pub to_sync: BTreeSet<TopicPartition>,
    /// Logs whose last write found no room.
    pub full: BTreeSet<TopicPartition>,
    flusher: Flusher,
    pub checkpointer: mpsc::Sender<checkpoints::Round>,
    mailbox: Receiver<Letter>,
}

/// Ends the process when a machine has found its own state impossible: going on would show clients what must
/// not be seen, and the log is what a restart goes by.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a shard found its state impossible; the broker ends, and its logs tell a restart the truth"
            );
            std::process::abort();
        }
    }
}

impl ShardThread {
    pub fn new(
        index: usize,
        driver: Arc<Driver>,
        shared: Arc<Shared>,
        flusher: Flusher,
        checkpointer: mpsc::Sender<checkpoints::Round>,
        mailbox: Receiver<Letter>,
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
            flusher,
            checkpointer,
            mailbox,
        }
    }

    /// Runs until it is stopped.
    pub fn run(mut self) {
        let _guard = AbortOnPanic;
        loop {
            let wait = match self.timers.next() {
                Some(at) => Duration::from_millis(at.0.saturating_sub(self.clock.now().0).max(0) as u64).min(IDLE),
                None => IDLE,
            };
            let mut letter = match self.mailbox.recv_timeout(wait) {
                Ok(letter) => Some(letter),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut taken = 0;
            while let Some(next) = letter {
                if self.take(next).is_break() {
                    return;
                }
                taken += 1;
                letter = if taken < LETTERS_AT_ONCE { self.mailbox.try_recv().ok() } else { None };
            }
            self.tick();
            self.submit_syncs();
        }
    }

    /// Takes one letter; breaks when it was the last.
    fn take(&mut self, letter: Letter) -> ControlFlow<()> {
        match letter {
            Letter::Ask { to, request, token, answer } => {
                if let Some(answer) = answer {
                    self.waiting.insert(token, answer);
                }
                self.step(Envelope { to, event: Event::Ask { reply_to: ReplyTo::Shell(token), request } });
            }
            Letter::Cancel { part, token } => {
                if self.waiting.remove(&token).is_some() {
                    self.step(Envelope { to: part, event: Event::Cancelled(token) });
                }
            }
            Letter::Deliver(envelope) => self.step(envelope),
            Letter::Open { partition, topic_id, configs } => {
                let result = self.open(partition.clone(), topic_id, &configs);
                opening::report(&self.shared.opening, &partition, result);
            }
            Letter::Configure { partition, topic_id, configs } => self.configure(&partition, topic_id, &configs),
            Letter::Delete { partition, topic_id } => self.delete(&partition, topic_id),
            Letter::Synced { partition, generation, result } => self.synced(partition, generation, result),
            Letter::Directories(letter) => self.directories_letter(letter),
            Letter::Cleaner(letter) => self.answer_cleaner(letter),
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

    /// Steps the shard and performs what it asks for.
    pub fn step(&mut self, envelope: Envelope) {
        let mut effects = Vec::new();
        self.shard.step(self.clock.now(), envelope, &mut effects);
        self.perform(effects);
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        while let Some(part) = self.timers.take_due(now) {
            self.step(Envelope { to: part, event: Event::Tick });
        }
    }

    fn submit_syncs(&mut self) {
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
            match open.log.expire(now, high_watermark) {
                Ok(Expired { segments: 0, .. }) => {}
                Ok(Expired { segments, removable }) => {
                    let log_start = open.log.log_start();
                    self.driver.cleaner().remove_later(removable, open.log.config().file_delete_delay_ms);
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
