//! The running part of the machine: input, guest calls, outputs, commits.
//!
//! A guest fault costs one call and nothing else: what the call wrote is dropped, the plugin gets a fresh
//! instance, and the same records are given to it one by one. A record that fails alone goes to the dead
//! letters with the fault as its reason. A fault of the output topic's partitioner counts as one of the call.

use super::super::chunk::{CallLimits, Chunk, split};
use super::super::outbox::{Address, too_large};
use super::super::{Target, changelog, dead_letter};
use super::{
    DEAD_LETTER, Effect, FIRST_CHANGELOG, IDLE_ROUND_MS, IDLE_WAIT_MS, MAX_PENDING_OUTPUT_BYTES,
    MAX_PENDING_STATE_BYTES, Machine, OUTPUT, Phase, Piece, SEND_BYTES, TIMEOUTS, TaskError,
};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::job::TaskPhase;
use pelton_api::ports::{Partition, PortError, ReadBatches};
use pelton_api::store::{Change, ChangelogStamp};
use pelton_api::transform::{Processed, Rejection};
use pelton_record::{BatchHeader, BatchView, keyed_murmur2};
use std::collections::BTreeMap;

/// Largest output of one guest call, in bytes.
const MAX_OUTPUT_BYTES: usize = 64 << 20;
/// A partitioner's answer for a record that may go to any partition.
const ANYWHERE: i32 = -1;

impl Machine {
    /// A (fresh) instance is there: the task runs, or goes on running.
    pub(super) fn running(&mut self, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.report.phase != TaskPhase::Running {
            self.report.phase = TaskPhase::Running;
            effects.push(Effect::Report(self.report.clone()));
        }
        effects.extend(self.next(now_ms));
        effects
    }

    /// What a running task does next.
    pub(super) fn next(&mut self, now_ms: u64) -> Vec<Effect> {
        if self.stopping && self.run.open_since_ms.is_none() {
            return self.finish();
        }
        if self.stopping || self.commit_is_due(now_ms) {
            return self.go(Phase::TakingChanges, Effect::TakeChanges);
        }
        if self.run.outbox.bytes() >= SEND_BYTES {
            let batches = self.take_outbox();
            return self.go(Phase::Sending, Effect::Send(batches));
        }
        loop {
            match self.run.queue.front() {
                None => return self.read(now_ms),
                Some(Piece::Records(chunk)) => {
                    let batch = chunk.batch.clone();
                    return self.go(Phase::Processing, Effect::Process(batch));
                }
                Some(Piece::Unreadable { .. }) => self.reject_unreadable(now_ms),
            }
        }
    }

    fn commit_is_due(&self, now_ms: u64) -> bool {
        let Some(open_since_ms) = self.run.open_since_ms else { return false };
        now_ms.saturating_sub(open_since_ms) >= self.spec.commit_interval_ms
            || self.run.pending_state_bytes >= MAX_PENDING_STATE_BYTES
            || self.run.sent_bytes + self.run.outbox.bytes() >= MAX_PENDING_OUTPUT_BYTES
    }

    fn take_outbox(&mut self) -> Vec<(Partition, Bytes)> {
        self.run.sent_bytes += self.run.outbox.bytes();
        self.run.outbox.take()
    }

    fn read(&mut self, now_ms: u64) -> Vec<Effect> {
        let sources = self.spec.sources.len();
        let source = self.run.next_source % sources;
        self.run.next_source = (source + 1) % sources;
        let idle_ms = if sources == 1 { IDLE_WAIT_MS } else { (IDLE_ROUND_MS / sources as u64).max(1) };
        let max_wait_ms = match self.run.open_since_ms {
            None => idle_ms,
            Some(since) => (since + self.spec.commit_interval_ms).saturating_sub(now_ms).min(idle_ms),
        };
        let from = self.run.positions[source];
        self.go(Phase::Reading { source }, Effect::ReadInput { source, from, max_wait_ms })
    }

    pub(super) fn input_read(&mut self, now_ms: u64, source: usize, read: &ReadBatches) -> Vec<Effect> {
        let from = self.run.positions[source];
        let was_caught_up = self.report.lag == 0;
        self.run.source = source;
        self.run.read_end = read.next_offset;
        self.run.ends[source] = self.run.ends[source].max(read.last_stable_offset);
        for batch in &read.batches {
            match pieces(batch, from) {
                Ok(pieces) => self.run.queue.extend(pieces),
                Err(text) => {
                    let at = &self.spec.sources[source];
                    let text = format!("{}-{} cannot be read at offset {from}: {text}", at.topic, at.index);
                    return self.restart_after(&TaskError::Inconsistent(text));
                }
            }
        }
        if !self.run.queue.is_empty() {
            return self.next(now_ms);
        }
        self.run.positions[source] = from.max(read.next_offset);
        self.report.lag = self.run.lag();
        let mut effects = Vec::new();
        if self.report.lag == 0 {
            self.failures = 0;
            if !was_caught_up {
                effects.push(Effect::Report(self.report.clone()));
            }
        }
        effects.extend(self.next(now_ms));
        effects
    }

