//! The memory that requests are admitted to before they are read (`queued.max.request.bytes`), and what becomes of
//! connections that hold some of it and do not move while others wait.
//!
//! There are four budgets, so that requests of one class never wait for the memory of another ([`Class`]). Fetches have one of
//! their own, since they may wait long: otherwise the records that would end the wait could find no room. Members of
//! a group that wait for each other hold none meanwhile. Back-pressure is a wait: a request that
//! finds no room stays in the socket, and what its client sends next stays with the client.
//!
//! A client that announces a large request and sends it byte by byte, or that does not read its answers, holds memory all
//! the while. That harms nobody as long as there is enough. Where somebody has waited for [`PATIENCE`], each
//! connection that holds memory and whose client must move is watched: one that moved less than [`WINDOW_BYTES`] in
//! [`WINDOW`] is closed ([`watch`]). So the memory comes free, and a slow client is slow at its own expense.
//!
//! Invariant: a connection that waits for the broker is never closed by this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Bytes of one permit.
pub const PERMIT_BYTES: usize = 1024;
/// How long a request waits for memory before slow clients are looked for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a client is looked at.
const WINDOW: Duration = Duration::from_secs(2);
/// What a client has to send or to take in that time: 64 KiB in a second.
const WINDOW_BYTES: u64 = 128 << 10;

/// Which budget a request is admitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Produce: half of the memory.
    Produce,
    /// Fetch, which may wait long for what others produce: a quarter.
    Fetch,
    /// Everything else: three sixteenths.
    Other,
    /// Everything that comes in by the control listener: a sixteenth.
    Control,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Produce, Self::Fetch, Self::Other, Self::Control];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::Other => "other",
            Self::Control => "control",
        }
    }

    /// Its share of the memory, in sixteenths.
    fn sixteenths(self) -> usize {
        match self {
            Self::Produce => 8,
            Self::Fetch => 4,
            Self::Other => 3,
            Self::Control => 1,
        }
    }
}

/// How much of a budget is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Which budget.
    pub class: Class,
    /// What there is.
    pub limit_bytes: u64,
    /// What requests hold.
    pub used_bytes: u64,
    /// Requests that wait.
    pub waiting: usize,
}

#[derive(Debug)]
struct Budget {
    permits: Arc<Semaphore>,
    limit: usize,
    waiting: AtomicUsize,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        let limit = (bytes / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { permits: Arc::new(Semaphore::new(limit)), limit, waiting: AtomicUsize::new(0) }
    }
}

/// The budgets.
#[derive(Debug)]
pub struct RequestMemory {
    budgets: [Budget; 4],
    /// Requests that have waited for longer than [`PATIENCE`].
    crowd: watch::Sender<usize>,
}

/// One more in a count, for as long as it lives.
struct One<'a>(&'a AtomicUsize);

impl<'a> One<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One more in the crowd, for as long as it lives. Every connection looks at the crowd, so they are woken only when it forms
/// and when it is gone.
struct InCrowd<'a>(&'a watch::Sender<usize>);

impl<'a> InCrowd<'a> {
    fn of(crowd: &'a watch::Sender<usize>) -> Self {
        crowd.send_if_modified(|waiting| {
            *waiting += 1;
            *waiting == 1
        });
        Self(crowd)
    }
}

impl Drop for InCrowd<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|waiting| {
            *waiting -= 1;
            *waiting == 0
        });
    }
}

impl RequestMemory {
    /// Budgets of `bytes` in all.
    pub fn new(bytes: usize) -> Self {
        let budget = |class: Class| Budget::new(bytes / 16 * class.sixteenths());
        Self { budgets: Class::ALL.map(budget), crowd: watch::channel(0).0 }
    }

    /// Waits until there is memory for a request, and says how long that took. One that is larger than its budget gets
    /// all of it. Nothing when the broker is gone.
    pub async fn admit(&self, class: Class, bytes: usize) -> Option<(OwnedSemaphorePermit, Duration)> {
        let budget = &self.budgets[class as usize];
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES).min(budget.limit)).unwrap_or(u32::MAX);
        if let Ok(admitted) = budget.permits.clone().try_acquire_many_owned(permits) {
            return Some((admitted, Duration::ZERO));
        }
        let begun = Instant::now();
        let _waiting = One::of(&budget.waiting);
        let admitted = self.patiently(budget.permits.clone().acquire_many_owned(permits)).await.ok()?;
        Some((admitted, begun.elapsed()))
    }

    /// Waits for memory, of whatever kind, and has slow clients looked for when that takes long.
    pub async fn patiently<T>(&self, memory: impl Future<Output = T>) -> T {
        tokio::pin!(memory);
        if let Ok(there) = tokio::time::timeout(PATIENCE, &mut memory).await {
            return there;
        }
        let _crowd = InCrowd::of(&self.crowd);
        memory.await
    }

    /// How much is in use.
    pub fn usage(&self) -> [Usage; 4] {
        Class::ALL.map(|class| {
            let budget = &self.budgets[class as usize];
            let used = budget.limit.saturating_sub(budget.permits.available_permits());
            let bytes = |permits: usize| permits as u64 * PERMIT_BYTES as u64;
            let waiting = budget.waiting.load(Ordering::Relaxed);
            Usage { class, limit_bytes: bytes(budget.limit), used_bytes: bytes(used), waiting }
        })
    }

    /// Whether somebody has waited for long, as it changes.
    pub fn crowd(&self) -> watch::Receiver<usize> {
        self.crowd.subscribe()
    }
}

