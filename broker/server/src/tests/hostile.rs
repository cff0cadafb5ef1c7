use super::client::*;
use pelton_log::disk::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends these bytes on a connection of their own and says whether the broker closed it without an answer.
async fn closes(broker: &crate::Broker, bytes: &[u8]) -> bool {
    let mut client = Client::connect(broker).await;
    client.stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a close as well.
    let _ = client.stream.read_to_end(&mut answer).await;
    answer.is_empty()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes(), body].concat()
}

#[tokio::test]
async fn garbage_costs_its_sender_the_connection_and_nobody_else_anything() {
    let (_temporary, broker) = started(|settings| settings.request_max_bytes = 1 << 20).await;
    assert!(closes(&broker, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "a length of a gigabyte");
    assert!(closes(&broker, &[0xff; 64]).await, "a negative length");
    assert!(closes(&broker, &framed(&[0; 3])).await, "shorter than a header");
    assert!(closes(&broker, &framed(&[0, 200, 0, 0, 0, 0, 0, 1, 0xff, 0xff])).await, "an API that does not exist");
    assert!(closes(&broker, &framed(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff])).await, "a version that does not exist");
    // Metadata v1 that claims 2^31 - 1 topics.
    let lie = [0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff];
    assert!(closes(&broker, &framed(&lie)).await, "an array that is not there");
    // Metadata v9 with the same lie as a varint.
    let lie = [0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(closes(&broker, &framed(&lie)).await, "a compact array that is not there");
    let mut dice = Dice::new(42);
    for _ in 0..200 {
        let mut body = Vec::new();
        let (key, version) = (dice.below(30) as u8, dice.below(14) as u8);
        body.extend_from_slice(&[0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff]);
        for _ in 0..dice.below(60) {
            body.push(dice.roll() as u8);
        }
        let mut client = Client::connect(&broker).await;
        client.stream.write_all(&framed(&body)).await.unwrap();
        // Some of it happens to be a request. What matters is that the broker lives.
        client.stream.shutdown().await.unwrap();
    }
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create("alive", 1).await.topics[0].error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_inside_of_a_request_is_forgotten() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut leaving = Client::connect(&broker).await;
    leaving.create("t", 1).await;
    leaving.send(12, &fetch("t", 0, 0).with_max_wait_ms(300_000)).await;
    leaving.stream.write_all(&[0, 0, 1, 0, 0]).await.unwrap();
    drop(leaving);
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
    // The stop does not wait for the fetch of the one that left.
    broker.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_waiting_one_is_not() {
    let (_temporary, broker) = started(|settings| settings.connections_max_idle_ms = 50).await;
    let mut idle = Client::connect(&broker).await;
    assert!(idle.frame().await.is_none(), "it was silent for longer than it may be");
    let mut waiting = Client::connect(&broker).await;
    waiting.create("t", 1).await;
    let response = waiting.call(12, &fetch("t", 0, 0).with_max_wait_ms(300)).await;
    assert_eq!(response.error_code, 0, "waiting for an answer is not being idle");
    broker.stop().await;
}

#[tokio::test]
async fn old_produce_requests_are_told_why() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    // Produce v1: acks 1, timeout, topic "t", partition 5 with three bytes of records.
    let mut body = vec![0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0, 1, 0, 0, 0, 100, 0, 0, 0, 1, 0, 1, b't'];
    body.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 3, 1, 2, 3]);
    client.stream.write_all(&framed(&body)).await.unwrap();
    let answer = client.frame().await.unwrap();
    let mut expected = vec![0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 5, 0, 35];
    expected.extend_from_slice(&[0xff; 8]);
    expected.extend_from_slice(&[0; 4]);
    assert_eq!(answer, expected);
    broker.stop().await;
}

#[tokio::test]
async fn connections_past_the_limit_are_refused() {
    let (_temporary, broker) = started(|settings| settings.max_connections = 1).await;
    let mut first = Client::connect(&broker).await;
    first.create("t", 1).await;
    assert!(Client::connect(&broker).await.frame().await.is_none());
    assert_eq!(first.produce("t", 0, batch(&["x"])).await.error_code, 0);
    broker.stop().await;
}

#[test]
fn a_request_that_grows_beyond_what_it_was_admitted_to_is_refused_unread() {
    use crate::handlers::receive;
    use crate::protocol::codec::Malformed;
    const FRONT: [u8; 11] = [0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0];
    // Produce v9 with 10,000 partitions of one topic.
    let produce = |partition: &[u8]| {
        let topic = [&[0, 0, 1, 0, 0, 0, 0, 2, 1, 0x91, 0x4e][..], &partition.repeat(10_000), &[0, 0]].concat();
        receive([&FRONT[..], &topic].concat().into(), false).map(drop)
    };
    let batch = [&[0, 0, 0, 0, 71][..], &[7; 70], &[0]].concat();
    assert_eq!(produce(&batch), Ok(()));
    for hungry in [&[0, 0, 0, 0, 0, 0][..], &[0, 0, 0, 0, 0, 1, 5, 0]] {
        let refused = produce(hungry).unwrap_err();
        assert!(matches!(&refused, Malformed::Body { reason, .. } if reason.contains("bytes of memory")), "{refused}");
    }
    // Heartbeat v4, in whose header are 10,000 tagged fields, and one more than anybody may send.
    let heartbeat = |tags: u8| {
        let header = [&[0, 12, 0, 4, 0, 0, 0, 1, 0xff, 0xff, tags, 0x4e][..], &[5, 0].repeat(10_001)].concat();
        receive([&header[..], &[1, 0, 0, 0, 0, 1, 0, 0]].concat().into(), false).map(drop).unwrap_err()
    };
    assert!(matches!(heartbeat(0x90), Malformed::Body { .. }), "{}", heartbeat(0x90));
    assert_eq!(heartbeat(0x91), Malformed::Header);
}
