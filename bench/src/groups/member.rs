//! A member of a group, as a consumer's coordinator is one: it joins, takes its partitions, asks what is committed of them,
//! says every three seconds that it is there, commits when it is told to, and joins again when the group rebalances.
//!
//! It has one connection and one request under way on it. It fetches no records: those are no part of what is measured.
//! Whatever a broker may not answer here ends it with an error, and with it the run.

use super::assignment::{self, PROTOCOL};
use super::ledger::Ledger;
use super::wire::Connection;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Barrier, Semaphore};

/// The consumer's defaults (`session.timeout.ms`, `max.poll.interval.ms`, `heartbeat.interval.ms`).
const SESSION_TIMEOUT_MS: i32 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 300_000;
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
/// Before a coordinator that is not there yet is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(5);
/// How often a member may be sent back before it says that something is wrong.
const TRIES_AT_MOST: u32 = 10_000;

/// Versions of the requests: the newest of the classic protocol.
const FIND_COORDINATOR: i16 = 4;
const JOIN_GROUP: i16 = 9;
const SYNC_GROUP: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE_GROUP: i16 = 5;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 8;

/// What a member is told.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// To commit an offset of each of its partitions.
    Commit {
        /// When.
        meant: Instant,
    },
    /// To leave its group and to join it again.
    LeaveAndJoin,
}

/// What the members of a load have in common.
pub struct Shared {
    /// Where the broker listens.
    pub bootstrap: String,
    /// What the names of the groups begin with.
    pub prefix: String,
    /// The topic that all read.
    pub topic: StrBytes,
    /// Its partitions.
    pub partitions: i32,
    /// What they know together.
    pub ledger: Ledger,
    /// Who may connect at the same time.
    pub connecting: Semaphore,
    /// Where those who are connected wait for the others.
    pub connected: Barrier,
}

impl Shared {
    /// The id of a group.
    pub fn group_id(&self, group: usize) -> GroupId {
        GroupId(StrBytes::from_string(format!("{}-{group}", self.prefix)))
    }
}

/// A member.
pub struct Member {
    shared: Rc<Shared>,
    group: usize,
    number: usize,
    group_id: GroupId,
    orders: Receiver<Order>,
    connection: Connection,
    id: StrBytes,
    generation: i32,
    partitions: Vec<i32>,
    heartbeat_due: Instant,
}

impl Member {
    /// Connects, joins once everybody is connected, and does what it is told until nobody is left to tell it anything; then
    /// it leaves.
    pub async fn run(shared: Rc<Shared>, group: usize, number: usize, orders: Receiver<Order>) -> Result<()> {
        let context = format!("member {number} of group {group}");
        let member = Self::connect(shared, group, number, orders).await;
        match member {
            Ok(mut member) => member.obey().await.context(context),
            Err(error) => Err(error.context(context)),
        }
    }

    async fn connect(shared: Rc<Shared>, group: usize, number: usize, orders: Receiver<Order>) -> Result<Self> {
        let group_id = shared.group_id(group);
        let permit = shared.connecting.acquire().await?;
        let mut connection = Connection::open(&shared.bootstrap).await?;
        // Whoever was answered has been accepted.
        find_coordinator(&mut connection, &group_id).await?;
        drop(permit);
        let (id, heartbeat_due, partitions) = (StrBytes::new(), Instant::now(), Vec::new());
        Ok(Self { shared, group, number, group_id, orders, connection, id, generation: -1, partitions, heartbeat_due })
    }

    async fn obey(&mut self) -> Result<()> {
        self.shared.connected.wait().await;
        self.join().await?;
        loop {
            let heartbeat = tokio::time::sleep_until(self.heartbeat_due.into());
            tokio::select! {
                biased;
                () = heartbeat => self.heartbeat().await?,
                order = self.orders.recv() => match order {
                    Some(Order::Commit { meant }) => self.commit(meant).await?,
                    Some(Order::LeaveAndJoin) => {
                        self.leave().await?;
                        self.join().await?;
                    }
                    None => return self.leave().await,
                },
            }
        }
    }

