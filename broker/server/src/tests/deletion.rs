//! DeleteRecords.

use super::client::*;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::*;

/// Deletes below an offset; gives the error code and where the partition starts.
async fn delete(client: &mut Client, version: i16, topic: &str, partition: i32, before: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
    let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let result = client.call(version, &request).await.topics[0].partitions[0].clone();
    (result.error_code, result.low_watermark)
}

async fn earliest(client: &mut Client, topic: &str) -> i64 {
    use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-2);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    client.call(5, &request).await.topics[0].partitions[0].offset
}

#[tokio::test]
async fn records_below_an_offset_are_gone_for_good() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for value in ["a", "b", "c", "d"] {
        assert_eq!(client.produce("t", 0, batch(&[value])).await.error_code, 0);
    }
    assert_eq!(delete(&mut client, 2, "t", 0, 2).await, (0, 2));
    assert_eq!(earliest(&mut client, "t").await, 2);
    assert_eq!(client.fetch("t", 0, 1, 0).await.error_code, 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(values(&client.fetch("t", 0, 2, 0).await.records), ["c", "d"]);
    assert_eq!(delete(&mut client, 0, "t", 0, 1).await, (0, 2), "they are gone already");
    assert_eq!(delete(&mut client, 1, "t", 0, 5).await, (1, -1), "OFFSET_OUT_OF_RANGE");
    assert_eq!(client.produce("t", 0, batch(&["e"])).await.log_start_offset, 2);
    drop(broker);
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(earliest(&mut client, "t").await, 2, "also after a kill");
    assert_eq!(delete(&mut client, 2, "t", 0, -1).await, (0, 5), "up to the high watermark");
    assert_eq!(client.fetch("t", 0, 5, 0).await.high_watermark, 5);
    assert_eq!(client.produce("t", 0, batch(&["f"])).await.base_offset, 5);
    broker.stop().await;
}

#[tokio::test]
async fn the_files_of_deleted_segments_and_topics_go() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let small = [("segment.bytes", "300"), ("file.delete.delay.ms", "1")];
    assert_eq!(client.create_with("t", 1, &small).await.error_code, 0);
    for _ in 0..20 {
        assert_eq!(client.produce("t", 0, batch(&["0123456789"])).await.error_code, 0);
    }
    let directory = temporary.path().join("t-0");
    let files = |ending: &str| {
        let names =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).count()
    };
    let before = files(".log");
    assert!(before > 2);
    assert_eq!(delete(&mut client, 2, "t", 0, 19).await, (0, 19));
    assert!(files(".log") < before, "no segment below the offset has its name any more");
    eventually("the files are removed", async || files(".deleted") == 0).await;
    assert_eq!(values(&client.fetch("t", 0, 19, 0).await.records).len(), 1);

    let topic = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &topic).await.responses[0].error_code, 0);
    let left = || {
        let names = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("t-0")).count()
    };
    eventually("the topic's directory is removed", async || left() == 0).await;
    broker.stop().await;
}

#[tokio::test]
async fn what_may_not_be_deleted_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create_with("compacted", 1, &[("cleanup.policy", "compact")]).await.error_code, 0);
    assert_eq!(delete(&mut client, 2, "compacted", 0, 0).await, (44, -1), "POLICY_VIOLATION");
    super::groups::find_coordinator(&mut client, 0, "g").await;
    assert_eq!(delete(&mut client, 2, "__consumer_offsets", 0, 0).await, (17, -1), "INVALID_TOPIC_EXCEPTION");
    assert_eq!(delete(&mut client, 2, "nowhere", 0, 0).await, (3, -1), "UNKNOWN_TOPIC_OR_PARTITION");
    client.create("t", 1).await;
    assert_eq!(delete(&mut client, 2, "t", 1, 0).await, (3, -1));
    broker.stop().await;
}
