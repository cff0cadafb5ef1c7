//! The mailbox of a shard, and who empties it: the shard's own thread, or whoever brings a letter while nobody does.
//!
//! Waking a thread, and being woken by it, costs more than most letters do. So whoever brings one that is soon dealt
//! with takes the shard over for that moment, when it is free; a shard still has one owner at a time, and its letters
//! keep their order. The thread is for what is left: timers, letters that wait for files, and what came in meanwhile.
//!
//! Invariants: letters are taken in the order in which they were put in, each by the owner of the shard. No letter is
//! forgotten: who could not take the shard over has put its letter in before, and who lets go of the shard looks again
//! afterwards. Who brings a letter never waits for the shard.
//!
//! Bounds: who is not the shard's thread takes [`BRIEF`] letters in one go; and when that took longer than [`SWIFT`],
//! most likely because the file system let it wait, everything goes to the thread for [`PENANCE`], so that a slow disk
//! does not hold the threads of the network.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Letters that the thread takes before what they wrote is handed to the flusher.
const LETTERS_AT_ONCE: usize = 256;
/// Letters that somebody else takes.
const BRIEF: usize = 16;
/// How long somebody else should be held at most.
const SWIFT: Duration = Duration::from_millis(5);
/// How long the thread does everything after somebody else was held for longer.
const PENANCE: Duration = Duration::from_millis(200);
/// How long the thread sleeps at most when no timer is set.
const IDLE: Duration = Duration::from_secs(60);

/// Who the letters of a mailbox are for.
pub(crate) trait Addressee {
    /// What it gets.
    type Letter;

    /// Whether a letter is dealt with in microseconds, as long as the file system takes what is written to it.
    fn is_brief(letter: &Self::Letter) -> bool;
    /// Deals with one letter; breaks when it was the last. A brief one never is.
    fn take(&mut self, letter: Self::Letter) -> ControlFlow<()>;
    /// Does what timers are due for.
    fn tick(&mut self);
    /// Follows the letters that were taken in one go.
    fn settle(&mut self);
    /// When the next timer is due.
    fn next_timer(&self) -> Option<Instant>;
}

/// The way to a shard. Clones are the same mailbox.
pub(crate) struct Mailbox<A: Addressee>(Arc<Inner<A>>);

impl<A: Addressee> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The shard has ended; the letter was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended;

struct Inner<A: Addressee> {
    letters: Mutex<Letters<A::Letter>>,
    bell: Condvar,
    /// Nothing before the shard has begun, and after it has ended.
    shard: Mutex<Option<A>>,
}

struct Letters<L> {
    queue: VecDeque<L>,
    /// When the shard wants to be looked at, as whoever had it last left it.
    timer: Option<Instant>,
    /// Until when the thread sleeps; nothing while it is awake.
    asleep_until: Option<Instant>,
    /// Until when the thread does everything.
    penance_until: Option<Instant>,
    ended: bool,
}

impl<L> Letters<L> {
    fn put(&mut self, letter: L) -> Result<(), Ended> {
        if self.ended {
            return Err(Ended);
        }
        self.queue.push_back(letter);
        Ok(())
    }
}

/// Ends the process when a machine has found its own state impossible: going on would show clients what must
/// not be seen, and the log is what a restart goes by.
pub(super) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the broker found its state impossible; it ends, and its logs tell a restart the truth");
            std::process::abort();
        }
    }
}

impl<A: Addressee> Mailbox<A> {
    /// A mailbox whose shard has not begun.
    pub fn new() -> Self {
        let letters =
            Letters { queue: VecDeque::new(), timer: None, asleep_until: None, penance_until: None, ended: false };
        Self(Arc::new(Inner { letters: Mutex::new(letters), bell: Condvar::new(), shard: Mutex::new(None) }))
    }

