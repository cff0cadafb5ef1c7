//! What a task does next. Pure: no clock, no tokio, no files; events go in, effects come out.
//!
//! ```text
//! start -> fencing -> locating -> opening -> describing -> restoring -> instantiating -> running
//!            ^                                                                             |
//!            '------------ backing off <---- any failure, anywhere <-----------------------+--> stopped
//! ```
//!
//! Running is a circle: read input, call the guest over a piece of it, send what it emitted, and, when it is
//! time, commit: take the changes out of the overlay, send them to the changelogs, commit the transaction
//! with the input offsets, apply the changes and the changelog stamps to the store. Nothing else happens
//! while a commit is under way, so a restart replays at most one commit.
//!
//! Invariants:
//! - The store changes only after the commit was answered (and, while restoring, from committed records).
//! - After any failure, an unknown outcome of a commit above all, everything in memory is dropped and the
//!   task starts over: init settles the open transaction, then the stamp, the changelog and the committed
//!   offsets say where it stands. Nothing is guessed.
//! - Of the effects of one step at most one is answered by an event, and it stands last.

use super::TaskSpec;
use super::changelog;
use super::chunk::Chunk;
use super::outbox::Outbox;
pub use super::restore::ChangelogBounds;
use super::restore::Restore;
use crate::partitioner::Sticky;
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::job::{RecoveryReport, TaskPhase, TaskReport};
use pelton_api::ports::{Partition, PortError, ReadBatches};
use pelton_api::store::{Change, ChangelogStamp, StoreError};
use pelton_api::transform::Processed;
use std::collections::{BTreeMap, VecDeque};

mod processing;

/// Bytes asked of a partition at a time.
pub const READ_BYTES: usize = 1 << 20;
/// Uncommitted state past which a task commits before its interval has passed.
pub const MAX_PENDING_STATE_BYTES: usize = 32 << 20;
/// Uncommitted output past which a task commits before its interval has passed.
pub const MAX_PENDING_OUTPUT_BYTES: usize = 32 << 20;
/// Gathered output past which a task sends without waiting for the commit.
const SEND_BYTES: usize = 256 << 10;
/// How long a read of idle input waits.
const IDLE_WAIT_MS: u64 = 250;
/// The same if the task has several sources, for one round over all of them.
const IDLE_ROUND_MS: u64 = 50;
/// Calls over one record that may run out of time before the record is rejected: the clock of the limit is
/// the wall's, and a machine that is overloaded for a moment must not cost a good record.
const TIMEOUTS: u32 = 3;
/// First and longest pause before a failed task starts over.
const BACK_OFF_MS: (u64, u64) = (100, 10_000);

/// Topics of the outbox, by number; the changelogs follow.
const OUTPUT: usize = 0;
const DEAD_LETTER: usize = 1;
const FIRST_CHANGELOG: usize = 2;

/// Why something that the machine asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The cluster's doing.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The state store's doing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The guest's doing, before it was given any input.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What the cluster answered does not fit together.
    #[error("{0}")]
    Inconsistent(String),
}

