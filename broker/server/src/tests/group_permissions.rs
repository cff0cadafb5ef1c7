//! Every request to a group asks whether it may, of an authorizer that says no to what it is told.

use super::client::*;
use super::groups::{commit, committed, find_coordinator, join, sync};
use crate::Broker;
use crate::auth::{AclOperation, Authorizer, Resource, Subject};
use kafka_protocol::messages::*;
use pelton_core::refusal::Protected;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Says no to operations on resources, whose kind and name it knows as text.
#[derive(Debug, Default)]
struct Denying(Mutex<Vec<(AclOperation, &'static str)>>);

impl Denying {
    fn deny(&self, operation: AclOperation, resource: &'static str) {
        *self.0.lock().unwrap() = vec![(operation, resource)];
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

async fn start_denying(path: &Path) -> (Broker, Arc<Denying>) {
    let denying = Arc::new(Denying::default());
    let mut settings = config(path);
    settings.authorizer = denying.clone();
    (Broker::start(settings, no_plugins).await.unwrap(), denying)
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;

#[tokio::test]
async fn members_need_to_read_the_group() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, denying) = start_denying(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    find_coordinator(&mut client, 1, "id").await;
    denying.deny(AclOperation::Read, "group g");
    let failed = GROUP_AUTHORIZATION_FAILED;
    assert_eq!(client.call(9, &join("g", "")).await.error_code, failed);
    assert_eq!(client.call(5, &sync("g", 1, "m", true)).await.error_code, failed);
    let heartbeat = HeartbeatRequest::default().with_group_id(group("g")).with_member_id(text("m"));
    assert_eq!(client.call(4, &heartbeat).await.error_code, failed);
    let leave = LeaveGroupRequest::default().with_group_id(group("g")).with_members(Vec::new());
    assert_eq!(client.call(5, &leave).await.error_code, failed);
    let answer = client.call(9, &commit("g", -1, "", 1)).await;
    assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == failed));
    assert_eq!(in_transaction(&mut client).await, failed);
    denying.deny(AclOperation::Write, "id id");
    assert_eq!(in_transaction(&mut client).await, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    denying.deny(AclOperation::Read, "topic t");
    assert_eq!(in_transaction(&mut client).await, TOPIC_AUTHORIZATION_FAILED);
    let answer = client.call(9, &commit("g", -1, "", 1)).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, TOPIC_AUTHORIZATION_FAILED);
    assert_eq!(committed(&mut client, "g").await.0, -1);
    broker.stop().await;
}

/// What TxnOffsetCommit says of partition 0 of `t`.
async fn in_transaction(client: &mut Client) -> i16 {
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()]);
    let request = TxnOffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_transactional_id(TransactionalId(text("id")))
        .with_topics(vec![topic]);
    client.call(4, &request).await.topics[0].partitions[0].error_code
}

#[tokio::test]
async fn coordinators_and_offsets_are_told_to_those_who_may_describe_the_group() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, denying) = start_denying(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    client.call(9, &commit("g", -1, "", 1)).await;
    denying.deny(AclOperation::Describe, "group g");
    let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("h")]);
    let answer = client.call(4, &keys).await;
    let errors: Vec<i16> = answer.coordinators.iter().map(|found| found.error_code).collect();
    assert_eq!(errors, [GROUP_AUTHORIZATION_FAILED, 0]);
    let all = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(None);
    assert_eq!(client.call(7, &all).await.error_code, GROUP_AUTHORIZATION_FAILED);
    denying.deny(AclOperation::Describe, "id id");
    let key = FindCoordinatorRequest::default().with_key(text("id")).with_key_type(1);
    assert_eq!(client.call(3, &key).await.error_code, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    denying.deny(AclOperation::Describe, "topic t");
    let answer = client.call(7, &all).await;
    assert_eq!((answer.error_code, answer.topics.len()), (0, 0), "what may not be seen is not there");
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let answer = client.call(7, &all.with_topics(Some(vec![topic]))).await;
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.committed_offset), (TOPIC_AUTHORIZATION_FAILED, -1));
    broker.stop().await;
}

#[tokio::test]
async fn administrators_need_to_describe_and_to_delete() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, denying) = start_denying(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    client.call(9, &commit("g", -1, "", 1)).await;
    client.call(9, &commit("h", -1, "", 1)).await;
    let describe = DescribeGroupsRequest::default()
        .with_groups(vec![group("g"), group("h")])
        .with_include_authorized_operations(true);
    denying.deny(AclOperation::Describe, "group g");
    let answer = client.call(6, &describe).await;
    let errors: Vec<i16> = answer.groups.iter().map(|found| found.error_code).collect();
    assert_eq!(errors, [GROUP_AUTHORIZATION_FAILED, 0]);
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.len(), 2, "who may describe the cluster sees them all");
    denying.deny_also(AclOperation::Describe, "cluster");
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    let ids: Vec<_> = listed.groups.iter().map(|found| found.group_id.as_str()).collect();
    assert_eq!((listed.error_code, ids), (0, vec!["h"]), "others see those that they may describe");

    denying.deny(AclOperation::Delete, "group g");
    let answer = client.call(6, &describe).await;
    assert_eq!(answer.groups[0].authorized_operations, 0b1101_0000_1000, "all but DELETE");
    assert_eq!(answer.groups[1].authorized_operations, 0b1101_0100_1000);
    let topic = offset_delete_request::OffsetDeleteRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![offset_delete_request::OffsetDeleteRequestPartition::default()]);
    let offsets = OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![topic]);
    assert_eq!(client.call(0, &offsets).await.error_code, GROUP_AUTHORIZATION_FAILED);
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g"), group("h")]);
    let answer = client.call(2, &delete).await;
    let errors: Vec<i16> = answer.results.iter().map(|result| result.error_code).collect();
    assert_eq!(errors, [GROUP_AUTHORIZATION_FAILED, 0]);
    denying.deny(AclOperation::Read, "topic t");
    let answer = client.call(0, &offsets).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, TOPIC_AUTHORIZATION_FAILED);
    assert_eq!(committed(&mut client, "g").await.0, 1);
    broker.stop().await;
}

#[tokio::test]
async fn transactional_ids_are_told_to_those_who_may_describe_them() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, denying) = start_denying(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
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
    assert_eq!(codes, [TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 0]);
    broker.stop().await;
}
