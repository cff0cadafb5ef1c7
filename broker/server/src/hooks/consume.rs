//! Records on their way to a consumer: through the `on-consume` hooks of their topic, on guest threads, the
//! partitions of an answer side by side. What the hooks emit is durable before the records leave.
//!
//! Bounds: hooks may make records longer, up to `GROWTH` times what was read and only as far as there is memory for it;
//! beyond that, fewer batches leave, and the consumer comes back for the others.

use super::table::HookedTopic;
use super::{Client, TopicTable};
use bytes::Bytes;
use pelton_api::hooks::{Consumed, Origin, TopicHooks};
use pelton_api::interceptor::Hook;
use pelton_core::event::{Fetched, Records};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::pin::Pin;
use std::sync::Arc;

/// How many times as long as they were records may become.
const GROWTH: usize = 2;

/// Why a partition's records do not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// They could not be read.
    Refused(Refusal),
    /// Plugins failed, and the topic fails closed.
    Failed(String),
}

/// What was read of one partition, or `None` where it does not exist.
pub type Of = Option<TopicPartition>;

/// What leaves of one partition.
pub type Outgoing = Result<Fetched, Unread>;

impl TopicTable {
    /// Takes what was read through the hooks of its topics, partition by partition, in order.
    pub async fn consume(
        &self,
        client: impl Fn() -> Client,
        reads: Vec<(Of, Result<Fetched, Refusal>)>,
    ) -> Vec<Outgoing> {
        if !self.is_used() {
            return reads.into_iter().map(|(_, read)| read.map_err(Unread::Refused)).collect();
        }
        // All calls are under way before the first is waited for.
        let begun: Vec<_> = reads.into_iter().map(|(of, read)| self.begin(&client, of, read)).collect();
        let mut outgoing = Vec::with_capacity(begun.len());
        for begun in begun {
            outgoing.push(match begun {
                Begun::Ready(read) => read,
                Begun::Calling(call) => call.await,
            });
        }
        outgoing
    }

    fn begin(&self, client: &impl Fn() -> Client, of: Of, read: Result<Fetched, Refusal>) -> Begun {
        let (fetched, partition) = match (read, of) {
            (Ok(fetched), Some(partition)) if !fetched.records.is_empty() => (fetched, partition),
            (read, _) => return Begun::Ready(read.map_err(Unread::Refused)),
        };
        let Some((topic, hooks)) = self.wanting(&partition.topic, Hook::OnConsume) else {
            return Begun::Ready(Ok(fetched));
        };
        let Client { principal, client_id, client_address } = client();
        let TopicPartition { topic: name, partition } = partition;
        let to = Origin { principal, client_id, client_address, topic: name, partition };
        Begun::Calling(Box::pin(consume_one(topic, hooks, to, fetched)))
    }
}

enum Begun {
    Ready(Outgoing),
    Calling(Pin<Box<dyn Future<Output = Outgoing> + Send>>),
}

/// The call is in its queue when this returns.
fn consume_one(
    topic: Arc<HookedTopic>,
    hooks: Arc<dyn TopicHooks>,
    to: Origin,
    mut fetched: Fetched,
) -> impl Future<Output = Outgoing> + Send {
    let partition = to.partition;
    let records = fetched.records.clone();
    let named = format!("the plugins of {} failed; the broker's log says more", to.topic);
    // Read here, on a guest thread, since the records may have to come from the disk.
    let called = topic.call_consume(records.len(), move || hooks.on_consume(&to, &records.read()?));
    async move {
        let consumed = called.await.unwrap_or_else(|_| Err(named)).map_err(Unread::Failed)?;
        let Consumed { records, emitted } = consumed;
        topic.emitter().emit(partition, emitted).await.map_err(Unread::Failed)?;
        let limit = fetched.records.len().saturating_mul(GROWTH);
        fetched.records = whole_batches(&records, limit).into();
        Ok(fetched)
    }
}

/// The whole batches at the front that fit, and the first even when it does not.
pub fn whole_batches(records: &Bytes, limit: usize) -> Bytes {
    if records.len() <= limit {
        return records.clone();
    }
    let mut end = 0;
    for batch in pelton_record::batches(records).map_while(Result::ok) {
        let next = end + batch.bytes().len();
        if end > 0 && next > limit {
            break;
        }
        end = next;
    }
    records.slice(..end)
}

/// Makes an answer fit: `admit` says whether there is memory for so many bytes more than `held`. When there is not,
/// each partition gives at most as much as was read of it, and at least one batch.
pub fn fit(outgoing: &mut [Outgoing], read_bytes: &[usize], held: usize, admit: impl FnOnce(usize) -> bool) {
    let total: usize = outgoing.iter().flatten().map(|fetched| fetched.records.len()).sum();
    if total <= held || admit(total - held) {
        return;
    }
    for (outgoing, read) in outgoing.iter_mut().zip(read_bytes) {
        // What is still in its file went through no hook and is as long as it was.
        if let Ok(Fetched { records: Records::Bytes(bytes), .. }) = outgoing {
            *bytes = whole_batches(bytes, *read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_core::model::{LeaderEpoch, Watermarks};
    use pelton_record::BatchBuilder;

    fn batch(bytes: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1);
        builder.push(1, None, Some(&vec![b'x'; bytes]), &[]);
        builder.into_bytes_with_crc()
    }

    fn fetched(records: Vec<u8>) -> Outgoing {
        let watermarks = Watermarks { log_start: 0, last_stable: 0, high_watermark: 0, log_end: 0 };
        Ok(Fetched {
            records: Bytes::from(records).into(),
            watermarks,
            leader_epoch: LeaderEpoch(0),
            aborted: Vec::new(),
        })
    }

    #[test]
    fn only_whole_batches_leave_and_at_least_one() {
        let (one, two) = (batch(100), batch(200));
        let both = Bytes::from([&one[..], &two[..]].concat());
        assert_eq!(whole_batches(&both, both.len()), both);
        assert_eq!(whole_batches(&both, both.len() - 1), one);
        assert_eq!(whole_batches(&both, 1), one);
        assert_eq!(whole_batches(&Bytes::from_static(b"no batch"), 1), Bytes::new());
    }

    #[test]
    fn an_answer_without_memory_gives_what_was_read_at_most() {
        let (short, long) = (batch(10), batch(1_000));
        let grown = [&short[..], &long[..]].concat();
        let mut outgoing = vec![fetched(grown.clone()), Err(Unread::Failed(String::new())), fetched(long.clone())];
        fit(&mut outgoing, &[100, 0, 10], 10_000, |_| panic!("it is held already"));
        fit(&mut outgoing, &[100, 0, 10], 500, |more| more > 1_000_000);
        let lengths: Vec<usize> = outgoing.iter().flatten().map(|fetched| fetched.records.len()).collect();
        assert_eq!(lengths, [short.len(), long.len()]);
    }
}
