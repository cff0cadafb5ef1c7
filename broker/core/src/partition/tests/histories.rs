//! Random histories: whatever producers, coordinators and disks do, the rules hold after every step.

use super::*;
use crate::event::{TransactionReply, TransactionRequest};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Act {
    /// The producer's next batch, or one that skips or repeats by so much.
    Produce {
        producer: i64,
        skip: i32,
        records: usize,
        acks: Acks,
    },
    /// The last batch of the producer again.
    Retry {
        producer: i64,
    },
    /// A batch of the producer's open transaction.
    InTransaction {
        producer: i64,
        records: usize,
    },
    /// A batch of which interceptors have left so many records.
    Intercepted {
        producer: i64,
        records: usize,
        kept: usize,
    },
    /// The coordinator answers its oldest question.
    Answer {
        enlisted: bool,
    },
    Marker {
        producer: i64,
        commit: bool,
        fence: bool,
    },
    /// The disk is this far, in hundredths of what is written.
    Flush {
        hundredths: i64,
    },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let acks = prop::sample::select(&[Acks::All, Acks::Leader][..]);
    prop_oneof![
        4 => (0..3i64, prop::sample::select(&[0, 0, 0, 0, 1, -1][..]), 1..4usize, acks)
            .prop_map(|(producer, skip, records, acks)| Act::Produce { producer, skip, records, acks }),
        2 => (0..6i64).prop_map(|producer| Act::Retry { producer }),
        4 => (3..6i64, 1..4usize).prop_map(|(producer, records)| Act::InTransaction { producer, records }),
        2 => (0..6i64, 1..4usize, 0..4usize)
            .prop_map(|(producer, records, kept)| Act::Intercepted { producer, records, kept }),
        3 => prop::bool::weighted(0.8).prop_map(|enlisted| Act::Answer { enlisted }),
        3 => (3..6i64, any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(producer, commit, fence)| Act::Marker { producer, commit, fence }),
        3 => (0..=100i64).prop_map(|hundredths| Act::Flush { hundredths }),
        1 => Just(Act::Restart),
    ]
}

/// What the producers know, and what the test knows of the log.
struct History {
    bench: Bench,
    /// Of each producer: epoch, next sequence, last batch sent.
    producers: BTreeMap<i64, (i16, i32, Option<IncomingBatch>)>,
    durable: Offset,
    tokens: u64,
    /// Who waits, and for what.
    waiting: BTreeMap<Token, Acks>,
    log: Vec<AssignedBatch>,
}

impl History {
    fn new() -> Self {
        let producers = (0..6).map(|producer| (producer, (0, 0, None))).collect();
        Self { bench: Bench::new(), producers, durable: 0, tokens: 0, waiting: BTreeMap::new(), log: Vec::new() }
    }

    fn send(&mut self, batch: IncomingBatch, acks: Acks) {
        self.tokens += 1;
        self.waiting.insert(Token(self.tokens), acks);
        if batch.header.record_count == batch.header.last_offset_delta + 1 {
            self.bench.produce(self.tokens, batch, acks);
        } else {
            self.bench.intercept(self.tokens, batch, acks);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Produce { producer, skip, records, acks } => {
                let (epoch, next, last) = self.producers.get_mut(&producer).unwrap();
                let sequence = (*next + skip).max(0);
                let batch = idempotent(producer, *epoch, sequence, records);
                if sequence == *next {
                    *next += records as i32;
                    *last = Some(batch.clone());
                }
                self.send(batch, acks);
            }
            Act::Retry { producer } => {
                if let Some(batch) = self.producers[&producer].2.clone() {
                    self.send(batch, Acks::All);
                }
            }
            Act::InTransaction { producer, records } => {
                let (epoch, next, last) = self.producers.get_mut(&producer).unwrap();
                let batch = transactional(producer, *epoch, *next, records);
                *next += records as i32;
                *last = Some(batch.clone());
                self.send(batch, Acks::All);
            }
            Act::Intercepted { producer, records, kept } => {
                let (epoch, next, last) = self.producers.get_mut(&producer).unwrap();
                let whole = if producer < 3 { idempotent } else { transactional };
                let batch = filtered(&whole(producer, *epoch, *next, records), kept.min(records));
                *next += records as i32;
                *last = Some(batch.clone());
                self.send(batch, Acks::All);
            }
            Act::Answer { enlisted } => self.answer(enlisted),
            Act::Marker { producer, commit, fence } => {
                let (epoch, next, _) = self.producers.get_mut(&producer).unwrap();
                if fence {
                    (*epoch, *next) = (*epoch + 1, 0);
                }
                let marker = Marker {
                    producer_id: ProducerId(producer),
                    producer_epoch: ProducerEpoch(*epoch),
                    coordinator_epoch: 0,
                    commit,
                    // What ends a transaction in the epoch after its own does so in every version.
                    transaction_version: if fence { 2 } else { 1 },
                };
                self.tokens += 1;
                self.waiting.insert(Token(self.tokens), Acks::All);
                self.bench.ask(self.tokens, PartitionRequest::WriteMarker(marker));
            }
            Act::Flush { hundredths } => {
                let watermarks = self.bench.partition.watermarks();
                let unsynced = watermarks.log_end - self.durable;
                self.durable += unsynced * hundredths / 100;
                self.bench.flush(self.durable);
            }
            Act::Restart => self.restart(),
        }
    }

