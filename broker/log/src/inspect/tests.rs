use super::repair::{Step, apply, plan};
use super::*;
use crate::{AbortedTxn, SimDisk, segment_file_name};
use pelton_record::{
    BatchBuilder, BatchView, Codec, ControlType, compressed_batch, control_batch, crc32, patch_offset_and_epoch,
};
use proptest::prelude::*;

const DIR: &str = "/data/t-0";
const COPIES: &str = "/data/.repair/t-0";
const CHECKS: Checks = Checks { deep: true, compaction: Compaction::Never, decompress_max_bytes: 1 << 20 };

/// A batch of three records at `offset`, in epoch 4.
fn batch(offset: i64, value_bytes: usize, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000 + offset);
    for record in 0..3 {
        builder.push(1_000 + offset + record, Some(b"key"), Some(&vec![b'v'; value_bytes]), &[]);
    }
    finished(builder, offset, codec)
}

fn finished(builder: BatchBuilder, offset: i64, codec: Codec) -> Vec<u8> {
    let bytes = builder.into_bytes_with_crc();
    let view = BatchView::parse(&bytes).unwrap();
    let mut bytes = if codec == Codec::None { bytes.clone() } else { compressed_batch(&view, codec).unwrap() };
    patch_offset_and_epoch(&mut bytes, offset, 4);
    bytes
}

fn transactional(offset: i64, producer: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000 + offset);
    builder.set_producer(producer, 0, 0);
    builder.set_transactional(true);
    builder.push(1_000 + offset, None, Some(b"pending"), &[]);
    finished(builder, offset, Codec::None)
}

fn marker(offset: i64, producer: i64, kind: ControlType) -> Vec<u8> {
    let mut bytes = control_batch(kind, producer, 0, 1, 1_000 + offset);
    patch_offset_and_epoch(&mut bytes, offset, 4);
    bytes
}

fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = disk.open(path, true).unwrap();
    file.set_len(0).unwrap();
    file.write_at(bytes, 0).unwrap();
}

fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    disk.read_small(path, usize::MAX).unwrap()
}

fn file(base: i64, extension: &str) -> PathBuf {
    Path::new(DIR).join(segment_file_name(base, extension))
}

/// Two segments of four batches: 0 to 11 with an aborted transaction and large batches, and 14 to 22 with small ones and reserve.
fn partition() -> SimDisk {
    let disk = SimDisk::new();
    let first = [
        batch(0, 2_000, Codec::None),
        batch(3, 2_000, Codec::None),
        transactional(6, 9),
        marker(7, 9, ControlType::Abort),
        batch(8, 4, Codec::Gzip),
        batch(11, 4, Codec::Zstd),
    ];
    write(&disk, &file(0, "log"), &first.concat());
    let mut last = [batch(14, 4, Codec::None), batch(17, 4, Codec::Lz4), batch(20, 4, Codec::Snappy)].concat();
    last.extend_from_slice(&[0; 64]);
    write(&disk, &file(14, "log"), &last);
    write(&disk, &Path::new(DIR).join("leader-epoch-checkpoint"), b"0\n1\n4 0\n");
    let metadata = b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n";
    write(&disk, &Path::new(DIR).join("partition.metadata"), metadata);
    write(&disk, &file(14, "snapshot"), &crate::snapshot::encode(&[]));
    apply(&disk, &Step::Reindex { dir: DIR.into() }, Path::new(COPIES)).unwrap();
    disk
}

fn verify(disk: &SimDisk) -> PartitionReport {
    verify_partition(&Through(disk.clone()), Path::new(DIR), &CHECKS, &mut |_| {}).unwrap()
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap()
}

fn pieces(bytes: &[u8], base: i64) -> Vec<Piece> {
    let disk = SimDisk::new();
    write(&disk, &file(base, "log"), bytes);
    let file = disk.open(&file(base, "log"), false).unwrap();
    let mut reader = SegmentReader::new(&file, base).unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(piece) = reader.next_piece().unwrap() {
        assert!(reader.position() > at, "each piece has at least a byte");
        at = reader.position();
        found.push(piece);
    }
    assert_eq!(at, bytes.len() as u64, "every byte belongs to a piece");
    found
}

