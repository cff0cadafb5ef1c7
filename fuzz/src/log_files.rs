//! The files of a partition and of a log directory, read after somebody else has written in them.
//!
//! The first byte of the input says which file the rest is, the second whether its CRC is made to fit. The file is read by
//! its own reader, and put among the files of a small whole partition, which is then verified as `pelton log verify` does
//! and opened as a broker does. What is promised: readers take a multiple of the file's own length and of the cap on
//! decompressed records, besides their windows; a log that opens keeps its order.

use crate::allocation::bounded;
use pelton_log::inspect::{self, Checks, Compaction, FileKind, Files, SegmentReader, Through};
use pelton_log::{
    AbortedTxn, Disk, DiskFile, Log, LogConfig, Opening, ProducerBatch, ProducerEntry, SimDisk, read_offsets, snapshot,
};
use pelton_record::{
    BatchBuilder, BatchHeader, BatchView, Codec, ControlType, compressed_batch, control_batch, patch_offset_and_epoch,
};
use pelton_server::driver::storage::read_meta;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the partition lies.
pub const DIR: &str = "/data/t-0";
/// Its topic's id.
const TOPIC_ID: u128 = 1;
/// Base offset of its last segment.
const LAST_BASE: i64 = 13;
/// What the records of a batch may take when decompressed.
const CAP_BYTES: usize = 64 << 10;
/// Memory for each byte of the file: the file in the simulated disk, read whole, parsed, and findings about it.
const FACTOR: usize = 96;
/// The rest of the partition, with windows over its files; codecs as in [`crate::records`].
const BESIDE_BYTES: usize = 24 << 20;

/// The files that the input may be, by its first byte.
pub const FILES: [&str; 14] = [
    "00000000000000000013.log",
    "00000000000000000013.index",
    "00000000000000000013.timeindex",
    "00000000000000000013.txnindex",
    "00000000000000000013.digest",
    "00000000000000000013.snapshot",
    "leader-epoch-checkpoint",
    "partition.metadata",
    "log-start-offset-checkpoint",
    "../recovery-point-offset-checkpoint",
    "../meta.properties",
    "00000000000000000000.log",
    "00000000000000000000.index",
    "00000000000000000000.txnindex",
];

/// Settings with which a small log has files of every kind.
fn config() -> LogConfig {
    LogConfig {
        index_interval_bytes: 128,
        preallocate_min_bytes: 0,
        decompress_max_bytes: CAP_BYTES,
        retention_ms: None,
        ..LogConfig::default()
    }
}

fn batch(offset: i64, codec: Codec, producer: Option<i64>) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000 + offset);
    for record in 0..3 {
        builder.push(1_000 + offset + record, Some(b"key"), Some(&[b'v'; 40]), &[]);
    }
    if let Some(producer) = producer {
        builder.set_producer(producer, 0, 0);
        builder.set_transactional(true);
    }
    let plain = builder.into_bytes_with_crc();
    let view = BatchView::parse(&plain).expect("a batch that was just built");
    let mut bytes = match codec {
        Codec::None => plain.clone(),
        codec => compressed_batch(&view, codec).expect("it compresses"),
    };
    patch_offset_and_epoch(&mut bytes, offset, (offset / 6) as i32);
    bytes
}