    /// Joins until it is in a generation with everybody else.
    async fn join(&mut self) -> Result<()> {
        for _ in 0..TRIES_AT_MOST {
            self.shared.ledger.joins(self.group, self.number);
            let joined = self.connection.call(JOIN_GROUP, &self.join_request()?).await?;
            match ResponseError::try_from_code(joined.error_code) {
                None => {}
                Some(ResponseError::MemberIdRequired) => {
                    self.id = joined.member_id;
                    continue;
                }
                Some(error) => {
                    self.sent_back(error).await?;
                    continue;
                }
            }
            self.id = joined.member_id.clone();
            self.generation = joined.generation_id;
            if self.sync(&joined).await? {
                self.take_up().await?;
                self.heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
                self.shared.ledger.settles(self.group, self.number, self.generation);
                return Ok(());
            }
        }
        bail!("it was sent back {TRIES_AT_MOST} times")
    }

    fn join_request(&self) -> Result<JoinGroupRequest> {
        let range = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(PROTOCOL))
            .with_metadata(assignment::subscription(&self.shared.topic)?);
        Ok(JoinGroupRequest::default()
            .with_group_id(self.group_id.clone())
            .with_session_timeout_ms(SESSION_TIMEOUT_MS)
            .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
            .with_member_id(self.id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![range]))
    }

    /// Gets its partitions; gives them to everybody where it leads. False: the group rebalances again.
    async fn sync(&mut self, joined: &JoinGroupResponse) -> Result<bool> {
        let assignments = if joined.leader == joined.member_id { self.assign(joined)? } else { Vec::new() };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str(PROTOCOL)))
            .with_assignments(assignments);
        let synced = self.connection.call(SYNC_GROUP, &request).await?;
        if let Some(error) = ResponseError::try_from_code(synced.error_code) {
            self.sent_back(error).await?;
            return Ok(false);
        }
        self.partitions = assignment::partitions_of(&self.shared.topic, synced.assignment)?;
        Ok(true)
    }

    fn assign(&self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>> {
        let mut ids: Vec<&StrBytes> = joined.members.iter().map(|member| &member.member_id).collect();
        ids.sort();
        let of = |place: usize| -> Result<Bytes> {
            let partitions = assignment::range(self.shared.partitions, ids.len(), place);
            assignment::assignment(&self.shared.topic, partitions)
        };
        let to = |(place, id): (usize, &&StrBytes)| {
            Ok(SyncGroupRequestAssignment::default().with_member_id((*id).clone()).with_assignment(of(place)?))
        };
        ids.iter().enumerate().map(to).collect()
    }

    /// Asks what is committed of its partitions, which must be what was acknowledged to those who had them before.
    async fn take_up(&mut self) -> Result<()> {
        let fetched = fetch_offsets(&mut self.connection, &self.shared, self.group, &self.partitions).await?;
        self.shared.ledger.compare(self.group, &fetched)
    }

    async fn heartbeat(&mut self) -> Result<()> {
        self.heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone());
        let heard = self.connection.call(HEARTBEAT, &request).await?;
        match ResponseError::try_from_code(heard.error_code) {
            None => Ok(()),
            Some(error) => {
                self.sent_back(error).await?;
                self.join().await
            }
        }
    }

    async fn commit(&mut self, meant: Instant) -> Result<()> {
        // Each offset is another, so that one that is lost, or comes back, shows.
        let next = |partition: i32| {
            let known = self.shared.ledger.offset(self.group, partition);
            (partition, known.map_or(i64::from(partition), |offset| offset + 1 + i64::from(partition % 7)))
        };
        let offsets: Vec<(i32, i64)> = self.partitions.iter().copied().map(next).collect();
        let of_partition = |&(partition, offset): &(i32, i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::new()))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(self.shared.topic.clone()))
            .with_partitions(offsets.iter().map(of_partition).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id.clone())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_topics(vec![topic]);
        let answer = self.connection.call(OFFSET_COMMIT, &request).await?;
        let ledger = &self.shared.ledger;
        let Some(error) = error_of(&answer, offsets.len())? else {
            ledger.acknowledged(self.group, &offsets, meant);
            return Ok(());
        };
        match error {
            ResponseError::RebalanceInProgress => ledger.rebalancing(meant),
            ResponseError::IllegalGeneration | ResponseError::UnknownMemberId => ledger.fenced(meant),
            other => bail!("a commit was refused: {other}"),
        }
        self.sent_back(error).await?;
        self.join().await
    }

    async fn leave(&mut self) -> Result<()> {
        let identity = MemberIdentity::default().with_member_id(std::mem::take(&mut self.id));
        let request = LeaveGroupRequest::default().with_group_id(self.group_id.clone()).with_members(vec![identity]);
        let left = self.connection.call(LEAVE_GROUP, &request).await?;
        let codes = left.members.iter().map(|member| member.error_code).chain([left.error_code]);
        match codes.filter_map(ResponseError::try_from_code).next() {
            None => Ok(()),
            Some(error) => bail!("it may not leave: {error}"),
        }
    }

    /// What a consumer does about an error of its coordinator before it joins again.
    async fn sent_back(&mut self, error: ResponseError) -> Result<()> {
        match error {
            ResponseError::RebalanceInProgress | ResponseError::IllegalGeneration => Ok(()),
            ResponseError::UnknownMemberId => {
                self.id = StrBytes::new();
                Ok(())
            }
            other => wait_for_coordinator(other).await,
        }
    }
}