/// Where a source stands when a task starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStart {
    /// The committed offset, if there is one.
    pub committed: Option<i64>,
    /// First offset kept.
    pub start: i64,
    /// Last stable offset.
    pub end: i64,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The task is to start.
    Start,
    /// The task is to commit and end. May come at any time and is never answered with effects.
    Stop,
    /// [`Effect::BackOff`] is over.
    Woken,
    /// Answers [`Effect::InitWriter`].
    WriterReady,
    /// Answers [`Effect::LocateSources`].
    Located {
        /// One entry for each source.
        starts: Vec<SourceStart>,
        /// The largest batch, in bytes, that the topics take that the task writes: output, dead letters, and
        /// the changelog of each store.
        largest: Vec<usize>,
    },
    /// Answers [`Effect::OpenStores`].
    StoresOpened {
        /// Stamps by store.
        stamps: Vec<Option<ChangelogStamp>>,
        /// Keys in the stores, estimated.
        estimated_keys: u64,
    },
    /// Answers [`Effect::DescribeChangelogs`], one entry for each store.
    ChangelogsDescribed(Vec<ChangelogBounds>),
    /// Answers [`Effect::SetStoresAside`].
    SetAside,
    /// Answers [`Effect::NewInstance`].
    InstanceReady,
    /// Answers [`Effect::ReadChangelog`].
    ChangelogRead(ReadBatches),
    /// Answers [`Effect::Apply`].
    Applied,
    /// Answers [`Effect::ReadInput`].
    InputRead(ReadBatches),
    /// Answers [`Effect::Process`].
    Processed {
        /// What the guest made of the input.
        result: Result<Processed, Fault>,
        /// The partition of each record that it emitted, in order, -1 where any will do; `None` without a partitioner.
        places: Option<Result<Vec<i32>, Fault>>,
        /// Memory of the uncommitted state, this call's included.
        pending_bytes: usize,
    },
    /// Answers [`Effect::Send`].
    Sent,
    /// Answers [`Effect::TakeChanges`].
    ChangesTaken(Vec<Change>),
    /// Answers [`Effect::Commit`] with the offset after the last record written to each partition.
    Committed(BTreeMap<Partition, i64>),
    /// Answers [`Effect::Abort`].
    Aborted,
    /// Answers any effect that failed, or of which it is not known whether it was done.
    Failed(TaskError),
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Fence earlier writers of the transactional id and settle what they left open.
    InitWriter,
    /// Look up the committed offset and the bounds of each source, and what the topics take that are written.
    LocateSources,
    /// Close the stores if they are open, and open them.
    OpenStores {
        /// Most bytes of one key and its value, by store.
        entry_bytes: Vec<usize>,
    },
    /// Look up identity and bounds of each changelog.
    DescribeChangelogs,
    /// Close the stores and move them out of the way.
    SetStoresAside,
    /// Drop transform and partitioner if there are any, and make fresh ones.
    NewInstance,
    /// Read the changelog of store number `store`.
    ReadChangelog {
        /// Store number.
        store: usize,
        /// Offset.
        from: i64,
    },
    /// Write changes and stamps to the stores in one step. The overlay is empty afterwards.
    Apply {
        /// The changes.
        changes: Vec<Change>,
        /// The stamps, by store number.
        stamps: Vec<(usize, ChangelogStamp)>,
    },
    /// Read source number `source`.
    ReadInput {
        /// Source number.
        source: usize,
        /// Offset.
        from: i64,
        /// How long to wait for input, in milliseconds.
        max_wait_ms: u64,
    },
    /// Call the guest.
    Process(Bytes),
    /// Keep what the last call wrote. Not answered.
    KeepCall,
    /// Drop what the last call wrote. Not answered.
    DropCall,
    /// Send batches within the open transaction.
    Send(Vec<(Partition, Bytes)>),
    /// Take what was written since the last commit out of the overlay.
    TakeChanges,
    /// Commit the transaction together with these input offsets.
    Commit(Vec<(Partition, i64)>),
    /// Abort the open transaction.
    Abort,
    /// Close the stores without applying the overlay, and drop the transform. Not answered.
    Discard,
    /// Wait, or until a stop is asked for.
    BackOff {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Publish where the task stands. Not answered.
    Report(TaskReport),
    /// The task has ended. Not answered.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Created,
    Fencing,
    Locating,
    Opening,
    Describing,
    SettingAside,
    RestoreReading { store: usize, from: i64 },
    RestoreApplying,
    Instantiating,
    Reading { source: usize },
    Processing,
    Sending,
    TakingChanges,
    SendingLast,
    Committing,
    Applying,
    Aborting,
    BackingOff,
    Finished,
}

/// A piece of input that waits for its guest call.
#[derive(Debug, Clone)]
enum Piece {
    Records(Chunk),
    /// A batch whose records cannot be read goes to the dead letters whole.
    Unreadable {
        batch: Bytes,
        base_offset: i64,
        timestamp: i64,
        next_offset: i64,
        reason: String,
    },
}

/// What one start of the task has in memory. Dropped as a whole when anything fails.
#[derive(Debug)]
struct Run {
    /// By source: the next offset to process, what is committed, and the last stable offset.
    positions: Vec<i64>,
    committed: Vec<i64>,
    ends: Vec<i64>,
    next_source: usize,
    /// Pieces of the last read, the source that they came from, and where that read ended.
    queue: VecDeque<Piece>,
    source: usize,
    read_end: i64,
    outbox: Outbox,
    open_since_ms: Option<u64>,
    pending_state_bytes: usize,
    sent_bytes: usize,
    uncommitted: Counts,
    /// How often the call at the front of the queue ran out of time.
    timeouts: u32,
    /// Number of the last commit that changed state.
    commit: u64,
    changelog_ids: Vec<String>,
    /// Most bytes of one key and its value, by store.
    entry_bytes: Vec<usize>,
    changes: Vec<Change>,
    stamps: Vec<Option<ChangelogStamp>>,
    restore: Restore,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    records_in: u64,
    records_out: u64,
    records_rejected: u64,
}

