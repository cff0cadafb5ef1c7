//! How far a broker is on its way to serving, for whoever asks while it starts and while it stops.

use crate::driver::Opening;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a broker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// It takes its directories and binds its addresses.
    #[default]
    Starting,
    /// It opens its logs.
    Opening,
    /// It loads what is attached to its topics.
    Plugins,
    /// It serves.
    Serving,
    /// It takes no more requests.
    Stopping,
}

/// Where a broker stands, shared with whoever wants to know.
#[derive(Debug, Default)]
pub struct Readiness {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    opening: Option<Arc<Opening>>,
}

impl Readiness {
    /// It stands here now.
    pub fn reach(&self, stage: Stage) {
        self.state().stage = stage;
    }

    /// It begins to open its logs.
    pub(crate) fn open(&self, opening: Arc<Opening>) {
        *self.state() = State { stage: Stage::Opening, opening: Some(opening) };
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.state().stage
    }

    /// What keeps it from serving, in one line; nothing when it serves.
    pub fn missing(&self) -> Option<String> {
        let state = self.state();
        Some(match state.stage {
            Stage::Starting => "the log directories are being taken".to_owned(),
            Stage::Opening => {
                let left = state.opening.as_ref().map_or(0, |opening| opening.outstanding());
                format!("{left} logs are being opened, and those that they name come after them")
            }
            Stage::Plugins => "the plugins of the topics are being loaded".to_owned(),
            Stage::Serving => return None,
            Stage::Stopping => "the broker stops".to_owned(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Ended;

    #[test]
    fn something_is_missing_until_it_serves_and_when_it_stops() {
        let readiness = Readiness::default();
        assert!(readiness.missing().is_some());
        let opening = Arc::new(Opening::default());
        opening.begin();
        opening.begin();
        readiness.open(opening.clone());
        assert!(readiness.missing().is_some_and(|missing| missing.starts_with("2 logs")));
        opening.end(Ended::Done);
        assert!(readiness.missing().is_some_and(|missing| missing.starts_with("1 logs")));
        readiness.reach(Stage::Plugins);
        assert!(readiness.missing().is_some_and(|missing| missing.contains("plugins")));
        readiness.reach(Stage::Serving);
        assert_eq!((readiness.missing(), readiness.stage()), (None, Stage::Serving));
        readiness.reach(Stage::Stopping);
        assert!(readiness.missing().is_some());
    }
}
