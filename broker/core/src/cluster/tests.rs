//! Topics, documents and producer ids, asked of the machine as the frame asks.

use super::*;
use crate::coordinator::{DecidedBatch, NewRecord};
use crate::model::TopicId;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Asks, replays what was decided as the frame does, and gives the decision.
fn ask(cluster: &mut Cluster, request: ClusterRequest) -> (Result<ClusterReply, Refusal>, Outcome) {
    let mut out = Outcome::default();
    cluster.handle(Timestamp(1), ReplyTo::Shell(Token(1)), Request::Cluster(request), &mut out);
    for record in records(&out.batches) {
        cluster.replay(stored(record)).unwrap();
    }
    let [(_, Reply::Cluster(reply))] = &out.replies[..] else { panic!("{:?}", out.replies) };
    (reply.clone(), out)
}

fn records(batches: &[DecidedBatch]) -> impl Iterator<Item = &NewRecord> {
    batches.iter().flat_map(|(_, records)| records)
}

fn stored(record: &NewRecord) -> StoredRecord<'_> {
    StoredRecord { key: &record.key, value: record.value.as_deref(), timestamp: Timestamp(1), transaction: None }
}

fn cluster() -> Cluster {
    Cluster::new(Arc::new(CoreConfig::default()))
}

fn topic(name: &str, id: u128, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.into(),
        id: TopicId(id),
        partitions,
        replication_factor: -1,
        configs: BTreeMap::new(),
        internal: false,
    }
}

fn create(cluster: &mut Cluster, topics: Vec<NewTopic>) -> (Vec<Result<TopicId, Refusal>>, Outcome) {
    let (reply, out) = ask(cluster, ClusterRequest::CreateTopics { topics, validate_only: false });
    (results(reply), out)
}

fn results(reply: Result<ClusterReply, Refusal>) -> Vec<Result<TopicId, Refusal>> {
    match reply {
        Ok(ClusterReply::Topics(topics)) => topics.into_iter().map(|(_, result)| result).collect(),
        other => panic!("{other:?}"),
    }
}

