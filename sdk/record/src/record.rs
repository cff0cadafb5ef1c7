//! Records, read in place: nothing is copied, every length is checked against what is left.

use crate::{BatchError, BatchHeader, TimestampType, varint};

/// The fewest bytes that a record takes: length, attributes, two deltas, null key, null value, no headers.
pub const MIN_RECORD_LEN: usize = 7;

/// One record of an uncompressed batch. Its slices borrow from the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset less the batch's base offset. Ascending, with gaps where compaction removed records.
    pub offset_delta: i32,
    /// Timestamp less the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// Key, or null.
    pub key: Option<&'a [u8]>,
    /// Value, or null (a tombstone in a compacted topic).
    pub value: Option<&'a [u8]>,
    header_count: i32,
    encoded_headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record's offset in its partition.
    pub fn offset(&self, batch: &BatchHeader) -> i64 {
        batch.base_offset.saturating_add(i64::from(self.offset_delta))
    }

    /// The record's timestamp in milliseconds.
    pub fn timestamp(&self, batch: &BatchHeader) -> i64 {
        match batch.attributes.timestamp_type() {
            TimestampType::Create => batch.base_timestamp.wrapping_add(self.timestamp_delta),
            TimestampType::LogAppend => batch.max_timestamp,
        }
    }

    /// How many headers the record has.
    pub fn header_count(&self) -> i32 {
        self.header_count
    }

    /// The headers as they are encoded, without their count: for a verbatim copy.
    pub fn encoded_headers(&self) -> &'a [u8] {
        self.encoded_headers
    }

    /// The record's headers in order.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { left: self.header_count, rest: self.encoded_headers }
    }
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name; several headers may share one.
    pub key: &'a str,
    /// Value, or null.
    pub value: Option<&'a [u8]>,
}

/// Iterator over the headers of a [`Record`]. After an error it ends.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<Header<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = read_header(&mut self.rest);
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }
}

fn read_header<'a>(rest: &mut &'a [u8]) -> Result<Header<'a>, BatchError> {
    let key = read_nullable(rest)?.ok_or(BatchError::NegativeLength)?;
    let key = core::str::from_utf8(key).map_err(|_| BatchError::HeaderKeyNotUtf8)?;
    Ok(Header { key, value: read_nullable(rest)? })
}

/// Iterator over the records of an uncompressed batch. It ends after the count that the header declares,
/// or after the first error.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    left: i32,
    previous_delta: i32,
    last_delta: i32,
}

impl<'a> RecordIter<'a> {
    pub(crate) fn new(body: &'a [u8], header: &BatchHeader) -> Self {
        Self { rest: body, left: header.record_count, previous_delta: -1, last_delta: header.last_offset_delta }
    }

    fn read(&mut self) -> Result<Record<'a>, BatchError> {
        let record = read_record(&mut self.rest)?;
        if record.offset_delta <= self.previous_delta || record.offset_delta > self.last_delta {
            return Err(BatchError::OffsetOrder(record.offset_delta));
        }
        self.previous_delta = record.offset_delta;
        Ok(record)
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            // A batch that declares fewer records than it holds is damaged, even where it declares none.
            let surplus = core::mem::take(&mut self.rest).len();
            return (surplus > 0).then_some(Err(BatchError::TrailingBytes(surplus)));
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            self.left = 0;
            self.rest = &[];
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is the writer's word; only what the bytes could hold is passed on as a hint.
        (0, Some(self.rest.len() / MIN_RECORD_LEN + 1))
    }
}

fn read_record<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, BatchError> {
    let len = usize::try_from(varint::read_i32(rest)?).map_err(|_| BatchError::NegativeLength)?;
    let (mut body, tail) = rest.split_at_checked(len).ok_or(BatchError::RecordOverrun)?;
    *rest = tail;
    // The attributes of a record are unused: no bit has a meaning yet.
    body = body.get(1..).ok_or(BatchError::RecordOverrun)?;
    let timestamp_delta = varint::read_i64(&mut body)?;
    let offset_delta = varint::read_i32(&mut body)?;
    let key = read_nullable(&mut body)?;
    let value = read_nullable(&mut body)?;
    let header_count = varint::read_i32(&mut body)?;
    if header_count < 0 {
        return Err(BatchError::NegativeLength);
    }
    let encoded_headers = body;
    // Walking the headers here means that a verbatim copy of them is known to be well formed.
    for _ in 0..header_count {
        read_nullable(&mut body)?.ok_or(BatchError::NegativeLength)?;
        read_nullable(&mut body)?;
    }
    if !body.is_empty() {
        return Err(BatchError::TrailingBytes(body.len()));
    }
    Ok(Record { offset_delta, timestamp_delta, key, value, header_count, encoded_headers })
}

/// A varint length and that many bytes; the length -1 means null.
fn read_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BatchError> {
    let len = varint::read_i32(rest)?;
    if len == -1 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| BatchError::NegativeLength)?;
    let (bytes, tail) = rest.split_at_checked(len).ok_or(BatchError::RecordOverrun)?;
    *rest = tail;
    Ok(Some(bytes))
}
