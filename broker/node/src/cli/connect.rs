//! Connections of the commands: librdkafka to the broker, HTTP to its admin address.

use anyhow::{anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use serde::de::DeserializeOwned;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use ureq::http::{Response, StatusCode};
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
    token: Option<String>,
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
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), token: None }
    }

    /// Shows this token with every request.
    #[must_use]
    pub fn with_token(mut self, token: Option<&str>) -> Self {
        self.token = token.filter(|token| !token.is_empty()).map(str::to_owned);
        self
    }

    /// GET.
    ///
    /// # Errors
    /// When nobody answers, or with what the broker says.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(self.authorized(self.agent.get(self.at(path))).call())
    }

    /// POST without a body.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(self.authorized(self.agent.post(self.at(path))).send_empty())
    }

    /// POST with a body of bytes.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> anyhow::Result<T> {
        self.answer(self.authorized(self.agent.post(self.at(path))).send(body))
    }

    /// PUT.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: impl ureq::AsSendBody) -> anyhow::Result<T> {
        self.put_with(path, &[], body)
    }

    /// PUT with headers of its own.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn put_with<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl ureq::AsSendBody,
    ) -> anyhow::Result<T> {
        let request = self.authorized(self.agent.put(self.at(path)));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.answer(request.send(body))
    }

    /// DELETE.
    ///
    /// # Errors
    /// As for [`AdminClient::get`].
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(self.authorized(self.agent.delete(self.at(path))).call())
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
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
            // An answer without a body is the JSON `null`.
            let text = if text.trim().is_empty() { "null" } else { &text };
            return serde_json::from_str(text)
                .map_err(|e| anyhow!("{} gave an answer that cannot be read ({e}); is it Pelton's?", self.url));
        }
        let said = serde_json::from_str::<serde_json::Value>(&text).ok();
        let reason = said.as_ref().and_then(|said| said["error"].as_str());
        match reason {
            _ if status == StatusCode::UNAUTHORIZED => {
                let what = if self.token.is_some() { "it refuses this token" } else { "it asks for a token" };
                bail!("{}: {what}; give the broker's `pelton.admin.token` in PELTON_ADMIN_TOKEN", self.url)
            }
            Some(reason) => bail!("{reason}"),
            None => bail!("{} answered {status}; is it Pelton's admin address?", self.url),
        }
    }
}