#[test]
fn a_whole_partition_has_nothing_to_report() {
    let disk = partition();
    let report = verify(&disk);
    assert_eq!(report.findings.list, []);
    assert_eq!((report.log_start(), report.log_end()), (Some(0), Some(23)));
    assert_eq!((report.batches, report.records), (9, 23));
    assert!(!read(&disk, &file(0, "index")).is_empty() && !read(&disk, &file(0, "timeindex")).is_empty());
    let aborted = read(&disk, &file(0, "txnindex"));
    assert_eq!(aborted.len(), 34);
    let steps = plan(&report, &names(&disk), None, true).steps;
    assert_eq!(steps, [], "there is nothing to repair");
}

/// Flips each of these bits in turn, and says where the partition's damage was not noticed.
fn unnoticed(path: &Path, places: impl Iterator<Item = usize>) -> Vec<(usize, u8)> {
    let disk = partition();
    let mut unnoticed = Vec::new();
    for (at, bit) in places.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        disk.corrupt(path, |bytes| bytes[at] ^= 1 << bit).unwrap();
        if verify(&disk).findings.damages() == 0 {
            unnoticed.push((at, bit));
        }
        disk.corrupt(path, |bytes| bytes[at] ^= 1 << bit).unwrap();
    }
    unnoticed
}

#[test]
fn every_flipped_bit_of_a_segment_is_reported() {
    let len = |base| read(&partition(), &file(base, "log")).len();
    assert_eq!(unnoticed(&file(14, "log"), 0..len(14)), []);
    // Large values lie between these, and one bit of them is like another.
    assert_eq!(unnoticed(&file(0, "log"), (0..len(0)).filter(|at| at % 40 == 0 || *at < 140)), []);
}

#[test]
fn every_flipped_bit_of_a_small_file_is_reported_or_harmless() {
    let all = |path: &Path| unnoticed(path, 0..read(&partition(), path).len());
    assert_eq!(all(&file(14, "snapshot")), []);
    // The first epoch may begin behind the first batch, as after DeleteRecords.
    assert_eq!(all(&Path::new(DIR).join("leader-epoch-checkpoint")), [(6, 0), (6, 1), (6, 2), (6, 3)]);
    // An aborted transaction that begins earlier, or a last stable offset that lies lower, hides nothing.
    assert_eq!(all(&file(0, "txnindex")), [(17, 1), (17, 2), (33, 3)]);
}

#[test]
fn every_truncation_is_survived_and_what_is_torn_is_named() {
    let disk = partition();
    for name in names(&disk) {
        let path = Path::new(DIR).join(&name);
        let bytes = read(&disk, &path);
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 400) {
            write(&disk, &path, &bytes[..len]);
            let report = verify(&disk);
            let whole = match FileKind::of(&name) {
                FileKind::OffsetIndex(_) => len % 8 == 0,
                FileKind::TimeIndex(_) => len % 12 == 0,
                // Zeros behind the last batch are reserve, and a batch begins with some.
                FileKind::Segment(14) => {
                    bytes[report.segments[1].whole_bytes as usize..len].iter().all(|byte| *byte == 0)
                }
                FileKind::LeaderEpochs => len == 0,
                FileKind::PartitionMetadata => len == bytes.len() - 1,
                _ => false,
            };
            assert_eq!(report.findings.damages() == 0, whole, "{name} cut to {len} bytes");
        }
        write(&disk, &path, &bytes);
    }
}

