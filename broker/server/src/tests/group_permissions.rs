//! Every request to a group asks whether it may, of an authorizer that says no to what it is told.

use super::client::*;
use super::groups::{commit, committed, find_coordinator, join, sync};
use super::newest::*;
use crate::Broker;
use crate::auth::{AclOperation, Authorizer, Resource, Subject};
use kafka_protocol::messages::*;
use pelton_core::refusal::Protected;
use std::sync::{Arc, Mutex};

/// Says no to operations on resources, whose kind and name it knows as text.
#[derive(Debug, Default)]
struct Denying(Mutex<Vec<(AclOperation, &'static str)>>);

impl Denying {
    fn deny(&self, operation: AclOperation, resource: &'static str) {
        *self.0.lock().unwrap() = vec![(operation, resource)];
    }

    fn allow_all(&self) {
        self.0.lock().unwrap().clear();
    }

    fn deny_also(&self, operation: AclOperation, resource: &'static str) {
        self.0.lock().unwrap().push((operation, resource));
    }
}

impl Authorizer for Denying {
    fn allows(&self, subject: Subject<'_>, operation: AclOperation, resource: Resource<'_>) -> bool {
        assert_eq!((subject.principal, subject.client_host), ("User:ANONYMOUS", "/127.0.0.1"));
        let name = match resource {
            Resource::Topic(name) => format!("topic {name}"),
            Resource::Group(name) => format!("group {name}"),
            Resource::TransactionalId(name) => format!("id {name}"),
            Resource::Cluster => "cluster".to_owned(),
        };
        !self.0.lock().unwrap().contains(&(operation, name.as_str()))
    }

    fn allows_anywhere(&self, _: Subject<'_>, _: AclOperation, _: Protected) -> bool {
        true
    }
}

/// A broker with topic `t` and group `g`, which has committed an offset; nothing is denied yet.
async fn denying() -> (tempfile::TempDir, Broker, Arc<Denying>, Client) {
    let denying = Arc::new(Denying::default());
    let (temporary, broker) = started(|settings| settings.authorizer = denying.clone()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    find_coordinator(&mut client, 1, "id").await;
    client.call(9, &commit("g", -1, "", 1)).await;
    (temporary, broker, denying, client)
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

const GROUP: i16 = 30;
const TOPIC: i16 = 29;
const TRANSACTIONAL_ID: i16 = 53;

/// A request that concerns group `g`, transactional id `id` or partition 0 of `t`.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Join,
    Sync,
    Heartbeat,
    Leave,
    Commit,
    CommitInTransaction,
    FindGroup,
    FindTransactionalId,
    AllOffsets,
    OneOffset,
    Describe,
    DeleteOffset,
    Delete,
}

/// The error that the request is answered with.
async fn error(client: &mut Client, asked: Asked) -> i16 {
    let all_offsets = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(None);
    match asked {
        Asked::Join => client.call(9, &join("g", "")).await.error_code,
        Asked::Sync => client.call(5, &sync("g", 1, "m", true)).await.error_code,
        Asked::Heartbeat => {
            let request = HeartbeatRequest::default().with_group_id(group("g")).with_member_id(text("m"));
            client.call(4, &request).await.error_code
        }
        Asked::Leave => {
            let request = LeaveGroupRequest::default().with_group_id(group("g")).with_members(Vec::new());
            client.call(5, &request).await.error_code
        }
        Asked::Commit => client.call(9, &commit("g", -1, "", 2)).await.topics[0].partitions[0].error_code,
        Asked::CommitInTransaction => {
            let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()]);
            let request = TxnOffsetCommitRequest::default()
                .with_group_id(group("g"))
                .with_transactional_id(TransactionalId(text("id")))
                .with_topics(vec![topic]);
            client.call(4, &request).await.topics[0].partitions[0].error_code
        }
        Asked::FindGroup => {
            let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
            client.call(4, &request).await.coordinators[0].error_code
        }
        Asked::FindTransactionalId => {
            let request = FindCoordinatorRequest::default().with_key(text("id")).with_key_type(1);
            client.call(3, &request).await.error_code
        }
        Asked::AllOffsets => client.call(7, &all_offsets).await.error_code,
        Asked::OneOffset => {
            let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![0]);
            let answer = client.call(7, &all_offsets.with_topics(Some(vec![topic]))).await;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!(partition.committed_offset == -1, partition.error_code != 0, "an error tells no offset");
            partition.error_code
        }
        Asked::Describe => {
            let request = DescribeGroupsRequest::default().with_groups(vec![group("g")]);
            client.call(6, &request).await.groups[0].error_code
        }
        Asked::DeleteOffset => {
            let topic = offset_delete_request::OffsetDeleteRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![offset_delete_request::OffsetDeleteRequestPartition::default()]);
            let request = OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![topic]);
            let answer = client.call(0, &request).await;
            match answer.error_code {
                0 => answer.topics[0].partitions[0].error_code,
                of_group => of_group,
            }
        }
        Asked::Delete => {
            let request = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
            client.call(2, &request).await.results[0].error_code
        }
    }
}

