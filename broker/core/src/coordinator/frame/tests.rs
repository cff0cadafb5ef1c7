//! The frame around a coordinator that writes down what is asked of it.

use super::*;
use crate::event::{Appended, ClusterReply, ClusterRequest, Envelope, PartitionReply};
use std::sync::Arc;

/// Key, bytes of the value, transaction.
type Replayed = (Vec<u8>, Option<usize>, Option<(ProducerId, ProducerEpoch)>);

/// Keeps a list. Which records it writes, the question says.
#[derive(Debug, Default)]
struct Ledger {
    replayed: Vec<Replayed>,
    markers: Vec<(ProducerId, bool)>,
    asking: Option<ReplyTo>,
    wake: Option<Timestamp>,
    ticks: usize,
}

const PRODUCER: (ProducerId, ProducerEpoch) = (ProducerId(7), ProducerEpoch(2));

fn record(bytes: usize) -> NewRecord {
    NewRecord { key: b"key".to_vec(), value: Some(vec![0; bytes]) }
}

impl Coordinator for Ledger {
    fn handle(&mut self, now: Timestamp, who: ReplyTo, request: Request, out: &mut Outcome) {
        let Request::Cluster(ClusterRequest::PutDocument { key, .. }) = request else { panic!("{request:?}") };
        match &*key {
            "read" => {}
            "write" => out.append(vec![record(1)]),
            "many" => out.append(vec![record(400_000), record(400_000), record(400_000)]),
            "huge" => out.append(vec![record(1), record(MAX_RECORD_BYTES)]),
            "transaction" => out.append_in_transaction(PRODUCER, vec![record(2)]),
            "wake" => self.wake = Some(now.plus_ms(50)),
            "poison" => out.append(vec![NewRecord { key: b"poison".to_vec(), value: None }]),
            "ask" => {
                out.append(vec![record(1)]);
                out.ask(PartId::Cluster, 5, Request::Cluster(ClusterRequest::AllocateProducerIds));
                self.asking = Some(who);
                return;
            }
            other => panic!("{other}"),
        }
        out.reply(who, Reply::Cluster(Ok(ClusterReply::Done)));
    }

    fn answered(&mut self, _now: Timestamp, question: u64, reply: Reply, out: &mut Outcome) {
        assert_eq!(question, 5);
        out.reply(self.asking.take().unwrap(), reply);
    }

    fn tick(&mut self, _now: Timestamp, _out: &mut Outcome) {
        self.ticks += 1;
        self.wake = None;
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.wake
    }

    fn cancelled(&mut self, _now: Timestamp, _token: Token, _out: &mut Outcome) {}

    fn replay(&mut self, record: StoredRecord<'_>) -> Result<(), String> {
        if record.key == b"poison" {
            return Err("poison".to_owned());
        }
        self.replayed.push((record.key.to_vec(), record.value.map(<[u8]>::len), record.transaction));
        Ok(())
    }

    fn replay_marker(&mut self, producer_id: ProducerId, _producer_epoch: ProducerEpoch, commit: bool) {
        self.markers.push((producer_id, commit));
    }

    fn loaded(&mut self, _now: Timestamp, out: &mut Outcome) {
        out.perform(Effect::PublishImage(Arc::default()));
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        Reply::Cluster(Err(refusal))
    }
}

struct Bench {
    frame: Frame<Ledger>,
    /// What the log was asked to append: the number of the question, and the batches.
    appends: Vec<(u64, Vec<IncomingBatch>)>,
    replies: Vec<(u64, Result<(), Refusal>)>,
    other: Vec<Effect>,
}

impl Bench {
    fn loading() -> Self {
        let frame = Frame::new(PartId::Group(3), Ledger::default());
        Self { frame, appends: Vec::new(), replies: Vec::new(), other: Vec::new() }
    }

    fn ready() -> Self {
        let mut bench = Self::loading();
        bench.event(Event::Loaded);
        bench.other.clear();
        bench
    }

    fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.frame.step(Timestamp(100), event, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(Envelope {
                    to: PartId::Partition(log),
                    event: Event::Ask { reply_to: ReplyTo::Part(PartId::Group(3), question), request },
                }) => {
                    assert_eq!(log.to_string(), "__consumer_offsets-3");
                    let Request::Partition(PartitionRequest::Append { batches, acks, origin, .. }) = request else {
                        panic!("{request:?}")
                    };
                    assert_eq!((acks, origin), (Acks::All, AppendOrigin::Coordinator));
                    self.appends.push((question, batches));
                }
                Effect::Reply { token, reply: Reply::Cluster(reply) } => {
                    self.replies.push((token.0, reply.map(|_| ())));
                }
                other => self.other.push(other),
            }
        }
    }

    fn ask(&mut self, token: u64, what: &str) {
        let request = Request::Cluster(ClusterRequest::PutDocument { key: what.into(), value: None });
        self.event(Event::Ask { reply_to: ReplyTo::Shell(Token(token)), request });
    }

    /// The log answers its append number `at`.
    fn committed(&mut self, at: usize) {
        let appended = Appended { base_offset: 0, last_offset: 0, log_start: 0 };
        self.log_answers(at, Ok(PartitionReply::Appended(appended)));
    }

    fn log_answers(&mut self, at: usize, answer: Result<PartitionReply, Refusal>) {
        let question = self.appends[at].0;
        self.event(Event::Answer { question, reply: Reply::Partition(answer) });
    }
}

