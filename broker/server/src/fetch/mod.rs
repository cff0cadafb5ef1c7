//! Reading: what consumers are remembered by, and how records leave the files of their logs.
//!
//! [`session`] keeps fetch sessions, [`stored`] is where records lie, [`checked`] keeps damaged ones from their readers,
//! [`cold`] brings them into memory before they are sent. The handler of Fetch asks the partitions; `net::transmit` moves the bytes.
//!
//! Memory: records that leave from their file cost none. Records that go through `on-consume` hooks are read, and
//! admitted to the memory for answers before; so is what an answer says of the partitions of a session.

mod checked;
pub mod cold;
pub mod session;
mod stored;

pub use checked::check_all;
pub use stored::Stored;

use session::{Fetching, Finished, Limits, PartitionKey, SessionError, SessionRequest, Sessions, Told};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Partitions of all sessions together: some 200 MB.
const MAX_SESSION_PARTITIONS: usize = 1_000_000;

/// Settings of reading. Field names are Kafka's where Kafka has them.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// `fetch.max.bytes`: no answer to a fetch is larger, but for its first batch.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`: fetch sessions that are kept; 0 for none.
    pub session_slots: usize,
    /// `pelton.fetch.sendfile.enable`: whether records leave from their files; otherwise they are copied.
    pub sendfile: bool,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { fetch_max_bytes: 55 * 1024 * 1024, session_slots: 1_000, sendfile: true }
    }
}

/// What fetches share.
#[derive(Debug)]
pub struct FetchState {
    /// The settings.
    pub config: FetchConfig,
    /// Who brings cold records into memory.
    pub cold: cold::ColdReads,
    sessions: Mutex<Sessions>,
    started: Instant,
}

impl FetchState {
    /// Without any session yet.
    pub fn new(config: FetchConfig) -> Self {
        let limits = Limits { slots: config.session_slots, partitions: MAX_SESSION_PARTITIONS };
        Self {
            config,
            cold: cold::ColdReads::default(),
            sessions: Mutex::new(Sessions::new(limits)),
            started: Instant::now(),
        }
    }

    /// As [`Sessions::begin`], at this moment.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn begin(
        &self,
        request: SessionRequest,
        named: Vec<(PartitionKey, session::Asked)>,
        forgotten: &[PartitionKey],
    ) -> Result<Fetching, SessionError> {
        self.sessions().begin(self.now_ms(), request, named, forgotten)
    }

    /// As [`Sessions::finish`], at this moment.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn finish(&self, fetching: &Fetching, told: &[Told]) -> Result<Finished, SessionError> {
        let new_id = || uuid::Uuid::new_v4().as_u128() as i32;
        self.sessions().finish(self.now_ms(), fetching, told, new_id)
    }

    /// As [`Sessions::would_say`].
    pub fn would_say(&self, fetching: &Fetching, told: &[Told]) -> Vec<bool> {
        self.sessions().would_say(fetching, told)
    }

    /// As [`Sessions::finish_untold`].
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn finish_untold(&self, fetching: &Fetching) -> Result<i32, SessionError> {
        self.sessions().finish_untold(fetching)
    }

    /// Sessions that are kept, and their partitions together.
    pub fn session_counts(&self) -> (usize, usize) {
        let sessions = self.sessions();
        (sessions.len(), sessions.partitions())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Held for as long as a session is looked up, never while anybody waits.
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
