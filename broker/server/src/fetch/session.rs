//! Fetch sessions (KIP-227): what a consumer has named once it need not name again, and what has not changed since is
//! not said again. A pure machine: the time and new ids are given to it.
//!
//! A session is begun by a full fetch with epoch 0, and goes on with epochs 1, 2, 3 (after the largest number, 1
//! again). Each fetch of it names only the partitions whose offsets or limits changed and those to forget; each
//! answer holds only the partitions with records, with an error, or with another high watermark or log start than
//! were told before. Partitions with records go to the end of the session's row, so that the others are read first.
//!
//! Bounds: [`Limits`]. When all slots are taken, a new session replaces the one that was not used for longest, if
//! that is longer than [`EVICTION_MS`], or else the smallest one that is older than that, if it is smaller than the new
//! one; as in Kafka. Otherwise the fetch is answered without a session, which tells the client to name everything.
//!
//! Invariant: the sets by which sessions are found and evicted say the same as the sessions themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a session is safe from those that would replace it, and how long an unused one is kept from any.
pub const EVICTION_MS: u64 = 120_000;
/// Epoch of a full fetch that wants a session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a full fetch that wants none.
const FINAL_EPOCH: i32 = -1;
/// Id of no session.
pub const NO_SESSION: i32 = 0;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `max.incremental.fetch.session.cache.slots`.
    pub slots: usize,
    /// Partitions of all sessions together.
    pub partitions: usize,
}

/// A topic as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    /// By name, up to v12.
    Name(Arc<str>),
    /// By id, from v13 on.
    Id(u128),
}

/// A partition as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey {
    /// Its topic.
    pub topic: TopicKey,
    /// Its index.
    pub partition: i32,
}

/// What is asked of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// First offset wanted.
    pub offset: i64,
    /// The reader's view of the leader epoch, -1 for none.
    pub leader_epoch: i32,
    /// At most so many bytes.
    pub max_bytes: i32,
}

/// What is answered of a partition, as far as it decides whether it must be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// High watermark, -1 where it is not known.
    pub high_watermark: i64,
    /// Log start offset, -1 where it is not known.
    pub log_start: i64,
    /// Whether the answer is an error.
    pub failed: bool,
    /// Whether it has records.
    pub records: bool,
}

/// The part of a fetch that speaks of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRequest {
    /// The session's id.
    pub id: i32,
    /// The epoch.
    pub epoch: i32,
    /// Whether topics are named by id.
    pub by_id: bool,
    /// Whether a follower asks, whose sessions consumers do not displace.
    pub privileged: bool,
}

/// Why a fetch of a session is refused. The client begins anew with a full fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND: it was evicted, closed, or never was.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH: a fetch was lost or overtaken.
    InvalidEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: the client changed from names to ids, or back.
    TopicIds,
}

/// One fetch, between [`Sessions::begin`] and [`Sessions::finish`].
#[derive(Debug)]
pub struct Fetching {
    /// What is to be read, in this order.
    pub partitions: Vec<(PartitionKey, Asked)>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Nothing is remembered.
    Sessionless,
    /// A session is to be begun.
    Full { by_id: bool, privileged: bool },
    /// A session goes on; it must stand at this epoch when the answer is made.
    Incremental { id: i32, epoch: i32 },
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    /// The session's id, [`NO_SESSION`] for none.
    pub session_id: i32,
    /// Of each partition of [`Fetching::partitions`], whether it must be said.
    pub said: Vec<bool>,
}

/// A partition that a session remembers.
#[derive(Debug)]
struct Cached {
    asked: Asked,
    high_watermark: i64,
    log_start: i64,
    /// Its place in the row.
    place: u64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    privileged: bool,
    created_ms: u64,
    used_ms: u64,
    partitions: BTreeMap<PartitionKey, Cached>,
    /// The row of the partitions.
    row: BTreeMap<u64, PartitionKey>,
    places: u64,
    /// Under what the session stands in the sets of those that may be evicted.
    evictable: Option<Worth>,
    /// Partitions when it was last counted.
    counted: usize,
}

/// What a session is worth; the least is evicted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    privileged: bool,
    partitions: usize,
    id: i32,
}

/// All fetch sessions of a broker.
#[derive(Debug)]
pub struct Sessions {
    limits: Limits,
    sessions: BTreeMap<i32, Session>,
    by_use: BTreeSet<(u64, i32)>,
    /// Those that a consumer's session may replace.
    evictable_by_all: BTreeSet<Worth>,
    /// Those that a follower's session may replace.
    evictable_by_privileged: BTreeSet<Worth>,
    partitions: usize,
}

