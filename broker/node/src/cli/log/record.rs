//! The records of one batch: as Kafka's `kafka-dump-log` prints them, or as JSON.

use super::{DECOMPRESS_MAX_BYTES, output, text};
use clap::ValueEnum;
use pelton_log::inspect::BatchAt;
use pelton_record::{BatchView, Codec, ControlType, Record, TimestampType, uncompressed_batch};
use serde_json::{Value, json};

/// How much of a key, a value or a header is shown to people.
const SHOWN: usize = 1_000;

/// What the keys and values of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Decode {
    /// By the name of the directory.
    Auto,
    /// Those of __consumer_offsets.
    Offsets,
    /// Those of __transaction_state.
    Transactions,
    /// Those of this broker's __cluster_metadata.
    Metadata,
    /// Bytes.
    None,
}

impl Decode {
    /// What `Auto` means for a topic.
    pub fn for_topic(self, topic: Option<&str>) -> Self {
        match (self, topic) {
            (Self::Auto, Some("__consumer_offsets")) => Self::Offsets,
            (Self::Auto, Some("__transaction_state")) => Self::Transactions,
            (Self::Auto, Some("__cluster_metadata")) => Self::Metadata,
            (Self::Auto, _) => Self::None,
            (chosen, _) => chosen,
        }
    }

    fn decoded(self, record: &Record<'_>) -> Option<Result<(Value, Value), String>> {
        let (key, value) = (record.key.unwrap_or_default(), record.value);
        match self {
            Self::Offsets => Some(pelton_core::group::describe_record(key, value)),
            Self::Transactions => Some(pelton_core::transaction::describe_record(key, value)),
            Self::Metadata => Some(pelton_core::cluster::describe_record(key, value)),
            Self::Auto | Self::None => None,
        }
    }
}

/// Prints the batch's header.
pub fn print_batch(file: &str, batch: &BatchAt, as_json: bool) {
    let header = &batch.header;
    let attributes = header.attributes;
    let codec = attributes.codec().map_or("unknown", Codec::name);
    // Bit 6: the base timestamp is when compaction may drop the batch's tombstones (KIP-534).
    let horizon = (attributes.0 & 0x40 != 0).then_some(header.base_timestamp);
    let timestamp_type = timestamp_type(attributes.timestamp_type());
    if as_json {
        let mut shown = json!({
            "type": "batch", "file": file, "position": batch.position, "size": header.total_len(),
            "baseOffset": header.base_offset, "lastOffset": header.last_offset(), "count": header.record_count,
            "baseSequence": header.base_sequence, "lastSequence": header.last_sequence(),
            "producerId": header.producer_id, "producerEpoch": header.producer_epoch,
            "partitionLeaderEpoch": header.partition_leader_epoch,
            "isTransactional": attributes.is_transactional(), "isControl": attributes.is_control(),
            "deleteHorizonMs": horizon, "timestampType": timestamp_type, "maxTimestamp": header.max_timestamp,
            "magic": header.magic, "compressionCodec": codec, "crc": header.crc, "isValid": batch.problem.is_none(),
        });
        if let (Some(problem), Some(fields)) = (&batch.problem, shown.as_object_mut()) {
            fields.insert("problem".to_owned(), json!(problem));
        }
        output::json(&shown);
        return;
    }
    let horizon = horizon.map_or_else(|| "OptionalLong.empty".to_owned(), |at| format!("OptionalLong[{at}]"));
    output::line(&format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {} \
         {timestamp_type}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {}{}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        attributes.is_transactional(),
        attributes.is_control(),
        batch.position,
        header.max_timestamp,
        header.total_len(),
        header.magic,
        header.crc,
        batch.problem.is_none(),
        batch.problem.as_ref().map(|problem| format!(" problem: {problem}")).unwrap_or_default(),
    ));
}

/// Prints the records of a batch from offset `from` on. Says what is wrong with them, if anything is.
pub fn print_records(bytes: &[u8], batch: &BatchAt, from: i64, decode: Decode, as_json: bool) -> Option<String> {
    let view = match BatchView::parse(bytes) {
        Ok(view) => view,
        Err(error) => return Some(error.to_string()),
    };
    if view.header().record_count == 0 {
        return None;
    }
    let whole = match uncompressed_batch(&view, DECOMPRESS_MAX_BYTES) {
        Ok(whole) => whole,
        Err(error) => return Some(error.to_string()),
    };
    let records = match BatchView::parse(&whole).and_then(|view| view.records()) {
        Ok(records) => records,
        Err(error) => return Some(error.to_string()),
    };
    for record in records {
        match record {
            Ok(record) if record.offset(&batch.header) < from => {}
            Ok(record) if as_json => output::json(&record_json(&record, batch, decode)),
            Ok(record) => output::line(&record_line(&record, batch, decode)),
            Err(error) => return Some(error.to_string()),
        }
    }
    None
}

fn timestamp_type(kind: TimestampType) -> &'static str {
    match kind {
        TimestampType::Create => "CreateTime",
        TimestampType::LogAppend => "LogAppendTime",
    }
}

