//! Walks a request by its schema before it is decoded, and refuses what does not fit.
//!
//! The walk reads every count and every length of the request and compares it with the bytes that are
//! there, so that a decoder which reserves memory by count reserves no more than was sent times the
//! size of an element. The limits on elements and tagged fields are those of Kafka 4.4. Tagged fields that
//! are known must be as long as they say. Bytes after the request are ignored, as Kafka ignores them: librdkafka
//! 2.15 sends three of them with Metadata v13.
//!
//! The walk also weighs: an element of two bytes may become a structure of a hundred, and a tagged field that nobody
//! knows a tree of five hundred. So it says how much memory the decoded request will take, and the caller can refuse one
//! that takes more than it was admitted to.

use pelton_record::{BatchError, varint};
use std::collections::BTreeMap;

/// Most elements of one array (Kafka 4.4), and of all arrays of a request together: what is kept of an element while a request
/// is answered may be a hundred times as large as the element.
const MAX_ELEMENTS: usize = 1_000_000;
/// Most tagged fields of one structure (Kafka 4.4).
const MAX_TAGGED_FIELDS: u32 = 10_000;

/// A string or bytes in memory: a view into the frame.
const VIEW_BYTES: usize = size_of::<Option<bytes::Bytes>>();
/// An array in memory, without its elements.
const ARRAY_BYTES: usize = size_of::<Option<Vec<u8>>>();
/// Tagged fields that nobody knows are kept in a map: its first node, and a tag's part of further ones, half full.
const FIRST_TAG_BYTES: usize = 512;
const FURTHER_TAG_BYTES: usize = 128;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// So many bytes: integers, booleans, UUIDs.
    Fixed(usize),
    /// A string, nullable or not.
    Text,
    /// Bytes, nullable or not.
    Bytes,
    /// An array of one kind of thing, nullable or not.
    List(&'static Kind),
    /// An array of structures, nullable or not.
    Structs(&'static [Field]),
    /// One structure.
    Struct(&'static [Field]),
    /// One structure or null, which a byte before it tells.
    Optional(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// First version that has it.
    pub from: i16,
    /// Last version that has it.
    pub to: i16,
    /// What it holds.
    pub kind: Kind,
    /// `Some` for a tagged field: its tag. Its kind stands at the size that the tag announces.
    pub tag: Option<u32>,
}

/// The schema of one request.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// First version in the flexible encoding (KIP-482).
    pub flexible_from: i16,
    /// Its fields, in order.
    pub fields: &'static [Field],
}

/// Why a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A field, a string or an array goes past the end of the frame.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A length or a count is negative, or larger than anything that is allowed.
    #[error("it claims a length of {0}, which is not possible here")]
    BadLength(i64),
    /// A length has more than 32 bits.
    #[error("it claims a length of more than 32 bits")]
    LongVarint,
    /// Text that is not UTF-8.
    #[error("it holds text that is not UTF-8")]
    NotUtf8,
    /// A tagged field is not as long as it says.
    #[error("the tagged field {0} is not as long as it says")]
    BadTag(u32),
}

/// Checks that `bytes` begin with one whole request of this shape and version. Gives the bytes of memory that it takes at
/// most when it is decoded, beside the frame.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(shape: &Shape, version: i16, bytes: &[u8]) -> Result<usize, ShapeError> {
    let flexible = version >= shape.flexible_from;
    let mut walk = Walk { rest: bytes, version, flexible, elements: 0, weight: structure_bytes(shape.fields) };
    walk.structure(shape.fields)?;
    Ok(walk.weight)
}

/// Checks that `bytes` begin with the header of a request, of that version, and gives the bytes of memory that it takes at
/// most. Its client id is written as in the versions that are not flexible, in all of them.
///
/// # Errors
/// The first thing that does not fit.
pub fn check_header(version: i16, bytes: &[u8]) -> Result<usize, ShapeError> {
    const KEY_VERSION_CORRELATION: Kind = Kind::Fixed(8);
    let weight = value_bytes(KEY_VERSION_CORRELATION) + value_bytes(Kind::Text) + structure_bytes(&[]);
    let mut walk = Walk { rest: bytes, version, flexible: false, elements: 0, weight };
    walk.value(KEY_VERSION_CORRELATION)?;
    walk.value(Kind::Text)?;
    walk.flexible = version >= 2;
    walk.structure(&[])?;
    Ok(walk.weight)
}

