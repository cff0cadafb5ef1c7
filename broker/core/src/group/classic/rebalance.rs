//! The course of a rebalance: it begins, waits for members, and makes the next generation.

use super::state::{InitialDelay, JoinDeadline, State};
use super::{ClassicGroup, Step};
use crate::event::GroupReply;
use crate::model::MemberId;
use crate::refusal::Refusal;
use bytes::Bytes;

impl ClassicGroup {
    /// Begins a rebalance, or completes the one under way if nobody is missing any more.
    pub(super) fn rebalance_or_complete(&mut self, step: &mut Step<'_>) {
        if self.state == State::PreparingRebalance {
            self.complete_if_all_joined(step);
        } else {
            self.prepare_rebalance(step);
        }
    }

    /// A member is gone.
    pub(super) fn after_departure(&mut self, step: &mut Step<'_>) {
        if self.state != State::Empty {
            self.rebalance_or_complete(step);
        }
    }

    /// Begins a rebalance: whoever waits for an assignment must join again.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        for member in self.members.values_mut() {
            if let Some(waiting) = member.syncing.take() {
                member.touch(step.now);
                step.refuse(waiting, Refusal::RebalanceInProgress);
            }
        }
        self.sync_deadline = None;
        self.unsynced.clear();
        let was_empty = self.state == State::Empty;
        self.move_to(State::PreparingRebalance, step.now);
        let delay_ms = i64::from(step.config.group_initial_rebalance_delay_ms.max(0));
        let timeout_ms = self.rebalance_timeout_ms();
        if was_empty && delay_ms > 0 {
            let initial = InitialDelay { remaining_ms: (timeout_ms - delay_ms).max(0), member_added: false };
            self.join_deadline = Some(JoinDeadline { at: step.now.plus_ms(delay_ms), initial: Some(initial) });
        } else if self.all_joined() {
            self.complete_join(step);
        } else {
            self.join_deadline = Some(JoinDeadline { at: step.now.plus_ms(timeout_ms), initial: None });
        }
    }

    fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// The first rebalance of a group keeps to its delay; every other one ends with the last member to join.
    pub(super) fn complete_if_all_joined(&mut self, step: &mut Step<'_>) {
        let is_initial = self.join_deadline.is_some_and(|deadline| deadline.initial.is_some());
        if self.state == State::PreparingRebalance && !is_initial && self.all_joined() {
            self.complete_join(step);
        }
    }

    /// The deadline of the rebalance has passed.
    pub(super) fn join_deadline_passed(&mut self, step: &mut Step<'_>) {
        match self.join_deadline.and_then(|deadline| deadline.initial) {
            Some(InitialDelay { remaining_ms, member_added: true }) if remaining_ms > 0 => {
                let delay_ms = i64::from(step.config.group_initial_rebalance_delay_ms.max(1)).min(remaining_ms);
                let initial = InitialDelay { remaining_ms: remaining_ms - delay_ms, member_added: false };
                self.join_deadline = Some(JoinDeadline { at: step.now.plus_ms(delay_ms), initial: Some(initial) });
            }
            _ => self.complete_join(step),
        }
    }

    /// Makes the next generation of those who joined. Dynamic members that did not are dropped; static
    /// ones stay until their session ends.
    fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join_deadline = None;
        let missing = self.members.values().filter(|member| member.joining.is_none() && member.instance.is_none());
        let missing: Vec<MemberId> = missing.map(|member| member.id.clone()).collect();
        for id in &missing {
            self.remove(step, id, Refusal::UnknownMemberId);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members that are away: their sessions decide.
            let at = step.now.plus_ms(self.rebalance_timeout_ms().max(1));
            self.join_deadline = Some(JoinDeadline { at, initial: None });
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.unsynced.clear();
        self.protocol = self.elect_protocol();
        if self.members.is_empty() {
            self.leader = None;
            self.move_to(State::Empty, step.now);
            if let Ok(record) = self.record(step.now, |_| Bytes::new()) {
                step.out.append(vec![record]);
            }
            return;
        }
        self.move_to(State::CompletingRebalance, step.now);
        self.sync_deadline = Some(step.now.plus_ms(self.rebalance_timeout_ms()));
        self.answer_joins(step);
    }

    fn answer_joins(&mut self, step: &mut Step<'_>) {
        let members: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in members {
            let joined = self.joined(&id, self.is_leader(&id));
            if let Some(member) = self.members.get_mut(&id) {
                member.settle(step.now);
                if let Some(waiting) = member.joining.take() {
                    step.answer(waiting, GroupReply::Joined(joined));
                }
            }
            self.unsynced.insert(id);
        }
    }

    /// Keeps the leader if it has joined, else takes the first member that has. False if none has.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(has_joined) {
            match self.members.values().find(|member| member.joining.is_some()) {
                Some(member) => self.leader = Some(member.id.clone()),
                None => return false,
            }
        }
        true
    }

    /// Takes a member out and answers what waits of it. False if there is none of that id.
    pub(super) fn remove(&mut self, step: &mut Step<'_>, id: &MemberId, refusal: Refusal) -> bool {
        let Some(mut member) = self.members.remove(id) else { return false };
        for waiting in [member.joining.take(), member.syncing.take()].into_iter().flatten() {
            step.refuse(waiting, refusal.clone());
        }
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        self.unsynced.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        true
    }
}
