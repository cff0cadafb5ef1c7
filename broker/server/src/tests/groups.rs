use super::client::*;
use bytes::Bytes;
use kafka_protocol::messages::*;

pub fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = join_group_request::JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"subscription"));
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

pub fn sync(group: &str, generation: i32, member: &str, leads: bool) -> SyncGroupRequest {
    let assignment = sync_group_request::SyncGroupRequestAssignment::default()
        .with_member_id(text(member))
        .with_assignment(Bytes::from_static(b"everything"));
    SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(if leads { vec![assignment] } else { Vec::new() })
}

/// Commits an offset of partition 0 of `t`, and one of a partition that does not exist.
pub fn commit(group: &str, generation: i32, member: &str, offset: i64) -> OffsetCommitRequest {
    commit_offsets(group, &[("t", &[(0, offset), (9, offset)])])
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
}

/// Commits offsets of partitions, by topic, outside of the group protocol.
pub fn commit_offsets(group: &str, offsets: &[(&str, &[(i32, i64)])]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(index, offset)| {
            offset_commit_request::OffsetCommitRequestPartition::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text("note")))
        });
        offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

/// The committed offset of partition 0 of `t`, and its note.
pub async fn committed(client: &mut Client, group: &str) -> (i64, String) {
    let topic = offset_fetch_request::OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let group = offset_fetch_request::OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![topic]));
    let response = client.call(8, &OffsetFetchRequest::default().with_groups(vec![group])).await;
    assert_eq!(response.groups[0].error_code, 0);
    let partition = &response.groups[0].topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    (partition.committed_offset, partition.metadata.as_ref().unwrap().to_string())
}

/// Makes the coordinators' topic, as every client does first.
pub async fn find_coordinator(client: &mut Client, kind: i8, key: &str) {
    let request = FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text(key)]);
    let response = client.call(4, &request).await;
    assert_eq!((response.coordinators[0].error_code, response.coordinators[0].node_id), (0, BrokerId(1)));
}

#[tokio::test]
async fn a_member_joins_syncs_beats_commits_and_leaves() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let early = client.call(5, &join("g", "")).await;
    assert_eq!(early.error_code, 16, "NOT_COORDINATOR before there is one");
    find_coordinator(&mut client, 0, "g").await;

    let first = client.call(5, &join("g", "")).await;
    assert_eq!(first.error_code, 79, "MEMBER_ID_REQUIRED");
    let member = first.member_id.to_string();
    assert!(member.starts_with("test-"), "{member}");
    let joined = client.call(5, &join("g", &member)).await;
    assert_eq!((joined.error_code, joined.leader.as_str(), joined.members.len()), (0, member.as_str(), 1));
    assert_eq!(joined.members[0].metadata, &b"subscription"[..]);
    let generation = joined.generation_id;
    let synced = client.call(5, &sync("g", generation, &member, true)).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"everything"[..]));

    let beat = HeartbeatRequest::default().with_group_id(GroupId(text("g"))).with_member_id(text(&member));
    assert_eq!(client.call(4, &beat.clone().with_generation_id(generation)).await.error_code, 0);
    assert_eq!(client.call(4, &beat.with_generation_id(generation + 1)).await.error_code, 22, "ILLEGAL_GENERATION");

    let answer = client.call(8, &commit("g", generation, &member, 5)).await;
    let errors: Vec<i16> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(errors, [0, 3], "a partition that does not exist does not stop the others");
    assert_eq!(committed(&mut client, "g").await, (5, "note".to_owned()));
    let stale = client.call(8, &commit("g", generation, "stranger", 6)).await;
    assert_eq!(stale.topics[0].partitions[0].error_code, 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(committed(&mut client, "g").await.0, 5);

    let all = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(None);
    let all = client.call(7, &all).await;
    assert_eq!((all.error_code, all.topics.len(), all.topics[0].partitions[0].committed_offset), (0, 1, 5));

    let identity = leave_group_request::MemberIdentity::default().with_member_id(text(&member));
    let leave = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_members(vec![identity]);
    let left = client.call(4, &leave).await;
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    let again = client.call(4, &leave).await;
    assert_eq!(again.members[0].error_code, 25);
    broker.stop().await;
}

#[tokio::test]
async fn a_second_member_makes_the_first_one_join_again() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (mut one, mut two) = (Client::connect(&broker).await, Client::connect(&broker).await);
    find_coordinator(&mut one, 0, "g").await;
    // Version 3 does not require the member id to be known.
    let first = one.call(3, &join("g", "")).await;
    let leader = first.member_id.to_string();
    one.call(3, &sync("g", first.generation_id, &leader, true)).await;
    let waiting = two.send(3, &join("g", "")).await;
    let beat = HeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(first.generation_id)
        .with_member_id(text(&leader));
    // The second member's request is on its way; sooner or later the first one hears of it.
    while one.call(3, &beat).await.error_code != 27 {
        tokio::task::yield_now().await;
    }
    let rejoined = one.call(3, &join("g", &leader)).await;
    let second = two.receive::<JoinGroupRequest>(3, waiting).await;
    assert_eq!((rejoined.error_code, second.error_code), (0, 0));
    assert_eq!(rejoined.generation_id, second.generation_id);
    assert_eq!((rejoined.members.len(), second.members.len()), (2, 0), "only the leader is told of the members");
    // The follower's sync waits for the leader's.
    let follower = second.member_id.to_string();
    let waiting = two.send(3, &sync("g", second.generation_id, &follower, false)).await;
    let assignment = sync_group_request::SyncGroupRequestAssignment::default()
        .with_member_id(text(&follower))
        .with_assignment(Bytes::from_static(b"yours"));
    one.call(3, &sync("g", second.generation_id, &leader, false).with_assignments(vec![assignment])).await;
    let synced = two.receive::<SyncGroupRequest>(3, waiting).await;
    assert_eq!(&synced.assignment[..], b"yours");
    broker.stop().await;
}

#[tokio::test]
async fn a_consumer_without_a_group_may_commit() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "simple").await;
    let answer = client.call(8, &commit("simple", -1, "", 77)).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    assert_eq!(committed(&mut client, "simple").await.0, 77);
    assert_eq!(committed(&mut client, "other").await.0, -1);
    broker.stop().await;
}

#[tokio::test]
async fn a_static_leader_that_comes_back_does_not_assign_anew() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    find_coordinator(&mut client, 0, "g").await;
    let join = join("g", "").with_group_instance_id(Some(text("rack-1")));
    let first = client.call(5, &join).await;
    assert_eq!((first.error_code, first.members.len(), &first.leader), (0, 1, &first.member_id));
    let lead = sync("g", first.generation_id, &first.member_id, true).with_group_instance_id(Some(text("rack-1")));
    assert_eq!(client.call(5, &lead).await.error_code, 0);
    for version in [5, 8, 9] {
        let back = client.call(version, &join).await;
        assert_eq!((back.error_code, back.generation_id), (0, first.generation_id), "v{version}");
        if version < 9 {
            assert_eq!((back.leader.as_str(), back.members.len()), ("", 0), "v{version} cannot say skip");
        } else {
            assert_eq!((&back.leader, back.members.len(), back.skip_assignment), (&back.member_id, 1, true));
        }
        let follow = sync("g", back.generation_id, &back.member_id, false).with_group_instance_id(Some(text("rack-1")));
        let synced = client.call(3, &follow).await;
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"everything"[..]), "v{version}");
    }
    broker.stop().await;
}
