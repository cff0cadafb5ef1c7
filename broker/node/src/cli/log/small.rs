//! What the files beside the segments hold: indexes, snapshots, checkpoints.

use super::output;
use anyhow::{Context, anyhow, bail};
use pelton_log::inspect::{FileKind, MAX_SNAPSHOT_BYTES, index, promise, read_whole, text};
use pelton_log::{DiskFile, EpochEntry, ProducerEntry};
use serde_json::{Value, json};

/// A line for people and the same as JSON.
type Shown = (String, Value);

/// Prints a file that is no segment.
///
/// # Errors
/// When it cannot be read, or is not what its name says.
pub fn print<F: DiskFile>(file: &F, name: &str, kind: FileKind, as_json: bool) -> anyhow::Result<()> {
    for (line, mut value) in shown(file, name, kind)? {
        if as_json {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("file".to_owned(), json!(name));
                fields.insert("type".to_owned(), json!(type_of(kind)));
            }
            output::json(&value);
        } else {
            output::line(&line);
        }
    }
    Ok(())
}

fn shown<F: DiskFile>(file: &F, name: &str, kind: FileKind) -> anyhow::Result<Vec<Shown>> {
    let reading = || format!("reading {name}");
    let wrong = |reason: String| anyhow!("{name} is damaged: {reason}");
    let words = || read_whole(file, text::MAX_TEXT_BYTES).with_context(reading);
    Ok(match kind {
        FileKind::OffsetIndex(base) => offset_index(index::read_offset_index(file, base).with_context(reading)?),
        FileKind::TimeIndex(base) => time_index(index::read_time_index(file, base).with_context(reading)?),
        FileKind::TxnIndex(_) => txn_index(index::read_txn_index(file).with_context(reading)?),
        FileKind::Snapshot(_) => {
            let bytes = read_whole(file, MAX_SNAPSHOT_BYTES).with_context(reading)?;
            let producers = pelton_log::snapshot::decode(&bytes).map_err(|reason| wrong(reason.to_owned()))?;
            producers.iter().map(producer).collect()
        }
        FileKind::Digest(base) => vec![digest(promise::read(file, base).with_context(reading)?.map_err(wrong)?)],
        FileKind::LeaderEpochs => {
            let entries = text::leader_epochs(&words()?).map_err(wrong)?;
            entries.iter().map(leader_epoch).collect()
        }
        FileKind::OffsetCheckpoint => {
            let lines = text::offset_checkpoint(&words()?).map_err(wrong)?;
            lines.iter().map(partition_offset).collect()
        }
        FileKind::PartitionMetadata => {
            let id = text::partition_metadata(&words()?).map_err(wrong)?;
            vec![(format!("topicId: {id}"), json!({ "topicId": id }))]
        }
        FileKind::MetaProperties => {
            let properties = text::meta_properties(&words()?).map_err(wrong)?;
            properties
                .iter()
                .map(|(key, value)| (format!("{key}={value}"), json!({ "key": key, "value": value })))
                .collect()
        }
        FileKind::CleanShutdown => vec![("the directory was left in order".to_owned(), json!({ "clean": true }))],
        FileKind::Segment(_) | FileKind::Leftover | FileKind::Other => {
            bail!("{name} is no file of a log that can be shown; name an N.log, an index or a checkpoint");
        }
    })
}

fn digest(promise: promise::Promise) -> Shown {
    let promise::Promise { len_bytes, next_offset, sealed, dense, max_timestamp } = promise;
    let line = format!(
        "length: {len_bytes} nextOffset: {next_offset} sealed: {sealed} dense: {dense} maxTimestamp: {max_timestamp}"
    );
    let shown = json!({
        "length": len_bytes, "nextOffset": next_offset, "sealed": sealed, "dense": dense, "maxTimestamp": max_timestamp,
    });
    (line, shown)
}

fn leader_epoch(entry: &EpochEntry) -> Shown {
    let (epoch, start) = (entry.epoch, entry.start_offset);
    (format!("epoch: {epoch} startOffset: {start}"), json!({ "epoch": epoch, "startOffset": start }))
}

