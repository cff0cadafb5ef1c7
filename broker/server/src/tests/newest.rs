//! Versions whose requests the protocol crate cannot write: they are written here, by hand, and sent to a broker.

use super::client::*;
use super::groups::{commit_offsets, find_coordinator};
use super::transactions::Producer;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Encodable;
use uuid::Uuid;

const UNKNOWN_TOPIC_ID: i16 = 100;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const NO_TAGS: u8 = 0;

fn put_length(body: &mut Vec<u8>, length: usize) {
    body.push(u8::try_from(length + 1).ok().filter(|length| *length < 0x80).expect("tests write little"));
}

fn put_text(body: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            put_length(body, text.len());
            body.extend_from_slice(text.as_bytes());
        }
        None => body.push(0),
    }
}

/// OffsetCommit v10; topics by `topic_id`.
pub fn offset_commit_v10(request: &OffsetCommitRequest) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, Some(&request.group_id.0));
    body.extend_from_slice(&request.generation_id_or_member_epoch.to_be_bytes());
    put_text(&mut body, Some(&request.member_id));
    put_text(&mut body, request.group_instance_id.as_deref());
    put_length(&mut body, request.topics.len());
    for topic in &request.topics {
        body.extend_from_slice(topic.topic_id.as_bytes());
        put_length(&mut body, topic.partitions.len());
        topic.partitions.iter().for_each(|partition| partition.encode(&mut body, 9).unwrap());
        body.push(NO_TAGS);
    }
    body.push(NO_TAGS);
    body
}

/// OffsetFetch v10; topics by `topic_id`.
pub fn offset_fetch_v10(request: &OffsetFetchRequest) -> Vec<u8> {
    let mut body = Vec::new();
    put_length(&mut body, request.groups.len());
    for group in &request.groups {
        put_text(&mut body, Some(&group.group_id.0));
        put_text(&mut body, group.member_id.as_deref());
        body.extend_from_slice(&group.member_epoch.to_be_bytes());
        match &group.topics {
            None => body.push(0),
            Some(topics) => {
                put_length(&mut body, topics.len());
                for topic in topics {
                    body.extend_from_slice(topic.topic_id.as_bytes());
                    put_length(&mut body, topic.partition_indexes.len());
                    topic.partition_indexes.iter().for_each(|index| body.extend_from_slice(&index.to_be_bytes()));
                    body.push(NO_TAGS);
                }
            }
        }
        body.push(NO_TAGS);
    }
    body.push(request.require_stable.into());
    body.push(NO_TAGS);
    body
}

/// WriteTxnMarkers v2, every marker of that version of transactions.
pub fn write_txn_markers_v2(request: &WriteTxnMarkersRequest, transaction_version: i8) -> Vec<u8> {
    let mut body = Vec::new();
    put_length(&mut body, request.markers.len());
    for marker in &request.markers {
        marker.encode(&mut body, 1).unwrap();
        // The new field stands before the tags.
        assert_eq!(body.pop(), Some(NO_TAGS));
        body.extend_from_slice(&[transaction_version as u8, NO_TAGS]);
    }
    body.push(NO_TAGS);
    body
}

/// A commit of these partitions, by topic, outside of the group protocol.
pub fn commit_by_id(group: &str, offsets: &[(Uuid, &[(i32, i64)])]) -> OffsetCommitRequest {
    let named: Vec<_> = offsets.iter().map(|(_, partitions)| ("", *partitions)).collect();
    let mut request = commit_offsets(group, &named);
    for (topic, (id, _)) in request.topics.iter_mut().zip(offsets) {
        topic.topic_id = *id;
    }
    request
}

/// Asks for partitions of these topics, or for all offsets of the group.
pub fn fetch_by_id(group: &str, topics: Option<&[(Uuid, &[i32])]>) -> OffsetFetchRequest {
    let topic = |(id, indexes): &(Uuid, &[i32])| {
        offset_fetch_request::OffsetFetchRequestTopics::default()
            .with_topic_id(*id)
            .with_partition_indexes(indexes.to_vec())
    };
    let group = offset_fetch_request::OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(topics.map(|topics| topics.iter().map(topic).collect()));
    OffsetFetchRequest::default().with_groups(vec![group])
}

/// Of each topic of a commit its id and the codes of its partitions.
async fn commit(client: &mut Client, request: &OffsetCommitRequest) -> Vec<(Uuid, Vec<(i32, i16)>)> {
    let answer = client.call_body::<OffsetCommitRequest>(10, &offset_commit_v10(request)).await;
    let topics = answer.topics.into_iter().map(|topic| {
        let codes = topic.partitions.iter().map(|partition| (partition.partition_index, partition.error_code));
        (topic.topic_id, codes.collect())
    });
    topics.collect()
}

/// Index, code and offset of a partition.
type Fetched = (i32, i16, i64);

