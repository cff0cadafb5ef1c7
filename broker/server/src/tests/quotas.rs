//! What clients are charged with, and that those who used up too much are throttled, over real connections: here the quotas are
//! what a test says.

use super::client::*;
use super::connections::{sample, until};
use super::versions::ask_in_every_version;
use crate::auth::{AclOperation, Authorizer, Resource, Subject};
use crate::handlers::APIS;
use crate::quota::{Charge, ClientQuotas, QuotaClient};
use crate::{Broker, ServerConfig};
use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Encodable;
use pelton_core::refusal::Protected;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const HOUR: Duration = Duration::from_secs(3600);
const EXCEEDED: i16 = 89;

/// What a test says.
#[derive(Debug, Clone, Copy)]
struct Said {
    produce: Duration,
    fetch: Duration,
    request: Duration,
    mutation: Duration,
    /// Partitions after which the quota for mutations is exceeded.
    partitions: u32,
    max_fetch_bytes: usize,
}

const NOTHING: Said = Said {
    produce: Duration::ZERO,
    fetch: Duration::ZERO,
    request: Duration::ZERO,
    mutation: Duration::ZERO,
    partitions: u32::MAX,
    max_fetch_bytes: usize::MAX,
};

/// Quotas that throttle as a test says, and note what is charged.
#[derive(Debug)]
struct Metered {
    said: Mutex<Said>,
    charged: Mutex<Vec<Charge>>,
    taken_back: Mutex<Vec<Charge>>,
}

impl Metered {
    fn say(&self, change: impl FnOnce(&mut Said)) {
        let mut said = NOTHING;
        change(&mut said);
        *self.said.lock().unwrap() = said;
    }

    /// What was charged since this was asked last.
    fn charged(&self) -> Vec<Charge> {
        std::mem::take(&mut self.charged.lock().unwrap())
    }

    /// As [`Metered::charged`], without what requests took of time.
    fn charged_beside_time(&self) -> Vec<Charge> {
        self.charged().into_iter().filter(|charge| !matches!(charge, Charge::Request(_))).collect()
    }

    fn check(client: QuotaClient<'_>) {
        assert_eq!((client.principal, client.client_id, client.client_host), ("User:ANONYMOUS", "test", "/127.0.0.1"));
    }
}

impl ClientQuotas for Metered {
    fn enforced(&self) -> bool {
        true
    }

    fn record(&self, client: QuotaClient<'_>, charge: Charge) -> Duration {
        Self::check(client);
        self.charged.lock().unwrap().push(charge);
        let said = self.said.lock().unwrap();
        match charge {
            Charge::Produce(_) => said.produce,
            Charge::Fetch(_) => said.fetch,
            Charge::Request(_) => said.request,
            Charge::ControllerMutation(_) => said.mutation,
        }
    }

    fn unrecord(&self, client: QuotaClient<'_>, charge: Charge) {
        Self::check(client);
        self.taken_back.lock().unwrap().push(charge);
    }

    fn record_strictly(&self, client: QuotaClient<'_>, partitions: u32) -> Result<(), Duration> {
        Self::check(client);
        let mut said = self.said.lock().unwrap();
        if said.partitions == 0 {
            return Err(said.mutation);
        }
        said.partitions = said.partitions.saturating_sub(partitions);
        self.charged.lock().unwrap().push(Charge::ControllerMutation(partitions));
        Ok(())
    }

    fn max_fetch_bytes(&self, client: QuotaClient<'_>) -> usize {
        Self::check(client);
        self.said.lock().unwrap().max_fetch_bytes
    }
}

async fn metering(change: impl FnOnce(&mut ServerConfig)) -> (tempfile::TempDir, Arc<Metered>, Broker, Client) {
    let metered =
        Arc::new(Metered { said: Mutex::new(NOTHING), charged: Mutex::default(), taken_back: Mutex::default() });
    let (temporary, broker) = started(|settings| {
        settings.quotas = metered.clone();
        change(settings);
    })
    .await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    metered.charged();
    (temporary, metered, broker, client)
}

/// Whether nothing comes for a moment. On a machine that is too slow this sees less, and never too much.
async fn is_silent(client: &mut Client) -> bool {
    tokio::time::timeout(Duration::from_millis(100), client.stream.peek(&mut [0])).await.is_err()
}

fn metadata() -> MetadataRequest {
    MetadataRequest::default().with_topics(None)
}

