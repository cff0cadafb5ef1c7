//! A lane: a FIFO of work that runs on one guest thread at a time and gives way to other lanes after each item.
//!
//! An item may end in a future that it waits for; the lane then stands still without a thread, and goes on when the
//! future is done. A lane that is *held* finishes the item that it is at and takes no further one, however many are put
//! into it, until it is *released*.
//!
//! A lane that has nothing to do can be *entered*: its next item then runs on the thread of whoever brings it, if that thread has the
//! time, and on a guest thread otherwise.
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
    pace: Arc<Pace>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    turn: Turn,
    held: bool,
    waiting_for_quiet: Vec<oneshot::Sender<()>>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.items.is_empty() && self.turn == Turn::Quiet && !self.held
    }
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
    /// An empty lane. Its items are judged by a pace that other lanes may share.
    pub fn new(pool: Pool, pace: Arc<Pace>) -> Self {
        Self { pool, pace, state: Mutex::default() }
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

    /// Enters the lane, if it has nothing to do and is not held: what is put into it meanwhile waits.
    pub fn enter(self: &Arc<Self>) -> Option<Inside> {
        let mut state = self.lock();
        if !state.is_idle() {
            return None;
        }
        state.turn = Turn::Busy;
        Some(Inside(Finish(self.clone())))
    }

    /// Whether it has nothing to do and is not held.
    pub fn is_idle(&self) -> bool {
        self.lock().is_idle()
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
            if self.pool.put(self.clone(), &self.pace) {
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

impl Finish {
    /// Runs an item whose turn it is; what it gives back is the lane's next one.
    fn run(self, item: impl FnOnce() -> Result<Step, Item>) {
        let began = Instant::now();
        let step = catch_unwind(AssertUnwindSafe(item));
        self.0.pace.judge(began.elapsed(), BRISK);
        match step {
            Ok(Ok(Step::Done)) => {}
            Ok(Ok(Step::Wait(future))) => self.0.pool.clone().spawn(async move {
                let _finish = self;
                future.await;
            }),
            Ok(Err(item)) => {
                self.0.pace.was_late();
                self.0.lock().items.push_front(item);
            }
            Err(_) => tracing::error!("a call of a plugin panicked in the broker; it is answered as a failure"),
        }
    }
}

/// The turn of a lane that was entered. The lane goes on when it is gone.
pub struct Inside(Finish);

impl Inside {
    /// Runs an item here and now. What it gives back, because it takes longer than this thread has, is the lane's next one.
    pub fn run(self, item: impl FnOnce() -> Result<Step, Item>) {
        self.0.run(item);
    }
}

impl Work for Lane {
    fn run(self: Arc<Self>) {
        let Some(item) = self.next() else { return };
        Finish(self).run(|| Ok(item()));
    }

    fn abandon(&self) {
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }
}

#[cfg(test)]
mod tests;
