//! One step at a time, and random histories against the rules.

mod deletion;
mod durability;
mod histories;
mod intercepted;
mod remembered;
mod room;
mod settle;
mod transactions;

use super::*;
use crate::effect::AssignedBatch;
use crate::event::{Acks, AppendOrigin, IncomingBatch, OffsetLookup, PartitionReply, ProducerState, RecoveredBatch};
use crate::model::Token;
use bytes::Bytes;
use pelton_record::{Attributes, BatchBuilder, BatchHeader, BatchView};

const NOW: Timestamp = Timestamp(1_000);

/// A partition, and what it asked of the shell so far.
pub(super) struct Bench {
    pub partition: Partition,
    pub written: Vec<AssignedBatch>,
    pub replies: Vec<(Token, Result<PartitionReply, Refusal>)>,
    pub sent: Vec<crate::event::Envelope>,
    pub other: Vec<Effect>,
}

impl Bench {
    pub fn open(topic: &str, config: CoreConfig, log: RecoveredLog) -> Self {
        let id = TopicPartition::new(topic, 0);
        let partition = Partition::open(Arc::new(config), id, TopicId(1), &BTreeMap::new(), log);
        Self { partition, written: Vec::new(), replies: Vec::new(), sent: Vec::new(), other: Vec::new() }
    }

    pub fn new() -> Self {
        Self::open("orders", CoreConfig::default(), RecoveredLog { leader_epoch: 3, ..RecoveredLog::default() })
    }

    pub fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.partition.step(NOW, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Write { batches, .. } => self.written.extend(batches),
                Effect::Reply { token, reply: Reply::Partition(reply) } => self.replies.push((token, reply)),
                Effect::Send(envelope) => self.sent.push(envelope),
                other => self.other.push(other),
            }
        }
    }

    pub fn ask(&mut self, token: u64, request: PartitionRequest) {
        let reply_to = ReplyTo::Shell(Token(token));
        self.event(Event::Ask { reply_to, request: Request::Partition(request) });
    }

    pub fn produce(&mut self, token: u64, batch: IncomingBatch, acks: Acks) {
        self.append(token, batch, acks, AppendOrigin::Client);
    }

    /// A client's batch that interceptors have changed.
    pub fn intercept(&mut self, token: u64, batch: IncomingBatch, acks: Acks) {
        self.append(token, batch, acks, AppendOrigin::Intercepted);
    }

    fn append(&mut self, token: u64, batch: IncomingBatch, acks: Acks, origin: AppendOrigin) {
        let transactional_id = batch.header.attributes.is_transactional().then(|| "payments".into());
        self.ask(token, PartitionRequest::Append { batches: vec![batch], acks, origin, transactional_id });
    }

    pub fn flush(&mut self, through: Offset) {
        self.event(Event::Flushed { through });
    }

    /// The one reply under this token, taken out.
    pub fn reply(&mut self, token: u64) -> Option<Result<PartitionReply, Refusal>> {
        let at = self.replies.iter().position(|(given, _)| *given == Token(token))?;
        Some(self.replies.remove(at).1)
    }

    pub fn offsets(&mut self, token: u64) -> Option<(Offset, Offset)> {
        match self.reply(token)? {
            Ok(PartitionReply::Appended(appended)) => Some((appended.base_offset, appended.last_offset)),
            other => panic!("an append was answered with {other:?}"),
        }
    }

    pub fn refusal(&mut self, token: u64) -> Refusal {
        match self.reply(token) {
            Some(Err(refusal)) => refusal,
            other => panic!("a refusal was expected, not {other:?}"),
        }
    }

    /// What a restart would find when everything written had reached the disk.
    pub fn log(&self) -> RecoveredLog {
        let batches = self
            .written
            .iter()
            .map(|batch| {
                let view = BatchView::parse(&batch.bytes).unwrap();
                let control = batch.header.attributes.is_control().then(|| {
                    let (control, epoch) = pelton_record::parse_control(&view).unwrap();
                    (control == pelton_record::ControlType::Commit, epoch)
                });
                RecoveredBatch { header: batch.header, control }
            })
            .collect();
        RecoveredLog {
            log_start: 0,
            log_end: self.partition.watermarks.log_end,
            leader_epoch: 4,
            batches,
            ..RecoveredLog::default()
        }
    }
}