#[test]
fn what_a_digest_promises_must_be_there() {
    let disk = partition();
    let path = file(14, "log");
    let one = batch(14, 4, Codec::None).len() as u64;
    let end = read(&disk, &path).len() as u64 - 64;
    write(&disk, &file(14, "digest"), &digest(14, end, 23, true));
    assert_eq!(verify(&disk).findings.list, []);
    let shown = promise::read(&disk.open(&file(14, "digest"), false).unwrap(), 14).unwrap().unwrap();
    assert_eq!((shown.len_bytes, shown.next_offset, shown.sealed), (end, 23, false));
    // A whole batch is missing, and nothing but the digest knows.
    let bytes = read(&disk, &path);
    write(&disk, &path, &bytes[..one as usize]);
    let report = verify(&disk);
    assert_eq!(report.findings.list[0].position, Some(one));
    assert!(report.findings.list[0].reason.contains("offset 23 were synced once"));
    assert_eq!(plan(&report, &names(&disk), None, true).steps, [], "it cannot be brought back");
    // A torn batch below what was synced is cut only where that is asked for, and then the promise goes first.
    write(&disk, &path, &bytes);
    disk.corrupt(&path, |bytes| bytes[one as usize + 70] ^= 1).unwrap();
    let report = verify(&disk);
    assert_eq!(plan(&report, &names(&disk), None, false).steps, []);
    let steps = plan(&report, &names(&disk), None, true).steps;
    let at = |wanted: &Step| steps.iter().position(|step| step == wanted);
    let promise = at(&Step::SetAside { path: file(14, "digest") });
    assert!(promise.is_some() && promise < at(&Step::Cut { path: path.clone(), position: one }));
    steps.iter().for_each(|step| drop(apply(&disk, step, Path::new(COPIES)).unwrap()));
    assert_eq!(verify(&disk).findings.list, []);
    // A digest that is damaged promises nothing.
    write(&disk, &file(14, "digest"), &[0; 120]);
    let report = verify(&disk);
    assert_eq!((report.findings.damages(), report.findings.list.len()), (0, 1));
}

#[test]
fn reading_goes_on_behind_what_is_damaged() {
    let batches = [batch(0, 4, Codec::None), batch(3, 4, Codec::None), batch(6, 4, Codec::None)];
    let len = batches[0].len();
    // A header of which nothing can be believed.
    let mut torn = batches.concat();
    torn[len..len + 30].fill(0xee);
    let found = pieces(&torn, 0);
    assert!(matches!(&found[1], Piece::Damage { position, len: l, .. } if (*position, *l) == (len as u64, len as u64)));
    assert!(matches!(&found[2], Piece::Batch(batch) if batch.header.base_offset == 6 && batch.problem.is_none()));
    // A value alone: the batch is shown, with its problem.
    let mut flipped = batches.concat();
    flipped[2 * len - 3] ^= 1;
    let found = pieces(&flipped, 0);
    assert!(matches!(&found[1], Piece::Batch(batch) if batch.problem.as_ref().is_some_and(|p| p.contains("CRC"))));
    assert_eq!(found.len(), 3);
    // A hole of zeros, as a lost write leaves it.
    let mut hole = batches.concat();
    hole[len..2 * len].fill(0);
    assert!(matches!(pieces(&hole, 0)[1], Piece::Damage { position, .. } if position == len as u64));
    // Zeros at the end are reserve.
    let mut reserved = batches.concat();
    reserved.extend_from_slice(&[0; 100]);
    let position = 3 * len as u64;
    assert_eq!(pieces(&reserved, 0)[3], Piece::Reserved { position, len: 100 });
    // The same batch twice.
    let doubled = [batches[0].clone(), batches[0].clone()].concat();
    let found = pieces(&doubled, 0);
    assert!(matches!(&found[1], Piece::Batch(batch) if batch.problem.as_ref().is_some_and(|p| p.contains("before 3"))));
}

fn old_message(offset: i64, magic: u8) -> Vec<u8> {
    let mut body = vec![magic, 0];
    if magic == 1 {
        body.extend_from_slice(&1_000_i64.to_be_bytes());
    }
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    body.extend_from_slice(&3_i32.to_be_bytes());
    body.extend_from_slice(b"old");
    let mut message = offset.to_be_bytes().to_vec();
    message.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    message.extend_from_slice(&crc32(&body).to_be_bytes());
    message.extend_from_slice(&body);
    message
}

#[test]
fn messages_of_old_formats_are_named_and_passed_over() {
    let bytes = [old_message(0, 0), old_message(1, 1), batch(2, 4, Codec::None)].concat();
    let found = pieces(&bytes, 0);
    let magics: Vec<_> = found.iter().map(|p| if let Piece::Old(old) = p { Some(old.magic) } else { None }).collect();
    assert_eq!(magics, [Some(0), Some(1), None]);
    // One whose CRC does not fit is damage, and no statement about its format is made.
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    assert!(matches!(pieces(&flipped, 0)[0], Piece::Damage { .. }));
    let disk = partition();
    write(&disk, &file(14, "log"), &[old_message(14, 1), old_message(15, 1)].concat());
    let report = verify(&disk);
    let said = report.findings.list.iter().find(|finding| finding.path == file(14, "log")).unwrap();
    assert!(said.reason.contains("2 messages of format 1") && said.reason.contains("0.11"), "{}", said.reason);
    assert_eq!(said.remedy, Remedy::None);
}