#[tokio::test]
async fn a_producer_is_charged_for_its_bytes_and_then_not_heard() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    let request = produce("t", 0, batch(&["x"]), None);
    let bytes = request.compute_size(9).unwrap();
    metered.say(|said| (said.produce, said.request) = (HOUR, Duration::from_millis(1)));
    let answer = client.call(9, &request).await;
    assert_eq!((answer.throttle_time_ms, answer.responses[0].partition_responses[0].error_code), (3_600_000, 0));
    assert!(matches!(metered.charged()[..], [Charge::Produce(charged), Charge::Request(_)] if charged == bytes));
    client.send(12, &metadata()).await;
    assert!(is_silent(&mut client).await, "the answer left at once, and nothing more is answered");
    assert_eq!(metered.charged(), [], "nothing more is begun");
    let count = "pelton_request_throttle_seconds_count{api=\"Produce\"}";
    assert_eq!(sample(&broker, count).await, Some(1.0));
    assert_eq!(sample(&broker, "pelton_request_throttle_seconds_sum{api=\"Produce\"}").await, Some(3600.0));
    // Another connection goes on, and its batch is behind the one whose sender is throttled.
    metered.say(|_| {});
    let mut other = Client::connect(&broker).await;
    assert_eq!(other.produce("t", 0, batch(&["y"])).await.base_offset, 1);
    // A stop waits for nobody who is throttled.
    broker.stop().await;
    assert!(client.frame().await.is_none());
}

#[tokio::test]
async fn without_an_answer_bytes_are_charged_and_time_is_not() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    let request = produce("t", 0, batch(&["x"]), None).with_acks(0);
    metered.say(|said| (said.produce, said.request) = (HOUR, HOUR));
    client.send(9, &request).await;
    until(&broker, "pelton_request_throttle_seconds_count{api=\"Produce\"}", 1.0).await;
    client.send(12, &metadata()).await;
    assert!(is_silent(&mut client).await);
    assert_eq!(metered.charged(), [Charge::Produce(request.compute_size(9).unwrap())]);
    broker.stop().await;
}

#[tokio::test]
async fn what_is_begun_keeps_its_order_and_the_longest_time_counts() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    let throttle = Duration::from_millis(300);
    metered.say(|said| (said.produce, said.request) = (throttle / 2, throttle));
    let begun = Instant::now();
    let mut sent = Vec::new();
    for value in ["a", "b", "c"] {
        sent.push(client.send(9, &produce("t", 0, batch(&[value]), None)).await);
    }
    for (index, id) in sent.into_iter().enumerate() {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, index as i64);
        assert_eq!(answer.throttle_time_ms, 300);
    }
    assert_eq!(client.call(12, &metadata()).await.throttle_time_ms, 300);
    assert!(begun.elapsed() >= throttle, "what has not begun waits for the end of the mute");
    broker.stop().await;
}

#[tokio::test]
async fn a_throttled_connection_is_not_idle() {
    let idle = Duration::from_secs(1);
    let (_temporary, metered, broker, _) =
        metering(|settings| settings.connections_max_idle_ms = idle.as_millis() as u64).await;
    let mut client = Client::connect(&broker).await;
    metered.say(|said| said.request = 2 * idle);
    let begun = Instant::now();
    assert_eq!(client.call(12, &metadata()).await.throttle_time_ms, 2_000);
    metered.say(|_| {});
    assert_eq!(client.call(12, &metadata()).await.throttle_time_ms, 0, "it is there, and heard again");
    assert!(begun.elapsed() >= 2 * idle);
    broker.stop().await;
}