/// The sequence number of a record, or -1.
fn sequence(record: &Record<'_>, batch: &BatchAt) -> i64 {
    let base = i64::from(batch.header.base_sequence);
    if base < 0 { -1 } else { (base + i64::from(record.offset_delta)) & i64::from(i32::MAX) }
}

fn record_line(record: &Record<'_>, batch: &BatchAt, decode: Decode) -> String {
    let header = &batch.header;
    let headers: Vec<&str> = record.headers().map_while(Result::ok).map(|header| header.key).collect();
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let mut line = format!(
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
        record.offset(header),
        timestamp_type(header.attributes.timestamp_type()),
        record.timestamp(header),
        size(record.key),
        size(record.value),
        sequence(record, batch),
        text::shown(Some(headers.join(",").as_bytes()), SHOWN),
    );
    if let Some((kind, epoch)) = batch.control {
        line.push_str(&format!(" endTxnMarker: {} coordinatorEpoch: {epoch}", marker(kind)));
        return line;
    }
    match decode.decoded(record) {
        Some(Ok((key, value))) => line.push_str(&format!(" key: {key} payload: {value}")),
        Some(Err(reason)) => line.push_str(&format!(" undecoded: {}", text::shown(Some(reason.as_bytes()), SHOWN))),
        None => {
            let shown = |bytes| text::shown(bytes, SHOWN);
            if record.key.is_some() {
                line.push_str(&format!(" key: {}", shown(record.key)));
            }
            line.push_str(&format!(" payload: {}", shown(record.value)));
        }
    }
    line
}

fn record_json(record: &Record<'_>, batch: &BatchAt, decode: Decode) -> Value {
    let header = &batch.header;
    let headers = record.headers().map_while(Result::ok);
    let headers = headers.map(|header| json!({ "key": header.key, "value": text::to_json(header.value) }));
    let mut shown = json!({
        "type": "record",
        "offset": record.offset(header),
        "timestampType": timestamp_type(header.attributes.timestamp_type()),
        "timestamp": record.timestamp(header),
        "sequence": sequence(record, batch),
        "headers": headers.collect::<Vec<_>>(),
    });
    let fields = shown.as_object_mut().expect("it was made as an object");
    if let Some((kind, epoch)) = batch.control {
        fields.insert("endTxnMarker".to_owned(), json!(marker(kind)));
        fields.insert("coordinatorEpoch".to_owned(), json!(epoch));
    }
    fields.insert("key".to_owned(), text::to_json(record.key));
    fields.insert("value".to_owned(), text::to_json(record.value));
    match decode.decoded(record).filter(|_| batch.control.is_none()) {
        Some(Ok((key, value))) => drop(fields.insert("decoded".to_owned(), json!({ "key": key, "value": value }))),
        Some(Err(reason)) => drop(fields.insert("undecoded".to_owned(), json!(reason))),
        None => {}
    }
    shown
}

fn marker(kind: ControlType) -> &'static str {
    match kind {
        ControlType::Abort => "ABORT",
        ControlType::Commit => "COMMIT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::{BatchBuilder, Header};

    fn batch(bytes: &[u8]) -> BatchAt {
        let header = pelton_record::BatchHeader::parse(bytes).unwrap();
        BatchAt { position: 0, header, problem: None, control: None }
    }

    #[test]
    fn a_record_is_printed_as_kafka_prints_it() {
        let mut builder = BatchBuilder::new(1_000);
        builder.set_producer(7, 1, i32::MAX);
        let headers = [Header { key: "h", value: Some(b"x") }];
        builder.push(1_000, Some(b"k"), Some(b"v\n"), &headers);
        builder.push(1_005, None, None, &[]);
        let bytes = builder.into_bytes_with_crc();
        let at = batch(&bytes);
        let view = BatchView::parse(&bytes).unwrap();
        let lines: Vec<String> =
            view.records().unwrap().map(|record| record_line(&record.unwrap(), &at, Decode::None)).collect();
        assert_eq!(
            lines[0],
            "| offset: 0 CreateTime: 1000 keySize: 1 valueSize: 2 sequence: 2147483647 headerKeys: [h] key: k payload: v\\n"
        );
        // After the largest sequence number comes 0.
        assert_eq!(
            lines[1],
            "| offset: 1 CreateTime: 1005 keySize: -1 valueSize: -1 sequence: 0 headerKeys: [] payload: null"
        );
        let first = view.records().unwrap().next().unwrap().unwrap();
        let shown = record_json(&first, &at, Decode::Offsets);
        assert_eq!(shown["headers"][0], json!({"key": "h", "value": "x"}));
        assert!(shown["undecoded"].as_str().is_some_and(|reason| reason.starts_with("key: ")), "{shown}");
    }

    #[test]
    fn the_decoder_follows_the_topic() {
        assert_eq!(Decode::Auto.for_topic(Some("__consumer_offsets")), Decode::Offsets);
        assert_eq!(Decode::Auto.for_topic(Some("orders")), Decode::None);
        assert_eq!(Decode::Metadata.for_topic(Some("__consumer_offsets")), Decode::Metadata);
        assert_eq!(Decode::None.for_topic(Some("__consumer_offsets")), Decode::None);
    }
}
