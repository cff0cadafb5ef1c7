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
    let (_temporary, broker) = started(|settings| {
        settings.configs.insert("log.segment.bytes".to_owned(), "1000000".to_owned());
    })
    .await;
    let mut client = Client::connect(&broker).await;
    let topic = new_topic("t", -1, &[("retention.ms", "60000")]).with_replication_factor(-1);
    let created = client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(created.topics[0].error_code, 0);
    let refused = client.create_with("u", -1, &[("retention.hours", "1")]).await;
    assert_eq!(refused.error_code, 40, "INVALID_CONFIG");
    assert!(refused.error_message.unwrap().contains("retention.hours"));

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
    let of_broker = |name: &str| described.results[1].configs.iter().find(|c| c.name.as_str() == name).unwrap().clone();
    let given = of_broker("log.segment.bytes");
    assert_eq!((given.value.as_ref().unwrap().as_str(), given.config_source, given.read_only), ("1000000", 4, false));
    let fixed = of_broker("num.partitions");
    assert_eq!((fixed.config_source, fixed.read_only, fixed.config_type), (5, true, 3));
    assert!(fixed.documentation.is_some());
    assert_eq!(described.results[2].error_code, 3);
    broker.stop().await;
}

#[tokio::test]
async fn retention_deletes_whole_segments_and_readers_are_told() {
    let (temporary, broker) = started(|settings| settings.retention_check_interval_ms = 10).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(
        client.create_with("short", 1, &[("segment.bytes", "300"), ("retention.bytes", "600")]).await.error_code,
        0
    );
    let kept = [("segment.bytes", "300"), ("retention.bytes", "600"), ("cleanup.policy", "compact")];
    assert_eq!(client.create_with("kept", 1, &kept).await.error_code, 0);
    for _ in 0..20 {
        assert_eq!(client.produce("short", 0, batch(&["0123456789"])).await.error_code, 0);
        assert_eq!(client.produce("kept", 0, keyed_batch("key", Some("0123456789"))).await.error_code, 0);
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
    assert_eq!(client.create_with("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).await.error_code, 0);
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
        ids.insert(client.create_with("t", 1, &[]).await.topic_id);
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
    assert_eq!(client.create_with("t", 1, &[]).await.error_code, 0);
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

#[tokio::test]
async fn creation_is_answered_in_full_and_checked_by_kafkas_rules() {
    use create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
    let (_temporary, broker) = started(|settings| settings.core.num_partitions = 3).await;
    let mut client = Client::connect(&broker).await;
    let plain = |name: &str| {
        CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(-1).with_replication_factor(-1)
    };
    let with_config = |name: &str, config: &str, value: Option<&str>| {
        let config = CreatableTopicConfig::default().with_name(text(config)).with_value(value.map(text));
        plain(name).with_configs(vec![config])
    };
    let compact = with_config("checked", "cleanup.policy", Some("compact"));
    let request = CreateTopicsRequest::default().with_topics(vec![compact.clone()]);
    for (validate_only, made) in [(true, false), (false, true)] {
        let answer = client.call(7, &request.clone().with_validate_only(validate_only)).await;
        let topic = &answer.topics[0];
        assert_eq!((topic.error_code, topic.num_partitions, topic.replication_factor), (0, 3, 1));
        let policy = topic.configs.as_ref().unwrap().iter().find(|c| c.name.as_str() == "cleanup.policy").unwrap();
        assert_eq!((policy.value.as_ref().unwrap().as_str(), policy.config_source), ("compact", 1));
        assert!(
            topic.configs.as_ref().unwrap().iter().any(|c| c.name.as_str() == "retention.ms" && c.config_source == 5)
        );
        assert_eq!(broker.image().topic("checked").is_some(), made);
    }
    let again = client.call(7, &request.with_validate_only(true)).await;
    assert_eq!(again.topics[0].error_code, 36, "TOPIC_ALREADY_EXISTS, also when it is only checked");

    let assigned = |name: &str, replicas: &[&[i32]]| {
        let assignment = |(index, ids): (usize, &&[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index as i32)
                .with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
        };
        plain(name).with_assignments(replicas.iter().enumerate().map(assignment).collect())
    };
    let cases = [
        (assigned("by.hand", &[&[1], &[1]]), 0),
        (assigned("other", &[&[2]]), 39),
        (assigned("other", &[&[]]), 39),
        (assigned("other", &[&[1, 1]]), 39),
        (assigned("other", &[&[1]]).with_num_partitions(1), 42),
        (plain("by_hand"), 17),
        (plain("a/b"), 17),
        (plain(&"n".repeat(250)), 17),
        (plain("other").with_num_partitions(0), 37),
        (plain("other").with_replication_factor(3), 38),
        (with_config("other", "unheard.of", Some("1")), 40),
        (with_config("other", "compression.zstd.level", Some("23")), 40),
        (with_config("other", "retention.ms", None), 40),
        (with_config("other", "remote.storage.enable", Some("true")), 40),
    ];
    for (topic, expected) in cases {
        let shown = format!("{topic:?}");
        let answer = client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
        assert_eq!(answer.topics[0].error_code, expected, "{shown}: {:?}", answer.topics[0].error_message);
    }
    assert_eq!(broker.image().topic("by.hand").unwrap().partitions, 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_recreated_topic_has_another_id_and_the_old_one_is_unknown() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let old = client.create("t", 1).await.topics[0].topic_id;
    let by_id = |id| {
        let state = delete_topics_request::DeleteTopicState::default().with_name(None).with_topic_id(id);
        DeleteTopicsRequest::default().with_topics(vec![state])
    };
    assert_eq!(client.call(6, &by_id(old)).await.responses[0].error_code, 0);
    let new = client.create("t", 1).await.topics[0].topic_id;
    assert_ne!(old, new);
    assert_eq!(client.call(6, &by_id(old)).await.responses[0].error_code, 100, "UNKNOWN_TOPIC_ID");
    let ask = metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(old);
    let metadata = client.call(12, &MetadataRequest::default().with_topics(Some(vec![ask]))).await;
    assert_eq!(metadata.topics[0].error_code, 100);
    let mut request = produce("", 0, batch(&["x"]), None);
    request.topic_data[0].topic_id = old;
    let produced = client.call(13, &request).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 100);
    let mut request = fetch("", 0, 0);
    request.topics[0].topic_id = old;
    let fetched = client.call(13, &request).await;
    assert_eq!(fetched.responses[0].partitions[0].error_code, 100);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_is_not_made_by_asking_for_it_where_the_broker_does_not_want_that() {
    let (_temporary, broker) = started(|settings| settings.auto_create_topics = false).await;
    let mut client = Client::connect(&broker).await;
    for version in [1, 9] {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("t")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        assert_eq!(client.call(version, &request).await.topics[0].error_code, 3);
    }
    assert!(broker.image().topic("t").is_none());
    broker.stop().await;
}

#[tokio::test]
async fn what_stands_in_a_request_twice_costs_no_second_answer() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 3).await.topics[0].topic_id;
    let by_name = || metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let by_id = || metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let asked = vec![by_name(), by_id(), by_name(), by_id()];
    let metadata = client.call(12, &MetadataRequest::default().with_topics(Some(asked))).await;
    assert_eq!(metadata.topics.len(), 2, "once by its name and once by its id");

    let resource = || {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(vec![resource(), resource()]);
    assert_eq!(client.call(4, &request).await.results.len(), 1);

    let state = |name: Option<&str>, id| {
        delete_topics_request::DeleteTopicState::default().with_name(name.map(topic_name)).with_topic_id(id)
    };
    let nil = uuid::Uuid::nil();
    for (states, expected) in [
        (vec![state(Some("t"), nil), state(None, id)], vec![42, 42]),
        (vec![state(Some("t"), id), state(None, nil)], vec![42, 42]),
        (vec![state(Some("u"), nil), state(Some("t"), nil)], vec![3, 0]),
    ] {
        let deleted = client.call(6, &DeleteTopicsRequest::default().with_topics(states)).await;
        assert_eq!(deleted.responses.iter().map(|r| r.error_code).collect::<Vec<_>>(), expected);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_name_that_no_topic_can_have_is_told_from_one_that_none_has() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    for (name, expected) in [("none", 3), ("a/b", 17), ("", 17), ("__cluster_metadata", 3)] {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        assert_eq!(client.call(9, &request).await.topics[0].error_code, expected, "{name}");
        let topic = describe_topic_partitions_request::TopicRequest::default().with_name(topic_name(name));
        let pages = client.call(0, &DescribeTopicPartitionsRequest::default().with_topics(vec![topic])).await;
        assert_eq!(pages.topics[0].error_code, expected, "{name}");
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name));
        let described = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await;
        assert_eq!(described.results[0].error_code, expected, "{name}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn topics_are_not_deleted_where_the_broker_does_not_want_that() {
    let (_temporary, broker) = started(|settings| settings.delete_topics = false).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for (version, expected) in [(1, 42), (3, 73), (5, 73)] {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
        assert_eq!(client.call(version, &request).await.responses[0].error_code, expected, "v{version}");
    }
    assert!(broker.image().topic("t").is_some());
    broker.stop().await;
}

#[tokio::test]
async fn the_replicas_that_must_be_in_sync_are_the_brokers_to_choose_too() {
    let (_temporary, broker) = started(|settings| settings.core.min_insync_replicas = 2).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 19, "NOT_ENOUGH_REPLICAS");
    assert_eq!(client.create_with("own", 1, &[("min.insync.replicas", "1")]).await.error_code, 0);
    assert_eq!(client.produce("own", 0, batch(&["x"])).await.error_code, 0);
    super::groups::find_coordinator(&mut client, 0, "g").await;
    broker.stop().await;
}