/// Decides what one task does.
#[derive(Debug)]
pub struct Machine {
    spec: TaskSpec,
    phase: Phase,
    stopping: bool,
    /// What was found wrong with the stores' files while they were in use: they are set aside at the next start.
    damage: Option<String>,
    failures: u32,
    started_ms: u64,
    sticky: Sticky,
    report: TaskReport,
    run: Run,
}

impl Machine {
    /// A task that has not started; [`Event::Start`] starts it.
    pub fn new(spec: TaskSpec) -> Self {
        let report = TaskReport {
            step: spec.id.step.clone(),
            partition: spec.id.partition,
            phase: TaskPhase::Restoring,
            last_error: None,
            records_in: 0,
            records_out: 0,
            records_rejected: 0,
            commits: 0,
            lag: 0,
            recovery: RecoveryReport::default(),
        };
        let run = Run::new(&spec);
        Self {
            spec,
            phase: Phase::Created,
            stopping: false,
            damage: None,
            failures: 0,
            started_ms: 0,
            sticky: Sticky::default(),
            report,
            run,
        }
    }

    /// Where the task stands.
    pub fn report(&self) -> &TaskReport {
        &self.report
    }

    /// Takes in what happened and says what to do. `now_ms` is milliseconds since the Unix epoch and never
    /// goes back.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Vec<Effect> {
        match (self.phase, event) {
            (_, Event::Stop) => {
                self.stopping = true;
                Vec::new()
            }
            (Phase::Created, Event::Start) | (Phase::BackingOff, Event::Woken) => self.start(now_ms),
            (Phase::Aborting, _) => self.finish(),
            (phase, Event::Failed(error)) => self.failed(now_ms, phase, error),
            (Phase::Fencing, Event::WriterReady) => self.go(Phase::Locating, Effect::LocateSources),
            (Phase::Locating, Event::Located { starts, largest }) => self.located(&starts, &largest),
            (Phase::Opening, Event::StoresOpened { stamps, estimated_keys }) => {
                self.report.recovery.keys_kept = estimated_keys;
                self.run.stamps = stamps;
                self.go(Phase::Describing, Effect::DescribeChangelogs)
            }
            (Phase::Describing, Event::ChangelogsDescribed(changelogs)) => self.described(now_ms, changelogs),
            (Phase::SettingAside, Event::SetAside) => self.open_stores(),
            (Phase::RestoreReading { store, from }, Event::ChangelogRead(read)) => {
                self.changelog_read(now_ms, store, from, &read)
            }
            (Phase::RestoreApplying, Event::Applied) => self.restore_next(now_ms),
            (Phase::Instantiating, Event::InstanceReady) => self.running(now_ms),
            (Phase::Reading { source }, Event::InputRead(read)) => self.input_read(now_ms, source, &read),
            (Phase::Processing, Event::Processed { result, places, pending_bytes }) => {
                self.processed(now_ms, result, places, pending_bytes)
            }
            (Phase::Sending, Event::Sent) => self.next(now_ms),
            (Phase::TakingChanges, Event::ChangesTaken(changes)) => self.changes_taken(now_ms, changes),
            (Phase::SendingLast, Event::Sent) => self.commit(),
            (Phase::Committing, Event::Committed(ends)) => self.committed(now_ms, &ends),
            (Phase::Applying, Event::Applied) => self.applied(now_ms),
            (Phase::Finished, _) => Vec::new(),
            (phase, event) => {
                let text = format!("the task got {event:.80?} while it was {phase:?}");
                self.restart_after(&TaskError::Inconsistent(text))
            }
        }
    }

    fn go(&mut self, phase: Phase, effect: Effect) -> Vec<Effect> {
        self.phase = phase;
        vec![effect]
    }

    fn start(&mut self, now_ms: u64) -> Vec<Effect> {
        if self.stopping {
            return self.finish();
        }
        self.started_ms = now_ms;
        self.run = Run::new(&self.spec);
        self.report.phase = TaskPhase::Restoring;
        self.report.recovery = RecoveryReport::default();
        self.phase = Phase::Fencing;
        vec![Effect::Report(self.report.clone()), Effect::InitWriter]
    }

    fn open_stores(&mut self) -> Vec<Effect> {
        let entry_bytes = self.run.entry_bytes.clone();
        self.go(Phase::Opening, Effect::OpenStores { entry_bytes })
    }

    fn located(&mut self, starts: &[SourceStart], largest: &[usize]) -> Vec<Effect> {
        for (source, start) in self.spec.sources.iter().zip(starts) {
            let position = start.committed.unwrap_or(start.start);
            if position > start.end {
                let text = format!(
                    "the committed offset {position} of {}-{} lies past its end {}; was the topic made anew? Stop the job \
                     and delete the offsets of group {} to begin at the topic's start",
                    source.topic, source.index, start.end, self.spec.group
                );
                return self.restart_after(&TaskError::Inconsistent(text));
            }
            if position < start.start {
                self.report.last_error = Some(lost_to_retention(source, position, start.start));
            }
            self.run.positions.push(position.max(start.start));
            self.run.committed.push(position.max(start.start));
            self.run.ends.push(start.end);
        }
        if self.run.positions.len() != self.spec.sources.len() {
            let text = "the cluster described another number of sources than the task has".to_owned();
            return self.restart_after(&TaskError::Inconsistent(text));
        }
        let topics = topics(&self.spec);
        if topics.len() != largest.len() {
            let text = "the cluster described another number of topics than the task writes".to_owned();
            return self.restart_after(&TaskError::Inconsistent(text));
        }
        let least = super::dead_letter::LEAST_MESSAGE_BYTES;
        if largest[DEAD_LETTER] < least {
            let (topic, found) = (&self.spec.dead_letter.topic, largest[DEAD_LETTER]);
            let text = format!(
                "the dead-letter topic {topic} takes {found} bytes at a time, and a dead letter needs {least}; \
                 make it with a larger max.message.bytes"
            );
            return self.restart_after(&TaskError::Inconsistent(text));
        }
        self.run.outbox = Outbox::limited(topics, largest);
        self.run.entry_bytes =
            largest[FIRST_CHANGELOG..].iter().map(|bytes| changelog::largest_entry(*bytes)).collect();
        self.report.lag = self.run.lag();
        if self.spec.stores.is_empty() {
            return self.go(Phase::Instantiating, Effect::NewInstance);
        }
        match self.damage.take() {
            Some(reason) => self.set_aside(reason),
            None => self.open_stores(),
        }
    }

    fn described(&mut self, now_ms: u64, changelogs: Vec<ChangelogBounds>) -> Vec<Effect> {
        if changelogs.len() != self.spec.stores.len() {
            let text = "the cluster described another number of changelogs than the task has".to_owned();
            return self.restart_after(&TaskError::Inconsistent(text));
        }
        match Restore::plan(&self.run.stamps, changelogs) {
            Ok(restore) => {
                self.run.restore = restore;
                self.restore_next(now_ms)
            }
            Err(reason) => self.set_aside(reason),
        }
    }

    fn set_aside(&mut self, reason: String) -> Vec<Effect> {
        self.report.last_error = Some(format!("{reason}; it was set aside and is rebuilt from the changelog"));
        self.phase = Phase::SettingAside;
        vec![Effect::Report(self.report.clone()), Effect::SetStoresAside]
    }

    fn restore_next(&mut self, now_ms: u64) -> Vec<Effect> {
        if self.stopping {
            return self.finish();
        }
        if let Some((store, from)) = self.run.restore.next_read() {
            return self.go(Phase::RestoreReading { store, from }, Effect::ReadChangelog { store, from });
        }
        let (records, commits) = self.run.restore.replayed();
        self.report.recovery.changelog_records_replayed = records;
        self.report.recovery.commits_replayed = commits;
        self.report.recovery.restore_ms = now_ms.saturating_sub(self.started_ms);
        self.run.commit = self.run.restore.last_commit;
        self.run.changelog_ids = self.run.restore.topic_ids();
        self.go(Phase::Instantiating, Effect::NewInstance)
    }

    fn changelog_read(&mut self, now_ms: u64, store: usize, from: i64, read: &ReadBatches) -> Vec<Effect> {
        let changelog = &self.spec.changelogs[store];
        if read.next_offset <= from {
            let text = format!("{}-{} gave nothing at offset {from}", changelog.topic, changelog.index);
            return self.restart_after(&TaskError::Port(PortError::Retriable(text)));
        }
        match changelog::read(&read.batches, from, store) {
            Ok(entries) => {
                let stamp = self.run.restore.advance(store, &entries, read.next_offset);
                if entries.is_empty() {
                    return self.restore_next(now_ms);
                }
                let changes = entries.into_iter().map(|entry| entry.change).collect();
                self.go(Phase::RestoreApplying, Effect::Apply { changes, stamps: vec![(store, stamp)] })
            }
            Err(error) => {
                let text = format!("{}-{} cannot be read at offset {from}: {error}", changelog.topic, changelog.index);
                self.restart_after(&TaskError::Inconsistent(text))
            }
        }
    }

    fn failed(&mut self, now_ms: u64, phase: Phase, error: TaskError) -> Vec<Effect> {
        match (phase, &error) {
            (Phase::Reading { source }, TaskError::Port(PortError::OffsetOutOfRange { asked, start, .. }))
                if asked < start =>
            {
                self.report.last_error = Some(lost_to_retention(&self.spec.sources[source], *asked, *start));
                self.run.positions[source] = *start;
                self.next(now_ms)
            }
            (Phase::Opening, TaskError::Store(StoreError::Damaged(_))) => self.set_aside(error.to_string()),
            // Only a start may set stores aside: by then what the open transaction holds is settled.
            (_, TaskError::Store(StoreError::Damaged(_))) => {
                self.damage = Some(error.to_string());
                self.restart_after(&error)
            }
            _ => self.restart_after(&error),
        }
    }

    /// Drops everything in memory and starts over after a pause.
    fn restart_after(&mut self, error: &TaskError) -> Vec<Effect> {
        self.run = Run::new(&self.spec);
        self.report.phase = TaskPhase::Failed;
        self.report.last_error = Some(error.to_string());
        if self.stopping {
            // What is open is aborted now, so that readers do not wait for its timeout.
            self.phase = Phase::Aborting;
            return vec![Effect::Discard, Effect::Abort];
        }
        let (first, longest) = BACK_OFF_MS;
        let ms = first.saturating_mul(1 << self.failures.min(20)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::BackingOff;
        vec![Effect::Discard, Effect::Report(self.report.clone()), Effect::BackOff { ms }]
    }

    fn finish(&mut self) -> Vec<Effect> {
        self.phase = Phase::Finished;
        self.report.phase = TaskPhase::Stopped;
        vec![Effect::Discard, Effect::Report(self.report.clone()), Effect::Finished]
    }
}