async fn fetch(client: &mut Client, request: &OffsetFetchRequest) -> Vec<(Uuid, Vec<Fetched>)> {
    let mut answer = client.call_body::<OffsetFetchRequest>(10, &offset_fetch_v10(request)).await;
    assert_eq!((answer.groups.len(), answer.groups[0].error_code), (1, 0));
    let topics = answer.groups.remove(0).topics.into_iter().map(|topic| {
        let found =
            topic.partitions.iter().map(|found| (found.partition_index, found.error_code, found.committed_offset));
        (topic.topic_id, found.collect())
    });
    topics.collect()
}

async fn create(client: &mut Client, name: &str) -> Uuid {
    client.create(name, 2).await.topics[0].topic_id
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_by_topic_id() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let (t, u) = (create(&mut client, "t").await, create(&mut client, "u").await);
    let (unknown, zero) = (Uuid::from_u128(9), Uuid::nil());
    find_coordinator(&mut client, 0, "g").await;

    let asked = [(t, &[(0, 7), (9, 8)][..]), (unknown, &[(0, 7)]), (zero, &[(1, 1), (0, 7)]), (u, &[(0, 5)])];
    let refused = (unknown, vec![(0, UNKNOWN_TOPIC_ID)]);
    assert_eq!(
        commit(&mut client, &commit_by_id("g", &asked)).await,
        [
            (t, vec![(0, 0), (9, 3)]),
            refused.clone(),
            (zero, vec![(1, UNKNOWN_TOPIC_ID), (0, UNKNOWN_TOPIC_ID)]),
            (u, vec![(0, 0)])
        ],
        "what exists is committed, and each is called as it was asked for"
    );
    let stranger = commit_by_id("g", &asked[..2]).with_generation_id_or_member_epoch(5).with_member_id(text("m"));
    assert_eq!(commit(&mut client, &stranger).await, [(t, vec![(0, 25), (9, 3)]), refused]);

    let asked = [(unknown, &[0][..]), (t, &[1, 0]), (zero, &[0])];
    assert_eq!(
        fetch(&mut client, &fetch_by_id("g", Some(&asked))).await,
        [
            (t, vec![(0, 0, 7), (1, 0, -1)]),
            (unknown, vec![(0, UNKNOWN_TOPIC_ID, -1)]),
            (zero, vec![(0, UNKNOWN_TOPIC_ID, -1)])
        ]
    );
    let all = fetch_by_id("g", None);
    assert_eq!(fetch(&mut client, &all).await, [(t, vec![(0, 0, 7)]), (u, vec![(0, 0, 5)])]);
    assert_eq!(fetch(&mut client, &fetch_by_id("nobody", None)).await, []);

    let gone = delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("u")));
    let gone = client.call(6, &DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(5_000)).await;
    assert_eq!(gone.responses[0].error_code, 0);
    eventually("its offsets are gone", async || fetch(&mut client, &all).await == [(t, vec![(0, 0, 7)])]).await;
    let again = create(&mut client, "u").await;
    assert_eq!(
        fetch(&mut client, &fetch_by_id("g", Some(&[(u, &[0]), (again, &[0])]))).await,
        [(again, vec![(0, 0, -1)]), (u, vec![(0, UNKNOWN_TOPIC_ID, -1)])],
        "an id names one topic for ever"
    );
    broker.stop().await;
}

#[tokio::test]
async fn offsets_of_an_open_transaction_are_refused_by_topic_id() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let t = create(&mut client, "t").await;
    find_coordinator(&mut client, 0, "g").await;
    commit(&mut client, &commit_by_id("g", &[(t, &[(0, 3)])])).await;
    Producer::begin(&mut client, "id").await.commit(&mut client, "g", 7).await;
    let stable = fetch_by_id("g", Some(&[(t, &[0])])).with_require_stable(true);
    assert_eq!(fetch(&mut client, &stable).await, [(t, vec![(0, UNSTABLE_OFFSET_COMMIT, -1)])]);
    let all = fetch_by_id("g", None).with_require_stable(true);
    assert_eq!(fetch(&mut client, &all).await, [(t, vec![(0, UNSTABLE_OFFSET_COMMIT, -1)])]);
    assert_eq!(fetch(&mut client, &fetch_by_id("g", None)).await, [(t, vec![(0, 0, 3)])]);
    broker.stop().await;
}

/// One transaction of AddPartitionsToTxn v4-5.
fn transaction(
    id: &str,
    producer: (i64, i16),
    verify_only: bool,
    topics: &[(&str, &[i32])],
) -> add_partitions_to_txn_request::AddPartitionsToTxnTransaction {
    let topics = topics.iter().map(|(name, indexes)| {
        add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic_name(name))
            .with_partitions(indexes.to_vec())
    });
    add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(text(id)))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_verify_only(verify_only)
        .with_topics(topics.collect())
}

