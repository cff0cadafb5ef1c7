//! The shells: what performs the effects of the core's machines and tells them what came of it.
//!
//! Each shard owns the machines whose logs hash to it, the logs themselves and the timers, and has one owner at a
//! time: its own thread, or for a moment whoever brings it a letter ([`mailbox`]). The owner takes letters, steps, performs
//! the effects in their order, and then hands what is to be made durable to the flusher, so that everything that came
//! in meanwhile shares one sync. Nothing here branches on what an effect means.
//!
//! Bounds: mailboxes have no limit of their own. What clients put into them is bounded by the memory that
//! requests are admitted to and by the requests in flight of each connection; what shards send each other is a
//! constant number of events for each of those. One sync of a log is under way at most.

pub mod checkpoints;
pub mod cleaner;
pub mod directories;
mod effects;
mod flusher;
mod mailbox;
pub mod numbers;
mod opening;
mod pending;
mod removal;
mod shard_thread;
pub mod storage;
mod throttle;
mod timers;
mod topic_log;

pub(crate) use effects::refusal;
pub use opening::progress::{Ended, Opening};
pub use pending::{Pending, first_of};
pub use topic_log::{log_config, ratio_ppm};

use crate::driver::checkpoints::Checkpoints;
use crate::driver::cleaner::{Cleaner, CleanerConfig, CleanerLetter};
use crate::driver::directories::LogDirectories;
use crate::driver::directories::worker::{DirectoryLetter, Worker};
use crate::driver::flusher::Flusher;
use crate::driver::mailbox::Mailbox;
use crate::driver::numbers::ShardNumbers;
use crate::driver::opening::recovery::{Opened, Recovery, ToOpen};
use crate::driver::removal::Remover;
use crate::driver::shard_thread::ShardThread;
use crate::metrics::Metrics;
use pelton_core::cluster::ClusterImage;
use pelton_core::config::CoreConfig;
use pelton_core::event::{Envelope, Reply, Request};
use pelton_core::model::{METADATA_TOPIC, Offset, PartId, Token, TopicId, TopicPartition};
use pelton_log::LogConfig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};

/// Topic id of the log of the cluster image, which is Kafka's.
const METADATA_TOPIC_ID: TopicId = TopicId(1);

/// The way to a shard.
pub(crate) type ShardMailbox = Mailbox<ShardThread>;

/// What is put into the mailbox of a shard.
pub(crate) enum Letter {
    /// A question from outside of the core, and where its answer goes.
    Ask { to: PartId, request: Request, token: Token, answer: Option<oneshot::Sender<Reply>> },
    /// The asker waits no longer.
    Cancel { part: PartId, token: Token },
    /// An event from a part of another shard.
    Deliver(Envelope),
    /// A partition to open, or to begin.
    Open { partition: TopicPartition, topic_id: TopicId, configs: Arc<BTreeMap<String, String>> },
    /// A log that this shard has handed over is open, or could not be opened.
    Opened(Box<Opened>),
    /// Every log that was there is open: load the coordinators.
    LoadCoordinators,
    /// The configs of a partition's topic were changed.
    Configure { partition: TopicPartition, topic_id: TopicId, configs: Arc<BTreeMap<String, String>> },
    /// A partition to close and to delete.
    Delete { partition: TopicPartition, topic_id: TopicId },
    /// What came of a sync.
    Synced { partition: TopicPartition, generation: u64, result: Result<Offset, String> },
    /// What concerns the log directories.
    Directories(DirectoryLetter),
    /// What the cleaner asks for.
    Cleaner(CleanerLetter),
    /// Tell the numbers.
    Numbers { answer: oneshot::Sender<ShardNumbers> },
    /// Write what keeps the next start short.
    Checkpoint,
    /// A snapshot of a log survives a power cut now.
    Checkpointed { partition: TopicPartition, generation: u64, snapshot: Offset },
    /// Delete what is too old or too much.
    Retain,
    /// Close the logs and end; says whether all of them closed well.
    Stop { done: oneshot::Sender<bool> },
    /// End at once, as if the process had been killed.
    Abandon,
}