/// A log directory with one partition: two segments, an aborted transaction, a snapshot, epochs, checkpoints. Two batches
/// are compressed, in the codecs whose tables are small: those of zstd and LZ4 would cost most of the time of every run.
pub fn partition() -> SimDisk {
    let disk = SimDisk::new();
    let opened = Log::open(disk.clone(), DIR, config(), Opening::of(TOPIC_ID), &mut |_| {});
    let (mut log, _) = opened.expect("a new log");
    let append = |log: &mut Log<SimDisk>, bytes: Vec<u8>| {
        let header = BatchHeader::parse(&bytes).expect("a batch");
        log.append(&bytes, &header).expect("it follows the one before");
    };
    append(&mut log, batch(0, Codec::None, None));
    append(&mut log, batch(3, Codec::Gzip, None));
    append(&mut log, batch(6, Codec::None, Some(9)));
    let mut marker = control_batch(ControlType::Abort, 9, 0, 1, 1_009);
    patch_offset_and_epoch(&mut marker, 9, 1);
    append(&mut log, marker);
    log.append_aborted(AbortedTxn { producer_id: 9, first_offset: 6, last_offset: 9, last_stable_offset: 10 });
    append(&mut log, batch(10, Codec::None, None));
    log.roll().expect("a segment is closed");
    let one = |last_sequence| ProducerBatch { last_sequence, last_offset: 8, offset_delta: 2, timestamp: 1_008 };
    let producer = ProducerEntry {
        producer_id: 9,
        producer_epoch: 0,
        coordinator_epoch: Some(1),
        last_timestamp: 1_009,
        open_since: None,
        batches: vec![one(2), one(5)],
    };
    log.write_snapshot(&[producer]).expect("a snapshot");
    append(&mut log, batch(LAST_BASE, Codec::None, Some(9)));
    append(&mut log, batch(LAST_BASE + 3, Codec::Snappy, None));
    append(&mut log, batch(LAST_BASE + 6, Codec::None, None));
    let _ = log.delete_before(3).expect("records are deleted");
    log.close().expect("the log is closed");
    let offsets = BTreeMap::from([(("t".to_owned(), 0), LAST_BASE + 9)]);
    let recovery_point = path("../recovery-point-offset-checkpoint");
    pelton_log::write_offsets(&disk, &recovery_point, &offsets).expect("a checkpoint");
    let meta = b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=d\n";
    disk.write_atomic(&path("../meta.properties"), meta).expect("a small file");
    disk
}

/// Where the file of [`FILES`] lies.
pub fn path(name: &str) -> PathBuf {
    match name.strip_prefix("../") {
        Some(name) => Path::new(DIR).with_file_name(name),
        None => Path::new(DIR).join(name),
    }
}