/// What a value takes in memory where it stands.
fn value_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Fixed(size) => size.next_multiple_of(align_of::<u64>()),
        Kind::Text | Kind::Bytes => VIEW_BYTES,
        Kind::List(_) | Kind::Structs(_) => ARRAY_BYTES,
        Kind::Struct(fields) | Kind::Optional(fields) => structure_bytes(fields),
    }
}

/// What a structure takes in memory: its fields of every version, and the map of the tagged fields that nobody knows.
fn structure_bytes(fields: &[Field]) -> usize {
    fields.iter().map(|field| value_bytes(field.kind)).sum::<usize>() + size_of::<BTreeMap<i32, bytes::Bytes>>()
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    /// Elements of all arrays so far.
    elements: usize,
    /// Bytes of memory so far.
    weight: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ShapeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ShapeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned_varint(&mut self) -> Result<u32, ShapeError> {
        varint::read_u32(&mut self.rest).map_err(|error| match error {
            BatchError::VarintOverflow => ShapeError::LongVarint,
            _ => ShapeError::Truncated,
        })
    }

    /// A length of text, bytes or an array; `None` is null.
    fn length(&mut self, kind: Kind) -> Result<Option<usize>, ShapeError> {
        if self.flexible {
            return Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize));
        }
        let length = if let Kind::Text = kind {
            let bytes = self.take(2)?;
            i64::from(i16::from_be_bytes([bytes[0], bytes[1]]))
        } else {
            let bytes = self.take(4)?;
            i64::from(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        match length {
            -1 => Ok(None),
            0.. => Ok(Some(length as usize)),
            _ => Err(ShapeError::BadLength(length)),
        }
    }

    fn structure(&mut self, fields: &[Field]) -> Result<(), ShapeError> {
        let version = self.version;
        let here = |field: &&Field| field.from <= version && version <= field.to;
        for field in fields.iter().filter(|field| field.tag.is_none()).filter(here) {
            self.value(field.kind)?;
        }
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        if count > MAX_TAGGED_FIELDS {
            return Err(ShapeError::BadLength(i64::from(count)));
        }
        let mut unknown_tags = 0;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let content = self.take(size)?;
            if let Some(field) = fields.iter().filter(here).find(|field| field.tag == Some(tag)) {
                let mut inner =
                    Walk { rest: content, version, flexible: true, elements: self.elements, weight: self.weight };
                inner.value(field.kind)?;
                (self.elements, self.weight) = (inner.elements, inner.weight);
                if !inner.rest.is_empty() {
                    return Err(ShapeError::BadTag(tag));
                }
            } else if fields.iter().any(|field| field.tag == Some(tag)) {
                // A tag of a later version than the frame's: the decoder refuses it as well.
                return Err(ShapeError::BadTag(tag));
            } else {
                self.weight += if unknown_tags == 0 { FIRST_TAG_BYTES } else { FURTHER_TAG_BYTES };
                unknown_tags += 1;
            }
        }
        Ok(())
    }

    fn value(&mut self, kind: Kind) -> Result<(), ShapeError> {
        match kind {
            Kind::Fixed(size) => self.take(size).map(drop),
            Kind::Text => match self.length(kind)? {
                Some(length) => std::str::from_utf8(self.take(length)?).map(drop).map_err(|_| ShapeError::NotUtf8),
                None => Ok(()),
            },
            Kind::Bytes => match self.length(kind)? {
                Some(length) => self.take(length).map(drop),
                None => Ok(()),
            },
            Kind::List(element) => self.elements(kind, value_bytes(*element), |walk| walk.value(*element)),
            Kind::Structs(fields) => self.elements(kind, structure_bytes(fields), |walk| walk.structure(fields)),
            Kind::Struct(fields) => self.structure(fields),
            // The decoder takes every other byte for null.
            Kind::Optional(fields) => match self.take(1)?[0] {
                1 => self.structure(fields),
                _ => Ok(()),
            },
        }
    }

    fn elements(
        &mut self,
        kind: Kind,
        element_bytes: usize,
        mut each: impl FnMut(&mut Self) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        let Some(count) = self.length(kind)? else { return Ok(()) };
        self.elements = self.elements.saturating_add(count);
        if self.elements > MAX_ELEMENTS {
            return Err(ShapeError::BadLength(count as i64));
        }
        // No element takes less than a byte.
        if count > self.rest.len() {
            return Err(ShapeError::Truncated);
        }
        self.weight += count * element_bytes;
        for _ in 0..count {
            each(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "shape/tests.rs"]
mod tests;