fn verify_as(disk: &SimDisk, compaction: Compaction) -> PartitionReport {
    let checks = Checks { compaction, ..CHECKS };
    verify_partition(&Through(disk.clone()), Path::new(DIR), &checks, &mut |_| {}).unwrap()
}

/// The digest of a segment of `len` bytes.
fn digest(base_offset: i64, len: u64, next_offset: i64, dense: bool) -> Vec<u8> {
    let digest = crate::digest::Digest {
        base_offset,
        len,
        next_offset,
        sealed: false,
        dense,
        first_timestamp: Some(1_016),
        indexer: crate::recovery::Indexer::new(base_offset, 4096),
        offset_index: Default::default(),
        time_index: Default::default(),
        txn_index: Default::default(),
    };
    digest.encode().to_vec()
}

#[test]
fn missing_offsets_are_damage_where_nothing_may_remove_records() {
    let disk = partition();
    let missing = [batch(14, 4, Codec::None), batch(20, 4, Codec::None)].concat();
    write(&disk, &file(14, "log"), &missing);
    let report = verify(&disk);
    assert!(report.findings.list.iter().any(|finding| finding.reason.contains("offsets 17 to 19 are missing")));
    assert_eq!(verify_as(&disk, Compaction::Done).findings.list, []);
    let unknown = verify_as(&disk, Compaction::Unknown);
    assert_eq!((unknown.findings.damages(), unknown.findings.list.len()), (0, 1));
    // A digest knows whether there was a gap, whatever anybody says of the topic.
    write(&disk, &file(14, "digest"), &digest(14, missing.len() as u64, 23, false));
    assert_eq!(verify_as(&disk, Compaction::Done).findings.list, []);
    assert_eq!(verify_as(&disk, Compaction::Unknown).findings.damages(), 0);
    let once = verify_as(&disk, Compaction::Off);
    assert_eq!((once.findings.damages(), once.findings.list.len()), (0, 1), "it was compacted before it was not");
    assert_eq!(verify_as(&disk, Compaction::Never).findings.damages(), 1);
    write(&disk, &file(14, "digest"), &digest(14, missing.len() as u64, 23, true));
    for said in [Compaction::Done, Compaction::Off, Compaction::Unknown] {
        let report = verify_as(&disk, said);
        assert_eq!((report.findings.damages(), report.findings.list.len()), (1, 1));
        assert!(report.findings.list[0].reason.contains("the segment's digest"), "{}", report.findings.list[0].reason);
    }
    // Behind its end it knows nothing.
    let first = batch(14, 4, Codec::None).len() as u64;
    write(&disk, &file(14, "digest"), &digest(14, first, 17, true));
    assert_eq!(verify_as(&disk, Compaction::Unknown).findings.damages(), 0);
    write(&disk, &file(14, "digest"), &digest(14, first, 17, false));
    assert_eq!(verify_as(&disk, Compaction::Off).findings.damages(), 1);
}

#[test]
fn a_segment_that_is_not_there_is_damage_where_something_is_left_of_it() {
    let disk = partition();
    let last = [batch(20, 4, Codec::None), batch(23, 4, Codec::None)].concat();
    write(&disk, &file(20, "log"), &last);
    disk.remove_file(&file(14, "log")).unwrap();
    let report = verify_as(&disk, Compaction::Unknown);
    assert_eq!((report.findings.damages(), report.findings.list.len()), (0, 1), "Kafka's compaction may leave it so");
    assert_eq!(verify(&disk).findings.damages(), 1);
    write(&disk, &file(14, "timeindex"), &[]);
    let report = verify_as(&disk, Compaction::Unknown);
    let damage = report.findings.list.iter().find(|finding| finding.severity == Severity::Damage).unwrap();
    assert!(damage.reason.contains("offsets 14 to 19") && damage.reason.contains("is left of"), "{}", damage.reason);
    assert_eq!(verify_as(&disk, Compaction::Done).findings.damages(), 0);

    disk.remove_file(&file(14, "timeindex")).unwrap();
    let first = read(&disk, &file(0, "log")).len() as u64;
    write(&disk, &file(0, "digest"), &digest(0, first, 14, true));
    assert_eq!(verify_as(&disk, Compaction::Unknown).findings.damages(), 0, "of one side it is not known");
    write(&disk, &file(20, "digest"), &digest(20, last.len() as u64, 26, true));
    assert_eq!(verify_as(&disk, Compaction::Unknown).findings.damages(), 1);
    assert_eq!(verify_as(&disk, Compaction::Done).findings.list, []);
}

