//! One pass over the partitions of a fetch, within its limits and within the memory for answers.
//!
//! Partitions are asked in waves: as many at once as could together give what is still wanted, so that a
//! fetch of many partitions costs few round trips and never holds much more than it may answer. A partition
//! whose records do not fit any more is answered without them; it comes first in the client's next request.
//!
//! Records that stay in their files take no memory. What hooks are going to read does, and what is said of partitions
//! that the request did not name: that much is held until the answer has been written.

use super::Scope;
use super::scope::{partition_answer, unexpected};
use crate::metrics::TopicNumbers;
use crate::net::memory::RequestMemory;
use crate::server::MEMORY_KIB;
use pelton_core::event::{Fetched, PartitionReply, PartitionRequest, Records};
use pelton_core::model::{Isolation, LeaderEpoch, Offset, TopicPartition};
use pelton_core::refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One partition of a fetch.
pub struct Wanted {
    /// Which one, or why there is none.
    pub partition: Result<TopicPartition, Refusal>,
    /// First offset wanted.
    pub offset: Offset,
    /// The reader's view of the leader epoch.
    pub leader_epoch: Option<LeaderEpoch>,
    /// At most so many bytes, but for the first batch.
    pub max_bytes: usize,
    /// Whether hooks are going to read the records.
    pub hooked: bool,
    /// What is counted of its topic.
    pub numbers: Option<Arc<TopicNumbers>>,
}

/// The limits of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At most so many bytes in all, but for the first batch.
    pub max_bytes: usize,
    /// What the reader may see.
    pub isolation: Isolation,
    /// Memory that the answer takes beside its records and what the request was admitted to.
    pub answer_bytes: usize,
}

/// What was read of one partition.
pub type Read = Result<Fetched, Refusal>;

/// Most partitions that are asked at once.
const WAVE: usize = 128;
/// How long an answer waits for memory. Two of one connection may wait for each other: the later one has its memory, and leaves
/// after the earlier one, which waits for some.
const PATIENCE: Duration = Duration::from_secs(5);
/// One permit of the memory for answers.
pub const PERMIT_BYTES: usize = 1024;

/// Reads every partition once, as far as the limits go.
pub async fn read_all(scope: &Scope, wanted: &[Wanted], limits: Limits) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::with_capacity(wanted.len());
    let (mut total, mut in_memory) = (0, limits.answer_bytes);
    let (semaphore, requests) = (scope.server.answer_memory.clone(), &scope.server.request_memory);
    let mut memory = Memory { semaphore, requests, held: None };
    while reads.len() < wanted.len() {
        let (wave, expected) = next_wave(&wanted[reads.len()..], limits.max_bytes.saturating_sub(total));
        let more = total == 0 || expected > 0;
        let hooked = wave.iter().filter(|wanted| wanted.hooked);
        let hooked = hooked.fold(0, |sum: usize, wanted| sum.saturating_add(wanted.max_bytes)).min(expected);
        let admitted = memory.admit(in_memory + hooked).await;
        let begun: Vec<_> = wave
            .iter()
            .map(|wanted| begin(scope, wanted, limits, total, more && (admitted || !wanted.hooked)))
            .collect();
        for (pending, wanted) in begun.into_iter().zip(wave) {
            let mut read = match pending {
                Ok(pending) => partition_answer(pending.await).and_then(fetched),
                Err(refusal) => Err(refusal),
            };
            if let Ok(fetched) = &mut read {
                if total > 0 && total + fetched.records.len() > limits.max_bytes {
                    fetched.records = Records::EMPTY;
                    fetched.aborted.clear();
                }
                total += fetched.records.len();
                in_memory += if wanted.hooked { fetched.records.len() } else { 0 };
            }
            reads.push(read);
        }
        memory.shrink_to(in_memory);
    }
    scope.admitted.put(memory.held);
    reads
}

/// The partitions that are asked together, and how many bytes they may give.
fn next_wave(wanted: &[Wanted], left: usize) -> (&[Wanted], usize) {
    let mut expected = 0usize;
    let mut count = 0;
    for partition in wanted.iter().take(WAVE) {
        if count > 0 && left > 0 && expected >= left {
            break;
        }
        expected = expected.saturating_add(partition.max_bytes.min(left));
        count += 1;
    }
    (&wanted[..count], expected.min(left))
}

fn begin(
    scope: &Scope,
    wanted: &Wanted,
    limits: Limits,
    total: usize,
    read_records: bool,
) -> Result<crate::driver::Pending, Refusal> {
    let partition = wanted.partition.clone()?;
    let request = if read_records {
        PartitionRequest::Fetch {
            offset: wanted.offset,
            current_leader_epoch: wanted.leader_epoch,
            max_bytes: wanted.max_bytes.min(limits.max_bytes.saturating_sub(total)),
            isolation: limits.isolation,
        }
    } else {
        PartitionRequest::Describe
    };
    Ok(scope.ask_partition(partition, request))
}

fn fetched(reply: PartitionReply) -> Read {
    match reply {
        PartitionReply::Fetched(fetched) => Ok(fetched),
        PartitionReply::Described { watermarks, leader_epoch } => {
            Ok(Fetched { records: Records::EMPTY, watermarks, leader_epoch, aborted: Vec::new() })
        }
        other => Err(unexpected(&other)),
    }
}

/// What this answer holds of the memory for answers.
struct Memory<'a> {
    semaphore: Arc<Semaphore>,
    /// Whoever waits for long has slow clients looked for.
    requests: &'a RequestMemory,
    held: Option<OwnedSemaphorePermit>,
}

impl Memory<'_> {
    /// Holds memory for `bytes`. Who holds none waits for it, [`PATIENCE`] at most; who holds some only takes what is free, so
    /// that two answers do not wait for each other, and gives up otherwise.
    async fn admit(&mut self, bytes: usize) -> bool {
        let wanted = u32::try_from(bytes.div_ceil(PERMIT_BYTES).min(MEMORY_KIB)).unwrap_or(u32::MAX);
        let missing = wanted.saturating_sub(self.held.as_ref().map_or(0, |held| held.num_permits() as u32));
        if missing == 0 {
            return true;
        }
        let more = if self.held.is_none() {
            let there = tokio::time::timeout(PATIENCE, self.semaphore.clone().acquire_many_owned(missing));
            self.requests.patiently(there).await.ok().and_then(Result::ok)
        } else {
            self.semaphore.clone().try_acquire_many_owned(missing).ok()
        };
        match (&mut self.held, more) {
            (_, None) => false,
            (Some(held), Some(more)) => {
                held.merge(more);
                true
            }
            (held @ None, more) => {
                *held = more;
                true
            }
        }
    }

    /// Gives back what was not needed.
    fn shrink_to(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(PERMIT_BYTES);
        if needed == 0 {
            self.held = None;
        }
        if let Some(held) = &mut self.held
            && held.num_permits() > needed
        {
            drop(held.split(held.num_permits() - needed));
        }
    }
}
