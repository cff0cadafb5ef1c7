//! Records as the simulator compares them: decoded from the bytes that a log or a fetch gave.

use pelton_core::model::{Offset, TopicPartition};
use pelton_record::ControlType;
use std::collections::BTreeMap;

/// One record with all that identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its offset.
    pub offset: Offset,
    /// Its producer, or -1.
    pub producer_id: i64,
    /// Its producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Of a transaction marker: whether it commits.
    pub control: Option<bool>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; empty where there is none.
    pub value: Vec<u8>,
    /// An interceptor took the record away: the offset is its batch's, and no record is there.
    pub taken: bool,
}

/// Decodes whole batches, CRC checked. An entry for every offset, also for those of which the record was taken away.
///
/// # Errors
/// Says which batch is damaged.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for batch in pelton_record::batches(bytes) {
        let batch = batch.map_err(|error| format!("a batch cannot be read: {error}"))?;
        let header = *batch.header();
        let at = |what: String| format!("batch at offset {}: {what}", header.base_offset);
        batch.verify_crc().map_err(|error| at(error.to_string()))?;
        let control = if header.attributes.is_control() {
            let (control, _) = pelton_record::parse_control(&batch).map_err(|error| at(error.to_string()))?;
            Some(control == ControlType::Commit)
        } else {
            None
        };
        let first = entries.len();
        entries.extend((header.base_offset..header.next_offset()).map(|offset| Entry {
            offset,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            transactional: header.attributes.is_transactional(),
            control,
            key: None,
            value: Vec::new(),
            taken: true,
        }));
        for record in batch.records().map_err(|error| at(error.to_string()))? {
            let record = record.map_err(|error| at(error.to_string()))?;
            let entry = &mut entries[first + record.offset_delta as usize];
            entry.key = record.key.map(<[u8]>::to_vec);
            entry.value = record.value.unwrap_or_default().to_vec();
            entry.taken = false;
        }
    }
    Ok(entries)
}

/// What is committed of each partition, offset by offset: once an entry is here, it may never change.
pub type Ledgers = BTreeMap<TopicPartition, Vec<Entry>>;

/// The text that marks a record or an offset commit as part of the simulator's transaction `serial`.
pub fn transaction_mark(serial: u64) -> String {
    format!("txn={serial};")
}

/// The transaction that a value was marked with.
pub fn marked_transaction(value: &[u8]) -> Option<u64> {
    let at = value.windows(4).position(|window| window == b"txn=")?;
    let digits: Vec<u8> = value[at + 4..].iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}