/// The error of a commit; all of its partitions have the same.
fn error_of(answer: &OffsetCommitResponse, partitions: usize) -> Result<Option<ResponseError>> {
    let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    let answered = codes.clone().count();
    ensure!(answered == partitions, "{partitions} partitions were committed, and {answered} were answered");
    let first = codes.next().unwrap_or(0);
    ensure!(codes.all(|code| code == first), "a commit was refused in parts");
    Ok(ResponseError::try_from_code(first))
}

/// Waits where the coordinator is not there yet; any other error ends the run.
async fn wait_for_coordinator(error: ResponseError) -> Result<()> {
    match error {
        ResponseError::CoordinatorLoadInProgress
        | ResponseError::CoordinatorNotAvailable
        | ResponseError::NotCoordinator
        | ResponseError::UnstableOffsetCommit => {
            tokio::time::sleep(RETRY_AFTER).await;
            Ok(())
        }
        other => bail!("the broker says: {other}"),
    }
}

/// Asks who coordinates a group until somebody does.
pub async fn find_coordinator(connection: &mut Connection, group: &GroupId) -> Result<()> {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]);
    for _ in 0..TRIES_AT_MOST {
        let found = connection.call(FIND_COORDINATOR, &request).await?;
        let [coordinator] = &found.coordinators[..] else { bail!("it was asked for one coordinator") };
        match ResponseError::try_from_code(coordinator.error_code) {
            None => return Ok(()),
            Some(error) => wait_for_coordinator(error).await?,
        }
    }
    bail!("nobody coordinates {}", group.0)
}

/// What is committed of partitions.
pub async fn fetch_offsets(
    connection: &mut Connection,
    shared: &Shared,
    group: usize,
    partitions: &[i32],
) -> Result<Vec<(i32, Option<i64>)>> {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(shared.topic.clone()))
        .with_partition_indexes(partitions.to_vec());
    let asked = OffsetFetchRequestGroup::default().with_group_id(shared.group_id(group)).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(true);
    'again: for _ in 0..TRIES_AT_MOST {
        let mut answer = connection.call(OFFSET_FETCH, &request).await?;
        let Some(of_group) = answer.groups.pop() else { bail!("it was asked for one group") };
        let of_partitions: Vec<_> = of_group.topics.into_iter().flat_map(|topic| topic.partitions).collect();
        let codes = of_partitions.iter().map(|partition| partition.error_code).chain([of_group.error_code]);
        if let Some(error) = codes.filter_map(ResponseError::try_from_code).next() {
            wait_for_coordinator(error).await?;
            continue 'again;
        }
        ensure!(of_partitions.len() == partitions.len(), "{} partitions were answered", of_partitions.len());
        let offset = |offset: i64| (offset >= 0).then_some(offset);
        return Ok(of_partitions.iter().map(|one| (one.partition_index, offset(one.committed_offset))).collect());
    }
    bail!("the offsets of group {group} were not to be had")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};

    fn answer(codes: &[i16]) -> OffsetCommitResponse {
        let partitions = codes.iter().map(|code| OffsetCommitResponsePartition::default().with_error_code(*code));
        let topic = OffsetCommitResponseTopic::default().with_partitions(partitions.collect());
        OffsetCommitResponse::default().with_topics(vec![topic])
    }

    #[test]
    fn a_commit_is_refused_as_a_whole_or_not_at_all() {
        assert_eq!(error_of(&answer(&[0, 0]), 2).unwrap(), None);
        assert_eq!(error_of(&answer(&[27, 27]), 2).unwrap(), Some(ResponseError::RebalanceInProgress));
        assert!(error_of(&answer(&[0, 27]), 2).is_err());
        assert!(error_of(&answer(&[0]), 2).is_err());
    }
}
