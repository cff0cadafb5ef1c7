use super::client::*;
use bytes::Bytes;
use kafka_protocol::messages::*;

#[tokio::test]
async fn what_is_produced_is_fetched_byte_for_byte() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    let first = client.produce("t", 1, batch(&["a", "b"])).await;
    assert_eq!((first.error_code, first.base_offset), (0, 0));
    let second = client.produce("t", 1, batch(&["c"])).await;
    assert_eq!((second.error_code, second.base_offset), (0, 2));
    let fetched = client.fetch("t", 1, 0, 0).await;
    assert_eq!((fetched.error_code, fetched.high_watermark), (0, 3));
    assert_eq!(values(&fetched.records), ["a", "b", "c"]);
    // The batch is the producer's, but for its offset and leader epoch.
    let stored = fetched.records.unwrap();
    let sent = batch(&["a", "b"]);
    assert_eq!(stored[16..sent.len()], sent[16..]);
    assert_eq!(client.fetch("t", 1, 4, 0).await.error_code, 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(client.fetch("t", 2, 0, 0).await.error_code, 3);
    broker.stop().await;
}

#[tokio::test]
async fn a_batch_that_breaks_a_rule_is_refused_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let mut damaged = batch(&["x"]).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(client.produce("t", 0, damaged.into()).await.error_code, 2, "CORRUPT_MESSAGE");
    let mut old = batch(&["x"]).to_vec();
    old[16] = 1;
    let refused = client.produce("t", 0, old.into()).await;
    assert_eq!(refused.error_code, 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT");
    assert!(refused.error_message.unwrap().contains("v2"));
    assert_eq!(client.produce("t", 0, Bytes::new()).await.error_code, 2);
    let value = "x".repeat(2_000_000);
    assert_eq!(client.produce("t", 0, batch(&[&value])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    let request = produce("t", 0, batch(&["x"]), None).with_acks(2);
    let response = client.call(9, &request).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 21, "INVALID_REQUIRED_ACKS");
    assert_eq!(client.produce("t", 0, batch(&["good"])).await.base_offset, 0);
    broker.stop().await;
}

#[tokio::test]
async fn topics_are_named_by_id_in_new_versions() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 1).await.topics[0].topic_id;
    let mut request = produce("", 0, batch(&["x"]), None);
    request.topic_data[0].topic_id = id;
    let produced = client.call(13, &request).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(produced.responses[0].topic_id, id);
    let mut request = fetch("", 0, 0);
    request.topics[0].topic_id = id;
    let fetched = client.call(17, &request).await;
    assert_eq!(values(&fetched.responses[0].partitions[0].records), ["x"]);
    request.topics[0].topic_id = uuid::Uuid::from_u128(42);
    let unknown = client.call(17, &request).await;
    assert_eq!(unknown.responses[0].partitions[0].error_code, 100, "UNKNOWN_TOPIC_ID");
    broker.stop().await;
}

