use super::client::*;
use kafka_protocol::messages::*;

#[tokio::test]
async fn a_topic_is_made_described_and_deleted() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let created = client.create("orders", 3).await;
    assert_eq!((created.topics[0].error_code, created.topics[0].num_partitions), (0, 3));
    assert_eq!(client.create("orders", 3).await.topics[0].error_code, 36, "TOPIC_ALREADY_EXISTS");
    assert_eq!(client.create("a/b", 1).await.topics[0].error_code, 17, "INVALID_TOPIC_EXCEPTION");

    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    assert_eq!(metadata.brokers.len(), 1);
    assert_eq!(metadata.brokers[0].port, i32::from(broker.addresses()[0].port()));
    assert_eq!(metadata.controller_id, metadata.brokers[0].node_id);
    assert_eq!(metadata.cluster_id.as_ref().unwrap().as_str(), broker.cluster_id());
    assert_eq!(metadata.topics.len(), 1, "the log of the cluster image is nobody's business");
    assert_eq!(metadata.topics[0].topic_id, created.topics[0].topic_id);
    assert_eq!(metadata.topics[0].partitions.len(), 3);
    // The answer does not wait for the logs; what is asked of them waits behind their opening.
    assert_eq!(client.fetch("orders", 2, 0, 0).await.error_code, 0);
    assert!(temporary.path().join("orders-2").is_dir());

    let state = delete_topics_request::DeleteTopicState::default().with_topic_id(created.topics[0].topic_id);
    let deleted = client.call(6, &DeleteTopicsRequest::default().with_topics(vec![state])).await;
    assert_eq!((deleted.responses[0].error_code, deleted.responses[0].name.as_ref()), (0, Some(&topic_name("orders"))));
    let fetched = client.fetch("orders", 0, 0, 0).await;
    assert_eq!(fetched.error_code, 3, "UNKNOWN_TOPIC_OR_PARTITION");
    broker.stop().await;
    assert!(!temporary.path().join("orders-0").exists());
}

#[tokio::test]
async fn a_topic_is_made_by_asking_for_it_only_when_that_is_allowed() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let ask = |name: &str, allow| {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(allow)
    };
    let missing = client.call(9, &ask("auto", false)).await;
    assert_eq!(missing.topics[0].error_code, 3);
    let made = client.call(9, &ask("auto", true)).await;
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 1));
    assert_eq!(client.produce("auto", 0, batch(&["x"])).await.error_code, 0);
    let refused = client.call(9, &ask("not a name", true)).await;
    assert_eq!(refused.topics[0].error_code, 17);
    let hidden = client.call(9, &ask("__cluster_metadata", true)).await;
    assert_eq!(hidden.topics[0].error_code, 3);
    broker.stop().await;
}

#[tokio::test]
async fn configs_are_described_with_their_sources() {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = config(temporary.path());
    settings.configs.insert("log.segment.bytes".to_owned(), "1000000".to_owned());
    let broker = crate::Broker::start(settings, no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let config = create_topics_request::CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("60000")));
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(vec![config]);
    let created = client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic.clone()])).await;
    assert_eq!(created.topics[0].error_code, 0);
    let bad = create_topics_request::CreatableTopicConfig::default()
        .with_name(text("retention.hours"))
        .with_value(Some(text("1")));
    let topic = topic.with_name(topic_name("u")).with_configs(vec![bad]);
    let refused = client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(refused.topics[0].error_code, 40, "INVALID_CONFIG");
    assert!(refused.topics[0].error_message.as_ref().unwrap().contains("retention.hours"));

    let resource = |kind, name: &str| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource(2, "t"), resource(4, "1"), resource(2, "missing")])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let described = client.call(4, &request).await;
    let find = |name: &str| described.results[0].configs.iter().find(|c| c.name.as_str() == name).unwrap().clone();
    let retention = find("retention.ms");
    assert_eq!((retention.value.as_ref().unwrap().as_str(), retention.config_source), ("60000", 1));
    assert!(retention.documentation.is_some());
    let segment = find("segment.bytes");
    assert_eq!((segment.value.as_ref().unwrap().as_str(), segment.config_source), ("1000000", 4));
    assert_eq!(segment.synonyms.len(), 2);
    assert_eq!(find("cleanup.policy").config_source, 5);
    assert_eq!(described.results[1].configs[0].name.as_str(), "log.segment.bytes");
    assert_eq!(described.results[2].error_code, 3);
    broker.stop().await;
}

/// Makes a topic with these configs.
async fn create_with(client: &mut Client, name: &str, configs: &[(&str, &str)]) -> uuid::Uuid {
    let configs = configs.iter().map(|(name, value)| {
        create_topics_request::CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    });
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    let created = client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(created.topics[0].error_code, 0);
    created.topics[0].topic_id
}