/// What a connection does: the reader and the writer note it, [`watch`] looks at it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that came in or went out.
    moved: AtomicU64,
    /// Bytes of memory that it holds.
    held: AtomicU64,
    /// What the client has to do.
    turns: [AtomicU64; 2],
}

/// What a connection waits for its client to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Send the rest of a request.
    Send = 0,
    /// Take an answer.
    Take = 1,
}

impl Progress {
    /// Bytes came in or went out.
    pub fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that came in or went out so far.
    pub fn bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// It is the client's turn until what is returned is dropped. Odd numbers stand for a turn that lasts.
    pub fn turn(self: &Arc<Self>, turn: Turn) -> TurnLasts {
        self.turns[turn as usize].fetch_add(1, Ordering::Relaxed);
        TurnLasts { progress: self.clone(), turn }
    }

    /// The connection holds so much memory until what is returned is dropped.
    pub fn holding(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Held {
        let bytes = (permit.num_permits() * PERMIT_BYTES) as u64;
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Held { _permit: permit, bytes, progress: self.clone() }
    }

    fn look(&self) -> Look {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Look { moved: read(&self.moved), held: read(&self.held), turns: [read(&self.turns[0]), read(&self.turns[1])] }
    }
}

/// See [`Progress::turn`].
#[derive(Debug)]
pub struct TurnLasts {
    progress: Arc<Progress>,
    turn: Turn,
}

impl Drop for TurnLasts {
    fn drop(&mut self) {
        self.progress.turns[self.turn as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Memory that a connection holds.
#[derive(Debug)]
pub struct Held {
    _permit: OwnedSemaphorePermit,
    bytes: u64,
    progress: Arc<Progress>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.progress.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    moved: u64,
    held: u64,
    turns: [u64; 2],
}

/// Whether a connection that looked so before a window, and looks so after it, holds memory that others wait for, because its
/// client is slow: one turn of the client lasted all the while.
fn is_slow(before: Look, after: Look) -> bool {
    let lasted = (0..2).any(|turn| before.turns[turn] == after.turns[turn] && after.turns[turn] % 2 == 1);
    before.held > 0 && after.held > 0 && lasted && after.moved.wrapping_sub(before.moved) < WINDOW_BYTES
}

/// Returns when the client holds up others. Costs nothing while nobody waits for memory.
pub async fn watch(mut crowd: watch::Receiver<usize>, progress: Arc<Progress>) {
    loop {
        if crowd.wait_for(|waiting| *waiting > 0).await.is_err() {
            return std::future::pending().await;
        }
        let before = progress.look();
        tokio::time::sleep(WINDOW).await;
        if *crowd.borrow() > 0 && is_slow(before, progress.look()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(moved: u64, held: u64, turns: [u64; 2]) -> Look {
        Look { moved, held, turns }
    }

    #[test]
    fn slow_is_who_holds_memory_and_does_not_move_in_its_turn() {
        let sending = look(100, 4096, [7, 2]);
        assert!(is_slow(sending, look(200, 4096, [7, 2])), "a byte at a time");
        assert!(is_slow(look(0, 1, [2, 1]), look(0, 1, [4, 1])), "it sends more and takes nothing");
        assert!(!is_slow(sending, look(100 + WINDOW_BYTES, 4096, [7, 2])), "it moves");
        assert!(!is_slow(sending, look(200, 4096, [9, 2])), "that is another request");
        assert!(!is_slow(look(100, 4096, [6, 2]), look(100, 4096, [6, 2])), "it waits for the broker");
        assert!(!is_slow(look(100, 0, [7, 2]), look(100, 0, [7, 2])), "it holds nothing");
    }

    #[tokio::test]
    async fn a_class_waits_for_its_own_memory_alone() {
        let memory = RequestMemory::new(1 << 20);
        let (all, waited) = memory.admit(Class::Produce, usize::MAX / 2).await.unwrap();
        assert_eq!(waited, Duration::ZERO);
        let [produce, waiting, other, control] = memory.usage();
        assert_eq!((produce.used_bytes, produce.limit_bytes), (512 << 10, 512 << 10));
        assert_eq!((waiting.used_bytes, other.used_bytes, control.used_bytes), (0, 0, 0));
        assert_eq!(memory.usage().map(|usage| usage.limit_bytes).iter().sum::<u64>(), 1 << 20);
        assert!(memory.admit(Class::Fetch, 1).await.is_some());
        assert!(memory.admit(Class::Other, 1).await.is_some());
        assert!(memory.admit(Class::Control, usize::MAX).await.is_some());
        let mut next = Box::pin(memory.admit(Class::Produce, 1));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_pending())).await);
        assert_eq!(memory.usage()[0].waiting, 1);
        drop(all);
        assert!(next.await.is_some());
        assert_eq!((memory.usage()[0].waiting, memory.usage()[0].used_bytes), (0, 0));
    }

    #[tokio::test]
    async fn who_is_slow_is_found_when_others_wait_and_not_before() {
        let memory = Arc::new(RequestMemory::new(1 << 20));
        let progress = Arc::new(Progress::default());
        let (permit, _) = memory.admit(Class::Produce, 1 << 20).await.unwrap();
        let held = progress.holding(permit);
        let _turn = progress.turn(Turn::Send);
        let watched = watch(memory.crowd(), progress.clone());
        tokio::pin!(watched);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut watched).await.is_err(), "nobody waits");
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.admit(Class::Produce, 1).await.map(|(_, waited)| waited) }
        });
        watched.await;
        drop(held);
        assert!(waiting.await.unwrap().unwrap() >= PATIENCE);
        assert_eq!(*memory.crowd().borrow(), 0);
    }
}
