//! The topic configs of appending, as clients meet them.

use super::client::*;
use bytes::Bytes;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::*;
use pelton_record::{BatchBuilder, BatchView, Codec, compressed_batch, uncompressed_batch};

/// A batch of records with these keys and timestamps.
fn keyed(records: &[(Option<&str>, i64)]) -> Bytes {
    let mut builder = BatchBuilder::new(records[0].1);
    for (key, timestamp) in records {
        builder.push(*timestamp, key.map(str::as_bytes), Some(b"value value value"), &[]);
    }
    builder.into_bytes_with_crc().into()
}

fn compressed(batch: &Bytes, codec: Codec) -> Bytes {
    compressed_batch(&BatchView::parse(batch).unwrap(), codec).unwrap().into()
}

fn now_ms() -> i64 {
    crate::server::now_ms()
}

/// The timestamps and the codec of the first batch of the topic.
async fn first_batch(client: &mut Client, topic: &str) -> (Vec<i64>, Codec) {
    let records = client.fetch(topic, 0, 0, 0).await.records.unwrap();
    let view = BatchView::parse(&records).unwrap();
    view.verify_crc().unwrap();
    let codec = view.header().attributes.codec().unwrap();
    let plain = uncompressed_batch(&view, 1 << 20).unwrap();
    let plain = BatchView::parse(&plain).unwrap();
    let timestamps = plain.records().unwrap().map(|record| record.unwrap().timestamp(plain.header()));
    (timestamps.collect(), codec)
}

fn record_errors(response: &PartitionProduceResponse) -> Vec<(i32, String)> {
    let message = |error: &produce_response::BatchIndexAndErrorMessage| {
        error.batch_index_error_message.as_ref().map_or_else(String::new, |text| text.as_str().to_owned())
    };
    response.record_errors.iter().map(|error| (error.batch_index, message(error))).collect()
}

#[tokio::test]
async fn log_append_time_is_the_brokers_and_is_told() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create_with("t", 1, &[("message.timestamp.type", "LogAppendTime")]).await.error_code, 0);
    let before = now_ms();
    let produced = client.produce("t", 0, compressed(&keyed(&[(None, 5), (None, 9)]), Codec::Lz4)).await;
    assert_eq!(produced.error_code, 0);
    assert!((before..=now_ms()).contains(&produced.log_append_time_ms), "{produced:?}");
    let (timestamps, codec) = first_batch(&mut client, "t").await;
    assert_eq!((timestamps, codec), (vec![produced.log_append_time_ms; 2], Codec::Lz4));
    // A producer that claims the broker's stamp is refused: the batch is the first one, as it was stored.
    let stored = client.fetch("t", 0, 0, 0).await.records.unwrap();
    assert_eq!(client.produce("t", 0, stored).await.error_code, 32, "INVALID_TIMESTAMP");
    broker.stop().await;
}

#[tokio::test]
async fn timestamps_out_of_range_are_refused_with_the_records_that_are_wrong() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let configs = [("message.timestamp.before.max.ms", "600000"), ("message.timestamp.after.max.ms", "700000")];
    assert_eq!(client.create_with("t", 1, &configs).await.error_code, 0);
    let now = now_ms();
    assert_eq!(client.produce("t", 0, keyed(&[(None, now - 500_000), (None, now + 600_000)])).await.error_code, 0);
    for (wrong, index) in [([now - 900_000, now], 0), ([now, now + 900_000], 1)] {
        for codec in [Codec::None, Codec::Zstd] {
            let plain = keyed(&[(None, wrong[0]), (None, wrong[1])]);
            let batch = if codec == Codec::None { plain } else { compressed(&plain, codec) };
            let refused = client.produce("t", 0, batch).await;
            assert_eq!(refused.error_code, 32, "INVALID_TIMESTAMP");
            let errors = record_errors(&refused);
            assert_eq!((errors.len(), errors[0].0), (1, index), "{errors:?}");
            assert!(errors[0].1.contains("is out of range"), "{errors:?}");
            assert!(refused.error_message.unwrap().contains("invalid timestamp"));
        }
    }
    // An hour ahead is the limit where nobody sets another.
    client.create("usual", 1).await;
    assert_eq!(client.produce("usual", 0, keyed(&[(None, 1)])).await.error_code, 0);
    assert_eq!(client.produce("usual", 0, keyed(&[(None, now + 7_200_000)])).await.error_code, 32);
    broker.stop().await;
}

