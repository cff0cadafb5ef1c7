//! The settings of connections: where to listen, what clients are told, and how many there may be.

use super::ConfigError;
use super::values::Values;
use pelton_server::net::{Listener, SocketConfig};
use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

/// The name of the control listener where it is given none.
const CONTROL: &str = "CONTROL";
/// Memory for requests where `queued.max.request.bytes` sets no limit: Kafka then has none, and ends when there is no more.
const REQUEST_MEMORY_BYTES: usize = 512 << 20;

/// A host and a port that clients are told, by the name of their listener.
type Advertised = BTreeMap<String, (String, u16)>;

impl Values<'_> {
    /// `listeners`, without those of Kafka's controllers, and what is advertised of them; and the control listener.
    pub(super) fn all_listeners(&self) -> Result<(Vec<Listener>, Option<Listener>), ConfigError> {
        const RIGHT: &str = "PLAINTEXT://HOST:PORT, and more of them parted by commas (this version has no TLS and no SASL \
                             listeners)";
        let controllers = names(self.text("controller.listener.names"));
        let mut found: Vec<Listener> = Vec::new();
        for text in self.text("listeners").split(',') {
            match text.parse::<Listener>() {
                // One node is a quorum of its own, and needs no port for that.
                Ok(listener) if controllers.contains(&listener.name) => {}
                Ok(listener) => found.push(self.plaintext("listeners", listener)?),
                Err(_) => return self.refuse("listeners", RIGHT),
            }
        }
        if found.is_empty() {
            return self.refuse("listeners", "at least one listener beside those of controller.listener.names");
        }
        let mut control = self.control_listener()?;
        let advertised = self.advertised(&controllers)?;
        for (name, (host, port)) in advertised {
            let mut named = found.iter_mut().chain(&mut control).filter(|listener| listener.name == name).peekable();
            if named.peek().is_none() {
                let right = format!("listeners of `listeners` alone; `{name}` is none of them");
                return self.refuse("advertised.listeners", &right);
            }
            named.for_each(|listener| listener.advertised = Some((host.clone(), port)));
        }
        Ok((found, control))
    }

    fn control_listener(&self) -> Result<Option<Listener>, ConfigError> {
        const KEY: &str = "pelton.control.listener";
        if !self.has(KEY) {
            return Ok(None);
        }
        let text = self.text(KEY);
        let text = if text.contains("://") { text.to_owned() } else { format!("{CONTROL}://{text}") };
        match text.parse::<Listener>() {
            Ok(listener) if listener.name == CONTROL => Ok(Some(listener)),
            Ok(listener) => self.plaintext(KEY, listener).map(Some),
            Err(_) => self.refuse(KEY, "an address with a port, such as 127.0.0.1:9094"),
        }
    }

    /// The listener, if its name stands for a protocol that there is: `listener.security.protocol.map`.
    fn plaintext(&self, key: &str, listener: Listener) -> Result<Listener, ConfigError> {
        const MAP: &str = "listener.security.protocol.map";
        let entries = self.text(MAP).split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut protocol = None;
        for entry in entries {
            match entry.split_once(':') {
                Some((name, of)) if name.trim().eq_ignore_ascii_case(&listener.name) => protocol = Some(of.trim()),
                Some(_) => {}
                None => return self.refuse(MAP, "NAME:PROTOCOL, and more of them parted by commas"),
            }
        }
        match protocol {
            Some(protocol) if protocol.eq_ignore_ascii_case("PLAINTEXT") => Ok(listener),
            Some(protocol) => {
                let right = format!(
                    "PLAINTEXT://HOST:PORT, and none of {protocol}, which `{}` stands for: this version has no TLS and no SASL",
                    listener.name
                );
                self.refuse(key, &right)
            }
            None => {
                let name = &listener.name;
                self.refuse(MAP, &format!("an entry `{name}:PLAINTEXT`, since `{key}` has a listener `{name}`"))
            }
        }
    }

    fn advertised(&self, controllers: &[String]) -> Result<Advertised, ConfigError> {
        const KEY: &str = "advertised.listeners";
        const RIGHT: &str =
            "PLAINTEXT://HOST:PORT, an address that clients can reach, and more of them parted by commas";
        let mut found = Advertised::new();
        for text in self.text(KEY).split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let (name, address) = text.split_once("://").unwrap_or((pelton_server::net::PLAINTEXT, text));
            let name = name.to_ascii_uppercase();
            if controllers.contains(&name) {
                continue;
            }
            let Some((host, port)) = address.rsplit_once(':') else { return self.refuse(KEY, RIGHT) };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            match port.parse() {
                Ok(port) if !host.is_empty() && host != "0.0.0.0" && host != "::" => {
                    found.insert(name, (host.to_owned(), port));
                }
                _ => return self.refuse(KEY, RIGHT),
            }
        }
        Ok(found)
    }

    /// What sockets are given.
    pub(super) fn sockets(&self) -> Result<SocketConfig, ConfigError> {
        Ok(SocketConfig {
            receive_buffer_bytes: self.buffer_bytes("socket.receive.buffer.bytes")?,
            send_buffer_bytes: self.buffer_bytes("socket.send.buffer.bytes")?,
            listen_backlog: self.number("socket.listen.backlog.size", 1..=i64::from(i32::MAX))? as u32,
        })
    }

    fn buffer_bytes(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        match self.number(key, -1..=i64::from(i32::MAX))? {
            -1 => Ok(None),
            0 => self.refuse(key, "a number of bytes, or -1, which leaves it to the operating system"),
            bytes => Ok(Some(bytes as u32)),
        }
    }

    /// `max.connections.per.ip.overrides`: `HOST:COUNT`, parted by commas. A host name stands for all of its addresses.
    pub(super) fn per_ip_overrides(&self) -> Result<BTreeMap<IpAddr, usize>, ConfigError> {
        const KEY: &str = "max.connections.per.ip.overrides";
        const RIGHT: &str = "HOST:COUNT, and more of them parted by commas, such as 10.0.0.7:100,localhost:200";
        let mut found = BTreeMap::new();
        for text in self.text(KEY).split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let Some((host, count)) = text.rsplit_once(':') else { return self.refuse(KEY, RIGHT) };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let (Ok(count), Ok(addresses)) = (count.trim().parse::<usize>(), (host, 0).to_socket_addrs()) else {
                return self.refuse(KEY, RIGHT);
            };
            found.extend(addresses.map(|address| (address.ip().to_canonical(), count)));
        }
        Ok(found)
    }

    /// `queued.max.request.bytes`.
    pub(super) fn request_memory_bytes(&self) -> Result<usize, ConfigError> {
        const KEY: &str = "queued.max.request.bytes";
        let largest = self.number("socket.request.max.bytes", 1_024..=i64::from(i32::MAX))?;
        match self.number(KEY, -1..=i64::MAX)? {
            -1 => Ok(REQUEST_MEMORY_BYTES),
            bytes if bytes >= largest => Ok(bytes as usize),
            _ => self.refuse(KEY, "-1 (512 MiB), or at least socket.request.max.bytes"),
        }
    }
}