fn shown(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::CreatePartition { partition, .. } => format!("create {partition}"),
            Effect::ConfigurePartition { partition, configs, .. } => format!("configure {partition} {configs:?}"),
            Effect::DeletePartition { partition, .. } => format!("delete {partition}"),
            Effect::PublishImage(image) => format!("publish {}", image.topics.len()),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn partitions_are_made_before_the_image_names_them_and_unmade_after() {
    let mut cluster = cluster();
    let (results, out) = create(&mut cluster, vec![topic("a", 1, 2), topic("b", 2, -1)]);
    assert_eq!(results, [Ok(TopicId(1)), Ok(TopicId(2))]);
    assert_eq!(shown(&out.effects), ["create a-0", "create a-1", "create b-0", "publish 2"]);
    assert_eq!(cluster.image().topic_by_id(TopicId(2)).unwrap().1.partitions, 1);
    let (reply, out) = ask(&mut cluster, ClusterRequest::DeleteTopics { topics: vec!["a".into(), "c".into()] });
    assert_eq!(self::results(reply), [Ok(TopicId(1)), Err(Refusal::UnknownTopicOrPartition)]);
    assert_eq!(shown(&out.effects), ["publish 1", "delete a-0", "delete a-1"]);
    assert!(cluster.image().topic_by_id(TopicId(1)).is_none());
}

#[test]
fn a_check_changes_nothing() {
    let mut cluster = cluster();
    let topics = vec![topic("a", 1, 2), topic("a b", 2, 2)];
    let (reply, out) = ask(&mut cluster, ClusterRequest::CreateTopics { topics, validate_only: true });
    let results = results(reply);
    assert_eq!(results[0], Ok(TopicId(1)));
    assert!(matches!(results[1], Err(Refusal::InvalidTopicName(_))));
    assert!(out.batches.is_empty() && out.effects.is_empty());
}

#[test]
fn names_follow_kafkas_rules() {
    let mut cluster = cluster();
    let long = "n".repeat(249);
    for (id, name) in ["a", "A.b_c-9", "...", &long].into_iter().enumerate() {
        assert!(create(&mut cluster, vec![topic(name, id as u128, 1)]).0[0].is_ok(), "{name}");
    }
    let too_long = "n".repeat(250);
    let wrong = ["", ".", "..", "a b", "ä", "a/b", &too_long, "__cluster_metadata", "__consumer_offsets"];
    for name in wrong {
        let (results, out) = create(&mut cluster, vec![topic(name, 77, 1)]);
        assert!(matches!(results[0], Err(Refusal::InvalidTopicName(_))), "{name}");
        assert!(out.batches.is_empty());
    }
    let internal = NewTopic { internal: true, ..topic("__consumer_offsets", 78, 50) };
    assert!(create(&mut cluster, vec![internal]).0[0].is_ok());
    let (reply, out) = ask(&mut cluster, ClusterRequest::DeleteTopics { topics: vec!["__consumer_offsets".into()] });
    assert!(matches!(results(reply)[0], Err(Refusal::InvalidRequest(_))));
    assert!(out.batches.is_empty());
}

#[test]
fn one_wrong_topic_does_not_stop_the_others() {
    let mut cluster = cluster();
    create(&mut cluster, vec![topic("old", 1, 1)]);
    let configs = BTreeMap::from([("retention.ms".to_owned(), "soon".to_owned())]);
    let (results, out) = create(
        &mut cluster,
        vec![
            topic("old", 2, 1),
            topic("none", 3, 0),
            topic("vast", 4, MAX_PARTITIONS),
            NewTopic { replication_factor: 3, ..topic("replicated", 5, 1) },
            NewTopic { configs, ..topic("configured", 6, 1) },
            topic("twice", 7, 1),
            topic("good", 8, 1),
            topic("twice", 9, 1),
            topic("same-id", 1, 1),
        ],
    );
    assert_eq!(results[0], Err(Refusal::TopicAlreadyExists));
    assert!(matches!(results[1], Err(Refusal::InvalidPartitions(_))));
    assert!(matches!(results[2], Err(Refusal::InvalidPartitions(_))), "one partition is there already");
    assert!(matches!(results[3], Err(Refusal::InvalidReplicationFactor(_))));
    assert!(matches!(&results[4], Err(Refusal::InvalidConfig(why)) if why.contains("retention.ms")));
    assert!(matches!(results[5], Err(Refusal::InvalidRequest(_))));
    assert_eq!(results[6], Ok(TopicId(8)));
    assert!(matches!(results[7], Err(Refusal::InvalidRequest(_))));
    assert!(matches!(results[8], Err(Refusal::InvalidRequest(_))));
    assert_eq!(shown(&out.effects), ["create good-0", "publish 2"]);
}

fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn alter(from: &[(&str, &str)], to: &[(&str, &str)], validate_only: bool) -> ClusterRequest {
    let (from, configs) = (Arc::new(configs(from)), configs(to));
    ClusterRequest::AlterTopicConfigs { topic: "a".into(), configs, from, validate_only }
}

#[test]
fn altered_configs_reach_the_partitions_before_the_image_shows_them() {
    let mut cluster = cluster();
    let (reply, out) = ask(&mut cluster, alter(&[], &[], false));
    assert!(matches!(reply, Err(Refusal::UnknownTopicOrPartition)) && out.batches.is_empty());
    create(&mut cluster, vec![topic("a", 1, 2)]);
    let (reply, out) = ask(&mut cluster, alter(&[], &[("retention.ms", "5")], false));
    assert!(matches!(reply, Ok(ClusterReply::Done)));
    let to = r#"{"retention.ms": "5"}"#;
    assert_eq!(shown(&out.effects), [format!("configure a-0 {to}"), format!("configure a-1 {to}"), "publish 1".into()]);
    assert_eq!(records(&out.batches).count(), 1);
    let altered = cluster.image().topic("a").unwrap();
    assert_eq!((&*altered.configs, altered.id), (&configs(&[("retention.ms", "5")]), TopicId(1)));
    let (reply, out) = ask(&mut cluster, alter(&[("retention.ms", "5")], &[("retention.ms", "5")], false));
    assert!(matches!(reply, Ok(ClusterReply::Done)) && out.batches.is_empty(), "nothing changes");
}

#[test]
fn configs_that_were_worked_out_from_others_or_are_wrong_are_refused() {
    let mut cluster = cluster();
    create(&mut cluster, vec![topic("a", 1, 1)]);
    assert!(ask(&mut cluster, alter(&[], &[("retention.ms", "5")], false)).0.is_ok());
    let now = [("retention.ms", "5")];
    let (reply, late) = ask(&mut cluster, alter(&[], &[("segment.ms", "5")], false));
    assert!(matches!(reply, Err(Refusal::ConcurrentChange)), "the retention would be lost");
    let (reply, wrong) = ask(&mut cluster, alter(&now, &[("retention.ms", "soon")], false));
    assert!(matches!(reply, Err(Refusal::InvalidConfig(why)) if why.contains("retention.ms")));
    let (reply, check) = ask(&mut cluster, alter(&now, &[("segment.ms", "5")], true));
    assert!(matches!(reply, Ok(ClusterReply::Done)));
    for out in [late, wrong, check] {
        assert!(out.batches.is_empty() && out.effects.is_empty());
    }
    assert_eq!(*cluster.image().topic("a").unwrap().configs, configs(&now));
}

#[test]
fn producer_ids_are_given_away_once() {
    let mut cluster = cluster();
    for block in 0..3 {
        let (reply, out) = ask(&mut cluster, ClusterRequest::AllocateProducerIds);
        let Ok(ClusterReply::ProducerIds { first, count }) = reply else { panic!("{reply:?}") };
        assert_eq!((first, count), (ProducerId(block * 1_000), 1_000));
        assert_eq!(records(&out.batches).count(), 1);
    }
    assert_eq!(cluster.image().next_producer_id, 3_000);
}

#[test]
fn documents_are_put_and_removed() {
    let mut cluster = cluster();
    let put = |value: Option<&str>| ClusterRequest::PutDocument { key: "job/pv".into(), value: value.map(Into::into) };
    assert!(ask(&mut cluster, put(None)).1.batches.is_empty(), "there is nothing to remove");
    assert!(ask(&mut cluster, put(Some("{\"a\":1}"))).0.is_ok());
    assert_eq!(cluster.image().documents["job/pv"].as_ref(), "{\"a\":1}");
    assert_eq!(shown(&ask(&mut cluster, put(None)).1.effects), ["publish 0"]);
    assert!(cluster.image().documents.is_empty());
    let large = "x".repeat(MAX_DOCUMENT_BYTES);
    assert!(matches!(ask(&mut cluster, put(Some(&large))).0, Err(Refusal::InvalidRequest(_))));
}

#[test]
fn a_restart_finds_the_same_image_and_makes_its_partitions() {
    let mut before = cluster();
    let mut log = Vec::new();
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let requests = [
        ClusterRequest::CreateTopics {
            topics: vec![NewTopic { configs, ..topic("a", u128::MAX, 2) }, topic("b", 2, 1)],
            validate_only: false,
        },
        ClusterRequest::AllocateProducerIds,
        ClusterRequest::PutDocument { key: "plugin/mask@1".into(), value: Some("\"\u{1f600}\"".into()) },
        alter(&[("cleanup.policy", "compact")], &[("pelton.interceptors", "mask@1")], false),
        ClusterRequest::DeleteTopics { topics: vec!["b".into()] },
    ];
    for request in requests {
        log.extend(records(&ask(&mut before, request).1.batches).cloned());
    }
    let mut after = cluster();
    for record in &log {
        after.replay(stored(record)).unwrap();
    }
    let (before, image) = (before.image(), after.image().clone());
    assert_eq!((&before.topics, &before.topic_names), (&image.topics, &image.topic_names));
    assert_eq!((&before.documents, before.next_producer_id), (&image.documents, image.next_producer_id));
    let mut out = Outcome::default();
    after.loaded(Timestamp(1), &mut out);
    assert_eq!(shown(&out.effects), ["create a-0", "create a-1", "publish 1"]);
}

#[test]
fn the_stored_form_is_the_documented_one() {
    let mut cluster = cluster();
    let (_, out) = create(&mut cluster, vec![topic("a", 0xab, 2)]);
    let record = records(&out.batches).next().unwrap();
    assert_eq!(record.key, br#"{"topic":"a"}"#);
    let value = r#"{"version":1,"id":"000000000000000000000000000000ab","partitions":2,"configs":{},"internal":false}"#;
    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
}

#[test]
fn a_newer_version_is_named_and_not_guessed() {
    let value = br#"{"version":2,"shape":"new"}"#;
    let record = NewRecord { key: br#"{"topic":"a"}"#.to_vec(), value: Some(value.to_vec()) };
    let why = cluster().replay(stored(&record)).unwrap_err();
    assert!(why.contains("version 2"), "{why}");
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic(key in any::<Vec<u8>>(), value in any::<Option<Vec<u8>>>()) {
        let mut cluster = cluster();
        let _ = cluster.replay(stored(&NewRecord { key, value: value.clone() }));
        let _ = cluster.replay(stored(&NewRecord { key: br#"{"topic":"a"}"#.to_vec(), value }));
    }
}

#[test]
fn a_name_that_differs_in_dots_and_underscores_alone_is_taken() {
    let mut cluster = cluster();
    let (results, _) = create(&mut cluster, vec![topic("a.b_c", 1, 1), topic("a_b.c", 2, 1), topic("a-b-c", 3, 1)]);
    assert!(matches!(&results[1], Err(Refusal::InvalidTopicName(why)) if why.contains("differs from the topic a.b_c")));
    assert!(results[0].is_ok() && results[2].is_ok());
    let (results, _) = create(&mut cluster, vec![topic("a.b_c", 4, 1)]);
    assert_eq!(results, [Err(Refusal::TopicAlreadyExists)]);
}

fn grow(
    cluster: &mut Cluster,
    topics: &[(&str, i32)],
    validate_only: bool,
) -> (Vec<Result<TopicId, Refusal>>, Outcome) {
    let topics =
        topics.iter().map(|(name, count)| crate::event::MorePartitions { name: (*name).into(), count: *count });
    let (reply, out) = ask(cluster, ClusterRequest::CreatePartitions { topics: topics.collect(), validate_only });
    (results(reply), out)
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let mut cluster = cluster();
    create(&mut cluster, vec![topic("a", 1, 2), topic("b", 2, 1)]);
    let internal = NewTopic { internal: true, ..topic("__consumer_offsets", 3, 2) };
    assert!(create(&mut cluster, vec![internal]).0[0].is_ok());
    let (checked, out) = grow(&mut cluster, &[("a", 4)], true);
    assert_eq!((checked, out.batches.len(), out.effects.len()), (vec![Ok(TopicId(1))], 0, 0));
    let asked = [("a", 4), ("missing", 2), ("b", 1), ("__consumer_offsets", 5)];
    let (grown, out) = grow(&mut cluster, &asked, false);
    assert_eq!(grown[..2], [Ok(TopicId(1)), Err(Refusal::UnknownTopicOrPartition)]);
    assert_eq!(grown[2], Err(Refusal::InvalidPartitions("it has 1 partitions already".to_owned())));
    assert!(matches!(grown[3], Err(Refusal::InvalidRequest(_))), "a group is found by the number of partitions");
    assert_eq!(shown(&out.effects), ["create a-2", "create a-3", "publish 3"]);
    let (grown, out) = grow(&mut cluster, &[("a", 3), ("b", 100_000), ("b", 2)], false);
    assert!(matches!(&grown[0], Err(Refusal::InvalidPartitions(why)) if why.contains("would be fewer")));
    assert!(grown[1..].iter().all(|grown| matches!(grown, Err(Refusal::InvalidRequest(_)))), "named twice");
    assert!(out.effects.is_empty());
    let (grown, _) = grow(&mut cluster, &[("b", 100_000)], false);
    assert!(matches!(&grown[0], Err(Refusal::InvalidPartitions(why)) if why.contains("holds at most")));
    assert_eq!(cluster.image().topic("a").unwrap().partitions, 4);
}

fn alter_broker(
    cluster: &mut Cluster,
    broker: &str,
    from: &[(&str, &str)],
    configs: &[(&str, &str)],
) -> (Result<ClusterReply, Refusal>, Outcome) {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let request = ClusterRequest::AlterBrokerConfigs {
        broker: broker.into(),
        configs: map(configs),
        from: Arc::new(map(from)),
        validate_only: false,
    };
    ask(cluster, request)
}

#[test]
fn dynamic_broker_configs_reach_the_partitions_that_set_nothing_else() {
    let mut cluster = cluster();
    let own = NewTopic { configs: BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]), ..topic("own", 1, 1) };
    create(&mut cluster, vec![own, topic("plain", 2, 2)]);
    let (reply, out) = alter_broker(&mut cluster, "", &[], &[("log.retention.ms", "7")]);
    assert!(reply.is_ok());
    let seven = |index| format!("configure plain-{index} {:?}", BTreeMap::from([("retention.ms", "7")]));
    assert_eq!(shown(&out.effects), [seven(0), seven(1), "publish 2".to_owned()]);
    // This broker's own go before those of all.
    let (_, out) = alter_broker(&mut cluster, "1", &[], &[("log.retention.ms", "8")]);
    assert!(shown(&out.effects)[0].contains("\"8\""));
    let (_, out) = alter_broker(&mut cluster, "", &[("log.retention.ms", "7")], &[]);
    assert_eq!(shown(&out.effects), ["publish 2"], "what holds has not changed");
    let (_, out) = create(&mut cluster, vec![topic("late", 3, 1)]);
    let Effect::CreatePartition { configs, .. } = &out.effects[0] else { panic!("{:?}", out.effects) };
    assert_eq!(configs.get("retention.ms").map(String::as_str), Some("8"));
    let plain = cluster.image().topic("plain").unwrap();
    assert!(plain.configs.is_empty(), "they are not the topic's own");
    assert_eq!(plain.effective.get("retention.ms").map(String::as_str), Some("8"));
    let (_, out) = alter_broker(&mut cluster, "1", &[("log.retention.ms", "8")], &[]);
    assert_eq!(records(&out.batches).map(|record| record.value.is_none()).collect::<Vec<_>>(), [true], "a tombstone");
    assert!(cluster.image().broker_configs.is_empty());
}

#[test]
fn the_image_says_what_may_be_appended_whatever_changed_last() {
    let config = CoreConfig { message_max_bytes: 900, ..CoreConfig::default() };
    let mut cluster = Cluster::new(Arc::new(config));
    let limit = |cluster: &Cluster, name: &str| cluster.image().topic(name).unwrap().append.max_message_bytes;
    create(&mut cluster, vec![topic("a", 1, 1)]);
    assert_eq!(limit(&cluster, "a"), 900);
    alter_broker(&mut cluster, "", &[], &[("message.max.bytes", "800")]).0.unwrap();
    create(&mut cluster, vec![topic("b", 2, 1)]);
    assert_eq!((limit(&cluster, "a"), limit(&cluster, "b")), (800, 800));
    let own = BTreeMap::from([("max.message.bytes".to_owned(), "700".to_owned())]);
    let request = |from: &BTreeMap<String, String>, to: &BTreeMap<String, String>| ClusterRequest::AlterTopicConfigs {
        topic: "a".into(),
        configs: to.clone(),
        from: Arc::new(from.clone()),
        validate_only: false,
    };
    ask(&mut cluster, request(&BTreeMap::new(), &own)).0.unwrap();
    grow(&mut cluster, &[("a", 2)], false);
    assert_eq!((limit(&cluster, "a"), limit(&cluster, "b")), (700, 800));
    alter_broker(&mut cluster, "", &[("message.max.bytes", "800")], &[]).0.unwrap();
    assert_eq!((limit(&cluster, "a"), limit(&cluster, "b")), (700, 900));
    ask(&mut cluster, request(&own, &BTreeMap::new())).0.unwrap();
    assert_eq!(limit(&cluster, "a"), 900);
}

#[test]
fn what_cannot_be_set_at_run_time_is_refused() {
    let mut cluster = cluster();
    let cases = [
        ("1", "num.partitions", "3", "num.partitions cannot be changed while the broker runs"),
        ("", "unheard.of", "3", "unheard.of cannot be changed"),
        ("1", "log.retention.ms", "soon", "is not a whole number"),
        ("", "max.connections", "0", "is not a whole number"),
        ("2", "log.retention.ms", "3", "there is no broker 2"),
    ];
    for (broker, name, value, expected) in cases {
        let (reply, out) = alter_broker(&mut cluster, broker, &[], &[(name, value)]);
        let Err(Refusal::InvalidRequest(why)) = reply else { panic!("{name}: {reply:?}") };
        assert!(why.contains(expected) && out.batches.is_empty(), "{why}");
    }
    let (reply, _) = alter_broker(&mut cluster, "", &[("log.retention.ms", "1")], &[]);
    assert!(matches!(reply, Err(Refusal::ConcurrentChange)), "it was worked out from something else");
}
