//! Writes transactions as a transactional producer does (KIP-98, KIP-447), without a socket between.
//!
//! Appends are pipelined: [`TransactionalWriter::send`] enqueues and returns, at most [`appends::MAX_OUTSTANDING`] are on
//! the way, and every one of them is answered before the transaction ends.
//!
//! Invariant: a transaction is ended with "commit" only when each of its batches was acknowledged (acks=all) and
//! its offsets are written. After any other outcome the writer refuses to go on until it is initialised anew,
//! which fences and aborts what was left open: nothing is guessed.

mod appends;
mod batch;

use super::{Backoff, ask_group, ask_transaction, is_passing, persistently, port_error};
use appends::Appends;
use bytes::Bytes;
use pelton_api::ports::{Partition, PortError, PortFuture, TransactionalWriter};
use pelton_core::event::{
    CommitOffset, GroupReply, GroupRequest, InitializedProducer, OffsetCommit, TransactionReply, TransactionRequest,
    TransactionResult, TransactionalOffsetCommit,
};
use pelton_core::model::{OFFSETS_TOPIC, TopicId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_server::Broker;
use pelton_server::hooks::{Client, SendFailure};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A writer under one transactional id.
pub struct BrokerWriter {
    broker: Broker,
    id: Arc<str>,
    timeout_ms: i32,
    batch_max_bytes: usize,
    producer: Option<InitializedProducer>,
    /// Next sequence number of each partition under the present producer epoch.
    sequences: BTreeMap<Partition, i32>,
    /// Partitions that belong to the open transaction.
    enlisted: BTreeSet<Partition>,
    /// Partitions that the transaction before wrote to. They are enlisted together with the first of this one,
    /// in one durable step instead of one for each; a partition that is then not written gets an idle marker.
    expected: BTreeSet<Partition>,
    appends: Appends,
    /// The sources as they were at the first commit since the writer was initialised.
    sources: BTreeMap<String, TopicId>,
    /// Why the open transaction cannot be committed any more.
    broken: Option<PortError>,
}

impl BrokerWriter {
    /// A writer for `transactional_id` whose transactions may stay open for `timeout_ms`; to plugins it is `client`.
    /// Batches are cut to `batch_max_bytes` where they hold more than one record.
    pub fn new(
        broker: Broker,
        client: Client,
        transactional_id: &str,
        timeout_ms: i32,
        batch_max_bytes: usize,
    ) -> Self {
        Self {
            appends: Appends::new(broker.clone(), client),
            broker,
            id: transactional_id.into(),
            timeout_ms,
            batch_max_bytes,
            producer: None,
            sequences: BTreeMap::new(),
            enlisted: BTreeSet::new(),
            expected: BTreeSet::new(),
            sources: BTreeMap::new(),
            broken: None,
        }
    }

    async fn initialise(&mut self) -> Result<(), PortError> {
        // What an earlier transaction still has on the way must not arrive in the next one.
        self.appends.finish().await;
        self.appends.forget();
        self.producer = None;
        let refused = |refusal: &Refusal| port_error(&format!("transactional id {}", self.id), refusal);
        let answer = persistently(async || {
            let index = super::transaction_coordinator(&self.broker, &self.id).await?;
            let request = TransactionRequest::InitProducer {
                transactional_id: self.id.clone(),
                timeout_ms: self.timeout_ms,
                current: None,
            };
            ask_transaction(&self.broker, index, request).await
        });
        match answer.await {
            Ok(TransactionReply::Initialized(producer)) => self.producer = Some(producer),
            Ok(other) => return Err(refused(&super::strange(&other))),
            Err(refusal) => return Err(refused(&refusal)),
        }
        self.sequences.clear();
        self.enlisted.clear();
        self.expected.clear();
        self.sources.clear();
        self.broken = None;
        Ok(())
    }

    fn ready(&self) -> Result<InitializedProducer, PortError> {
        match (&self.broken, self.producer) {
            (Some(reason), _) => Err(reason.clone()),
            (None, Some(producer)) => Ok(producer),
            (None, None) => Err(PortError::Retriable(format!("the writer {} is not initialised", self.id))),
        }
    }

    /// Remembers that the transaction cannot be committed.
    fn fail<T>(&mut self, error: PortError) -> Result<T, PortError> {
        self.broken = Some(error.clone());
        Err(error)
    }

    fn refused(&self, refusal: &Refusal) -> PortError {
        port_error(&format!("the transaction of {}", self.id), refusal)
    }

    fn not_sent(&self, failure: &SendFailure) -> PortError {
        match failure {
            SendFailure::Refused(refusal) => self.refused(refusal),
            SendFailure::Invalid(_) | SendFailure::Rejected { .. } => {
                PortError::Fatal(format!("the transaction of {}: {failure}", self.id))
            }
            SendFailure::Unavailable(_) | SendFailure::Unacknowledged(_) => {
                PortError::Retriable(format!("the transaction of {}: {failure}", self.id))
            }
        }
    }

    async fn enlist(&mut self, producer: InitializedProducer, to: &Partition) -> Result<(), PortError> {
        if self.enlisted.contains(to) {
            return Ok(());
        }
        let mut wanted = BTreeSet::from([to.clone()]);
        if self.enlisted.is_empty() {
            let image = self.broker.image();
            let here = |p: &Partition| image.has(&TopicPartition::new(p.topic.as_str(), p.index));
            wanted.extend(std::mem::take(&mut self.expected).into_iter().filter(here));
        }
        let partitions: Vec<_> = wanted.iter().map(topic_partition).collect();
        let answer = persistently(async || {
            let index = super::transaction_coordinator(&self.broker, &self.id).await?;
            let request = TransactionRequest::AddPartitions {
                transactional_id: self.id.clone(),
                producer_id: producer.producer_id,
                producer_epoch: producer.producer_epoch,
                partitions: partitions.clone(),
            };
            ask_transaction(&self.broker, index, request).await
        });
        match answer.await {
            Ok(_) => {
                self.enlisted.append(&mut wanted);
                Ok(())
            }
            Err(refusal) => self.fail(self.refused(&refusal)),
        }
    }

    async fn append(&mut self, to: &Partition, batch: Bytes) -> Result<(), PortError> {
        let producer = self.ready()?;
        let pieces = match batch::pieces(&batch, self.batch_max_bytes) {
            Ok(pieces) => pieces,
            Err(reason) => return self.fail(PortError::Fatal(format!("a batch for {}: {reason}", to.topic))),
        };
        if pieces.is_empty() {
            return Ok(());
        }
        self.enlist(producer, to).await?;
        for piece in pieces {
            let sequence = self.sequences.get(to).copied().unwrap_or(0);
            let incoming = batch::stamped(piece, producer, sequence);
            let next = incoming.header.last_sequence().checked_add(1).unwrap_or(0);
            self.sequences.insert(to.clone(), next);
            if let Err(failure) = self.appends.push(to, incoming, self.id.clone()).await {
                return self.fail(self.not_sent(&failure));
            }
        }
        Ok(())
    }

    async fn end(&mut self, producer: InitializedProducer, result: TransactionResult) -> Result<(), PortError> {
        let answer = persistently(async || {
            let index = super::transaction_coordinator(&self.broker, &self.id).await?;
            let request = TransactionRequest::End {
                transactional_id: self.id.clone(),
                producer_id: producer.producer_id,
                producer_epoch: producer.producer_epoch,
                result,
            };
            ask_transaction(&self.broker, index, request).await
        });
        match answer.await {
            Ok(TransactionReply::Ended(next)) => {
                if next != producer {
                    self.sequences.clear();
                }
                self.producer = Some(next);
                self.enlisted.clear();
                Ok(())
            }
            Ok(other) => self.fail(self.refused(&super::strange(&other))),
            // The decision may have been made all the same: only a new beginning tells.
            Err(refusal) => self.fail(self.refused(&refusal)),
        }
    }

    /// The offsets with the notes that say which creation of their topic they count in.
    fn noted(&mut self, offsets: &[(Partition, i64)]) -> Result<Vec<CommitOffset>, PortError> {
        let image = self.broker.image();
        let mut noted = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let topic = image.topic(&partition.topic).ok_or_else(|| PortError::Unknown(partition.topic.clone()))?.id;
            if *self.sources.entry(partition.topic.clone()).or_insert(topic) != topic {
                return Err(super::made_anew(&partition.topic));
            }
            noted.push(CommitOffset {
                partition: topic_partition(partition),
                offset: *offset,
                leader_epoch: None,
                metadata: super::offset_note(topic).into(),
            });
        }
        Ok(noted)
    }

    async fn finish_commit(
        &mut self,
        group: &str,
        offsets: &[(Partition, i64)],
    ) -> Result<BTreeMap<Partition, i64>, PortError> {
        let producer = self.ready()?;
        if self.enlisted.is_empty() && offsets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let offsets = match self.noted(offsets) {
            Ok(offsets) => offsets,
            Err(error) => return self.fail(error),
        };
        let broker = self.broker.clone();
        let id = self.id.clone();
        let committing = async {
            if offsets.is_empty() { Ok(()) } else { commit_offsets(&broker, id, producer, group, offsets).await }
        };
        let (offsets_written, ()) = tokio::join!(committing, self.appends.finish());
        if let Some(failure) = self.appends.failure() {
            return self.fail(self.not_sent(&failure));
        }
        if let Err(refusal) = offsets_written {
            return self.fail(self.refused(&refusal));
        }
        let ends = self.appends.forget();
        self.end(producer, TransactionResult::Commit).await?;
        self.expected = ends.keys().cloned().collect();
        Ok(ends)
    }

    async fn finish_abort(&mut self) -> Result<(), PortError> {
        let producer = self.ready()?;
        self.appends.finish().await;
        if let Some(failure) = self.appends.failure() {
            return self.fail(self.not_sent(&failure));
        }
        self.appends.forget();
        if self.enlisted.is_empty() {
            return Ok(());
        }
        self.end(producer, TransactionResult::Abort).await
    }
}

