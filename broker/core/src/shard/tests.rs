//! Machines of one shard together: the path of an event, and a transaction from end to end.

use super::*;
use crate::cluster::ClusterImage;
use crate::coordinator::partition_for;
use crate::event::{
    Acks, AppendOrigin, ClusterReply, ClusterRequest, CommitOffset, GroupReply, GroupRequest, IncomingBatch,
    InitializedProducer, NewTopic, OffsetCommit, PartitionReply, ReplyTo, TransactionReply, TransactionRequest,
    TransactionResult, TransactionalOffsetCommit,
};
use crate::model::{Isolation, Offset, ProducerEpoch, ProducerId, Token};
use bytes::Bytes;
use pelton_record::{BatchBuilder, BatchView};

/// A shard and the plainest of shells: what is written is durable when [`Bench::flush`] says so.
struct Bench {
    shard: Shard,
    now: Timestamp,
    replies: BTreeMap<u64, Reply>,
    sent: Vec<Envelope>,
    flushes: BTreeMap<TopicPartition, Offset>,
    image: Arc<ClusterImage>,
    tokens: u64,
}

impl Bench {
    fn new() -> Self {
        let config = Arc::new(CoreConfig::default());
        Self {
            shard: Shard::new(config),
            now: Timestamp(1_000),
            replies: BTreeMap::new(),
            sent: Vec::new(),
            flushes: BTreeMap::new(),
            image: Arc::default(),
            tokens: 0,
        }
    }

    fn open(&mut self, topic: &str, partition: i32) -> TopicPartition {
        let id = TopicPartition::new(topic, partition);
        let mut effects = Vec::new();
        self.shard.open(self.now, id.clone(), TopicId(1), &BTreeMap::new(), RecoveredLog::default(), &mut effects);
        assert!(effects.is_empty());
        id
    }

    fn load(&mut self, part: PartId) {
        self.event(part.clone(), Event::Replay { batches: Vec::new() });
        self.event(part, Event::Loaded);
    }

