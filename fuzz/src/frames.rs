//! The stream of a connection, cut into frames: lengths that lie, ends anywhere, and pieces of any size.
//!
//! The first byte says how large the pieces are in which the rest comes. What is promised: memory grows with the bytes
//! that have come, whatever length was announced, and the frames are the bytes of the stream.

use crate::allocation::bounded;
use pelton_server::net::frame::{FrameError, FrameReader};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};

/// `socket.request.max.bytes`, as it is set here. Far more than any input has.
const MAX_REQUEST_BYTES: usize = 100 << 20;
/// Memory for each byte that has come: the buffer, its growth, and the frames that were cut out of it.
const FACTOR: usize = 4;
/// What the reader may keep ready ahead of the bytes: a chunk of 64 KiB, and the one before while a frame of it is there.
const AHEAD_BYTES: usize = 160 << 10;

/// A stream that gives pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    piece_bytes: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = self.piece_bytes.min(self.rest.len()).min(room.remaining());
        let (piece, rest) = self.rest.split_at(count);
        room.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// What the future gives; a reader of [`Pieces`] never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits for a stream that is always ready"),
    }
}

/// Cuts the input into frames.
pub fn run(input: &[u8]) {
    let Some((piece, stream)) = input.split_first() else { return };
    let pieces = Pieces { rest: stream, piece_bytes: 1 + usize::from(*piece) * 16 };
    bounded(FACTOR * input.len() + AHEAD_BYTES, || {
        let mut reader = FrameReader::new(pieces, MAX_REQUEST_BYTES);
        let mut at = 0;
        let end = loop {
            let front = match ready(reader.front()) {
                Ok(front) => front,
                Err(end) => break end,
            };
            assert!((2..=MAX_REQUEST_BYTES).contains(&front.length));
            let frame = match ready(reader.body(front, |_| {})) {
                Ok(frame) => frame,
                Err(end) => break end,
            };
            assert_eq!(frame.len(), front.length);
            assert_eq!(frame[..], stream[at + 4..][..frame.len()], "a frame is what stands behind its length");
            at += 4 + frame.len();
        };
        match end {
            FrameError::Closed => assert_eq!(at, stream.len(), "only between two frames a connection is closed"),
            FrameError::Truncated => assert!(at < stream.len()),
            FrameError::BadLength(..) => assert!(at + 4 <= stream.len()),
            FrameError::Io(error) => panic!("the stream does not fail: {error}"),
        }
    });
}