#[tokio::test]
async fn a_retry_of_an_idempotent_batch_is_stored_once() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let given = client.call(4, &idempotent()).await;
    assert_eq!(given.error_code, 0);
    let producer = (given.producer_id.0, given.producer_epoch);
    let other = client.call(4, &idempotent()).await;
    assert_ne!(other.producer_id, given.producer_id);
    let first = producer_batch(&["a", "b"], producer, 0, false);
    assert_eq!(client.produce("t", 0, first.clone()).await.base_offset, 0);
    let again = client.produce("t", 0, first).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0), "the retry is told where the first one went");
    let gap = client.produce("t", 0, producer_batch(&["d"], producer, 3, false)).await;
    assert_eq!(gap.error_code, 45, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assert_eq!(client.produce("t", 0, producer_batch(&["c"], producer, 2, false)).await.base_offset, 2);
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a", "b", "c"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_waits_for_records_and_is_woken_by_them() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut producer = Client::connect(&broker).await;
    let mut consumer = Client::connect(&broker).await;
    producer.create("t", 1).await;
    // Far longer than the test may take: only a record can end the wait.
    let waiting = consumer.send(12, &fetch("t", 0, 0).with_max_wait_ms(600_000)).await;
    producer.produce("t", 0, batch(&["late"])).await;
    let response = consumer.receive::<FetchRequest>(12, waiting).await;
    assert_eq!(values(&response.responses[0].partitions[0].records), ["late"]);
    // Two bytes too few: the second record is waited for, and both are given.
    let size = response.responses[0].partitions[0].records.as_ref().unwrap().len() as i32;
    let waiting = consumer.send(12, &fetch("t", 0, 0).with_max_wait_ms(600_000).with_min_bytes(size + 2)).await;
    producer.produce("t", 0, batch(&["later"])).await;
    let response = consumer.receive::<FetchRequest>(12, waiting).await;
    assert_eq!(values(&response.responses[0].partitions[0].records), ["late", "later"]);
    let empty = consumer.call(12, &fetch("t", 0, 2).with_max_wait_ms(10)).await;
    assert_eq!((empty.error_code, empty.session_id), (0, 0));
    assert_eq!(empty.responses[0].partitions[0].records.as_ref().unwrap().len(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn limits_of_a_fetch_hold_over_its_partitions_but_for_the_first_batch() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 3).await;
    for partition in 0..3 {
        client.produce("t", partition, batch(&["0123456789"])).await;
    }
    let mut request = fetch("t", 0, 0).with_max_bytes(1);
    let first = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..3).map(|index| first.clone().with_partition(index)).collect();
    let found = |response: &FetchResponse| -> Vec<usize> {
        response.responses[0].partitions.iter().map(|p| values(&p.records).len()).collect()
    };
    let response = client.call(12, &request).await;
    assert_eq!(found(&response), [1, 0, 0], "one batch is given though it is larger than the limit");
    let high_watermarks: Vec<i64> = response.responses[0].partitions.iter().map(|p| p.high_watermark).collect();
    assert_eq!(high_watermarks, [1, 1, 1]);
    let size = batch(&["0123456789"]).len() as i32;
    let response = client.call(12, &request.clone().with_max_bytes(2 * size)).await;
    assert_eq!(found(&response), [1, 1, 0]);
    let response = client.call(12, &request.with_max_bytes(3 * size)).await;
    assert_eq!(found(&response), [1, 1, 1]);
    broker.stop().await;
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for timestamp in [100, 300, 200] {
        let mut builder = pelton_record::BatchBuilder::new(timestamp);
        builder.push(timestamp, None, Some(b"x"), &[]);
        client.produce("t", 0, builder.into_bytes_with_crc().into()).await;
    }
    let mut list = async |timestamp| {
        let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let response = client.call(7, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
        let found = &response.topics[0].partitions[0];
        (found.error_code, found.offset, found.timestamp)
    };
    assert_eq!(list(-2).await, (0, 0, -1));
    assert_eq!(list(-1).await, (0, 3, -1));
    assert_eq!(list(-3).await, (0, 1, 300));
    assert_eq!(list(150).await, (0, 1, 300));
    assert_eq!(list(301).await, (0, -1, -1));
    assert_eq!(list(-9).await.0, 35, "UNSUPPORTED_VERSION");
    broker.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_appended_and_answered_in_order() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let given = client.call(4, &idempotent()).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    let mut sent = Vec::new();
    for sequence in 0..200 {
        let batch = producer_batch(&[&sequence.to_string()], producer, sequence, false);
        sent.push(client.send(9, &produce("t", 0, batch, None)).await);
        // Nothing is read before the broker's bound on requests in flight has been passed several times.
    }
    for (index, correlation_id) in sent.into_iter().enumerate() {
        let response = client.receive::<ProduceRequest>(9, correlation_id).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, index as i64));
    }
    broker.stop().await;
}

#[tokio::test]
async fn acks_0_has_no_answer() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.send(9, &produce("t", 0, batch(&["silent"]), None).with_acks(0)).await;
    let answered = client.call(9, &produce("t", 0, batch(&["loud"]), None).with_acks(1)).await;
    assert_eq!(answered.responses[0].partition_responses[0].base_offset, 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_refused_batch_with_acks_0_costs_the_connection() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut setup = Client::connect(&broker).await;
    setup.create("t", 1).await;
    let too_large = batch(&["x".repeat(2_000_000).as_str()]);
    for (name, refused) in [("missing", batch(&["x"])), ("t", too_large), ("t", Bytes::from_static(b"no batch"))] {
        let mut client = Client::connect(&broker).await;
        let earlier = client.send(9, &produce("t", 0, batch(&["loud"]), None)).await;
        client.send(9, &produce(name, 0, refused, None).with_acks(0)).await;
        let answered = client.receive::<ProduceRequest>(9, earlier).await;
        assert_eq!(answered.responses[0].partition_responses[0].error_code, 0, "what came before is answered");
        assert!(client.frame().await.is_none(), "the client must ask for metadata anew");
    }
    // A client that sends and goes has sent.
    let before = setup.fetch("t", 0, 0, 0).await.high_watermark;
    let mut hasty = Client::connect(&broker).await;
    hasty.send(9, &produce("t", 0, batch(&["silent"]), None).with_acks(0)).await;
    drop(hasty);
    let request = fetch("t", 0, before).with_max_wait_ms(600_000);
    let fetched = setup.call(12, &request).await;
    assert_eq!(values(&fetched.responses[0].partitions[0].records), ["silent"]);
    broker.stop().await;
}