#[test]
fn indexes_that_lie_are_found_and_written_again() {
    for (extension, at) in
        [("index", 7), ("index", 3), ("timeindex", 7), ("timeindex", 11), ("txnindex", 9), ("txnindex", 25)]
    {
        let disk = partition();
        let path = file(0, extension);
        let right = read(&disk, &path);
        disk.corrupt(&path, |bytes| bytes[at] ^= 0x20).unwrap();
        let wrong = read(&disk, &path);
        let report = verify(&disk);
        assert!(!report.findings.list.is_empty(), "{extension}, byte {at}");
        let plan = plan(&report, &names(&disk), None, false);
        assert_eq!(plan.steps, [Step::Reindex { dir: DIR.into() }], "{extension}, byte {at}");
        assert_eq!(plan.remaining, []);
        let kept = apply(&disk, &plan.steps[0], Path::new(COPIES)).unwrap();
        assert_eq!(read(&disk, &path), right);
        assert_eq!(read(&disk, &kept[0]), wrong, "what was there is kept");
        assert_eq!(verify(&disk).findings.list, []);
    }
}

#[test]
fn an_aborted_transaction_that_is_missing_is_damage() {
    let disk = partition();
    disk.remove_file(&file(0, "txnindex")).unwrap();
    let report = verify(&disk);
    assert!(report.findings.list.iter().any(|finding| finding.reason.contains("producer 9 from offset 6")));
    let entry = AbortedTxn { producer_id: 9, first_offset: 6, last_offset: 7, last_stable_offset: 8 };
    apply(&disk, &Step::Reindex { dir: DIR.into() }, Path::new(COPIES)).unwrap();
    let index = index::read_txn_index(&disk.open(&file(0, "txnindex"), false).unwrap()).unwrap();
    assert_eq!(index.entries, [(0, entry)]);
}

#[test]
fn a_torn_end_is_cut_and_kept() {
    let disk = partition();
    let path = file(14, "log");
    let (whole_len, right) = (batch(14, 4, Codec::None).len(), read(&disk, &path));
    disk.corrupt(&path, |bytes| bytes[whole_len + 70] ^= 4).unwrap();
    let wrong = read(&disk, &path);
    write(&disk, Path::new("/data/recovery-point-offset-checkpoint"), b"0\n2\nother 0 99\nt 0 20\n");
    let report = verify(&disk);
    assert_eq!(report.log_end(), Some(17));
    let refused = plan(&report, &names(&disk), Some(20), false);
    assert!(refused.steps.is_empty() && refused.remaining.len() == 1, "it lies below what was synced");
    assert_eq!(plan(&report, &names(&disk), Some(17), false).log_end, Some(17));
    let plan = plan(&report, &names(&disk), Some(20), true);
    assert_eq!((plan.log_end, plan.remaining.len()), (Some(17), 0));
    assert!(plan.steps.contains(&Step::Cut { path: path.clone(), position: whole_len as u64 }));
    for step in &plan.steps {
        apply(&disk, step, Path::new(COPIES)).unwrap();
    }
    assert_eq!(read(&disk, &path), right[..whole_len]);
    let copy = Path::new(COPIES).join(format!("{}.from-{whole_len}", segment_file_name(14, "log")));
    assert_eq!(read(&disk, &copy), wrong[whole_len..]);
    let checkpoint = read(&disk, Path::new("/data/recovery-point-offset-checkpoint"));
    assert_eq!(checkpoint, b"0\n2\nother 0 99\nt 0 17\n");
    let report = verify(&disk);
    assert_eq!((report.findings.list.as_slice(), report.log_end()), (&[][..], Some(17)));
}

