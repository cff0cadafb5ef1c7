//! The appends of a transaction that are on their way.
//!
//! They are polled in the order in which they were pushed, so that two batches of one partition enter its
//! owner's mailbox in that order, which their sequence numbers demand.

use super::super::strange;
use pelton_api::ports::Partition;
use pelton_core::event::{Acks, AppendOrigin, IncomingBatch, PartitionReply, PartitionRequest, Reply, Request};
use pelton_core::model::{PartId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_server::Broker;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many appends of one writer may be unanswered; the next one waits.
pub const MAX_OUTSTANDING: usize = 64;

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The appends of the open transaction.
pub struct Appends {
    broker: Broker,
    outstanding: VecDeque<(Partition, Answer)>,
    /// The offset after the last acknowledged record, by partition.
    ends: BTreeMap<Partition, i64>,
    refusal: Option<Refusal>,
}

impl Appends {
    /// None yet.
    pub fn new(broker: Broker) -> Self {
        Self { broker, outstanding: VecDeque::new(), ends: BTreeMap::new(), refusal: None }
    }

    /// Sends one batch; waits while too many are unanswered.
    ///
    /// # Errors
    /// The first refusal of any append of this transaction.
    pub async fn push(
        &mut self,
        to: &Partition,
        batch: IncomingBatch,
        transactional_id: Arc<str>,
    ) -> Result<(), Refusal> {
        let request = Request::Partition(PartitionRequest::Append {
            batches: vec![batch],
            acks: Acks::All,
            origin: AppendOrigin::Client,
            transactional_id: Some(transactional_id),
        });
        let part = PartId::Partition(TopicPartition::new(to.topic.as_str(), to.index));
        let broker = self.broker.clone();
        self.outstanding.push_back((to.clone(), Box::pin(async move { broker.ask(part, request).await })));
        poll_fn(|context| {
            self.advance(context);
            if self.outstanding.len() < MAX_OUTSTANDING { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// Waits until every append is answered.
    pub async fn finish(&mut self) {
        poll_fn(|context| {
            self.advance(context);
            if self.outstanding.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The first refusal of this transaction.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.clone()
    }

    /// Ends the account of this transaction: the offset after the last record, by partition.
    pub fn forget(&mut self) -> BTreeMap<Partition, i64> {
        self.refusal = None;
        std::mem::take(&mut self.ends)
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        let (ends, refusal) = (&mut self.ends, &mut self.refusal);
        self.outstanding.retain_mut(|(partition, answer)| match answer.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(reply) => {
                match appended_end(reply) {
                    Ok(end) => {
                        let known = ends.entry(partition.clone()).or_insert(end);
                        *known = end.max(*known);
                    }
                    Err(reason) => {
                        refusal.get_or_insert(reason);
                    }
                }
                false
            }
        });
    }
}

fn appended_end(reply: Reply) -> Result<i64, Refusal> {
    match reply {
        Reply::Partition(Ok(PartitionReply::Appended(appended))) => Ok(appended.last_offset + 1),
        Reply::Partition(Err(refusal)) => Err(refusal),
        other => Err(strange(&other)),
    }
}
