//! `.timeindex`: from a timestamp to an offset.

use super::IndexEntry;

/// Every record of the segment with a timestamp above `timestamp` (milliseconds) comes after
/// `relative_offset`, counted from the segment's base offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative_offset: u32,
}

impl IndexEntry for TimeEntry {
    const LEN: usize = 12;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut timestamp = [0; 8];
        timestamp.copy_from_slice(&bytes[..8]);
        let relative_offset = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        Self { timestamp: i64::from_be_bytes(timestamp), relative_offset }
    }
}