    pub(super) fn processed(
        &mut self,
        now_ms: u64,
        result: Result<Processed, Fault>,
        places: Option<Result<Vec<i32>, Fault>>,
        pending_bytes: usize,
    ) -> Vec<Effect> {
        let Some(Piece::Records(chunk)) = self.run.queue.front().cloned() else {
            let text = "the task got an answer to a call that it did not make".to_owned();
            return self.restart_after(&TaskError::Inconsistent(text));
        };
        // Checked as a whole before any of it is taken over, so that a fault leaves no trace.
        let checked = result.and_then(|processed| {
            let largest = self.run.outbox.largest(OUTPUT);
            let records_out = check_output(&processed.output, &self.spec.output.topic, largest)?;
            let rejected = check_rejections(&chunk.batch, &processed.rejected)?;
            let output = &self.spec.output;
            let places = places.map(|places| check_places(places, records_out, output)).transpose()?;
            Ok((processed, records_out, rejected, places))
        });
        match checked {
            Ok((processed, records_out, rejected, places)) => {
                self.run.pending_state_bytes = pending_bytes;
                self.emit(&processed.output, places.as_deref());
                self.reject(&chunk.batch, &rejected);
                self.run.uncommitted.records_out += records_out;
                self.finish_piece(now_ms, chunk.records as u64, chunk.next_offset);
                let mut effects = vec![Effect::KeepCall];
                effects.extend(self.next(now_ms));
                effects
            }
            Err(fault @ Fault::Host(_)) => self.restart_after(&TaskError::Fault(fault)),
            Err(fault) => {
                self.faulted(now_ms, &chunk, &fault);
                self.phase = Phase::Instantiating;
                vec![Effect::DropCall, Effect::NewInstance]
            }
        }
    }

    /// A call failed: its records are tried one by one, and one that fails alone is rejected.
    fn faulted(&mut self, now_ms: u64, chunk: &Chunk, fault: &Fault) {
        self.report.last_error = Some(fault.to_string());
        if chunk.records > 1 {
            self.run.queue.pop_front();
            for piece in pieces_within(&chunk.batch, i64::MIN, CallLimits::SINGLE).into_iter().rev() {
                self.run.queue.push_front(piece);
            }
            return;
        }
        if matches!(fault, Fault::Limit { limit: "time", .. }) {
            self.run.timeouts += 1;
            if self.run.timeouts < TIMEOUTS {
                return;
            }
        }
        let view = BatchView::parse(&chunk.batch).ok();
        let delta = view.and_then(|view| view.records().ok()?.next()?.ok()).map(|record| record.offset_delta);
        let Some(offset_delta) = delta else {
            self.run.queue.pop_front();
            self.run.queue.push_front(unreadable(&chunk.batch, "its record cannot be read"));
            return;
        };
        self.reject(&chunk.batch, &BTreeMap::from([(offset_delta, fault.to_string())]));
        self.finish_piece(now_ms, 1, chunk.next_offset);
    }

    fn finish_piece(&mut self, now_ms: u64, records: u64, next_offset: i64) {
        self.run.open_since_ms.get_or_insert(now_ms);
        self.run.uncommitted.records_in += records;
        self.run.timeouts = 0;
        self.run.queue.pop_front();
        let end = if self.run.queue.is_empty() { next_offset.max(self.run.read_end) } else { next_offset };
        self.run.positions[self.run.source] = end;
    }

    /// Gathers what a call emitted, each record for the partition that `places` says, or the hash of its key.
    fn emit(&mut self, output: &Bytes, places: Option<&[i32]>) {
        let Ok(view) = BatchView::parse(output) else { return };
        let Ok(records) = view.records() else { return };
        let partitions = self.spec.output.partitions;
        let mut anywhere = None;
        for (number, record) in records.map_while(Result::ok).enumerate() {
            let place = match (places, record.key) {
                (Some(places), _) => places.get(number).copied().filter(|place| *place != ANYWHERE),
                (None, key) => key.map(|key| keyed_murmur2(key, partitions)),
            };
            let partition =
                place.unwrap_or_else(|| *anywhere.get_or_insert_with(|| self.sticky.next_batch(partitions)));
            let to = Address { topic: OUTPUT, partition };
            self.run.outbox.push_record(to, record.timestamp(view.header()), &record);
        }
    }

