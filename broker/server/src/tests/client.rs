//! A client of the simplest kind, and the requests that most tests make.

use crate::{Broker, ServerConfig};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use pelton_api::hooks::{Hooks, NoHooks};
use pelton_record::BatchBuilder;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A configuration for tests: a free port, groups that do not wait for more members, few coordinators.
pub fn config(path: &Path) -> ServerConfig {
    let mut config = ServerConfig {
        listeners: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
        data_dir: path.to_owned(),
        shards: 2,
        ..ServerConfig::default()
    };
    config.core.group_initial_rebalance_delay_ms = 0;
    config.core.offsets_topic_partitions = 3;
    config.core.transaction_topic_partitions = 3;
    config
}

/// What a broker without plugins is started with.
pub fn no_plugins() -> Result<Arc<dyn Hooks>, String> {
    Ok(Arc::new(NoHooks))
}

pub async fn start(path: &Path) -> Broker {
    Broker::start(config(path), no_plugins).await.expect("a broker starts in an empty directory")
}

/// A broker without plugins in a directory of its own, with a configuration for tests in which this is changed.
pub async fn started(change: impl FnOnce(&mut ServerConfig)) -> (tempfile::TempDir, Broker) {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = config(temporary.path());
    change(&mut settings);
    let broker = Broker::start(settings, no_plugins).await.expect("a broker starts in an empty directory");
    (temporary, broker)
}

pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

pub struct Client {
    pub stream: TcpStream,
    /// Which versions of which APIs told so in their answers: `name: value`, as they are written in Rust.
    pub told: BTreeMap<(i16, i16), bool>,
    /// What is looked for in answers.
    pub look_for: Option<&'static str>,
    correlation_id: i32,
}

impl Client {
    pub async fn connect(broker: &Broker) -> Self {
        Self::connect_to(broker.addresses()[0]).await
    }

    pub async fn connect_to(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap())
    }

    pub fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, told: BTreeMap::new(), look_for: None, correlation_id: 0 }
    }

    pub async fn send<Q: Request>(&mut self, version: i16, request: &Q) -> i32 {
        self.send_written_as(version, version, request).await
    }

    /// Sends a request of a version that is written as another one is.
    pub async fn send_written_as<Q: Request>(&mut self, version: i16, written: i16, request: &Q) -> i32 {
        let mut body = BytesMut::new();
        request.encode(&mut body, written).unwrap();
        self.send_body::<Q>(version, &body).await
    }

    /// Sends the body of a request as it is.
    pub async fn send_body<Q: Request>(&mut self, version: i16, body: &[u8]) -> i32 {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(text("test")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, Q::header_version(version)).unwrap();
        frame.put_slice(body);
        let length = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).await.unwrap();
        self.correlation_id
    }

    /// The next frame, or nothing when the broker has closed the connection. No test waits longer than a minute.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, self.next_frame()).await.expect("neither an answer nor the end for a minute")
    }

    async fn next_frame(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    pub async fn receive<Q: Request>(&mut self, version: i16, correlation_id: i32) -> Q::Response
    where
        Q::Response: Debug,
    {
        self.receive_written_as::<Q>(version, version, correlation_id).await
    }

    /// The answer to a request of a version whose answers are written as those of another one are.
    pub async fn receive_written_as<Q: Request>(
        &mut self,
        version: i16,
        written: i16,
        correlation_id: i32,
    ) -> Q::Response
    where
        Q::Response: Debug,
    {
        let mut frame = self.frame().await.expect("the broker answers");
        let header = ResponseHeader::decode(&mut frame, Q::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, correlation_id, "answers come in order");
        let response = Q::Response::decode(&mut frame, written).unwrap();
        assert!(!frame.has_remaining(), "the answer is longer than its version");
        if let Some(wanted) = self.look_for {
            self.told.insert((Q::KEY, version), format!("{response:?}").contains(wanted));
        }
        response
    }

    pub async fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response
    where
        Q::Response: Debug,
    {
        let correlation_id = self.send(version, request).await;
        self.receive::<Q>(version, correlation_id).await
    }

    /// As [`Client::call`], with a body as it is.
    pub async fn call_body<Q: Request>(&mut self, version: i16, body: &[u8]) -> Q::Response
    where
        Q::Response: Debug,
    {
        let correlation_id = self.send_body::<Q>(version, body).await;
        self.receive::<Q>(version, correlation_id).await
    }

    pub async fn create(&mut self, name: &str, partitions: i32) -> CreateTopicsResponse {
        let topic = new_topic(name, partitions, &[]);
        self.call(7, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000)).await
    }

    /// Makes a topic with these configs.
    pub async fn create_with(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> create_topics_response::CreatableTopicResult {
        let topic = new_topic(name, partitions, configs);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        self.call(7, &request).await.topics.remove(0)
    }

    /// Produces one batch with acks=all and gives the partition's answer.
    pub async fn produce(
        &mut self,
        name: &str,
        partition: i32,
        batch: Bytes,
    ) -> produce_response::PartitionProduceResponse {
        let response = self.call(9, &produce(name, partition, batch, None)).await;
        response.responses[0].partition_responses[0].clone()
    }

    /// Fetches one partition and gives its answer.
    pub async fn fetch(
        &mut self,
        name: &str,
        partition: i32,
        offset: i64,
        isolation: i8,
    ) -> fetch_response::PartitionData {
        let response = self.call(12, &fetch(name, partition, offset).with_isolation_level(isolation)).await;
        response.responses[0].partitions[0].clone()
    }
}

