//! The numbers of a broker: what is counted on the way of requests, and what is asked of the parts when somebody wants to
//! know. `broker/server/METRICS.md` lists them with their meanings, which are Kafka's.
//!
//! What is counted costs an addition without a lock, and no text is made: requests are counted in stripes of which each
//! thread has its own, topics by a handle that whoever appends or reads has at hand ([`topics`]). Texts are made when they
//! are asked for ([`collect`]), and sizes are asked of their owners then.
//!
//! Bounds: APIs, versions and error codes are as many as the protocol has; topics as many as there are.

mod collect;
mod exposition;
mod histogram;
mod lag;
mod topics;

pub use collect::collect;
pub use histogram::Histogram;
pub use topics::{TopicNumbers, Topics};

use crate::net::connection_limits::Refused;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// API keys are smaller.
const KEYS: usize = 128;
/// Versions are smaller; one that is not, is counted with the last.
const VERSIONS: usize = 24;
/// Stripes at most.
const MAX_STRIPES: usize = 16;
/// Error codes from -1 on; one that is not among them is counted with the last.
const ERRORS: usize = 160;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long the stages of a request took, by Kafka's names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stages {
    /// It waited for memory, unread.
    pub request_queue: Duration,
    /// It was decoded, and what it asks of the parts was sent to them.
    pub local: Duration,
    /// The parts answered, the disk was synced, records were waited for, and the answers before it had left.
    pub remote: Duration,
    /// The answer was written to the socket.
    pub response_send: Duration,
}

impl Stages {
    /// The stages with their names, and all of them together.
    fn named(&self) -> [(&'static str, Duration); 5] {
        let total = self.request_queue + self.local + self.remote + self.response_send;
        [
            ("request_queue", self.request_queue),
            ("local", self.local),
            ("remote", self.remote),
            ("response_send", self.response_send),
            ("total", total),
        ]
    }
}

/// The numbers of one API on one stripe.
#[derive(Debug, Default)]
struct ApiNumbers {
    versions: [Counter; VERSIONS],
    bytes_in: Counter,
    bytes_out: Counter,
    /// In the order of [`Stages::named`].
    stages: [Histogram; 5],
}

/// What one thread counts. Apart in memory, so that threads do not take the same lines from each other.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    apis: [OnceLock<Box<ApiNumbers>>; KEYS],
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its client closed it.
    ByClient,
    /// It was silent for too long.
    Idle,
    /// Its client was too slow.
    Slow,
    /// What came in was no request.
    Malformed,
    /// A batch with acks=0 was refused, which no answer could have told.
    Unacknowledged,
    /// The broker could not give the answer: its records cannot be read, or it has no form on the wire.
    Unanswerable,
    /// The broker stopped.
    Stopping,
}

