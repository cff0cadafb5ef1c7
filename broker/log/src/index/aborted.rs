//! `.txnindex`: the aborted transactions whose markers stand in the segment.

use super::IndexEntry;
use crate::Offset;

/// One aborted transaction, as a read_committed reader needs it: it drops the producer's records from
/// `first_offset` until it meets the marker at `last_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Producer of the transaction.
    pub producer_id: i64,
    /// Offset of the transaction's first record.
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// Last stable offset once the marker was written: the first offset of the earliest transaction that
    /// was still open, or one past the marker.
    pub last_stable_offset: Offset,
}

impl IndexEntry for AbortedTxn {
    const LEN: usize = 34;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&0_i16.to_be_bytes());
        for field in [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let field = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(field)
        };
        Self { producer_id: field(2), first_offset: field(10), last_offset: field(18), last_stable_offset: field(26) }
    }
}
