use super::*;
use crate::protocol::codec::response_frame;
use crate::protocol::newest::write;
use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchResponse, ProducerId, ResponseHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use pelton_log::disk::Dice;

fn partition(numbers: &mut Dice) -> AnsweredPartition {
    let aborted =
        (0..numbers.below(4)).map(|_| (numbers.below(1 << 30) as i64, numbers.below(1 << 30) as i64)).collect();
    // Around the lengths at which a compact length grows by a byte.
    let length = [0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 70_000][numbers.below(9) as usize];
    let known = numbers.below(4) > 0;
    AnsweredPartition {
        index: numbers.below(1 << 20) as i32,
        error_code: numbers.below(100) as i16,
        high_watermark: if known { numbers.below(1 << 31) as i64 } else { -1 },
        last_stable: numbers.below(1 << 31) as i64,
        log_start: numbers.below(1 << 31) as i64,
        aborted: (numbers.below(2) == 0).then_some(aborted),
        records: Bytes::from((0..length).map(|_| numbers.below(256) as u8).collect::<Vec<_>>()).into(),
    }
}

fn answer(numbers: &mut Dice) -> FetchAnswer {
    let topics = (0..numbers.below(5)).map(|_| AnsweredTopic {
        name: TopicName(StrBytes::from_string("t".repeat(1 + numbers.below(249) as usize))),
        id: Uuid::from_u128(u128::from(numbers.below(u64::MAX)) << 64 | u128::from(numbers.below(u64::MAX))),
        partitions: (0..numbers.below(200) / 40).map(|_| partition(numbers)).collect(),
    });
    let topics = topics.collect();
    FetchAnswer {
        throttle_time_ms: numbers.below(1 << 31) as i32,
        error_code: numbers.below(100) as i16,
        session_id: numbers.below(1 << 31) as i32,
        topics,
    }
}

/// The same answer as the protocol crate has it.
fn reference(answer: &FetchAnswer, version: i16) -> FetchResponse {
    let responses = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let aborted = partition.aborted.as_ref().map(|aborted| {
                let entries = aborted.iter().map(|(producer, first)| {
                    AbortedTransaction::default().with_producer_id(ProducerId(*producer)).with_first_offset(*first)
                });
                entries.collect()
            });
            let mut data = PartitionData::default()
                .with_partition_index(partition.index)
                .with_error_code(partition.error_code)
                .with_high_watermark(partition.high_watermark)
                .with_last_stable_offset(partition.last_stable)
                .with_aborted_transactions(aborted)
                .with_records(Some(partition.records.read().unwrap()));
            if version >= 5 {
                data.log_start_offset = partition.log_start;
            }
            data
        });
        let mut response = FetchableTopicResponse::default().with_partitions(partitions.collect());
        match version >= 13 {
            true => response.topic_id = topic.id,
            false => response.topic = topic.name.clone(),
        }
        response
    });
    let mut response =
        FetchResponse::default().with_throttle_time_ms(answer.throttle_time_ms).with_responses(responses.collect());
    if version >= 7 {
        response.error_code = answer.error_code;
        response.session_id = answer.session_id;
    }
    response
}

#[test]
fn every_version_is_written_as_the_protocol_crate_writes_it() {
    let mut numbers = Dice::new(1);
    for version in 4..=18 {
        let header_version = ApiKey::Fetch.response_header_version(version);
        for round in 0..60 {
            let answer = answer(&mut numbers);
            let reference = reference(&answer, version);
            let expected = response_frame(round, header_version, |frame| write(&reference, version, frame)).unwrap();
            let charged = answer.clone().charged_bytes(version).unwrap();
            let header = ResponseHeader::default().compute_size(header_version).unwrap();
            assert_eq!(charged, expected.len() - header, "all but the header is charged");
            let written = answer.frame(round, version).unwrap().read().unwrap();
            assert!(written == expected, "version {version}, round {round}");
        }
    }
}