/// What each request needs, and what it is refused with where that is denied. The last rows would leave nothing for others.
const NEEDED: [(AclOperation, &str, i16, &[Asked]); 7] = [
    (
        AclOperation::Read,
        "group g",
        GROUP,
        &[Asked::Join, Asked::Sync, Asked::Heartbeat, Asked::Leave, Asked::Commit, Asked::CommitInTransaction],
    ),
    (AclOperation::Write, "id id", TRANSACTIONAL_ID, &[Asked::CommitInTransaction]),
    (AclOperation::Describe, "group g", GROUP, &[Asked::FindGroup, Asked::AllOffsets, Asked::Describe]),
    (AclOperation::Describe, "id id", TRANSACTIONAL_ID, &[Asked::FindTransactionalId]),
    (AclOperation::Describe, "topic t", TOPIC, &[Asked::OneOffset]),
    (AclOperation::Read, "topic t", TOPIC, &[Asked::Commit, Asked::CommitInTransaction, Asked::DeleteOffset]),
    (AclOperation::Delete, "group g", GROUP, &[Asked::DeleteOffset, Asked::Delete]),
];

#[tokio::test]
async fn who_is_denied_what_a_request_needs_is_refused_and_nothing_is_done() {
    let (_temporary, broker, denying, mut client) = denying().await;
    for (operation, resource, code, requests) in NEEDED {
        denying.deny(operation, resource);
        for asked in requests {
            assert_eq!(error(&mut client, *asked).await, code, "{asked:?} without {operation:?} on {resource}");
        }
    }
    denying.allow_all();
    assert_eq!(committed(&mut client, "g").await.0, 1, "what was committed before is still there");
    for (_, _, code, requests) in NEEDED {
        for asked in requests {
            assert_ne!(error(&mut client, *asked).await, code, "{asked:?} where all is allowed");
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn others_are_answered_beside_those_that_are_denied() {
    let (_temporary, broker, denying, mut client) = denying().await;
    client.call(9, &commit("h", -1, "", 1)).await;
    let both = vec![group("g"), group("h")];
    denying.deny(AclOperation::Describe, "group g");
    let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("h")]);
    let found: Vec<i16> = client.call(4, &keys).await.coordinators.iter().map(|found| found.error_code).collect();
    let describe = DescribeGroupsRequest::default().with_groups(both.clone()).with_include_authorized_operations(true);
    let described: Vec<i16> = client.call(6, &describe).await.groups.iter().map(|found| found.error_code).collect();
    assert_eq!((found, described), (vec![GROUP, 0], vec![GROUP, 0]));
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.len(), 2, "who may describe the cluster sees them all");
    denying.deny_also(AclOperation::Describe, "cluster");
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    let ids: Vec<_> = listed.groups.iter().map(|found| found.group_id.as_str()).collect();
    assert_eq!((listed.error_code, ids), (0, vec!["h"]), "others see those that they may describe");

    denying.deny(AclOperation::Describe, "topic t");
    let all = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(None);
    let answer = client.call(7, &all).await;
    assert_eq!((answer.error_code, answer.topics.len()), (0, 0), "what may not be seen is not there");

    denying.deny(AclOperation::Delete, "group g");
    let answer = client.call(6, &describe).await;
    assert_eq!(answer.groups[0].authorized_operations, 0b1101_0000_1000, "all but DELETE");
    assert_eq!(answer.groups[1].authorized_operations, 0b1101_0100_1000);
    let answer = client.call(2, &DeleteGroupsRequest::default().with_groups_names(both)).await;
    let errors: Vec<i16> = answer.results.iter().map(|result| result.error_code).collect();
    assert_eq!(errors, [GROUP, 0]);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_named_by_its_id_is_refused_by_its_name() {
    let (_temporary, broker, denying, mut client) = denying().await;
    let id = crate::protocol::text::uuid(broker.image().topic("t").unwrap().id);
    let unknown = uuid::Uuid::from_u128(9);
    let commit = offset_commit_v10(&commit_by_id("g", &[(id, &[(0, 2)]), (unknown, &[(0, 2)])]));
    let fetch = offset_fetch_v10(&fetch_by_id("g", Some(&[(id, &[0]), (unknown, &[0])])));
    let all = offset_fetch_v10(&fetch_by_id("g", None));
    let mut refused = async |body: &[u8]| {
        let answer = client.call_body::<OffsetCommitRequest>(10, body).await;
        let code = |topic: &offset_commit_response::OffsetCommitResponseTopic| topic.partitions[0].error_code;
        answer.topics.iter().map(code).collect::<Vec<i16>>()
    };
    denying.deny(AclOperation::Read, "group g");
    assert_eq!(refused(&commit).await, [GROUP, GROUP], "nothing is looked at");
    denying.deny(AclOperation::Read, "topic t");
    assert_eq!(refused(&commit).await, [TOPIC, 100]);
    denying.deny(AclOperation::Describe, "group g");
    let answer = client.call_body::<OffsetFetchRequest>(10, &fetch).await;
    assert_eq!((answer.groups[0].error_code, answer.groups[0].topics.len()), (GROUP, 0));
    denying.deny(AclOperation::Describe, "topic t");
    let answer = client.call_body::<OffsetFetchRequest>(10, &fetch).await;
    let codes: Vec<_> =
        answer.groups[0].topics.iter().map(|topic| (topic.topic_id, topic.partitions[0].error_code)).collect();
    assert_eq!(codes, [(id, TOPIC), (unknown, 100)]);
    let answer = client.call_body::<OffsetFetchRequest>(10, &all).await;
    assert_eq!((answer.groups[0].error_code, answer.groups[0].topics.len()), (0, 0));
    denying.allow_all();
    assert_eq!(committed(&mut client, "g").await.0, 1, "nothing was committed");
    broker.stop().await;
}

#[tokio::test]
async fn transactional_ids_are_told_to_those_who_may_describe_them() {
    let (_temporary, broker, denying, mut client) = denying().await;
    let ids = ["id", "other"].map(|id| TransactionalId(text(id)));
    for id in &ids {
        find_coordinator(&mut client, 1, &id.0).await;
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000);
        assert_eq!(client.call(4, &init).await.error_code, 0);
    }
    denying.deny(AclOperation::Describe, "id id");
    let listed = client.call(2, &ListTransactionsRequest::default().with_transactional_id_pattern(None)).await;
    let names: Vec<_> = listed.transaction_states.iter().map(|found| found.transactional_id.0.as_str()).collect();
    assert_eq!((listed.error_code, names), (0, vec!["other"]));
    let describe = DescribeTransactionsRequest::default().with_transactional_ids(ids.to_vec());
    let codes: Vec<i16> =
        client.call(0, &describe).await.transaction_states.iter().map(|found| found.error_code).collect();
    assert_eq!(codes, [TRANSACTIONAL_ID, 0]);
    broker.stop().await;
}
