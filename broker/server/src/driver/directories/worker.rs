//! The thread that looks after the log directories: it checks them and copies logs that move, so that no shard waits for
//! that.
//!
//! Bounds: one copy of a few hundred KiB at a time, whichever move is next, and no more bytes a second than
//! `replica.alter.log.dirs.io.max.bytes.per.second` says; what waits for that holds nothing else up. One suspicion of each
//! directory.

use super::LogDirectories;
use super::moving::Step;
use super::placement::DirectoryIndex;
use super::swap;
use crate::driver::removal::Remover;
use crate::driver::throttle::Throttle;
use crate::driver::{Letter, ShardMailbox, shard_of};
use pelton_core::model::{Offset, TopicId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_log::{AbortedTxn, Log, LogConfig, LogError, LogSlice, OsDisk};
use pelton_record::BatchHeader;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often each directory is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a move waits for what is to be made durable in its log.
const DURABLE_INTERVAL: Duration = Duration::from_millis(5);
/// How long a shard may take to answer; it may be opening logs.
const SHARD_PATIENCE: Duration = Duration::from_secs(300);
/// Bytes that are copied at a time; a batch that is larger is copied whole.
pub(super) const COPY_BYTES: usize = 512 << 10;

/// What the shards are told of directories, or asked.
pub(crate) enum DirectoryLetter {
    /// A directory has gone offline.
    Failed { directory: DirectoryIndex, message: Arc<str> },
    /// How large the logs are, and where.
    Describe { answer: oneshot::Sender<Vec<LogSize>> },
    /// Move a log (AlterReplicaLogDirs).
    Move { partition: TopicPartition, to: DirectoryIndex, answer: oneshot::Sender<Result<(), Refusal>> },
    /// What a copy that ends at `copied` does next.
    Next { partition: TopicPartition, id: u64, copied: Offset, answer: Sender<Next> },
    /// Put a copy that has caught up in the place of its log.
    Swap { partition: TopicPartition, id: u64, copy: Box<Log<OsDisk>>, answer: Sender<swap::Swapped> },
}

/// A log, as DescribeLogDirs shows it.
#[derive(Debug, Clone)]
pub(crate) struct LogSize {
    pub partition: TopicPartition,
    pub directory: DirectoryIndex,
    pub bytes: u64,
    pub log_end: Offset,
}

/// What a copy does next.
pub(crate) enum Next {
    /// As the rules say.
    Step(Step),
    /// Take over these batches, and the transactions whose abort markers are among them.
    Batches { slice: LogSlice<OsDisk>, aborted: Vec<AbortedTxn> },
    /// The move was given up.
    Gone,
}

/// What the thread is asked for.
enum Work {
    Suspect(DirectoryIndex),
    Move(Order),
    Stop(#[allow(dead_code, reason = "dropping it says that the thread has ended")] oneshot::Sender<()>),
}

/// A move to be carried out.
pub(crate) struct Order {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    pub id: u64,
    pub path: PathBuf,
    pub config: LogConfig,
}

/// The way to the thread.
#[derive(Clone)]
pub struct Worker {
    work: Sender<Work>,
    directories: Arc<LogDirectories>,
    remover: Remover,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub(crate) fn start(
        directories: Arc<LogDirectories>,
        move_bytes_per_second: Option<u64>,
        shards: Vec<ShardMailbox>,
        remover: Remover,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (work, waiting) = mpsc::channel();
        let thread = WorkerThread {
            directories: directories.clone(),
            remover: remover.clone(),
            shards,
            waiting,
            moves: VecDeque::new(),
            throttle: Throttle::new(move_bytes_per_second),
            started: Instant::now(),
            next_copy: Duration::ZERO,
        };
        let builder = std::thread::Builder::new().name("pelton-log-dirs".to_owned());
        Ok((Self { work, directories, remover }, builder.spawn(move || thread.run())?))
    }

    /// Everything that existed is open: removes what is of no use to anybody.
    pub fn loaded(&self) {
        self.directories.started().into_iter().for_each(|path| self.remover.remove(path));
    }

    /// Something in the directory failed: finds out whether the directory itself has.
    pub fn suspect(&self, directory: DirectoryIndex) {
        if self.directories.of(directory).suspect() {
            let _ = self.work.send(Work::Suspect(directory));
        }
    }

    /// A segment could not be read: finds out whether its directory has failed.
    pub fn suspect_holder(&self, segment: &Path) {
        if let Some(directory) = self.directories.of_file(segment) {
            self.suspect(directory);
        }
    }

    pub(crate) fn begin(&self, order: Order) {
        let _ = self.work.send(Work::Move(order));
    }

    /// A directory was found to be unusable: nobody uses it from now on.
    pub(crate) fn fail(&self, index: DirectoryIndex, reason: &str, shards: &[ShardMailbox]) {
        fail(&self.directories, index, reason, shards);
    }

    /// Ends the thread when it has finished what it is at; the receiver then closes.
    pub fn stop(&self) -> oneshot::Receiver<()> {
        let (ended, end) = oneshot::channel();
        let _ = self.work.send(Work::Stop(ended));
        end
    }
}

struct WorkerThread {
    directories: Arc<LogDirectories>,
    remover: Remover,
    shards: Vec<ShardMailbox>,
    waiting: Receiver<Work>,
    moves: VecDeque<Copying>,
    throttle: Throttle,
    started: Instant,
    /// When the moves may go on, counted from `started`.
    next_copy: Duration,
}

/// A move at work.
struct Copying {
    order: Order,
    /// Nothing while the shard has it, and where it could not be opened.
    copy: Option<Box<Log<OsDisk>>>,
}

/// How a move goes on.
enum Going {
    On,
    Waiting,
    Over,
}

impl WorkerThread {
    fn run(mut self) {
        let mut checked = Instant::now();
        let mut pause = CHECK_INTERVAL;
        loop {
            match self.take(pause) {
                Ok(Some(Work::Suspect(directory))) => self.probe(directory),
                Ok(Some(Work::Move(order))) => {
                    // At once, even where it has to wait for its share: the next start goes on with what it finds. An
                    // error shows itself again when it is the move's turn.
                    let copy = super::open_copy(&order).ok().map(Box::new);
                    self.moves.push_back(Copying { order, copy });
                }
                Ok(None) => {}
                Ok(Some(Work::Stop(_))) | Err(()) => return,
            }
            if checked.elapsed() >= CHECK_INTERVAL {
                self.check_all();
                checked = Instant::now();
            }
            pause = CHECK_INTERVAL;
            let throttled = self.next_copy.saturating_sub(self.started.elapsed());
            if !throttled.is_zero() && !self.moves.is_empty() {
                self.drop_given_up();
                pause = throttled.min(CHECK_INTERVAL);
            } else if let Some(mut copying) = self.moves.pop_front() {
                let going = self.advance(&mut copying);
                // One that waits lets the others go on.
                pause = if matches!(going, Going::Waiting) { DURABLE_INTERVAL } else { Duration::ZERO };
                if !matches!(going, Going::Over) {
                    self.moves.push_back(copying);
                }
            }
        }
    }

    fn take(&self, pause: Duration) -> Result<Option<Work>, ()> {
        if pause.is_zero() {
            return match self.waiting.try_recv() {
                Ok(work) => Ok(Some(work)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(()),
            };
        }
        match self.waiting.recv_timeout(pause) {
            Ok(work) => Ok(Some(work)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// Something else may have been put in the place of a directory, and what is open does not notice.
    fn check_all(&self) {
        for (index, directory) in self.directories.online() {
            if let Err(error) = directory.check() {
                self.fail(index, &error.to_string());
            }
        }
    }

    fn probe(&self, index: DirectoryIndex) {
        let directory = self.directories.of(index);
        directory.suspicion_settled();
        if directory.failure().is_none()
            && let Err(error) = directory.probe()
        {
            self.fail(index, &error.to_string());
        }
    }

    fn fail(&self, index: DirectoryIndex, reason: &str) {
        fail(&self.directories, index, reason, &self.shards);
    }

    /// Asks the shard that owns a partition; nothing when the broker stops.
    fn ask<A>(&self, partition: &TopicPartition, letter: impl FnOnce(Sender<A>) -> DirectoryLetter) -> Option<A> {
        let (answer, answered) = mpsc::channel();
        let shard = &self.shards[shard_of(partition, self.shards.len())];
        shard.send(Letter::Directories(letter(answer))).ok()?;
        answered.recv_timeout(SHARD_PATIENCE).ok()
    }

    /// Moves that were given up do not wait for their turn to go.
    fn drop_given_up(&mut self) {
        let directories = &self.directories;
        self.moves.retain(|Copying { order, .. }| {
            let goes_on = directories.moves.get(&order.partition, order.id).is_some();
            if !goes_on {
                self.remover.remove(order.path.clone());
            }
            goes_on
        });
    }

    fn advance(&mut self, copying: &mut Copying) -> Going {
        match self.try_advance(copying) {
            Ok(going) => going,
            Err(error) => {
                let Order { partition, id, path, .. } = &copying.order;
                tracing::error!(%partition, %error, "a log cannot be moved; it stays where it is");
                copying.copy = None;
                if let Some(moving) = self.directories.moves.get(partition, *id) {
                    self.directories.end_move(partition);
                    self.probe(moving.to);
                }
                self.remover.remove(path.clone());
                Going::Over
            }
        }
    }

    fn try_advance(&mut self, copying: &mut Copying) -> Result<Going, LogError> {
        let order = &copying.order;
        let (partition, id) = (&order.partition, order.id);
        let mut copy = match copying.copy.take() {
            Some(copy) => copy,
            None => Box::new(super::open_copy(order)?),
        };
        let copied = copy.log_end();
        self.directories.moves.advanced(partition, id, copied, copy.size_bytes());
        let next =
            self.ask(partition, |answer| DirectoryLetter::Next { partition: partition.clone(), id, copied, answer });
        let Some(next) = next else { return Ok(Going::Over) };
        let mut going = Going::On;
        match next {
            Next::Step(Step::Begin(offset)) => copy.reset_to(offset)?,
            Next::Step(Step::Truncate(offset)) => copy.truncate_to(offset)?,
            // The shard sends batches instead.
            Next::Step(Step::Copy | Step::Wait) => going = Going::Waiting,
            Next::Step(Step::Swap) => {
                // What is left for the shard to sync is next to nothing then.
                let through = copy.flush_handle()?.sync()?;
                copy.mark_flushed(through);
                let swapped = self.ask(partition, |answer| DirectoryLetter::Swap {
                    partition: partition.clone(),
                    id,
                    copy,
                    answer,
                });
                return Ok(self.swapped(swapped, copying));
            }
            Next::Batches { slice, aborted } => {
                append(&mut copy, &slice, &aborted)?;
                self.directories.moves.advanced(partition, id, copy.log_end(), copy.size_bytes());
                self.next_copy = self.throttle.take(self.started.elapsed(), slice.len as u64);
            }
            Next::Gone => {
                drop(copy);
                self.remover.remove(order.path.clone());
                return Ok(Going::Over);
            }
        }
        copying.copy = Some(copy);
        Ok(going)
    }

    fn swapped(&self, swapped: Option<swap::Swapped>, copying: &mut Copying) -> Going {
        match swapped {
            Some(swap::Swapped::Done { left_behind }) => {
                left_behind.into_iter().for_each(|path| self.remover.remove(path));
                Going::Over
            }
            Some(swap::Swapped::NotYet(copy)) => {
                copying.copy = Some(copy);
                Going::On
            }
            Some(swap::Swapped::GivenUp) => {
                self.remover.remove(copying.order.path.clone());
                Going::Over
            }
            None => Going::Over,
        }
    }
}

/// Appends the batches of a slice as they are.
pub(super) fn append(copy: &mut Log<OsDisk>, slice: &LogSlice<OsDisk>, aborted: &[AbortedTxn]) -> Result<(), LogError> {
    let bytes = slice.read()?;
    let mut aborted = aborted.iter().peekable();
    let mut at = 0;
    while at < bytes.len() {
        let header = BatchHeader::parse(&bytes[at..])?;
        let end = at + header.total_len();
        if header.base_offset >= copy.log_end() {
            super::append_to_copy(copy, &bytes[at..end], &header)?;
            while let Some(transaction) = aborted.next_if(|aborted| aborted.last_offset <= header.last_offset()) {
                if transaction.last_offset >= header.base_offset {
                    copy.append_aborted(*transaction);
                }
            }
        }
        at = end;
    }
    Ok(())
}

fn fail(directories: &LogDirectories, index: DirectoryIndex, reason: &str, shards: &[ShardMailbox]) {
    if !directories.fail(index, reason) {
        return;
    }
    let message: Arc<str> = directories.offline_message().into();
    for shard in shards {
        let letter = DirectoryLetter::Failed { directory: index, message: message.clone() };
        let _ = shard.send(Letter::Directories(letter));
    }
}