#[tokio::test]
async fn what_a_throttled_client_sends_takes_no_memory() {
    let (_temporary, metered, broker, mut client) = metering(|settings| settings.request_memory_bytes = 1 << 20).await;
    metered.say(|said| said.request = HOUR);
    client.call(12, &metadata()).await;
    metered.say(|_| {});
    let large = produce("t", 0, batch(&[&"x".repeat(300_000)]), None);
    client.send(9, &large).await;
    assert!(is_silent(&mut client).await);
    assert_eq!(sample(&broker, "pelton_request_memory_used_bytes{class=\"produce\"}").await, Some(0.0));
    // There is none for two of these.
    let mut other = Client::connect(&broker).await;
    assert_eq!(other.call(9, &large).await.responses[0].partition_responses[0].error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_over_its_quota_is_answered_empty_and_taken_back() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    client.produce("t", 0, batch(&["x"])).await;
    metered.charged();
    let id = client.send(12, &fetch("t", 0, 0)).await;
    let frame = client.frame().await.unwrap();
    let charged = metered.charged();
    assert_eq!(&frame[..4], id.to_be_bytes());
    // Four bytes of length more, and five of header less, the correlation id among them.
    let whole = Charge::Fetch(4 + frame.len() - 5);
    assert!(matches!(charged[..], [Charge::Request(_), charge] if charge == whole), "{charged:?}: {whole:?}");
    assert!(metered.taken_back.lock().unwrap().is_empty());

    let counts = "pelton_topic_bytes_out_total{topic=\"t\"}";
    let bytes_out = sample(&broker, counts).await;
    let ms = Duration::from_millis(2);
    for (request, bytes) in [(ms, Duration::ZERO), (Duration::ZERO, ms), (2 * ms, ms)] {
        metered.say(|said| (said.request, said.fetch) = (request, bytes));
        let answer = client.call(12, &fetch("t", 0, 0)).await;
        assert_eq!(answer.throttle_time_ms, request.max(bytes).as_millis() as i32);
        assert!((answer.error_code, answer.session_id, answer.responses.len()) == (0, 0, 0), "{answer:?}");
        assert_eq!(std::mem::take(&mut *metered.taken_back.lock().unwrap()), [whole]);
    }
    assert_eq!(sample(&broker, counts).await, bytes_out, "nothing has left");
    broker.stop().await;
}

#[tokio::test]
async fn a_session_stands_where_it_stood_when_its_client_is_throttled() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    let goes_on = |session: i32, epoch| {
        FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_session_id(session)
            .with_session_epoch(epoch)
    };
    let throttled = |said: &mut Said| said.fetch = Duration::from_millis(1);
    metered.say(throttled);
    let answer = client.call(12, &fetch("t", 0, 0).with_session_epoch(0)).await;
    assert_eq!((answer.throttle_time_ms, answer.session_id), (1, 0), "no session is begun with nothing");
    metered.say(|_| {});
    let session = client.call(12, &fetch("t", 0, 0).with_session_epoch(0)).await.session_id;
    assert!(session > 0);
    client.produce("t", 0, batch(&["x"])).await;
    metered.say(throttled);
    let answer = client.call(12, &goes_on(session, 1)).await;
    assert_eq!((answer.throttle_time_ms, answer.session_id, answer.responses.len()), (1, session, 0));
    metered.say(|_| {});
    let answer = client.call(12, &goes_on(session, 2)).await;
    assert_eq!((answer.throttle_time_ms, answer.session_id), (0, session));
    assert_eq!(values(&answer.responses[0].partitions[0].records), ["x"], "nothing was lost");
    metered.charged();
    // An answer that says nothing is charged for what it is.
    let named = fetch("t", 0, 1).with_session_id(session).with_session_epoch(3);
    let id = client.send(12, &named).await;
    let frame = client.frame().await.unwrap();
    assert_eq!(&frame[..4], id.to_be_bytes());
    assert_eq!(metered.charged_beside_time(), [Charge::Fetch(4 + frame.len() - 5)]);
    // What no session is for is told, with the time.
    metered.say(|said| said.request = Duration::from_millis(1));
    let answer = client.call(12, &goes_on(session, 9)).await;
    assert_eq!((answer.throttle_time_ms, answer.error_code), (1, 71));
    broker.stop().await;
}

/// Allows everything but what brokers do, unless it is told to.
#[derive(Debug)]
struct Brokers(Mutex<bool>);

impl Authorizer for Brokers {
    fn allows(&self, _: Subject<'_>, operation: AclOperation, _: Resource<'_>) -> bool {
        operation != AclOperation::ClusterAction || *self.0.lock().unwrap()
    }

    fn allows_anywhere(&self, subject: Subject<'_>, operation: AclOperation, _: Protected) -> bool {
        self.allows(subject, operation, Resource::Cluster)
    }
}

#[tokio::test]
async fn no_fetch_reads_more_than_its_quota_could_let_through_and_brokers_have_none() {
    let brokers = Arc::new(Brokers(Mutex::new(true)));
    let (_temporary, metered, broker, mut client) = metering(|settings| settings.authorizer = brokers.clone()).await;
    client.produce("t", 0, batch(&["x"])).await;
    client.produce("t", 0, batch(&["y"])).await;
    metered.say(|said| said.max_fetch_bytes = 1);
    let consumer = fetch("t", 0, 0);
    let follower = fetch("t", 0, 0).with_replica_id(BrokerId(2));
    let read = client.call(12, &consumer).await;
    assert_eq!(values(&read.responses[0].partitions[0].records), ["x"], "the first batch is always given");
    metered.say(|said| (said.max_fetch_bytes, said.request, said.fetch) = (1, HOUR, HOUR));
    metered.charged();
    let read = client.call(12, &follower).await;
    assert_eq!(values(&read.responses[0].partitions[0].records), ["x", "y"]);
    let marker = write_txn_markers_request::WritableTxnMarker::default();
    client.call(1, &WriteTxnMarkersRequest::default().with_markers(vec![marker])).await;
    assert_eq!(metered.charged(), []);
    // Who only says that he is a broker is charged as everybody is.
    *brokers.0.lock().unwrap() = false;
    let read = client.call(12, &follower).await;
    assert_eq!((read.throttle_time_ms, read.responses.len()), (3_600_000, 0));
    broker.stop().await;
}

