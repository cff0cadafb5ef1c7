//! Members of the classic protocol as clients see them: static ones, cooperative ones, slow ones, and one too many.

use super::client::*;
use super::groups::{commit, committed, find_coordinator, join, sync};
use crate::Broker;
use bytes::Bytes;
use kafka_protocol::messages::*;

fn heartbeat(generation: i32, member: &str) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(generation)
        .with_member_id(text(member))
}

fn static_join(instance: &str) -> JoinGroupRequest {
    join("g", "").with_group_instance_id(Some(text(instance)))
}

/// Gives each member its own assignment.
fn assign(generation: i32, leader: &str, members: &[(&str, &'static str)]) -> SyncGroupRequest {
    let assignment = |(member, text_of): &(&str, &'static str)| {
        sync_group_request::SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(text_of.as_bytes()))
    };
    sync("g", generation, leader, false).with_assignments(members.iter().map(assignment).collect())
}

/// Two members of one generation. The first leads; nobody has an assignment yet.
async fn pair(
    one: &mut Client,
    two: &mut Client,
    version: i16,
    joins: [JoinGroupRequest; 2],
) -> (JoinGroupResponse, JoinGroupResponse) {
    let [first, second] = joins;
    let alone = one.call(version, &first).await;
    assert_eq!(alone.error_code, 0);
    let leader = alone.member_id.to_string();
    assert_eq!(one.call(3, &sync("g", alone.generation_id, &leader, true)).await.error_code, 0);
    let waiting = two.send(version, &second).await;
    // The second join is on its way; sooner or later the first member hears of it.
    while one.call(3, &heartbeat(alone.generation_id, &leader)).await.error_code != 27 {
        tokio::task::yield_now().await;
    }
    let rejoined = one.call(version, &first.with_member_id(text(&leader))).await;
    let joined = two.receive::<JoinGroupRequest>(version, waiting).await;
    assert_eq!((rejoined.error_code, joined.error_code), (0, 0));
    (rejoined, joined)
}

async fn ready(broker: &Broker) -> (Client, Client) {
    let mut one = Client::connect(broker).await;
    one.create("t", 1).await;
    find_coordinator(&mut one, 0, "g").await;
    (one, Client::connect(broker).await)
}

/// The error of partition 0 of `t`.
async fn commit_error(client: &mut Client, request: &OffsetCommitRequest) -> i16 {
    client.call(8, request).await.topics[0].partitions[0].error_code
}

#[tokio::test]
async fn a_static_member_that_comes_back_keeps_its_assignment_and_fences_its_former_self() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (mut one, mut two) = ready(&broker).await;
    let joins = [static_join("rack-1"), static_join("rack-2")];
    let (first, second) = pair(&mut one, &mut two, 5, joins).await;
    let generation = first.generation_id;
    let (leader, follower) = (first.member_id.as_str(), second.member_id.as_str());
    assert!(follower.starts_with("rack-2-"), "{follower}");
    assert_eq!(first.members[1].group_instance_id.as_ref().map(|id| id.as_str()), Some("rack-2"));
    let assigned = assign(generation, leader, &[(leader, "mine"), (follower, "yours")]);
    assert_eq!(&one.call(3, &assigned).await.assignment[..], b"mine");
    assert_eq!(&two.call(3, &sync("g", generation, follower, false)).await.assignment[..], b"yours");

    let back = two.call(5, &static_join("rack-2")).await;
    assert_eq!((back.error_code, back.generation_id), (0, generation));
    assert_ne!(back.member_id, second.member_id);
    let synced = two.call(3, &sync("g", generation, &back.member_id, false)).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"yours"[..]));
    assert_eq!(one.call(3, &heartbeat(generation, leader)).await.error_code, 0, "nobody else noticed");

    let instance = Some(text("rack-2"));
    let old = heartbeat(generation, follower).with_group_instance_id(instance.clone());
    assert_eq!(two.call(3, &old).await.error_code, 82, "FENCED_INSTANCE_ID");
    let old = static_join("rack-2").with_member_id(text(follower));
    assert_eq!(two.call(5, &old).await.error_code, 82);
    let old = sync("g", generation, follower, false).with_group_instance_id(instance.clone());
    assert_eq!(two.call(3, &old).await.error_code, 82);
    let old = commit("g", generation, follower, 5).with_group_instance_id(instance);
    assert_eq!(commit_error(&mut two, &old).await, 82);
    assert_eq!(two.call(3, &heartbeat(generation, follower)).await.error_code, 25, "UNKNOWN_MEMBER_ID");
    broker.stop().await;
}

#[tokio::test]
async fn several_static_members_leave_in_one_request_by_their_instance_ids() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (mut one, mut two) = ready(&broker).await;
    let (first, _) = pair(&mut one, &mut two, 5, [static_join("rack-1"), static_join("rack-2")]).await;
    let leaving = |member: &str, instance: &str| {
        leave_group_request::MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(Some(text(instance)))
            .with_reason(Some(text("the administrator says so")))
    };
    let members =
        vec![leaving("", "rack-3"), leaving("stranger", "rack-1"), leaving("", "rack-1"), leaving("", "rack-2")];
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_members(members);
    let left = one.call(5, &request).await;
    let errors: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!((left.error_code, errors), (0, vec![25, 82, 0, 0]));
    assert_eq!(left.members[3].group_instance_id.as_ref().map(|id| id.as_str()), Some("rack-2"));
    assert_eq!(one.call(3, &heartbeat(first.generation_id, &first.member_id)).await.error_code, 25);
    let describe = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("g"))]);
    assert_eq!(one.call(5, &describe).await.groups[0].group_state.as_str(), "Empty");
    broker.stop().await;
}

