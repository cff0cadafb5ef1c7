//! What one request is charged with on its way through its handler, and what comes of it. [`crate::quota`] says what is charged
//! and why; here it is measured, asked of whoever knows the quotas, told in the answer and carried out on the connection.
//!
//! Where no quotas are enforced there is nothing behind a [`Charging`]: each of its steps is a branch.

use super::scope::ANONYMOUS;
use super::{ConnectionFacts, Outcome};
use crate::protocol::answer_fields;
use crate::protocol::codec::Malformed;
use crate::protocol::error_code::{Operation, code};
use crate::quota::{Charge, QuotaClient};
use crate::server::Server;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use pelton_core::event::TopicRefusal;
use pelton_core::model::TopicId;
use pelton_core::refusal::Refusal;
use std::any::Any;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a request is charged with, if clients are charged at all.
#[derive(Clone, Default)]
pub struct Charging(Option<Arc<Account>>);

struct Account {
    server: Arc<Server>,
    connection: Arc<ConnectionFacts>,
    client_id: Arc<str>,
    /// How long it took to decode the request.
    decoding: Duration,
    /// Whether its time is not charged.
    time_is_free: AtomicBool,
    /// The longest time for which its client is to be throttled.
    throttle_ns: AtomicU64,
}

impl Account {
    fn client(&self) -> QuotaClient<'_> {
        QuotaClient { principal: &ANONYMOUS, client_id: &self.client_id, client_host: &self.connection.client_host }
    }

    fn throttle(&self, time: Duration) {
        self.throttle_ns.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Charging {
    /// Of a request that took so long to decode.
    pub fn of(
        server: &Arc<Server>,
        connection: &Arc<ConnectionFacts>,
        client_id: &Arc<str>,
        decoding: Duration,
    ) -> Self {
        Self(Some(Arc::new(Account {
            server: server.clone(),
            connection: connection.clone(),
            client_id: client_id.clone(),
            decoding,
            time_is_free: AtomicBool::new(false),
            throttle_ns: AtomicU64::new(0),
        })))
    }

    /// Whether anything is charged at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Charges the client, and notes for how long it is to be throttled.
    pub fn charge(&self, charge: Charge) {
        let Some(account) = &self.0 else { return };
        account.throttle(account.server.quotas.record(account.client(), charge));
    }

    /// Takes back what was charged for an answer that is not given.
    pub fn take_back(&self, charge: Charge) {
        let Some(account) = &self.0 else { return };
        account.server.quotas.unrecord(account.client(), charge);
    }

    /// Charges for partitions that are about to be made or deleted; `strictly`: only if they may be.
    ///
    /// # Errors
    /// [`Denied::QuotaExceeded`], strictly.
    pub fn mutate(&self, partitions: i32, strictly: bool) -> Result<(), Denied> {
        let Some(account) = &self.0 else { return Ok(()) };
        let partitions = u32::try_from(partitions).unwrap_or(0);
        if !strictly {
            self.charge(Charge::ControllerMutation(partitions));
            return Ok(());
        }
        account.server.quotas.record_strictly(account.client(), partitions).map_err(|time| {
            account.throttle(time);
            Denied::QuotaExceeded
        })
    }

    /// Charges for those topics that could be made or enlarged, one after the other, and denies those that are over the
    /// quota. `could` has a result for each that was not denied before; `partitions` says how many it would get.
    pub fn mutate_each<T>(
        &self,
        topics: &mut [Result<T, Denied>],
        could: Vec<TopicRefusal>,
        partitions: impl Fn(&T) -> i32,
        strictly: bool,
    ) {
        for (topic, (_, could)) in topics.iter_mut().filter(|topic| topic.is_ok()).zip(could) {
            if let (Ok(wanted), Ok(_)) = (&*topic, could)
                && let Err(denied) = self.mutate(partitions(wanted), strictly)
            {
                *topic = Err(denied);
            }
        }
    }

    /// The time of this request is not charged.
    pub fn spare_time(&self) {
        if let Some(account) = &self.0 {
            account.time_is_free.store(true, Ordering::Relaxed);
        }
    }

    /// Charges for the time that threads spent on the request, beside what it took to decode.
    pub fn charge_time(&self, spent: Duration) {
        let Some(account) = &self.0 else { return };
        if !account.time_is_free.load(Ordering::Relaxed) {
            self.charge(Charge::Request(account.decoding + spent));
        }
    }

    /// Whether the client is going to be throttled for what was charged so far.
    pub fn is_throttled(&self) -> bool {
        self.0.as_ref().is_some_and(|account| account.throttle_ns.load(Ordering::Relaxed) > 0)
    }

    /// The most bytes that a fetch of this client may read.
    pub fn max_fetch_bytes(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |account| account.server.quotas.max_fetch_bytes(account.client()))
    }

    /// What the future gives, and for how long threads carried it on, if anything is charged. It is not taken by value, so that it
    /// lies in memory once.
    pub async fn timed<F: Future + Unpin>(&self, mut future: F) -> (F::Output, Duration) {
        let mut spent = Duration::ZERO;
        let output = std::future::poll_fn(|context| {
            if !self.is_on() {
                return Pin::new(&mut future).poll(context);
            }
            let begun = Instant::now();
            let polled = Pin::new(&mut future).poll(context);
            spent += begun.elapsed();
            polled
        });
        let output = output.await;
        (output, spent)
    }

    /// The end of a request: mutes its connection for as long as its client is throttled, and says for how many milliseconds
    /// that is, as its answer has to.
    pub fn settle(&self, key: ApiKey) -> i32 {
        let Some(account) = &self.0 else { return 0 };
        let ns = account.throttle_ns.load(Ordering::Relaxed);
        if ns == 0 {
            return 0;
        }
        let throttle_time_ms = i32::try_from(ns.div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let time = Duration::from_millis(throttle_time_ms.unsigned_abs().into());
        account.connection.mute.extend(time);
        account.server.metrics.throttled(key as i16, time);
        throttle_time_ms
    }

    /// What a handler comes to, charged for its time, with the throttle time in its answer.
    pub(super) async fn settled<F>(
        &self,
        key: ApiKey,
        answering: F,
    ) -> Result<Option<<F::Output as Outcome>::Response>, Malformed>
    where
        F: Future<Output: Outcome> + Unpin,
    {
        let (outcome, spent) = self.timed(answering).await;
        let mut response = outcome.response()?;
        self.charge_time(spent);
        let throttle_time_ms = self.settle(key);
        if throttle_time_ms > 0
            && let Some(response) = &mut response
        {
            answer_fields::set_throttle_time(key, response as &mut dyn Any, throttle_time_ms);
        }
        Ok(response)
    }
}

/// Why a topic is not made, enlarged or deleted.
#[derive(Debug, Clone)]
pub enum Denied {
    /// The broker refuses.
    Refused(Refusal),
    /// The client has made and deleted too many partitions of late.
    QuotaExceeded,
}

impl Denied {
    /// Kafka's code for it.
    pub fn code(&self) -> i16 {
        match self {
            Self::Refused(refusal) => code(Operation::Admin, refusal),
            Self::QuotaExceeded => ResponseError::ThrottlingQuotaExceeded.code(),
        }
    }
}

/// What the next of the topics came to, of which each that was not denied has a result.
///
/// # Errors
/// Its refusal, or that of all of them.
pub fn next_result(results: &mut Result<std::vec::IntoIter<TopicRefusal>, Refusal>) -> Result<TopicId, Denied> {
    match results {
        Ok(results) => Ok(results.next().ok_or(Refusal::RequestTimedOut)?.1?),
        Err(refusal) => Err(refusal.clone().into()),
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Display for Denied {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(to),
            Self::QuotaExceeded => to.write_str(
                "this client has made and deleted more partitions than its controller_mutation_rate allows; \
                 try again after the throttle time of this answer",
            ),
        }
    }
}