/// A batch of plain records.
pub(super) fn plain(records: usize) -> IncomingBatch {
    built(records, |_| {})
}

/// A batch of an idempotent producer.
pub(super) fn idempotent(producer: i64, epoch: i16, sequence: i32, records: usize) -> IncomingBatch {
    built(records, |builder| builder.set_producer(producer, epoch, sequence))
}

/// A batch of a transaction.
pub(super) fn transactional(producer: i64, epoch: i16, sequence: i32, records: usize) -> IncomingBatch {
    built(records, |builder| {
        builder.set_producer(producer, epoch, sequence);
        builder.set_transactional(true);
    })
}

fn built(records: usize, stamp: impl FnOnce(&mut BatchBuilder)) -> IncomingBatch {
    let mut builder = BatchBuilder::new(NOW.0);
    for _ in 0..records {
        builder.push(NOW.0, None, Some(b"value"), &[]);
    }
    stamp(&mut builder);
    let bytes = Bytes::from(builder.into_bytes_with_crc());
    IncomingBatch { header: *BatchView::parse(&bytes).unwrap().header(), bytes }
}

/// What is left of a batch when interceptors have taken all but the first `kept` records away.
pub(super) fn filtered(batch: &IncomingBatch, kept: usize) -> IncomingBatch {
    let header = &batch.header;
    let view = BatchView::parse(&batch.bytes).unwrap();
    let mut builder = BatchBuilder::new(header.base_timestamp);
    for record in view.records().unwrap().take(kept) {
        let record = record.unwrap();
        builder.push_at(record.offset_delta, record.timestamp(header), record.key, record.value, &[]).unwrap();
    }
    builder.set_producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.set_transactional(header.attributes.is_transactional());
    builder.set_last_offset_delta(header.last_offset_delta);
    let bytes = Bytes::from(builder.into_bytes_with_crc());
    IncomingBatch { header: *BatchView::parse(&bytes).unwrap().header(), bytes }
}

fn with_header(batch: IncomingBatch, change: impl FnOnce(&mut BatchHeader)) -> IncomingBatch {
    let IncomingBatch { mut header, bytes } = batch;
    change(&mut header);
    IncomingBatch { header, bytes }
}

#[test]
fn an_answer_to_all_waits_for_the_flush_and_one_to_the_leader_does_not() {
    let mut bench = Bench::new();
    bench.produce(1, plain(3), Acks::All);
    bench.produce(2, plain(2), Acks::Leader);
    bench.produce(3, plain(1), Acks::None);
    assert_eq!(bench.offsets(1), None);
    assert_eq!(bench.offsets(2), Some((3, 4)));
    assert_eq!(bench.offsets(3), Some((5, 5)));
    let placed: Vec<_> =
        bench.written.iter().map(|batch| (batch.header.base_offset, batch.header.partition_leader_epoch)).collect();
    assert_eq!(placed, [(0, 3), (3, 3), (5, 3)]);
    let flushes: Vec<_> = bench.other.iter().map(|effect| matches!(effect, Effect::Flush { .. })).collect();
    assert_eq!(flushes, [true; 3]);
    bench.flush(2);
    assert_eq!(bench.offsets(1), None, "the batch is durable only in part");
    bench.flush(3);
    assert_eq!(bench.offsets(1), Some((0, 2)));
    assert_eq!(bench.partition.watermarks().high_watermark, 3);
    bench.flush(100);
    assert_eq!(bench.partition.watermarks(), Watermarks::empty_at(6).with_log_start(0));
}

impl Watermarks {
    fn with_log_start(self, log_start: Offset) -> Self {
        Self { log_start, ..self }
    }
}

#[test]
fn without_fsync_the_write_commits_except_in_the_brokers_own_topics() {
    let config = CoreConfig { fsync: false, ..CoreConfig::default() };
    let mut bench = Bench::open("orders", config.clone(), RecoveredLog::default());
    bench.produce(1, plain(3), Acks::All);
    assert_eq!(bench.offsets(1), Some((0, 2)));
    let mut bench = Bench::open(OFFSETS_TOPIC, config, RecoveredLog::default());
    let append = PartitionRequest::Append {
        batches: vec![plain(1)],
        acks: Acks::All,
        origin: AppendOrigin::Coordinator,
        transactional_id: None,
    };
    bench.ask(1, append);
    assert_eq!(bench.offsets(1), None);
    bench.flush(1);
    assert_eq!(bench.offsets(1), Some((0, 0)));
}

