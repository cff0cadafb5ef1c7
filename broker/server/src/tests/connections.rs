//! Connections: how many there may be, where they may come in, and that none of them holds up another.

use super::client::*;
use super::groups::{find_coordinator, join, sync};
use crate::Broker;
use crate::net::connection_limits::ConnectionLimits;
use bytes::{Buf, Bytes};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn any_port() -> SocketAddr {
    SocketAddr::new(LOCAL, 0)
}

/// Asks for everything's metadata, which no shard has to answer.
async fn metadata(client: &mut Client) -> MetadataResponse {
    client.call(12, &MetadataRequest::default().with_topics(None)).await
}

/// The value of a sample of the broker's numbers.
pub async fn sample(broker: &Broker, name: &str) -> Option<f64> {
    let text = broker.exposition().await;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next().and_then(|value| value.parse().ok())
}

/// Waits until a sample of the broker's numbers has this value.
pub async fn until(broker: &Broker, name: &str, value: f64) {
    let reached = async {
        while sample(broker, name).await != Some(value) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "{name} is {:?}", sample(broker, name).await);
}

/// Waits until the broker has so many connections.
async fn connections(broker: &Broker, wanted: usize) {
    let reached = async {
        while broker.connections().count() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, reached).await;
    assert!(found.is_ok(), "{} connections, not {wanted}", broker.connections().count());
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_refusals_are_counted() {
    let (_temporary, broker) = started(|settings| {
        settings.max_connections_per_ip = 1;
        settings.max_connections_per_ip_overrides = BTreeMap::from([(LOCAL, 2)]);
    })
    .await;
    let (mut first, mut second) = (Client::connect(&broker).await, Client::connect(&broker).await);
    metadata(&mut first).await;
    metadata(&mut second).await;
    assert!(Client::connect(&broker).await.frame().await.is_none(), "a third one is closed at once");
    let refused = "pelton_connections_refused_total{listener=\"PLAINTEXT\",reason=\"max.connections.per.ip\"}";
    assert_eq!(sample(&broker, refused).await, Some(1.0));
    drop(first);
    connections(&broker, 1).await;
    let mut third = Client::connect(&broker).await;
    metadata(&mut third).await;
    broker.connections().set_limits(ConnectionLimits { total: 2, ..ConnectionLimits::default() });
    assert!(Client::connect(&broker).await.frame().await.is_none(), "limits may change while the broker runs");
    assert_eq!(broker.connections().limits().total, 2);
    metadata(&mut second).await;
    broker.stop().await;
}

#[tokio::test]
async fn each_listener_tells_its_own_address() {
    let (_temporary, broker) = started(|settings| {
        let inside = crate::net::Listener {
            name: "INSIDE".to_owned(),
            address: any_port(),
            advertised: Some(("inside.example".to_owned(), 19_092)),
        };
        settings.listeners.push(inside);
    })
    .await;
    let mut outside = Client::connect(&broker).await;
    let told = metadata(&mut outside).await.brokers[0].clone();
    assert_eq!((told.host.as_str(), told.port), ("127.0.0.1", i32::from(broker.addresses()[0].port())));
    let mut inside = Client::connect_to(broker.addresses()[1]).await;
    let told = metadata(&mut inside).await.brokers[0].clone();
    assert_eq!((told.host.as_str(), told.port), ("inside.example", 19_092));
    assert_eq!(sample(&broker, "pelton_connections{listener=\"INSIDE\"}").await, Some(1.0));
    broker.stop().await;
}

#[tokio::test]
async fn the_control_listener_serves_no_data_and_says_so() {
    let (_temporary, broker) = started(|settings| settings.control_listener = Some(any_port().into())).await;
    let address = broker.control_address().unwrap();
    let mut control = Client::connect_to(address).await;
    let versions: ApiVersionsResponse = control.call(3, &ApiVersionsRequest::default()).await;
    let keys: Vec<i16> = versions.api_keys.iter().map(|api| api.api_key).collect();
    assert!(!keys.contains(&0) && !keys.contains(&1) && keys.contains(&19), "{keys:?}");
    assert_eq!(control.create("t", 1).await.topics[0].error_code, 0);
    let told = metadata(&mut control).await.brokers[0].clone();
    assert_eq!(told.port, i32::from(address.port()), "its clients stay with it");
    control.send(9, &produce("t", 0, batch(&["x"]), None)).await;
    assert!(control.frame().await.is_none(), "data is refused");
    broker.stop().await;
}

/// Sends a request and takes its answer without the runtime of the test.
fn blocking_metadata(address: SocketAddr) -> MetadataResponse {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Metadata v1, without a client id, of all topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    let mut frame = Bytes::from(frame);
    let header = ResponseHeader::decode(&mut frame, MetadataResponse::header_version(1)).unwrap();
    assert_eq!(header.correlation_id, 7);
    let response = MetadataResponse::decode(&mut frame, 1).unwrap();
    assert!(!frame.has_remaining());
    response
}

/// The test has one thread, which is the only one of the data listener's connections.
#[tokio::test]
async fn control_requests_are_answered_while_the_threads_of_the_others_are_busy() {
    let (_temporary, broker) = started(|settings| settings.control_listener = Some(any_port().into())).await;
    let mut data = Client::connect(&broker).await;
    data.create("t", 1).await;
    // From here to the answer, this thread serves nobody.
    let answer = blocking_metadata(broker.control_address().unwrap());
    assert_eq!(answer.topics[0].name, Some(topic_name("t")));
    broker.stop().await;
}

/// A batch with so many bytes.
fn large(bytes: usize) -> Bytes {
    batch(&[&"x".repeat(bytes)])
}

/// The bytes of a produce request.
fn produce_frame(batch: Bytes) -> Vec<u8> {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::protocol::Encodable;
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = RequestHeader::default().with_request_api_key(0).with_request_api_version(9).with_correlation_id(1);
    header.encode(&mut frame, ProduceRequest::header_version(9)).unwrap();
    produce("t", 0, batch, None).encode(&mut frame, 9).unwrap();
    let length = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame.to_vec()
}

#[tokio::test]
async fn slow_writers_do_not_keep_the_memory_of_others() {
    let (_temporary, broker) = started(|settings| settings.request_memory_bytes = 1 << 20).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let frame = produce_frame(large(500_000));
    let mut slow = Client::connect(&broker).await;
    // It has announced more than there is memory for, and sends no more.
    slow.stream.write_all(&frame[..1_000]).await.unwrap();
    let used = "pelton_request_memory_used_bytes{class=\"produce\"}";
    until(&broker, used, 512.0 * 1024.0).await;
    // What needs other memory does not even wait; what needs the same gets it.
    assert_eq!(metadata(&mut client).await.topics.len(), 1);
    assert_eq!(client.produce("t", 0, large(400_000)).await.error_code, 0);
    assert!(slow.frame().await.is_none(), "the slow one is closed");
    let closed = "pelton_connections_closed_total{listener=\"PLAINTEXT\",reason=\"slow\"}";
    assert_eq!(sample(&broker, closed).await, Some(1.0));
    broker.stop().await;
}

#[tokio::test]
async fn slow_readers_do_not_keep_the_memory_of_others() {
    let (_temporary, broker) = started(|settings| {
        settings.request_memory_bytes = 1 << 20;
        settings.sockets.send_buffer_bytes = Some(16 << 10);
    })
    .await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for _ in 0..4 {
        assert_eq!(client.produce("t", 0, large(200_000)).await.error_code, 0);
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let stream = socket.connect(broker.addresses()[0]).await.unwrap();
    let mut slow = Client::on(stream);
    // It takes nothing of this answer, and what it sends next holds memory until its own answer has left.
    slow.send(12, &fetch("t", 0, 0)).await;
    slow.stream.write_all(&produce_frame(large(360_000))).await.unwrap();
    let end = "pelton_log_end_offset{topic=\"t\",partition=\"0\"}";
    until(&broker, end, 5.0).await;
    // A byte now and then is not enough to stay.
    let trickle = tokio::spawn(async move {
        let mut byte = [0];
        while slow.stream.read(&mut byte).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(client.produce("t", 0, large(360_000)).await.error_code, 0);
    assert_eq!(client.fetch("t", 0, 0, 0).await.error_code, 0);
    let closed = "pelton_connections_closed_total{listener=\"PLAINTEXT\",reason=\"slow\"}";
    assert_eq!(sample(&broker, closed).await, Some(1.0));
    trickle.abort();
    broker.stop().await;
}

/// The front of a request of that API, which announces so many bytes and sends no more of them.
fn announced(key: i16, bytes: i32) -> Vec<u8> {
    [&bytes.to_be_bytes()[..], &key.to_be_bytes(), &[0; 20]].concat()
}

#[tokio::test]
async fn control_requests_do_not_wait_for_the_memory_of_others() {
    let (_temporary, broker) = started(|settings| {
        settings.control_listener = Some(any_port().into());
        settings.request_memory_bytes = 1 << 20;
    })
    .await;
    let mut held = Vec::new();
    for (key, class) in [(0, "produce"), (1, "fetch"), (3, "other")] {
        let mut client = Client::connect(&broker).await;
        client.stream.write_all(&announced(key, 1 << 20)).await.unwrap();
        let number = |what: &str| format!("pelton_request_memory_{what}_bytes{{class=\"{class}\"}}");
        let limit = sample(&broker, &number("limit")).await.unwrap();
        until(&broker, &number("used"), limit).await;
        held.push(client);
    }
    // Nobody waits for that memory, so nobody is closed for holding it, and nothing else can be asked for.
    let mut control = Client::connect_to(broker.control_address().unwrap()).await;
    assert_eq!(control.create("t", 1).await.topics[0].error_code, 0);
    assert_eq!(metadata(&mut control).await.topics.len(), 1);
    let closed = "pelton_connections_closed_total{listener=\"PLAINTEXT\",reason=\"slow\"}";
    assert_eq!(sample(&broker, closed).await, Some(0.0));
    broker.stop().await;
}

#[tokio::test]
async fn fetches_that_wait_leave_memory_for_what_they_wait_for() {
    let (_temporary, broker) = started(|settings| settings.request_memory_bytes = 1 << 20).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    // Large enough to take all the memory of its class.
    let mut waiting = fetch("t", 0, 0).with_max_wait_ms(300_000);
    let partition = waiting.topics[0].partitions[0].clone();
    waiting.topics[0].partitions = vec![partition; 1_000];
    let mut reader = Client::connect(&broker).await;
    let correlation_id = reader.send(12, &waiting).await;
    until(&broker, "pelton_request_memory_used_bytes{class=\"fetch\"}", 256.0 * 1024.0).await;
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
    let answer = reader.receive::<FetchRequest>(12, correlation_id).await;
    let partitions = &answer.responses[0].partitions;
    assert!(partitions.iter().any(|partition| values(&partition.records) == ["x"]));
    broker.stop().await;
}

/// Everything that the configs of a broker and of three topics say of themselves, which is far more than was asked with. What
/// stands in a request twice is described once.
fn all_configs() -> DescribeConfigsRequest {
    use describe_configs_request::DescribeConfigsResource;
    let resources = [(4, "1"), (2, "a"), (2, "b"), (2, "c")]
        .map(|(kind, name)| DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name)));
    DescribeConfigsRequest::default().with_resources(resources.into()).with_include_documentation(true)
}

#[tokio::test]
async fn answers_that_nobody_takes_do_not_pile_up() {
    let (_temporary, broker) = started(|settings| settings.sockets.send_buffer_bytes = Some(16 << 10)).await;
    let mut client = Client::connect(&broker).await;
    client.create("a", 1).await;
    client.create("b", 1).await;
    client.create("c", 1).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut slow = Client::on(socket.connect(broker.addresses()[0]).await.unwrap());
    let correlation_id = slow.send(4, &all_configs()).await;
    let answer = slow.frame().await.unwrap();
    assert_eq!(answer[..4], correlation_id.to_be_bytes());
    assert!(answer.len() > (16 << 10), "it counts as a large one: {}", answer.len());
    // What each of these requests is admitted to. It is counted just after its answer was sent.
    let bytes = "pelton_request_bytes_total{api=\"DescribeConfigs\"}";
    eventually("the request is counted", async || sample(&broker, bytes).await.is_some()).await;
    let length = sample(&broker, bytes).await.unwrap() as usize;
    let held_bytes = crate::handlers::admission(32, length, false).unwrap().1.next_multiple_of(1024);
    let used = "pelton_request_memory_used_bytes{class=\"other\"}";
    let mut sent = Vec::new();
    for _ in 0..64 {
        sent.push(slow.send(4, &all_configs()).await);
    }
    // As many begin as may; what has begun is under way until its answer is taken, so one too many would be seen at some time.
    let may = (1 << 20) / answer.len();
    let begun = async || sample(&broker, used).await.unwrap();
    eventually("as many have begun as may", async || begun().await >= ((may - 1) * held_bytes) as f64).await;
    // Others are served, and so is this one as soon as it reads.
    metadata(&mut client).await;
    for correlation_id in sent {
        let begun = begun().await;
        assert!(begun <= ((may + 4) * held_bytes) as f64, "{begun} bytes are under way, {held_bytes} for a request");
        assert_eq!(slow.frame().await.unwrap()[..4], correlation_id.to_be_bytes());
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_nobody() {
    let (_temporary, broker) = started(|_| {}).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert_eq!(client.produce("t", 0, large(900_000)).await.error_code, 0);
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = Client::connect(&broker).await;
        for _ in 0..30 {
            reader.send(12, &fetch("t", 0, 0)).await;
        }
        readers.push(reader);
    }
    for _ in 0..20 {
        assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
        assert_eq!(client.fetch("t", 0, 1, 0).await.error_code, 0);
    }
    drop(readers);
    connections(&broker, 1).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_a_byte_at_a_time_is_answered() {
    let (_temporary, broker) = started(|_| {}).await;
    let mut client = Client::connect(&broker).await;
    for byte in [0u8, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] {
        client.stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let frame = client.frame().await.unwrap();
    assert_eq!(frame[..4], [0, 0, 0, 7]);
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_half_open_is_closed() {
    let (_temporary, broker) = started(|_| {}).await;
    let mut client = Client::connect(&broker).await;
    metadata(&mut client).await;
    client.stream.shutdown().await.unwrap();
    assert!(client.frame().await.is_none(), "who sends no more asks for nothing more");
    connections(&broker, 0).await;
    broker.stop().await;
}

/// Lets this process have as many files open as it may.
fn raise_open_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[tokio::test]
async fn two_thousand_idle_connections_are_in_nobodys_way() {
    raise_open_file_limit();
    let (_temporary, broker) = started(|_| {}).await;
    let mut idle = Vec::with_capacity(2_000);
    for _ in 0..2_000 {
        idle.push(TcpStream::connect(broker.addresses()[0]).await.unwrap());
    }
    connections(&broker, 2_000).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["x"]);
    assert_eq!(sample(&broker, "pelton_connections{listener=\"PLAINTEXT\"}").await, Some(2_001.0));
    for class in ["produce", "fetch", "other"] {
        let used = format!("pelton_request_memory_used_bytes{{class=\"{class}\"}}");
        assert_eq!(sample(&broker, &used).await, Some(0.0), "idle connections hold no memory of requests");
    }
    drop(idle);
    connections(&broker, 1).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_broker_that_stops_gives_the_answers_that_it_owes() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(client.send(9, &produce("t", 0, batch(&["x"]), None)).await);
    }
    let first = client.receive::<ProduceRequest>(9, sent.remove(0)).await;
    assert_eq!(first.responses[0].partition_responses[0].error_code, 0);
    let (_, acknowledged) = tokio::join!(broker.stop(), async {
        let mut acknowledged = 1;
        // Requests that it had not read when it stopped are not answered, and neither is any after them.
        while let Some(frame) = client.frame().await {
            let correlation_id = sent.remove(0);
            assert_eq!(frame[..4], correlation_id.to_be_bytes(), "answers come in order");
            acknowledged += 1;
        }
        acknowledged
    });
    drop(broker);
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let kept = values(&client.fetch("t", 0, 0, 0).await.records).len();
    assert!(kept >= acknowledged && acknowledged >= 1, "{kept} kept, {acknowledged} acknowledged");
    broker.stop().await;
}

#[tokio::test]
async fn a_broker_that_stops_answers_whoever_waits_for_records_or_for_others() {
    let (_temporary, broker) = started(|_| {}).await;
    let (mut empty, mut partial) = (Client::connect(&broker).await, Client::connect(&broker).await);
    empty.create("t", 2).await;
    assert_eq!(empty.produce("t", 1, batch(&["x"])).await.error_code, 0);
    let patient = |partition, min_bytes| fetch("t", partition, 0).with_max_wait_ms(300_000).with_min_bytes(min_bytes);
    let of_empty = empty.send(12, &patient(0, 1)).await;
    let of_partial = partial.send(12, &patient(1, 1 << 20)).await;
    until(&broker, "pelton_purgatory_size{operation=\"fetch\"}", 2.0).await;

    let (mut leader, mut joining) = (Client::connect(&broker).await, Client::connect(&broker).await);
    find_coordinator(&mut leader, 0, "g").await;
    let joined = leader.call(3, &join("g", "")).await;
    assert_eq!(leader.call(3, &sync("g", joined.generation_id, &joined.member_id, true)).await.error_code, 0);
    let of_joining = joining.send(3, &join("g", "")).await;
    until(&broker, "pelton_purgatory_size{operation=\"coordinator\"}", 1.0).await;
    // It is in the log long before there is the answer in front of its own.
    let of_produce = joining.send(9, &produce("t", 1, batch(&["y"]), None)).await;
    let mut watching = Client::connect(&broker).await;
    let answer = watching.call(12, &fetch("t", 1, 1).with_max_wait_ms(30_000).with_min_bytes(1)).await;
    assert_eq!(values(&answer.responses[0].partitions[0].records), ["y"]);

    tokio::join!(broker.stop(), async {
        let answer = empty.receive::<FetchRequest>(12, of_empty).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, 0);
        assert!(values(&answer.responses[0].partitions[0].records).is_empty());
        let answer = partial.receive::<FetchRequest>(12, of_partial).await;
        assert_eq!(values(&answer.responses[0].partitions[0].records), ["x", "y"], "what there is");
        let answer = joining.receive::<JoinGroupRequest>(3, of_joining).await;
        assert_eq!(answer.error_code, 16, "NOT_COORDINATOR: nobody can come any more");
        let answer = joining.receive::<ProduceRequest>(9, of_produce).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "what waits behind it is owed too");
        for client in [&mut empty, &mut partial, &mut leader, &mut joining] {
            assert!(client.frame().await.is_none(), "a closed connection, and no error");
        }
    });
}
