//! The forms that a batch takes on its way through a chain. Pure.
//!
//! A batch comes as it lies on the wire, is made *plain* (uncompressed) once, is *projected* to what a plugin reads, is
//! *amended* by what the plugin answered, and is *sealed* in the end: the header fields that it came with, its codec, a right CRC.
//!
//! Invariants: whatever a plugin answers, a plain batch keeps its header but for length and record count, its records keep
//! offset deltas and timestamps, and only what the plugin declared to write is taken from it. Whether the fault lies in the batch
//! that came ([`Trouble::Given`]) or in the plugin's answer ([`Trouble::Fault`]) is always told apart, so that no client can
//! make a plugin look broken.

use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::interceptor::{Change, Parts, Wants};
use pelton_record::{
    BatchBuilder, BatchError, BatchHeader, BatchView, Codec, CodecError, HEADER_LEN, LOG_OVERHEAD, Record, compress,
    decompress, recompute_crc, varint,
};
use std::ops::Range;

/// What a batch and its replacement may have in bytes together: far below the 2 GiB of a batch's length field.
const MAX_PAIR_BYTES: usize = 1 << 30;

/// Why an answer could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The batch that came cannot be read.
    Given(BatchError),
    /// The plugin's answer breaks the rules.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Fault(Fault::Malformed(why.into())))
}

/// The batch without compression: the same bytes where it has none. `cap_bytes` bounds the decompressed records.
///
/// # Errors
/// Text that says what is wrong with the batch.
pub fn plain(batch: &Bytes, cap_bytes: usize) -> Result<Bytes, CodecError> {
    let view = BatchView::parse(batch)?;
    let header = *view.header();
    let codec = header.attributes.codec()?;
    if codec == Codec::None {
        return Ok(batch.slice(..view.bytes().len()));
    }
    // Without records there is nothing to decompress, and some writers leave the body empty.
    let body = if view.body().is_empty() { Vec::new() } else { decompress(codec, view.body(), cap_bytes)? };
    let mut whole = Vec::with_capacity(HEADER_LEN + body.len());
    whole.resize(HEADER_LEN, 0);
    whole.extend_from_slice(&body);
    let uncompressed = BatchHeader { attributes: header.attributes.with_codec(Codec::None), ..header };
    let whole = finish(&uncompressed, whole, header.record_count);
    BatchView::parse(&whole)?;
    Ok(whole)
}

/// Walks all of a plain batch, header keys included.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn well_formed(plain: &[u8]) -> Result<(), BatchError> {
    for record in BatchView::parse(plain)?.records()? {
        record?.headers().try_for_each(|header| header.map(|_| ()))?;
    }
    Ok(())
}

/// The batch with what a plugin reads: the same bytes where it reads everything.
///
/// # Errors
/// What is wrong with the batch.
pub fn project(plain: &Bytes, reads: Parts) -> Result<Bytes, BatchError> {
    if reads == Parts::ALL {
        return Ok(plain.clone());
    }
    let view = BatchView::parse(plain)?;
    let header = view.header();
    let room = if reads.value { view.body().len() } else { view.body().len() / 4 };
    let mut out = BatchBuilder::with_capacity(header.base_timestamp, room);
    for record in view.records()? {
        let record = record?;
        let (count, headers) = if reads.headers { headers_of(&record) } else { (0, &[][..]) };
        out.push_raw_headers_at(
            record.offset_delta,
            header.base_timestamp.wrapping_add(record.timestamp_delta),
            record.key.filter(|_| reads.key),
            record.value.filter(|_| reads.value),
            count,
            headers,
        )?;
    }
    let count = out.count();
    Ok(finish(header, out.into_bytes(), count))
}