#[test]
fn answers_leave_in_order_when_what_precedes_them_is_committed() {
    let mut bench = Bench::ready();
    bench.ask(1, "read");
    assert_eq!(bench.replies, [(1, Ok(()))], "nothing precedes it");
    bench.ask(2, "write");
    bench.ask(3, "read");
    bench.ask(4, "write");
    bench.ask(5, "read");
    assert_eq!(bench.replies.len(), 1);
    assert_eq!(bench.frame.machine().replayed.len(), 2, "what is decided is replayed at once");
    bench.committed(0);
    assert_eq!(bench.replies[1..], [(2, Ok(())), (3, Ok(()))]);
    bench.committed(1);
    assert_eq!(bench.replies[3..], [(4, Ok(())), (5, Ok(()))]);
}

#[test]
fn questions_to_others_wait_too_and_their_answers_come_back() {
    let mut bench = Bench::ready();
    bench.ask(1, "ask");
    assert!(bench.other.is_empty());
    bench.committed(0);
    let [Effect::Send(Envelope { to: PartId::Cluster, event: Event::Ask { reply_to, .. } })] = &bench.other[..] else {
        panic!("{:?}", bench.other)
    };
    assert_eq!(*reply_to, ReplyTo::Part(PartId::Group(3), 5));
    bench.event(Event::Answer { question: 5, reply: Reply::Cluster(Ok(ClusterReply::Done)) });
    assert_eq!(bench.replies, [(1, Ok(()))]);
}

#[test]
fn a_failed_append_refuses_what_waits_and_all_that_follows() {
    let mut bench = Bench::ready();
    bench.ask(1, "write");
    bench.ask(2, "read");
    bench.ask(3, "write");
    bench.log_answers(0, Err(Refusal::Storage("EIO".to_owned())));
    let refused = Err(Refusal::CoordinatorNotAvailable);
    assert_eq!(bench.replies, [(1, refused.clone()), (2, refused.clone()), (3, refused.clone())]);
    bench.committed(1);
    bench.ask(4, "read");
    assert_eq!(bench.replies[3..], [(4, refused)]);
    assert!(bench.frame.failure().unwrap().contains("EIO"));
}

#[test]
fn an_append_without_room_is_asked_for_again_and_nothing_overtakes_it() {
    let mut bench = Bench::ready();
    bench.ask(1, "write");
    bench.ask(2, "write");
    bench.ask(3, "read");
    bench.committed(0);
    assert_eq!(bench.replies, [(1, Ok(()))]);
    bench.log_answers(1, Err(Refusal::NoRoom("no space left".to_owned())));
    let refused = Err(Refusal::CoordinatorNotAvailable);
    assert_eq!(bench.replies[1..], [(2, refused.clone()), (3, refused.clone())]);
    bench.ask(4, "read");
    assert_eq!(bench.replies[3..], [(4, refused.clone())], "nothing is decided on request meanwhile");
    assert_eq!(bench.frame.failure(), None);
    let wake = bench.other.iter().any(|effect| matches!(effect, Effect::WakeAt { at: Timestamp(1_100), .. }));
    assert!(wake, "{:?}", bench.other);
    let tick = |bench: &mut Bench, now| {
        let mut effects = Vec::new();
        bench.frame.step(Timestamp(now), Event::Tick, &mut effects);
        bench.take(effects);
    };
    tick(&mut bench, 1_099);
    assert_eq!(bench.appends.len(), 2, "it is not yet time");
    tick(&mut bench, 1_100);
    assert_eq!(bench.appends.len(), 3);
    assert_eq!(bench.appends[2].0, bench.appends[1].0);
    assert_eq!(bench.appends[2].1[0].bytes, bench.appends[1].1[0].bytes);
    bench.ask(5, "write");
    bench.committed(3);
    assert_eq!(bench.replies.len(), 4, "the one before it is not committed");
    bench.committed(2);
    assert_eq!(bench.replies[4..], [(5, Ok(()))]);
}

#[test]
fn offsets_of_a_transaction_that_was_decided_meanwhile_are_taken_back() {
    let mut bench = Bench::ready();
    bench.ask(1, "write");
    bench.ask(2, "transaction");
    bench.log_answers(1, Err(Refusal::InvalidProducerEpoch));
    assert_eq!(bench.frame.machine().markers, [(ProducerId(7), false)]);
    assert!(bench.replies.is_empty(), "the answer keeps its place");
    bench.committed(0);
    assert_eq!(bench.replies, [(1, Ok(())), (2, Err(Refusal::InvalidProducerEpoch))]);
    assert_eq!(bench.frame.failure(), None);
}