#[tokio::test]
async fn what_members_say_to_each_other_passes_through_untouched() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (mut one, mut two) = ready(&broker).await;
    // As a consumer that moves from range to cooperative-sticky: owned partitions and a generation are in the metadata.
    let cooperative = |owned: &'static [u8]| {
        let mut request = join("g", "");
        let range = request.protocols[0].clone();
        let sticky = range.clone().with_name(text("cooperative-sticky")).with_metadata(Bytes::from_static(owned));
        request.protocols = vec![sticky, range];
        request
    };
    let joins = [cooperative(b"\0\x03owns 0 and 1\xff"), cooperative(b"\0\x03owns nothing\xff")];
    let (first, second) = pair(&mut one, &mut two, 3, joins).await;
    assert_eq!(first.protocol_name.as_ref().map(|name| name.as_str()), Some("cooperative-sticky"));
    let of = |id: &kafka_protocol::protocol::StrBytes| {
        let member = first.members.iter().find(|member| member.member_id == *id);
        member.map(|member| member.metadata.clone()).expect("the leader knows every member")
    };
    assert_eq!(&of(&first.member_id)[..], b"\0\x03owns 0 and 1\xff");
    assert_eq!(&of(&second.member_id)[..], b"\0\x03owns nothing\xff");
    broker.stop().await;
}

#[tokio::test]
async fn a_slow_member_does_not_move_the_offsets_of_those_that_went_on() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (mut one, mut two) = ready(&broker).await;
    let (first, second) = pair(&mut one, &mut two, 3, [join("g", ""), join("g", "")]).await;
    let generation = first.generation_id;
    let (leader, follower) = (first.member_id.as_str(), second.member_id.as_str());
    assert_eq!(commit_error(&mut one, &commit("g", generation, leader, 1)).await, 27, "REBALANCE_IN_PROGRESS");
    assert_eq!(one.call(3, &assign(generation, leader, &[])).await.error_code, 0);
    assert_eq!(commit_error(&mut one, &commit("g", generation - 1, leader, 2)).await, 22, "ILLEGAL_GENERATION");
    assert_eq!(commit_error(&mut one, &commit("g", generation, leader, 3)).await, 0);
    let identity = leave_group_request::MemberIdentity::default().with_member_id(text(follower));
    let leave = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_members(vec![identity]);
    assert_eq!(two.call(4, &leave).await.members[0].error_code, 0);
    assert_eq!(commit_error(&mut two, &commit("g", generation, follower, 4)).await, 25, "UNKNOWN_MEMBER_ID");
    // The one that stayed learns of it by its heartbeat, and may commit before it joins again.
    assert_eq!(one.call(3, &heartbeat(generation, leader)).await.error_code, 27);
    assert_eq!(commit_error(&mut one, &commit("g", generation, leader, 5)).await, 0);
    // Of a group that is not there.
    let gone = commit("other", 3, "m", 6);
    for version in [8, 9] {
        find_coordinator(&mut one, 0, "other").await;
        let answer = one.call(version, &gone).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 22, "v{version}");
    }
    assert_eq!(committed(&mut one, "g").await.0, 5);
    broker.stop().await;
}

#[tokio::test]
async fn one_member_too_many_is_told_so_and_has_no_id() {
    let (_temporary, broker) = started(|settings| settings.core.group_max_size = 1).await;
    let (mut one, mut two) = ready(&broker).await;
    let first = one.call(3, &join("g", "")).await;
    assert_eq!(one.call(3, &sync("g", first.generation_id, &first.member_id, true)).await.error_code, 0);
    let refused = two.call(9, &join("g", "").with_reason(Some(text("scaled out")))).await;
    assert_eq!((refused.error_code, refused.member_id.as_str()), (81, ""), "GROUP_MAX_SIZE_REACHED");
    assert_eq!(one.call(3, &heartbeat(first.generation_id, &first.member_id)).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn members_that_wait_for_others_leave_them_the_memory_to_come() {
    let temporary = tempfile::tempdir().unwrap();
    // Room for one join at a time.
    let settings = crate::ServerConfig { request_memory_bytes: 16 << 10, ..config(temporary.path()) };
    let broker = Broker::start(settings, no_plugins).await.unwrap();
    let (mut one, mut two) = ready(&broker).await;
    let (first, second) = pair(&mut one, &mut two, 3, [join("g", ""), join("g", "")]).await;
    let generation = first.generation_id;
    // The follower waits for the leader's assignments, and the leader's request finds room.
    let waiting = two.send(3, &sync("g", generation, &second.member_id, false)).await;
    let assigned = assign(generation, &first.member_id, &[(second.member_id.as_str(), "yours")]);
    assert_eq!(one.call(3, &assigned).await.error_code, 0);
    assert_eq!(&two.receive::<SyncGroupRequest>(3, waiting).await.assignment[..], b"yours");
    broker.stop().await;
}