/// What a plugin's answer makes of a plain batch, or `None` when it stays as it is. The records at `rejected` (ascending,
/// known to be there) are exempt: they are kept as they were, or taken out, as `keep_rejected` says.
///
/// # Errors
/// [`Trouble`].
pub fn amend(
    plain: &Bytes,
    wants: &Wants,
    change: &Change,
    rejected: &[i32],
    keep_rejected: bool,
) -> Result<Option<Bytes>, Trouble> {
    match change {
        Change::None if keep_rejected || rejected.is_empty() => Ok(None),
        Change::None => without(plain, rejected).map(Some),
        Change::Drop(dropped) => {
            let exempt = dropped.iter().filter(|delta| rejected.binary_search(delta).is_ok()).count();
            if dropped.len() > exempt && !wants.drops {
                return malformed("it takes records away and does not declare `drops`");
            }
            if dropped.windows(2).any(|pair| pair[0] >= pair[1]) {
                return malformed("the records that it takes away are not in ascending order");
            }
            if exempt > 0 || (!keep_rejected && !rejected.is_empty()) {
                // What does not exist must still be found out.
                check_deltas(plain, dropped)?;
                let mut gone: Vec<i32> =
                    dropped.iter().copied().filter(|delta| rejected.binary_search(delta).is_err()).collect();
                if !keep_rejected {
                    gone.extend_from_slice(rejected);
                    gone.sort_unstable();
                }
                return if gone.is_empty() { Ok(None) } else { without(plain, &gone).map(Some) };
            }
            if dropped.is_empty() { Ok(None) } else { without(plain, dropped).map(Some) }
        }
        Change::Replace(new) if new.is_empty() => {
            let header = parse_given(plain)?;
            let replacement = finish(&header, vec![0; HEADER_LEN], 0);
            replace(plain, wants, &replacement, rejected, keep_rejected)
        }
        Change::Replace(new) => replace(plain, wants, new, rejected, keep_rejected),
    }
}

/// The batch without any record.
pub fn emptied(plain: &[u8]) -> Result<Bytes, BatchError> {
    let header = *BatchView::parse(plain)?.header();
    Ok(finish(&header, vec![0; HEADER_LEN], 0))
}

/// The batch for the log or the wire: a changed plain batch under the header that it came with.
///
/// # Errors
/// Text, when the codec's library fails or the batch grew past what a batch can hold.
pub fn seal(came: &BatchHeader, plain: Bytes) -> Result<Bytes, String> {
    let count = BatchHeader::parse(&plain).map_err(|error| error.to_string())?.record_count;
    let codec = came.attributes.codec().map_err(|error| error.to_string())?;
    // As Kafka's cleaner writes it: a batch without records has no codec.
    if count == 0 || codec == Codec::None {
        let header = BatchHeader { attributes: came.attributes.with_codec(Codec::None), ..*came };
        return Ok(checked(finish(&header, Vec::from(plain), count)));
    }
    let body = compress(codec, &plain[HEADER_LEN..]).map_err(|error| error.to_string())?;
    let mut whole = Vec::with_capacity(HEADER_LEN + body.len());
    whole.resize(HEADER_LEN, 0);
    whole.extend_from_slice(&body);
    if i32::try_from(whole.len()).is_err() {
        return Err("the batch is larger than 2 GiB".into());
    }
    Ok(checked(finish(came, whole, count)))
}

/// Offset deltas of the records that a batch has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deltas {
    /// From 0 on, without gaps, so many.
    Dense(i32),
    /// These, ascending.
    Sparse(Vec<i32>),
}

impl Deltas {
    /// Whether the batch has a record there.
    pub fn contains(&self, delta: i32) -> bool {
        match self {
            Self::Dense(count) => (0..*count).contains(&delta),
            Self::Sparse(deltas) => deltas.binary_search(&delta).is_ok(),
        }
    }
}

/// The offset deltas of the records of a plain batch.
///
/// # Errors
/// What is wrong with the batch.
pub fn deltas(plain: &[u8]) -> Result<Deltas, BatchError> {
    let header = *BatchView::parse(plain)?.header();
    if header.record_count == header.last_offset_delta.saturating_add(1) {
        return Ok(Deltas::Dense(header.record_count));
    }
    Spans::of(plain, &header).map(|span| span.map(|(delta, _)| delta)).collect::<Result<_, _>>().map(Deltas::Sparse)
}

/// Checks that the batch has records at all of `named`.
///
/// # Errors
/// [`Trouble`].
pub fn check_deltas(plain: &[u8], named: &[i32]) -> Result<(), Trouble> {
    if named.is_empty() {
        return Ok(());
    }
    let there = deltas(plain).map_err(Trouble::Given)?;
    let absent = named.iter().find(|delta| !there.contains(**delta));
    absent.map_or(Ok(()), |delta| {
        malformed(format!("it names a record at offset delta {delta}; the batch has none there"))
    })
}

/// What is said of a batch that nobody can read.
pub fn cannot_be_read(error: &impl std::fmt::Display) -> String {
    format!("the batch's records cannot be read: {error}")
}

fn parse_given(plain: &[u8]) -> Result<BatchHeader, Trouble> {
    BatchView::parse(plain).map(|view| *view.header()).map_err(Trouble::Given)
}