impl Sessions {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            sessions: BTreeMap::new(),
            by_use: BTreeSet::new(),
            evictable_by_all: BTreeSet::new(),
            evictable_by_privileged: BTreeSet::new(),
            partitions: 0,
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Partitions of all sessions together.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Takes a fetch: says what it wants read.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn begin(
        &mut self,
        now_ms: u64,
        request: SessionRequest,
        named: Vec<(PartitionKey, Asked)>,
        forgotten: &[PartitionKey],
    ) -> Result<Fetching, SessionError> {
        let SessionRequest { id, epoch, by_id, privileged } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            self.remove(id);
            let kind = if epoch == FINAL_EPOCH { Kind::Sessionless } else { Kind::Full { by_id, privileged } };
            return Ok(Fetching { partitions: named, kind });
        }
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.by_id != by_id {
            return Err(SessionError::TopicIds);
        }
        for (key, asked) in &named {
            session.name(key, *asked);
        }
        for key in forgotten {
            session.forget(key);
        }
        if session.partitions.is_empty() {
            self.remove(id);
            return Ok(Fetching { partitions: named, kind: Kind::Sessionless });
        }
        let others = self.partitions - session.counted;
        if others + session.partitions.len() > self.limits.partitions {
            self.remove(id);
            return Err(SessionError::NotFound);
        }
        session.epoch = next_epoch(session.epoch);
        let epoch = session.epoch;
        let partitions = session.row.values().map(|key| (key.clone(), session.partitions[key].asked)).collect();
        self.touch(id, now_ms);
        Ok(Fetching { partitions, kind: Kind::Incremental { id, epoch } })
    }

    /// Makes the answer to a fetch out of what was read, in the order of its partitions. `new_id` gives ids that are
    /// hard to guess; it is asked again while one is taken.
    ///
    /// # Errors
    /// [`SessionError::InvalidEpoch`] when the session went on, or ended, while this fetch was answered.
    pub fn finish(
        &mut self,
        now_ms: u64,
        fetching: &Fetching,
        told: &[Told],
        new_id: impl FnMut() -> i32,
    ) -> Result<Finished, SessionError> {
        let all = vec![true; told.len()];
        let session_id = match fetching.kind {
            Kind::Sessionless => NO_SESSION,
            Kind::Full { by_id, privileged } => self.create(now_ms, by_id, privileged, fetching, told, new_id),
            Kind::Incremental { id, epoch } => {
                let session = self.sessions.get_mut(&id).filter(|session| session.epoch == epoch);
                let session = session.ok_or(SessionError::InvalidEpoch)?;
                let pairs = fetching.partitions.iter().zip(told);
                let said = pairs.map(|((key, _), told)| session.tell(key, told)).collect();
                return Ok(Finished { session_id: id, said });
            }
        };
        Ok(Finished { session_id, said: all })
    }

    /// Of each partition of a fetch, whether its answer would have to say it. Changes nothing.
    pub fn would_say(&self, fetching: &Fetching, told: &[Told]) -> Vec<bool> {
        let session = match fetching.kind {
            Kind::Incremental { id, .. } => self.sessions.get(&id),
            Kind::Sessionless | Kind::Full { .. } => None,
        };
        let pairs = fetching.partitions.iter().zip(told);
        let cached = |key: &PartitionKey| session.and_then(|session| session.partitions.get(key));
        pairs.map(|((key, _), told)| cached(key).is_none_or(|cached| cached.is_news(told))).collect()
    }

    /// The session of a fetch that is answered with nothing, and whose client is none the wiser: [`NO_SESSION`] where it had none
    /// yet.
    ///
    /// # Errors
    /// As for [`Sessions::finish`].
    pub fn finish_untold(&self, fetching: &Fetching) -> Result<i32, SessionError> {
        let Kind::Incremental { id, epoch } = fetching.kind else { return Ok(NO_SESSION) };
        let session = self.sessions.get(&id).filter(|session| session.epoch == epoch);
        session.map(|_| id).ok_or(SessionError::InvalidEpoch)
    }

    /// Begins a session, if there is room for it.
    fn create(
        &mut self,
        now_ms: u64,
        by_id: bool,
        privileged: bool,
        fetching: &Fetching,
        told: &[Told],
        mut new_id: impl FnMut() -> i32,
    ) -> i32 {
        let size = fetching.partitions.len();
        let fits = |sessions: &Self| sessions.partitions + size <= sessions.limits.partitions;
        if size == 0 || self.limits.slots == 0 || !fits(self) {
            return NO_SESSION;
        }
        if self.sessions.len() >= self.limits.slots && !self.evict(now_ms, privileged, size) {
            return NO_SESSION;
        }
        let id = loop {
            let id = new_id() & i32::MAX;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_id,
            privileged,
            created_ms: now_ms,
            used_ms: now_ms,
            partitions: BTreeMap::new(),
            row: BTreeMap::new(),
            places: 0,
            evictable: None,
            counted: 0,
        };
        for ((key, asked), told) in fetching.partitions.iter().zip(told) {
            session.name(key, *asked);
            session.remember(key, told);
        }
        self.sessions.insert(id, session);
        self.touch(id, now_ms);
        id
    }

    /// Makes room for a session of `size` partitions; says whether it could.
    fn evict(&mut self, now_ms: u64, privileged: bool, size: usize) -> bool {
        let Some(&(used_ms, oldest)) = self.by_use.first() else { return false };
        if now_ms.saturating_sub(used_ms) > EVICTION_MS {
            self.remove(oldest);
            return true;
        }
        let evictable = if privileged { &self.evictable_by_privileged } else { &self.evictable_by_all };
        match evictable.first().copied() {
            // As Kafka compares: id 0 stands for the new one, so that of equals the old one stays.
            Some(least) if (Worth { privileged, partitions: size, id: NO_SESSION }) > least => {
                self.remove(least.id);
                true
            }
            _ => false,
        }
    }

    /// Notes that a session is used now, and counts it anew.
    fn touch(&mut self, id: i32, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.by_use.remove(&(session.used_ms, id));
        session.used_ms = now_ms;
        self.by_use.insert((now_ms, id));
        self.partitions = self.partitions - session.counted + session.partitions.len();
        session.counted = session.partitions.len();
        if let Some(worth) = session.evictable.take() {
            self.evictable_by_all.remove(&worth);
            self.evictable_by_privileged.remove(&worth);
        }
        let worth = Worth { privileged: session.privileged, partitions: session.counted, id };
        let settled = now_ms.saturating_sub(session.created_ms) > EVICTION_MS;
        if settled {
            self.evictable_by_all.insert(worth);
        }
        if settled || !session.privileged {
            self.evictable_by_privileged.insert(worth);
        }
        session.evictable = Some(worth);
    }

    fn remove(&mut self, id: i32) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_use.remove(&(session.used_ms, id));
        self.partitions -= session.counted;
        if let Some(worth) = session.evictable {
            self.evictable_by_all.remove(&worth);
            self.evictable_by_privileged.remove(&worth);
        }
    }

    /// Checks the invariant in the head of this file.
    #[cfg(test)]
    fn check(&self) {
        assert!(self.sessions.len() <= self.limits.slots);
        assert!(self.partitions <= self.limits.partitions);
        assert_eq!(self.partitions, self.sessions.values().map(|session| session.partitions.len()).sum::<usize>());
        let by_use: BTreeSet<_> = self.sessions.iter().map(|(id, session)| (session.used_ms, *id)).collect();
        assert_eq!(self.by_use, by_use);
        for worth in self.evictable_by_all.iter().chain(&self.evictable_by_privileged) {
            assert_eq!(self.sessions[&worth.id].evictable, Some(*worth));
        }
        for session in self.sessions.values() {
            let row: BTreeMap<_, _> =
                session.partitions.iter().map(|(key, cached)| (cached.place, key.clone())).collect();
            assert_eq!(session.row, row);
        }
    }
}