impl TransactionalWriter for BrokerWriter {
    fn init<'a>(&'a mut self) -> PortFuture<'a, ()> {
        Box::pin(self.initialise())
    }

    fn send<'a>(&'a mut self, to: &'a Partition, batch: Bytes) -> PortFuture<'a, ()> {
        Box::pin(self.append(to, batch))
    }

    fn commit<'a>(
        &'a mut self,
        group: &'a str,
        offsets: &'a [(Partition, i64)],
    ) -> PortFuture<'a, BTreeMap<Partition, i64>> {
        Box::pin(self.finish_commit(group, offsets))
    }

    fn abort<'a>(&'a mut self) -> PortFuture<'a, ()> {
        Box::pin(self.finish_abort())
    }
}

/// AddOffsetsToTxn and TxnOffsetCommit.
async fn commit_offsets(
    broker: &Broker,
    id: Arc<str>,
    producer: InitializedProducer,
    group: &str,
    offsets: Vec<CommitOffset>,
) -> Result<(), Refusal> {
    let offsets_index = super::group_coordinator(broker, group).await?;
    persistently(async || {
        let index = super::transaction_coordinator(broker, &id).await?;
        let request = TransactionRequest::AddOffsets {
            transactional_id: id.clone(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            offsets_partition: TopicPartition::new(OFFSETS_TOPIC, offsets_index),
        };
        ask_transaction(broker, index, request).await
    })
    .await?;
    let commit = TransactionalOffsetCommit {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        transactional_id: id,
        commit: OffsetCommit {
            group: group.into(),
            // The transactional id fences instances of a task, so no group membership is needed (KIP-447 leaves
            // generation and member out likewise when there is no consumer group protocol).
            generation: -1,
            member: "".into(),
            instance: None,
            retention_ms: None,
            offsets,
        },
    };
    let mut backoff = Backoff::new();
    loop {
        match ask_group(broker, offsets_index, GroupRequest::CommitInTransaction(commit.clone())).await {
            Ok(GroupReply::Done) => return Ok(()),
            Ok(other) => return Err(super::strange(&other)),
            Err(refusal) if is_passing(&refusal) && backoff.wait().await => {}
            Err(refusal) => return Err(refusal),
        }
    }
}

fn topic_partition(partition: &Partition) -> TopicPartition {
    TopicPartition::new(partition.topic.as_str(), partition.index)
}