fn names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_ascii_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, refusal};
    use super::*;

    #[test]
    fn several_listeners_have_names_and_what_is_advertised_of_each() {
        let (config, _) = build(
            "listeners=PLAINTEXT://127.0.0.1:9092,INTERNAL://127.0.0.1:9093,CONTROLLER://127.0.0.1:9099\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\npelton.control.listener=127.0.0.1:9094\n\
             advertised.listeners=INTERNAL://inside:19093,PLAINTEXT://outside.example:9092,CONTROL://ops:1\n",
        )
        .unwrap();
        let told = |listener: &Listener| (listener.name.clone(), listener.address.port(), listener.advertised.clone());
        let all: Vec<_> = config.listeners.iter().map(told).collect();
        let advertised = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(
            all,
            [
                ("PLAINTEXT".to_owned(), 9092, advertised("outside.example", 9092)),
                ("INTERNAL".to_owned(), 9093, advertised("inside", 19093)),
            ]
        );
        let control = config.control_listener.as_ref().map(told);
        assert_eq!(control, Some(("CONTROL".to_owned(), 9094, advertised("ops", 1))));
    }

    #[test]
    fn listeners_that_cannot_be_are_refused_by_name() {
        for (text, named) in [
            ("listeners=SSL://127.0.0.1:9092", "`SSL`"),
            ("listeners=INSIDE://127.0.0.1:9092", "`INSIDE:PLAINTEXT`"),
            ("listeners=A://127.0.0.1:1\nlistener.security.protocol.map=A:SASL_SSL", "SASL_SSL"),
            ("listeners=A://127.0.0.1:1\nlistener.security.protocol.map=A", "NAME:PROTOCOL"),
            ("listeners=CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER", "at least one"),
            ("advertised.listeners=OTHER://example.org:1", "`OTHER`"),
            ("advertised.listeners=PLAINTEXT://0.0.0.0:1", "clients can reach"),
            ("pelton.control.listener=9094", "pelton.control.listener"),
            ("pelton.control.listener=SSL://127.0.0.1:9094", "SSL"),
        ] {
            let refused = refusal(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }

    #[test]
    fn limits_and_sockets_are_read() {
        let (config, _) = build(
            "max.connections=7\nmax.connections.per.ip=5\nmax.connections.per.ip.overrides=10.0.0.7:2, [::1]:3\n\
             socket.receive.buffer.bytes=65536\nsocket.listen.backlog.size=50\nqueued.max.request.bytes=209715200\n",
        )
        .unwrap();
        assert_eq!((config.max_connections, config.max_connections_per_ip), (7, 5));
        let overrides = BTreeMap::from([("10.0.0.7".parse().unwrap(), 2), ("::1".parse().unwrap(), 3)]);
        assert_eq!(config.max_connections_per_ip_overrides, overrides);
        let sockets = SocketConfig { receive_buffer_bytes: Some(65_536), send_buffer_bytes: None, listen_backlog: 50 };
        assert_eq!((config.sockets, config.request_memory_bytes), (sockets, 209_715_200));
        let (config, _) = build("queued.max.request.bytes=-1").unwrap();
        assert_eq!(config.request_memory_bytes, 512 << 20);
        for (text, named) in [
            ("queued.max.request.bytes=1000", "socket.request.max.bytes"),
            ("socket.send.buffer.bytes=0", "-1"),
            ("max.connections.per.ip.overrides=10.0.0.7", "HOST:COUNT"),
            ("max.connections.per.ip.overrides=10.0.0.7:many", "HOST:COUNT"),
        ] {
            let refused = refusal(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
