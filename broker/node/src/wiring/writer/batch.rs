//! Makes the batches of a job into those of a transactional producer.

use bytes::Bytes;
use pelton_core::event::{IncomingBatch, InitializedProducer};
use pelton_record::{Attributes, BatchBuilder, BatchHeader, BatchView, NO_EPOCH, recompute_crc};

/// Cuts an uncompressed batch into batches of at most `max_bytes`, as far as its records allow. A batch that fits
/// and has no gaps in its offsets is passed on as it is.
///
/// # Errors
/// Says what of the batch cannot be read.
pub fn pieces(batch: &Bytes, max_bytes: usize) -> Result<Vec<Bytes>, String> {
    let view = BatchView::parse(batch).map_err(|e| e.to_string())?;
    if view.bytes().len() != batch.len() {
        return Err("more than one batch was given".to_owned());
    }
    let header = view.header();
    if header.record_count == 0 {
        return Ok(Vec::new());
    }
    if batch.len() <= max_bytes && header.record_count == header.last_offset_delta + 1 {
        return Ok(vec![batch.clone()]);
    }
    let mut cut = Vec::new();
    let mut builder = BatchBuilder::new(header.base_timestamp);
    for record in view.records().map_err(|e| e.to_string())? {
        let record = record.map_err(|e| e.to_string())?;
        // What a record takes beside its bytes: at most seven varints of up to ten bytes.
        let length = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.encoded_headers().len()
            + 64;
        if !builder.is_empty() && builder.len_bytes() + length > max_bytes {
            cut.push(Bytes::copy_from_slice(builder.finish()));
            builder.reset(header.base_timestamp);
        }
        let timestamp = record.timestamp(header);
        builder.push_raw_headers(timestamp, record.key, record.value, record.header_count(), record.encoded_headers());
    }
    cut.push(builder.into_bytes().into());
    Ok(cut)
}

/// The batch as this producer's, with this sequence number, transactional, and with a CRC that fits.
pub fn stamped(batch: Bytes, producer: InitializedProducer, base_sequence: i32) -> IncomingBatch {
    let mut bytes: Vec<u8> = batch.into();
    let header = BatchHeader::parse(&bytes).expect("the batch was parsed when it was cut");
    let header = BatchHeader {
        base_offset: 0,
        partition_leader_epoch: NO_EPOCH,
        attributes: Attributes::default().with_transactional(true),
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch.0,
        base_sequence,
        ..header
    };
    header.write_to(&mut bytes);
    recompute_crc(&mut bytes);
    let header = BatchHeader::parse(&bytes).expect("the header was just written");
    IncomingBatch { header, bytes: bytes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_core::model::{ProducerEpoch, ProducerId};
    use pelton_record::Header;

    fn values(batch: &[u8]) -> Vec<Vec<u8>> {
        let view = BatchView::parse(batch).unwrap();
        view.records().unwrap().map(|record| record.unwrap().value.unwrap().to_vec()).collect()
    }

    #[test]
    fn a_small_batch_is_passed_on_and_an_empty_one_is_not() {
        let mut builder = BatchBuilder::new(5);
        assert_eq!(pieces(&Bytes::copy_from_slice(builder.finish()), 100), Ok(Vec::new()));
        builder.push(5, None, Some(b"a"), &[]);
        let batch = Bytes::from(builder.into_bytes());
        assert_eq!(pieces(&batch, 1000), Ok(vec![batch.clone()]));
    }

    #[test]
    fn a_large_batch_is_cut_and_loses_nothing() {
        let mut builder = BatchBuilder::new(5);
        let header = [Header { key: "h", value: Some(b"v") }];
        let given: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; 100]).collect();
        for (n, value) in given.iter().enumerate() {
            builder.push(5 + n as i64, Some(b"k"), Some(value), &header);
        }
        let cut = pieces(&Bytes::from(builder.into_bytes()), 1000).unwrap();
        assert!(cut.len() > 5 && cut.iter().all(|piece| piece.len() <= 1000));
        assert_eq!(cut.iter().flat_map(|piece| values(piece)).collect::<Vec<_>>(), given);
        let last = BatchView::parse(cut.last().unwrap()).unwrap();
        let record = last.records().unwrap().last().unwrap().unwrap();
        assert_eq!((record.timestamp(last.header()), record.header_count()), (54, 1));
    }

    #[test]
    fn a_record_that_is_too_large_alone_stays_alone() {
        let mut builder = BatchBuilder::new(0);
        for value in [&[1u8; 10][..], &[2; 5000], &[3; 10]] {
            builder.push(0, None, Some(value), &[]);
        }
        let cut = pieces(&Bytes::from(builder.into_bytes()), 1000).unwrap();
        assert_eq!(cut.iter().map(|piece| values(piece).len()).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn gaps_in_the_offsets_are_closed() {
        let mut builder = BatchBuilder::new(0);
        builder.push_at(3, 0, None, Some(b"a"), &[]).unwrap();
        builder.push_at(9, 0, None, Some(b"b"), &[]).unwrap();
        let cut = pieces(&Bytes::from(builder.into_bytes()), 1000).unwrap();
        let header = BatchHeader::parse(&cut[0]).unwrap();
        assert_eq!((cut.len(), header.last_offset_delta, header.record_count), (1, 1, 2));
    }

    #[test]
    fn a_stamped_batch_is_its_producers_and_its_crc_fits() {
        let mut builder = BatchBuilder::new(0);
        builder.push(0, None, Some(b"a"), &[]);
        builder.push(0, None, Some(b"b"), &[]);
        let producer = InitializedProducer { producer_id: ProducerId(7), producer_epoch: ProducerEpoch(3) };
        let incoming = stamped(builder.into_bytes().into(), producer, 41);
        let view = BatchView::parse(&incoming.bytes).unwrap();
        assert_eq!(view.verify_crc(), Ok(()));
        assert!(view.header().attributes.is_transactional());
        assert_eq!((view.header().producer_id, view.header().producer_epoch), (7, 3));
        assert_eq!((view.header().base_sequence, incoming.header.last_sequence()), (41, 42));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        assert!(pieces(&Bytes::from_static(b"nonsense"), 1000).is_err());
        let mut builder = BatchBuilder::new(0);
        builder.push(0, None, Some(b"a"), &[]);
        let twice = builder.finish().repeat(2);
        assert!(pieces(&Bytes::from(twice), 1000).is_err());
    }
}