impl Cached {
    /// Whether the client does not know that yet.
    fn is_news(&self, told: &Told) -> bool {
        told.records || told.failed || self.high_watermark != told.high_watermark || self.log_start != told.log_start
    }
}

impl Session {
    /// Notes what is asked of a partition from now on; a new one goes to the end of the row.
    fn name(&mut self, key: &PartitionKey, asked: Asked) {
        if let Some(cached) = self.partitions.get_mut(key) {
            cached.asked = asked;
            return;
        }
        let place = self.places;
        self.places += 1;
        self.row.insert(place, key.clone());
        self.partitions.insert(key.clone(), Cached { asked, high_watermark: -1, log_start: -1, place });
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(cached) = self.partitions.remove(key) {
            self.row.remove(&cached.place);
        }
    }

    /// Notes what the client knows now; says whether that is news.
    fn remember(&mut self, key: &PartitionKey, told: &Told) -> bool {
        let Some(cached) = self.partitions.get_mut(key) else { return true };
        let news = cached.is_news(told);
        cached.log_start = told.log_start;
        // When the error goes away, that is news.
        cached.high_watermark = if told.failed { -1 } else { told.high_watermark };
        news
    }

    /// As [`Session::remember`], for an answer of the session: who gets records goes to the end of the row.
    fn tell(&mut self, key: &PartitionKey, told: &Told) -> bool {
        let news = self.remember(key, told);
        if told.records
            && let Some(cached) = self.partitions.get_mut(key)
        {
            self.row.remove(&cached.place);
            cached.place = self.places;
            self.places += 1;
            self.row.insert(cached.place, key.clone());
        }
        news
    }
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        FINAL_EPOCH => FINAL_EPOCH,
        i32::MAX => 1,
        epoch => epoch.wrapping_add(1).max(1),
    }
}

#[cfg(test)]
mod tests;