impl Run {
    fn new(spec: &TaskSpec) -> Self {
        Self {
            positions: Vec::new(),
            committed: Vec::new(),
            ends: Vec::new(),
            next_source: 0,
            queue: VecDeque::new(),
            source: 0,
            read_end: 0,
            outbox: Outbox::new(topics(spec)),
            open_since_ms: None,
            pending_state_bytes: 0,
            sent_bytes: 0,
            uncommitted: Counts::default(),
            timeouts: 0,
            commit: 0,
            changelog_ids: Vec::new(),
            entry_bytes: Vec::new(),
            changes: Vec::new(),
            restore: Restore::default(),
            stamps: Vec::new(),
        }
    }

    fn lag(&self) -> i64 {
        let done = if self.open_since_ms.is_some() { &self.committed } else { &self.positions };
        self.ends.iter().zip(done).map(|(end, done)| (end - done).max(0)).sum()
    }
}

/// The topics that a task writes, by number.
fn topics(spec: &TaskSpec) -> Vec<String> {
    let mut topics = vec![spec.output.topic.clone(), spec.dead_letter.topic.clone()];
    topics.extend(spec.changelogs.iter().map(|changelog| changelog.topic.clone()));
    topics
}

fn lost_to_retention(source: &Partition, asked: i64, start: i64) -> String {
    format!(
        "records {asked} to {} of {}-{} were deleted by retention before they were processed",
        start - 1,
        source.topic,
        source.index
    )
}

#[cfg(test)]
mod tests;
