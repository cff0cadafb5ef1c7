//! What clients may use up: what each request is charged with, and for how long its client is then to be throttled.
//!
//! What it does: it names what Kafka's quotas count ([`Charge`]; KIP-13, KIP-124, KIP-599), whom they count it for
//! ([`QuotaClient`]), and asks [`ClientQuotas`]. What it does not do: it keeps no quotas and no rates. Without any
//! ([`Unlimited`]) nothing is charged, no time is taken and nobody is throttled, as on a Kafka broker without quotas.
//!
//! What is charged, in Kafka's order:
//!
//! - Produce: the bytes of its body, and then its time. With `acks=0` the time is free, and the bytes are not.
//! - Fetch: its time, and then the bytes of its answer. Where either throttles, the answer is empty and its bytes are taken back.
//! - CreateTopics, CreatePartitions, DeleteTopics: the partitions that they make or delete, and then their time. Versions that
//!   know THROTTLING_QUOTA_EXCEEDED are strict: what is over the quota is refused. Older ones are charged afterwards.
//! - Metadata: the partitions of the topics that it makes; one that is over the quota is not made, and is not there.
//! - Everything else, whether it succeeds or not: its time, which is that of the threads that decode it and carry it through its
//!   handler; what other threads do for it meanwhile is not counted.
//! - Free are what brokers ask of each other (WriteTxnMarkers and fetches of followers, if the client may do what brokers may),
//!   and what cannot be read.
//!
//! The longest throttle time of a request is told in its answer, where its version has a field for it, and counted from the
//! moment that it is known: the answer leaves at once, and no further request of the connection is begun before the time is
//! over (KIP-219), whatever the version of the client. Requests that it had sent ahead and that had begun, and one that was on
//! its way in, are finished and charged; Kafka, which begins one at a time, has none of these.

use std::fmt::Debug;
use std::time::Duration;

/// Whom something is charged to: what Kafka's quotas are set for (`user`, `client-id`), and where the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaClient<'a> {
    /// `User:name`.
    pub principal: &'a str,
    /// From the request header; empty when there is none.
    pub client_id: &'a str,
    /// Where the client connects from, in Kafka's notation: `/127.0.0.1`.
    pub client_host: &'a str,
}

/// What is charged, by the names of Kafka's quotas (`ClientQuotaType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// `producer_byte_rate`: bytes of a Produce request, without its header.
    Produce(usize),
    /// `consumer_byte_rate`: bytes of the answer to a Fetch with its length, without its header.
    Fetch(usize),
    /// `request_percentage`: time that the broker's threads spent on a request.
    Request(Duration),
    /// `controller_mutation_rate`: partitions that are made or deleted.
    ControllerMutation(u32),
}

/// Whoever knows the quotas, and keeps the rates (`ClientQuotaCallback` and the quota managers around it). Asked on the
/// threads of the network, so it must not wait. A connection that is throttled keeps its place among those that there may be,
/// even when its client has gone: no time may be longer than the window that rates are kept for.
pub trait ClientQuotas: Debug + Send + Sync {
    /// Whether anybody has a quota. While nobody has, nothing else is asked.
    fn enforced(&self) -> bool;

    /// Charges a client, and says for how long it is to be throttled; not at all with [`Duration::ZERO`].
    fn record(&self, client: QuotaClient<'_>, charge: Charge) -> Duration;

    /// Takes back what was charged for an answer that is not given.
    fn unrecord(&self, client: QuotaClient<'_>, charge: Charge);

    /// Charges a client for partitions that it wants made or deleted, if its quota is not exceeded yet.
    ///
    /// # Errors
    /// The quota is exceeded: nothing is charged, and the client is to be throttled for so long.
    fn record_strictly(&self, client: QuotaClient<'_>, partitions: u32) -> Result<(), Duration>;

    /// The most bytes that a client can fetch without being throttled for it, when it has fetched nothing of late. A fetch reads
    /// no more, so that it is not answered without records for ever. Its first batch it reads whole: one that is larger is never given.
    fn max_fetch_bytes(&self, client: QuotaClient<'_>) -> usize;
}

/// No quotas: nobody is charged or throttled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl ClientQuotas for Unlimited {
    fn enforced(&self) -> bool {
        false
    }

    fn record(&self, _: QuotaClient<'_>, _: Charge) -> Duration {
        Duration::ZERO
    }

    fn unrecord(&self, _: QuotaClient<'_>, _: Charge) {}

    fn record_strictly(&self, _: QuotaClient<'_>, _: u32) -> Result<(), Duration> {
        Ok(())
    }

    fn max_fetch_bytes(&self, _: QuotaClient<'_>) -> usize {
        usize::MAX
    }
}
