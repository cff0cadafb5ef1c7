//! The shell of one broker, in one thread and without an operating system: it performs the effects of real shards on
//! real logs over a simulated disk, in the order of a seed. It decides nothing.

use crate::entry::{Entry, decode};
use crate::producers;
use crate::trace::Trace;
use pelton_core::cluster::ClusterImage;
use pelton_core::config::CoreConfig;
use pelton_core::effect::{AssignedBatch, Effect};
use pelton_core::event::{
    AbortedTransaction, Envelope, Event, Fetched, OffsetLookup, PartitionReply, RecoveredBatch, RecoveredLog, Reply,
    ReplyTo, Request,
};
use pelton_core::model::{
    METADATA_TOPIC, OFFSETS_TOPIC, Offset, PartId, ProducerId, TRANSACTIONS_TOPIC, Timestamp, Token, TopicId,
    TopicPartition, Watermarks,
};
use pelton_core::refusal::Refusal;
use pelton_core::shard::Shard;
use pelton_log::disk::Dice;
use pelton_log::{AbortedTxn, FlushHandle, Log, LogConfig, Opening, SimDisk};
use pelton_record::ControlType;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

const SHARDS: usize = 2;

/// A running broker.
pub struct Broker {
    /// Its medium, which outlives it.
    pub disk: SimDisk,
    config: Arc<CoreConfig>,
    log_config: LogConfig,
    now: Timestamp,
    shards: Vec<Shard>,
    mailboxes: Vec<VecDeque<Envelope>>,
    logs: BTreeMap<TopicPartition, Log<SimDisk>>,
    flush_wanted: BTreeSet<TopicPartition>,
    flushing: BTreeMap<TopicPartition, FlushHandle<SimDisk>>,
    wakes: BTreeMap<PartId, Timestamp>,
    image: Option<Arc<ClusterImage>>,
    answers: VecDeque<(Token, Reply)>,
    /// What the medium refused since the start.
    storage_failures: Vec<String>,
    /// What may not happen at all.
    broken: Option<String>,
}

impl Broker {
    /// Starts on what the disk holds: opens the metadata log, and with what it says every other one.
    ///
    /// # Errors
    /// Says what could not be opened.
    pub fn start(
        now: Timestamp,
        disk: SimDisk,
        config: Arc<CoreConfig>,
        log_config: LogConfig,
        trace: &mut Trace,
    ) -> Result<Self, String> {
        let mut broker = Self {
            disk,
            now,
            shards: (0..SHARDS).map(|_| Shard::new(Arc::clone(&config))).collect(),
            config,
            log_config,
            mailboxes: vec![VecDeque::new(); SHARDS],
            logs: BTreeMap::new(),
            flush_wanted: BTreeSet::new(),
            flushing: BTreeMap::new(),
            wakes: BTreeMap::new(),
            image: None,
            answers: VecDeque::new(),
            storage_failures: Vec::new(),
            broken: None,
        };
        broker.open(&TopicPartition::new(METADATA_TOPIC, 0), TopicId(1), &BTreeMap::new());
        broker.settle(now, trace)?;
        if broker.image.is_none() {
            return Err("the metadata log was replayed and no image published".into());
        }
        Ok(broker)
    }

    /// Delivers and syncs until nothing is under way.
    ///
    /// # Errors
    /// As [`Broker::broken`].
    pub fn settle(&mut self, now: Timestamp, trace: &mut Trace) -> Result<(), String> {
        let mut order = Dice::new(0);
        while self.is_busy() {
            while let Some(shard) = self.busy_shard(&mut order) {
                self.deliver(now, shard, trace);
            }
            self.begin_flush(&mut order);
            self.finish_flush(&mut order);
            if let Some(broken) = self.broken() {
                return Err(broken);
            }
        }
        Ok(())
    }

    /// Whether events or syncs are under way.
    pub fn is_busy(&self) -> bool {
        self.mailboxes.iter().any(|mailbox| !mailbox.is_empty())
            || !self.flush_wanted.is_empty()
            || !self.flushing.is_empty()
    }

    /// The image that was published last.
    pub fn image(&self) -> &ClusterImage {
        self.image.as_ref().expect("a broker that has started has published an image")
    }

    /// Sends a client's request.
    pub fn ask(&mut self, to: PartId, token: Token, request: Request) {
        self.send(Envelope { to, event: Event::Ask { reply_to: ReplyTo::Shell(token), request } });
    }

    /// The client under this token waits no more.
    pub fn cancel(&mut self, to: PartId, token: Token) {
        self.send(Envelope { to, event: Event::Cancelled(token) });
    }

    /// An answer for a client.
    pub fn next_answer(&mut self) -> Option<(Token, Reply)> {
        self.answers.pop_front()
    }