#[test]
fn large_decisions_are_split_into_batches_of_one_append() {
    let mut bench = Bench::ready();
    bench.ask(1, "many");
    let counts: Vec<_> = bench.appends[0].1.iter().map(|batch| batch.header.record_count).collect();
    assert_eq!(counts, [2, 1]);
    for batch in &bench.appends[0].1 {
        BatchView::parse(&batch.bytes).unwrap().verify_crc().unwrap();
    }
}

#[test]
fn a_record_that_no_batch_can_hold_is_refused_and_not_replayed() {
    let mut bench = Bench::ready();
    bench.ask(1, "huge");
    assert_eq!(bench.replies, [(1, Err(Refusal::RecordTooLarge))]);
    assert!(bench.appends.is_empty() && bench.frame.machine().replayed.is_empty());
    bench.ask(2, "read");
    assert_eq!(bench.replies[1..], [(2, Ok(()))]);
}

#[test]
fn what_was_written_is_replayed_after_a_restart() {
    let mut bench = Bench::ready();
    bench.ask(1, "many");
    bench.ask(2, "transaction");
    let mut batches: Vec<_> = bench.appends.iter().flat_map(|(_, batches)| batches).map(|b| b.bytes.clone()).collect();
    batches.push(pelton_record::control_batch(ControlType::Commit, 7, 2, 0, 100).into());
    let mut again = Bench::loading();
    again.ask(1, "read");
    assert_eq!(again.replies, [(1, Err(Refusal::CoordinatorLoadInProgress))]);
    again.event(Event::Replay { batches });
    assert_eq!(again.frame.machine().replayed, bench.frame.machine().replayed);
    assert_eq!(again.frame.machine().replayed[3].2, Some(PRODUCER));
    assert_eq!(again.frame.machine().markers, [(ProducerId(7), true)]);
    again.event(Event::Loaded);
    assert!(matches!(again.other[..], [Effect::PublishImage(_)]));
    again.ask(2, "read");
    assert_eq!(again.replies[1..], [(2, Ok(()))]);
}

#[test]
fn a_log_that_cannot_be_read_leaves_the_coordinator_unavailable() {
    let mut poison = BatchBuilder::new(0);
    poison.push(0, Some(b"poison"), None, &[]);
    let mut keyless = BatchBuilder::new(0);
    keyless.push(0, None, Some(b"value"), &[]);
    let torn = poison.clone().into_bytes_with_crc()[..65].to_vec();
    for bytes in [poison.into_bytes_with_crc(), keyless.into_bytes_with_crc(), torn] {
        let mut bench = Bench::loading();
        bench.event(Event::Replay { batches: vec![bytes.into()] });
        bench.event(Event::Loaded);
        bench.ask(1, "read");
        assert_eq!(bench.replies, [(1, Err(Refusal::CoordinatorNotAvailable))]);
        assert!(bench.frame.failure().unwrap().starts_with("the log cannot be replayed"));
    }
}

#[test]
fn a_decision_that_cannot_be_replayed_stops_the_coordinator() {
    let mut bench = Bench::ready();
    bench.ask(1, "poison");
    assert_eq!(bench.replies, [(1, Err(Refusal::CoordinatorNotAvailable))]);
    bench.committed(0);
    assert_eq!(bench.replies.len(), 1);
}

#[test]
fn a_cancelled_client_is_not_answered() {
    let mut bench = Bench::ready();
    bench.ask(1, "write");
    bench.ask(2, "read");
    bench.event(Event::Cancelled(Token(1)));
    bench.committed(0);
    assert_eq!(bench.replies, [(2, Ok(()))]);
}

#[test]
fn a_wish_to_be_woken_is_announced_once() {
    let mut bench = Bench::ready();
    bench.ask(1, "wake");
    bench.ask(2, "read");
    assert!(matches!(bench.other[..], [Effect::WakeAt { part: PartId::Group(3), at: Timestamp(150) }]));
    bench.event(Event::Tick);
    assert_eq!(bench.frame.machine().ticks, 1);
    bench.ask(3, "wake");
    assert_eq!(bench.other.len(), 2, "after a tick the wish must be made again");
}

#[test]
fn too_many_waiting_decisions_turn_questions_away() {
    let mut bench = Bench::ready();
    bench.ask(0, "write");
    for token in 1..MAX_WAITING {
        bench.ask(token as u64, "read");
    }
    assert!(bench.replies.is_empty());
    bench.ask(1_000_000, "read");
    assert_eq!(bench.replies, [(1_000_000, Err(Refusal::CoordinatorLoadInProgress))]);
    bench.committed(0);
    assert_eq!(bench.replies.len(), MAX_WAITING + 1);
}

#[test]
fn what_waits_is_refused_when_the_log_goes() {
    let mut bench = Bench::ready();
    bench.ask(1, "write");
    let mut effects = Vec::new();
    bench.frame.close(&mut effects);
    bench.take(effects);
    assert_eq!(bench.replies, [(1, Err(Refusal::NotCoordinator))]);
}