/// Of each transaction its id and the codes of its partitions, in order.
async fn add(
    client: &mut Client,
    version: i16,
    transactions: &[add_partitions_to_txn_request::AddPartitionsToTxnTransaction],
) -> Vec<(String, Vec<i16>)> {
    let request = AddPartitionsToTxnRequest::default().with_transactions(transactions.to_vec());
    let answer = client.call(version, &request).await;
    assert_eq!((answer.error_code, answer.results_by_topic_v3_and_below.len()), (0, 0));
    let results = answer.results_by_transaction.iter().map(|result| {
        let partitions = result.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
        let codes = partitions.map(|partition| partition.partition_error_code);
        (result.transactional_id.0.to_string(), codes.collect())
    });
    results.collect()
}

#[tokio::test]
async fn brokers_verify_transactions_together_and_enlist_nothing_by_that() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t").await;
    let producer = Producer::begin(&mut client, "id").await;
    let (own, (number, epoch)) = (producer.producer, producer.producer);
    assert_eq!(producer.add(&mut client, "t", 0).await, 0);
    for version in [4, 5] {
        let mut codes = async |id: &str, producer, verify_only, topics: &[(&str, &[i32])]| {
            let asked = [transaction(id, producer, verify_only, topics)];
            let mut told = add(&mut client, version, &asked).await;
            assert_eq!((told.len(), &*told[0].0), (1, id));
            told.remove(0).1
        };
        for _ in 0..2 {
            assert_eq!(
                codes("id", own, true, &[("t", &[1, 0, 1])]).await,
                [120, 0, 120],
                "v{version}: TRANSACTION_ABORTABLE"
            );
        }
        assert_eq!(
            codes("id", own, true, &[("t", &[0, 9]), ("missing", &[0])]).await,
            [55, 3, 3],
            "OPERATION_NOT_ATTEMPTED"
        );
        assert!(codes("id", own, true, &[]).await.is_empty());
        for verify_only in [true, false] {
            assert_eq!(
                codes("id", (number, epoch + 1), verify_only, &[("t", &[0, 1])]).await,
                [90, 90],
                "PRODUCER_FENCED"
            );
            assert_eq!(codes("id", (number + 1, epoch), verify_only, &[("t", &[0])]).await, [49]);
            assert_eq!(codes("unheard", own, verify_only, &[("t", &[0])]).await, [49]);
            assert_eq!(codes("", own, verify_only, &[("t", &[0])]).await, [42], "INVALID_REQUEST");
        }
        assert_eq!(add(&mut client, version, &[]).await, []);
    }
    let described = async |client: &mut Client| {
        let ids = vec![TransactionalId(text("id"))];
        let answer = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids)).await;
        answer.transaction_states[0].topics.iter().flat_map(|topic| topic.partitions.clone()).collect::<Vec<i32>>()
    };
    assert_eq!(described(&mut client).await, [0]);
    let both = [transaction("unheard", own, false, &[("t", &[1])]), transaction("id", own, false, &[("t", &[1])])];
    let told = add(&mut client, 4, &both).await;
    assert_eq!(told, [("unheard".to_owned(), vec![49]), ("id".to_owned(), vec![0])], "each for itself");
    assert_eq!(described(&mut client).await, [0, 1]);
    let verified = add(&mut client, 5, &[transaction("id", own, true, &[("t", &[0, 1])])]).await;
    assert_eq!(verified, [("id".to_owned(), vec![0, 0])]);
    broker.stop().await;
}

#[tokio::test]
async fn a_marker_of_a_transaction_of_version_2_needs_the_next_epoch() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t").await;
    let producer = Producer::begin(&mut client, "id").await;
    let (number, epoch) = producer.producer;
    assert_eq!(producer.add(&mut client, "t", 0).await, 0);
    assert_eq!(producer.produce(&mut client, "t", &["open"], 0).await, 0);
    let mut write = async |epoch: i16, transaction_version: i8| {
        let topic = write_txn_markers_request::WritableTxnMarkerTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let marker = write_txn_markers_request::WritableTxnMarker::default()
            .with_producer_id(ProducerId(number))
            .with_producer_epoch(epoch)
            .with_topics(vec![topic]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let id =
            client.send_body::<WriteTxnMarkersRequest>(2, &write_txn_markers_v2(&request, transaction_version)).await;
        let answer = client.receive_written_as::<WriteTxnMarkersRequest>(2, 1, id).await;
        answer.markers[0].topics[0].partitions[0].error_code
    };
    assert_eq!(write(epoch, 2).await, 47, "INVALID_PRODUCER_EPOCH");
    assert_eq!(write(epoch + 1, 2).await, 0);
    assert_eq!(write(epoch + 1, 2).await, 0, "again");
    assert_eq!(write(epoch, 2).await, 47);
    assert_eq!(write(epoch + 1, 0).await, 0);
    let fetched = client.fetch("t", 0, 0, 1).await;
    assert_eq!((fetched.last_stable_offset, fetched.high_watermark), (2, 2), "one marker was written");
    assert_eq!(fetched.aborted_transactions.unwrap()[0].first_offset, 0);
    broker.stop().await;
}
