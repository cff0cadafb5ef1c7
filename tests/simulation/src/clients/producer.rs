//! An idempotent producer on one partition: several batches in flight, each sent again, unchanged, until it is
//! acknowledged. Interceptors take records away from some of the batches, or all.

use super::{Client, DATA, Turn, Values, batch, intercepted, is_retriable, log_of, origin};
use crate::observation::Observation;
use pelton_core::event::{
    Acks, ClusterReply, ClusterRequest, IncomingBatch, PartitionReply, PartitionRequest, Reply, Request,
};
use pelton_core::model::{PartId, Token, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::VecDeque;

/// As many as Kafka's producers have in flight at most, from the oldest that is not acknowledged on, and as a partition
/// remembers.
const MAX_IN_FLIGHT: u32 = 5;

/// The client.
#[derive(Debug)]
pub struct Producer {
    name: usize,
    partition: i32,
    producer_id: Option<i64>,
    waits_for_id: Option<Token>,
    next_sequence: i32,
    next_value: u64,
    next_number: u32,
    batches_left: u32,
    in_flight: VecDeque<InFlight>,
    /// Until the first acknowledgement one batch at a time is sent, as in Kafka's own producer: the partition takes any
    /// first sequence of a producer that it does not know.
    known: bool,
}

#[derive(Debug)]
struct InFlight {
    number: u32,
    batch: IncomingBatch,
    values: Values,
    token: Option<Token>,
}

impl Producer {
    /// A producer that writes `batches` batches to `partition` of the inputs.
    pub fn new(name: usize, partition: i32, batches: u32) -> Self {
        Self {
            name,
            partition,
            producer_id: None,
            waits_for_id: None,
            next_sequence: 0,
            next_value: 0,
            next_number: 0,
            batches_left: batches,
            in_flight: VecDeque::new(),
            known: false,
        }
    }

    fn make_batch(&mut self, producer_id: i64, turn: &mut Turn<'_>) {
        let count = 1 + turn.rng.below(4);
        // Sometimes larger than a sector, so that a torn write leaves half of it.
        let padding = if turn.rng.permille(150) { 700 } else { 5 };
        let values: Vec<_> = (self.next_value..self.next_value + count)
            .map(|number| format!("p{}/{number}/{}", self.name, "x".repeat(padding)).into_bytes())
            .collect();
        let values = intercepted(values, turn.rng);
        self.next_value += count;
        let batch = batch(turn.now, &values, (producer_id, 0, self.next_sequence), false);
        self.next_sequence += count as i32;
        self.batches_left -= 1;
        self.in_flight.push_back(InFlight { number: self.next_number, batch, values, token: None });
        self.next_number += 1;
    }

    /// Everything that is not acknowledged is sent again, from the oldest on.
    fn send_again(&mut self) {
        self.in_flight.iter_mut().for_each(|in_flight| in_flight.token = None);
    }
}

impl Client for Producer {
    fn act(&mut self, turn: &mut Turn<'_>) {
        let Some(producer_id) = self.producer_id else {
            if self.waits_for_id.is_none() && !turn.ending {
                self.waits_for_id =
                    Some(turn.ask(PartId::Cluster, Request::Cluster(ClusterRequest::AllocateProducerIds)));
            }
            return;
        };
        let room = if self.known { MAX_IN_FLIGHT } else { 1 };
        let oldest = self.in_flight.front().map_or(self.next_number, |in_flight| in_flight.number);
        if self.next_number - oldest < room && self.batches_left > 0 && !turn.ending {
            self.make_batch(producer_id, turn);
        }
        let Some(next) = self.in_flight.iter_mut().find(|in_flight| in_flight.token.is_none()) else { return };
        let request = PartitionRequest::Append {
            batches: vec![next.batch.clone()],
            acks: Acks::All,
            origin: origin(&next.values),
            transactional_id: None,
        };
        next.token = Some(turn.ask(log_of(DATA, self.partition), Request::Partition(request)));
    }

    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>) {
        if self.waits_for_id == Some(token) {
            self.waits_for_id = None;
            match reply {
                Reply::Cluster(Ok(ClusterReply::ProducerIds { first, .. })) => self.producer_id = Some(first.0),
                Reply::Cluster(Err(refusal)) if is_retriable(&refusal) => {}
                other => turn.unexpected("producer", other),
            }
            return;
        }
        let Some(place) = self.in_flight.iter().position(|in_flight| in_flight.token == Some(token)) else { return };
        match reply {
            Reply::Partition(Ok(PartitionReply::Appended(appended))) => {
                let values = self.in_flight.remove(place).expect("found above").values;
                self.known = true;
                let partition = TopicPartition::new(DATA, self.partition);
                turn.observe(Observation::Acknowledged { partition, base_offset: appended.base_offset, values });
            }
            Reply::Partition(Err(refusal)) if is_retriable(&refusal) => self.send_again(),
            // The batch before it was refused and comes again first.
            Reply::Partition(Err(Refusal::OutOfOrderSequence)) if place > 0 => self.send_again(),
            other => turn.unexpected("producer", other),
        }
    }

    fn lost(&mut self, token: Token, _turn: &mut Turn<'_>) {
        if self.waits_for_id == Some(token) {
            self.waits_for_id = None;
        } else {
            self.send_again();
        }
    }

    fn is_done(&self) -> bool {
        self.waits_for_id.is_none() && self.in_flight.is_empty()
    }
}