    fn reject(&mut self, batch: &Bytes, rejected: &BTreeMap<i32, String>) {
        if rejected.is_empty() {
            return;
        }
        let Ok(view) = BatchView::parse(batch) else { return };
        let Ok(records) = view.records() else { return };
        for record in records.map_while(Result::ok) {
            let Some(reason) = rejected.get(&record.offset_delta) else { continue };
            let origin = dead_letter::Origin {
                task: &self.spec,
                source: &self.spec.sources[self.run.source],
                offset: record.offset(view.header()),
                reason,
            };
            let timestamp = record.timestamp(view.header());
            dead_letter::write(&origin, &record, timestamp, DEAD_LETTER, &mut self.run.outbox);
        }
        self.run.uncommitted.records_rejected += rejected.len() as u64;
    }

    fn reject_unreadable(&mut self, now_ms: u64) {
        let Some(Piece::Unreadable { batch, base_offset, timestamp, next_offset, reason }) =
            self.run.queue.front().cloned()
        else {
            return;
        };
        let origin = dead_letter::Origin {
            task: &self.spec,
            source: &self.spec.sources[self.run.source],
            offset: base_offset,
            reason: &reason,
        };
        dead_letter::write_unreadable(&origin, &batch, timestamp, DEAD_LETTER, &mut self.run.outbox);
        self.run.uncommitted.records_rejected += 1;
        self.finish_piece(now_ms, 1, next_offset);
    }

    pub(super) fn changes_taken(&mut self, now_ms: u64, changes: Vec<Change>) -> Vec<Effect> {
        let (commit, partition) = (self.run.commit + 1, self.spec.id.partition);
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        changelog::write(&changes, commit, FIRST_CHANGELOG, partition, now_ms, &mut self.run.outbox);
        self.run.changes = changes;
        let batches = self.take_outbox();
        if batches.is_empty() {
            return self.commit();
        }
        self.go(Phase::SendingLast, Effect::Send(batches))
    }

    pub(super) fn commit(&mut self) -> Vec<Effect> {
        let offsets = self.spec.sources.iter().cloned().zip(self.run.positions.iter().copied()).collect();
        self.go(Phase::Committing, Effect::Commit(offsets))
    }

    pub(super) fn committed(&mut self, now_ms: u64, ends: &BTreeMap<Partition, i64>) -> Vec<Effect> {
        let changes = std::mem::take(&mut self.run.changes);
        if changes.is_empty() {
            return self.applied(now_ms);
        }
        let mut stamps = Vec::new();
        for (store, changelog) in self.spec.changelogs.iter().enumerate() {
            if !changes.iter().any(|change| change.store == store) {
                continue;
            }
            let (Some(next_offset), Some(topic_id)) = (ends.get(changelog), self.run.changelog_ids.get(store)) else {
                let text = format!("the commit was not told where {}-{} ends", changelog.topic, changelog.index);
                return self.restart_after(&TaskError::Port(PortError::Retriable(text)));
            };
            let commit = self.run.commit + 1;
            stamps.push((store, ChangelogStamp { topic_id: topic_id.clone(), next_offset: *next_offset, commit }));
        }
        self.run.commit += 1;
        self.go(Phase::Applying, Effect::Apply { changes, stamps })
    }

    pub(super) fn applied(&mut self, now_ms: u64) -> Vec<Effect> {
        let done = std::mem::take(&mut self.run.uncommitted);
        self.report.records_in += done.records_in;
        self.report.records_out += done.records_out;
        self.report.records_rejected += done.records_rejected;
        self.report.commits += 1;
        self.run.committed.clone_from(&self.run.positions);
        self.run.open_since_ms = None;
        self.run.pending_state_bytes = 0;
        self.run.sent_bytes = 0;
        self.failures = 0;
        self.report.lag = self.run.lag();
        let mut effects = vec![Effect::Report(self.report.clone())];
        effects.extend(self.next(now_ms));
        effects
    }
}

/// The pieces of a batch that was read. A header that does not parse is the cluster's fault, not a record's.
fn pieces(batch: &Bytes, from: i64) -> Result<Vec<Piece>, String> {
    let header = BatchHeader::parse(batch).map_err(|error| error.to_string())?;
    if header.total_len() != batch.len() {
        return Err(format!("a batch of {} bytes came as {} bytes", header.total_len(), batch.len()));
    }
    if header.next_offset() <= from {
        return Ok(Vec::new());
    }
    Ok(pieces_within(batch, from, CallLimits::NORMAL))
}