/// Makes the CRC of a snapshot or a digest fit, so that what it covers is looked at.
fn mended(kind: FileKind, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (place, from) = match kind {
        FileKind::Snapshot(_) => (2..6, 6),
        FileKind::Digest(_) => (4..8, 8),
        _ => return bytes,
    };
    if bytes.len() >= from {
        let crc = crc32c::crc32c(&bytes[from..]);
        bytes[place].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// Puts the input in the place of one file, and reads it.
pub fn run(input: &[u8]) {
    static WHOLE: OnceLock<SimDisk> = OnceLock::new();
    let [name, mend, bytes @ ..] = input else { return };
    let name = FILES[usize::from(*name) % FILES.len()];
    let (kind, path) = (FileKind::of(name.trim_start_matches("../")), path(name));
    let bytes = if mend & 1 != 0 { mended(kind, bytes) } else { bytes.to_vec() };
    let disk = WHOLE.get_or_init(partition).copy();
    bounded(FACTOR * bytes.len() + BESIDE_BYTES, || {
        disk.write_atomic(&path, &bytes).expect("the simulated disk takes it");
        alone(kind, &bytes, &disk, &path);
        verify(&disk);
        open(&disk, mend & 2 != 0, mend & 4 != 0);
    });
}

/// The reader of that kind of file.
fn alone(kind: FileKind, bytes: &[u8], disk: &SimDisk, path: &Path) {
    let file = Through(disk.clone()).open(path).expect("it was just written");
    let read = "a simulated disk reads";
    match kind {
        FileKind::Segment(base) => segment(&file, base),
        FileKind::OffsetIndex(base) => drop(inspect::index::read_offset_index(&file, base).expect(read)),
        FileKind::TimeIndex(base) => drop(inspect::index::read_time_index(&file, base).expect(read)),
        FileKind::TxnIndex(_) => drop(inspect::index::read_txn_index(&file).expect(read)),
        FileKind::Digest(base) => drop(inspect::promise::read(&file, base).expect(read)),
        FileKind::Snapshot(_) => {
            let Ok(producers) = snapshot::decode(bytes) else { return };
            let again = snapshot::decode(&snapshot::encode(&producers)).expect("what was written is read");
            assert!(again.iter().zip(&producers).all(|(one, other)| one.producer_id == other.producer_id));
        }
        FileKind::LeaderEpochs => drop(inspect::text::leader_epochs(bytes)),
        FileKind::PartitionMetadata => drop(inspect::text::partition_metadata(bytes)),
        FileKind::OffsetCheckpoint => {
            let (read, shown) = (read_offsets(disk, path), inspect::text::offset_checkpoint(bytes));
            if let (Ok(read), Ok(shown)) = (read, shown) {
                assert!(shown.iter().all(|line| read[&(line.topic.clone(), line.partition)] == line.offset));
            }
        }
        FileKind::MetaProperties => {
            let shown = inspect::text::meta_properties(bytes);
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(meta) = read_meta(path, text, 1) {
                assert!(!meta.cluster_id.is_empty());
            }
            drop(shown);
        }
        FileKind::CleanShutdown | FileKind::Leftover | FileKind::Other => unreachable!("{path:?} is none of these"),
    }
}

/// Every byte of a segment belongs to one piece.
fn segment<F: DiskFile>(file: &F, base: i64) {
    let mut reader = SegmentReader::new(file, base).expect("a simulated disk reads");
    let mut at = 0;
    while let Some(piece) = reader.next_piece().expect("a simulated disk reads") {
        assert!(reader.position() > at, "each piece has a byte at least");
        at = reader.position();
        if let inspect::Piece::Batch(batch) = piece
            && let Ok(Some(bytes)) = reader.batch_bytes(&batch)
        {
            let _ = inspect::check_records(&bytes, CAP_BYTES);
        }
    }
    assert_eq!(at, reader.len_bytes());
}

/// `pelton log verify`.
fn verify(disk: &SimDisk) {
    let checks = Checks { deep: true, compaction: Compaction::Never, decompress_max_bytes: CAP_BYTES };
    let files = Through(disk.clone());
    let report = inspect::verify_partition(&files, Path::new(DIR), &checks, &mut |_| {}).expect("it can be listed");
    let ends = report.log_start().zip(report.log_end()).map(|ends| ("t-0".to_owned(), ends));
    let root = Path::new(DIR).parent().expect("a partition lies in a log directory");
    inspect::verify_directory(&files, root, &ends.into_iter().collect()).expect("it can be listed");
}

/// A start of the broker, and what clients ask of the log then.
fn open(disk: &SimDisk, clean: bool, trusted: bool) {
    let recovery_point = read_offsets(disk, &path("../recovery-point-offset-checkpoint"));
    let recovery_point = recovery_point.ok().and_then(|offsets| offsets.get(&("t".to_owned(), 0)).copied());
    let opening = Opening { clean, recovery_point: recovery_point.filter(|_| trusted), ..Opening::of(TOPIC_ID) };
    let mut next = 0;
    let opened = Log::open(disk.clone(), DIR, config(), opening, &mut |batch| {
        assert!(batch.header.base_offset >= next, "batches are shown in order");
        next = batch.header.next_offset();
    });
    let Ok((log, recovered)) = opened else { return };
    let (start, end) = (log.log_start(), log.log_end());
    assert!(start <= end && (recovered.log_start, recovered.log_end) == (start, end));
    assert!(recovered.leader_epochs.is_sorted_by(|one, next| one.epoch < next.epoch));
    let mut at = start;
    while at < end {
        let Ok(Some(slice)) = log.slice(at, end, 4_096, true) else { break };
        if slice.check().is_err() {
            break;
        }
        let Ok(bytes) = slice.read() else { break };
        assert!(!bytes.is_empty() && slice.next_offset > at, "a read goes on");
        at = slice.next_offset;
    }
    for timestamp in [0, 1_007, i64::MAX] {
        let found = log.offset_for_timestamp(timestamp, end);
        assert!(found.ok().flatten().is_none_or(|found| (start..end).contains(&found.offset)));
    }
    let _ = log.max_timestamp_offset(end);
    let _ = log.aborted_in(start, end);
}