    /// A shard that has mail.
    pub fn busy_shard(&self, rng: &mut Dice) -> Option<usize> {
        let busy: Vec<_> = (0..SHARDS).filter(|shard| !self.mailboxes[*shard].is_empty()).collect();
        (!busy.is_empty()).then(|| busy[rng.index(busy.len())])
    }

    /// Gives a shard its next event.
    pub fn deliver(&mut self, now: Timestamp, shard: usize, trace: &mut Trace) {
        let Some(envelope) = self.mailboxes[shard].pop_front() else { return };
        self.now = now;
        trace.note(&envelope);
        let mut effects = Vec::new();
        self.shards[shard].step(now, envelope, &mut effects);
        self.perform(effects, Some(trace));
    }

    /// Takes hold of one log that wants a sync; what is appended later is not covered.
    pub fn begin_flush(&mut self, rng: &mut Dice) {
        let ready: Vec<_> = self.flush_wanted.iter().filter(|log| !self.flushing.contains_key(log)).cloned().collect();
        if ready.is_empty() {
            return;
        }
        let partition = ready[rng.index(ready.len())].clone();
        self.flush_wanted.remove(&partition);
        match self.logs[&partition].flush_handle() {
            Ok(handle) => {
                self.flushing.insert(partition, handle);
            }
            Err(error) => self.storage_failed(&partition, &error.to_string()),
        }
    }

    /// Completes one sync that was begun.
    pub fn finish_flush(&mut self, rng: &mut Dice) {
        if self.flushing.is_empty() {
            return;
        }
        let (partition, handle) = self.flushing.iter().nth(rng.index(self.flushing.len())).expect("counted");
        let (partition, synced) = (partition.clone(), handle.sync());
        self.flushing.remove(&partition);
        let Some(log) = self.logs.get_mut(&partition) else { return };
        match synced {
            Ok(through) => {
                log.mark_flushed(through);
                self.send(Envelope { to: PartId::Partition(partition), event: Event::Flushed { through } });
            }
            Err(error) => {
                log.fence();
                self.storage_failed(&partition, &error.to_string());
            }
        }
    }

    /// Wakes the parts whose time has come.
    pub fn wake(&mut self, now: Timestamp) {
        let due: Vec<_> = self.wakes.iter().filter(|(_, at)| **at <= now).map(|(part, _)| part.clone()).collect();
        for part in due {
            self.wakes.remove(&part);
            self.send(Envelope { to: part, event: Event::Tick });
        }
    }

    /// The four offsets of every open partition, and where its log ends.
    pub fn watermarks(&self) -> BTreeMap<TopicPartition, (Watermarks, Offset)> {
        let offsets = self.logs.iter().filter_map(|(partition, log)| {
            let watermarks = self.shards[shard_of(partition)].watermarks(partition)?;
            Some((partition.clone(), (watermarks, log.log_end())))
        });
        offsets.collect()
    }

    /// Reads a log, straight from the medium.
    ///
    /// # Errors
    /// Says what could not be read.
    pub fn read(&self, partition: &TopicPartition, from: Offset, end: Offset) -> Result<Vec<Entry>, String> {
        let log = self.logs.get(partition).ok_or_else(|| format!("{partition} is not open"))?;
        let mut entries = Vec::new();
        let mut next = from;
        while next < end {
            let bytes = log.read(next, end, 64 << 10, true).map_err(|error| format!("{partition}: {error}"))?;
            let read = decode(&bytes).map_err(|error| format!("{partition}: {error}"))?;
            let Some(last) = read.last() else { break };
            next = last.offset + 1;
            entries.extend(read.into_iter().filter(|entry| entry.offset >= from));
        }
        Ok(entries)
    }

    /// Whether the medium has refused something since the start.
    pub fn has_failed_storage(&self) -> bool {
        !self.storage_failures.is_empty()
    }

    /// What went wrong that nothing excuses.
    pub fn broken(&self) -> Option<String> {
        if self.broken.is_some() {
            return self.broken.clone();
        }
        if self.has_failed_storage() {
            return None;
        }
        let parts = self.logs.keys().filter_map(coordinator_of);
        parts.into_iter().find_map(|part| {
            let failure = self.shards[shard_of(&part.log())].coordinator_failure(&part)?;
            Some(format!("{part:?} has failed: {failure}"))
        })
    }

    fn send(&mut self, envelope: Envelope) {
        self.mailboxes[shard_of(&envelope.to.log())].push_back(envelope);
    }

    fn storage_failed(&mut self, partition: &TopicPartition, message: &str) {
        self.storage_failures.push(format!("{partition}: {message}"));
        let event = Event::StorageFailed { message: message.to_owned() };
        self.send(Envelope { to: PartId::Partition(partition.clone()), event });
    }

