//! A shadow chain: it is given what the live chain is given, on a thread of its own, and what it makes of it is compared.
//!
//! It decides nothing: what it emits is thrown away, its state is its own, its faults are counted and told nobody but the report.
//! The live chain never waits for it: what the queue has no room for is skipped and counted. Batches that are delivered from the
//! cache of on-consume pass neither chain.

use crate::chain::{Chain, Passed, Stopped};
use crate::circuit::shortened;
use crate::form;
use crate::library::{Event, Events};
use crate::link::{Settle, Terms};
use crate::report::{Difference, ShadowReport, count};
use bytes::Bytes;
use pelton_api::hooks::{Acknowledgement, Commit, Origin};
use pelton_api::interceptor::{Hook, HookSet};
use pelton_record::{BatchHeader, BatchView, Record};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The most calls that wait.
const MAX_WAITING: usize = 256;
/// The most bytes of batches that wait.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// How many differences are kept.
const MAX_DIFFERENCES: usize = 20;
/// Longest text of a difference, in bytes.
const MAX_WHAT_BYTES: usize = 512;

/// What the live chain made of a batch.
pub(crate) type Outcome = Result<Passed, Stopped>;

enum Work {
    /// A plain batch that passed on-send or on-consume, with what the live chain made of it.
    Batch {
        hook: Hook,
        origin: Origin,
        plain: Bytes,
        live: Outcome,
        base_offset: Option<i64>,
    },
    Acknowledgement(Origin, Acknowledgement),
    Commit(Commit),
    Sent {
        partition: i32,
        appended: bool,
    },
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Batch { plain, live, .. } => {
                let changed = live.as_ref().ok().and_then(|passed| passed.changed.as_ref());
                plain.len() + changed.map_or(0, Bytes::len)
            }
            _ => 0,
        }
    }
}

/// See the module.
pub(crate) struct Shadow {
    queue: SyncSender<Work>,
    inner: Arc<Inner>,
}

struct Inner {
    topic: Arc<str>,
    name: Arc<str>,
    chain: Chain,
    settle: Settle,
    events: Arc<dyn Events>,
    stop: AtomicBool,
    waiting_bytes: AtomicUsize,
    batches: AtomicU64,
    records: AtomicU64,
    differing: AtomicU64,
    skipped: AtomicU64,
    busy_ns: AtomicU64,
    differences: Mutex<Vec<Difference>>,
}

