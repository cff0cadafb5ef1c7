//! One group of the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup).
//!
//! States: Empty -> PreparingRebalance (members join) -> CompletingRebalance (the leader assigns) ->
//! Stable, and back to PreparingRebalance whenever membership changes. Kafka's fifth state, Dead, is
//! a group that is no longer there.
//!
//! Who waits, deadlines and a rebalance under way are soft: they are lost with the process, and the
//! members join again. A generation becomes hard by its GroupMetadata record alone:
//! `ClassicGroup::apply` is what makes a group Stable and gives members their assignments.
//!
//! Invariants: a generation has one leader and one assignment for each member; an instance id
//! belongs to one member; every waiting join or sync is answered exactly once or cancelled.

mod heartbeat;
mod join;
mod leave;
mod member;
mod rebalance;
mod state;
mod subscriptions;
mod sync;

use member::Member;
pub(super) use state::{ClassicGroup, State};

use super::Step;
