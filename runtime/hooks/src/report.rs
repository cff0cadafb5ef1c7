//! What an operator can read of the chains: counters by topic, plugin and hook, circuits, faults, shadows.
//!
//! The counters of a topic begin anew whenever its hooks are attached anew, so numbers of two versions never mix.

use crate::breaker::BreakerState;
use pelton_api::interceptor::Hook;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReport {
    /// Its name.
    pub topic: String,
    /// Plugins, digests and configuration.
    pub identity: String,
    /// When these hooks were attached, milliseconds since the Unix epoch.
    pub attached_at_ms: i64,
    /// The chain, in order.
    pub interceptors: Vec<LinkReport>,
    /// The partitioner that verifies, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitioner: Option<LinkReport>,
    /// The shadow chain, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Batches that were delivered from the cache of on-consume.
    pub cache_hits: u64,
    /// Batches that were not in it and might have been.
    pub cache_misses: u64,
}

/// One plugin of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// `mask@1`, or the name of a partitioner that is built in.
    pub plugin: String,
    /// SHA-256 of its bytes, in hexadecimal; empty when it could not be loaded or is built in.
    pub digest: String,
    /// Its circuit.
    pub breaker: BreakerState,
    /// Its hooks.
    pub hooks: Vec<HookReport>,
    /// Bytes that its stores hold.
    pub state_bytes: u64,
    /// Its last fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<FaultReport>,
}

/// One hook of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// Which.
    pub hook: Hook,
    /// How often it was called.
    pub calls: u64,
    /// Records that it was given.
    pub records: u64,
    /// Batches that it changed.
    pub changed: u64,
    /// Records that it took away.
    pub dropped: u64,
    /// Records that it refused; of a partitioner: records in the wrong partition.
    pub rejected: u64,
    /// Calls that failed.
    pub faults: u64,
    /// Calls that were not made because the circuit was open.
    pub bypassed: u64,
    /// Time spent in it, in nanoseconds.
    pub busy_ns: u64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// What failed, shortened.
    pub text: String,
    /// Where.
    pub hook: Hook,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// A shadow chain, compared with the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// Its plugins.
    pub interceptors: Vec<LinkReport>,
    /// Batches that both chains have seen.
    pub batches: u64,
    /// Records of those.
    pub records: u64,
    /// Batches of which it made something else than the live chain.
    pub differing_batches: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// Calls that its queue had no room for: they were not compared.
    pub skipped: u64,
    /// Time spent in it, in nanoseconds.
    pub busy_ns: u64,
}

/// One difference between a shadow chain and the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// In which hook.
    pub hook: Hook,
    /// Of which partition.
    pub partition: i32,
    /// Base offset of the batch, on-consume only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_offset: Option<i64>,
    /// Offset delta of the first record that differs; absent where the batch as a whole does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_delta: Option<i32>,
    /// What differs, for a person to read.
    pub what: String,
}

/// What the chains of a node hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Results of on-consume.
    pub cache_bytes: usize,
    /// State of interceptors, with what waits to be settled.
    pub state_bytes: usize,
}

/// The counters of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hooks: [HookCounters; 4],
}

#[derive(Debug, Default)]
pub(crate) struct HookCounters {
    pub(crate) calls: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) changed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) bypassed: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn of(&self, hook: Hook) -> &HookCounters {
        &self.hooks[hook as usize]
    }

    pub(crate) fn report(&self, hook: Hook) -> HookReport {
        let of = self.of(hook);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HookReport {
            hook,
            calls: read(&of.calls),
            records: read(&of.records),
            changed: read(&of.changed),
            dropped: read(&of.dropped),
            rejected: read(&of.rejected),
            faults: read(&of.faults),
            bypassed: read(&of.bypassed),
            busy_ns: read(&of.busy_ns),
        }
    }
}
