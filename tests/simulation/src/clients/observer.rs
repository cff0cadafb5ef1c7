//! A consumer without a group: it reads every partition over and over, at both isolation levels.

use super::{Client, DATA, OUT, PARTITIONS, Turn, is_retriable};
use crate::entry::decode;
use crate::observation::Observation;
use pelton_core::event::{PartitionReply, PartitionRequest, Reply, Request};
use pelton_core::model::{Isolation, Offset, PartId, Token, TopicPartition};

/// The client.
#[derive(Debug, Default)]
pub struct Observer {
    reading: Option<Reading>,
    waiting: Option<Token>,
    watching: bool,
}

#[derive(Debug, Clone)]
struct Reading {
    partition: TopicPartition,
    isolation: Isolation,
    offset: Offset,
}

impl Client for Observer {
    fn act(&mut self, turn: &mut Turn<'_>) {
        if self.waiting.is_some() || turn.ending {
            return;
        }
        if self.reading.is_none() || turn.rng.permille(100) {
            let topic = if turn.rng.permille(300) { DATA } else { OUT };
            let isolation = if turn.rng.permille(300) { Isolation::ReadUncommitted } else { Isolation::ReadCommitted };
            let partition = TopicPartition::new(topic, turn.rng.below(PARTITIONS as u64) as i32);
            self.reading = Some(Reading { partition, isolation, offset: 0 });
        }
        let Some(Reading { partition, isolation, offset }) = self.reading.clone() else { return };
        let request = if self.watching {
            PartitionRequest::Watch { offset, isolation }
        } else {
            let max_bytes = turn.rng.below(1_500) as usize;
            PartitionRequest::Fetch { offset, current_leader_epoch: None, max_bytes, isolation }
        };
        self.waiting = Some(turn.ask(PartId::Partition(partition), Request::Partition(request)));
    }

    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>) {
        if self.waiting != Some(token) {
            return;
        }
        self.waiting = None;
        let Some(Reading { partition, isolation, offset }) = self.reading.clone() else { return };
        match reply {
            Reply::Partition(Ok(PartitionReply::Readable)) if self.watching => self.watching = false,
            Reply::Partition(Ok(PartitionReply::Fetched(fetched))) if !self.watching => {
                let records = match fetched.records.read().and_then(|bytes| decode(&bytes)) {
                    Ok(records) => records,
                    Err(error) => return turn.unexpected("observer", error),
                };
                match (records.last(), &mut self.reading) {
                    (Some(last), Some(reading)) => reading.offset = last.offset + 1,
                    _ if turn.rng.permille(500) => self.watching = true,
                    _ => self.reading = None,
                }
                let (aborted, watermarks) = (fetched.aborted, fetched.watermarks);
                let from = offset;
                turn.observe(Observation::Fetched { partition, isolation, from, records, aborted, watermarks });
            }
            Reply::Partition(Err(refusal)) if is_retriable(&refusal) => self.watching = false,
            other => turn.unexpected("observer", other),
        }
    }

    fn lost(&mut self, _token: Token, _turn: &mut Turn<'_>) {
        self.waiting = None;
        self.watching = false;
    }

    fn is_done(&self) -> bool {
        self.waiting.is_none()
    }
}
