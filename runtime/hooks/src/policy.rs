//! What becomes of a batch when a plugin fails, refuses a record, or is not called because its circuit is open. Pure.
//!
//! | | `reject` | `skip` | `dead-letter` |
//! |---|---|---|---|
//! | a record is refused | the batch is refused (on-consume: nothing is delivered) | the record goes on as it was | it goes to the dead-letter topic and is taken out |
//! | a fault | the batch is refused, for good or for now (on-consume: nothing is delivered) | the batch goes on as if the plugin were not there | all its records go to the dead-letter topic |
//!
//! Refused for good is what the plugin itself judged: it answered with an error. Everything else (a trap, a limit, an
//! answer that breaks the rules, the host's own trouble) says more about the plugin than about the batch; the producer is told to try
//! again, so that a rollback within its delivery timeout loses nothing.
//!
//! The hooks on-acknowledgement and on-commit observe: their faults are counted and change nothing.

use crate::breaker::WhenOpen;
use pelton_api::fault::Fault;
use pelton_api::interceptor::Hook;
use serde::{Deserialize, Serialize};

/// `pelton.interceptors.on.error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Fails closed.
    #[default]
    Reject,
    /// Goes on without the plugin.
    Skip,
    /// Sets the records aside.
    DeadLetter,
}

/// What becomes of a batch whose plugin did not answer as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is refused: INVALID_RECORD.
    Refuse,
    /// It is refused for now, by a passing error.
    Unavailable,
    /// It goes on as if the plugin were not there.
    Skip,
    /// Its records go to the dead-letter topic.
    DeadLetter,
}

/// What becomes of the batch when the plugin failed in a hook.
pub fn on_fault(hook: Hook, on_error: OnError, fault: &Fault) -> Verdict {
    match (hook, on_error) {
        (Hook::OnAcknowledgement | Hook::OnCommit, _) | (_, OnError::Skip) => Verdict::Skip,
        (_, OnError::DeadLetter) => Verdict::DeadLetter,
        (_, OnError::Reject) if matches!(fault, Fault::Refused(_)) => Verdict::Refuse,
        (_, OnError::Reject) => Verdict::Unavailable,
    }
}

/// What becomes of a record that the plugin refuses.
pub fn on_rejection(on_error: OnError) -> Verdict {
    match on_error {
        OnError::Reject => Verdict::Refuse,
        OnError::Skip => Verdict::Skip,
        OnError::DeadLetter => Verdict::DeadLetter,
    }
}

/// What becomes of a batch while the plugin's circuit is open.
pub fn on_open(hook: Hook, open: WhenOpen) -> Verdict {
    match (hook, open) {
        (Hook::OnSend | Hook::OnConsume, WhenOpen::Refuse) => Verdict::Unavailable,
        _ => Verdict::Skip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observers_change_nothing_and_the_topic_decides_the_rest() {
        let refused = Fault::Refused("no".into());
        let trap = Fault::Trap("unreachable".into());
        for hook in [Hook::OnAcknowledgement, Hook::OnCommit] {
            for on_error in [OnError::Reject, OnError::Skip, OnError::DeadLetter] {
                assert_eq!(on_fault(hook, on_error, &trap), Verdict::Skip);
            }
            assert_eq!(on_open(hook, WhenOpen::Refuse), Verdict::Skip);
        }
        for hook in [Hook::OnSend, Hook::OnConsume] {
            assert_eq!(on_fault(hook, OnError::Reject, &refused), Verdict::Refuse);
            assert_eq!(on_fault(hook, OnError::Reject, &trap), Verdict::Unavailable);
            assert_eq!(on_fault(hook, OnError::Skip, &trap), Verdict::Skip);
            assert_eq!(on_fault(hook, OnError::DeadLetter, &refused), Verdict::DeadLetter);
            assert_eq!(on_open(hook, WhenOpen::Refuse), Verdict::Unavailable);
            assert_eq!(on_open(hook, WhenOpen::Bypass), Verdict::Skip);
        }
        assert_eq!(on_rejection(OnError::Reject), Verdict::Refuse);
        assert_eq!(on_rejection(OnError::Skip), Verdict::Skip);
        assert_eq!(on_rejection(OnError::DeadLetter), Verdict::DeadLetter);
    }
}
