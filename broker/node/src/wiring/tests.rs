//! The ports against a real broker in this process.

use super::cluster::BrokerCluster;
use bytes::Bytes;
use pelton_api::interceptor::InterceptorFactory;
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::PartitionerFactory;
use pelton_api::ports::{Cluster, Partition, PartitionReader, PortError, TransactionalWriter};
use pelton_core::config::CoreConfig;
use pelton_core::event::{Acks, AppendOrigin, ClusterRequest, IncomingBatch, PartitionReply, PartitionRequest};
use pelton_core::model::TopicPartition;
use pelton_hooks::{Code, Library};
use pelton_record::{BatchBuilder, BatchHeader, BatchView};
use pelton_server::{Broker, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENT: Duration = Duration::from_secs(10);

/// A broker with its data, and the ports to it.
struct Node {
    dir: TempDir,
    broker: Broker,
    cluster: BrokerCluster,
}

impl Node {
    async fn on(dir: TempDir) -> Self {
        let core = CoreConfig { offsets_topic_partitions: 2, transaction_topic_partitions: 2, ..CoreConfig::default() };
        let config = ServerConfig {
            listeners: vec!["127.0.0.1:0".parse().unwrap()],
            data_dir: dir.path().to_owned(),
            shards: 2,
            core: core.clone(),
            ..ServerConfig::default()
        };
        let broker = Broker::start(config, no_plugins).await.unwrap();
        let cluster = BrokerCluster::new(broker.clone(), &core, Default::default());
        Self { dir, broker, cluster }
    }

    /// A new broker that has these topics, with so many partitions each.
    async fn with(topics: &[(&str, i32)]) -> Self {
        let node = Self::on(tempfile::tempdir().unwrap()).await;
        for (topic, partitions) in topics {
            node.cluster.ensure_topic(topic, *partitions, &[]).await.unwrap();
        }
        node
    }

    /// A writer that may begin.
    async fn writer(&self, transactional_id: &str) -> Box<dyn TransactionalWriter> {
        let mut writer = self.cluster.writer(transactional_id);
        writer.init().await.unwrap();
        writer
    }

    /// Appends without a transaction, as a plain client does.
    async fn append(&self, to: &Partition, values: &[&str]) {
        self.append_bytes(to, batch(values).to_vec()).await;
    }

    async fn append_bytes(&self, to: &Partition, mut bytes: Vec<u8>) {
        pelton_record::recompute_crc(&mut bytes);
        let incoming = IncomingBatch { header: BatchHeader::parse(&bytes).unwrap(), bytes: bytes.into() };
        let request = PartitionRequest::Append {
            batches: vec![incoming],
            acks: Acks::All,
            origin: AppendOrigin::Client,
            transactional_id: None,
        };
        let partition = TopicPartition::new(to.topic.as_str(), to.index);
        let answer = super::ask_partition(&self.broker, &partition, request).await.unwrap();
        assert!(matches!(answer, PartitionReply::Appended(_)));
    }

    async fn stop(self) {
        self.broker.stop().await;
    }

    /// Drops it as it is; its data stay.
    fn dropped(self) -> TempDir {
        self.dir
    }
}

/// Chains without any plugins.
fn no_plugins() -> Result<Arc<dyn pelton_api::hooks::Hooks>, String> {
    let options = pelton_hooks::Options::default();
    Ok(Arc::new(pelton_hooks::Chains::new(Arc::new(Nothing), Arc::new(pelton_hooks::NoEvents), options)))
}

struct Nothing;

impl Library for Nothing {
    fn interceptor(&self, plugin: &PluginRef) -> Result<Code<dyn InterceptorFactory>, String> {
        Err(format!("there is no plugin {plugin}"))
    }

    fn partitioner(&self, plugin: &PluginRef) -> Result<Code<dyn PartitionerFactory>, String> {
        Err(format!("there is no plugin {plugin}"))
    }

    fn topic_exists(&self, _: &str) -> bool {
        true
    }
}

fn at(topic: &str, index: i32) -> Partition {
    Partition { topic: topic.to_owned(), index }
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    for value in values {
        builder.push(0, Some(b"k"), Some(value.as_bytes()), &[]);
    }
    builder.into_bytes().into()
}

/// All values from `offset` to the last stable offset, and where reading stands then.
async fn values(reader: &mut dyn PartitionReader, mut offset: i64) -> (Vec<String>, i64) {
    let mut found = Vec::new();
    let (_, end) = reader.bounds().await.unwrap();
    while offset < end {
        let read = reader.read(offset, 1 << 20, Duration::ZERO).await.unwrap();
        assert!(read.next_offset > offset, "a reader never stands still before the end");
        for bytes in &read.batches {
            let view = BatchView::parse(bytes).unwrap();
            let records = view.records().unwrap().map(Result::unwrap);
            let kept = records.filter(|record| record.offset(view.header()) >= offset);
            found.extend(kept.map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
        }
        offset = read.next_offset;
    }
    (found, offset)
}

/// Waits until the partition's last stable offset has reached `offset`: markers follow the decision.
async fn stable(reader: &mut dyn PartitionReader, offset: i64) {
    while reader.bounds().await.unwrap().1 < offset {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_once_and_described() {
    let node = Node::with(&[]).await;
    assert_eq!(node.cluster.topic("t").await, Ok(None));
    let made = node.cluster.ensure_topic("t", 3, &[("cleanup.policy", "compact")]).await.unwrap();
    assert_eq!((made.partitions, made.id.len()), (3, 32));
    assert_eq!(node.cluster.ensure_topic("t", 5, &[]).await.unwrap(), made);
    assert_eq!(node.cluster.topic("t").await, Ok(Some(made)));
    let refused = node.cluster.ensure_topic("bad name", 1, &[]).await.unwrap_err();
    assert!(matches!(refused, PortError::Fatal(_)), "{refused}");
    let unknown = node.cluster.reader(at("t", 7)).bounds().await.unwrap_err();
    assert!(matches!(unknown, PortError::Unknown(_)), "{unknown}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_waits_for_records_and_names_an_offset_that_is_not_there() {
    let node = Node::with(&[("t", 1)]).await;
    let source = at("t", 0);
    let mut reader = node.cluster.reader(source.clone());
    let nothing = reader.read(0, 1000, Duration::from_millis(1)).await.unwrap();
    assert_eq!((nothing.batches.len(), nothing.next_offset), (0, 0));
    let (read, ()) = tokio::join!(reader.read(0, 1000, PATIENT), node.append(&source, &["a", "b"]));
    assert_eq!((read.unwrap().next_offset, reader.bounds().await), (2, Ok((0, 2))));
    let refused = reader.read(9, 1000, Duration::ZERO).await.unwrap_err();
    let PortError::OffsetOutOfRange { asked: 9, start: 0, end: 2, .. } = refused else { panic!("{refused}") };
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_shows_outputs_and_offsets_together() {
    let node = Node::with(&[("out", 2), ("in", 1)]).await;
    let source = at("in", 0);
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(None));
    let mut writer = node.writer("t-0").await;
    assert!(writer.commit("g", &[]).await.unwrap().is_empty(), "nothing sent, nothing done");
    let mut readers = [node.cluster.reader(at("out", 0)), node.cluster.reader(at("out", 1))];
    let mut expected = [Vec::new(), Vec::new()];
    for round in 0..5i64 {
        for n in 0..4 {
            let value = format!("{round}.{n}");
            writer.send(&at("out", n % 2), batch(&[&value, &value])).await.unwrap();
            expected[n as usize % 2].extend([value.clone(), value]);
        }
        assert!(values(&mut *readers[0], 0).await.0.len() < expected[0].len(), "nothing is seen before the commit");
        let ends = writer.commit("g", &[(source.clone(), round + 1)]).await.unwrap();
        assert_eq!(ends.len(), 2);
        for (index, reader) in readers.iter_mut().enumerate() {
            stable(&mut **reader, ends[&at("out", index as i32)] + 1).await;
            assert_eq!(values(&mut **reader, 0).await.0, expected[index]);
        }
        assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(round + 1)));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_transaction_leaves_nothing_and_does_not_stop_a_reader() {
    let node = Node::with(&[("out", 1)]).await;
    let to = at("out", 0);
    let mut writer = node.writer("t-0").await;
    writer.send(&to, batch(&["dropped"])).await.unwrap();
    writer.abort().await.unwrap();
    writer.send(&to, batch(&["kept"])).await.unwrap();
    let end = writer.commit("g", &[]).await.unwrap()[&to];
    let mut reader = node.cluster.reader(to);
    stable(&mut *reader, end + 1).await;
    assert_eq!(values(&mut *reader, 0).await, (vec!["kept".to_owned()], end + 1));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_fences_the_first_and_aborts_what_it_left_open() {
    let node = Node::with(&[("out", 1)]).await;
    let (to, source) = (at("out", 0), at("out", 0));
    let (mut first, mut second) = (node.cluster.writer("t-0"), node.cluster.writer("t-0"));
    first.init().await.unwrap();
    first.send(&to, batch(&["left open"])).await.unwrap();
    second.init().await.unwrap();
    let refused = first.commit("g", &[(source.clone(), 1)]).await.unwrap_err();
    assert!(matches!(refused, PortError::Fenced(_)), "{refused}");
    assert_eq!(first.send(&to, batch(&["more"])).await.unwrap_err(), refused, "it stays fenced");
    second.send(&to, batch(&["mine"])).await.unwrap();
    let end = second.commit("g", &[(source.clone(), 5)]).await.unwrap()[&to];
    let mut reader = node.cluster.reader(to.clone());
    stable(&mut *reader, end + 1).await;
    assert_eq!(values(&mut *reader, 0).await.0, ["mine"]);
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(5)));
    first.init().await.unwrap();
    first.send(&to, batch(&["again"])).await.unwrap();
    let end = first.commit("g", &[]).await.unwrap()[&to];
    stable(&mut *reader, end + 1).await;
    assert_eq!(values(&mut *reader, 0).await.0, ["mine", "again"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sends_keep_their_order() {
    let node = Node::with(&[("out", 3)]).await;
    let mut writer = node.writer("t-0").await;
    let mut expected = vec![Vec::new(); 3];
    for n in 0..600usize {
        let value = n.to_string();
        writer.send(&at("out", (n % 3) as i32), batch(&[&value])).await.unwrap();
        expected[n % 3].push(value);
    }
    let ends = writer.commit("g", &[]).await.unwrap();
    for (index, expected) in expected.iter().enumerate() {
        let to = at("out", index as i32);
        let mut reader = node.cluster.reader(to.clone());
        stable(&mut *reader, ends[&to] + 1).await;
        assert_eq!(values(&mut *reader, 0).await.0, *expected);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_the_broker_refuses_spoils_the_transaction_until_init() {
    let node = Node::with(&[]).await;
    node.cluster.ensure_topic("small", 1, &[("max.message.bytes", "1000")]).await.unwrap();
    let to = at("small", 0);
    let mut writer = node.writer("t-0").await;
    let sent = writer.send(&to, batch(&[&"x".repeat(5000)])).await;
    let refused = match sent {
        Err(refused) => refused,
        Ok(()) => writer.commit("g", &[]).await.unwrap_err(),
    };
    assert!(matches!(refused, PortError::Fatal(_)), "{refused}");
    assert_eq!(writer.commit("g", &[]).await.unwrap_err(), refused);
    let unknown = at("no-such-topic", 0);
    writer.init().await.unwrap();
    let refused = match writer.send(&unknown, batch(&["a"])).await {
        Err(refused) => refused,
        Ok(()) => writer.commit("g", &[]).await.unwrap_err(),
    };
    assert!(matches!(refused, PortError::Unknown(_)), "{refused}");
    writer.init().await.unwrap();
    writer.send(&to, batch(&["fits"])).await.unwrap();
    assert_eq!(writer.commit("g", &[]).await.unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_outlives_a_broker_that_is_dropped() {
    let node = Node::with(&[("out", 1), ("in", 1)]).await;
    let (to, source) = (at("out", 0), at("in", 0));
    let mut writer = node.writer("t-0").await;
    writer.send(&to, batch(&["kept"])).await.unwrap();
    writer.commit("g", &[(source.clone(), 3)]).await.unwrap();
    writer.send(&to, batch(&["left open"])).await.unwrap();
    drop(writer);
    let node = Node::on(node.dropped()).await;
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(3)));
    let mut writer = node.writer("t-0").await;
    writer.send(&to, batch(&["after"])).await.unwrap();
    let end = writer.commit("g", &[(source.clone(), 4)]).await.unwrap()[&to];
    let mut reader = node.cluster.reader(to);
    stable(&mut *reader, end + 1).await;
    assert_eq!(values(&mut *reader, 0).await.0, ["kept", "after"]);
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(4)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_of_a_topic_that_was_made_anew_counts_no_more() {
    let node = Node::with(&[("in", 1)]).await;
    let source = at("in", 0);
    node.append(&source, &["a", "b", "c"]).await;
    let (mut reader, mut writer) = (node.cluster.reader(source.clone()), node.cluster.writer("job"));
    assert_eq!(reader.bounds().await, Ok((0, 3)));
    writer.init().await.unwrap();
    writer.commit("g", &[(source.clone(), 3)]).await.unwrap();
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(3)));
    let delete = ClusterRequest::DeleteTopics { topics: vec!["in".into()] };
    super::ask_cluster(&node.broker, delete).await.unwrap();
    while node.cluster.topic("in").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    node.cluster.ensure_topic("in", 1, &[]).await.unwrap();
    node.append(&source, &["d", "e", "f", "g"]).await;
    assert_eq!(
        node.cluster.committed_offset("g", &source).await,
        Ok(None),
        "no record of the new topic is passed over"
    );
    let refused = reader.read(3, 1000, Duration::ZERO).await.unwrap_err();
    assert!(refused.to_string().contains("made anew"), "{refused}");
    let refused = writer.commit("g", &[(source.clone(), 4)]).await.unwrap_err();
    assert!(refused.to_string().contains("made anew"), "{refused}");
    assert_eq!(reader.bounds().await, Ok((0, 4)));
    assert_eq!(values(&mut *reader, 0).await.0, ["d", "e", "f", "g"]);
    writer.init().await.unwrap();
    writer.commit("g", &[(source.clone(), 1)]).await.unwrap();
    assert_eq!(node.cluster.committed_offset("g", &source).await, Ok(Some(1)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_described_with_the_largest_batch_that_it_takes() {
    let node = Node::with(&[]).await;
    let small = node.cluster.ensure_topic("small", 1, &[("max.message.bytes", "2000")]).await.unwrap();
    assert_eq!(small.max_message_bytes, 2000);
    let mut writer = node.cluster.writer("w");
    for (value_len, fits) in [(1_900, true), (2_000, false)] {
        writer.init().await.unwrap();
        let sent = writer.send(&at("small", 0), batch(&["x".repeat(value_len).as_str()])).await;
        assert_eq!(sent.is_ok() && writer.commit("g", &[]).await.is_ok(), fits, "{value_len}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_decompressed_is_passed_on_and_not_stood_before() {
    let node = Node::with(&[("in", 1)]).await;
    let source = at("in", 0);
    let mut bytes = batch(&["no gzip at all"]).to_vec();
    bytes[22] |= 1;
    node.append_bytes(&source, bytes).await;
    node.append(&source, &["after"]).await;
    let mut reader = node.cluster.reader(source);
    let read = reader.read(0, 1 << 20, PATIENT).await.unwrap();
    assert_eq!((read.batches.len(), read.next_offset), (2, 2));
    assert!(
        pelton_jobs::task::chunk::split(&read.batches[0], 0, pelton_jobs::task::chunk::CallLimits::NORMAL).is_err()
    );
    node.stop().await;
}