fn partition_offset(line: &text::PartitionOffset) -> Shown {
    let (topic, partition, offset) = (&line.topic, line.partition, line.offset);
    let shown = json!({ "topic": topic, "partition": partition, "offset": offset });
    (format!("topic: {topic} partition: {partition} offset: {offset}"), shown)
}

fn type_of(kind: FileKind) -> &'static str {
    match kind {
        FileKind::OffsetIndex(_) => "offsetIndexEntry",
        FileKind::TimeIndex(_) => "timeIndexEntry",
        FileKind::TxnIndex(_) => "abortedTransaction",
        FileKind::Snapshot(_) => "producer",
        FileKind::Digest(_) => "digest",
        FileKind::LeaderEpochs => "leaderEpoch",
        FileKind::OffsetCheckpoint => "checkpoint",
        FileKind::PartitionMetadata => "partitionMetadata",
        FileKind::MetaProperties => "property",
        FileKind::CleanShutdown => "cleanShutdown",
        FileKind::Segment(_) | FileKind::Leftover | FileKind::Other => "other",
    }
}

fn offset_index(read: index::Entries<index::OffsetEntry>) -> Vec<Shown> {
    let entries = read.entries.iter().map(|entry| {
        let (offset, position) = (entry.offset, entry.position);
        (format!("offset: {offset} position: {position}"), json!({ "offset": offset, "position": position }))
    });
    entries.chain(surplus(read.surplus_bytes)).collect()
}

fn time_index(read: index::Entries<index::TimeEntry>) -> Vec<Shown> {
    let entries = read.entries.iter().map(|entry| {
        let (timestamp, offset) = (entry.timestamp, entry.offset);
        (format!("timestamp: {timestamp} offset: {offset}"), json!({ "timestamp": timestamp, "offset": offset }))
    });
    entries.chain(surplus(read.surplus_bytes)).collect()
}

fn txn_index(read: index::Entries<(i16, pelton_log::AbortedTxn)>) -> Vec<Shown> {
    let entries = read.entries.iter().map(|(version, entry)| {
        let pelton_log::AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset } = *entry;
        let line = format!(
            "version: {version} producerId: {producer_id} firstOffset: {first_offset} lastOffset: {last_offset} \
             lastStableOffset: {last_stable_offset}"
        );
        let shown = json!({
            "version": version, "producerId": producer_id, "firstOffset": first_offset, "lastOffset": last_offset,
            "lastStableOffset": last_stable_offset,
        });
        (line, shown)
    });
    entries.chain(surplus(read.surplus_bytes)).collect()
}

/// Bytes that are no entry.
fn surplus(bytes: u64) -> Option<Shown> {
    (bytes > 0).then(|| (format!("{bytes} bytes behind the last entry are no entry"), json!({ "surplusBytes": bytes })))
}

fn producer(entry: &ProducerEntry) -> Shown {
    let coordinator = entry.coordinator_epoch.unwrap_or(-1);
    let open = entry.open_since.map_or_else(|| "None".to_owned(), |offset| offset.to_string());
    let mut line = format!(
        "producerId: {} producerEpoch: {} coordinatorEpoch: {coordinator} currentTxnFirstOffset: {open} lastTimestamp: {}",
        entry.producer_id, entry.producer_epoch, entry.last_timestamp
    );
    let batches = entry.batches.iter().map(|batch| {
        json!({
            "lastSequence": batch.last_sequence, "lastOffset": batch.last_offset,
            "offsetDelta": batch.offset_delta, "timestamp": batch.timestamp,
        })
    });
    let shown = json!({
        "producerId": entry.producer_id, "producerEpoch": entry.producer_epoch, "coordinatorEpoch": coordinator,
        "currentTxnFirstOffset": entry.open_since, "lastTimestamp": entry.last_timestamp,
        "batches": batches.collect::<Vec<_>>(),
    });
    if let (Some(first), Some(last)) = (entry.batches.first(), entry.batches.last()) {
        let first_sequence = (i64::from(first.last_sequence) - i64::from(first.offset_delta)) & i64::from(i32::MAX);
        line.push_str(&format!(
            " firstSequence: {first_sequence} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
            last.last_sequence, last.last_offset, last.offset_delta, last.timestamp
        ));
    }
    (line, shown)
}