#[test]
fn what_was_synced_is_cut_only_where_that_is_asked_for() {
    let disk = partition();
    let first = batch(0, 2_000, Codec::None).len();
    disk.corrupt(&file(0, "log"), |bytes| bytes[first + 80] ^= 1).unwrap();
    let report = verify(&disk);
    let refused = plan(&report, &names(&disk), None, false);
    assert!(refused.steps.is_empty() && refused.log_end.is_none());
    assert!(refused.remaining.iter().any(|finding| finding.position == Some(first as u64)));
    let plan = plan(&report, &names(&disk), None, true);
    assert_eq!((plan.log_end, plan.remaining.len()), (Some(3), 0));
    for step in &plan.steps {
        apply(&disk, step, Path::new(COPIES)).unwrap();
    }
    assert!(!names(&disk).iter().any(|name| name.starts_with("00000000000000000014")), "{:?}", names(&disk));
    let report = verify(&disk);
    assert_eq!((report.findings.list.as_slice(), report.log_end()), (&[][..], Some(3)));
}

#[test]
fn reading_changes_nothing() {
    let disk = partition();
    disk.corrupt(&file(14, "log"), |bytes| bytes.truncate(100)).unwrap();
    let before: Vec<_> = names(&disk).iter().map(|name| read(&disk, &Path::new(DIR).join(name))).collect();
    let report = verify(&disk);
    plan(&report, &names(&disk), None, true);
    let after: Vec<_> = names(&disk).iter().map(|name| read(&disk, &Path::new(DIR).join(name))).collect();
    assert_eq!(before, after);
}

#[test]
fn checkpoints_are_held_against_the_logs() {
    let disk = SimDisk::new();
    let data = Path::new("/data");
    write(&disk, &data.join("recovery-point-offset-checkpoint"), b"0\n2\na 0 10\nb 0 5\n");
    write(&disk, &data.join("meta.properties"), b"#x\nversion=1\ncluster.id=c\nnode.id=1\n");
    disk.create_dir_all(&data.join("a-0")).unwrap();
    let ends = std::collections::BTreeMap::from([("a-0".to_owned(), (0, 9)), ("b-0".to_owned(), (0, 5))]);
    let report = verify_directory(&Through(disk.clone()), data, &ends).unwrap();
    assert_eq!(report.partitions, ["a-0"]);
    assert_eq!(report.findings.list.len(), 1);
    assert!(report.findings.list[0].reason.contains("a-0: what was synced reaches to offset 10"));
    write(&disk, &data.join("meta.properties"), b"version=1\nnode.id=one\n");
    write(&disk, &data.join("cleaner-offset-checkpoint"), b"0\n3\na 0 1\n");
    assert_eq!(verify_directory(&Through(disk), data, &ends).unwrap().findings.damages(), 3);
}

#[test]
fn files_are_known_by_their_names() {
    assert_eq!(FileKind::of("00000000000000000042.log"), FileKind::Segment(42));
    assert_eq!(FileKind::of("00000000000000000042.txnindex"), FileKind::TxnIndex(42));
    assert_eq!(FileKind::of("00000000000000000042.log.deleted"), FileKind::Leftover);
    for other in ["42.log", "99999999999999999999.log", "x", "", "+0000000000000000042.log"] {
        assert_eq!(FileKind::of(other), FileKind::Other, "{other}");
    }
    assert_eq!(topic_partition("a-b-12"), Some(("a-b", 12)));
    for none in ["a", "-1", "a-", "a-b", "a-0.0123-delete", "a-99999999999"] {
        assert_eq!(topic_partition(none), None, "{none}");
    }
}

#[test]
fn text_files_say_in_which_line_they_are_wrong() {
    assert_eq!(text::offset_checkpoint(b"0\n0\n"), Ok(Vec::new()));
    assert_eq!(text::offset_checkpoint(b""), Ok(Vec::new()));
    let line = text::PartitionOffset { topic: "a.b".to_owned(), partition: 3, offset: 7 };
    assert_eq!(text::offset_checkpoint(b"0\n1\na.b 3 7\n"), Ok(vec![line]));
    for bad in [
        &b"0"[..],
        b"0\n1\n",
        b"1\n0\n",
        b"0\n1\na 0 1",
        b"0\nx\n",
        b"0\n1\na 0 -1\n",
        b"0\n1\n 0 1\n",
        b"0\n1\n\xff\n",
    ] {
        assert!(text::offset_checkpoint(bad).is_err(), "{bad:?}");
    }
    assert!(text::offset_checkpoint(b"0\n1\na b\n").unwrap_err().contains("line 3"));
    assert!(text::leader_epochs(b"0\n2\n3 14\n3 15\n").unwrap_err().contains("line 4"));
    assert!(text::partition_metadata(b"version: 0\ntopic_id: AAAA\n").is_err());
    assert!(text::meta_properties(b"version=0\nbroker.id=1\n").is_ok());
    assert!(text::meta_properties(b"version=2\n").unwrap_err().contains("\"2\""));
}

