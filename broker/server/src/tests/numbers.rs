//! The numbers of a broker after some traffic, and the document that explains them.

use super::client::*;
use super::connections::{sample, until};
use super::groups::commit_offsets;
use kafka_protocol::messages::*;
use std::collections::BTreeSet;

async fn assert_samples(broker: &crate::Broker, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        assert_eq!(sample(broker, name).await, Some(*value), "{name}");
    }
}

#[tokio::test]
async fn the_numbers_say_what_happened() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    let records = batch(&["a", "b", "c"]);
    let bytes = records.len() as f64;
    assert_eq!(client.produce("t", 0, records.clone()).await.error_code, 0);
    assert_eq!(client.produce("t", 9, records).await.error_code, 3, "there is no such partition");
    assert_eq!(client.produce("t", 1, bytes::Bytes::from_static(b"no batch")).await.error_code, 2);
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records).len(), 3);
    assert_eq!(client.fetch("t", 0, 99, 0).await.error_code, 1, "past the end");
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g \"1\"")]);
    let _: FindCoordinatorResponse = client.call(4, &find).await;
    let committed: OffsetCommitResponse = client.call(8, &commit_offsets("g \"1\"", &[("t", &[(0, 1)])])).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    // An answer is counted just after it was sent.
    let _: MetadataResponse = client.call(12, &MetadataRequest::default()).await;
    let expected = [
        ("pelton_requests_total{api=\"Produce\",version=\"9\"}", 3.0),
        ("pelton_requests_total{api=\"OffsetCommit\",version=\"8\"}", 1.0),
        ("pelton_request_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}", 1.0),
        ("pelton_request_errors_total{api=\"Produce\",error=\"CORRUPT_MESSAGE\"}", 1.0),
        ("pelton_request_errors_total{api=\"Fetch\",error=\"OFFSET_OUT_OF_RANGE\"}", 1.0),
        ("pelton_request_seconds_count{api=\"Produce\",stage=\"total\"}", 3.0),
        ("pelton_request_seconds_bucket{api=\"Fetch\",stage=\"remote\",le=\"+Inf\"}", 2.0),
        ("pelton_topic_bytes_in_total{topic=\"t\"}", bytes),
        ("pelton_topic_messages_in_total{topic=\"t\"}", 3.0),
        ("pelton_topic_bytes_out_total{topic=\"t\"}", bytes),
        ("pelton_topic_bytes_rejected_total{topic=\"t\"}", 8.0),
        ("pelton_topic_produce_requests_total{topic=\"t\"}", 2.0),
        ("pelton_topic_failed_produce_requests_total{topic=\"t\"}", 1.0),
        ("pelton_topic_fetch_requests_total{topic=\"t\"}", 2.0),
        ("pelton_topic_failed_fetch_requests_total{topic=\"t\"}", 1.0),
        ("pelton_log_end_offset{topic=\"t\",partition=\"0\"}", 3.0),
        ("pelton_log_size_bytes{topic=\"t\",partition=\"0\"}", bytes),
        ("pelton_log_size_bytes{topic=\"t\",partition=\"1\"}", 0.0),
        ("pelton_group_offset{group=\"g \\\"1\\\"\",topic=\"t\",partition=\"0\"}", 1.0),
        ("pelton_group_lag{group=\"g \\\"1\\\"\",topic=\"t\",partition=\"0\"}", 2.0),
        ("pelton_connections{listener=\"PLAINTEXT\"}", 1.0),
        ("pelton_connections_accepted_total{listener=\"PLAINTEXT\"}", 1.0),
        ("pelton_purgatory_size{operation=\"fetch\"}", 0.0),
        ("pelton_offline_partitions", 0.0),
        ("pelton_log_flush_failures_total", 0.0),
    ];
    assert_samples(&broker, &expected).await;
    assert!(sample(&broker, "pelton_log_flush_seconds_count").await.is_some_and(|syncs| syncs >= 1.0));
    // A reader that waits is owed an answer.
    client.send(12, &fetch("t", 1, 0).with_max_wait_ms(30_000)).await;
    until(&broker, "pelton_purgatory_size{operation=\"fetch\"}", 1.0).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test]
async fn a_deleted_topic_is_not_told_of() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
    assert_samples(&broker, &[("pelton_topic_messages_in_total{topic=\"t\"}", 1.0)]).await;
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    let _: DeleteTopicsResponse = client.call(5, &delete).await;
    client.create("t", 1).await;
    until(&broker, "pelton_topic_messages_in_total{topic=\"t\"}", 0.0).await;
    broker.stop().await;
}

#[tokio::test]
async fn the_document_and_the_broker_name_the_same_numbers() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let text = broker.exposition().await;
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let rows = include_str!("../../METRICS.md").lines().filter_map(|line| line.strip_prefix("| `pelton_"));
    let documented: BTreeSet<String> =
        rows.filter_map(|row| row.split('`').next()).map(|name| format!("pelton_{name}")).collect();
    let documented: BTreeSet<&str> =
        documented.iter().map(String::as_str).filter(|name| !name.starts_with("pelton_interceptor_")).collect();
    assert_eq!(told, documented);
    broker.stop().await;
}
