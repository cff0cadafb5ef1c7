//! Many machines on one thread: what a shard thread of the binary, or the simulator, runs.
//!
//! What it does: it owns partitions and, beside the partitions of the broker's own topics, the coordinators
//! that live on their logs; it gives each event to its machine, and what its machines say to each other it passes
//! on at once. What it does not do: it performs no effect, and it keeps no time.
//!
//! Invariants: a coordinator is here exactly while the partition behind it is; what one machine says to another
//! arrives in the order in which it was said; one [`Shard::step`] ends, since every machine bounds what waits in it.

use crate::cluster::Cluster;
use crate::config::CoreConfig;
use crate::coordinator::Coordinator;
use crate::coordinator::frame::Frame;
use crate::effect::Effect;
use crate::event::{Envelope, Event, PartitionRequest, ProducerState, RecoveredLog, Reply, Request};
use crate::group::{GroupNumbers, Groups};
use crate::model::{
    METADATA_TOPIC, OFFSETS_TOPIC, Offset, PartId, TRANSACTIONS_TOPIC, Timestamp, TopicId, TopicPartition, Watermarks,
};
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::transaction::Transactions;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Events between machines of one shard that one step may cause. A flush lets go what waited in one partition, some
/// ten thousand answers at most; a step that passes this bound by far is machines talking in a circle.
const MAX_LOCAL_EVENTS: usize = 1_000_000;

/// The machines of one thread.
#[derive(Debug)]
pub struct Shard {
    config: Arc<CoreConfig>,
    partitions: BTreeMap<TopicPartition, Partition>,
    groups: BTreeMap<i32, Frame<Groups>>,
    transactions: BTreeMap<i32, Frame<Transactions>>,
    cluster: Option<Frame<Cluster>>,
    /// How many steps were taken. What one asks for is performed before the next.
    steps: u64,
    /// Partitions whose storage is out of reach, and why. They have no machine.
    offline: BTreeMap<TopicPartition, (TopicId, String)>,
}

/// A partition whose log had no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// Which.
    pub partition: TopicPartition,
    /// Where its log ends.
    pub log_end: Offset,
    /// What the operating system said.
    pub message: String,
}

/// An event on its way inside of the shard.
struct Local {
    envelope: Envelope,
    /// Whether it has already let the events that were behind it pass.
    deferred: bool,
}

impl Shard {
    /// A shard without machines.
    pub fn new(config: Arc<CoreConfig>) -> Self {
        Self {
            config,
            partitions: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            cluster: None,
            steps: 0,
            offline: BTreeMap::new(),
        }
    }

    /// Takes a partition in whose log the shell has opened. Beside a partition of `__consumer_offsets`,
    /// `__transaction_state` or `__cluster_metadata` comes its coordinator, which refuses questions until the shell
    /// has sent it the log ([`Event::Replay`], [`Event::Loaded`]). A partition that is here already is closed first.
    pub fn open(
        &mut self,
        _now: Timestamp,
        partition: TopicPartition,
        topic_id: TopicId,
        configs: &BTreeMap<String, String>,
        log: RecoveredLog,
        effects: &mut Vec<Effect>,
    ) {
        self.close(&partition, effects);
        let index = partition.partition;
        match &*partition.topic {
            OFFSETS_TOPIC => {
                let machine = Groups::new(self.config.clone(), index);
                self.groups.insert(index, Frame::new(PartId::Group(index), machine));
            }
            TRANSACTIONS_TOPIC => {
                let machine = Transactions::new(self.config.clone(), index);
                self.transactions.insert(index, Frame::new(PartId::Transaction(index), machine));
            }
            METADATA_TOPIC if index == 0 => {
                self.cluster = Some(Frame::new(PartId::Cluster, Cluster::new(self.config.clone())));
            }
            _ => {}
        }
        self.offline.remove(&partition);
        let machine = Partition::open(self.config.clone(), partition.clone(), topic_id, configs, log);
        self.partitions.insert(partition, machine);
    }

    /// Lets a partition that is here go by the configs that its topic has now.
    pub fn configure(&mut self, partition: &TopicPartition, topic_id: TopicId, configs: &BTreeMap<String, String>) {
        if let Some(machine) = self.partitions.get_mut(partition).filter(|machine| machine.topic_id() == topic_id) {
            machine.configure(configs);
        }
    }

