//! Cuts a stream of bytes into frames: a length of 4 bytes, and as many bytes.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of the length in front of a frame.
const LENGTH: usize = 4;
/// Bytes that tell the API key, after the length.
const KEY: usize = 2;
/// Bytes that are read at once; the buffer for a large frame grows as its bytes come, never ahead of them by more, or by
/// more than the frame before has brought.
const CHUNK: usize = 64 * 1024;
/// What a frame before may let the buffer grow ahead by at most.
const AHEAD: usize = 1024 * 1024;
/// Bytes that an idle connection keeps ready for its next request.
const FRONT: usize = 8 * 1024;

/// The front of a frame: enough to know what it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// Its length, without the length field.
    pub length: usize,
    /// The API key in its first bytes.
    pub key: i16,
}

/// Why no frame can be had.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The client closed the connection between two frames.
    #[error("the client closed the connection")]
    Closed,
    /// The client closed the connection inside of a frame.
    #[error("the connection ended inside of a frame")]
    Truncated,
    /// A length that no request has.
    #[error("a frame claims {0} bytes; socket.request.max.bytes is {1}")]
    BadLength(i64, usize),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames from a stream.
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    max_bytes: usize,
    /// Length of the frame before. Those of a producer are alike, and growing step by step copies what has come.
    before: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of at most `max_bytes`.
    pub fn new(stream: R, max_bytes: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), max_bytes, before: 0 }
    }

    /// Waits for the front of the next frame. May be dropped and called again.
    pub async fn front(&mut self) -> Result<Front, FrameError> {
        loop {
            if self.buffer.len() >= LENGTH {
                let length = i32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]);
                let fits = usize::try_from(length).ok().filter(|length| (KEY..=self.max_bytes).contains(length));
                let length = fits.ok_or(FrameError::BadLength(i64::from(length), self.max_bytes))?;
                if self.buffer.len() >= LENGTH + KEY {
                    let key = i16::from_be_bytes([self.buffer[LENGTH], self.buffer[LENGTH + 1]]);
                    return Ok(Front { length, key });
                }
            }
            self.fill(FRONT).await?;
        }
    }

    /// The frame whose front has been read, if all of it has come already.
    pub fn whole(&mut self, front: Front) -> Option<Bytes> {
        if self.buffer.len() < LENGTH + front.length {
            return None;
        }
        self.before = front.length.min(AHEAD);
        self.buffer.advance(LENGTH);
        Some(self.buffer.split_to(front.length).freeze())
    }

    /// The frame whose front has been read. May be dropped and called again. Says of every piece how many bytes have come.
    pub async fn body(&mut self, front: Front, came: impl Fn(usize)) -> Result<Bytes, FrameError> {
        loop {
            if let Some(frame) = self.whole(front) {
                return Ok(frame);
            }
            let there = self.buffer.len();
            let missing = LENGTH + front.length - there;
            // A frame that is coming in at full speed may take as much again as has come.
            self.fill(missing.min(CHUNK.max(there).max(self.before))).await?;
            came(self.buffer.len() - there);
        }
    }

    /// Bytes that have come and belong to no frame yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    async fn fill(&mut self, room: usize) -> Result<(), FrameError> {
        self.buffer.reserve(room);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 if self.buffer.is_empty() => Err(FrameError::Closed),
            0 => Err(FrameError::Truncated),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        [&(body.len() as i32).to_be_bytes(), body].concat()
    }

    #[tokio::test]
    async fn frames_are_cut_out_of_the_stream() {
        let large = vec![7u8; 300_000];
        let stream = [framed(b"\x00\x12first"), framed(&large)].concat();
        let mut reader = FrameReader::new(&stream[..], 1 << 20);
        let front = reader.front().await.unwrap();
        assert_eq!(front, Front { length: 7, key: 18 });
        assert_eq!(reader.body(front, |_| {}).await.unwrap(), &b"\x00\x12first"[..]);
        let front = reader.front().await.unwrap();
        assert_eq!(reader.body(front, |_| {}).await.unwrap(), large);
        assert!(matches!(reader.front().await, Err(FrameError::Closed)));
    }

    #[tokio::test]
    async fn impossible_lengths_and_torn_frames_are_errors() {
        for length in [-1i32, 0, 1, 1025, i32::MAX] {
            let stream = [&length.to_be_bytes()[..], &[0; 8]].concat();
            let mut reader = FrameReader::new(&stream[..], 1024);
            assert!(matches!(reader.front().await, Err(FrameError::BadLength(..))), "{length}");
        }
        let stream = &framed(&[0; 100])[..50];
        let mut reader = FrameReader::new(stream, 1024);
        let front = reader.front().await.unwrap();
        assert!(matches!(reader.body(front, |_| {}).await, Err(FrameError::Truncated)));
    }
}
