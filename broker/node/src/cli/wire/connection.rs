//! One connection to one broker: a request out, its answer in, one after the other.
//!
//! What it does: it agrees on the version of each request (ApiVersions, KIP-511), frames, encodes and decodes. What it does not:
//! it knows neither what a request means nor which broker is to be asked. Every wait is bounded, and so is what an answer may
//! take; memory grows with the bytes that came, not with the length that was announced.

use crate::cli::connect::ANSWER;
use anyhow::{Context, anyhow, bail};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion as _, Request, StrBytes};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long a command waits for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes: the configs of some ten thousand topics.
const ANSWER_MAX_BYTES: i32 = 256 << 20;
/// The version of ApiVersions that is asked with: the first one with a flexible request, which every broker since Kafka 2.4 knows.
const API_VERSIONS: i16 = 3;

/// Something that is asked and answered in turn.
pub struct Connection {
    stream: TcpStream,
    address: String,
    correlation_id: i32,
    served: ApiVersionsResponse,
    versions: BTreeMap<i16, (i16, i16)>,
}

/// Why no connection came about.
pub enum Unreachable {
    /// Nobody is there.
    Nobody,
    /// Somebody is, who does not speak Kafka's protocol.
    Stranger(anyhow::Error),
}

impl Connection {
    /// Connects to `HOST:PORT` and learns what the broker speaks.
    ///
    /// # Errors
    /// When nobody listens there, or what does is no broker.
    pub fn open(address: &str) -> Result<Self, Unreachable> {
        let resolved = address.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let stream = resolved.iter().find_map(|address| TcpStream::connect_timeout(address, CONNECT).ok());
        let stream = stream.ok_or(Unreachable::Nobody)?;
        Self::over(stream, address).map_err(Unreachable::Stranger)
    }

    fn over(stream: TcpStream, address: &str) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            correlation_id: 0,
            served: ApiVersionsResponse::default(),
            versions: BTreeMap::new(),
        };
        connection.served = connection.ask_versions()?;
        let versions = connection.served.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        connection.versions = versions.collect();
        Ok(connection)
    }

    /// Where the broker is, as it was named.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the broker said of itself: the APIs that it serves, and its features.
    pub fn served(&self) -> &ApiVersionsResponse {
        &self.served
    }

    /// Whether the broker serves this request in one of `versions`.
    pub fn serves<Q: Request>(&self, versions: &RangeInclusive<i16>) -> bool {
        self.version::<Q>(versions).is_ok()
    }

    /// Asks in the highest version of `versions` that the broker serves.
    ///
    /// # Errors
    /// When it serves none of them, falls silent, or answers what cannot be read.
    pub fn ask<Q: Request>(&mut self, versions: RangeInclusive<i16>, request: &Q) -> anyhow::Result<Q::Response> {
        let version = self.version::<Q>(&versions)?;
        let mut answer = self.exchange(version, request)?;
        self.decode::<Q::Response>(&mut answer, Q::Response::header_version(version), version)
    }

    fn version<Q: Request>(&self, versions: &RangeInclusive<i16>) -> anyhow::Result<i16> {
        let name = api_name(Q::KEY);
        let Some((min, max)) = self.versions.get(&Q::KEY) else {
            bail!("{} does not serve {name}; `pelton cluster api-versions` shows what it does", self.address);
        };
        let (first, last) = ((*min).max(*versions.start()), (*max).min(*versions.end()));
        if first > last {
            let (start, end) = (versions.start(), versions.end());
            bail!(
                "{} serves {name} in versions {min} to {max}, and this program speaks {start} to {end}; use a newer broker",
                self.address
            );
        }
        Ok(last)
    }

    fn ask_versions(&mut self) -> anyhow::Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("pelton-cli"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut answer = self.exchange(API_VERSIONS, &request)?;
        // An answer to a version that it does not know comes in version 0, with an error first of all (KIP-511).
        let refused = answer.get(4..6) == Some(&ResponseError::UnsupportedVersion.code().to_be_bytes()[..]);
        let version = if refused { 0 } else { API_VERSIONS };
        self.decode::<ApiVersionsResponse>(&mut answer, 0, version)
    }

    fn exchange<Q: Request>(&mut self, version: i16, request: &Q) -> anyhow::Result<Bytes> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("pelton-cli")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header
            .encode(&mut frame, Q::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|e| anyhow!("the {} request cannot be written: {e}", api_name(Q::KEY)))?;
        let length = i32::try_from(frame.len() - 4).context("a request has at most 2 GiB")?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).map_err(|e| self.broken(&e))?;
        self.read_frame()
    }

    fn read_frame(&mut self) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|e| self.broken(&e))?;
        let length = i32::from_be_bytes(length);
        if !(4..=ANSWER_MAX_BYTES).contains(&length) {
            bail!("{} gave an answer of {length} bytes; is it a Kafka broker?", self.address);
        }
        let length = length.unsigned_abs();
        let mut answer = Vec::new();
        (&self.stream).take(u64::from(length)).read_to_end(&mut answer).map_err(|e| self.broken(&e))?;
        if answer.len() != length as usize {
            return Err(self.broken(&ErrorKind::UnexpectedEof.into()));
        }
        Ok(answer.into())
    }

    fn decode<R: Decodable>(&self, answer: &mut Bytes, header_version: i16, version: i16) -> anyhow::Result<R> {
        let unreadable = || anyhow!("{} gave an answer that cannot be read; is it a Kafka broker?", self.address);
        let header = ResponseHeader::decode(answer, header_version).map_err(|_| unreadable())?;
        if header.correlation_id != self.correlation_id {
            return Err(unreadable());
        }
        let response = R::decode(answer, version).map_err(|_| unreadable())?;
        if answer.has_remaining() { Err(unreadable()) } else { Ok(response) }
    }

    fn broken(&self, error: &std::io::Error) -> anyhow::Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!(
                "{} does not answer within {} s; is it running, and is this its Kafka listener?",
                self.address,
                ANSWER.as_secs()
            ),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                anyhow!("{} closed the connection; its log says why", self.address)
            }
            _ => anyhow!("the connection to {} failed: {error}", self.address),
        }
    }
}

