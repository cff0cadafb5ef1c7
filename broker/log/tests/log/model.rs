//! Random histories of one log against its ledger: whatever is appended, cut, deleted, compacted, crashed and opened
//! again, all that was acknowledged is there, byte for byte, and nothing that was not written.
//!
//! Tried by: `FlushHandle::sync` does nothing.

use crate::partition::{Change, Partition, Restart};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

/// What the histories are made of: whether the log is compacted never changes.
#[derive(Debug, Clone)]
pub struct History {
    compact: bool,
}

#[derive(Debug, Clone)]
pub enum Transition {
    Change(Change),
    Restart(Restart),
}

impl ReferenceStateMachine for History {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        any::<bool>().prop_map(|compact| Self { compact }).boxed()
    }

    fn transitions(_state: &Self) -> BoxedStrategy<Transition> {
        let append = (1_u8..6, 0_usize..400, 0_u8..5);
        let append = append.prop_map(|(count, value_bytes, codec)| Change::Append { count, value_bytes, codec });
        let change = prop_oneof![
            24 => append,
            6 => Just(Change::Flush),
            1 => Just(Change::Roll),
            1 => (700_u16..1_000).prop_map(Change::Truncate),
            1 => (0_u16..400).prop_map(Change::DeleteBefore),
            1 => (6_000_u64..12_000).prop_map(Change::Retain),
            2 => Just(Change::Compact),
            2 => Just(Change::Checkpoint),
        ];
        let restart = prop_oneof![
            Just(Restart::Close),
            Just(Restart::Kill),
            Just(Restart::CutPower),
            any::<u64>().prop_map(Restart::Crash),
            any::<u64>().prop_map(Restart::Crash),
        ];
        prop_oneof![9 => change.prop_map(Transition::Change), 1 => restart.prop_map(Transition::Restart)].boxed()
    }

    fn preconditions(state: &Self, transition: &Transition) -> bool {
        state.compact || !matches!(transition, Transition::Change(Change::Compact))
    }

    fn apply(state: Self, _transition: &Transition) -> Self {
        state
    }
}

pub struct Tried;

impl StateMachineTest for Tried {
    type SystemUnderTest = Partition;
    type Reference = History;

    fn init_test(history: &History) -> Partition {
        Partition::new(history.compact)
    }

    fn apply(mut partition: Partition, _history: &History, transition: Transition) -> Partition {
        match transition {
            Transition::Change(change) => partition.apply(&change).unwrap(),
            Transition::Restart(restart) => partition.restart(&restart),
        }
        partition
    }

    fn check_invariants(partition: &Partition, _history: &History) {
        partition.check();
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 60, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() })]
    #[test]
    fn what_was_acknowledged_comes_back(sequential 1..120 => Tried);
}