/// Takes away the records at `gone` (ascending). What stays is copied in runs, once.
fn without(plain: &[u8], gone: &[i32]) -> Result<Bytes, Trouble> {
    let header = parse_given(plain)?;
    let mut out = Vec::with_capacity(plain.len());
    out.resize(HEADER_LEN, 0);
    let mut left = gone.iter().copied().peekable();
    let (mut run, mut end) = (HEADER_LEN, HEADER_LEN);
    for span in Spans::of(plain, &header) {
        let (delta, bytes) = span.map_err(Trouble::Given)?;
        if left.next_if_eq(&delta).is_some() {
            out.extend_from_slice(&plain[run..bytes.start]);
            run = bytes.end;
        }
        end = bytes.end;
    }
    out.extend_from_slice(&plain[run..end]);
    if let Some(delta) = left.next() {
        return malformed(format!("it names a record at offset delta {delta}; the batch has none there"));
    }
    // Every delta of `gone` was found once, so there are as many records at least.
    Ok(finish(&header, out, header.record_count - gone.len() as i32))
}

fn replace(
    plain: &Bytes,
    wants: &Wants,
    replacement: &Bytes,
    rejected: &[i32],
    keep_rejected: bool,
) -> Result<Option<Bytes>, Trouble> {
    let given = BatchView::parse(plain).map_err(Trouble::Given)?;
    let new = match BatchView::parse(replacement) {
        Ok(new) if new.bytes().len() == replacement.len() => new,
        Ok(_) => return malformed("bytes follow its batch"),
        Err(error) => return malformed(error.to_string()),
    };
    if plain.len() + replacement.len() > MAX_PAIR_BYTES {
        let detail = format!("{} bytes", replacement.len());
        return Err(Fault::Limit { limit: "output", detail }.into());
    }
    let merge = Merge { given, new, wants, rejected, keep_rejected };
    let comparable = wants.reads == Parts::ALL && rejected.is_empty();
    if comparable && new.header().base_timestamp == given.header().base_timestamp {
        let merged = merge.run(None)?;
        if merged.same_times {
            if merged.dropped == 0 && new.body() == given.body() {
                return Ok(None);
            }
            let mut out = Vec::with_capacity(replacement.len());
            out.extend_from_slice(replacement);
            return Ok(Some(finish(given.header(), out, new.header().record_count)));
        }
    }
    let mut out = BatchBuilder::with_capacity(given.header().base_timestamp, given.body().len().max(new.body().len()));
    merge.run(Some(&mut out))?;
    let count = out.count();
    Ok(Some(finish(given.header(), out.into_bytes(), count)))
}

/// A batch and what a plugin wants to put in its place.
#[derive(Clone, Copy)]
struct Merge<'a> {
    given: BatchView<'a>,
    new: BatchView<'a>,
    wants: &'a Wants,
    rejected: &'a [i32],
    keep_rejected: bool,
}

struct Merged {
    dropped: usize,
    /// Whether all records that stayed have the timestamp delta that they had.
    same_times: bool,
}