    fn answer(&mut self, enlisted: bool) {
        if self.bench.sent.is_empty() {
            return;
        }
        let envelope = self.bench.sent.remove(0);
        let Event::Ask {
            reply_to: ReplyTo::Part(_, question),
            request: Request::Transaction(TransactionRequest::Verify { .. }),
        } = envelope.event
        else {
            panic!("{envelope:?}")
        };
        let answer = if enlisted { Ok(TransactionReply::Done) } else { Err(Refusal::TransactionNotEnlisted) };
        self.bench.event(Event::Answer { question, reply: Reply::Transaction(answer) });
    }

    /// The process ends and the log keeps whole batches, at least those that are durable.
    fn restart(&mut self) {
        self.log.retain(|batch| batch.header.last_offset() < self.durable);
        self.durable = self.log.last().map_or(0, |batch| batch.header.next_offset());
        self.bench.written = self.log.clone();
        let mut found = self.bench.log();
        found.log_end = self.durable;
        self.bench = Bench::open("orders", CoreConfig::default(), found);
        self.waiting.clear();
        // A client whose batch was lost without an acknowledgement starts again in a new epoch.
        for (epoch, next, last) in self.producers.values_mut() {
            (*epoch, *next, *last) = (*epoch + 1, 0, None);
        }
    }

    fn check(&mut self) {
        self.log.append(&mut self.bench.written);
        let watermarks = self.bench.partition.watermarks();
        watermarks.check();
        assert!(watermarks.high_watermark <= self.durable, "{watermarks:?} past what is durable, {}", self.durable);
        for (token, reply) in std::mem::take(&mut self.bench.replies) {
            let acks = self.waiting.remove(&token).expect("an answer was given twice, or to nobody");
            if let Ok(PartitionReply::Appended(appended)) = reply {
                let promised = if acks == Acks::All { watermarks.high_watermark } else { watermarks.log_end };
                assert!(appended.last_offset < promised, "{appended:?} was acknowledged too early");
            }
        }
        self.check_log();
        assert_eq!(watermarks.last_stable, self.expected_last_stable(watermarks.high_watermark));
    }

    /// Offsets without gap; of each producer and epoch, sequences without gap or repetition.
    fn check_log(&self) {
        let mut end = 0;
        let mut producers: BTreeMap<i64, (i16, i32)> = BTreeMap::new();
        for batch in &self.log {
            let header = &batch.header;
            assert_eq!(header.base_offset, end);
            end = header.next_offset();
            let entry = producers.entry(header.producer_id).or_insert((header.producer_epoch, 0));
            assert!(header.producer_epoch >= entry.0, "an epoch went back");
            if header.producer_epoch > entry.0 {
                *entry = (header.producer_epoch, 0);
            }
            if !header.attributes.is_control() {
                let started_late = entry.1 == 0;
                assert!(header.base_sequence == entry.1 || started_late, "a sequence was doubled or skipped");
                entry.1 = header.last_sequence() + 1;
            }
        }
        assert_eq!(end, self.bench.partition.watermarks().log_end);
    }

    /// By the definition: no later than the first record of a transaction whose marker is not committed.
    fn expected_last_stable(&self, high_watermark: Offset) -> Offset {
        let mut open: BTreeMap<i64, Offset> = BTreeMap::new();
        for batch in &self.log {
            let header = &batch.header;
            if header.attributes.is_control() {
                if header.last_offset() < high_watermark {
                    open.remove(&header.producer_id);
                }
            } else if header.attributes.is_transactional() {
                open.entry(header.producer_id).or_insert(header.base_offset);
            }
        }
        open.into_values().fold(high_watermark, Offset::min)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_after_every_step(acts in prop::collection::vec(act(), 1..80)) {
        let mut history = History::new();
        for act in acts {
            history.act(act);
            history.check();
        }
    }
}
