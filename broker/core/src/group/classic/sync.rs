//! SyncGroup: the leader gives the assignments, the others fetch theirs.

use super::state::State;
use super::{ClassicGroup, Step};
use crate::event::{GroupReply, ReplyTo, SyncGroup, SyncedGroup};
use crate::model::MemberId;
use crate::refusal::Refusal;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

impl ClassicGroup {
    /// Decides a sync. Followers wait for the leader; nobody is answered before the assignments are durable.
    pub(in crate::group) fn sync(&mut self, step: &mut Step<'_>, to: ReplyTo, request: SyncGroup) {
        if let Err(refusal) = self.check_sync(&request) {
            return step.refuse(to, refusal);
        }
        let id = request.member;
        match self.state {
            State::Empty => step.refuse(to, Refusal::UnknownMemberId),
            State::PreparingRebalance => step.refuse(to, Refusal::RebalanceInProgress),
            State::CompletingRebalance => {
                self.unsynced.remove(&id);
                let Some(member) = self.members.get_mut(&id) else { return step.refuse(to, Refusal::UnknownMemberId) };
                if let Some(earlier) = member.syncing.replace(to) {
                    step.refuse(earlier, Refusal::RebalanceInProgress);
                }
                if self.is_leader(&id) {
                    self.assign(step, &request.assignments);
                }
            }
            State::Stable => {
                self.unsynced.remove(&id);
                self.touch(&id, step.now);
                let assignment = self.members.get(&id).map(|member| member.assignment.clone()).unwrap_or_default();
                let synced = self.synced(assignment);
                step.answer(to, GroupReply::Synced(synced));
            }
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), Refusal> {
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        let differs =
            |given: &Option<Arc<str>>, ours: &Option<Arc<str>>| given.is_some() && ours.is_some() && given != ours;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(Refusal::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Stores the leader's assignments and answers everybody who waits for one. A member that the leader
    /// left out gets an empty assignment. Replay of the record makes the group Stable.
    fn assign(&mut self, step: &mut Step<'_>, assignments: &BTreeMap<MemberId, Bytes>) {
        let assignment_of = |id: &MemberId| assignments.get(id).cloned().unwrap_or_default();
        let record = match self.record(step.now, |member| assignment_of(&member.id)) {
            Ok(record) => record,
            Err(refusal) => {
                for member in self.members.values_mut() {
                    if let Some(waiting) = member.syncing.take() {
                        member.touch(step.now);
                        step.refuse(waiting, refusal.clone());
                    }
                }
                return self.prepare_rebalance(step);
            }
        };
        step.out.append(vec![record]);
        let answer = self.synced(Bytes::new());
        for member in self.members.values_mut() {
            member.touch(step.now);
            if let Some(waiting) = member.syncing.take() {
                let synced = SyncedGroup { assignment: assignment_of(&member.id), ..answer.clone() };
                step.answer(waiting, GroupReply::Synced(synced));
            }
        }
    }

    fn synced(&self, assignment: Bytes) -> SyncedGroup {
        SyncedGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment,
        }
    }
}