#[test]
fn zeros_behind_the_entries_of_an_index_are_reserve() {
    let disk = SimDisk::new();
    let path = file(5, "index");
    let mut bytes = vec![0, 0, 0, 3, 0, 0, 1, 0];
    bytes.extend_from_slice(&[0; 24]);
    write(&disk, &path, &bytes);
    let read = |disk: &SimDisk| index::read_offset_index(&disk.open(&path, false).unwrap(), 5).unwrap();
    let entry = index::OffsetEntry { offset: 8, position: 256 };
    assert_eq!(read(&disk), index::Entries { entries: vec![entry], reserved_bytes: 24, surplus_bytes: 0 });
    write(&disk, &path, &bytes[..13]);
    assert_eq!(read(&disk), index::Entries { entries: vec![entry], reserved_bytes: 0, surplus_bytes: 5 });
}

#[test]
fn findings_are_bounded() {
    let mut findings = Findings::default();
    (0..MAX_FINDINGS + 7).for_each(|_| findings.damage(Path::new("f"), None, Remedy::None, "x"));
    assert_eq!((findings.list.len(), findings.omitted), (MAX_FINDINGS, 7));
    assert_eq!(findings.damages(), MAX_FINDINGS as u64 + 7);
}

/// Headers that look right at every byte cost no more than a few times the file.
#[test]
fn a_segment_full_of_plausible_headers_is_read_in_bounded_time() {
    let mut bytes = vec![0xff; 300_000];
    for at in (0..200_000).step_by(64) {
        let header = pelton_record::BatchHeader { base_offset: 5, batch_length: 90_000, ..template() };
        header.write_to(&mut bytes[at..]);
    }
    assert!(pieces(&bytes, 0).iter().all(|piece| !matches!(piece, Piece::Batch(batch) if batch.problem.is_none())));
}

fn template() -> pelton_record::BatchHeader {
    pelton_record::BatchHeader::parse(&batch(0, 4, Codec::None)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(2), any::<u8>()], 0..400),
        base in prop_oneof![Just(0_i64), Just(i64::MAX), 0..i64::MAX],
    ) {
        for name in ["log", "index", "timeindex", "txnindex", "snapshot", "digest"] {
            let disk = SimDisk::new();
            write(&disk, &file(base, name), &bytes);
            if name != "log" {
                write(&disk, &file(base, "log"), &[]);
            }
            verify(&disk);
        }
        pieces(&bytes, base);
        let _ = (text::offset_checkpoint(&bytes), text::leader_epochs(&bytes), crate::snapshot::decode(&bytes));
        let _ = (text::meta_properties(&bytes), text::partition_metadata(&bytes));
        let _ = check_records(&bytes, 1 << 16);
    }

    #[test]
    fn several_flips_and_a_cut_are_survived(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6), cut in any::<prop::sample::Index>(),
        which in any::<prop::sample::Index>(), repair in any::<bool>(),
    ) {
        let disk = partition();
        let names = names(&disk);
        let path = Path::new(DIR).join(&names[which.index(names.len())]);
        disk.corrupt(&path, |bytes| {
            for (at, bit) in &flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            if cut.index(3) == 0 {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
        }).unwrap();
        let report = verify(&disk);
        let plan = plan(&report, &names, None, repair);
        let mut applied = true;
        for step in &plan.steps {
            applied &= apply(&disk, step, Path::new(COPIES)).is_ok();
        }
        // What a repair leaves behind is what it said it would.
        if plan.remaining.is_empty() && applied && report.findings.omitted == 0 {
            prop_assert_eq!(verify(&disk).findings.damages(), 0, "{:?} {:?}", path, plan.steps);
        }
    }
}