#[test]
fn a_client_keeps_the_rules_of_a_batch() {
    let mut bench = Bench::new();
    let control = |header: &mut BatchHeader| header.attributes = Attributes::default().with_control(true);
    type Fits = fn(&Refusal) -> bool;
    let wrong: Vec<(IncomingBatch, Fits)> = vec![
        (with_header(plain(2), |header| header.magic = 1), |why| *why == Refusal::UnsupportedFormat),
        (with_header(plain(2), |header| header.record_count = 1), |why| matches!(why, Refusal::InvalidRecord(_))),
        (with_header(plain(2), |header| header.batch_length += 1), |why| matches!(why, Refusal::CorruptMessage(_))),
        (with_header(plain(1), control), |why| matches!(why, Refusal::InvalidRecord(_))),
        (transactional(-1, -1, -1, 1), |why| matches!(why, Refusal::InvalidRecord(_))),
        (idempotent(7, 0, -1, 1), |why| matches!(why, Refusal::InvalidRecord(_))),
        (idempotent(7, -1, 0, 1), |why| matches!(why, Refusal::InvalidRecord(_))),
        (plain(80_000), |why| *why == Refusal::RecordTooLarge),
    ];
    for (token, (batch, fits)) in wrong.into_iter().enumerate() {
        bench.produce(token as u64, batch, Acks::All);
        let why = bench.refusal(token as u64);
        assert!(fits(&why), "batch {token} was refused with {why:?}");
    }
    assert!(bench.written.is_empty());
    assert_eq!(bench.partition.watermarks().log_end, 0);
}

#[test]
fn max_message_bytes_of_the_topic_goes_before_the_brokers() {
    let size = plain(1).bytes.len();
    let configs = BTreeMap::from([("max.message.bytes".to_owned(), size.to_string())]);
    let id = TopicPartition::new("orders", 0);
    let mut bench = Bench::new();
    let config = Arc::new(CoreConfig::default());
    bench.partition = Partition::open(config, id, TopicId(1), &configs, RecoveredLog::default());
    bench.produce(1, plain(1), Acks::Leader);
    bench.produce(2, plain(2), Acks::Leader);
    assert_eq!(bench.offsets(1), Some((0, 0)));
    assert_eq!(bench.refusal(2), Refusal::RecordTooLarge);
    bench.partition.configure(&BTreeMap::new());
    bench.produce(3, plain(2), Acks::Leader);
    assert_eq!(bench.offsets(3), Some((1, 2)), "the topic does not set it any more");
    bench.partition.configure(&configs);
    bench.produce(4, plain(2), Acks::Leader);
    assert_eq!(bench.refusal(4), Refusal::RecordTooLarge);
}

#[test]
fn an_answer_to_all_needs_as_many_replicas_as_the_topic_asks_for() {
    let configs = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
    let mut bench = Bench::new();
    bench.partition.configure(&configs);
    bench.produce(1, plain(1), Acks::All);
    assert_eq!(bench.refusal(1), Refusal::NotEnoughReplicas);
    bench.produce(2, plain(1), Acks::Leader);
    assert_eq!(bench.offsets(2), Some((0, 0)), "who does not ask for all is not refused");
    bench.partition.configure(&BTreeMap::new());
    bench.produce(3, plain(1), Acks::All);
    bench.flush(2);
    assert_eq!(bench.offsets(3), Some((1, 1)));

    // The broker's number holds where the topic sets none, and never for what the broker writes itself.
    let broker = CoreConfig { min_insync_replicas: 2, ..CoreConfig::default() };
    let mut bench = Bench::open("orders", broker.clone(), RecoveredLog::default());
    bench.produce(4, plain(1), Acks::All);
    assert_eq!(bench.refusal(4), Refusal::NotEnoughReplicas);
    bench.partition.configure(&BTreeMap::from([("min.insync.replicas".to_owned(), "1".to_owned())]));
    bench.produce(5, plain(1), Acks::All);
    bench.flush(1);
    assert_eq!(bench.offsets(5), Some((0, 0)));
    assert_eq!(DurabilityRules::of(&broker, &BTreeMap::new(), true).min_insync_replicas, 1);
}

