//! Whole batches in, whole batches out.

use super::*;
use pelton_core::config::CoreConfig;
use pelton_record::BatchBuilder;
use std::collections::BTreeMap;

const NOW: i64 = 1_000_000;

fn partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn rules(configs: &[(&str, &str)]) -> AppendRules {
    let configs: BTreeMap<String, String> =
        configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    AppendRules::of(&CoreConfig { decompressed_max_bytes: 1 << 20, ..CoreConfig::default() }, &configs)
}

fn batch(timestamps: &[i64]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamps[0]);
    for timestamp in timestamps {
        builder.push(*timestamp, Some(b"key"), Some(b"value value value value"), &[]);
    }
    builder.set_producer(7, 1, 3);
    builder.into_bytes_with_crc()
}

fn compressed(plain: &[u8], codec: Codec) -> Vec<u8> {
    pelton_record::compressed_batch(&BatchView::parse(plain).unwrap(), codec).unwrap()
}

fn take(bytes: Vec<u8>, rules: &AppendRules) -> Result<IncomingBatch, RecordErrors> {
    accept(&Bytes::from(bytes), &partition(), rules, NOW)
}

/// What is written to the log, read as anybody reads it.
fn stored(batch: &IncomingBatch) -> Vec<u8> {
    let mut bytes = batch.bytes.to_vec();
    batch.header.write_to(&mut bytes);
    let view = BatchView::parse(&bytes).unwrap();
    view.verify_crc().unwrap();
    assert_eq!(view.bytes().len(), bytes.len());
    bytes
}

fn timestamps(bytes: &[u8]) -> Vec<i64> {
    let view = BatchView::parse(bytes).unwrap();
    let plain = uncompressed_batch(&view, 1 << 20).unwrap();
    let view = BatchView::parse(&plain).unwrap();
    view.records().unwrap().map(|record| record.unwrap().timestamp(view.header())).collect()
}

fn refused(bytes: Vec<u8>, rules: &AppendRules) -> Refusal {
    take(bytes, rules).unwrap_err().refusal
}

#[test]
fn a_whole_batch_is_taken_as_it_is() {
    let bytes = Bytes::from(batch(&[NOW, NOW]));
    let taken = accept(&bytes, &partition(), &rules(&[]), NOW).unwrap();
    let kept = kept(taken, &rules(&[]), NOW).unwrap();
    assert_eq!(kept.bytes.as_ptr(), bytes.as_ptr(), "nothing was copied");
    assert_eq!(stored(&kept), bytes);
}

#[test]
fn log_append_time_changes_the_header_alone_and_copies_nothing() {
    let rules = rules(&[("message.timestamp.type", "LogAppendTime")]);
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let plain = batch(&[3, 9, 5]);
        let sent = if codec == Codec::None { plain } else { compressed(&plain, codec) };
        let bytes = Bytes::from(sent);
        let kept = kept(accept(&bytes, &partition(), &rules, NOW).unwrap(), &rules, NOW).unwrap();
        assert_eq!(kept.bytes.as_ptr(), bytes.as_ptr());
        assert_eq!(timestamps(&stored(&kept)), [NOW; 3], "{codec:?}");
    }
}

#[test]
fn a_largest_timestamp_that_is_not_there_is_corrected() {
    let mut bytes = batch(&[NOW - 5, NOW, NOW - 3]);
    let header = BatchHeader::parse(&bytes).unwrap();
    BatchHeader { max_timestamp: 4, ..header }.write_to(&mut bytes);
    recompute_crc(&mut bytes);
    let taken = take(bytes, &rules(&[])).unwrap();
    assert_eq!(taken.header.max_timestamp, NOW);
    stored(&taken);
}

#[test]
fn compression_type_encodes_anew_what_has_another_codec_and_nothing_else() {
    let plain = batch(&[NOW, NOW + 1, NOW + 2]);
    let codecs = [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ];
    for (name, wanted) in codecs {
        let rules = rules(&[("compression.type", name)]);
        for (_, sent) in codecs {
            let sent_bytes = Bytes::from(if sent == Codec::None { plain.clone() } else { compressed(&plain, sent) });
            let kept = kept(accept(&sent_bytes, &partition(), &rules, NOW).unwrap(), &rules, NOW).unwrap();
            let bytes = stored(&kept);
            let header = BatchHeader::parse(&bytes).unwrap();
            assert_eq!(header.attributes.codec(), Ok(wanted), "{sent:?} to {name}");
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 3));
            assert_eq!(timestamps(&bytes), [NOW, NOW + 1, NOW + 2]);
            assert_eq!(kept.bytes.as_ptr() == sent_bytes.as_ptr(), sent == wanted);
        }
    }
}