    fn event(&mut self, to: PartId, event: Event) {
        let mut effects = Vec::new();
        self.shard.step(self.now, Envelope { to, event }, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => {
                    assert!(self.replies.insert(token.0, reply).is_none(), "{token:?} was answered twice");
                }
                Effect::Send(envelope) => self.sent.push(envelope),
                Effect::Flush { partition, through } => {
                    self.flushes.insert(partition, through);
                }
                Effect::PublishImage(image) => self.image = image,
                Effect::CreatePartition { partition, .. } => {
                    self.open(&partition.topic.clone(), partition.partition);
                }
                Effect::ConfigurePartition { partition, topic_id, configs } => {
                    self.shard.configure(&partition, topic_id, &configs);
                }
                Effect::Write { .. } | Effect::WakeAt { .. } | Effect::RecordAborted { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn ask(&mut self, to: PartId, request: Request) -> u64 {
        self.tokens += 1;
        let token = self.tokens;
        self.event(to, Event::Ask { reply_to: ReplyTo::Shell(Token(token)), request });
        token
    }

    /// Makes everything durable, and what follows from that, until nothing is left to sync.
    fn flush(&mut self) {
        while let Some((partition, through)) = self.flushes.pop_first() {
            self.event(PartId::Partition(partition), Event::Flushed { through });
        }
    }

    fn transaction(&mut self, request: TransactionRequest) -> Result<TransactionReply, Refusal> {
        let token = self.ask(PartId::Transaction(coordinator()), Request::Transaction(request));
        self.flush();
        match self.replies.remove(&token) {
            Some(Reply::Transaction(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn watermarks(&self, partition: &TopicPartition) -> Watermarks {
        self.shard.watermarks(partition).unwrap()
    }
}

const ID: &str = "payments";

fn coordinator() -> i32 {
    partition_for(ID, 50)
}

fn batch(producer: i64, epoch: i16, sequence: i32) -> IncomingBatch {
    let mut builder = BatchBuilder::new(1_000);
    builder.push(1_000, None, Some(b"value"), &[]);
    builder.set_producer(producer, epoch, sequence);
    builder.set_transactional(true);
    let bytes = Bytes::from(builder.into_bytes_with_crc());
    IncomingBatch { header: *BatchView::parse(&bytes).unwrap().header(), bytes }
}

fn append(batch: IncomingBatch) -> Request {
    Request::Partition(PartitionRequest::Append {
        batches: vec![batch],
        acks: Acks::All,
        origin: AppendOrigin::Client,
        transactional_id: Some(ID.into()),
    })
}

fn describe() -> Request {
    Request::Partition(PartitionRequest::Describe)
}

/// A shard that owns everything, with one topic of one partition and one producer.
fn everything() -> (Bench, TopicPartition, InitializedProducer) {
    let mut bench = Bench::new();
    for (topic, index, part) in [
        (METADATA_TOPIC, 0, PartId::Cluster),
        (TRANSACTIONS_TOPIC, coordinator(), PartId::Transaction(coordinator())),
        (OFFSETS_TOPIC, partition_for("readers", 50), PartId::Group(partition_for("readers", 50))),
    ] {
        bench.open(topic, index);
        bench.load(part);
    }
    let orders = bench.open("orders", 0);
    let initialize =
        TransactionRequest::InitProducer { transactional_id: ID.into(), timeout_ms: 60_000, current: None };
    let Ok(TransactionReply::Initialized(producer)) = bench.transaction(initialize) else { panic!("no producer") };
    (bench, orders, producer)
}

fn enlist(bench: &mut Bench, producer: InitializedProducer, partitions: Vec<TopicPartition>) {
    let InitializedProducer { producer_id, producer_epoch } = producer;
    let request =
        TransactionRequest::AddPartitions { transactional_id: ID.into(), producer_id, producer_epoch, partitions };
    assert!(matches!(bench.transaction(request), Ok(TransactionReply::Done)));
}

fn end(producer: InitializedProducer, result: TransactionResult) -> TransactionRequest {
    let InitializedProducer { producer_id, producer_epoch } = producer;
    TransactionRequest::End { transactional_id: ID.into(), producer_id, producer_epoch, result }
}

#[test]
fn who_is_not_here_is_refused_and_who_is_elsewhere_is_sent_to() {
    let mut bench = Bench::new();
    let gone = PartId::Partition(TopicPartition::new("gone", 0));
    let token = bench.ask(gone, describe());
    assert!(matches!(bench.replies[&token], Reply::Partition(Err(Refusal::UnknownTopicOrPartition))));
    let heartbeat = GroupRequest::Heartbeat { group: "g".into(), generation: 1, member: "m".into(), instance: None };
    let token = bench.ask(PartId::Group(1), Request::Group(heartbeat));
    assert!(matches!(bench.replies[&token], Reply::Group(Err(Refusal::NotCoordinator))));
    let token = bench.ask(PartId::Cluster, Request::Cluster(ClusterRequest::AllocateProducerIds));
    assert!(matches!(bench.replies[&token], Reply::Cluster(Err(Refusal::NotCoordinator))));

    let orders = bench.open("orders", 0);
    let token = bench.ask(PartId::Partition(orders.clone()), append(batch(7, 0, 0)));
    assert!(matches!(
        &bench.sent[..],
        [Envelope { to: PartId::Transaction(index), event: Event::Ask { reply_to: ReplyTo::Part(..), .. } }]
            if *index == coordinator()
    ));
    assert!(!bench.replies.contains_key(&token));
    let mut effects = Vec::new();
    bench.shard.close(&orders, &mut effects);
    bench.perform(effects);
    assert!(matches!(bench.replies[&token], Reply::Partition(Err(Refusal::UnknownTopicOrPartition))));
    assert!(!bench.shard.has(&orders));
}

#[test]
fn a_coordinator_comes_with_its_log_and_goes_with_it() {
    let mut bench = Bench::new();
    let log = bench.open(METADATA_TOPIC, 0);
    let allocate = || Request::Cluster(ClusterRequest::AllocateProducerIds);
    let token = bench.ask(PartId::Cluster, allocate());
    assert!(matches!(bench.replies[&token], Reply::Cluster(Err(Refusal::CoordinatorLoadInProgress))));
    bench.load(PartId::Cluster);
    let token = bench.ask(PartId::Cluster, allocate());
    assert!(!bench.replies.contains_key(&token), "its record is not durable yet");
    bench.flush();
    assert!(matches!(bench.replies[&token], Reply::Cluster(Ok(ClusterReply::ProducerIds { .. }))));
    assert_eq!(bench.image.next_producer_id, 1_000);
    let token = bench.ask(PartId::Cluster, allocate());
    let mut effects = Vec::new();
    bench.shard.close(&log, &mut effects);
    bench.perform(effects);
    assert!(matches!(bench.replies[&token], Reply::Cluster(Err(Refusal::NotCoordinator))));
}

#[test]
fn a_storage_failure_stops_the_coordinator_on_that_log() {
    let mut bench = Bench::new();
    let log = bench.open(METADATA_TOPIC, 0);
    bench.load(PartId::Cluster);
    let token = bench.ask(PartId::Cluster, Request::Cluster(ClusterRequest::AllocateProducerIds));
    bench.event(PartId::Partition(log), Event::StorageFailed { message: "EIO".to_owned() });
    assert!(matches!(bench.replies[&token], Reply::Cluster(Err(Refusal::CoordinatorNotAvailable))));
    assert!(bench.shard.coordinator_failure(&PartId::Cluster).unwrap().contains("EIO"));
}

#[test]
fn a_created_topic_is_there_when_the_answer_comes() {
    let mut bench = Bench::new();
    bench.open(METADATA_TOPIC, 0);
    bench.load(PartId::Cluster);
    let topic = NewTopic {
        name: "orders".into(),
        id: TopicId(5),
        partitions: 2,
        replication_factor: 1,
        configs: BTreeMap::new(),
        internal: false,
    };
    let request = ClusterRequest::CreateTopics { topics: vec![topic], validate_only: false };
    let token = bench.ask(PartId::Cluster, Request::Cluster(request));
    assert!(bench.image.topics.is_empty());
    bench.flush();
    assert!(bench.replies.contains_key(&token));
    assert!(bench.image.has(&TopicPartition::new("orders", 1)));
    let here: Vec<_> = bench.shard.partitions().map(|(partition, _)| partition.to_string()).collect();
    assert_eq!(here, ["__cluster_metadata-0", "orders-0", "orders-1"]);
}

#[test]
fn altered_configs_hold_for_the_partitions_of_that_creation_of_the_topic() {
    let (mut bench, orders, producer) = everything();
    enlist(&mut bench, producer, vec![orders.clone()]);
    let large = |bench: &mut Bench, sequence| {
        let batch = batch(producer.producer_id.0, producer.producer_epoch.0, sequence);
        let token = bench.ask(PartId::Partition(orders.clone()), append(batch));
        bench.flush();
        match bench.replies.remove(&token) {
            Some(Reply::Partition(appended)) => appended.map(|_| ()),
            other => panic!("{other:?}"),
        }
    };
    let configs = Arc::new(BTreeMap::from([("max.message.bytes".to_owned(), "1".to_owned())]));
    let configure = |topic_id| Effect::ConfigurePartition {
        partition: TopicPartition::new("orders", 0),
        topic_id,
        configs: configs.clone(),
    };
    bench.perform(vec![configure(TopicId(77))]);
    assert_eq!(large(&mut bench, 0), Ok(()), "that was another topic of the name");
    bench.perform(vec![configure(TopicId(1))]);
    assert_eq!(large(&mut bench, 1), Err(Refusal::RecordTooLarge));
}

#[test]
fn a_transaction_goes_from_its_first_batch_to_its_markers() {
    let (mut bench, orders, producer) = everything();
    let (id, epoch) = (producer.producer_id.0, producer.producer_epoch.0);
    let part = PartId::Partition(orders.clone());
    let early = bench.ask(part.clone(), append(batch(id, epoch, 0)));
    bench.flush();
    assert!(matches!(bench.replies[&early], Reply::Partition(Err(_))), "it is not enlisted");
    assert_eq!(bench.watermarks(&orders).log_end, 0);

    enlist(&mut bench, producer, vec![orders.clone()]);
    let token = bench.ask(part.clone(), append(batch(id, epoch, 0)));
    bench.flush();
    assert!(matches!(bench.replies[&token], Reply::Partition(Ok(PartitionReply::Appended(_)))));
    assert_eq!((bench.watermarks(&orders).last_stable, bench.watermarks(&orders).high_watermark), (0, 1));

    let ended = bench.transaction(end(producer, TransactionResult::Commit));
    assert!(matches!(ended, Ok(TransactionReply::Ended(_))), "{ended:?}");
    bench.flush();
    let watermarks = bench.watermarks(&orders);
    assert_eq!((watermarks.last_stable, watermarks.log_end), (2, 2), "the marker is there and committed");
    let isolation = Isolation::ReadCommitted;
    let token = bench.ask(part, Request::Partition(PartitionRequest::Watch { offset: 0, isolation }));
    assert!(matches!(bench.replies[&token], Reply::Partition(Ok(PartitionReply::Readable))));
    assert!(bench.sent.is_empty(), "all of it stayed in the shard");
}

fn commit_offset(bench: &mut Bench, producer: InitializedProducer, offset: Offset) -> u64 {
    let commit = OffsetCommit {
        group: "readers".into(),
        generation: -1,
        member: "".into(),
        instance: None,
        retention_ms: None,
        offsets: vec![CommitOffset {
            partition: TopicPartition::new("orders", 0),
            offset,
            leader_epoch: None,
            metadata: "".into(),
        }],
    };
    let request = GroupRequest::CommitInTransaction(TransactionalOffsetCommit {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        transactional_id: ID.into(),
        commit,
    });
    bench.ask(PartId::Group(partition_for("readers", 50)), Request::Group(request))
}

fn committed_offset(bench: &mut Bench) -> Option<Offset> {
    let partitions = Some(vec![TopicPartition::new("orders", 0)]);
    let request = GroupRequest::FetchOffsets { group: "readers".into(), partitions, require_stable: false };
    let token = bench.ask(PartId::Group(partition_for("readers", 50)), Request::Group(request));
    bench.flush();
    match bench.replies.remove(&token) {
        Some(Reply::Group(Ok(GroupReply::Offsets(offsets)))) => offsets[0].1.as_ref().map(|found| found.offset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_of_a_transaction_stand_or_fall_with_it() {
    let (mut bench, _, producer) = everything();
    let offsets = TopicPartition::new(OFFSETS_TOPIC, partition_for("readers", 50));
    for (result, offset, expected) in [
        (TransactionResult::Abort, 5, None),
        (TransactionResult::Commit, 6, Some(6)),
        (TransactionResult::Abort, 7, Some(6)),
    ] {
        enlist(&mut bench, producer, vec![offsets.clone()]);
        let token = commit_offset(&mut bench, producer, offset);
        bench.flush();
        assert!(matches!(bench.replies[&token], Reply::Group(Ok(GroupReply::Done))), "{:?}", bench.replies[&token]);
        assert!(bench.transaction(end(producer, result)).is_ok());
        bench.flush();
        assert_eq!(committed_offset(&mut bench), expected);
        let watermarks = bench.watermarks(&offsets);
        assert_eq!(watermarks.last_stable, watermarks.log_end, "no transaction hangs");
    }
}

#[test]
fn offsets_that_were_let_through_are_in_the_log_before_the_marker() {
    let (mut bench, _, producer) = everything();
    let offsets = TopicPartition::new(OFFSETS_TOPIC, partition_for("readers", 50));
    let InitializedProducer { producer_id, producer_epoch } = producer;
    let part = PartId::Transaction(coordinator());
    // All three are asked before anything is durable, so that one flush lets everything go at once.
    let add = TransactionRequest::AddPartitions {
        transactional_id: ID.into(),
        producer_id,
        producer_epoch,
        partitions: vec![offsets.clone()],
    };
    bench.ask(part.clone(), Request::Transaction(add));
    let token = commit_offset(&mut bench, producer, 5);
    bench.ask(part, Request::Transaction(end(producer, TransactionResult::Commit)));
    bench.flush();
    let committed = matches!(bench.replies[&token], Reply::Group(Ok(GroupReply::Done)));
    assert_eq!(committed_offset(&mut bench), committed.then_some(5));
    let watermarks = bench.watermarks(&offsets);
    assert_eq!(watermarks.last_stable, watermarks.log_end, "no transaction hangs");
}

#[test]
fn a_marker_for_group_offsets_lets_what_is_on_its_way_pass() {
    let marker = crate::event::Marker {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        coordinator_epoch: 0,
        commit: true,
        transaction_version: 1,
    };
    let envelope = |topic: &str| Envelope {
        to: PartId::Partition(TopicPartition::new(topic, 0)),
        event: Event::Ask {
            reply_to: ReplyTo::Nobody,
            request: Request::Partition(PartitionRequest::WriteMarker(marker)),
        },
    };
    assert!(lets_others_pass(&envelope(OFFSETS_TOPIC)));
    assert!(!lets_others_pass(&envelope("orders")));
}
