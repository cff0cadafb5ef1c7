use super::client::*;
use super::groups::{commit, committed, find_coordinator, join, sync};
use super::transactions::Producer;
use crate::Broker;
use bytes::Bytes;
use kafka_protocol::messages::*;
use pelton_core::coordinator::partition_for;
use pelton_core::event::{CommitOffset, GroupRequest, OffsetCommit, Reply, Request};
use pelton_core::model::{PartId, TopicPartition};
use std::time::Duration;

fn ids(groups: &[&str]) -> Vec<GroupId> {
    groups.iter().map(|id| GroupId(text(id))).collect()
}

async fn describe(client: &mut Client, version: i16, group: &str) -> describe_groups_response::DescribedGroup {
    let request = DescribeGroupsRequest::default().with_groups(ids(&[group, group]));
    let mut response = client.call(version, &request).await;
    assert_eq!(response.groups.len(), 1, "a group that is named twice is described once");
    response.groups.remove(0)
}

/// The groups of these states and types.
async fn list(client: &mut Client, states: &[&str], types: &[&str]) -> Vec<(String, String, String, String)> {
    let names = |names: &[&str]| names.iter().map(|name| text(name)).collect();
    let request = ListGroupsRequest::default().with_states_filter(names(states)).with_types_filter(names(types));
    let response = client.call(5, &request).await;
    assert_eq!(response.error_code, 0);
    let mut groups: Vec<_> = response
        .groups
        .iter()
        .map(|group| {
            let text = |text: &kafka_protocol::protocol::StrBytes| text.to_string();
            (text(&group.group_id.0), text(&group.protocol_type), text(&group.group_state), text(&group.group_type))
        })
        .collect();
    groups.sort();
    groups
}

async fn delete(client: &mut Client, groups: &[&str]) -> Vec<i16> {
    let response = client.call(2, &DeleteGroupsRequest::default().with_groups_names(ids(groups))).await;
    response.results.iter().map(|result| result.error_code).collect()
}

/// The error of the answer, and that of each partition of `t`.
async fn delete_offsets(client: &mut Client, group: &str, partitions: &[i32]) -> (i16, Vec<i16>) {
    use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let partition = |index: &i32| OffsetDeleteRequestPartition::default().with_partition_index(*index);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(partitions.iter().map(partition).collect());
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
    let response = client.call(0, &request).await;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    (response.error_code, partitions.map(|partition| partition.error_code).collect())
}

/// ConsumerProtocolSubscription v0 of the topic `t`.
const SUBSCRIBED_TO_T: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

/// A stable group of one member that subscribes to `t`: its generation and its member.
async fn member(client: &mut Client, group: &str) -> (i32, String) {
    let mut request = join(group, "");
    request.protocols[0].metadata = Bytes::from_static(SUBSCRIBED_TO_T);
    // Version 3 does not require the member id to be known.
    let joined = client.call(3, &request).await;
    let member = joined.member_id.to_string();
    assert_eq!(client.call(3, &sync(group, joined.generation_id, &member, true)).await.error_code, 0);
    (joined.generation_id, member)
}

async fn leave(client: &mut Client, group: &str, member: &str) {
    let identity = leave_group_request::MemberIdentity::default().with_member_id(text(member));
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group))).with_members(vec![identity]);
    assert_eq!(client.call(4, &request).await.members[0].error_code, 0);
}

/// Waits until the group has no offset of partition 0 of `t`.
async fn until_forgotten(client: &mut Client, group: &str) {
    let forgotten = async {
        while committed(client, group).await.0 != -1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgotten).await.expect("the offset is forgotten within a minute");
}