#[test]
fn clients_do_not_write_to_the_brokers_own_topics() {
    let mut bench = Bench::open(OFFSETS_TOPIC, CoreConfig::default(), RecoveredLog::default());
    bench.produce(1, plain(1), Acks::All);
    assert!(matches!(bench.refusal(1), Refusal::InvalidTopicName(_)));
}

#[test]
fn batches_of_one_append_are_all_written_or_none() {
    let mut bench = Bench::new();
    let append = |batches| PartitionRequest::Append {
        batches,
        acks: Acks::Leader,
        origin: AppendOrigin::Client,
        transactional_id: None,
    };
    bench.ask(1, append(vec![plain(1), with_header(plain(1), |header| header.magic = 0)]));
    assert_eq!(bench.refusal(1), Refusal::UnsupportedFormat);
    assert!(bench.written.is_empty());
    bench.ask(2, append(vec![plain(1), plain(2)]));
    assert_eq!(bench.offsets(2), Some((0, 2)));
    bench.ask(3, append(vec![]));
    assert!(matches!(bench.refusal(3), Refusal::InvalidRecord(_)));
}

#[test]
fn a_batch_that_comes_again_gets_its_first_offsets_and_waits_like_the_first() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 0, 0, 3), Acks::All);
    bench.produce(2, plain(1), Acks::All);
    bench.produce(3, idempotent(7, 0, 0, 3), Acks::All);
    assert_eq!(bench.written.len(), 2);
    assert_eq!(bench.offsets(3), None);
    bench.flush(3);
    assert_eq!((bench.offsets(1), bench.offsets(3)), (Some((0, 2)), Some((0, 2))));
    bench.produce(4, idempotent(7, 0, 0, 3), Acks::All);
    assert_eq!(bench.offsets(4), Some((0, 2)), "it is committed already");
}

#[test]
fn five_batches_are_remembered_and_a_sixth_is_out_of_order() {
    let mut bench = Bench::new();
    for sequence in 0..6 {
        bench.produce(1, idempotent(7, 0, sequence, 1), Acks::Leader);
        assert_eq!(bench.offsets(1), Some((i64::from(sequence), i64::from(sequence))));
    }
    bench.produce(1, idempotent(7, 0, 1, 1), Acks::Leader);
    assert_eq!(bench.offsets(1), Some((1, 1)));
    bench.produce(1, idempotent(7, 0, 0, 1), Acks::Leader);
    assert_eq!(bench.refusal(1), Refusal::OutOfOrderSequence);
}

#[test]
fn gaps_old_epochs_and_late_starts_are_refused() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 1, 5, 2), Acks::Leader);
    assert_eq!(bench.offsets(1), Some((0, 1)), "of an unknown producer any sequence is taken, as in Kafka");
    bench.produce(2, idempotent(7, 1, 8, 1), Acks::Leader);
    assert_eq!(bench.refusal(2), Refusal::OutOfOrderSequence);
    bench.produce(3, idempotent(7, 0, 7, 1), Acks::Leader);
    assert_eq!(bench.refusal(3), Refusal::InvalidProducerEpoch);
    bench.produce(4, idempotent(7, 2, 7, 1), Acks::Leader);
    assert_eq!(bench.refusal(4), Refusal::OutOfOrderSequence);
    bench.produce(5, idempotent(7, 2, 0, 1), Acks::Leader);
    assert_eq!(bench.offsets(5), Some((2, 2)));
    bench.produce(6, idempotent(7, 1, 7, 1), Acks::Leader);
    assert_eq!(bench.refusal(6), Refusal::InvalidProducerEpoch);
}

#[test]
fn after_the_last_sequence_comes_zero() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 0, i32::MAX - 1, 2), Acks::Leader);
    bench.produce(2, idempotent(7, 0, 0, 1), Acks::Leader);
    assert_eq!((bench.offsets(1), bench.offsets(2)), (Some((0, 1)), Some((2, 2))));
    bench.produce(3, idempotent(8, 0, i32::MAX - 1, 3), Acks::Leader);
    bench.produce(4, idempotent(8, 0, 1, 1), Acks::Leader);
    assert_eq!((bench.offsets(3), bench.offsets(4)), (Some((3, 5)), Some((6, 6))));
    bench.produce(5, idempotent(7, 0, i32::MAX - 1, 2), Acks::Leader);
    assert_eq!(bench.offsets(5), Some((0, 1)), "a batch that wraps is recognized too");
}

