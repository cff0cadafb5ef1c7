//! Reads a partition as a read_committed consumer does.
//!
//! Invariant: no control batch, no batch of an aborted transaction and nothing past the last stable offset
//! leaves this adapter; what is filtered out still moves `next_offset`, so a reader never stands still.

use super::{ask_partition, port_error};
use bytes::Bytes;
use pelton_api::ports::{Partition, PartitionReader, PortError, PortFuture, ReadBatches};
use pelton_core::event::{AbortedTransaction, Fetched, PartitionReply, PartitionRequest};
use pelton_core::model::{Isolation, TopicId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_record::{BatchView, Codec, ControlType};
use pelton_server::Broker;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

/// The most bytes that the records of one compressed batch may take for a job to read it.
const DECOMPRESSED_MAX_BYTES: usize = 128 << 20;

/// A reader of one partition of this broker.
pub struct BrokerReader {
    broker: Broker,
    partition: TopicPartition,
    /// The topic as it was when its bounds were last asked for.
    topic_id: Option<TopicId>,
}

impl BrokerReader {
    /// Reads `partition`.
    pub fn new(broker: Broker, partition: &Partition) -> Self {
        Self { broker, partition: TopicPartition::new(partition.topic.as_str(), partition.index), topic_id: None }
    }

    async fn fetch(&self, offset: i64, max_bytes: usize) -> Result<Fetched, PortError> {
        let request = PartitionRequest::Fetch {
            offset,
            current_leader_epoch: None,
            max_bytes,
            isolation: Isolation::ReadCommitted,
        };
        match ask_partition(&self.broker, &self.partition, request).await {
            Ok(PartitionReply::Fetched(fetched)) => Ok(fetched),
            Ok(other) => Err(self.refused(&super::strange(&other))),
            Err(Refusal::OffsetOutOfRange) => {
                let (start, end) = self.watermarks().await?;
                Err(PortError::OffsetOutOfRange {
                    topic: self.partition.topic.to_string(),
                    index: self.partition.partition,
                    asked: offset,
                    start,
                    end,
                })
            }
            Err(refusal) => Err(self.refused(&refusal)),
        }
    }

    fn current_topic(&self) -> Option<TopicId> {
        self.broker.image().topic(&self.partition.topic).map(|topic| topic.id)
    }

    async fn watermarks(&self) -> Result<(i64, i64), PortError> {
        match ask_partition(&self.broker, &self.partition, PartitionRequest::Describe).await {
            Ok(PartitionReply::Described { watermarks, .. }) => Ok((watermarks.log_start, watermarks.last_stable)),
            Ok(other) => Err(self.refused(&super::strange(&other))),
            Err(refusal) => Err(self.refused(&refusal)),
        }
    }

    fn refused(&self, refusal: &Refusal) -> PortError {
        port_error(&self.partition.to_string(), refusal)
    }
}

impl PartitionReader for BrokerReader {
    fn read<'a>(&'a mut self, offset: i64, max_bytes: usize, max_wait: Duration) -> PortFuture<'a, ReadBatches> {
        Box::pin(async move {
            if self.topic_id.is_some() && self.current_topic().is_some_and(|topic| Some(topic) != self.topic_id) {
                return Err(super::made_anew(&self.partition.topic));
            }
            let mut fetched = self.fetch(offset, max_bytes).await?;
            if fetched.records.is_empty()
                && !max_wait.is_zero()
                && self.broker.readable(&self.partition, offset, Isolation::ReadCommitted, max_wait).await
            {
                fetched = self.fetch(offset, max_bytes).await?;
            }
            let fatal = |reason| PortError::Fatal(format!("{}: {reason}", self.partition));
            // The records may have to come from the disk, which no thread of the runtime waits for.
            let stored = fetched.records.clone();
            let read = tokio::task::spawn_blocking(move || stored.read()).await;
            let records = read.map_err(|error| fatal(error.to_string()))?.map_err(fatal)?;
            committed(offset, &fetched, &records).map_err(fatal)
        })
    }

    fn bounds<'a>(&'a mut self) -> PortFuture<'a, (i64, i64)> {
        self.topic_id = self.current_topic();
        Box::pin(self.watermarks())
    }
}

/// The batches of `records`, which were fetched, that a read_committed reader may have.
fn committed(offset: i64, fetched: &Fetched, records: &Bytes) -> Result<ReadBatches, String> {
    let mut read =
        ReadBatches { batches: Vec::new(), next_offset: offset, last_stable_offset: fetched.watermarks.last_stable };
    let mut aborted = Aborted::new(&fetched.aborted);
    for view in pelton_record::batches(records) {
        let view = view.map_err(|e| format!("a stored batch cannot be read: {e}"))?;
        let header = view.header();
        let next = header.next_offset();
        let dropped = aborted.drops(&view)?;
        if next <= offset {
            continue;
        }
        read.next_offset = next;
        if !dropped && header.record_count > 0 {
            read.batches.push(uncompressed(&view, records));
        }
    }
    Ok(read)
}

/// The batch without compression; a view of `whole`, into which it points, where it has none. A batch that cannot
/// be decompressed is passed on as it is: its task puts it with the dead letters, and a reader that refused it
/// would stand still before it for ever.
fn uncompressed(view: &BatchView<'_>, whole: &Bytes) -> Bytes {
    if view.header().attributes.codec() == Ok(Codec::None) {
        return whole.slice_ref(view.bytes());
    }
    match pelton_record::uncompressed_batch(view, DECOMPRESSED_MAX_BYTES) {
        Ok(Cow::Borrowed(bytes)) => whole.slice_ref(bytes),
        Ok(Cow::Owned(bytes)) => bytes.into(),
        Err(error) => {
            tracing::warn!("the batch at offset {} cannot be decompressed: {error}", view.header().base_offset);
            whole.slice_ref(view.bytes())
        }
    }
}