#[tokio::test]
async fn groups_are_listed_and_described_by_state() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert!(list(&mut client, &[], &[]).await.is_empty(), "before there is a coordinator");
    assert_eq!(describe(&mut client, 6, "used").await.error_code, 16, "NOT_COORDINATOR");
    find_coordinator(&mut client, 0, "used").await;
    let (_, member) = member(&mut client, "used").await;
    client.call(8, &commit("simple", -1, "", 1)).await;

    let row = |group: &str, kind: &str, state: &str| {
        (group.to_owned(), kind.to_owned(), state.to_owned(), "classic".to_owned())
    };
    let (simple, used) = (row("simple", "", "Empty"), row("used", "consumer", "Stable"));
    assert_eq!(list(&mut client, &[], &[]).await, [simple.clone(), used.clone()]);
    assert_eq!(list(&mut client, &["sTABLE", "nonsense"], &["Classic"]).await, std::slice::from_ref(&used));
    assert_eq!(list(&mut client, &["empty"], &[]).await, [simple]);
    assert!(list(&mut client, &["nonsense"], &[]).await.is_empty());
    assert!(list(&mut client, &[], &["consumer"]).await.is_empty());

    for version in 0..=6 {
        let group = describe(&mut client, version, "used").await;
        assert_eq!((group.error_code, group.group_state.as_str()), (0, "Stable"), "v{version}");
        assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
        let described = &group.members[0];
        assert_eq!((described.member_id.as_str(), described.client_id.as_str()), (member.as_str(), "test"));
        assert_eq!(described.client_host.as_str(), "/127.0.0.1");
        assert_eq!(
            (&described.member_metadata[..], &described.member_assignment[..]),
            (SUBSCRIBED_TO_T, &b"everything"[..])
        );
        assert_eq!(group.authorized_operations, i32::MIN, "nobody asked");
        let missing = describe(&mut client, version, "missing").await;
        assert_eq!(missing.group_state.as_str(), "Dead");
        if version < 6 {
            assert_eq!((missing.error_code, missing.error_message), (0, None));
        } else {
            assert_eq!(missing.error_code, 69, "GROUP_ID_NOT_FOUND");
            assert_eq!(missing.error_message.unwrap().as_str(), "Group missing not found.");
        }
    }
    let asked = DescribeGroupsRequest::default().with_groups(ids(&["used"])).with_include_authorized_operations(true);
    let answer = client.call(3, &asked).await;
    assert_eq!(answer.groups[0].authorized_operations, 0b1101_0100_1000, "READ, DELETE, DESCRIBE and those of configs");
    broker.stop().await;
}

#[tokio::test]
async fn a_group_is_deleted_once_its_members_are_gone() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    let (generation, member) = member(&mut client, "g").await;
    client.call(8, &commit("g", generation, &member, 5)).await;
    client.call(8, &commit("simple", -1, "", 6)).await;
    assert_eq!(
        delete(&mut client, &["g", "g", "missing", "simple"]).await,
        [68, 69, 0],
        "NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND"
    );
    assert_eq!((committed(&mut client, "g").await.0, committed(&mut client, "simple").await.0), (5, -1));
    leave(&mut client, "g", &member).await;
    assert_eq!(delete(&mut client, &["g"]).await, [0]);
    broker.stop().await;
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert!(list(&mut client, &[], &[]).await.is_empty(), "the tombstones are in the log");
    assert_eq!(committed(&mut client, "g").await.0, -1);
    broker.stop().await;
}

#[tokio::test]
async fn offsets_are_deleted_unless_somebody_subscribes_to_their_topic() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    find_coordinator(&mut client, 0, "g").await;
    assert_eq!(delete_offsets(&mut client, "g", &[0]).await, (69, Vec::new()), "GROUP_ID_NOT_FOUND");
    assert_eq!(delete_offsets(&mut client, "", &[0]).await, (24, Vec::new()), "INVALID_GROUP_ID");
    let (generation, member) = member(&mut client, "g").await;
    client.call(8, &commit("g", generation, &member, 5)).await;
    // GROUP_SUBSCRIBED_TO_TOPIC, and UNKNOWN_TOPIC_OR_PARTITION.
    assert_eq!(delete_offsets(&mut client, "g", &[0, 9]).await, (0, vec![86, 3]));
    leave(&mut client, "g", &member).await;
    assert_eq!(delete_offsets(&mut client, "g", &[0, 1, 9]).await, (0, vec![0, 0, 3]));
    assert_eq!(committed(&mut client, "g").await.0, -1);

    let connect = join("c", "").with_protocol_type(text("connect"));
    assert_eq!(client.call(3, &connect).await.error_code, 0);
    assert_eq!(delete_offsets(&mut client, "c", &[0]).await, (68, Vec::new()), "NON_EMPTY_GROUP");
    broker.stop().await;
}

#[tokio::test]
async fn a_deleted_topic_takes_its_offsets_along() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for group in ["a", "b", "c", "d"] {
        find_coordinator(&mut client, 0, group).await;
        client.call(8, &commit(group, -1, "", 5)).await;
    }
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &request).await.responses[0].error_code, 0);
    client.create("t", 1).await;
    client.call(8, &commit("d", -1, "", 7)).await;
    for group in ["a", "b", "c"] {
        until_forgotten(&mut client, group).await;
    }
    assert_eq!(committed(&mut client, "d").await.0, 7, "of the new topic of that name");
    broker.stop().await;
}

#[tokio::test]
async fn offsets_of_topics_that_are_gone_are_forgotten_at_the_start() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    client.call(8, &commit("g", -1, "", 5)).await;
    // As after a crash between the deletion of a topic and the tombstones.
    commit_unchecked(&broker, "g", "gone").await;
    commit_unchecked(&broker, "only", "gone").await;
    broker.stop().await;
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let all = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(None);
    let names: Vec<_> = client.call(7, &all).await.topics.iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["t"]);
    assert_eq!(list(&mut client, &[], &[]).await.len(), 1, "a group of nothing else is gone");
    broker.stop().await;
}