fn pieces_within(batch: &Bytes, from: i64, limits: CallLimits) -> Vec<Piece> {
    match split(batch, from, limits) {
        Ok(chunks) => chunks.into_iter().map(Piece::Records).collect(),
        Err(error) => vec![unreadable(batch, &error.to_string())],
    }
}

fn unreadable(batch: &Bytes, reason: &str) -> Piece {
    let header = BatchHeader::parse(batch).ok();
    Piece::Unreadable {
        batch: batch.clone(),
        base_offset: header.map_or(0, |h| h.base_offset),
        timestamp: header.map_or(0, |h| h.max_timestamp),
        next_offset: header.map_or(0, |h| h.next_offset()),
        reason: format!("the record batch is malformed: {reason}"),
    }
}

/// Counts the records of an output, all of which must be readable, and fit into batches that `topic` takes. An
/// append that is refused for its size would be refused again at every try.
fn check_output(output: &Bytes, topic: &str, largest: usize) -> Result<u64, Fault> {
    if output.is_empty() {
        return Ok(0);
    }
    if output.len() > MAX_OUTPUT_BYTES {
        let detail = format!("one call emitted {} bytes; {MAX_OUTPUT_BYTES} are allowed", output.len());
        return Err(Fault::Limit { limit: "output", detail });
    }
    let malformed = |error: pelton_record::BatchError| Fault::Malformed(error.to_string());
    let view = BatchView::parse(output).map_err(malformed)?;
    if view.bytes().len() != output.len() {
        return Err(Fault::Malformed("bytes follow its output batch".to_owned()));
    }
    let mut records = 0;
    for record in view.records().map_err(malformed)? {
        if let Some(len) = too_large(&record.map_err(malformed)?, largest) {
            let detail =
                format!("it makes a batch of {len} bytes, and topic {topic} takes {largest} (max.message.bytes)");
            return Err(Fault::Limit { limit: "output record", detail });
        }
        records += 1;
    }
    Ok(records)
}

/// The answer of the output topic's partitioner: a partition for each record, or that any will do.
fn check_places(places: Result<Vec<i32>, Fault>, records: u64, output: &Target) -> Result<Vec<i32>, Fault> {
    let places = places.map_err(|fault| of_partitioner(fault, &output.topic))?;
    let wrong = places.iter().find(|place| !(ANYWHERE..output.partitions).contains(place));
    let why = if let Some(wrong) = wrong {
        format!("it chose partition {wrong}, and there are {}", output.partitions)
    } else if places.len() as u64 != records {
        format!("it placed {} of {records} records", places.len())
    } else {
        return Ok(places);
    };
    Err(of_partitioner(Fault::Malformed(why), &output.topic))
}

/// The fault of a partitioner, told apart from one of the step's own plugin.
fn of_partitioner(fault: Fault, topic: &str) -> Fault {
    let told = |text: String| format!("in the partitioner of {topic}: {text}");
    match fault {
        Fault::Refused(text) => Fault::Refused(told(text)),
        Fault::Trap(text) => Fault::Trap(told(text)),
        Fault::Limit { limit, detail } => Fault::Limit { limit, detail: told(detail) },
        Fault::Malformed(text) => Fault::Malformed(told(text)),
        Fault::Host(text) => Fault::Host(told(text)),
        late @ Fault::Late(_) => late,
    }
}

/// The rejections by offset delta, each of which must name a record of the input.
fn check_rejections(batch: &Bytes, rejected: &[Rejection]) -> Result<BTreeMap<i32, String>, Fault> {
    let mut by_delta: BTreeMap<i32, String> =
        rejected.iter().map(|rejection| (rejection.offset_delta, rejection.reason.clone())).collect();
    if by_delta.is_empty() {
        return Ok(by_delta);
    }
    let malformed = |error: pelton_record::BatchError| Fault::Malformed(error.to_string());
    let view = BatchView::parse(batch).map_err(malformed)?;
    let mut found = BTreeMap::new();
    for record in view.records().map_err(malformed)? {
        let delta = record.map_err(malformed)?.offset_delta;
        if let Some(reason) = by_delta.remove(&delta) {
            found.insert(delta, reason);
        }
    }
    match by_delta.keys().next() {
        None => Ok(found),
        Some(delta) => {
            Err(Fault::Malformed(format!("it rejected offset delta {delta}, which its input does not have")))
        }
    }
}
