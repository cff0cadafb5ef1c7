//! How far the loading is: how many logs are open, when the coordinators may read theirs, and whether all went well.
//!
//! Invariant: no coordinator is loaded before every log that was there is open. A transaction that it ends anew must
//! find all of its partitions: one that is missing counts as deleted. Where a log could not be opened, none is loaded.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often a long loading says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

/// How much of the loading is left.
#[derive(Debug, Default)]
pub struct Opening {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Logs that are open.
    open: usize,
    /// Logs that are to be opened.
    left: usize,
    /// Coordinators that wait for their logs to be read, or read them.
    loading: usize,
    failure: Option<String>,
}

impl State {
    fn is_done(&self) -> bool {
        self.left == 0 && self.loading == 0
    }
}

/// What became of a log that was to be opened.
#[derive(Debug)]
pub enum Ended {
    /// It is open, or out of reach with its directory.
    Done,
    /// It is open, and its coordinator is to be loaded when all logs are.
    CoordinatorWaits,
    /// It could not be opened.
    Failed(String),
}

impl Opening {
    /// One more log is going to be opened.
    pub fn begin(&self) {
        self.lock().left += 1;
    }

    /// That has come to its end. Says whether the coordinators that wait are to be loaded now.
    pub fn end(&self, ended: Ended) -> bool {
        let mut state = self.lock();
        state.left = state.left.saturating_sub(1);
        match ended {
            Ended::Done => state.open += 1,
            Ended::CoordinatorWaits => {
                state.open += 1;
                state.loading += 1;
            }
            Ended::Failed(message) => {
                state.failure.get_or_insert(message);
            }
        }
        let all_open = state.left == 0;
        if all_open && state.failure.is_some() {
            state.loading = 0;
        }
        let load = all_open && state.loading > 0;
        self.tell(state);
        load
    }

    /// Logs that are not open yet, and coordinators that are not loaded.
    pub fn outstanding(&self) -> usize {
        let state = self.lock();
        state.left + state.loading
    }

    /// A coordinator that waited is loaded, or could not be.
    pub fn loaded(&self, result: Result<(), String>) {
        let mut state = self.lock();
        state.loading = state.loading.saturating_sub(1);
        if let Err(message) = result {
            state.failure.get_or_insert(message);
        }
        self.tell(state);
    }

    /// Waits until every log that was asked for is open and every coordinator is loaded, and says every few seconds how
    /// far that is.
    ///
    /// # Errors
    /// The first reason why one could not be.
    pub async fn done(&self) -> Result<(), String> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = self.result() {
                return result;
            }
            if tokio::time::timeout(PROGRESS, changed).await.is_err() {
                let State { open, left, loading, .. } = *self.lock();
                tracing::info!(open, left, coordinators_left = loading, "still opening the logs");
            }
        }
    }

    fn result(&self) -> Option<Result<(), String>> {
        let mut state = self.lock();
        state.is_done().then(|| state.failure.take().map_or(Ok(()), Err))
    }

    fn tell(&self, state: MutexGuard<'_, State>) {
        if state.is_done() {
            drop(state);
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinators_wait_for_the_last_log() {
        let opening = Opening::default();
        (0..3).for_each(|_| opening.begin());
        assert!(!opening.end(Ended::CoordinatorWaits));
        assert!(!opening.end(Ended::Done));
        assert_eq!(opening.result(), None);
        assert!(opening.end(Ended::CoordinatorWaits), "that was the last log");
        opening.loaded(Ok(()));
        assert_eq!(opening.result(), None, "one coordinator is left");
        opening.loaded(Ok(()));
        assert_eq!(opening.result(), Some(Ok(())));
    }

    #[test]
    fn no_coordinator_is_loaded_when_a_log_is_missing() {
        let opening = Opening::default();
        (0..3).for_each(|_| opening.begin());
        assert!(!opening.end(Ended::CoordinatorWaits));
        assert!(!opening.end(Ended::Failed("t-0: damaged".to_owned())));
        assert!(!opening.end(Ended::CoordinatorWaits));
        assert_eq!(opening.result(), Some(Err("t-0: damaged".to_owned())));
    }

    #[test]
    fn a_coordinator_that_cannot_be_loaded_is_told() {
        let opening = Opening::default();
        opening.begin();
        assert!(opening.end(Ended::CoordinatorWaits));
        opening.loaded(Err("unreadable".to_owned()));
        assert_eq!(opening.result(), Some(Err("unreadable".to_owned())));
    }
}
