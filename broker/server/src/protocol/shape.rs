//! Walks a request by its schema before it is decoded, and refuses what does not fit.
//!
//! The walk reads every count and every length of the request and compares it with the bytes that are
//! there, so that a decoder which reserves memory by count reserves no more than was sent times the
//! size of an element. The limits on elements and tagged fields are those of Kafka 4.4. Tagged fields that
//! are known must be as long as they say. Bytes after the request are ignored, as Kafka ignores them: librdkafka
//! 2.15 sends three of them with Metadata v13.

/// Most elements of one array (Kafka 4.4).
const MAX_ELEMENTS: usize = 1_000_000;
/// Most tagged fields of one structure (Kafka 4.4).
const MAX_TAGGED_FIELDS: u32 = 10_000;

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
    /// Text that is not UTF-8.
    #[error("it holds text that is not UTF-8")]
    NotUtf8,
    /// A tagged field is not as long as it says.
    #[error("the tagged field {0} is not as long as it says")]
    BadTag(u32),
}

/// Checks that `bytes` begin with one whole request of this shape and version.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(shape: &Shape, version: i16, bytes: &[u8]) -> Result<(), ShapeError> {
    let mut walk = Walk { rest: bytes, version, flexible: version >= shape.flexible_from };
    walk.structure(shape.fields)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ShapeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ShapeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned_varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            if shift == 28 && byte > 0x0f {
                return Err(ShapeError::BadLength(i64::from(byte)));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ShapeError::BadLength(-1))
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
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let content = self.take(size)?;
            if let Some(field) = fields.iter().filter(here).find(|field| field.tag == Some(tag)) {
                let mut inner = Walk { rest: content, version, flexible: true };
                inner.value(field.kind)?;
                if !inner.rest.is_empty() {
                    return Err(ShapeError::BadTag(tag));
                }
            } else if fields.iter().any(|field| field.tag == Some(tag)) {
                // A tag of a later version than the frame's: the decoder refuses it as well.
                return Err(ShapeError::BadTag(tag));
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
            Kind::List(element) => self.elements(kind, |walk| walk.value(*element)),
            Kind::Structs(fields) => self.elements(kind, |walk| walk.structure(fields)),
            Kind::Struct(fields) => self.structure(fields),
        }
    }

    fn elements(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(&mut Self) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        let Some(count) = self.length(kind)? else { return Ok(()) };
        if count > MAX_ELEMENTS {
            return Err(ShapeError::BadLength(count as i64));
        }
        // No element takes less than a byte.
        if count > self.rest.len() {
            return Err(ShapeError::Truncated);
        }
        for _ in 0..count {
            each(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "shape/tests.rs"]
mod tests;