#[test]
fn a_restart_remembers_the_producers() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 0, 0, 3), Acks::All);
    bench.produce(2, transactional(8, 0, 0, 1), Acks::All);
    let mut bench = Bench::open("orders", CoreConfig::default(), bench.log());
    assert_eq!(bench.partition.watermarks().high_watermark, 3);
    bench.produce(3, idempotent(7, 0, 0, 3), Acks::All);
    assert_eq!(bench.offsets(3), Some((0, 2)));
    bench.produce(4, idempotent(7, 0, 4, 1), Acks::All);
    assert_eq!(bench.refusal(4), Refusal::OutOfOrderSequence);
    bench.produce(5, idempotent(7, 0, 3, 1), Acks::Leader);
    assert_eq!(bench.offsets(5), Some((3, 3)));
}

#[test]
fn the_longest_silent_producer_is_forgotten_first() {
    let mut producers = Producers::default();
    let header = |producer, epoch| transactional(producer, epoch, 0, 1).header;
    let idle = |producer| idempotent(producer, 5, 0, 1).header;
    producers.appended(&header(0, 5));
    producers.appended(&idle(1));
    for producer in 2..=producer_state::MAX_PRODUCERS as i64 {
        producers.appended(&idle(producer));
    }
    assert_eq!(producers.len(), producer_state::MAX_PRODUCERS);
    assert!(producers.has_open_transaction(ProducerId(0), ProducerEpoch(5)), "it is in a transaction");
    assert_eq!(producers.judge_epoch(ProducerId(0), ProducerEpoch(4)), Err(Refusal::InvalidProducerEpoch));
    assert_eq!(producers.judge_epoch(ProducerId(1), ProducerEpoch(4)), Ok(()), "it was forgotten");
    assert_eq!(producers.judge_epoch(ProducerId(2), ProducerEpoch(4)), Err(Refusal::InvalidProducerEpoch));
}

#[test]
fn a_storage_failure_fences_appends_and_leaves_reads() {
    let mut bench = Bench::new();
    bench.produce(1, plain(2), Acks::All);
    bench.flush(2);
    bench.produce(2, plain(2), Acks::All);
    bench.event(Event::StorageFailed { message: "EIO".to_owned() });
    assert_eq!(bench.offsets(1), Some((0, 1)));
    assert_eq!(bench.refusal(2), Refusal::Storage("EIO".to_owned()));
    bench.produce(3, plain(1), Acks::Leader);
    assert_eq!(bench.refusal(3), Refusal::Storage("EIO".to_owned()));
    bench.flush(4);
    assert_eq!(bench.partition.watermarks().high_watermark, 2, "a late report commits nothing");
    bench.other.clear();
    bench.ask(4, fetch(0));
    assert!(matches!(bench.other[..], [Effect::Read { from: 0, end: 2, .. }]));
}

fn fetch(offset: Offset) -> PartitionRequest {
    PartitionRequest::Fetch {
        offset,
        current_leader_epoch: None,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
    }
}

#[test]
fn a_fetch_reads_below_the_high_watermark_only() {
    let log = RecoveredLog { log_start: 10, log_end: 20, leader_epoch: 3, ..RecoveredLog::default() };
    let mut bench = Bench::open("orders", CoreConfig::default(), log);
    bench.produce(1, plain(5), Acks::Leader);
    bench.other.clear();
    for (token, offset) in [(2, 9), (3, 26), (4, -1)] {
        bench.ask(token, fetch(offset));
        assert_eq!(bench.refusal(token), Refusal::OffsetOutOfRange);
    }
    for (token, offset) in [(5, 20), (6, 25)] {
        bench.ask(token, fetch(offset));
        let Some(Ok(PartitionReply::Fetched(fetched))) = bench.reply(token) else { panic!("no answer") };
        assert_eq!((fetched.records.len(), fetched.watermarks.log_end), (0, 25));
    }
    assert!(bench.other.is_empty());
    bench.ask(7, fetch(12));
    assert!(matches!(bench.other[..], [Effect::Read { token: Token(7), from: 12, end: 20, with_aborted: false, .. }]));
}

