//! The appends of a transaction that are on their way.
//!
//! They are asked for in the order in which they are pushed, so that two batches of one partition reach its owner, and
//! the hooks of its topic, in that order, which their sequence numbers demand.

use pelton_api::ports::Partition;
use pelton_core::event::{Acks, Appended, IncomingBatch};
use pelton_core::model::TopicPartition;
use pelton_server::Broker;
use pelton_server::hooks::{Client, SendFailure};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many appends of one writer may be unanswered; the next one waits.
pub const MAX_OUTSTANDING: usize = 64;

type Answer = Pin<Box<dyn Future<Output = Result<Appended, SendFailure>> + Send>>;

/// The appends of the open transaction.
pub struct Appends {
    broker: Broker,
    client: Client,
    outstanding: VecDeque<(Partition, Answer)>,
    /// The offset after the last acknowledged record, by partition.
    ends: BTreeMap<Partition, i64>,
    failure: Option<SendFailure>,
}

impl Appends {
    /// None yet.
    pub fn new(broker: Broker, client: Client) -> Self {
        Self { broker, client, outstanding: VecDeque::new(), ends: BTreeMap::new(), failure: None }
    }

    /// Sends one batch; waits while too many are unanswered.
    ///
    /// # Errors
    /// The first failure of any append of this transaction.
    pub async fn push(
        &mut self,
        to: &Partition,
        batch: IncomingBatch,
        transactional_id: Arc<str>,
    ) -> Result<(), SendFailure> {
        let partition = TopicPartition::new(to.topic.as_str(), to.index);
        // It is on its way when this returns: the order of these calls is the order in the partition.
        let answer = self.broker.append(self.client.clone(), partition, batch, Acks::All, Some(transactional_id));
        self.outstanding.push_back((to.clone(), Box::pin(answer)));
        poll_fn(|context| {
            self.advance(context);
            if self.outstanding.len() < MAX_OUTSTANDING { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Waits until every append is answered.
    pub async fn finish(&mut self) {
        poll_fn(|context| {
            self.advance(context);
            if self.outstanding.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The first failure of this transaction.
    pub fn failure(&self) -> Option<SendFailure> {
        self.failure.clone()
    }

    /// Ends the account of this transaction: the offset after the last record, by partition.
    pub fn forget(&mut self) -> BTreeMap<Partition, i64> {
        self.failure = None;
        std::mem::take(&mut self.ends)
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        let (ends, failure) = (&mut self.ends, &mut self.failure);
        self.outstanding.retain_mut(|(partition, answer)| match answer.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(answer) => {
                match answer {
                    Ok(appended) => {
                        let end = appended.last_offset + 1;
                        let known = ends.entry(partition.clone()).or_insert(end);
                        *known = end.max(*known);
                    }
                    Err(reason) => {
                        failure.get_or_insert(reason);
                    }
                }
                false
            }
        });
    }
}