impl Merge<'_> {
    /// Walks both batches side by side, checks every record, and writes the result to `out`.
    fn run(&self, mut out: Option<&mut BatchBuilder>) -> Result<Merged, Trouble> {
        let base = self.given.header().base_timestamp;
        let mut records = match self.new.records() {
            Ok(records) => records,
            Err(error) => return malformed(error.to_string()),
        };
        let mut read = || match records.next().transpose() {
            Ok(record) => Ok(record),
            Err(error) => malformed(error.to_string()),
        };
        let mut next = read()?;
        let mut merged = Merged { dropped: 0, same_times: true };
        for given in self.given.records().map_err(Trouble::Given)? {
            let given = given.map_err(Trouble::Given)?;
            let new = match next {
                Some(new) if new.offset_delta == given.offset_delta => {
                    next = read()?;
                    Some(new)
                }
                _ => None,
            };
            let rejected = !self.rejected.is_empty() && self.rejected.binary_search(&given.offset_delta).is_ok();
            let kept = match new {
                _ if rejected => self.keep_rejected.then_some(given),
                Some(new) => {
                    merged.same_times &= new.timestamp_delta == given.timestamp_delta;
                    self.check(&given, &new)?;
                    Some(new)
                }
                None => {
                    merged.dropped += 1;
                    None
                }
            };
            if let (Some(out), Some(kept)) = (out.as_deref_mut(), kept) {
                self.write(&given, &kept, rejected, base, out)?;
            }
        }
        if let Some(added) = next {
            return malformed(format!("it adds a record at offset delta {}", added.offset_delta));
        }
        if merged.dropped > 0 && !self.wants.drops {
            return malformed(format!("it takes {} records away and does not declare `drops`", merged.dropped));
        }
        Ok(merged)
    }

    fn check(&self, given: &Record<'_>, new: &Record<'_>) -> Result<(), Trouble> {
        let (reads, writes) = (self.wants.reads, self.wants.writes);
        let differs = |part| malformed(format!("it changes the {part} of a record and does not declare to write it"));
        if !writes.key && new.key != given.key.filter(|_| reads.key) {
            return differs("key");
        }
        if !writes.value && new.value != given.value.filter(|_| reads.value) {
            return differs("value");
        }
        if new.encoded_headers() == given.encoded_headers() && new.header_count() == given.header_count() {
            return if writes.headers || reads.headers || new.header_count() == 0 {
                Ok(())
            } else {
                differs("headers")
            };
        }
        if writes.headers {
            let bad = new.headers().find_map(Result::err);
            return bad.map_or(Ok(()), |error| malformed(error.to_string()));
        }
        let same = if reads.headers { new.headers().eq(given.headers()) } else { new.header_count() == 0 };
        if same { Ok(()) } else { differs("headers") }
    }

    /// Writes the record at the given one's place and time, with those parts of `kept` that the plugin may write.
    fn write(
        &self,
        given: &Record<'_>,
        kept: &Record<'_>,
        rejected: bool,
        base: i64,
        out: &mut BatchBuilder,
    ) -> Result<(), Trouble> {
        let from = |written: bool| if written && !rejected { kept } else { given };
        let writes = self.wants.writes;
        let (count, headers) = headers_of(from(writes.headers));
        let time = base.wrapping_add(given.timestamp_delta);
        let (key, value) = (from(writes.key).key, from(writes.value).value);
        out.push_raw_headers_at(given.offset_delta, time, key, value, count, headers).map_err(Trouble::Given)
    }
}

fn headers_of<'a>(record: &Record<'a>) -> (i32, &'a [u8]) {
    (record.header_count(), record.encoded_headers())
}

/// Writes the header in front of records that are there: its fields, the true length, `count` records, no CRC.
fn finish(header: &BatchHeader, mut whole: Vec<u8>, count: i32) -> Bytes {
    let batch_length = i32::try_from(whole.len() - LOG_OVERHEAD).expect("bounded far below 2 GiB where it was built");
    BatchHeader { batch_length, crc: 0, record_count: count, ..*header }.write_to(&mut whole);
    whole.into()
}

fn checked(whole: Bytes) -> Bytes {
    let mut whole = Vec::from(whole);
    recompute_crc(&mut whole);
    whole.into()
}

/// Where each record of a plain batch stands, without a look at its parts.
struct Spans<'a> {
    plain: &'a [u8],
    at: usize,
    left: i32,
    previous: i32,
    last: i32,
}

impl<'a> Spans<'a> {
    fn of(plain: &'a [u8], header: &BatchHeader) -> Self {
        let plain = &plain[..header.total_len().min(plain.len())];
        Self { plain, at: HEADER_LEN, left: header.record_count, previous: -1, last: header.last_offset_delta }
    }

    fn read(&mut self) -> Result<(i32, Range<usize>), BatchError> {
        let start = self.at;
        let mut rest = &self.plain[start..];
        let len = usize::try_from(varint::read_i32(&mut rest)?).map_err(|_| BatchError::NegativeLength)?;
        let (body, tail) = rest.split_at_checked(len).ok_or(BatchError::RecordOverrun)?;
        let mut body = body.get(1..).ok_or(BatchError::RecordOverrun)?;
        varint::read_i64(&mut body)?;
        let delta = varint::read_i32(&mut body)?;
        if delta <= self.previous || delta > self.last {
            return Err(BatchError::OffsetOrder(delta));
        }
        self.previous = delta;
        self.at = self.plain.len() - tail.len();
        Ok((delta, start..self.at))
    }
}

impl Iterator for Spans<'_> {
    type Item = Result<(i32, Range<usize>), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let surplus = self.plain.len() - self.at;
            self.at = self.plain.len();
            return (surplus > 0).then_some(Err(BatchError::TrailingBytes(surplus)));
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            self.left = 0;
            self.at = self.plain.len();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests;
