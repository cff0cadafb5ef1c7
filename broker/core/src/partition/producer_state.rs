//! What a partition remembers of its idempotent and transactional producers (KIP-98), in Kafka's rules
//! (`ProducerStateManager`, `ProducerAppendInfo`).
//!
//! It says of a batch whether it is new, a duplicate of one of the producer's last five, or out of order,
//! and knows where each producer's open transaction began. It never decides what to write.
//!
//! Invariants: the sequences of one epoch run on without gap or overlap (after `i32::MAX` comes 0); an
//! epoch never goes back; at most [`MAX_PRODUCERS`] are remembered, and one with an open transaction is
//! never forgotten.

use crate::event::{Marker, ProducedBatch, ProducerState};
use crate::model::{Offset, ProducerEpoch, ProducerId};
use crate::refusal::Refusal;
use pelton_record::{BatchHeader, NO_SEQUENCE};
use std::collections::{BTreeMap, VecDeque};

/// Batches of one producer that can be recognized when they come again: Kafka's `NUM_BATCHES_TO_RETAIN`,
/// which is what a client may have in flight (`max.in.flight.requests.per.connection`).
const REMEMBERED_BATCHES: usize = 5;
/// Producers that one partition remembers. Past it the one that has been silent longest is forgotten, as
/// Kafka forgets by `producer.id.expiration.ms`; it may then go on with any sequence.
pub const MAX_PRODUCERS: usize = 16_384;

/// Where one batch of a producer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlace {
    first_sequence: i32,
    last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp, in milliseconds.
    timestamp: i64,
}

impl BatchPlace {
    fn of(batch: &ProducedBatch) -> Self {
        let (last, delta) = (batch.last_sequence, batch.offset_delta);
        // Sequences go on with 0 after the largest.
        let first_sequence = if last >= delta { last - delta } else { i32::MAX - (delta - last) + 1 };
        Self {
            first_sequence,
            last_sequence: last,
            base_offset: batch.last_offset - Offset::from(delta),
            last_offset: batch.last_offset,
            timestamp: batch.timestamp,
        }
    }

    fn produced(&self) -> ProducedBatch {
        let offset_delta = i32::try_from(self.last_offset - self.base_offset).unwrap_or(i32::MAX);
        let (last_sequence, last_offset) = (self.last_sequence, self.last_offset);
        ProducedBatch { last_sequence, last_offset, offset_delta, timestamp: self.timestamp }
    }
}

/// One producer.
#[derive(Debug, Clone)]
struct Producer {
    epoch: ProducerEpoch,
    /// Of the last marker; `None` before the first.
    coordinator_epoch: Option<i32>,
    /// The newest last; all of the current epoch.
    batches: VecDeque<BatchPlace>,
    /// First offset of the open transaction.
    open_since: Option<Offset>,
    used: u64,
}

impl Producer {
    /// Whether a marker may carry the very epoch that the producer has. One of version 2 is of the epoch after that of its
    /// transaction, so it finds its own epoch only when it comes again, or where there is no epoch after the largest.
    fn may_be_marked_again(&self, marker: &Marker) -> bool {
        marker.transaction_version < 2 || self.open_since.is_none() || self.epoch == ProducerEpoch(i16::MAX)
    }
}

/// All producers of one partition.
#[derive(Debug, Default)]
pub struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
    /// From the longest silent to the newest.
    by_use: BTreeMap<u64, ProducerId>,
    uses: u64,
}

/// One producer at one time; `None` where it was not known.
#[derive(Debug)]
pub struct Remembered(Option<Producer>);

/// What is to be done with a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    New,
    /// It was appended there before.
    Duplicate(BatchPlace),
}