impl Ended {
    const ALL: [(Self, &'static str); 7] = [
        (Self::ByClient, "client"),
        (Self::Idle, "idle"),
        (Self::Slow, "slow"),
        (Self::Malformed, "malformed"),
        (Self::Unacknowledged, "unacknowledged"),
        (Self::Unanswerable, "unanswerable"),
        (Self::Stopping, "stopping"),
    ];

    /// Its name among the labels.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What is counted of a listener.
#[derive(Debug, Default)]
pub struct ListenerNumbers {
    name: String,
    accepted: Counter,
    gone: Counter,
    refused: [Counter; 3],
    ended: [Counter; Ended::ALL.len()],
}

impl ListenerNumbers {
    /// A connection was accepted.
    pub fn opened(&self) {
        self.accepted.add(1);
    }

    /// A connection that was accepted is there no more.
    pub fn closed(&self) {
        self.gone.add(1);
    }

    /// A connection was refused.
    pub fn refused(&self, reason: Refused) {
        self.refused[reason as usize].add(1);
    }

    /// A connection ended for this reason.
    pub fn ended(&self, reason: Ended) {
        self.ended[reason as usize].add(1);
    }

    /// Connections that are there.
    fn active(&self) -> u64 {
        // Read in this order, so that it is never less than none.
        let gone = self.gone.get();
        self.accepted.get().saturating_sub(gone)
    }
}

/// What is counted of compaction.
#[derive(Debug, Default)]
pub struct CleanerNumbers {
    /// Logs that were compacted.
    pub rounds: Counter,
    /// Bytes read for that.
    pub bytes_read: Counter,
    /// Bytes written.
    pub bytes_kept: Counter,
    /// Records read.
    pub records_read: Counter,
    /// Records written.
    pub records_kept: Counter,
    /// How long each took.
    pub seconds: Histogram,
    /// Logs that cannot be compacted.
    pub uncleanable: AtomicUsize,
    /// The dirtiest log's dirty part when it was looked last, in millionths.
    pub max_dirty_ppm: AtomicU64,
}

/// The numbers of a broker.
#[derive(Debug)]
pub struct Metrics {
    stripes: Box<[Stripe]>,
    /// Answers with an error code, by API key; seldom enough to need no stripes.
    errors: [OnceLock<Box<[Counter; ERRORS]>>; KEYS],
    /// For how long clients were throttled, by the API key of the request that was too much.
    throttles: [OnceLock<Box<Histogram>>; KEYS],
    listeners: Mutex<Vec<Arc<ListenerNumbers>>>,
    /// The topics.
    pub topics: Topics,
    /// How long syncs of logs took.
    pub flush: Histogram,
    /// Syncs that failed.
    pub flush_failed: Counter,
    /// Compaction.
    pub cleaner: CleanerNumbers,
}

impl Default for Metrics {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stripe = |_| Stripe { apis: std::array::from_fn(|_| OnceLock::new()) };
        Self {
            stripes: (0..threads.next_power_of_two().min(MAX_STRIPES)).map(stripe).collect(),
            errors: std::array::from_fn(|_| OnceLock::new()),
            throttles: std::array::from_fn(|_| OnceLock::new()),
            listeners: Mutex::default(),
            topics: Topics::default(),
            flush: Histogram::default(),
            flush_failed: Counter::default(),
            cleaner: CleanerNumbers::default(),
        }
    }
}

/// A number for this thread. Neighbours have different ones.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, key: i16, version: i16, bytes_in: usize, bytes_out: usize, stages: &Stages) {
        let stripe = &self.stripes[thread_number() % self.stripes.len()];
        let Some(api) = usize::try_from(key).ok().and_then(|key| stripe.apis.get(key)) else { return };
        let api = api.get_or_init(Box::default);
        let version = usize::try_from(version).unwrap_or(VERSIONS).min(VERSIONS - 1);
        api.versions[version].add(1);
        api.bytes_in.add(bytes_in as u64);
        api.bytes_out.add(bytes_out as u64);
        for (histogram, (_, took)) in api.stages.iter().zip(stages.named()) {
            histogram.record(took);
        }
    }

    /// An answer of that API has this error code.
    pub fn error(&self, key: i16, code: i16) {
        let Some(errors) = usize::try_from(key).ok().and_then(|key| self.errors.get(key)) else { return };
        let errors = errors.get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        errors[usize::try_from(i32::from(code) + 1).unwrap_or(ERRORS).min(ERRORS - 1)].add(1);
    }

    /// A client is throttled for so long, because of a request of that API.
    pub fn throttled(&self, key: i16, time: Duration) {
        let Some(throttles) = usize::try_from(key).ok().and_then(|key| self.throttles.get(key)) else { return };
        throttles.get_or_init(Box::default).record(time);
    }

    /// API key, error code and number of the errors that there were.
    pub fn error_codes(&self) -> impl Iterator<Item = (i16, i16, u64)> {
        let keys = self.errors.iter().enumerate();
        keys.filter_map(|(key, errors)| Some((key as i16, errors.get()?))).flat_map(|(key, errors)| {
            let counted = errors.iter().enumerate().map(move |(at, count)| (key, at as i16 - 1, count.get()));
            counted.filter(|(_, _, count)| *count > 0)
        })
    }

    /// The numbers of a listener. Listeners of one name are counted together.
    pub fn listener(&self, name: &str) -> Arc<ListenerNumbers> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listeners.iter().find(|listener| listener.name == name) {
            return known.clone();
        }
        let listener = Arc::new(ListenerNumbers { name: name.to_owned(), ..ListenerNumbers::default() });
        listeners.push(listener.clone());
        listener
    }

    fn listeners(&self) -> Vec<Arc<ListenerNumbers>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
