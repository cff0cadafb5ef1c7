//! A lane: a FIFO of work that runs on one guest thread at a time and gives way to other lanes after each item.
//!
//! An item may end in a future that it waits for; the lane then stands still without a thread, and goes on when the
//! future is done. A lane that is *held* finishes the item that it is at and takes no further one, however many are put
//! into it, until it is *released*.
//!
//! Invariant: the items of a lane run one after the other, in the order in which they were put, whole.

use super::pool::{BRISK, Pace, Pool, Work};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Items that may wait in one lane.
const MAX_ITEMS: usize = 4_096;

/// What an item comes to.
pub enum Step {
    /// It is done.
    Done,
    /// It is done when this is.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// One piece of work of a lane.
pub type Item = Box<dyn FnOnce() -> Step + Send>;

/// A lane.
pub struct Lane {
    pool: Pool,
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    turn: Turn,
    held: bool,
    waiting_for_quiet: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    /// No item runs, and the lane is in no queue.
    #[default]
    Quiet,
    /// It stands in a queue of the pool.
    Queued,
    /// An item runs, or is waited for.
    Busy,
}

impl Lane {
    /// An empty lane.
    pub fn new(pool: Pool) -> Self {
        Self { pool, pace: Pace::default(), state: Mutex::default() }
    }

    /// Puts an item to the end; gives it back when the lane is full.
    ///
    /// # Errors
    /// The item.
    pub fn put(self: &Arc<Self>, item: Item) -> Result<(), Item> {
        let mut state = self.lock();
        if state.items.len() >= MAX_ITEMS {
            return Err(item);
        }
        state.items.push_back(item);
        self.queue(&mut state);
        Ok(())
    }

    /// Does something at once if the lane has nothing to do and is not held. Nothing can be put into it meanwhile.
    pub fn if_empty<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        let empty = state.items.is_empty() && state.turn == Turn::Quiet && !state.held;
        empty.then(act)
    }

    /// Lets no further item begin.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Waits until the item that runs is done. Of a held lane.
    pub async fn quiet(&self) {
        let quiet = {
            let mut state = self.lock();
            if state.turn != Turn::Busy {
                return;
            }
            let (quiet, when_quiet) = oneshot::channel();
            state.waiting_for_quiet.push(quiet);
            when_quiet
        };
        // A lane that is dropped is quiet too.
        let _ = quiet.await;
    }

    /// Lets the items go on.
    pub fn release(self: &Arc<Self>) {
        let mut state = self.lock();
        state.held = false;
        self.queue(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(self: &Arc<Self>, state: &mut State) {
        if state.turn == Turn::Quiet && !state.held && !state.items.is_empty() {
            if self.pool.put(self.clone(), self.pace.is_slow()) {
                state.turn = Turn::Queued;
            } else {
                // The pool stops: whoever waits for these learns that nothing comes.
                state.items.clear();
            }
        }
    }

    fn next(&self) -> Option<Item> {
        let mut state = self.lock();
        let item = if state.held { None } else { state.items.pop_front() };
        state.turn = if item.is_some() { Turn::Busy } else { Turn::Quiet };
        item
    }

    fn finished(self: &Arc<Self>) {
        let mut state = self.lock();
        state.turn = Turn::Quiet;
        for waiting in state.waiting_for_quiet.drain(..) {
            let _ = waiting.send(());
        }
        self.queue(&mut state);
    }
}

/// Lets the lane go on when the item is done, however it ends.
struct Finish(Arc<Lane>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finished();
    }
}

impl Work for Lane {
    fn run(self: Arc<Self>) {
        let Some(item) = self.next() else { return };
        let finish = Finish(self.clone());
        let began = Instant::now();
        let step = catch_unwind(AssertUnwindSafe(item));
        self.pace.judge(began.elapsed(), BRISK);
        match step {
            Ok(Step::Done) => {}
            Ok(Step::Wait(future)) => self.pool.spawn(async move {
                let _finish = finish;
                future.await;
            }),
            Err(_) => tracing::error!("a call of a plugin panicked in the broker; it is answered as a failure"),
        }
    }

    fn abandon(&self) {
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }
}

#[cfg(test)]
mod tests;
