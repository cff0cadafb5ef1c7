//! The encoding of the flat contract: what the host sends, and what a guest answers. Pure.
//!
//! Invariant: nothing is read past the bytes that are there, and what is allocated is bounded by their number, whatever
//! lengths and counts the guest wrote.

use crate::adapter::interceptor::{GuestChange, GuestOutcome};
use crate::adapter::transform::{GuestProcessed, GuestRejection};
use pelton_api::hooks::{Acknowledgement, Commit, Origin};
use pelton_api::interceptor::{HookSet, Parts, Reuse, Wants};

/// Length of a length.
pub(super) const LENGTH_BYTES: usize = 4;
/// A rejection has an offset delta and a reason, which has a length.
const REJECTION_BYTES: usize = 4 + LENGTH_BYTES;
/// Bits of the sets in the contract.
const ALL_PARTS: u8 = 0b111;
const ALL_HOOKS: u8 = 0b1111;

/// What is wrong with bytes of the guest; the text says which.
pub(super) type Malformed = &'static str;

/// Writes a request.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// The length of what follows. A guest's memory has 32-bit addresses, so what is longer has no room there.
    pub(super) fn len(&mut self, len: usize) {
        self.0.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn origin(&mut self, origin: &Origin) {
        for text in [&origin.principal, &origin.client_id, &origin.client_address, &origin.topic] {
            self.text(text);
        }
        self.i32(origin.partition);
    }

    pub(super) fn acknowledgement(&mut self, acknowledged: &Acknowledgement) {
        self.i64(acknowledged.base_offset);
        self.i32(acknowledged.record_count);
        self.i64(acknowledged.at_ms);
        self.u8(u8::from(acknowledged.error.is_some()));
        if let Some(error) = &acknowledged.error {
            self.text(error);
        }
    }

    pub(super) fn commit(&mut self, commit: &Commit) {
        let texts = [
            &commit.principal,
            &commit.client_id,
            &commit.client_address,
            &commit.group,
            &commit.member,
            &commit.topic,
        ];
        for text in texts {
            self.text(text);
        }
        self.len(commit.offsets.len());
        for (partition, offset) in &commit.offsets {
            self.i32(*partition);
            self.i64(*offset);
        }
        self.u8(u8::from(commit.transactional));
    }
}

/// Reads bytes of the guest.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or("it ends within a number")?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a truth value is 0 or 1"),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        let (bytes, rest) = self.0.split_at_checked(len as usize).ok_or("a length does not fit")?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A count of elements that have at least `element_bytes` each.
    pub(super) fn count(&mut self, element_bytes: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count > self.0.len() / element_bytes { Err("a count does not fit") } else { Ok(count) }
    }

    /// There must be nothing behind it.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err("there are bytes behind its end") }
    }

    pub(super) fn numbers(&mut self) -> Result<Vec<i32>, Malformed> {
        let count = self.count(4)?;
        (0..count).map(|_| self.i32()).collect()
    }

    fn rejections(&mut self) -> Result<Vec<GuestRejection>, Malformed> {
        let count = self.count(REJECTION_BYTES)?;
        let rejection = |_| Ok(GuestRejection { offset_delta: self.i32()?, reason: self.text()? });
        (0..count).map(rejection).collect()
    }

    pub(super) fn processed(&mut self) -> Result<GuestProcessed, Malformed> {
        Ok(GuestProcessed { output: self.bytes()?.to_vec(), rejected: self.rejections()? })
    }

    pub(super) fn outcome(&mut self) -> Result<GuestOutcome, Malformed> {
        let change = match self.u8()? {
            0 => GuestChange::None,
            1 => GuestChange::Drop(self.numbers()?),
            2 => GuestChange::Replace(self.bytes()?.to_vec()),
            _ => return Err("a change is 0 (none), 1 (drop) or 2 (replace)"),
        };
        Ok(GuestOutcome { change, rejected: self.rejections()? })
    }

    pub(super) fn parts(&mut self) -> Result<Parts, Malformed> {
        match self.u8()? {
            bits if bits & !ALL_PARTS != 0 => Err("parts are key 1, value 2, headers 4"),
            bits => Ok(Parts { key: bits & 1 != 0, value: bits & 2 != 0, headers: bits & 4 != 0 }),
        }
    }

    pub(super) fn wants(&mut self) -> Result<Wants, Malformed> {
        let hooks = match self.u8()? {
            bits if bits & !ALL_HOOKS != 0 => return Err("hooks are 1, 2, 4 and 8"),
            bits => HookSet(bits),
        };
        let (reads, writes, drops) = (self.parts()?, self.parts()?, self.bool()?);
        let reuse = match self.u8()? {
            0 => Reuse::Never,
            1 => Reuse::ForEveryone,
            2 => Reuse::ForPrincipal,
            _ => return Err("reuse is 0, 1 or 2"),
        };
        Ok(Wants { hooks, reads, writes, drops, reuse })
    }
}

/// Reads a whole answer: the value that `read` takes, or the guest's own error.
pub(super) fn answer<'a, R>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<R, Malformed>,
) -> Result<Result<R, String>, Malformed> {
    // No bytes at all say "well, and nothing", which is an answer where nothing is asked for.
    let mut reader = Reader(if bytes.is_empty() { &[0] } else { bytes });
    let answer = match reader.u8()? {
        0 => Ok(read(&mut reader)?),
        1 => Err(reader.text()?),
        _ => return Err("an answer begins with 0 (the value) or 1 (an error)"),
    };
    reader.end()?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