impl Shadow {
    /// Starts the thread. `settle` says whether the broker tells what became of each batch.
    pub(crate) fn start(
        topic: Arc<str>,
        name: &str,
        chain: Chain,
        settle: Settle,
        events: Arc<dyn Events>,
    ) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            topic,
            name: name.into(),
            chain,
            settle,
            events,
            stop: AtomicBool::new(false),
            waiting_bytes: AtomicUsize::new(0),
            batches: AtomicU64::new(0),
            records: AtomicU64::new(0),
            differing: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            differences: Mutex::default(),
        });
        let (queue, work) = sync_channel(MAX_WAITING);
        let worker = inner.clone();
        std::thread::Builder::new().name("pelton-shadow".into()).spawn(move || worker.run(&work))?;
        Ok(Self { queue, inner })
    }

    pub(crate) fn hooks(&self) -> HookSet {
        self.inner.chain.hooks()
    }

    /// A batch passed the live chain, or did not.
    pub(crate) fn batch(&self, hook: Hook, origin: &Origin, plain: &Bytes, live: &Outcome) {
        if !self.hooks().has(hook) {
            return;
        }
        // What the live chain emitted is not compared, so it need not wait in the queue.
        let live = live.clone().map(|passed| Passed { emitted: Vec::new(), ..passed });
        let offset = BatchHeader::parse(plain).ok().map(|header| header.base_offset);
        let base_offset = offset.filter(|_| hook == Hook::OnConsume);
        self.offer(Work::Batch { hook, origin: origin.clone(), plain: plain.clone(), live, base_offset });
    }

    pub(crate) fn acknowledgement(&self, origin: &Origin, acknowledged: &Acknowledgement) {
        if self.hooks().has(Hook::OnAcknowledgement) {
            self.offer(Work::Acknowledgement(origin.clone(), acknowledged.clone()));
        }
    }

    pub(crate) fn commit(&self, committed: &Commit) {
        if self.hooks().has(Hook::OnCommit) {
            self.offer(Work::Commit(committed.clone()));
        }
    }

    pub(crate) fn sent(&self, partition: i32, appended: bool) {
        if self.inner.settle == Settle::WhenAppended {
            self.offer(Work::Sent { partition, appended });
        }
    }

    fn offer(&self, work: Work) {
        let bytes = work.bytes();
        let waiting = self.inner.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > MAX_WAITING_BYTES || self.queue.try_send(work).is_err() {
            self.inner.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            count(&self.inner.skipped, 1);
        }
    }

    pub(crate) fn report(&self) -> ShadowReport {
        let inner = &self.inner;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowReport {
            interceptors: inner.chain.links.iter().map(|link| link.report()).collect(),
            batches: read(&inner.batches),
            records: read(&inner.records),
            differing_batches: read(&inner.differing),
            differences: inner.differences.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            skipped: read(&inner.skipped),
            busy_ns: read(&inner.busy_ns),
        }
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // The thread ends when its call does: nobody waits for it.
        self.inner.stop.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn run(&self, work: &Receiver<Work>) {
        while let Ok(work) = work.recv() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.waiting_bytes.fetch_sub(work.bytes(), Ordering::Relaxed);
            let started = Instant::now();
            match work {
                Work::Batch { hook, origin, plain, live, base_offset } => {
                    let shadow = self.chain.pass(hook, &origin, &plain, Terms::patient(self.settle));
                    count(&self.busy_ns, started.elapsed().as_nanos() as u64);
                    self.compare(hook, origin.partition, &plain, &live, &shadow, base_offset);
                }
                Work::Acknowledgement(origin, acknowledged) => {
                    self.chain.acknowledge(&origin, &acknowledged);
                    count(&self.busy_ns, started.elapsed().as_nanos() as u64);
                }
                Work::Commit(committed) => {
                    self.chain.commit(&committed);
                    count(&self.busy_ns, started.elapsed().as_nanos() as u64);
                }
                Work::Sent { partition, appended } => self.chain.settle(partition, appended),
            }
        }
    }

    fn compare(
        &self,
        hook: Hook,
        partition: i32,
        plain: &Bytes,
        live: &Outcome,
        shadow: &Outcome,
        base_offset: Option<i64>,
    ) {
        count(&self.batches, 1);
        count(&self.records, BatchHeader::parse(plain).map_or(0, |header| header.record_count.max(0) as u64));
        let Some((offset_delta, what)) = difference(plain, live, shadow) else { return };
        let what = shortened(&what, MAX_WHAT_BYTES).to_owned();
        if self.differing.fetch_add(1, Ordering::Relaxed) == 0 {
            let (topic, shadow) = (self.topic.clone(), self.name.clone());
            self.events.event(Event::ShadowDiffers { topic, shadow, what: what.clone() });
        }
        let mut differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        if differences.len() < MAX_DIFFERENCES {
            differences.push(Difference { hook, partition, base_offset, offset_delta, what });
        }
    }
}