#[tokio::test]
async fn max_message_bytes_is_the_largest_batch() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let fits = keyed(&[(None, 1)]);
    let limit = fits.len().to_string();
    assert_eq!(client.create_with("t", 1, &[("max.message.bytes", &limit)]).await.error_code, 0);
    assert_eq!(client.produce("t", 0, fits).await.error_code, 0);
    assert_eq!(client.produce("t", 0, keyed(&[(Some("k"), 1)])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    broker.stop().await;
}

#[tokio::test]
async fn the_level_of_a_codec_decides_how_small_a_batch_gets() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let text: String = (0..20_000_u64).map(|n| format!("{:x} ", n.wrapping_mul(n) % 4_099)).collect();
    for (codec, least, most) in [("gzip", "1", "9"), ("zstd", "-100", "19")] {
        let mut sizes = Vec::new();
        for level in [least, most] {
            let (topic, config) = (format!("{codec}-{level}"), format!("compression.{codec}.level"));
            assert_eq!(
                client.create_with(&topic, 1, &[("compression.type", codec), (&config, level)]).await.error_code,
                0
            );
            assert_eq!(client.produce(&topic, 0, batch(&[&text])).await.error_code, 0);
            sizes.push(client.fetch(&topic, 0, 0, 0).await.records.unwrap().len());
        }
        assert!(sizes[0] > sizes[1], "{codec}: {sizes:?}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn compression_type_decides_how_batches_are_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let now = now_ms();
    let batch = keyed(&[(None, now), (None, now + 1)]);
    let sent = [batch.clone(), compressed(&batch, Codec::Gzip)];
    let cases = [("uncompressed", Codec::None), ("snappy", Codec::Snappy), ("lz4", Codec::Lz4), ("zstd", Codec::Zstd)];
    for (name, codec) in cases {
        for (index, sent) in sent.iter().enumerate() {
            let topic = format!("{name}-{index}");
            assert_eq!(client.create_with(&topic, 1, &[("compression.type", name)]).await.error_code, 0);
            assert_eq!(client.produce(&topic, 0, sent.clone()).await.error_code, 0);
            assert_eq!(first_batch(&mut client, &topic).await, (vec![now, now + 1], codec));
        }
    }
    client.create("producers", 1).await;
    assert_eq!(client.produce("producers", 0, sent[1].clone()).await.error_code, 0);
    assert_eq!(first_batch(&mut client, "producers").await.1, Codec::Gzip);
    broker.stop().await;
}

#[tokio::test]
async fn a_compacted_topic_refuses_records_without_keys() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create_with("t", 1, &[("cleanup.policy", "compact")]).await.error_code, 0);
    let now = now_ms();
    assert_eq!(client.produce("t", 0, keyed(&[(Some("a"), now)])).await.error_code, 0);
    for codec in [Codec::None, Codec::Gzip] {
        let plain = keyed(&[(Some("a"), now), (None, now)]);
        let batch = if codec == Codec::None { plain } else { compressed(&plain, codec) };
        let refused = client.produce("t", 0, batch.clone()).await;
        assert_eq!(refused.error_code, 87, "INVALID_RECORD");
        let why = "Compacted topic cannot accept message without key in topic partition t-0.".to_owned();
        assert_eq!(record_errors(&refused), [(1, why)]);
        let older = client.call(7, &produce("t", 0, batch, None)).await;
        let older = &older.responses[0].partition_responses[0];
        assert_eq!((older.error_code, older.record_errors.len()), (87, 0), "v7 knows no record errors");
    }
    assert_eq!(client.produce("t", 0, keyed(&[(Some("b"), now)])).await.base_offset, 1, "nothing of them was kept");
    broker.stop().await;
}

#[tokio::test]
async fn durability_and_flushing_are_a_topics_to_choose() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let topics: [(&str, &[(&str, &str)]); 4] = [
        ("fsync", &[("durability", "fsync")]),
        ("replicated", &[("durability", "replicated")]),
        ("by-count", &[("durability", "replicated"), ("flush.messages", "2")]),
        ("by-time", &[("durability", "replicated"), ("flush.ms", "1")]),
    ];
    for (topic, configs) in topics {
        assert_eq!(client.create_with(topic, 1, configs).await.error_code, 0);
        for offset in 0..5 {
            let produced = client.produce(topic, 0, batch(&["x"])).await;
            assert_eq!((produced.error_code, produced.base_offset), (0, offset), "{topic}");
        }
        assert_eq!(client.fetch(topic, 0, 0, 0).await.high_watermark, 5, "{topic}");
    }
    for wrong in [("durability", "maybe"), ("flush.messages", "0"), ("flush.ms", "-1")] {
        assert_eq!(client.create_with("wrong", 1, &[wrong]).await.error_code, 40, "INVALID_CONFIG");
    }
    drop(broker);
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    for (topic, _) in topics {
        assert_eq!(client.fetch(topic, 0, 0, 0).await.high_watermark, 5, "{topic}");
    }
    broker.stop().await;
}
