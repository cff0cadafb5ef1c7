//! Heartbeats and everything else that time does to a group.

use super::state::State;
use super::{ClassicGroup, Member, Step};
use crate::event::{GroupReply, ReplyTo};
use crate::model::{MemberId, Timestamp};
use crate::refusal::Refusal;
use std::sync::Arc;

impl ClassicGroup {
    /// Decides a heartbeat.
    pub(in crate::group) fn heartbeat(
        &mut self,
        step: &mut Step<'_>,
        to: ReplyTo,
        generation: i32,
        member: &MemberId,
        instance: Option<&Arc<str>>,
    ) {
        if let Err(refusal) = self.check_member(member, instance) {
            return step.refuse(to, refusal);
        }
        if generation != self.generation {
            return step.refuse(to, Refusal::IllegalGeneration);
        }
        self.touch(member, step.now);
        match self.state {
            State::Empty => step.refuse(to, Refusal::UnknownMemberId),
            State::PreparingRebalance => step.refuse(to, Refusal::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => step.answer(to, GroupReply::Done),
        }
    }

    /// The earliest moment at which time changes something.
    pub(in crate::group) fn next_deadline(&self) -> Option<Timestamp> {
        let sessions = self.members.values().filter_map(Member::session_end);
        let rest = self.join_deadline.map(|deadline| deadline.at).into_iter().chain(self.sync_deadline);
        sessions.chain(self.pending.values().copied()).chain(rest).min()
    }

    /// Applies every deadline that has passed.
    pub(in crate::group) fn expire(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let pending_before = self.pending.len();
        self.pending.retain(|_, lapses| *lapses > now);
        let silent = |member: &&Member| member.session_end().is_some_and(|end| end <= now);
        let silent: Vec<MemberId> = self.members.values().filter(silent).map(|member| member.id.clone()).collect();
        for id in &silent {
            self.remove(step, id, Refusal::UnknownMemberId);
        }
        if !silent.is_empty() {
            self.after_departure(step);
        } else if self.pending.len() < pending_before {
            self.complete_if_all_joined(step);
        }
        if self.sync_deadline.is_some_and(|at| at <= now) {
            self.sync_deadline_passed(step);
        }
        if self.join_deadline.is_some_and(|deadline| deadline.at <= now) {
            self.join_deadline_passed(step);
        }
    }

    /// Members that joined and never asked for their assignment are dropped, and the rest rebalances.
    fn sync_deadline_passed(&mut self, step: &mut Step<'_>) {
        self.sync_deadline = None;
        let unsynced = std::mem::take(&mut self.unsynced);
        for id in &unsynced {
            self.remove(step, id, Refusal::UnknownMemberId);
        }
        if !unsynced.is_empty() {
            self.prepare_rebalance(step);
        }
    }
}