/// Commits an offset of a topic that need not exist.
async fn commit_unchecked(broker: &Broker, group: &str, topic: &str) {
    let partition = TopicPartition::new(topic, 0);
    let commit = OffsetCommit {
        group: group.into(),
        generation: -1,
        member: "".into(),
        instance: None,
        retention_ms: None,
        offsets: vec![CommitOffset { partition, offset: 3, leader_epoch: None, metadata: "".into() }],
    };
    let part = PartId::Group(partition_for(group, 3));
    let reply = broker.ask(part, Request::Group(GroupRequest::Commit(commit))).await;
    assert!(matches!(reply, Reply::Group(Ok(_))), "{reply:?}");
}

#[tokio::test]
async fn offsets_expire_by_the_configuration_or_by_what_an_old_client_says() {
    let (_temporary, broker) = started(|settings| {
        settings.core.offsets_retention_ms = 1;
        settings.core.offsets_retention_check_interval_ms = 10;
    })
    .await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    // Versions 2 to 4 may say how long: here a day, or nothing.
    client.call(2, &commit("kept", -1, "", 6).with_retention_time_ms(86_400_000)).await;
    client.call(2, &commit("brief", -1, "", 6)).await;
    client.call(8, &commit("g", -1, "", 5)).await;
    until_forgotten(&mut client, "g").await;
    until_forgotten(&mut client, "brief").await;
    assert_eq!(committed(&mut client, "kept").await, (6, "note".to_owned()));
    broker.stop().await;
}

#[tokio::test]
async fn metadata_that_is_too_long_refuses_its_own_partition() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    find_coordinator(&mut client, 0, "g").await;
    let mut request = commit("g", -1, "", 5);
    request.topics[0].partitions[1].partition_index = 1;
    request.topics[0].partitions[1].committed_metadata = Some(text(&"x".repeat(4_097)));
    let answer = client.call(8, &request).await;
    let errors: Vec<i16> = answer.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(errors, [0, 12], "OFFSET_METADATA_TOO_LARGE");
    assert_eq!(committed(&mut client, "g").await.0, 5);
    broker.stop().await;
}

#[tokio::test]
async fn two_programs_that_share_a_group_id_by_mistake_are_told() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    find_coordinator(&mut client, 0, "g").await;
    member(&mut client, "g").await;
    let connect = join("g", "").with_protocol_type(text("connect"));
    assert_eq!(client.call(5, &connect).await.error_code, 23, "INCONSISTENT_GROUP_PROTOCOL");
    let mut sticky = join("g", "");
    sticky.protocols[0].name = text("sticky");
    assert_eq!(client.call(5, &sticky).await.error_code, 23);
    // A consumer that chooses its partitions itself may not move the offsets of a group that is in use.
    client.create("t", 1).await;
    let answer = client.call(8, &commit("g", -1, "", 5)).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 25, "UNKNOWN_MEMBER_ID");
    for request in
        [join("", ""), join("g", "").with_session_timeout_ms(5_999), join("g", "").with_session_timeout_ms(1_800_001)]
    {
        let expected = if request.group_id.is_empty() { 24 } else { 26 };
        assert_eq!(client.call(5, &request).await.error_code, expected);
    }
    broker.stop().await;
}

#[tokio::test]
async fn of_all_offsets_those_that_a_transaction_may_change_are_named_as_unstable() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    client.call(8, &commit("g", -1, "", 5)).await;
    let producer = Producer::begin(&mut client, "id").await;
    producer.commit(&mut client, "g", 10).await;

    let all = |stable| {
        OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(None).with_require_stable(stable)
    };
    for (stable, expected) in [(true, (88, -1)), (false, (0, 5))] {
        let answer = client.call(7, &all(stable)).await;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((answer.error_code, (partition.error_code, partition.committed_offset)), (0, expected));
    }
    assert_eq!(producer.end(&mut client, true).await, 0);
    let settled = async {
        while client.call(7, &all(true)).await.topics[0].partitions[0].committed_offset != 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the transaction ends within a minute");
    broker.stop().await;
}

#[tokio::test]
async fn offsets_of_a_group_are_told_once_in_an_answer() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    client.call(8, &commit("g", -1, "", 5)).await;
    let group = |id: &str| {
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(GroupId(text(id))).with_topics(None)
    };
    let request = OffsetFetchRequest::default().with_groups(vec![group("g"), group("h"), group("g")]);
    let answer = client.call(8, &request).await;
    let told: Vec<_> = answer.groups.iter().map(|group| (group.error_code, group.topics.len())).collect();
    assert_eq!(told, [(0, 1), (0, 0), (42, 0)], "INVALID_REQUEST the second time");
    broker.stop().await;
}