/// What every consumer keeps to tell aborted batches: a producer's batches count as aborted from the first
/// offset of an aborted transaction on, until its abort marker.
struct Aborted {
    ahead: std::collections::VecDeque<AbortedTransaction>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn new(transactions: &[AbortedTransaction]) -> Self {
        let mut ahead = transactions.to_vec();
        ahead.sort_by_key(|aborted| aborted.first_offset);
        Self { ahead: ahead.into(), producers: BTreeSet::new() }
    }

    /// Whether the batch, the next in offset order, is none that a reader may have.
    fn drops(&mut self, view: &BatchView<'_>) -> Result<bool, String> {
        let header = view.header();
        while let Some(next) = self.ahead.front()
            && next.first_offset <= header.last_offset()
        {
            self.producers.insert(next.producer_id.0);
            self.ahead.pop_front();
        }
        if header.attributes.is_control() {
            let (control, _) = pelton_record::parse_control(view)
                .map_err(|e| format!("the marker at offset {} cannot be read: {e}", header.base_offset))?;
            if control == ControlType::Abort {
                self.producers.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.attributes.is_transactional() && self.producers.contains(&header.producer_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_core::model::{LeaderEpoch, ProducerId, Watermarks};
    use pelton_record::{BatchBuilder, control_batch, patch_offset_and_epoch};

    fn data(offset: i64, producer_id: Option<i64>, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(0);
        for value in values {
            builder.push(0, None, Some(value.as_bytes()), &[]);
        }
        if let Some(id) = producer_id {
            builder.set_producer(id, 0, 0);
            builder.set_transactional(true);
        }
        let mut bytes = builder.into_bytes_with_crc();
        patch_offset_and_epoch(&mut bytes, offset, 0);
        bytes
    }

    fn marker(offset: i64, producer_id: i64, control: ControlType) -> Vec<u8> {
        let mut bytes = control_batch(control, producer_id, 0, 0, 0);
        patch_offset_and_epoch(&mut bytes, offset, 0);
        bytes
    }

    fn fetched(parts: &[Vec<u8>], aborted: &[(i64, i64, i64)]) -> Fetched {
        let list = aborted.iter().map(|(id, first, last)| AbortedTransaction {
            producer_id: ProducerId(*id),
            first_offset: *first,
            last_offset: *last,
        });
        Fetched {
            records: Bytes::from(parts.concat()).into(),
            watermarks: Watermarks { log_start: 0, last_stable: 20, high_watermark: 20, log_end: 20 },
            leader_epoch: LeaderEpoch(0),
            aborted: list.collect(),
        }
    }

    fn read(offset: i64, fetched: &Fetched) -> ReadBatches {
        committed(offset, fetched, &fetched.records.read().unwrap()).unwrap()
    }

    fn offsets(read: &ReadBatches) -> Vec<i64> {
        read.batches.iter().map(|batch| BatchView::parse(batch).unwrap().header().base_offset).collect()
    }

    #[test]
    fn aborted_batches_and_markers_are_dropped_and_passed() {
        let parts = [
            data(0, Some(1), &["a", "b"]),
            data(2, Some(2), &["c"]),
            data(3, None, &["d"]),
            marker(4, 1, ControlType::Abort),
            data(5, Some(1), &["e"]),
            marker(6, 2, ControlType::Commit),
            marker(7, 1, ControlType::Commit),
        ];
        let read = read(0, &fetched(&parts, &[(1, 0, 4)]));
        assert_eq!((offsets(&read), read.next_offset, read.last_stable_offset), (vec![2, 3, 5], 8, 20));
    }

    #[test]
    fn a_producer_that_aborts_twice_is_told_apart_by_its_markers() {
        let parts = [
            data(0, Some(1), &["a"]),
            marker(1, 1, ControlType::Abort),
            data(2, Some(1), &["b"]),
            marker(3, 1, ControlType::Commit),
            data(4, Some(1), &["c"]),
            marker(5, 1, ControlType::Abort),
        ];
        let read = read(0, &fetched(&parts, &[(1, 4, 5), (1, 0, 1)]));
        assert_eq!((offsets(&read), read.next_offset), (vec![2], 6));
    }

    #[test]
    fn nothing_readable_leaves_the_reader_where_it_is() {
        let read = read(7, &fetched(&[], &[]));
        assert_eq!((read.batches.len(), read.next_offset), (0, 7));
    }

    #[test]
    fn a_read_from_the_middle_of_a_batch_gives_the_whole_batch() {
        let read = read(1, &fetched(&[data(0, None, &["a", "b", "c"])], &[]));
        assert_eq!((offsets(&read), read.next_offset), (vec![0], 3));
    }

    #[test]
    fn compressed_batches_are_given_uncompressed() {
        let plain = data(3, None, &["a", "b"]);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let packed = pelton_record::compressed_batch(&BatchView::parse(&plain).unwrap(), codec).unwrap();
            let read = read(3, &fetched(&[packed], &[]));
            let view = BatchView::parse(&read.batches[0]).unwrap();
            let values: Vec<_> = view.records().unwrap().map(|r| r.unwrap().value.unwrap().to_vec()).collect();
            assert_eq!((view.header().base_offset, values), (3, vec![b"a".to_vec(), b"b".to_vec()]), "{codec:?}");
        }
    }
}