/// What all shards share.
pub(crate) struct Shared {
    pub core: Arc<CoreConfig>,
    pub log: LogConfig,
    pub cleaner: CleanerConfig,
    pub directories: Arc<LogDirectories>,
    pub checkpoints: Arc<Checkpoints>,
    pub images: watch::Sender<Arc<ClusterImage>>,
    pub opening: Arc<Opening>,
    pub metrics: Arc<Metrics>,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`.
    pub move_bytes_per_second: Option<u64>,
}

/// The way to the parts.
pub struct Driver {
    core: Arc<CoreConfig>,
    mailboxes: Vec<ShardMailbox>,
    worker: Worker,
    cleaner: Cleaner,
    remover: Remover,
    /// Opens logs for the shards whose indexes stand beside them.
    recovery: Recovery<(usize, ToOpen)>,
    checkpoints: Arc<Checkpoints>,
    tokens: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Driver {
    /// Starts the shard threads and begins to load what the directory holds; `shared.opening` says when that is done.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub(crate) fn start(shards: usize, shared: Shared) -> std::io::Result<Arc<Self>> {
        // One more for the cluster image.
        let mailboxes: Vec<ShardMailbox> = (0..=shards.max(1)).map(|_| Mailbox::new()).collect();
        let (remover, remover_thread) = Remover::start()?;
        let (worker, worker_thread) = Worker::start(
            shared.directories.clone(),
            shared.move_bytes_per_second,
            mailboxes.clone(),
            remover.clone(),
        )?;
        let (cleaner, cleaner_threads) =
            Cleaner::start(shared.cleaner.clone(), mailboxes.clone(), shared.metrics.clone(), remover.clone())?;
        let directories = shared.directories.all().len();
        let openers = mailboxes.clone();
        let open = move |(shard, log): (usize, ToOpen)| {
            let _ = openers[shard].send(Letter::Opened(Box::new(log.open())));
        };
        let (recovery, recovery_threads) = Recovery::start(directories, shared.recovery_threads, open)?;
        let core = shared.core.clone();
        let checkpoints = shared.checkpoints.clone();
        let (checkpointer, checkpoint_thread) = checkpoints::start(checkpoints.clone(), mailboxes.clone())?;
        let driver = Arc::new(Self {
            core,
            mailboxes,
            worker,
            cleaner,
            remover,
            recovery,
            checkpoints,
            tokens: AtomicU64::new(0),
            threads: Mutex::default(),
        });
        let shared = Arc::new(shared);
        let (flusher, mut threads) =
            Flusher::start(4 * shards.clamp(1, 4), driver.mailboxes.clone(), shared.metrics.clone())?;
        threads.extend([worker_thread, remover_thread, checkpoint_thread]);
        threads.extend(cleaner_threads.into_iter().chain(recovery_threads));
        for (index, mailbox) in driver.mailboxes.iter().cloned().enumerate() {
            let name = if index + 1 < driver.mailboxes.len() {
                format!("pelton-shard-{index}")
            } else {
                "pelton-cluster".to_owned()
            };
            let shard = ShardThread::new(index, driver.clone(), shared.clone(), flusher.clone(), checkpointer.clone());
            let builder = std::thread::Builder::new().name(name);
            threads.push(builder.spawn(move || mailbox.run(shard))?);
        }
        *driver.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        shared.opening.begin();
        let partition = TopicPartition::new(METADATA_TOPIC, 0);
        let configs = Arc::new(BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]));
        driver.post(&PartId::Cluster, Letter::Open { partition, topic_id: METADATA_TOPIC_ID, configs });
        Ok(driver)
    }

    /// Settings that decisions depend on.
    pub fn core(&self) -> &CoreConfig {
        &self.core
    }

    /// Asks a part; the question is on its way when this returns. Dropping the answer cancels the question.
    pub fn ask(self: &Arc<Self>, to: PartId, request: Request) -> Pending {
        let token = Token(self.tokens.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let pending = Pending::new(self.clone(), to.clone(), token, answered, &request);
        let _ = self.mailbox(&to).send_here(Letter::Ask { to, request, token, answer: Some(answer) });
        pending
    }

    /// Gives an event to the shard that owns the part.
    pub(crate) fn deliver(&self, envelope: Envelope) {
        let to = envelope.to.clone();
        self.post(&to, Letter::Deliver(envelope));
    }

    pub(crate) fn cancel(&self, part: PartId, token: Token) {
        self.post(&part.clone(), Letter::Cancel { part, token });
    }

    /// Puts a letter into the mailbox of the shard that owns the part. A shard that has ended drops it, and with
    /// it the way of the answer, which is how the asker learns that the broker stops.
    pub(crate) fn post(&self, part: &PartId, letter: Letter) {
        let _ = self.mailbox(part).send(letter);
    }

    fn mailbox(&self, part: &PartId) -> &ShardMailbox {
        &self.mailboxes[shard_of(&part.log(), self.mailboxes.len())]
    }

    /// What looks after the log directories.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// What compacts logs.
    pub(crate) fn cleaner(&self) -> &Cleaner {
        &self.cleaner
    }

    /// What removes files that nobody needs any more.
    pub(crate) fn remover(&self) -> &Remover {
        &self.remover
    }

    /// Lets every shard delete what its retention settings no longer keep.
    pub fn retain(&self) {
        for mailbox in &self.mailboxes {
            let _ = mailbox.send(Letter::Retain);
        }
    }

    /// Closes every log and ends the threads; `true` when all logs were closed well.
    pub async fn stop(&self) -> bool {
        // While the shards still answer it, and before another broker may take the directories.
        if let Some(ended) = self.cleaner.stop() {
            let _ = ended.await;
        }
        let mut closing = Vec::new();
        for mailbox in &self.mailboxes {
            let (done, closed) = oneshot::channel();
            let _ = mailbox.send(Letter::Stop { done });
            closing.push(closed);
        }
        let mut clean = true;
        for closed in closing {
            clean &= closed.await.unwrap_or(false);
        }
        let _ = self.worker.stop().await;
        let _ = self.remover.stop().await;
        self.checkpoints.write();
        clean
    }

    /// Ends the threads without closing anything, and waits for them.
    pub fn abandon(&self) {
        for mailbox in &self.mailboxes {
            let _ = mailbox.send(Letter::Abandon);
        }
        self.recovery.end();
        drop(self.worker.stop());
        drop(self.cleaner.stop());
        drop(self.remover.stop());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// The shard that owns a log. Neighbouring partitions of a topic go to neighbouring shards. The cluster image has the last
/// one for itself, so that a change of it never waits behind records.
fn shard_of(log: &TopicPartition, shards: usize) -> usize {
    let of_records = shards - 1;
    if &*log.topic == METADATA_TOPIC {
        return of_records;
    }
    // FNV-1a: the same on every start, so that a shard's thread is told from a log's name.
    let hash = log
        .topic
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash.wrapping_add(log.partition as u64) % of_records.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_lives_with_its_log_and_partitions_spread() {
        for index in 0..50 {
            let part = PartId::Group(index);
            assert_eq!(shard_of(&part.log(), 5), shard_of(&TopicPartition::new("__consumer_offsets", index), 5));
        }
        let shards: std::collections::BTreeSet<usize> =
            (0..4).map(|index| shard_of(&TopicPartition::new("t", index), 5)).collect();
        assert_eq!(shards, (0..4).collect());
        assert_eq!(shard_of(&PartId::Cluster.log(), 5), 4, "and nothing waits beside the cluster image");
    }
}
