//! Record batches: the walk of `sdk/record` over them, and all that a Produce request's records go through before a
//! partition sees them.
//!
//! The first two bytes of the input choose what is done with the rest before it is read ([`Dress`]), since no fuzzer
//! guesses a CRC or writes a zstd frame by chance, and by which rules of a topic it is judged. What is promised: the
//! readers take a multiple of what they were given, and of the cap on decompressed records, which is a small one here.

use crate::allocation::bounded;
use bytes::Bytes;
use pelton_core::config::CoreConfig;
use pelton_core::event::IncomingBatch;
use pelton_core::model::TopicPartition;
use pelton_core::partition::rules::{AppendRules, RecordErrors};
use pelton_log::inspect::check_records;
use pelton_record::{
    BatchHeader, BatchView, Codec, CodecError, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2, batches, compressed_batch,
    parse_control, recompute_crc, uncompressed_batch,
};
use pelton_server::protocol::records::{accept, is_zstd, kept};
use std::collections::BTreeMap;

/// What the records of a batch may take when decompressed.
const CAP_BYTES: usize = 64 << 10;
/// The broker's clock.
const NOW_MS: i64 = 1_700_000_000_000;
/// Memory for each byte of a batch: copies of it, and errors for its records.
const FACTOR: usize = 24;
/// Memory for each byte of the cap: what a codec wrote, the batch around it, and both encoded anew. A vector that grows
/// may be twice as large as what is in it, and have its former self beside it.
const CAP_FACTOR: usize = 8;
/// Windows and tables of the codecs, of which an LZ4 frame may ask for two blocks of 4 MiB and their window.
const CODECS_BYTES: usize = 20 << 20;

/// What is done with the bytes before they are read.
#[derive(Clone, Copy)]
struct Dress(u8);

impl Dress {
    /// Magic, batch length and CRC are made to fit.
    fn is_mended(self) -> bool {
        self.0 & 1 != 0
    }

    /// The codec in which the records are compressed, if they are not compressed already.
    fn codec(self) -> Option<Codec> {
        Codec::from_id(self.0 >> 1 & 7).ok()
    }

    fn put_on(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !self.is_mended() || bytes.len() < HEADER_LEN {
            return bytes;
        }
        let batch_length = (bytes.len() - LOG_OVERHEAD) as i32;
        bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
        bytes[16] = MAGIC_V2 as u8;
        recompute_crc(&mut bytes);
        let Some(codec) = self.codec() else { return bytes };
        let compressed = BatchView::parse(&bytes).ok().and_then(|plain| compressed_batch(&plain, codec).ok());
        compressed.unwrap_or(bytes)
    }
}

/// The rules of a topic.
fn rules(choice: u8) -> AppendRules {
    const CODECS: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
    let mut configs = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(configs.insert(name.to_owned(), value.to_owned()));
    if choice & 1 != 0 {
        set("cleanup.policy", "compact");
    }
    if choice & 2 != 0 {
        set("message.timestamp.type", "LogAppendTime");
    }
    if choice & 4 != 0 {
        set("message.timestamp.before.max.ms", "3600000");
    }
    set("compression.type", CODECS[usize::from(choice >> 3) % CODECS.len()]);
    AppendRules::of(&CoreConfig { decompressed_max_bytes: CAP_BYTES, ..CoreConfig::default() }, &configs)
}

/// Reads the input as record batches.
pub fn run(input: &[u8]) {
    let [dress, choice, bytes @ ..] = input else { return };
    let bytes = Bytes::from(Dress(*dress).put_on(bytes));
    bounded(FACTOR * bytes.len() + 4 * 1024, || walk(&bytes));
    let most_bytes = FACTOR * bytes.len() + CAP_FACTOR * CAP_BYTES + CODECS_BYTES;
    bounded(most_bytes, || {
        decompress(&bytes);
        produce(&bytes, &rules(*choice));
    });
}

/// Batch by batch, record by record, as a fetch, a recovery and a plugin do.
fn walk(bytes: &[u8]) {
    let mut at = 0;
    for batch in batches(bytes) {
        let Ok(batch) = batch else { break };
        assert_eq!(batch.bytes(), &bytes[at..at + batch.header().total_len()]);
        at += batch.bytes().len();
        let _ = batch.verify_crc();
        let _ = parse_control(&batch);
        let mut written = [0; HEADER_LEN];
        batch.header().write_to(&mut written);
        assert_eq!(&written, batch.bytes().first_chunk().expect("a batch has a header"), "what was read is written");
        let Ok(records) = batch.records() else { continue };
        let mut last = None;
        for record in records {
            let Ok(record) = record else { break };
            let offset = record.offset(batch.header());
            assert!(last.is_none_or(|last| last < offset) && offset <= batch.header().last_offset());
            last = Some(offset);
            let _ = record.timestamp(batch.header());
            let whole = record.headers().take_while(Result::is_ok).count();
            assert!(whole <= record.header_count() as usize);
        }
    }
}

/// The first batch, decompressed.
fn decompress(bytes: &[u8]) {
    let Ok(batch) = BatchView::parse(bytes) else { return };
    let counted = check_records(batch.bytes(), CAP_BYTES);
    match uncompressed_batch(&batch, CAP_BYTES) {
        Ok(plain) => {
            let codec = batch.header().attributes.codec().expect("it has just been decompressed");
            assert!(codec == Codec::None || plain.len() <= CAP_BYTES + HEADER_LEN, "the cap holds");
            let plain = BatchView::parse(&plain).expect("what was decompressed is a batch");
            assert_eq!(plain.header().record_count, batch.header().record_count);
        }
        Err(CodecError::TooLarge(cap)) => assert_eq!(cap, CAP_BYTES),
        Err(_) => assert!(counted.is_err() || batch.header().record_count == 0, "nobody reads what cannot be read"),
    }
}

/// What Produce does with it; what is kept must be taken again, and read by those who read the log.
fn produce(bytes: &Bytes, rules: &AppendRules) {
    let partition = TopicPartition::new("t", 0);
    let Ok(batch) = accept(bytes, &partition, rules, NOW_MS) else { return };
    let _ = is_zstd(&batch);
    let came = batch.header;
    let Ok(IncomingBatch { header, bytes }) = kept(batch, rules, NOW_MS) else { return };
    let mut stored = bytes.to_vec();
    header.write_to(&mut stored);
    let view = BatchView::parse(&stored).expect("what is kept is a batch");
    assert_eq!(view.bytes().len(), stored.len(), "and nothing else");
    view.verify_crc().expect("its CRC fits");
    let same = |one: &BatchHeader, other: &BatchHeader| {
        one.record_count == other.record_count
            && one.last_offset_delta == other.last_offset_delta
            && (one.producer_id, one.producer_epoch, one.base_sequence)
                == (other.producer_id, other.producer_epoch, other.base_sequence)
    };
    assert!(same(&came, view.header()), "counts and sequences are the producer's");
    let codec = view.header().attributes.codec().expect("a codec that is known");
    let read = check_records(&stored, CAP_BYTES);
    if codec == Codec::None || rules.need_records(&came, pelton_core::model::Timestamp(NOW_MS)) {
        // Its records have been read.
        assert!(read.is_ok() || is_header_key(&read), "{read:?}");
    }
    let _: Result<IncomingBatch, RecordErrors> = accept(&Bytes::from(stored), &partition, rules, NOW_MS);
}

/// Whether it is the name of a record's header that is not UTF-8: Kafka's brokers do not look at it either.
fn is_header_key(read: &Result<u64, String>) -> bool {
    read.as_ref().is_err_and(|error| error.contains("UTF-8"))
}