    /// Puts a letter in, for the shard's thread.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn send(&self, letter: A::Letter) -> Result<(), Ended> {
        let mut letters = self.letters();
        letters.put(letter)?;
        self.ring(letters);
        Ok(())
    }

    /// How many letters are in it.
    pub fn len(&self) -> usize {
        self.letters().queue.len()
    }

    /// Puts a letter in, and deals with it here when nobody else has the shard and it does not take long.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn send_here(&self, letter: A::Letter) -> Result<(), Ended> {
        let mut letters = self.letters();
        let repents = letters.penance_until.is_some_and(|until| Instant::now() < until);
        let here = !repents && A::is_brief(&letter);
        letters.put(letter)?;
        if !here {
            self.ring(letters);
            return Ok(());
        }
        drop(letters);
        let begun = Instant::now();
        // Whoever has it looks again when it lets go; and before it has begun there is nobody to do it.
        let Ok(mut owner) = self.0.shard.try_lock() else { return Ok(()) };
        if let Some(shard) = owner.as_mut() {
            let _guard = AbortOnPanic;
            for _ in 0..BRIEF {
                let Some(letter) = self.take(A::is_brief) else { break };
                // None of these is the last.
                let _ = shard.take(letter);
            }
            shard.settle();
            self.letters().timer = shard.next_timer();
        }
        drop(owner);
        let mut letters = self.letters();
        if begun.elapsed() > SWIFT {
            letters.penance_until = Some(Instant::now() + PENANCE);
        }
        let due_sooner = letters.asleep_until.is_some_and(|until| letters.timer.is_some_and(|timer| timer < until));
        if due_sooner || !letters.queue.is_empty() {
            self.ring(letters);
        }
        Ok(())
    }

    /// Is the thread of `shard`, until that is told to end.
    pub fn run(&self, shard: A) {
        *self.shard() = Some(shard);
        let _guard = AbortOnPanic;
        loop {
            let mut owner = self.shard();
            let Some(shard) = owner.as_mut() else { return };
            for _ in 0..LETTERS_AT_ONCE {
                let Some(letter) = self.take(|_| true) else { break };
                if shard.take(letter) == ControlFlow::Break(()) {
                    let mut letters = self.letters();
                    letters.ended = true;
                    // Their askers learn that the broker stops. Dropped without the lock: that may ask this mailbox.
                    let left = std::mem::take(&mut letters.queue);
                    drop(letters);
                    let shard = owner.take();
                    drop(owner);
                    drop((left, shard));
                    return;
                }
            }
            shard.tick();
            shard.settle();
            // Before anybody else can have the shard, and set a timer that is due sooner.
            self.letters().timer = shard.next_timer();
            drop(owner);
            self.sleep();
        }
    }

    /// Returns when there is a letter, or the timer is due.
    fn sleep(&self) {
        let latest = Instant::now() + IDLE;
        let mut letters = self.letters();
        while letters.queue.is_empty() {
            let until = letters.timer.map_or(latest, |timer| timer.min(latest));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            letters.asleep_until = Some(until);
            letters = self.0.bell.wait_timeout(letters, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        letters.asleep_until = None;
    }

    /// Wakes the thread, if it sleeps.
    fn ring(&self, mut letters: MutexGuard<'_, Letters<A::Letter>>) {
        let asleep = letters.asleep_until.take().is_some();
        drop(letters);
        if asleep {
            self.0.bell.notify_one();
        }
    }

    /// The first letter, for a test that stands in for the shard.
    #[cfg(test)]
    pub fn take_first(&self) -> Option<A::Letter> {
        self.take(|_| true)
    }

    /// The first letter, if it is wanted.
    fn take(&self, wanted: impl Fn(&A::Letter) -> bool) -> Option<A::Letter> {
        self.letters().queue.pop_front_if(|letter| wanted(letter))
    }

    fn letters(&self) -> MutexGuard<'_, Letters<A::Letter>> {
        self.0.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self) -> MutexGuard<'_, Option<A>> {
        self.0.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