    /// Forgets a partition and the coordinator on it, and answers everything that waits there.
    pub fn close(&mut self, partition: &TopicPartition, effects: &mut Vec<Effect>) {
        let Some(mut machine) = self.partitions.remove(partition) else {
            return;
        };
        let index = partition.partition;
        // The coordinator goes first: the answers of its log are of no use to it any more.
        match &*partition.topic {
            OFFSETS_TOPIC => close_frame(self.groups.remove(&index), effects),
            TRANSACTIONS_TOPIC => close_frame(self.transactions.remove(&index), effects),
            METADATA_TOPIC => close_frame(self.cluster.take(), effects),
            _ => {}
        }
        machine.close(effects);
    }

    /// The storage of a partition is out of reach: whatever waits there is refused, and so is what is asked of it, and of
    /// the coordinator on it, until it is opened again.
    pub fn take_offline(
        &mut self,
        now: Timestamp,
        partition: TopicPartition,
        topic_id: TopicId,
        message: String,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(machine) = self.partitions.get_mut(&partition) {
            // Whoever waits for an append hears of the storage, and not that the partition is unknown.
            machine.step(now, Event::StorageFailed { message: message.clone() }, effects);
        }
        self.close(&partition, effects);
        self.offline.insert(partition, (topic_id, message));
    }

    /// Forgets a partition that is offline, because its topic was deleted.
    pub fn forget_offline(&mut self, partition: &TopicPartition, topic_id: TopicId) {
        if self.offline.get(partition).is_some_and(|(id, _)| *id == topic_id) {
            self.offline.remove(partition);
        }
    }

    /// The partitions that are offline, in order.
    pub fn offline(&self) -> impl Iterator<Item = &TopicPartition> {
        self.offline.keys()
    }

    /// Whether the partition is here.
    pub fn has(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// The four offsets of a partition that is here.
    pub fn watermarks(&self, partition: &TopicPartition) -> Option<Watermarks> {
        self.partitions.get(partition).map(Partition::watermarks)
    }

    /// The groups of the coordinators that are here, coordinator by coordinator.
    pub fn groups(&self) -> impl Iterator<Item = GroupNumbers> {
        self.groups.values().flat_map(|frame| frame.machine().numbers())
    }

    /// What a partition that is here remembers of its producers, the longest silent first.
    pub fn producers(&self, partition: &TopicPartition) -> Option<Vec<ProducerState>> {
        self.partitions.get(partition).map(Partition::producers)
    }

    /// What a partition that is here remembers of its producers, if its log ends at `log_end`.
    pub fn producers_at(&self, partition: &TopicPartition, log_end: Offset) -> Option<Vec<ProducerState>> {
        let machine = self.partitions.get(partition)?;
        (machine.watermarks().log_end == log_end).then(|| machine.producers())
    }

    /// The partitions that are here, with the ids of their topics, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, TopicId)> {
        self.partitions.iter().map(|(partition, machine)| (partition, machine.topic_id()))
    }

    /// Why the coordinator on this partition's log answers no more, if it does not.
    pub fn coordinator_failure(&self, part: &PartId) -> Option<&str> {
        match part {
            PartId::Partition(_) => None,
            PartId::Group(index) => self.groups.get(index)?.failure(),
            PartId::Transaction(index) => self.transactions.get(index)?.failure(),
            PartId::Cluster => self.cluster.as_ref()?.failure(),
        }
    }

    /// Takes one event and everything that it causes among the machines here.
    ///
    /// # Panics
    /// When the machines talk in a circle ([`MAX_LOCAL_EVENTS`]): stopping is better than never answering again.
    pub fn step(&mut self, now: Timestamp, envelope: Envelope, effects: &mut Vec<Effect>) {
        self.steps += 1;
        self.run(now, VecDeque::from([Local { envelope, deferred: false }]), effects);
    }

    /// Tells partitions what of the last step's writes the medium had no room for. All are told before anything that
    /// follows from it is asked of any of them.
    ///
    /// # Panics
    /// As for [`Shard::step`].
    pub fn no_room(&mut self, now: Timestamp, failed: Vec<NoRoom>, effects: &mut Vec<Effect>) {
        // Still of the same step: what it decided is what is taken back.
        let queue = failed.into_iter().map(|NoRoom { partition, log_end, message }| Local {
            envelope: Envelope { to: PartId::Partition(partition), event: Event::NoRoom { log_end, message } },
            deferred: false,
        });
        self.run(now, queue.collect(), effects);
    }

