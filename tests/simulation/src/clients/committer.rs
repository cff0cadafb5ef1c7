//! A plain consumer: it reads one partition of the inputs and commits how far it came, outside of transactions. Now and
//! then it forgets everything and goes on from what is committed.

use super::{Client, DATA, PARTITIONS, READER_GROUP, Turn, is_retriable, log_of};
use crate::entry::decode;
use crate::observation::Observation;
use pelton_core::coordinator::partition_for;
use pelton_core::event::{
    CommitOffset, GroupReply, GroupRequest, OffsetCommit, PartitionReply, PartitionRequest, Reply, Request,
};
use pelton_core::model::{Isolation, Offset, PartId, Token, TopicPartition};

/// The client.
#[derive(Debug)]
pub struct Committer {
    group_part: PartId,
    state: State,
    position: Offset,
    waiting: Option<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FetchingOffset,
    Reading,
    Committing,
}

impl Committer {
    /// A consumer; `__consumer_offsets` has `offsets_partitions` partitions.
    pub fn new(offsets_partitions: i32) -> Self {
        let group_part = PartId::Group(partition_for(READER_GROUP, offsets_partitions));
        Self { group_part, state: State::FetchingOffset, position: 0, waiting: None }
    }

    fn partition() -> TopicPartition {
        TopicPartition::new(DATA, PARTITIONS - 1)
    }
}

impl Client for Committer {
    fn act(&mut self, turn: &mut Turn<'_>) {
        if self.waiting.is_some() || (turn.ending && self.state != State::Committing) {
            return;
        }
        if self.state == State::Reading && turn.rng.permille(50) {
            self.state = State::FetchingOffset;
        }
        let token = match self.state {
            State::FetchingOffset => {
                let request = GroupRequest::FetchOffsets {
                    group: READER_GROUP.into(),
                    partitions: turn.rng.permille(500).then(|| vec![Self::partition()]),
                    require_stable: false,
                };
                turn.ask(self.group_part.clone(), Request::Group(request))
            }
            State::Reading => {
                let request = PartitionRequest::Fetch {
                    offset: self.position,
                    current_leader_epoch: None,
                    max_bytes: 500,
                    isolation: Isolation::ReadUncommitted,
                };
                turn.ask(log_of(DATA, PARTITIONS - 1), Request::Partition(request))
            }
            State::Committing => {
                turn.observe(Observation::OffsetAsked {
                    group: READER_GROUP,
                    partition: PARTITIONS - 1,
                    offset: self.position,
                });
                let request = GroupRequest::Commit(OffsetCommit {
                    group: READER_GROUP.into(),
                    generation: -1,
                    member: "".into(),
                    instance: None,
                    retention_ms: None,
                    offsets: vec![CommitOffset {
                        partition: Self::partition(),
                        offset: self.position,
                        leader_epoch: None,
                        metadata: "".into(),
                    }],
                });
                turn.ask(self.group_part.clone(), Request::Group(request))
            }
        };
        self.waiting = Some(token);
    }

    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>) {
        if self.waiting != Some(token) {
            return;
        }
        self.waiting = None;
        match (self.state, reply) {
            (State::FetchingOffset, Reply::Group(Ok(GroupReply::Offsets(offsets)))) => {
                let found = offsets.into_iter().find(|(partition, _)| *partition == Self::partition());
                let offset = found.and_then(|(_, committed)| committed).map(|committed| committed.offset);
                turn.observe(Observation::OffsetFetched { group: READER_GROUP, partition: PARTITIONS - 1, offset });
                self.position = offset.unwrap_or(0);
                self.state = State::Reading;
            }
            (State::Reading, Reply::Partition(Ok(PartitionReply::Fetched(fetched)))) => {
                match fetched.records.read().and_then(|bytes| decode(&bytes)) {
                    Ok(records) => {
                        if let Some(last) = records.last() {
                            self.position = last.offset + 1;
                            self.state = State::Committing;
                        }
                    }
                    Err(error) => turn.unexpected("committer", error),
                }
            }
            (State::Committing, Reply::Group(Ok(GroupReply::Done))) => {
                turn.observe(Observation::OffsetCommitted {
                    group: READER_GROUP,
                    partition: PARTITIONS - 1,
                    offset: self.position,
                });
                self.state = State::Reading;
            }
            (_, Reply::Group(Err(refusal)) | Reply::Partition(Err(refusal))) if is_retriable(&refusal) => {}
            (state, other) => turn.unexpected("committer", (state, other)),
        }
    }

    fn lost(&mut self, _token: Token, _turn: &mut Turn<'_>) {
        self.waiting = None;
    }

    fn is_done(&self) -> bool {
        self.waiting.is_none() && self.state != State::Committing
    }
}