impl Producers {
    /// Judges a client's batch that carries a producer id.
    ///
    /// # Errors
    /// [`Refusal::InvalidProducerEpoch`], [`Refusal::OutOfOrderSequence`]; [`Refusal::InvalidTxnState`] for a plain batch
    /// inside of an open transaction; [`Refusal::PolicyViolation`] when no further producer can be remembered.
    pub fn judge(&self, header: &BatchHeader) -> Result<Verdict, Refusal> {
        let Some(known) = self.by_id.get(&ProducerId(header.producer_id)) else {
            // Any sequence will do: what this producer wrote before may be gone by retention.
            self.check_room()?;
            return Ok(Verdict::New);
        };
        let epoch = ProducerEpoch(header.producer_epoch);
        if epoch < known.epoch {
            return Err(Refusal::InvalidProducerEpoch);
        }
        let is_plain_in_transaction = known.open_since.is_some() && !header.attributes.is_transactional();
        if epoch > known.epoch {
            // A later epoch ends no transaction: only the coordinator's marker does, which would find itself fenced.
            if is_plain_in_transaction {
                return Err(Refusal::InvalidTxnState);
            }
            return if header.base_sequence == 0 { Ok(Verdict::New) } else { Err(Refusal::OutOfOrderSequence) };
        }
        let same = |place: &&BatchPlace| {
            place.first_sequence == header.base_sequence && place.last_sequence == header.last_sequence()
        };
        if let Some(place) = known.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*place));
        }
        if is_plain_in_transaction {
            return Err(Refusal::InvalidTxnState);
        }
        let last_sequence = known.batches.back().map_or(NO_SEQUENCE, |place| place.last_sequence);
        if follows(last_sequence, header.base_sequence) { Ok(Verdict::New) } else { Err(Refusal::OutOfOrderSequence) }
    }

    /// Judges the epoch alone, for a coordinator's transactional records, which carry no sequences.
    ///
    /// # Errors
    /// [`Refusal::InvalidProducerEpoch`], [`Refusal::PolicyViolation`] as for [`Producers::judge`].
    pub fn judge_epoch(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> Result<(), Refusal> {
        match self.by_id.get(&producer_id) {
            None => self.check_room(),
            Some(known) if epoch < known.epoch => Err(Refusal::InvalidProducerEpoch),
            Some(_) => Ok(()),
        }
    }

    /// Judges a marker. `Ok(false)`: the producer stands exactly where the marker would put it.
    ///
    /// # Errors
    /// [`Refusal::InvalidProducerEpoch`], [`Refusal::TransactionCoordinatorFenced`], [`Refusal::PolicyViolation`].
    pub fn judge_marker(&self, marker: &Marker) -> Result<bool, Refusal> {
        let Marker { producer_id, producer_epoch: epoch, coordinator_epoch, .. } = *marker;
        let Some(known) = self.by_id.get(&producer_id) else {
            self.check_room()?;
            return Ok(true);
        };
        if epoch < known.epoch || (epoch == known.epoch && !known.may_be_marked_again(marker)) {
            return Err(Refusal::InvalidProducerEpoch);
        }
        if known.coordinator_epoch.is_some_and(|newest| coordinator_epoch < newest) {
            return Err(Refusal::TransactionCoordinatorFenced);
        }
        let repeated =
            known.open_since.is_none() && known.epoch == epoch && known.coordinator_epoch == Some(coordinator_epoch);
        Ok(!repeated)
    }

    /// Whether the producer has a transaction open under this epoch.
    pub fn has_open_transaction(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.by_id.get(&producer_id).is_some_and(|known| known.epoch == epoch && known.open_since.is_some())
    }

    /// Takes note of an appended batch with a producer id. Gives the first offset of the transaction that it opened.
    pub fn appended(&mut self, header: &BatchHeader) -> Option<Offset> {
        let producer = self.touch(ProducerId(header.producer_id), ProducerEpoch(header.producer_epoch));
        if header.base_sequence != NO_SEQUENCE {
            if producer.batches.len() == REMEMBERED_BATCHES {
                producer.batches.pop_front();
            }
            producer.batches.push_back(BatchPlace {
                first_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                timestamp: header.max_timestamp,
            });
        }
        if header.attributes.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset);
            return Some(header.base_offset);
        }
        None
    }

    /// Takes note of an appended marker. Gives the first offset of the transaction that it ended.
    pub fn marked(&mut self, producer_id: ProducerId, epoch: ProducerEpoch, coordinator_epoch: i32) -> Option<Offset> {
        let producer = self.touch(producer_id, epoch);
        producer.coordinator_epoch = Some(coordinator_epoch);
        producer.open_since.take()
    }

    /// The producer as it stands, for [`Producers::put_back`].
    pub fn remembered(&self, producer_id: ProducerId) -> Remembered {
        Remembered(self.by_id.get(&producer_id).cloned())
    }

    /// Makes the producer what it was: what was noted of it since is taken back. One that was forgotten for its sake
    /// stays forgotten.
    pub fn put_back(&mut self, producer_id: ProducerId, before: Remembered) {
        if let Some(now) = self.by_id.remove(&producer_id) {
            self.by_use.remove(&now.used);
        }
        if let Remembered(Some(producer)) = before {
            self.by_use.insert(producer.used, producer_id);
            self.by_id.insert(producer_id, producer);
        }
    }

    /// All producers, the longest silent first.
    pub fn states(&self) -> Vec<ProducerState> {
        let state = |producer_id: &ProducerId| {
            let known = &self.by_id[producer_id];
            ProducerState {
                producer_id: *producer_id,
                epoch: known.epoch,
                coordinator_epoch: known.coordinator_epoch,
                open_since: known.open_since,
                batches: known.batches.iter().map(BatchPlace::produced).collect(),
            }
        };
        self.by_use.values().map(state).collect()
    }

    /// Takes a producer as it once was, as the most recently used one. Gives the first offset of its open transaction.
    pub fn recall(&mut self, state: &ProducerState) -> Option<Offset> {
        let producer = self.touch(state.producer_id, state.epoch);
        producer.coordinator_epoch = state.coordinator_epoch;
        producer.open_since = state.open_since;
        let older = state.batches.len().saturating_sub(REMEMBERED_BATCHES);
        producer.batches = state.batches[older..].iter().map(BatchPlace::of).collect();
        state.open_since
    }

    /// How many producers are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The producer, as the most recently used one and in this epoch: a new epoch forgets the batches of the old.
    fn touch(&mut self, producer_id: ProducerId, epoch: ProducerEpoch) -> &mut Producer {
        self.uses += 1;
        let used = self.uses;
        if let Some(known) = self.by_id.get(&producer_id) {
            self.by_use.remove(&known.used);
        } else if self.by_id.len() >= MAX_PRODUCERS {
            self.forget_the_longest_silent();
        }
        self.by_use.insert(used, producer_id);
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer {
            epoch,
            coordinator_epoch: None,
            batches: VecDeque::new(),
            open_since: None,
            used,
        });
        producer.used = used;
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer
    }

    fn forget_the_longest_silent(&mut self) {
        let silent = self.by_use.iter().find(|(_, id)| self.by_id[id].open_since.is_none());
        if let Some((&used, &producer_id)) = silent {
            self.by_use.remove(&used);
            self.by_id.remove(&producer_id);
        }
    }

    fn check_room(&self) -> Result<(), Refusal> {
        if self.by_id.len() < MAX_PRODUCERS || self.by_id.values().any(|known| known.open_since.is_none()) {
            return Ok(());
        }
        Err(Refusal::PolicyViolation(format!(
            "{MAX_PRODUCERS} transactions are open in this partition; end some of them first"
        )))
    }
}

/// Whether `next` is the sequence after `last`.
fn follows(last: i32, next: i32) -> bool {
    if last == i32::MAX { next == 0 } else { next == last + 1 }
}