#[test]
fn both_at_once_stamp_the_recoded_batch() {
    let rules = rules(&[("compression.type", "lz4"), ("message.timestamp.type", "LogAppendTime")]);
    let taken = take(compressed(&batch(&[1, 2]), Codec::Gzip), &rules).unwrap();
    let bytes = stored(&kept(taken, &rules, NOW).unwrap());
    assert_eq!(BatchHeader::parse(&bytes).unwrap().attributes.codec(), Ok(Codec::Lz4));
    assert_eq!(timestamps(&bytes), [NOW; 2]);
}

#[test]
fn rules_hold_in_compressed_records_too() {
    let mut builder = BatchBuilder::new(NOW);
    builder.push(NOW, Some(b"key"), None, &[]);
    builder.push(NOW, None, Some(b"no key"), &[]);
    let sent = compressed(&builder.into_bytes_with_crc(), Codec::Zstd);
    assert!(take(sent.clone(), &rules(&[])).is_ok());
    let errors = take(sent, &rules(&[("cleanup.policy", "compact")])).unwrap_err();
    assert_eq!(errors.records.len(), 1);
    assert_eq!(errors.records[0].0, 1);
    let old = compressed(&batch(&[NOW, NOW - 50]), Codec::Lz4);
    let limited = rules(&[("message.timestamp.before.max.ms", "49")]);
    assert!(matches!(refused(old, &limited), Refusal::InvalidTimestamp(_)));
    let early = compressed(&batch(&[NOW + 3_600_001]), Codec::Gzip);
    assert!(matches!(refused(early, &rules(&[])), Refusal::InvalidTimestamp(_)));
}

#[test]
fn what_is_larger_than_the_cap_when_decompressed_is_refused() {
    let mut builder = BatchBuilder::new(NOW);
    builder.push(NOW, Some(b"key"), Some(&vec![0; 2 << 20]), &[]);
    let bomb = compressed(&builder.into_bytes_with_crc(), Codec::Zstd);
    assert!(bomb.len() < 10_000);
    let compacted = rules(&[("cleanup.policy", "compact")]);
    assert_eq!(refused(bomb, &compacted), Refusal::RecordTooLarge);
}

#[test]
fn compressed_bytes_that_are_none_are_not_to_be_sent_again() {
    let mut bytes = compressed(&batch(&[NOW]), Codec::Zstd);
    let last = bytes.len() - 1;
    bytes[HEADER_LEN..last].fill(0x5a);
    recompute_crc(&mut bytes);
    assert!(matches!(refused(bytes, &rules(&[("cleanup.policy", "compact")])), Refusal::InvalidRecord(_)));
}

#[test]
fn what_comes_too_large_is_not_made_small_enough() {
    let sent = batch(&[NOW; 100]);
    let limit = (sent.len() - 1).to_string();
    let rules = rules(&[("max.message.bytes", &limit), ("compression.type", "zstd")]);
    let taken = take(sent, &rules).unwrap();
    assert_eq!(kept(taken, &rules, NOW).unwrap_err(), Refusal::RecordTooLarge);
}

#[test]
fn what_is_damaged_old_or_doubled_is_refused() {
    let whole = batch(&[NOW]);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(refused(flipped, &rules(&[])), Refusal::CorruptMessage(_)));
    let mut old = whole.clone();
    old[16] = 1;
    assert_eq!(refused(old, &rules(&[])), Refusal::UnsupportedFormat);
    let twice: Vec<u8> = [whole.clone(), whole.clone()].concat();
    assert!(matches!(refused(twice, &rules(&[])), Refusal::InvalidRecord(_)));
    assert!(matches!(refused(Vec::new(), &rules(&[])), Refusal::CorruptMessage(_)));
    for cut in 0..whole.len() {
        assert!(take(whole[..cut].to_vec(), &rules(&[])).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_producer_cannot_say_when_tombstones_may_go() {
    let plain = batch(&[NOW, NOW]);
    let sent = [plain.clone(), compressed(&plain, Codec::Lz4)];
    for (sent, configs) in sent.iter().flat_map(|sent| [(sent, &[][..]), (sent, &[("compression.type", "gzip")][..])]) {
        let mut marked = sent.clone();
        let header = BatchHeader::parse(sent).unwrap();
        BatchHeader { attributes: header.attributes.with_delete_horizon(true), ..header }.write_to(&mut marked);
        recompute_crc(&mut marked);
        let rules = rules(configs);
        let kept_marked = stored(&kept(take(marked, &rules).unwrap(), &rules, NOW).unwrap());
        let kept_plain = stored(&kept(take(sent.clone(), &rules).unwrap(), &rules, NOW).unwrap());
        assert_eq!(kept_marked, kept_plain);
        assert!(!BatchHeader::parse(&kept_marked).unwrap().attributes.has_delete_horizon());
    }
}
