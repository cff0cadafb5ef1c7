//! Fetches on the wire: from the file or copied, within sessions, while what is read goes away.

use super::client::*;
use crate::{Broker, ServerConfig};
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::*;
use std::path::Path;
use tokio::io::AsyncReadExt;

const PARTITIONS: i32 = 3;

/// Values of these lengths, each a batch of its own.
async fn fill(client: &mut Client, partition: i32, lengths: &[usize]) {
    for length in lengths {
        let value = char::from(b'a' + (length % 26) as u8).to_string().repeat(*length);
        assert_eq!(client.produce("t", partition, batch(&[&value])).await.error_code, 0);
    }
}

/// A fetch of these partitions: index, offset, limit.
fn request(partitions: &[(i32, i64, i32)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, offset, max_bytes)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(*max_bytes)
    });
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(partitions.collect());
    FetchRequest::default().with_max_wait_ms(0).with_min_bytes(0).with_max_bytes(i32::MAX).with_topics(vec![topic])
}

/// The frames that the requests of many shapes are answered with, and how many of them have records.
async fn answers(broker: &Broker, id: uuid::Uuid) -> (Vec<Bytes>, usize) {
    let mut client = Client::connect(broker).await;
    let (mut frames, mut full) = (Vec::new(), 0);
    for version in [4, 5, 7, 11, 12, 13, 16, 18] {
        for max_bytes in [0, 1, 4_000, 20_000, 100_000, 700_000, i32::MAX] {
            for offset in [0, 1, 3, 6] {
                let all = [(0, offset, max_bytes), (1, offset, max_bytes), (2, offset, max_bytes), (9, 0, max_bytes)];
                for partitions in [&all[..1], &all[..3], &all[2..], &[]] {
                    for limit in [30_000, i32::MAX] {
                        let mut request = request(partitions).with_max_bytes(limit).with_isolation_level(1);
                        if version >= 13 {
                            request.topics[0].topic = TopicName::default();
                            request.topics[0].topic_id = id;
                        }
                        client.send(version, &request).await;
                        let frame = client.frame().await.unwrap();
                        full += usize::from(frame.len() > 20_000);
                        frames.push(frame);
                    }
                }
            }
        }
    }
    (frames, full)
}

fn copying(path: &Path) -> ServerConfig {
    let mut config = config(path);
    config.fetch.sendfile = false;
    config
}

#[tokio::test]
async fn answers_from_files_are_those_that_are_copied() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", PARTITIONS).await.topics[0].topic_id;
    fill(&mut client, 0, &[1, 10, 100, 1_000, 10_000, 100_000, 900_000]).await;
    fill(&mut client, 1, &[16_000, 17_000, 300_000, 20, 30, 40, 50]).await;
    let (sent, full) = answers(&broker, id).await;
    assert!(full > 100, "most shapes find something");
    broker.stop().await;
    let broker = Broker::start(copying(temporary.path()), no_plugins).await.unwrap();
    let (copied, _) = answers(&broker, id).await;
    broker.stop().await;
    assert_eq!(sent.len(), copied.len());
    for (index, (sent, copied)) in sent.iter().zip(&copied).enumerate() {
        // The correlation ids are the same too: each broker was asked the same in the same order.
        assert!(sent == copied, "answer {index}");
    }
}

#[tokio::test]
async fn only_whole_batches_below_the_end_are_given_whatever_the_limit() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let lengths: Vec<usize> = (0..150).map(|index| 20 + index * 37 % 900).collect();
    fill(&mut client, 0, &lengths).await;
    let all = client.fetch("t", 0, 0, 0).await.records.unwrap();
    let ends: Vec<usize> = pelton_record::batches(&all)
        .scan(0, |end, batch| {
            *end += batch.unwrap().bytes().len();
            Some(*end)
        })
        .collect();
    assert_eq!(ends.len(), lengths.len());
    for offset in [0, 1, 60, 149] {
        let begin = if offset == 0 { 0 } else { ends[offset - 1] };
        for max_bytes in (0..all.len() as i32 + 500).step_by(997) {
            let answer = client.call(12, &request(&[(0, offset as i64, max_bytes)])).await;
            let records = answer.responses[0].partitions[0].records.clone().unwrap();
            let fits = ends.iter().rev().find(|end| **end <= begin + max_bytes as usize);
            let end = ends[offset].max(fits.copied().unwrap_or(0));
            assert!(records == all[begin..end], "offset {offset}, limit {max_bytes}");
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_slow_reader_gets_what_was_promised_though_the_topic_is_deleted() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    fill(&mut client, 0, &[900_000; 20]).await;
    let mut whole = Client::connect(&broker).await;
    whole.send(12, &request(&[(0, 0, i32::MAX)])).await;
    let expected = whole.frame().await.unwrap();
    assert!(expected.len() > 18_000_000);
    let mut slow = Client::connect(&broker).await;
    slow.send(12, &request(&[(0, 0, i32::MAX)])).await;
    let mut front = vec![0; 4 + 50_000];
    slow.stream.read_exact(&mut front).await.unwrap();
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &delete).await.responses[0].error_code, 0);
    // Another topic writes to the same disk meanwhile, and under the same name.
    client.create("t", 1).await;
    fill(&mut client, 0, &[800_000; 4]).await;
    let mut rest = vec![0; expected.len() - 50_000];
    slow.stream.read_exact(&mut rest).await.unwrap();
    front.drain(..4);
    front.extend(rest);
    assert!(front == expected);
    broker.stop().await;
}