    fn run(&mut self, now: Timestamp, mut queue: VecDeque<Local>, effects: &mut Vec<Effect>) {
        let mut caused = Vec::new();
        let mut taken = 0;
        while let Some(mut local) = queue.pop_front() {
            taken += 1;
            assert!(taken <= MAX_LOCAL_EVENTS, "the machines talk in a circle: {:?}", local.envelope);
            if !local.deferred && lets_others_pass(&local.envelope) {
                local.deferred = true;
                queue.push_back(local);
                continue;
            }
            let Envelope { to, event } = local.envelope;
            self.give(now, &to, event, &mut caused);
            for effect in caused.drain(..) {
                match effect {
                    Effect::Send(envelope) if self.owns(&envelope.to) => {
                        queue.push_back(Local { envelope, deferred: false });
                    }
                    other => effects.push(other),
                }
            }
        }
    }

    fn give(&mut self, now: Timestamp, to: &PartId, event: Event, effects: &mut Vec<Effect>) {
        if !self.owns(to) {
            if let Event::Ask { reply_to, request } = event {
                let reply = match self.offline.get(&to.log()) {
                    Some((_, message)) => refuse_offline(&request, message),
                    None => refuse_unknown(&request),
                };
                effects.extend(Effect::answer(reply_to, reply));
            }
            return;
        }
        match to {
            PartId::Partition(partition) => {
                if let Some(machine) = self.partitions.get_mut(partition) {
                    machine.performed_before(self.steps);
                    machine.step(now, event, effects);
                }
            }
            PartId::Group(index) => step_frame(self.groups.get_mut(index), now, event, effects),
            PartId::Transaction(index) => step_frame(self.transactions.get_mut(index), now, event, effects),
            PartId::Cluster => step_frame(self.cluster.as_mut(), now, event, effects),
        }
    }

    fn owns(&self, part: &PartId) -> bool {
        match part {
            PartId::Partition(partition) => self.partitions.contains_key(partition),
            PartId::Group(index) => self.groups.contains_key(index),
            PartId::Transaction(index) => self.transactions.contains_key(index),
            PartId::Cluster => self.cluster.is_some(),
        }
    }
}

/// A marker for `__consumer_offsets` goes behind what is already on its way. The transaction coordinator may have
/// told the group coordinator just before that the transaction is open; the offsets that this lets through are then
/// already in the queue, and must be in the log before the marker, not after it.
fn lets_others_pass(envelope: &Envelope) -> bool {
    let Envelope { to: PartId::Partition(partition), event: Event::Ask { request, .. } } = envelope else {
        return false;
    };
    &*partition.topic == OFFSETS_TOPIC && matches!(request, Request::Partition(PartitionRequest::WriteMarker(_)))
}

fn step_frame<C: Coordinator>(frame: Option<&mut Frame<C>>, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
    if let Some(frame) = frame {
        frame.step(now, event, effects);
    }
}

fn close_frame<C: Coordinator>(frame: Option<Frame<C>>, effects: &mut Vec<Effect>) {
    if let Some(mut frame) = frame {
        frame.close(effects);
    }
}

/// The refusal of a question whose machine is not here.
fn refuse_unknown(request: &Request) -> Reply {
    match request {
        Request::Partition(_) => Reply::Partition(Err(Refusal::UnknownTopicOrPartition)),
        Request::Group(_) => Reply::Group(Err(Refusal::NotCoordinator)),
        Request::Transaction(_) => Reply::Transaction(Err(Refusal::NotCoordinator)),
        Request::Cluster(_) => Reply::Cluster(Err(Refusal::NotCoordinator)),
    }
}

/// The refusal of a question whose machine has lost its storage.
fn refuse_offline(request: &Request, message: &str) -> Reply {
    match request {
        Request::Partition(_) => Reply::Partition(Err(Refusal::Storage(message.to_owned()))),
        Request::Group(_) => Reply::Group(Err(Refusal::CoordinatorNotAvailable)),
        Request::Transaction(_) => Reply::Transaction(Err(Refusal::CoordinatorNotAvailable)),
        Request::Cluster(_) => Reply::Cluster(Err(Refusal::Storage(message.to_owned()))),
    }
}

#[cfg(test)]
mod tests;