#[test]
fn a_reader_with_another_leader_epoch_is_told() {
    let mut bench = Bench::new();
    for (token, epoch, why) in [(1, 2, Refusal::FencedLeaderEpoch), (2, 4, Refusal::UnknownLeaderEpoch)] {
        let current_leader_epoch = Some(LeaderEpoch(epoch));
        let isolation = Isolation::ReadCommitted;
        let (offset, max_bytes) = (0, 10);
        bench.ask(token, PartitionRequest::Fetch { offset, current_leader_epoch, max_bytes, isolation });
        assert_eq!(bench.refusal(token), why);
        bench.ask(token, PartitionRequest::Locate { lookup: OffsetLookup::Latest, isolation, current_leader_epoch });
        assert_eq!(bench.refusal(token), why);
    }
}

#[test]
fn a_watch_is_answered_when_something_is_readable() {
    let mut bench = Bench::new();
    let isolation = Isolation::ReadUncommitted;
    bench.ask(1, PartitionRequest::Watch { offset: 0, isolation });
    bench.ask(2, PartitionRequest::Watch { offset: 0, isolation });
    bench.ask(3, PartitionRequest::Watch { offset: 1, isolation });
    assert_eq!(bench.refusal(3), Refusal::OffsetOutOfRange);
    bench.event(Event::Cancelled(Token(2)));
    bench.produce(4, plain(1), Acks::All);
    assert!(bench.reply(1).is_none());
    bench.flush(1);
    assert!(matches!(bench.reply(1), Some(Ok(PartitionReply::Readable))));
    assert!(bench.reply(2).is_none(), "it was cancelled");
    bench.ask(5, PartitionRequest::Watch { offset: 0, isolation });
    assert!(matches!(bench.reply(5), Some(Ok(PartitionReply::Readable))));
}

#[test]
fn offsets_are_located() {
    let log = RecoveredLog { log_start: 10, log_end: 20, leader_epoch: 3, ..RecoveredLog::default() };
    let mut bench = Bench::open("orders", CoreConfig::default(), log);
    bench.produce(1, plain(5), Acks::Leader);
    bench.other.clear();
    let locate = |lookup| PartitionRequest::Locate {
        lookup,
        isolation: Isolation::ReadUncommitted,
        current_leader_epoch: Some(LeaderEpoch(3)),
    };
    for (token, lookup, offset) in [(2, OffsetLookup::Earliest, 10), (3, OffsetLookup::Latest, 20)] {
        bench.ask(token, locate(lookup));
        let Some(Ok(PartitionReply::Located { found, leader_epoch })) = bench.reply(token) else { panic!("no answer") };
        assert_eq!((found, leader_epoch), (Some((offset, None)), LeaderEpoch(3)));
    }
    bench.ask(4, locate(OffsetLookup::AtOrAfter(Timestamp(5))));
    assert!(matches!(bench.other[..], [Effect::Locate { token: Token(4), end: 20, .. }]));
}

#[test]
fn what_waits_is_answered_when_the_partition_goes() {
    let mut bench = Bench::new();
    bench.ask(1, PartitionRequest::Watch { offset: 0, isolation: Isolation::ReadCommitted });
    bench.produce(2, plain(1), Acks::All);
    bench.produce(3, transactional(7, 0, 0, 1), Acks::All);
    let mut effects = Vec::new();
    bench.partition.close(&mut effects);
    let refused: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply { token, reply: Reply::Partition(Err(Refusal::UnknownTopicOrPartition)) } => Some(token.0),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [2, 3, 1]);
}

#[test]
fn retention_moves_the_log_start_and_never_past_the_high_watermark() {
    let mut bench = Bench::new();
    bench.produce(1, plain(5), Acks::All);
    bench.flush(5);
    bench.produce(2, plain(5), Acks::All);
    bench.event(Event::Trimmed { log_start: 3 });
    assert_eq!(bench.partition.watermarks().log_start, 3);
    bench.event(Event::Trimmed { log_start: 9 });
    assert_eq!(bench.partition.watermarks().log_start, 5);
    bench.event(Event::Trimmed { log_start: 1 });
    assert_eq!(bench.partition.watermarks().log_start, 5);
}
