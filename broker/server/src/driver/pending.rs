//! A question that has been asked, and its answer.

use super::Driver;
use pelton_core::event::{Reply, Request};
use pelton_core::model::{PartId, Token};
use pelton_core::refusal::Refusal;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Whose kind of answer is expected, to be able to refuse in its words.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Partition,
    Group,
    Transaction,
    Cluster,
}

/// The answer of a part, once it is given. Dropping it tells the part that nobody waits any more.
pub struct Pending {
    driver: Arc<Driver>,
    part: PartId,
    token: Token,
    answered: oneshot::Receiver<Reply>,
    kind: Kind,
    settled: bool,
}

impl Pending {
    pub(super) fn new(
        driver: Arc<Driver>,
        part: PartId,
        token: Token,
        answered: oneshot::Receiver<Reply>,
        request: &Request,
    ) -> Self {
        let kind = match request {
            Request::Partition(_) => Kind::Partition,
            Request::Group(_) => Kind::Group,
            Request::Transaction(_) => Kind::Transaction,
            Request::Cluster(_) => Kind::Cluster,
        };
        Self { driver, part, token, answered, kind, settled: false }
    }

    /// Lets the question go on even when nobody waits for its answer any more.
    pub fn detached(mut self) -> Self {
        self.settled = true;
        self
    }
}

impl Future for Pending {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let Poll::Ready(answer) = Pin::new(&mut self.answered).poll(context) else { return Poll::Pending };
        self.settled = true;
        Poll::Ready(answer.unwrap_or_else(|_| match self.kind {
            Kind::Partition => Reply::Partition(Err(Refusal::Stopping)),
            Kind::Group => Reply::Group(Err(Refusal::Stopping)),
            Kind::Transaction => Reply::Transaction(Err(Refusal::Stopping)),
            Kind::Cluster => Reply::Cluster(Err(Refusal::Stopping)),
        }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.settled {
            self.driver.cancel(self.part.clone(), self.token);
        }
    }
}

/// The first of several answers; the other questions are cancelled.
pub async fn first_of(mut pending: Vec<Pending>) -> Option<Reply> {
    if pending.is_empty() {
        return None;
    }
    let first = std::future::poll_fn(move |context| {
        for question in &mut pending {
            if let Poll::Ready(reply) = Pin::new(question).poll(context) {
                return Poll::Ready(reply);
            }
        }
        Poll::Pending
    });
    Some(first.await)
}
