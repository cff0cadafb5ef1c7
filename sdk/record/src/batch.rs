//! One complete batch, viewed in place.

use crate::{BatchError, BatchHeader, Codec, HEADER_LEN, MIN_RECORD_LEN, RecordIter};

/// One complete batch: its header, read, and its bytes, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Views the batch at the front of `bytes`; what follows it is ignored (compare `bytes().len()`).
    /// Lengths, magic and counts are checked against the bytes that are there, the CRC is not.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`]; [`BatchError::Truncated`] when the records are not all there;
    /// [`BatchError::InvalidField`] when they are too few bytes for their count.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let needed = header.total_len();
        let Some(bytes) = bytes.get(..needed) else {
            return Err(BatchError::Truncated { needed, available: bytes.len() });
        };
        let body_len = needed - HEADER_LEN;
        let uncompressed = header.attributes.codec()? == Codec::None;
        if uncompressed && body_len / MIN_RECORD_LEN < header.record_count as usize {
            return Err(BatchError::InvalidField { field: "recordsCount", value: i64::from(header.record_count) });
        }
        Ok(Self { header, bytes })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header: the records, compressed as the attributes say.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// The records, each checked as it is reached.
    ///
    /// # Errors
    /// [`BatchError::CompressedBatch`] when the batch must be decompressed first.
    pub fn records(&self) -> Result<RecordIter<'a>, BatchError> {
        match self.header.attributes.codec()? {
            Codec::None => Ok(RecordIter::new(self.body(), &self.header)),
            codec => Err(BatchError::CompressedBatch(codec)),
        }
    }

    /// Checks the CRC-32C in the header against the bytes.
    ///
    /// # Errors
    /// [`BatchError::CrcMismatch`].
    #[cfg(feature = "checksum")]
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crate::compute_crc(self.bytes);
        let stored = self.header.crc;
        if computed == stored { Ok(()) } else { Err(BatchError::CrcMismatch { stored, computed }) }
    }
}

/// The batches that stand back to back in `bytes`. A partial last one yields [`BatchError::Truncated`];
/// after any error the iterator ends.
pub fn batches(bytes: &[u8]) -> BatchIter<'_> {
    BatchIter { rest: bytes }
}

/// Iterator over batches; see [`batches`].
#[derive(Debug, Clone)]
pub struct BatchIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = BatchView::parse(self.rest);
        self.rest = match &batch {
            Ok(view) => &self.rest[view.bytes.len()..],
            Err(_) => &[],
        };
        Some(batch)
    }
}