/// Kafka's name of an API.
pub fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |key| format!("{key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A listener that answers the first request on each connection with `answer`, and hangs up.
    fn stranger(answer: &'static [u8]) -> (String, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        (address, thread)
    }

    fn refused(answer: &'static [u8]) -> String {
        let (address, thread) = stranger(answer);
        let refused = match Connection::open(&address) {
            Err(Unreachable::Stranger(error)) => error.to_string(),
            Err(Unreachable::Nobody) => panic!("somebody listens there"),
            Ok(_) => panic!("that is no broker"),
        };
        thread.join().unwrap();
        refused
    }

    #[test]
    fn what_is_no_broker_is_told_apart() {
        assert!(refused(b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("is it a Kafka broker?"));
        assert!(refused(&[0, 0, 0, 6, 0, 0, 0, 9, 0, 0]).contains("is it a Kafka broker?"), "another correlation id");
        assert!(refused(&[0, 0, 0, 100, 0, 0]).contains("closed the connection"));
        assert!(refused(&[]).contains("closed the connection"));
    }

    #[test]
    fn an_old_broker_is_understood_and_what_it_lacks_is_named() {
        // Version 0: error 35, then one API, Metadata in versions 0 to 5.
        let (address, thread) = stranger(&[0, 0, 0, 16, 0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 3, 0, 0, 0, 5]);
        let Ok(connection) = Connection::open(&address) else { panic!("it answers") };
        thread.join().unwrap();
        assert_eq!(connection.version::<kafka_protocol::messages::MetadataRequest>(&(4..=13)).unwrap(), 5);
        let refused = connection.version::<kafka_protocol::messages::MetadataRequest>(&(9..=13)).unwrap_err();
        assert!(refused.to_string().contains("Metadata in versions 0 to 5"), "{refused}");
        let refused = connection.version::<kafka_protocol::messages::ListGroupsRequest>(&(4..=5)).unwrap_err();
        assert!(refused.to_string().contains("does not serve ListGroups"), "{refused}");
    }
}