fn topics(names: &[&str]) -> CreateTopicsRequest {
    let topics = names.iter().map(|name| new_topic(name, 2, &[]));
    CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(5_000)
}

fn deletion(version: i16, names: &[&str]) -> DeleteTopicsRequest {
    if version < 6 {
        return DeleteTopicsRequest::default().with_topic_names(names.iter().map(|name| topic_name(name)).collect());
    }
    let state = |name: &&str| delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name(name)));
    DeleteTopicsRequest::default().with_topics(names.iter().map(state).collect())
}

fn growth(names: &[&str], count: i32) -> CreatePartitionsRequest {
    let topic = |name: &&str| {
        create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(None)
    };
    CreatePartitionsRequest::default().with_topics(names.iter().map(topic).collect())
}

#[tokio::test]
async fn mutations_over_the_quota_are_refused_where_the_version_knows_it() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    let over = |said: &mut Said| (said.partitions, said.mutation) = (3, Duration::from_millis(2));
    let mutation = Charge::ControllerMutation;
    for version in [6, 7] {
        metered.say(over);
        let made = client.call(version, &topics(&["a/b", "t", "a", "b", "c"])).await;
        let codes: Vec<i16> = made.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!((codes, made.throttle_time_ms), (vec![17, 36, 0, 0, EXCEEDED], 2), "v{version}");
        assert_eq!(metered.charged_beside_time(), [mutation(2), mutation(2)], "what cannot be made costs nothing");
        assert!(broker.image().topic("c").is_none());
        metered.say(over);
        let gone = client.call(version - 1, &deletion(version - 1, &["missing", "a", "b", "t"])).await;
        let codes: Vec<i16> = gone.responses.iter().map(|topic| topic.error_code).collect();
        assert_eq!((codes, gone.throttle_time_ms), (vec![3, 0, 0, EXCEEDED], 2), "v{version}");
        assert_eq!(gone.responses[3].name, Some(topic_name("t")));
        assert_eq!(metered.charged_beside_time(), [mutation(2), mutation(2)]);
        assert!(broker.image().topic("t").is_some());
    }
    metered.say(|_| {});
    client.call(7, &topics(&["a", "b", "c"])).await;
    metered.charged();
    metered.say(over);
    let checked = client.call(3, &growth(&["a"], 5).with_validate_only(true)).await;
    assert_eq!((checked.results[0].error_code, metered.charged_beside_time()), (0, vec![mutation(3)]));
    metered.say(over);
    let grown = client.call(3, &growth(&["missing", "a", "b", "c"], 4)).await;
    let codes: Vec<i16> = grown.results.iter().map(|topic| topic.error_code).collect();
    assert_eq!((codes, grown.throttle_time_ms), (vec![3, 0, 0, EXCEEDED], 2));
    assert_eq!(metered.charged_beside_time(), [mutation(2), mutation(2)]);
    let partitions = |name| broker.image().topic(name).unwrap().partitions;
    assert_eq!((partitions("a"), partitions("b"), partitions("c")), (4, 4, 2));
    broker.stop().await;
}

#[tokio::test]
async fn topics_that_metadata_makes_are_charged_and_not_there_over_the_quota() {
    let (_temporary, metered, broker, mut client) = metering(|settings| settings.core.num_partitions = 3).await;
    metered.say(|said| (said.partitions, said.mutation) = (3, Duration::from_millis(2)));
    let asked = ["a", "b", "no topic", "t"]
        .map(|name| metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request = metadata().with_topics(Some(asked.to_vec())).with_allow_auto_topic_creation(true);
    let answer = client.call(12, &request).await;
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!((codes, answer.throttle_time_ms), (vec![0, 3, 17, 0], 2));
    assert_eq!(metered.charged_beside_time(), [Charge::ControllerMutation(3)]);
    broker.stop().await;
}

#[tokio::test]
async fn older_versions_are_charged_for_mutations_afterwards() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    metered.say(|said| (said.partitions, said.mutation) = (0, Duration::from_millis(2)));
    let mutation = Charge::ControllerMutation;
    let made = client.call(5, &topics(&["a", "b", "t"])).await;
    let codes: Vec<i16> = made.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!((codes, made.throttle_time_ms), (vec![0, 0, 36], 2));
    assert_eq!(metered.charged_beside_time(), [mutation(2), mutation(2)]);
    let grown = client.call(2, &growth(&["a"], 5)).await;
    assert_eq!((grown.results[0].error_code, grown.throttle_time_ms), (0, 2));
    assert_eq!(metered.charged_beside_time(), [mutation(3)]);
    let gone = client.call(4, &deletion(4, &["a", "b"])).await;
    assert!(gone.responses.iter().all(|topic| topic.error_code == 0) && gone.throttle_time_ms == 2);
    assert_eq!(metered.charged_beside_time(), [mutation(5), mutation(2)]);
    broker.stop().await;
}

