//! Connections of the commands: librdkafka to the broker, HTTP to its admin address.

use anyhow::{anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use serde::de::DeserializeOwned;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// How long a command waits for the broker's answer.
pub const ANSWER: Duration = Duration::from_secs(30);

/// How long a command waits for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A client's configuration, after it was seen that somebody answers at `bootstrap`: librdkafka itself goes on
/// trying for ever, in silence.
///
/// # Errors
/// When nobody answers.
pub fn kafka(bootstrap: &str) -> anyhow::Result<ClientConfig> {
    let reachable = bootstrap.split(',').map(str::trim).any(|address| {
        let resolved = address.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        resolved.iter().any(|address| TcpStream::connect_timeout(address, CONNECT).is_ok())
    });
    if !reachable {
        bail!("no broker answers at {bootstrap}; is `pelton serve` running?");
    }
    Ok(unchecked(bootstrap))
}

/// A client's configuration, without asking whether anybody answers.
pub fn unchecked(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "pelton-cli")
        .set("broker.address.family", "any")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "500");
    config
}

/// What to tell of a failed request.
pub fn refused(what: &str, error: &KafkaError) -> anyhow::Error {
    match error.rdkafka_error_code() {
        Some(code) => anyhow!("{what}: {code}"),
        None => anyhow!("{what}: {error}"),
    }
}

/// The admin HTTP of a broker.
pub struct AdminClient {
    agent: Agent,
    url: String,
}

impl AdminClient {
    /// Speaks to `url`.
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(Duration::from_secs(300)))
            .build();
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned() }
    }

    /// GET.
    ///
    /// # Errors
    /// When nobody answers, or with what the broker says.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// POST without a body.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(self.agent.post(format!("{}{path}", self.url)).send_empty())
    }

    /// PUT.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: impl ureq::AsSendBody) -> anyhow::Result<T> {
        self.answer(self.agent.put(format!("{}{path}", self.url)).send(body))
    }

    fn answer<T: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> anyhow::Result<T> {
        let mut response = match answer {
            Ok(response) => response,
            Err(
                ureq::Error::Io(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::HostNotFound
                | ureq::Error::Timeout(_),
            ) => {
                bail!("no broker answers at {}; is `pelton serve` running?", self.url)
            }
            Err(error) => bail!("the request to {} failed: {error}", self.url),
        };
        let status = response.status();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .map_err(|e| anyhow!("{} gave an answer that cannot be read ({e}); is it Pelton's?", self.url));
        }
        let said = serde_json::from_str::<serde_json::Value>(&text).ok();
        match said.as_ref().and_then(|said| said["error"].as_str()) {
            Some(reason) => bail!("{reason}"),
            None => bail!("{} answered {status}; is it Pelton's admin address?", self.url),
        }
    }
}
