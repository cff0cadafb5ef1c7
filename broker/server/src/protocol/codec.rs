//! Request headers in, response frames out.
//!
//! A frame is a length (4 bytes, big endian) and a message; a message is a header and a body. The header's
//! version follows from the API and its version, with one exception: the response to ApiVersions has header
//! version 0 always, since its reader does not know yet what the broker speaks.

use super::newest::Failed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use pelton_core::event::StoredRecords;
use std::sync::Arc;

/// Why a request cannot be answered; its connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short for a header, or the header is wrong.
    #[error("the request header cannot be read")]
    Header,
    /// An API that is not served.
    #[error("API key {0} is not served")]
    UnknownApi(i16),
    /// A version that is not served.
    #[error("version {version} of {api} is not served")]
    UnknownVersion {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
    },
    /// A request for data on the control listener.
    #[error("{0} is not served on the control listener; send it to one of the broker's other listeners")]
    DataOnControl(&'static str),
    /// A body that is not what its version says.
    #[error("a {api} v{version} request is malformed: {reason}")]
    Body {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
        /// What does not fit.
        reason: String,
    },
    /// A batch with acks=0 was refused. There is no answer to say so in; a client that loses its connection
    /// asks for metadata anew, and finds the partition again.
    #[error("a batch with acks=0 was refused: {0}")]
    Unacknowledged(String),
    /// A response could not be encoded, which is a fault of the broker.
    #[error("the response cannot be encoded: {0}")]
    Response(String),
}

/// A response as it goes out, its length in front: pieces that follow each other without a gap.
#[derive(Debug, Clone)]
pub struct Frame {
    parts: Vec<Part>,
}

/// A piece of a frame.
#[derive(Debug, Clone)]
pub enum Part {
    /// In memory.
    Bytes(Bytes),
    /// Where it is stored.
    Stored(Arc<dyn StoredRecords>),
}

impl Part {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Stored(stored) => stored.size_bytes(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame {
    /// A frame of these parts, the first of which begins with 4 bytes for the length. Puts it there.
    ///
    /// # Errors
    /// [`Malformed::Response`] when a frame cannot be so long, or the first part is too short.
    pub fn with_length(mut parts: Vec<Part>) -> Result<Self, Malformed> {
        let total: usize = parts.iter().map(Part::len).sum();
        let length = total.checked_sub(4).and_then(|length| i32::try_from(length).ok());
        let (Some(length), Some(Part::Bytes(first))) = (length, parts.first_mut()) else {
            return Err(Malformed::Response(format!("a frame cannot have {total} bytes")));
        };
        let mut front = BytesMut::from(std::mem::take(first));
        let Some(place) = front.get_mut(..4) else {
            return Err(Malformed::Response("a frame begins with its length".to_owned()));
        };
        place.copy_from_slice(&length.to_be_bytes());
        *first = front.freeze();
        Ok(Self { parts })
    }

    /// How many bytes it has, the length in front included.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// How many of its bytes are in memory.
    pub fn in_memory_bytes(&self) -> usize {
        let in_memory = |part: &Part| if let Part::Bytes(bytes) = part { bytes.len() } else { 0 };
        self.parts.iter().map(in_memory).sum()
    }

    /// Whether it has no bytes; a frame that can be sent has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its pieces, in order.
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// All of it in memory. May wait for the medium.
    ///
    /// # Errors
    /// What is wrong with the storage.
    pub fn read(&self) -> Result<Bytes, String> {
        let mut whole = BytesMut::with_capacity(self.parts.iter().map(Part::len).sum());
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => whole.extend_from_slice(bytes),
                Part::Stored(stored) => whole.extend_from_slice(&stored.read()?),
            }
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self { parts: vec![Part::Bytes(bytes)] }
    }
}

/// API key, version and correlation id of a request: the part of the header that every version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prelude {
    /// Which API.
    pub key: i16,
    /// Which version of it.
    pub version: i16,
    /// What the client counts its requests with.
    pub correlation_id: i32,
}

impl Prelude {
    /// Reads it, without consuming anything.
    ///
    /// # Errors
    /// [`Malformed::Header`] when the frame is shorter.
    pub fn peek(frame: &[u8]) -> Result<Self, Malformed> {
        let mut frame = frame;
        if frame.len() < 8 {
            return Err(Malformed::Header);
        }
        Ok(Self { key: frame.get_i16(), version: frame.get_i16(), correlation_id: frame.get_i32() })
    }
}

/// Room for the length and the header of a response, and for the body of most.
const FRAME_BYTES: usize = 256;

/// Reads the request header of that version off the front of the frame.
///
/// # Errors
/// [`Malformed::Header`].
pub fn request_header(frame: &mut Bytes, header_version: i16) -> Result<RequestHeader, Malformed> {
    RequestHeader::decode(frame, header_version).map_err(|_| Malformed::Header)
}

/// A response as one frame, its length in front. `write` writes its body behind what is there.
///
/// # Errors
/// [`Malformed::Response`] when the handler filled a field that the version does not have.
pub fn response_frame(
    correlation_id: i32,
    header_version: i16,
    write: impl FnOnce(&mut BytesMut) -> Result<(), Failed>,
) -> Result<Bytes, Malformed> {
    let failed = |error: &dyn std::fmt::Display| Malformed::Response(error.to_string());
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let mut frame = BytesMut::with_capacity(FRAME_BYTES);
    frame.put_i32(0);
    header.encode(&mut frame, header_version).map_err(|e| failed(&e))?;
    write(&mut frame).map_err(|e| failed(&e))?;
    let length = i32::try_from(frame.len() - 4).map_err(|e| failed(&e))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}