/// A batch of one record with a key, as a compacted topic wants it.
fn keyed_batch(key: &str, value: &str) -> bytes::Bytes {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut builder = pelton_record::BatchBuilder::new(now_ms);
    builder.push(now_ms, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    builder.into_bytes_with_crc().into()
}

#[tokio::test]
async fn retention_deletes_whole_segments_and_readers_are_told() {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = config(temporary.path());
    settings.retention_check_interval_ms = 10;
    let broker = crate::Broker::start(settings, no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create_with(&mut client, "short", &[("segment.bytes", "300"), ("retention.bytes", "600")]).await;
    let kept = [("segment.bytes", "300"), ("retention.bytes", "600"), ("cleanup.policy", "compact")];
    create_with(&mut client, "kept", &kept).await;
    for _ in 0..20 {
        assert_eq!(client.produce("short", 0, batch(&["0123456789"])).await.error_code, 0);
        assert_eq!(client.produce("kept", 0, keyed_batch("key", "0123456789")).await.error_code, 0);
    }
    let mut log_start = 0;
    while log_start < 10 {
        log_start = client.fetch("short", 0, 20, 0).await.log_start_offset;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.fetch("short", 0, 0, 0).await.error_code, 1, "OFFSET_OUT_OF_RANGE");
    assert!(log_start < 20, "the active segment stays");
    assert_eq!(client.fetch("kept", 0, 20, 0).await.log_start_offset, 0, "a compacted topic is not deleted from");
    drop(broker);
    let again = start(temporary.path()).await;
    let mut client = Client::connect(&again).await;
    assert!(client.fetch("short", 0, 20, 0).await.log_start_offset >= log_start);
    again.stop().await;
}

#[tokio::test]
async fn the_broker_stamps_records_where_the_topic_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    create_with(&mut client, "stamped", &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut builder = pelton_record::BatchBuilder::new(7);
    builder.push(7, None, Some(b"x"), &[]);
    let produced = client.produce("stamped", 0, builder.into_bytes_with_crc().into()).await;
    assert!(produced.log_append_time_ms > 1_000_000_000_000);
    let records = client.fetch("stamped", 0, 0, 0).await.records.unwrap();
    let batch = pelton_record::BatchView::parse(&records).unwrap();
    batch.verify_crc().unwrap();
    let record = batch.records().unwrap().next().unwrap().unwrap();
    assert_eq!(record.timestamp(batch.header()), produced.log_append_time_ms);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_made_again_is_another_one() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let mut ids = std::collections::BTreeSet::new();
    for round in 0..3 {
        ids.insert(create_with(&mut client, "t", &[]).await);
        assert_eq!(client.produce("t", 0, batch(&["x"])).await.base_offset, 0, "round {round} begins at 0");
        // Whoever waits on the topic is told when it goes.
        let waiting = client.send(12, &fetch("t", 0, 1).with_max_wait_ms(600_000)).await;
        let mut other = Client::connect(&broker).await;
        let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
        assert_eq!(other.call(5, &delete).await.responses[0].error_code, 0);
        let answer = client.receive::<FetchRequest>(12, waiting).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, 3);
    }
    assert_eq!(ids.len(), 3);
    broker.stop().await;
}

#[tokio::test]
async fn a_job_of_the_same_process_uses_the_same_door() {
    use pelton_core::event::{PartitionReply, PartitionRequest, Reply, Request};
    use pelton_core::model::{Isolation, PartId, TopicPartition};
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut changes = broker.image_changes();
    let mut client = Client::connect(&broker).await;
    create_with(&mut client, "t", &[]).await;
    changes.wait_for(|image| image.topic("t").is_some()).await.unwrap();
    let partition = TopicPartition::new("t", 0);
    let soon = std::time::Duration::from_millis(20);
    assert!(!broker.readable(&partition, 0, Isolation::ReadCommitted, soon).await);
    let waiting = {
        let (broker, partition) = (broker.clone(), partition.clone());
        let long = std::time::Duration::from_secs(600);
        tokio::spawn(async move { broker.readable(&partition, 0, Isolation::ReadCommitted, long).await })
    };
    client.produce("t", 0, batch(&["x"])).await;
    assert!(waiting.await.unwrap());
    let describe = Request::Partition(PartitionRequest::Describe);
    match broker.ask(PartId::Partition(partition), describe).await {
        Reply::Partition(Ok(PartitionReply::Described { watermarks, .. })) => assert_eq!(watermarks.high_watermark, 1),
        other => panic!("{other:?}"),
    }
    broker.ensure_internal_topic("__consumer_offsets").await.unwrap();
    assert!(broker.image().topic("__consumer_offsets").is_some_and(|topic| topic.internal));
    assert!(broker.ensure_internal_topic("anything").await.is_err());
    let write = client.produce("__consumer_offsets", 0, batch(&["x"])).await;
    assert_eq!(write.error_code, 17, "INVALID_TOPIC_EXCEPTION");
    broker.stop().await;
    let after = broker.ask(PartId::Cluster, Request::Cluster(pelton_core::event::ClusterRequest::AllocateProducerIds));
    assert!(matches!(after.await, Reply::Cluster(Err(pelton_core::refusal::Refusal::Stopping))));
}

#[tokio::test]
async fn metadata_is_asked_by_id_with_or_without_an_empty_name() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 2).await.topics[0].topic_id;
    for name in [None, Some(topic_name(""))] {
        let ask = |id| {
            let topic = metadata_request::MetadataRequestTopic::default().with_name(name.clone()).with_topic_id(id);
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true)
        };
        let found = client.call(13, &ask(id)).await;
        assert_eq!((found.topics[0].error_code, found.topics[0].name.as_ref()), (0, Some(&topic_name("t"))));
        assert_eq!(found.topics[0].partitions.len(), 2);
        let unknown = client.call(13, &ask(uuid::Uuid::from_u128(42))).await;
        assert_eq!(unknown.topics[0].error_code, 100, "UNKNOWN_TOPIC_ID");
        assert_eq!((unknown.topics[0].name.as_ref(), unknown.topics[0].topic_id.as_u128()), (None, 42));
    }
    broker.stop().await;
}