/// A topic that is to be made.
pub fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> create_topics_request::CreatableTopic {
    let configs = configs.iter().map(|(name, value)| {
        create_topics_request::CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    });
    create_topics_request::CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect())
}

/// A producer without a transactional id.
pub fn idempotent() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}

pub fn produce(name: &str, partition: i32, batch: Bytes, transactional_id: Option<&str>) -> ProduceRequest {
    let data = produce_request::PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic =
        produce_request::TopicProduceData::default().with_name(topic_name(name)).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
        .with_topic_data(vec![topic])
}

pub fn fetch(name: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = fetch_request::FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = fetch_request::FetchTopic::default().with_topic(topic_name(name)).with_partitions(vec![partition]);
    FetchRequest::default().with_max_wait_ms(0).with_min_bytes(1).with_max_bytes(1 << 20).with_topics(vec![topic])
}

/// The time of the first batch of this run: old timestamps would close segments beside the markers' new ones.
fn timestamp() -> i64 {
    static FIRST: OnceLock<i64> = OnceLock::new();
    *FIRST.get_or_init(crate::server::now_ms)
}

/// A batch of these values.
pub fn batch(values: &[&str]) -> Bytes {
    let timestamp = timestamp();
    let mut builder = BatchBuilder::new(timestamp);
    for value in values {
        builder.push(timestamp, None, Some(value.as_bytes()), &[]);
    }
    builder.into_bytes_with_crc().into()
}

/// A batch of one record with a key, as a compacted topic wants it, of this moment.
pub fn keyed_batch(key: &str, value: Option<&str>) -> Bytes {
    let now_ms = crate::server::now_ms();
    let mut builder = BatchBuilder::new(now_ms);
    builder.push(now_ms, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    builder.into_bytes_with_crc().into()
}

/// A batch of an idempotent or transactional producer.
pub fn producer_batch(values: &[&str], producer: (i64, i16), sequence: i32, transactional: bool) -> Bytes {
    let timestamp = timestamp();
    let mut builder = BatchBuilder::new(timestamp);
    for value in values {
        builder.push(timestamp, None, Some(value.as_bytes()), &[]);
    }
    builder.set_producer(producer.0, producer.1, sequence);
    builder.set_transactional(transactional);
    builder.into_bytes_with_crc().into()
}

/// The values of the data batches in a record set.
pub fn values(records: &Option<Bytes>) -> Vec<String> {
    let records = records.clone().unwrap_or_default();
    let mut values = Vec::new();
    for batch in pelton_record::batches(&records) {
        let batch = batch.unwrap();
        if !batch.header().attributes.is_control() {
            for record in batch.records().unwrap() {
                values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
    }
    values
}

/// Waits until it is so, half a minute at most.
pub async fn eventually(what: &str, mut it_is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !it_is_so().await {
        assert!(Instant::now() < deadline, "half a minute has passed before this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
