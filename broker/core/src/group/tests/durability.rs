//! The groups in their frame: nothing is said before it is in the log, and the log's own bytes bring it back.

use super::*;
use crate::coordinator::frame::Frame;
use crate::effect::Effect;
use crate::event::{Appended, Envelope, Event, PartitionReply, PartitionRequest, TransactionalOffsetCommit};

/// A frame, and what it did since it was last asked.
struct Framed {
    frame: Frame<Groups>,
    replies: Vec<(Token, Reply)>,
    /// The questions of the frame's appends, and the batches that they hold.
    appends: Vec<(u64, Vec<Bytes>)>,
    verifications: Vec<u64>,
}

impl Framed {
    fn load(batches: Vec<Bytes>) -> Self {
        let config = CoreConfig { group_initial_rebalance_delay_ms: 0, ..CoreConfig::default() };
        let frame = Frame::new(PartId::Group(7), Groups::new(Arc::new(config), 7));
        let mut framed = Self { frame, replies: Vec::new(), appends: Vec::new(), verifications: Vec::new() };
        framed.step(Event::Replay { batches });
        framed.step(Event::Loaded);
        framed
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.frame.step(Timestamp(5_000), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => self.replies.push((token, reply)),
                Effect::Send(Envelope {
                    event: Event::Ask { reply_to: ReplyTo::Part(_, question), request }, ..
                }) => match request {
                    Request::Partition(PartitionRequest::Append { batches, .. }) => {
                        self.appends.push((question, batches.into_iter().map(|batch| batch.bytes).collect()));
                    }
                    _ => self.verifications.push(question),
                },
                Effect::WakeAt { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn ask(&mut self, token: u64, request: GroupRequest) {
        self.step(Event::Ask { reply_to: ReplyTo::Shell(Token(token)), request: Request::Group(request) });
    }

    /// The log commits the oldest append; gives its batches.
    fn committed(&mut self) -> Vec<Bytes> {
        let (question, batches) = self.appends.remove(0);
        let appended = Appended { base_offset: 0, last_offset: 0, log_start: 0 };
        self.step(Event::Answer { question, reply: Reply::Partition(Ok(PartitionReply::Appended(appended))) });
        batches
    }

    fn answered(&mut self) -> Vec<u64> {
        self.replies
            .drain(..)
            .map(|(token, reply)| {
                assert!(matches!(reply, Reply::Group(Ok(_))), "{reply:?}");
                token.0
            })
            .collect()
    }

    fn heartbeat(&mut self, token: u64) {
        let (group, member) = (GROUP.into(), "m1".into());
        self.ask(token, GroupRequest::Heartbeat { group, generation: 1, member, instance: None });
    }

    fn sync(&mut self, token: u64) {
        self.ask(
            token,
            GroupRequest::Sync(SyncGroup {
                group: GROUP.into(),
                generation: 1,
                member: "m1".into(),
                instance: None,
                protocol_type: None,
                protocol: None,
                assignments: BTreeMap::from([("m1".into(), Bytes::from_static(b"one"))]),
            }),
        );
    }
}

#[test]
fn an_assignment_is_told_when_it_is_committed_and_not_before() {
    let mut framed = Framed::load(Vec::new());
    framed.ask(1, GroupRequest::Join(join("m1")));
    assert_eq!(framed.answered(), [1]);
    framed.sync(2);
    framed.heartbeat(3);
    assert_eq!(framed.answered(), [] as [u64; 0], "the heartbeat rests on the generation, too");
    let log = framed.committed();
    assert_eq!(framed.answered(), [2, 3]);
    let mut restarted = Framed::load(log);
    restarted.heartbeat(4);
    restarted.sync(5);
    assert_eq!(restarted.appends.len(), 0);
    let Some((_, Reply::Group(Ok(GroupReply::Synced(synced))))) = restarted.replies.last() else { panic!() };
    assert_eq!(synced.assignment, Bytes::from_static(b"one"));
    assert_eq!(restarted.answered(), [4, 5]);
}

#[test]
fn transactional_offsets_come_back_from_the_log_with_their_producer() {
    let mut framed = Framed::load(Vec::new());
    framed.ask(
        1,
        GroupRequest::CommitInTransaction(TransactionalOffsetCommit {
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(2),
            transactional_id: "t".into(),
            commit: offset_commit("", -1, "a", 5),
        }),
    );
    let question = framed.verifications.remove(0);
    framed.step(Event::Answer { question, reply: Reply::Transaction(Ok(TransactionReply::Done)) });
    assert_eq!(framed.answered(), [] as [u64; 0]);
    let mut log = framed.committed();
    assert_eq!(framed.answered(), [1]);
    let marker = |commit| pelton_record::control_batch(commit, 9, 2, 0, 5_000);
    for (control, expected) in
        [(pelton_record::ControlType::Commit, Some(5)), (pelton_record::ControlType::Abort, None)]
    {
        log.truncate(1);
        log.push(marker(control).into());
        let mut restarted = Framed::load(log.clone());
        restarted.ask(2, GroupRequest::FetchOffsets { group: GROUP.into(), partitions: None, require_stable: true });
        let Some((_, Reply::Group(Ok(GroupReply::Offsets(offsets))))) = restarted.replies.last() else { panic!() };
        assert_eq!(offsets.first().and_then(|(_, committed)| Some(committed.as_ref()?.offset)), expected);
    }
}
