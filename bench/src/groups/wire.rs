//! A connection that speaks Kafka's protocol: one request at a time, and its answer.
//!
//! It knows frames and headers, and nothing of groups. A thousand of them live on one thread.

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take. A JoinGroup waits for the slowest member, so this is longer than a session.
const ANSWER_AT_MOST: Duration = Duration::from_secs(90);
/// Bytes of an answer at most; those of the largest groups are some KiB.
const FRAME_MAX_BYTES: usize = 16 << 20;
/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// A connection.
pub struct Connection {
    stream: TcpStream,
    outgoing: BytesMut,
    incoming: BytesMut,
    correlation_id: i32,
}

impl Connection {
    /// Connects.
    pub async fn open(bootstrap: &str) -> Result<Self> {
        let stream = TcpStream::connect(bootstrap).await.with_context(|| format!("cannot connect to {bootstrap}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, outgoing: BytesMut::new(), incoming: BytesMut::new(), correlation_id: 0 })
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let answered = tokio::time::timeout(ANSWER_AT_MOST, self.exchange(version, request)).await;
        answered
            .with_context(|| format!("no answer within {} s", ANSWER_AT_MOST.as_secs()))
            .flatten()
            .with_context(|| format!("a request with key {}, version {version}", R::KEY))
    }

    async fn exchange<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        write_request(&mut self.outgoing, self.correlation_id, version, request)?;
        self.stream.write_all(&self.outgoing).await?;
        let mut frame = self.read_frame().await?;
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.correlation_id, "this is the answer to another request");
        R::Response::decode(&mut frame, version)
    }

    async fn read_frame(&mut self) -> Result<Bytes> {
        loop {
            if let Some(frame) = take_frame(&mut self.incoming)? {
                return Ok(frame);
            }
            let read = self.stream.read_buf(&mut self.incoming).await?;
            ensure!(read > 0, "the broker closed the connection");
        }
    }
}

/// Writes a frame with a request, in place of what was in the buffer.
fn write_request<R: Request>(frame: &mut BytesMut, correlation_id: i32, version: i16, request: &R) -> Result<()> {
    frame.clear();
    frame.put_u32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("pelton-bench")));
    header.encode(frame, R::header_version(version))?;
    request.encode(frame, version)?;
    let length = u32::try_from(frame.len() - LENGTH_BYTES)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Takes a frame, without its length, from what has come, if all of it has.
fn take_frame(incoming: &mut BytesMut) -> Result<Option<Bytes>> {
    let Some(length) = incoming.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    ensure!(length <= FRAME_MAX_BYTES, "an answer of {length} bytes");
    if incoming.len() < LENGTH_BYTES + length {
        incoming.reserve(LENGTH_BYTES + length - incoming.len());
        return Ok(None);
    }
    incoming.advance(LENGTH_BYTES);
    Ok(Some(incoming.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::HeartbeatRequest;

    #[test]
    fn a_frame_is_taken_when_all_of_it_is_there() {
        let mut incoming = BytesMut::new();
        for byte in [0, 0, 0, 2, b'a'] {
            assert_eq!(take_frame(&mut incoming).unwrap(), None);
            incoming.put_u8(byte);
        }
        assert_eq!(take_frame(&mut incoming).unwrap(), None);
        incoming.put_slice(b"b\0\0\0\0c");
        assert_eq!(take_frame(&mut incoming).unwrap().as_deref(), Some(b"ab".as_slice()));
        assert_eq!(take_frame(&mut incoming).unwrap().as_deref(), Some(b"".as_slice()));
        assert_eq!(take_frame(&mut incoming).unwrap(), None);
        assert_eq!(incoming.as_ref(), b"c");
    }

    #[test]
    fn a_length_without_end_is_refused() {
        let mut incoming = BytesMut::from([0xff_u8; 4].as_slice());
        assert!(take_frame(&mut incoming).is_err());
    }

    #[test]
    fn a_request_is_framed_with_its_header() {
        let mut frame = BytesMut::from(b"what was there before".as_slice());
        write_request(&mut frame, 7, 4, &HeartbeatRequest::default()).unwrap();
        let mut framed = take_frame(&mut frame).unwrap().unwrap();
        let header = RequestHeader::decode(&mut framed, HeartbeatRequest::header_version(4)).unwrap();
        assert_eq!((header.request_api_key, header.request_api_version, header.correlation_id), (12, 4, 7));
        assert_eq!(HeartbeatRequest::decode(&mut framed, 4).unwrap(), HeartbeatRequest::default());
        assert!(frame.is_empty() && framed.is_empty());
    }
}
