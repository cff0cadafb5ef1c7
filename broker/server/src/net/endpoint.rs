//! What a listener is called, where it is bound, and what clients are told of it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The name of a listener that is given without one.
pub const PLAINTEXT: &str = "PLAINTEXT";

/// One of `listeners`, or the control listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, which `advertised.listeners` and `listener.security.protocol.map` refer to.
    pub name: String,
    /// Where it is bound. Port 0 takes a free one.
    pub address: SocketAddr,
    /// `advertised.listeners`: host and port that clients of this listener are told; without it, each client is told the
    /// address that it reached.
    pub advertised: Option<(String, u16)>,
}

impl From<SocketAddr> for Listener {
    fn from(address: SocketAddr) -> Self {
        Self { name: PLAINTEXT.to_owned(), address, advertised: None }
    }
}

/// A text that names no listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write NAME://HOST:PORT or HOST:PORT, with an address of this machine")]
pub struct NoListener;

impl FromStr for Listener {
    type Err = NoListener;

    /// Reads `NAME://HOST:PORT`, where `NAME://` and the host may be missing: no name is [`PLAINTEXT`], no host is every
    /// address of this machine. A host name is looked up; where it has addresses of both kinds, as `localhost` often has, the
    /// one of IPv4 is taken, as Kafka takes it.
    fn from_str(text: &str) -> Result<Self, NoListener> {
        let (name, address) = text.trim().split_once("://").unwrap_or((PLAINTEXT, text.trim()));
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(known) {
            return Err(NoListener);
        }
        let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
        let resolved = address.to_socket_addrs().map_err(|_| NoListener)?;
        let address = resolved.min_by_key(SocketAddr::is_ipv6).ok_or(NoListener)?;
        Ok(Self { name: name.to_ascii_uppercase(), address, advertised: None })
    }
}

/// What sockets are given. Names are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// `socket.receive.buffer.bytes`; nothing leaves it to the operating system, which then adapts it to each connection.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.send.buffer.bytes`; nothing leaves it to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// `socket.listen.backlog.size`: connections that may wait to be accepted.
    pub listen_backlog: u32,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { receive_buffer_bytes: None, send_buffer_bytes: None, listen_backlog: 1_024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_read_with_and_without_its_name_and_host() {
        let read = |text: &str| text.parse::<Listener>().map(|found| (found.name, found.address.to_string()));
        let named = |name: &str, address: &str| Ok((name.to_owned(), address.to_owned()));
        assert_eq!(read("127.0.0.1:0"), named("PLAINTEXT", "127.0.0.1:0"));
        assert_eq!(read("internal://[::1]:9093"), named("INTERNAL", "[::1]:9093"));
        assert_eq!(read(" OUT_1://:9092 "), named("OUT_1", "0.0.0.0:9092"));
        for wrong in ["", "://127.0.0.1:1", "A B://127.0.0.1:1", "127.0.0.1", "127.0.0.1:70000", "PLAINTEXT://"] {
            assert_eq!(read(wrong), Err(NoListener), "{wrong:?}");
        }
    }
}
