//! A medium that changes what an earlier process wrote: readers are told so, and are given nothing else in its place.

use super::client::*;
use crate::Broker;
use std::path::{Path, PathBuf};

const CORRUPT_MESSAGE: i16 = 2;
const BATCHES: usize = 6;

fn segment(directory: &Path, partition: i32) -> PathBuf {
    directory.join(format!("t-{partition}/00000000000000000000.log"))
}

/// Stops the broker, which has filled two partitions with batches of the same length, and turns over one bit of the
/// batch at offset 3 of partition 0.
async fn damaged(directory: &Path, byte: usize, stop: bool) {
    let broker = start(directory).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    for partition in 0..2 {
        for index in 0..BATCHES {
            let value = format!("value {index}");
            assert_eq!(client.produce("t", partition, batch(&[&value])).await.error_code, 0);
        }
    }
    if stop {
        broker.stop().await;
    } else {
        drop(broker);
    }
    let mut bytes = std::fs::read(segment(directory, 0)).unwrap();
    let len = pelton_record::BatchHeader::parse(&bytes).unwrap().total_len();
    bytes[3 * len + byte] ^= 0x10;
    std::fs::write(segment(directory, 0), bytes).unwrap();
}

fn expected(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|index| format!("value {index}")).collect()
}

async fn check(broker: &Broker, version: i16) {
    let mut client = Client::connect(broker).await;
    let both = |first: i64| {
        let mut request = fetch("t", 0, first);
        let mut other = request.topics[0].partitions[0].clone();
        other.partition = 1;
        other.fetch_offset = 0;
        request.topics[0].partitions.push(other);
        request
    };
    // Once for the doubt, and once more where the sound part is in none.
    for _ in 0..2 {
        let answer = client.call(version, &both(0)).await;
        let [damaged, sound] = &answer.responses[0].partitions[..] else { panic!("{answer:?}") };
        assert_eq!((damaged.error_code, values(&damaged.records)), (0, expected(0..3)));
        assert_eq!((sound.error_code, values(&sound.records)), (0, expected(0..BATCHES)));
        let answer = client.call(version, &both(3)).await;
        let [damaged, sound] = &answer.responses[0].partitions[..] else { panic!("{answer:?}") };
        assert_eq!((damaged.error_code, values(&damaged.records)), (CORRUPT_MESSAGE, Vec::<String>::new()));
        assert_eq!((sound.error_code, values(&sound.records)), (0, expected(0..BATCHES)), "the others are answered");
    }
}

#[tokio::test]
async fn a_record_that_the_medium_changed_is_told_of_in_the_answer() {
    // Base offset (a start that reads the headers finds that itself), leader epoch, CRC, attributes, and the records.
    for (byte, stop) in [(7, true), (15, true), (15, false), (18, false), (22, true), (70, false), (70, true)] {
        let temporary = tempfile::tempdir().unwrap();
        damaged(temporary.path(), byte, stop).await;
        let broker = start(temporary.path()).await;
        check(&broker, 12).await;
        let mut client = Client::connect(&broker).await;
        let behind = client.fetch("t", 0, 4, 0).await;
        assert_eq!((behind.error_code, values(&behind.records)), (0, expected(4..BATCHES)), "one can go on behind it");
        // The log goes on, and what this process writes it serves.
        assert_eq!(client.produce("t", 0, batch(&["new"])).await.error_code, 0);
        let new = client.fetch("t", 0, BATCHES as i64, 0).await;
        assert_eq!((new.error_code, values(&new.records)), (0, vec!["new".to_owned()]));
        broker.stop().await;
    }
}