    fn open(&mut self, partition: &TopicPartition, topic_id: TopicId, configs: &BTreeMap<String, String>) {
        if self.logs.contains_key(partition) {
            return;
        }
        let mut batches = Vec::new();
        let opening = Opening::of(topic_id.0);
        let opened =
            Log::open(self.disk.clone(), directory(partition), self.log_config.clone(), opening, &mut |batch| {
                let control = batch.control.map(|(control, epoch)| (control == ControlType::Commit, epoch));
                batches.push(RecoveredBatch { header: batch.header, control });
            });
        let (log, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.broken = Some(format!("{partition} cannot be opened: {error}"));
                return;
            }
        };
        let (log_start, log_end) = (recovered.log_start, recovered.log_end);
        self.logs.insert(partition.clone(), log);
        let mut effects = Vec::new();
        let producers = producers::states(&recovered.producers);
        let recovered = RecoveredLog { log_start, log_end, leader_epoch: 0, producers, batches };
        self.shards[shard_of(partition)].open(self.now, partition.clone(), topic_id, configs, recovered, &mut effects);
        self.perform(effects, None);
        if let Some(part) = coordinator_of(partition) {
            self.replay(part, partition, log_start, log_end);
        }
    }

    fn replay(&mut self, part: PartId, partition: &TopicPartition, log_start: Offset, log_end: Offset) {
        let mut next = log_start;
        while next < log_end {
            let read = self.logs[partition].read(next, log_end, 4 << 10, true);
            let bytes = match read {
                Ok(bytes) if !bytes.is_empty() => bytes,
                other => {
                    self.broken = Some(format!("{partition} cannot be replayed from {next}: {other:?}"));
                    return;
                }
            };
            let headers = pelton_record::batches(&bytes).map_while(Result::ok);
            next = headers.map(|batch| batch.header().next_offset()).last().unwrap_or(log_end);
            self.send(Envelope { to: part.clone(), event: Event::Replay { batches: vec![bytes] } });
        }
        self.send(Envelope { to: part, event: Event::Loaded });
    }

    fn perform(&mut self, effects: Vec<Effect>, mut trace: Option<&mut Trace>) {
        for effect in effects {
            if let Some(trace) = trace.as_deref_mut() {
                trace.note(&effect);
            }
            self.perform_one(effect);
        }
        self.write_snapshots();
    }

    /// Once a step is performed, its machines and their logs agree.
    fn write_snapshots(&mut self) {
        for (partition, log) in self.logs.iter_mut().filter(|(_, log)| log.wants_snapshot()) {
            let Some(states) = self.shards[shard_of(partition)].producers_at(partition, log.log_end()) else {
                continue;
            };
            // Without it the next start reads more, and finds the same.
            let _ = log.write_snapshot(&producers::entries(&states));
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Send(envelope) => self.send(envelope),
            Effect::Reply { token, reply } => self.answers.push_back((token, reply)),
            Effect::Write { partition, batches } => self.write(&partition, batches),
            Effect::Flush { partition, .. } => {
                if self.logs.contains_key(&partition) {
                    self.flush_wanted.insert(partition);
                }
            }
            Effect::RecordAborted { partition, aborted, last_stable } => {
                if let Some(log) = self.logs.get_mut(&partition) {
                    log.append_aborted(AbortedTxn {
                        producer_id: aborted.producer_id.0,
                        first_offset: aborted.first_offset,
                        last_offset: aborted.last_offset,
                        last_stable_offset: last_stable,
                    });
                }
            }
            Effect::Read { token, partition, from, end, max_bytes, with_aborted, answer } => {
                let fetched = self.fetch(&partition, from..end, max_bytes, with_aborted, answer);
                self.answers.push_back((token, Reply::Partition(fetched.map(PartitionReply::Fetched))));
            }
            Effect::DeleteRecords { token, partition, before } => self.delete_records(token, &partition, before),
            Effect::Locate { token, partition, lookup, end, leader_epoch } => {
                let located = self.locate(&partition, lookup, end);
                let located = located.map(|found| PartitionReply::Located { found, leader_epoch });
                self.answers.push_back((token, Reply::Partition(located)));
            }
            Effect::CreatePartition { partition, topic_id, configs } => self.open(&partition, topic_id, &configs),
            Effect::ConfigurePartition { partition, topic_id, configs } => {
                self.shards[shard_of(&partition)].configure(&partition, topic_id, &configs);
            }
            Effect::DeletePartition { partition, .. } => self.delete(&partition),
            Effect::PublishImage(image) => self.image = Some(image),
            Effect::WakeAt { part, at } => {
                self.wakes.insert(part, at);
            }
        }
    }

    fn delete_records(&mut self, token: Token, partition: &TopicPartition, before: Offset) {
        let deleted = match self.logs.get_mut(partition) {
            Some(log) => log.delete_before(before).map(|_| log.log_start()),
            None => return self.answers.push_back((token, Reply::Partition(Err(Refusal::UnknownTopicOrPartition)))),
        };
        let reply = match deleted {
            Ok(log_start) => {
                let to = PartId::Partition(partition.clone());
                self.send(Envelope { to, event: Event::Trimmed { log_start } });
                Ok(PartitionReply::RecordsDeleted { low_watermark: log_start })
            }
            Err(error) => Err(Refusal::Storage(error.to_string())),
        };
        self.answers.push_back((token, Reply::Partition(reply)));
    }

    fn write(&mut self, partition: &TopicPartition, batches: Vec<AssignedBatch>) {
        let Some(log) = self.logs.get_mut(partition) else { return };
        for AssignedBatch { header, bytes } in batches {
            let mut bytes = bytes.to_vec();
            pelton_record::patch_offset_and_epoch(&mut bytes, header.base_offset, header.partition_leader_epoch);
            if let Err(error) = log.append(&bytes, &header) {
                // What was decided after this batch must not be written without it.
                log.fence();
                self.storage_failed(partition, &error.to_string());
                return;
            }
        }
    }

    fn fetch(
        &self,
        partition: &TopicPartition,
        range: std::ops::Range<Offset>,
        max_bytes: usize,
        with_aborted: bool,
        mut answer: Fetched,
    ) -> Result<Fetched, Refusal> {
        let log = self.logs.get(partition).ok_or(Refusal::UnknownTopicOrPartition)?;
        let storage = |error: pelton_log::LogError| Refusal::Storage(error.to_string());
        answer.records = log.read(range.start, range.end, max_bytes, true).map_err(storage)?.into();
        if with_aborted {
            let end = answer.records.next_offset(range.start);
            let aborted = log.aborted_in(range.start, end).into_iter().map(|aborted| AbortedTransaction {
                producer_id: ProducerId(aborted.producer_id),
                first_offset: aborted.first_offset,
                last_offset: aborted.last_offset,
            });
            answer.aborted = aborted.collect();
        }
        Ok(answer)
    }

    fn locate(
        &self,
        partition: &TopicPartition,
        lookup: OffsetLookup,
        end: Offset,
    ) -> Result<Option<(Offset, Option<Timestamp>)>, Refusal> {
        let log = self.logs.get(partition).ok_or(Refusal::UnknownTopicOrPartition)?;
        let found = match lookup {
            OffsetLookup::Earliest => return Ok(Some((log.log_start(), None))),
            OffsetLookup::Latest => return Ok(Some((end, None))),
            OffsetLookup::EpochEnd(epoch) => return Ok(log.epoch_end_offset(epoch.0).map(|(_, end)| (end, None))),
            OffsetLookup::MaxTimestamp => log.max_timestamp_offset(end),
            OffsetLookup::AtOrAfter(timestamp) => log.offset_for_timestamp(timestamp.0, end),
        };
        let found = found.map_err(|error| Refusal::Storage(error.to_string()))?;
        Ok(found.map(|found| (found.offset, Some(Timestamp(found.timestamp)))))
    }

    fn delete(&mut self, partition: &TopicPartition) {
        let mut effects = Vec::new();
        self.shards[shard_of(partition)].close(partition, &mut effects);
        self.flush_wanted.remove(partition);
        self.flushing.remove(partition);
        if self.logs.remove(partition).is_some()
            && let Err(error) = self.disk.remove_dir_all(&directory(partition))
        {
            self.storage_failures.push(format!("{partition}: {error}"));
        }
        self.perform(effects, None);
    }

    /// The settings of every log.
    pub fn log_config(&self) -> &LogConfig {
        &self.log_config
    }

    /// The settings of the core.
    pub fn config(&self) -> &CoreConfig {
        &self.config
    }
}

/// Everything on small segments, so that a short run rolls them.
pub fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 4_096,
        index_interval_bytes: 256,
        preallocate_min_bytes: 512,
        preallocate_max_bytes: 2_048,
        ..LogConfig::default()
    }
}

fn directory(partition: &TopicPartition) -> PathBuf {
    PathBuf::from(format!("/data/{partition}"))
}

fn shard_of(partition: &TopicPartition) -> usize {
    let topic: usize = partition.topic.bytes().map(usize::from).sum();
    (topic + partition.partition as usize) % SHARDS
}

fn coordinator_of(partition: &TopicPartition) -> Option<PartId> {
    match &*partition.topic {
        METADATA_TOPIC => Some(PartId::Cluster),
        OFFSETS_TOPIC => Some(PartId::Group(partition.partition)),
        TRANSACTIONS_TOPIC => Some(PartId::Transaction(partition.partition)),
        _ => None,
    }
}
