//! Reading and writing Kafka's primitive types, in the classic and the flexible encoding (KIP-482).
//!
//! Reading takes nothing on trust: every length is checked against the bytes that are left before
//! anything is taken or allocated.

use pelton_record::{BatchError, varint};
use std::sync::Arc;

/// The longest string that a classic (non-flexible) schema can hold, in bytes.
pub(crate) const MAX_STRING_BYTES: usize = i16::MAX as usize;

/// A cursor over one key or value.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes` in the classic encoding.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    /// From here on the encoding is flexible, or is not.
    pub(super) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        if count > self.rest.len() {
            return Err(format!("{count} bytes were announced, {} are left", self.rest.len()));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| format!("{N} bytes are needed, {} are left", self.rest.len()))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn int16(&mut self) -> Result<i16, String> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Result<i32, String> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn int64(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_be_bytes)
    }

    fn unsigned_varint(&mut self) -> Result<u32, String> {
        let read = varint::read_u32(&mut self.rest);
        read.map_err(|error| match error {
            BatchError::VarintOverflow => "a varint is longer than 32 bits".to_owned(),
            _ => "a varint goes past the end".to_owned(),
        })
    }

    /// A length: `None` is null. `classic` reads it in the classic encoding, where -1 is null.
    fn length(&mut self, classic: impl Fn(&mut Self) -> Result<i32, String>) -> Result<Option<usize>, String> {
        if self.flexible {
            let length = self.unsigned_varint()?;
            return Ok(length.checked_sub(1).map(|length| length as usize));
        }
        match classic(self)? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| format!("a length is {length}")),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<Arc<str>>, String> {
        let Some(length) = self.length(|reader| reader.int16().map(i32::from))? else { return Ok(None) };
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|error| format!("a string is not UTF-8: {error}"))?;
        Ok(Some(Arc::from(text)))
    }

    pub(super) fn string(&mut self) -> Result<Arc<str>, String> {
        self.nullable_string()?.ok_or_else(|| "a string that must be there is null".to_owned())
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], String> {
        match self.length(Self::int32)? {
            Some(length) => self.take(length),
            None => Err("bytes that must be there are null".to_owned()),
        }
    }

    /// The number of elements of an array. Every element takes at least one byte, so more than are left is a lie.
    pub(super) fn array_length(&mut self) -> Result<usize, String> {
        let length = self.length(Self::int32)?.ok_or_else(|| "an array that must be there is null".to_owned())?;
        if length > self.rest.len() {
            return Err(format!("an array announces {length} elements in {} bytes", self.rest.len()));
        }
        Ok(length)
    }

    /// Skips the tagged fields that end every structure of the flexible encoding.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<(), String> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            self.take(length)?;
        }
        Ok(())
    }
}

/// Writes a string in the classic encoding. Whoever lets a string in checks [`MAX_STRING_BYTES`] first.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("strings are checked against MAX_STRING_BYTES at the door");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Writes a nullable string in the classic encoding.
pub(super) fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.extend_from_slice(&(-1i16).to_be_bytes()),
    }
}

/// Writes bytes in the classic encoding. Requests are far smaller than 2 GiB, and so is what they hold.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&i32::try_from(bytes.len()).expect("a request is smaller than 2 GiB").to_be_bytes());
    out.extend_from_slice(bytes);
}