#[tokio::test]
async fn a_session_says_only_what_is_new() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", PARTITIONS).await;
    fill(&mut client, 1, &[10]).await;
    let full = request(&[(0, 0, 1 << 20), (1, 0, 1 << 20), (2, 0, 1 << 20)]).with_session_epoch(0);
    let begun = client.call(12, &full).await;
    let id = begun.session_id;
    assert_ne!(id, 0);
    assert_eq!(begun.responses[0].partitions.len(), 3);
    let next = |epoch: i32, partitions: &[(i32, i64, i32)]| {
        let mut request = request(partitions).with_session_id(id).with_session_epoch(epoch);
        request.topics.retain(|topic| !topic.partitions.is_empty());
        request
    };
    let said = |response: &FetchResponse| -> Vec<(i32, i16, usize)> {
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|data| (data.partition_index, data.error_code, values(&data.records).len())).collect()
    };
    let quiet = client.call(12, &next(1, &[(1, 1, 1 << 20)])).await;
    assert_eq!((quiet.error_code, quiet.session_id, said(&quiet)), (0, id, vec![]));
    // Nothing is named: the fetch waits for all of the session, and is woken by one of it.
    let waiting = client.send(12, &next(2, &[]).with_max_wait_ms(600_000).with_min_bytes(1)).await;
    let mut producer = Client::connect(&broker).await;
    fill(&mut producer, 2, &[5]).await;
    assert_eq!(said(&client.receive::<FetchRequest>(12, waiting).await), [(2, 0, 1)]);
    // It is read again where the client does not go on, and an offset that is none is an error of its partition.
    let answer = client.call(12, &next(3, &[(0, 7, 1 << 20)])).await;
    assert_eq!(said(&answer), [(0, 1, 0), (2, 0, 1)]);
    let forget = ForgottenTopic::default().with_topic(topic_name("t")).with_partitions(vec![0]);
    let forgetting = next(4, &[(2, 1, 1 << 20)]).with_forgotten_topics_data(vec![forget]);
    assert_eq!(said(&client.call(12, &forgetting).await), []);
    for (wrong, code) in [(next(4, &[]), 71), (next(5, &[]).with_session_id(id ^ 1), 70)] {
        let refused = client.call(12, &wrong).await;
        assert_eq!((refused.error_code, refused.responses.len()), (code, 0));
    }
    assert_eq!(client.call(13, &next(5, &[])).await.error_code, 106, "FETCH_SESSION_TOPIC_ID_ERROR");
    // Another connection of the same client may go on, and the last epoch ends the session.
    let other = producer.call(12, &next(5, &[])).await;
    assert_eq!((other.error_code, other.session_id), (0, id));
    let last = client.call(12, &full.with_session_id(id).with_session_epoch(-1)).await;
    assert_eq!((last.session_id, last.responses[0].partitions.len()), (0, 3));
    assert_eq!(client.call(12, &next(6, &[])).await.error_code, 70);
    broker.stop().await;
}

#[tokio::test]
async fn a_session_follows_topics_by_id_and_is_declined_without_slots() {
    let (_temporary, broker) = started(|settings| settings.fetch.session_slots = 1).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 1).await.topics[0].topic_id;
    fill(&mut client, 0, &[10]).await;
    let mut by_id = request(&[(0, 0, 1 << 20)]).with_session_epoch(0);
    by_id.topics[0].topic = TopicName::default();
    by_id.topics[0].topic_id = id;
    let begun = client.call(17, &by_id).await;
    assert_ne!(begun.session_id, 0);
    let declined = client.call(12, &request(&[(0, 0, 1 << 20)]).with_session_epoch(0)).await;
    assert_eq!((declined.error_code, declined.session_id), (0, 0));
    assert_eq!(declined.responses[0].partitions.len(), 1);
    // The topic goes, and its id is no topic's any more: said each time, without ending the session.
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &delete).await.responses[0].error_code, 0);
    client.create("t", 1).await;
    for epoch in [1, 2] {
        let next = FetchRequest::default()
            .with_max_wait_ms(0)
            .with_max_bytes(1 << 20)
            .with_session_id(begun.session_id)
            .with_session_epoch(epoch);
        let answer = client.call(17, &next).await;
        assert_eq!((answer.error_code, answer.session_id), (0, begun.session_id));
        assert_eq!(answer.responses[0].topic_id, id);
        assert_eq!(answer.responses[0].partitions[0].error_code, 100, "UNKNOWN_TOPIC_ID");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_that_wants_many_bytes_gets_them_when_the_last_is_there() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut producer = Client::connect(&broker).await;
    let mut client = Client::connect(&broker).await;
    producer.create("t", 2).await;
    // A partition that is not there does not end the wait of the others.
    let waiting = request(&[(0, 0, 1 << 20), (7, 0, 1 << 20)]).with_max_wait_ms(600_000).with_min_bytes(30_000);
    let waiting = client.send(12, &waiting).await;
    fill(&mut producer, 0, &[1_000; 40]).await;
    let answer = client.receive::<FetchRequest>(12, waiting).await;
    let partitions = &answer.responses[0].partitions;
    assert!(partitions[0].records.as_ref().unwrap().len() >= 30_000);
    assert_eq!(partitions[1].error_code, 3);
    broker.stop().await;
}