/// The first difference between what two chains made of one batch: at which record, and what.
pub(crate) fn difference(plain: &Bytes, live: &Outcome, shadow: &Outcome) -> Option<(Option<i32>, String)> {
    let (live, shadow) = match (live, shadow) {
        (Ok(live), Ok(shadow)) => (live, shadow),
        (Err(Stopped::Refused { records: a, .. }), Err(Stopped::Refused { records: b, .. })) => {
            let deltas = |records: &[(i32, String)]| records.iter().map(|(delta, _)| *delta).collect::<Vec<_>>();
            return uneven(&deltas(a), &deltas(b));
        }
        (Err(Stopped::Unavailable(_)), Err(Stopped::Unavailable(_)))
        | (Err(Stopped::Unreadable(_)), Err(Stopped::Unreadable(_))) => return None,
        (live, shadow) => return Some((None, format!("live: {}; shadow: {}", told(live), told(shadow)))),
    };
    if live.faults.is_empty() != shadow.faults.is_empty() {
        return Some((None, format!("live: {}; shadow: {}", faults(live), faults(shadow))));
    }
    if let Some(uneven) = uneven(&live.rejected, &shadow.rejected) {
        return Some(uneven);
    }
    let of = |passed: &Passed| passed.changed.clone().unwrap_or_else(|| plain.clone());
    records(&of(live), &of(shadow))
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(passed) => faults(passed),
        Err(Stopped::Refused { message, records }) => match records.first() {
            Some((delta, reason)) => format!("{message} (first: {delta}, {reason})"),
            None => message.clone(),
        },
        Err(Stopped::Unavailable(message) | Stopped::Unreadable(message)) => message.clone(),
        Err(Stopped::Late) => "not ready in time".to_owned(),
    }
}

fn faults(passed: &Passed) -> String {
    passed.faults.first().cloned().unwrap_or_else(|| "passed".into())
}

/// The first record that one chain refuses and the other does not.
fn uneven(live: &[i32], shadow: &[i32]) -> Option<(Option<i32>, String)> {
    let (live, shadow): (BTreeSet<&i32>, BTreeSet<&i32>) = (live.iter().collect(), shadow.iter().collect());
    let delta = **live.symmetric_difference(&shadow).next()?;
    let what = if live.contains(&delta) {
        "the live chain refuses this record, the shadow does not"
    } else {
        "the shadow refuses this record, the live chain does not"
    };
    Some((Some(delta), what.to_owned()))
}

/// The first record in which two plain batches differ.
fn records(live: &Bytes, shadow: &Bytes) -> Option<(Option<i32>, String)> {
    // Two handles of one buffer: both chains let the batch be.
    if live.as_ptr() == shadow.as_ptr() && live.len() == shadow.len() {
        return None;
    }
    let walk = || {
        let (live, shadow) = (BatchView::parse(live)?, BatchView::parse(shadow)?);
        let (mut a, mut b) = (live.records()?, shadow.records()?);
        loop {
            match (a.next().transpose()?, b.next().transpose()?) {
                (None, None) => return Ok(None),
                (Some(a), Some(b)) if a.offset_delta == b.offset_delta => {
                    if let Some(what) = parts(&a, &b) {
                        return Ok(Some((Some(a.offset_delta), what)));
                    }
                }
                (Some(a), b) if b.is_none_or(|b| a.offset_delta < b.offset_delta) => {
                    return Ok(Some((Some(a.offset_delta), "the shadow takes this record away".to_owned())));
                }
                (_, Some(b)) => {
                    return Ok(Some((Some(b.offset_delta), "the live chain takes this record away".to_owned())));
                }
                (Some(_), None) => return Ok(None),
            }
        }
    };
    walk().unwrap_or_else(|error: pelton_record::BatchError| Some((None, form::cannot_be_read(&error))))
}

fn parts(live: &Record<'_>, shadow: &Record<'_>) -> Option<String> {
    let differs = |part: &str, a: Option<&[u8]>, b: Option<&[u8]>| {
        (a != b).then(|| format!("{part}: live {}, shadow {}", excerpt(a), excerpt(b)))
    };
    differs("key", live.key, shadow.key).or_else(|| differs("value", live.value, shadow.value)).or_else(|| {
        let same = live.encoded_headers() == shadow.encoded_headers() || live.headers().eq(shadow.headers());
        (!same).then(|| format!("headers: live {}, shadow {}", live.header_count(), shadow.header_count()))
    })
}

fn excerpt(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".into() };
    let dots = if bytes.len() > 80 { "..." } else { "" };
    format!("`{}`{dots} ({} bytes)", bytes[..bytes.len().min(80)].escape_ascii(), bytes.len())
}

#[cfg(test)]
mod tests;
