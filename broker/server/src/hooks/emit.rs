//! Appends what plugins emit to its topics, with acks=all and without any hooks, so that nothing goes in circles.

use crate::driver::{Driver, Pending};
use crate::handlers::{partition_answer, unexpected};
use crate::protocol::records;
use crate::server::now_ms;
use bytes::{Bytes, BytesMut};
use pelton_api::hooks::Emission;
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{Acks, AppendOrigin, IncomingBatch, PartitionReply, PartitionRequest, Request};
use pelton_core::model::{PartId, TopicPartition};
use pelton_record::{Attributes, BatchHeader, HEADER_LEN, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE};
use std::sync::Arc;
use tokio::sync::watch;

/// The way of emissions.
#[derive(Clone)]
pub struct Emitter {
    driver: Arc<Driver>,
    images: watch::Receiver<Arc<ClusterImage>>,
}

impl Emitter {
    /// Emits through `driver` to the topics of the image.
    pub fn new(driver: Arc<Driver>, images: watch::Receiver<Arc<ClusterImage>>) -> Self {
        Self { driver, images }
    }

    /// Appends every batch to its topic, in the partition that the origin's falls to. It is done when all are durable;
    /// when one fails, others may be in their topics all the same.
    ///
    /// # Errors
    /// What failed, for the client that waits.
    pub async fn emit(&self, origin_partition: i32, emitted: Vec<Emission>) -> Result<(), String> {
        let mut pending = Vec::with_capacity(emitted.len());
        for Emission { topic, batch } in emitted {
            let asked = self.ask(origin_partition, &topic, &batch);
            pending.push((asked.map_err(|why| format!("a plugin emits to {topic}: {why}"))?, topic));
        }
        for (pending, topic) in pending {
            match partition_answer(pending.await) {
                Ok(PartitionReply::Appended(_)) => {}
                Ok(other) => return Err(unexpected(&other).to_string()),
                Err(refusal) => return Err(format!("a plugin emits to {topic}: {refusal}")),
            }
        }
        Ok(())
    }

    fn ask(&self, origin_partition: i32, topic: &Arc<str>, batch: &Bytes) -> Result<Pending, String> {
        let (partitions, rules) = {
            let image = self.images.borrow();
            let described = image.topic(topic).ok_or("there is no such topic; create it")?;
            if described.internal {
                return Err("it is written by the broker alone".to_owned());
            }
            (described.partitions, described.append)
        };
        let partition = TopicPartition::new(topic.clone(), origin_partition.rem_euclid(partitions.max(1)));
        let now = now_ms();
        let batch = records::check(incoming(batch)?, &partition, &rules, now).map_err(|errors| errors.to_string())?;
        let batch = records::kept(batch, &rules, now).map_err(|refusal| refusal.to_string())?;
        let request = PartitionRequest::Append {
            batches: vec![batch],
            acks: Acks::All,
            origin: AppendOrigin::Client,
            transactional_id: None,
        };
        Ok(self.driver.ask(PartId::Partition(partition), Request::Partition(request)))
    }
}

/// The batch as a plain producer would send it: what the plugin wrote into the fields of producers is not taken.
fn incoming(batch: &Bytes) -> Result<IncomingBatch, String> {
    let mut header = BatchHeader::parse(batch).map_err(|error| error.to_string())?;
    if batch.len() < HEADER_LEN || header.total_len() != batch.len() {
        return Err("the batch is not as long as it says".to_owned());
    }
    header.base_offset = 0;
    header.partition_leader_epoch = 0;
    header.attributes = Attributes(0);
    header.producer_id = NO_PRODUCER_ID;
    header.producer_epoch = NO_PRODUCER_EPOCH;
    header.base_sequence = NO_SEQUENCE;
    let mut bytes = BytesMut::from(&batch[..]);
    header.write_to(&mut bytes);
    pelton_record::recompute_crc(&mut bytes);
    let header = BatchHeader::parse(&bytes).map_err(|error| error.to_string())?;
    Ok(IncomingBatch { header, bytes: bytes.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::{BatchBuilder, BatchView};

    #[test]
    fn an_emission_becomes_a_plain_batch_with_a_right_checksum() {
        let mut builder = BatchBuilder::new(7);
        builder.push(7, None, Some(b"who read"), &[]);
        builder.set_producer(5, 1, 9);
        builder.set_transactional(true);
        let incoming = incoming(&builder.into_bytes().into()).unwrap();
        let view = BatchView::parse(&incoming.bytes).unwrap();
        view.verify_crc().unwrap();
        assert!(!view.header().has_producer_id() && !view.header().attributes.is_transactional());
        assert_eq!(view.records().unwrap().next().unwrap().unwrap().value, Some(&b"who read"[..]));
    }

    #[test]
    fn a_torn_emission_is_an_error() {
        let mut builder = BatchBuilder::new(7);
        builder.push(7, None, Some(b"x"), &[]);
        let whole = builder.into_bytes();
        for cut in 0..whole.len() {
            assert!(incoming(&Bytes::copy_from_slice(&whole[..cut])).is_err(), "cut at {cut}");
        }
    }
}
