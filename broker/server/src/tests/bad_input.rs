//! Bytes that no client should send: each costs its sender the connection at most, and the memory that it was admitted to
//! comes back.

use super::client::*;
use super::connections::{sample, until};
use crate::Broker;
use crate::handlers::APIS;
use bytes::Bytes;
use pelton_log::disk::Dice;
use pelton_record::{BatchView, Codec, compressed_batch};
use tokio::io::AsyncWriteExt;

const UNSUPPORTED_VERSION: i16 = 35;
const MESSAGE_TOO_LARGE: i16 = 10;

fn bytes(noise: &mut Dice, count: usize) -> Vec<u8> {
    (0..count).map(|_| noise.roll() as u8).collect()
}

/// A frame with a request header without a client id, and this body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &1i32.to_be_bytes(), &[0xff, 0xff]].concat();
    [&((head.len() + body.len()) as i32).to_be_bytes()[..], &head, body].concat()
}

/// Sends these bytes and nothing after them, and waits until the broker is done with the connection.
async fn send_and_leave(broker: &Broker, bytes: &[u8]) {
    let mut client = Client::connect(broker).await;
    // It may have been closed already.
    if client.stream.write_all(bytes).await.is_ok() && client.stream.shutdown().await.is_ok() {
        while client.frame().await.is_some() {}
    }
}

/// The broker serves, and nobody holds memory of requests any more.
async fn is_well(broker: &Broker) {
    let mut client = Client::connect(broker).await;
    client.create("well", 1).await;
    assert_eq!(client.produce("well", 0, batch(&["x"])).await.error_code, 0);
    drop(client);
    for class in ["produce", "fetch", "other", "control"] {
        until(broker, &format!("pelton_request_memory_used_bytes{{class=\"{class}\"}}"), 0.0).await;
    }
}

#[tokio::test]
async fn every_key_and_version_that_is_not_served_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut refused = 0;
    for key in (-2..=100).chain([i16::MIN, i16::MAX]) {
        let versions = match APIS.iter().find(|api| api.key as i16 == key) {
            Some(api) => [api.min - 1, api.max + 1, i16::MIN, i16::MAX],
            None => [0, 1, 12, i16::MAX],
        };
        for version in versions {
            let mut client = Client::connect(&broker).await;
            client.stream.write_all(&request(key, version, &[0; 12])).await.unwrap();
            let answer = client.frame().await;
            if key == 18 {
                let answer = answer.expect("ApiVersions is always answered");
                assert_eq!(answer[4..6], UNSUPPORTED_VERSION.to_be_bytes());
            } else {
                assert_eq!(answer, None, "key {key}, version {version}");
                refused += 1;
            }
        }
    }
    let malformed = "pelton_connections_closed_total{listener=\"PLAINTEXT\",reason=\"malformed\"}";
    until(&broker, malformed, f64::from(refused)).await;
    is_well(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn whatever_the_body_of_a_request_is_the_broker_goes_on() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut noise = Dice::new(7);
    for api in APIS {
        for version in api.min..=api.max {
            let length = noise.index(80);
            let random = bytes(&mut noise, length);
            // Arrays and texts that claim to be as long as can be written, in both notations.
            let lies = [&[0][..], &[0x7f, 0xff, 0xff, 0xff].repeat(8)].concat();
            let compact_lies = [&[0][..], &[0xff, 0xff, 0xff, 0xff, 0x0f].repeat(8)].concat();
            for body in [random, lies, compact_lies, vec![0; 64], Vec::new()] {
                send_and_leave(&broker, &request(api.key as i16, version, &body)).await;
            }
        }
    }
    is_well(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_frame_that_ends_anywhere_is_forgotten() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    Client::connect(&broker).await.create("t", 1).await;
    // Metadata v1 of the topic "t".
    let whole = request(3, 1, &[0, 0, 0, 1, 0, 1, b't']);
    for end in 0..whole.len() {
        send_and_leave(&broker, &whole[..end]).await;
    }
    // A length that is right as such, of a request that hardly comes.
    for length in [100, 100_000, 100 << 20] {
        send_and_leave(&broker, &[&i32::to_be_bytes(length)[..], &[0; 40]].concat()).await;
    }
    let malformed = "pelton_connections_closed_total{listener=\"PLAINTEXT\",reason=\"malformed\"}";
    until(&broker, malformed, (whole.len() - 1 + 3) as f64).await;
    is_well(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn noise_of_any_length_is_no_request() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut noise = Dice::new(11);
    for length in [1, 3, 4, 5, 6, 7, 100, 10_000, 300_000] {
        let bytes = bytes(&mut noise, length);
        send_and_leave(&broker, &bytes).await;
    }
    is_well(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_batch_that_unpacks_to_more_than_it_may_is_refused_unread() {
    let (_temporary, broker) = started(|settings| settings.core.decompressed_max_bytes = 1 << 20).await;
    let mut client = Client::connect(&broker).await;
    // Of a compacted topic, each record must have a key, so the broker has to look.
    assert_eq!(client.create_with("t", 1, &[("cleanup.policy", "compact")]).await.error_code, 0);
    let plain = batch(&[&"x".repeat(4 << 20)]);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb: Bytes = compressed_batch(&BatchView::parse(&plain).unwrap(), codec).unwrap().into();
        assert!(bomb.len() < 300_000, "{codec:?} makes {} bytes of 4 MiB", bomb.len());
        assert_eq!(client.produce("t", 0, bomb).await.error_code, MESSAGE_TOO_LARGE, "{codec:?}");
    }
    let end = "pelton_log_end_offset{topic=\"t\",partition=\"0\"}";
    assert_eq!(sample(&broker, end).await, Some(0.0));
    is_well(&broker).await;
    broker.stop().await;
}
