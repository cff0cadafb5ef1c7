//! What a guest's batches, rejections and drops are held to. Pure; components and flat modules share it.
//!
//! Invariant: nothing of a guest's answer leaves this room that was not read to its end.

use crate::adapter::transform::GuestRejection;
use crate::host::log::escaped;
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::transform::Rejection;
use pelton_record::{
    Attributes, BatchError, BatchHeader, BatchView, NO_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
};
use std::collections::BTreeSet;

/// Bytes of the reason of one rejection; the rest is cut.
const REASON_BYTES: usize = 1 << 10;

/// What reading a whole batch has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    header: BatchHeader,
    /// Records that are there.
    pub(crate) count: i32,
    /// Offset delta of the last one; -1 without any.
    pub(crate) last_delta: i32,
    /// The largest timestamp of them.
    max_timestamp: i64,
}

/// The host's own batch, on its way to a guest.
pub(crate) fn input(batch: &[u8]) -> Result<BatchView<'_>, Fault> {
    BatchView::parse(batch).map_err(|error| Fault::Host(format!("the input is no record batch: {error}")))
}

/// Reads a guest's batch to its end: one whole uncompressed batch of data records, their offset deltas ascending.
pub(crate) fn checked(batch: &[u8]) -> Result<Checked, String> {
    let said = |error: BatchError| error.to_string();
    let view = BatchView::parse(batch).map_err(said)?;
    let header = *view.header();
    if view.bytes().len() != batch.len() {
        return Err(format!("{} bytes follow the batch", batch.len() - view.bytes().len()));
    }
    if header.attributes.is_control() {
        return Err("a control batch".to_owned());
    }
    let (mut last_delta, mut max_timestamp) = (-1, i64::MIN);
    for record in view.records().map_err(said)? {
        let record = record.map_err(said)?;
        last_delta = record.offset_delta;
        max_timestamp = max_timestamp.max(header.base_timestamp.wrapping_add(record.timestamp_delta));
        for named in record.headers() {
            named.map_err(said)?;
        }
    }
    Ok(Checked { header, count: header.record_count, last_delta, max_timestamp })
}

/// A header that says of a guest's batch what is true: no producer, no transaction, no epoch, the timestamps of its records.
pub(crate) struct NormalHeader(BatchHeader);

impl NormalHeader {
    pub(crate) fn of(batch: &Checked) -> Self {
        Self(BatchHeader {
            base_offset: 0,
            partition_leader_epoch: NO_EPOCH,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: batch.last_delta,
            max_timestamp: batch.max_timestamp,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            ..batch.header
        })
    }

    /// Writes it to the front of the batch.
    pub(crate) fn write_to(&self, batch: &mut [u8]) {
        self.0.write_to(batch);
    }
}

/// The output of a call, when it is well-formed and within the limit; empty when it has no records.
pub(crate) fn output(output: Vec<u8>, allowed_bytes: usize) -> Result<Bytes, Fault> {
    output_within(output, allowed_bytes, i32::MAX)
}

/// The same for a batch that takes the place of another: it may not have a record past the other's last.
pub(crate) fn replacement(output: Vec<u8>, allowed_bytes: usize, input: &BatchHeader) -> Result<Bytes, Fault> {
    output_within(output, allowed_bytes, input.last_offset_delta)
}

fn output_within(output: Vec<u8>, allowed_bytes: usize, last_offset_delta: i32) -> Result<Bytes, Fault> {
    if output.len() > allowed_bytes {
        let detail = format!("one call may give {allowed_bytes} bytes, not {}", output.len());
        return Err(Fault::Limit { limit: "output", detail });
    }
    if output.is_empty() {
        return Ok(Bytes::new());
    }
    let batch = checked(&output).map_err(|error| Fault::Malformed(format!("its output: {error}")))?;
    if batch.last_delta > last_offset_delta {
        let last = batch.last_delta;
        return Err(Fault::Malformed(format!(
            "its output has a record at delta {last} of a batch that ends at {last_offset_delta}"
        )));
    }
    Ok(if batch.count == 0 { Bytes::new() } else { Bytes::from(output) })
}

/// The rejections, when they are of this batch and none comes twice.
pub(crate) fn rejections(rejected: Vec<GuestRejection>, input: &BatchView<'_>) -> Result<Vec<Rejection>, Fault> {
    let count = input.header().record_count;
    if !i32::try_from(rejected.len()).is_ok_and(|rejected| rejected <= count) {
        return Err(Fault::Malformed(format!("it rejects {} records of {count}", rejected.len())));
    }
    if rejected.is_empty() {
        return Ok(Vec::new());
    }
    let deltas = Deltas::of(input)?;
    let mut seen = BTreeSet::new();
    let mut foreign = |delta: &i32| !deltas.have(*delta) || !seen.insert(*delta);
    if let Some(delta) = rejected.iter().map(|rejection| rejection.offset_delta).find(&mut foreign) {
        let detail = format!("it rejects offset delta {delta}, which is not in the batch or was rejected already");
        return Err(Fault::Malformed(detail));
    }
    let bounded = |rejection: GuestRejection| Rejection {
        offset_delta: rejection.offset_delta,
        reason: escaped(&rejection.reason, REASON_BYTES),
    };
    Ok(rejected.into_iter().map(bounded).collect())
}

/// The records to take away, when they are of this batch, ascending.
pub(crate) fn drops(drops: Vec<i32>, input: &BatchView<'_>) -> Result<Vec<i32>, Fault> {
    if let Some(pair) = drops.windows(2).find(|pair| pair[0] >= pair[1]) {
        let detail = format!("it drops offset delta {} after {}; they must ascend", pair[1], pair[0]);
        return Err(Fault::Malformed(detail));
    }
    if !drops.is_empty() {
        let deltas = Deltas::of(input)?;
        if let Some(delta) = drops.iter().find(|delta| !deltas.have(**delta)) {
            return Err(Fault::Malformed(format!("it drops offset delta {delta}, which is not in the batch")));
        }
    }
    Ok(drops)
}

/// The partitions, when there is one for each record and each exists.
pub(crate) fn partitions(answer: Vec<i32>, record_count: i32, partitions: i32) -> Result<Vec<i32>, Fault> {
    if i32::try_from(answer.len()) != Ok(record_count) {
        return Err(Fault::Malformed(format!("it places {} records of {record_count}", answer.len())));
    }
    match answer.iter().find(|partition| !(-1..partitions).contains(*partition)) {
        Some(partition) => Err(Fault::Malformed(format!("it answers partition {partition} of {partitions}"))),
        None => Ok(answer),
    }
}

/// The offset deltas of a batch.
enum Deltas {
    /// All from 0 to this one.
    Dense(i32),
    /// Of a batch from which records were taken.
    Sparse(BTreeSet<i32>),
}

impl Deltas {
    fn of(batch: &BatchView<'_>) -> Result<Self, Fault> {
        let header = batch.header();
        if i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1 {
            return Ok(Self::Dense(header.last_offset_delta));
        }
        let damaged = |error: BatchError| Fault::Host(format!("the input is damaged: {error}"));
        let records = batch.records().map_err(damaged)?;
        let deltas: Result<_, _> = records.map(|record| record.map(|record| record.offset_delta)).collect();
        Ok(Self::Sparse(deltas.map_err(damaged)?))
    }

    fn have(&self, delta: i32) -> bool {
        match self {
            Self::Dense(last) => (0..=*last).contains(&delta),
            Self::Sparse(deltas) => deltas.contains(&delta),
        }
    }
}

#[cfg(test)]
mod tests;
