//! Producers as a partition has them, and as a snapshot of its log has them.

use pelton_core::event::{ProducedBatch, ProducerState};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_log::{ProducerBatch, ProducerEntry};

/// As a snapshot has them.
pub fn entries(states: &[ProducerState]) -> Vec<ProducerEntry> {
    let batch = |batch: &ProducedBatch| {
        let ProducedBatch { last_sequence, last_offset, offset_delta, timestamp } = *batch;
        ProducerBatch { last_sequence, last_offset, offset_delta, timestamp }
    };
    let entry = |state: &ProducerState| ProducerEntry {
        producer_id: state.producer_id.0,
        producer_epoch: state.epoch.0,
        coordinator_epoch: state.coordinator_epoch,
        last_timestamp: state.batches.last().map_or(-1, |batch| batch.timestamp),
        open_since: state.open_since,
        batches: state.batches.iter().map(batch).collect(),
    };
    states.iter().map(entry).collect()
}

/// As a partition has them.
pub fn states(entries: &[ProducerEntry]) -> Vec<ProducerState> {
    let batch = |batch: &ProducerBatch| {
        let ProducerBatch { last_sequence, last_offset, offset_delta, timestamp } = *batch;
        ProducedBatch { last_sequence, last_offset, offset_delta, timestamp }
    };
    let state = |entry: &ProducerEntry| ProducerState {
        producer_id: ProducerId(entry.producer_id),
        epoch: ProducerEpoch(entry.producer_epoch),
        coordinator_epoch: entry.coordinator_epoch,
        open_since: entry.open_since,
        batches: entry.batches.iter().map(batch).collect(),
    };
    entries.iter().map(state).collect()
}