/// The first version of each API whose answer has a throttle time, by Kafka's message definitions; those that are not here have
/// none in any.
const FIRST_TIMED: &[(i16, i16)] = &[
    (0, 1),
    (1, 1),
    (2, 2),
    (3, 3),
    (8, 3),
    (9, 3),
    (10, 1),
    (11, 2),
    (12, 1),
    (13, 1),
    (14, 1),
    (15, 1),
    (16, 1),
    (18, 1),
    (19, 2),
    (20, 1),
    (21, 0),
    (22, 0),
    (23, 2),
    (24, 0),
    (25, 0),
    (26, 0),
    (28, 0),
    (29, 0),
    (30, 0),
    (31, 0),
    (32, 0),
    (33, 0),
    (34, 0),
    (35, 0),
    (37, 0),
    (42, 0),
    (43, 0),
    (44, 0),
    (45, 0),
    (46, 0),
    (47, 0),
    (48, 0),
    (49, 0),
    (50, 0),
    (51, 0),
    (57, 0),
    (60, 0),
    (61, 0),
    (64, 0),
    (65, 0),
    (66, 0),
    (74, 0),
    (75, 0),
];

/// Asks what [`ask_in_every_version`] does not: what the library cannot write, and what it leaves out.
async fn ask_in_the_other_versions(client: &mut Client) {
    for version in 0..=2 {
        client.call(version, &DeleteRecordsRequest::default()).await;
    }
    for version in 1..=2 {
        client.call(version, &AlterReplicaLogDirsRequest::default()).await;
    }
    for version in 1..=4 {
        client.call(version, &DescribeLogDirsRequest::default().with_topics(None)).await;
    }
    for version in 0..=4 {
        client.call(version, &ApiVersionsRequest::default()).await;
    }
    // Both begin with the throttle time, after a header of five bytes.
    client.send_written_as(11, 10, &ListOffsetsRequest::default()).await;
    let mut frame = client.frame().await.unwrap();
    frame.advance(5);
    client.told.insert((2, 11), frame.get_i32() == 1);
    client.send_written_as(5, 4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let mut frame = client.frame().await.unwrap();
    frame.advance(5);
    client.told.insert((35, 5), frame.get_i32() == 1);
    for version in 0..=2 {
        // No client id; acks 1, no time to wait, no topics.
        let mut frame = BytesMut::new();
        frame.put_slice(&[0, 0, 0, 24, 0, 0, 0, version, 0, 0, 0, 7, 0, 4]);
        frame.put_slice(b"test");
        frame.put_slice(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        client.stream.write_all(&frame).await.unwrap();
        let frame = client.frame().await.unwrap();
        client.told.insert((0, version.into()), frame[8..] == [0, 0, 0, 1]);
    }
}

#[tokio::test]
async fn every_answer_that_has_a_throttle_time_tells_it() {
    let (_temporary, metered, broker, mut client) = metering(|_| {}).await;
    metered.say(|said| said.request = Duration::from_micros(300));
    client.look_for = Some("throttle_time_ms: 1,");
    // Who is allowed to write markers is not throttled, and their answers have no field for it.
    ask_in_every_version(&mut client).await;
    ask_in_the_other_versions(&mut client).await;
    for api in APIS {
        let first = FIRST_TIMED.iter().find(|(key, _)| *key == api.key as i16).map(|(_, first)| *first);
        for version in api.min..=api.max {
            let told = client.told.get(&(api.key as i16, version));
            let told = *told.unwrap_or_else(|| panic!("{} v{version} was not asked", api.name));
            assert_eq!(told, first.is_some_and(|first| version >= first), "{} v{version}", api.name);
        }
    }
    broker.stop().await;
}
