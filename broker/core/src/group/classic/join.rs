//! JoinGroup: who is let in, and what its coming changes.

use super::state::State;
use super::{ClassicGroup, Member, Step};
use crate::event::{GroupReply, JoinGroup, JoinedGroup, ReplyTo};
use crate::model::MemberId;
use crate::refusal::Refusal;
use std::sync::Arc;

/// How many ids may be given out and not yet used. A client that asks for ids without end is stopped here.
const MAX_PENDING_MEMBERS: usize = 10_000;

impl ClassicGroup {
    /// Decides a join. The answer leaves at once where nothing changes, else when the rebalance completes.
    pub(in crate::group) fn join(&mut self, step: &mut Step<'_>, to: ReplyTo, request: JoinGroup) {
        // A new process of a static member takes a place that is counted already.
        let holder = request.instance.as_ref().and_then(|instance| self.instances.get(instance));
        let member = holder.filter(|_| request.member.is_empty()).unwrap_or(&request.member).clone();
        if !self.has_room(&member, step.config.group_max_size) {
            if self.remove(step, &member, Refusal::GroupMaxSizeReached) {
                self.after_departure(step);
            } else if self.pending.remove(&member).is_some() {
                self.complete_if_all_joined(step);
            }
            return step.refuse(to, Refusal::GroupMaxSizeReached);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return step.refuse(to, Refusal::InconsistentGroupProtocol);
        }
        if request.member.is_empty() {
            self.join_unknown(step, to, request);
        } else if request.instance.is_none() && self.pending.contains_key(&request.member) {
            self.admit(step, to, request.member.clone(), request);
        } else {
            match self.check_member(&request.member, request.instance.as_ref()) {
                Ok(()) => self.join_known(step, to, request),
                Err(refusal) => step.refuse(to, refusal),
            }
        }
    }

    /// `group.max.size`. While members join, those that wait are counted, so that the last ones to come
    /// back are left out when the limit was lowered.
    fn has_room(&self, member: &MemberId, max_size: usize) -> bool {
        match self.state {
            State::Empty => max_size > 0,
            State::PreparingRebalance => {
                let waits = self.members.get(member).is_some_and(|member| member.joining.is_some());
                waits || self.members.values().filter(|member| member.joining.is_some()).count() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member) || self.members.len() < max_size
            }
        }
    }

    fn join_unknown(&mut self, step: &mut Step<'_>, to: ReplyTo, request: JoinGroup) {
        if let Some(holder) = request.instance.as_ref().and_then(|instance| self.instances.get(instance)) {
            return self.replace_static(step, to, holder.clone(), request);
        }
        let id = request.proposed_member.clone();
        if !request.require_known_member || request.instance.is_some() {
            return self.admit(step, to, id, request);
        }
        if self.pending.len() >= MAX_PENDING_MEMBERS {
            return step.refuse(to, Refusal::GroupMaxSizeReached);
        }
        self.pending.insert(id.clone(), step.now.plus_ms(i64::from(request.session_timeout_ms)));
        step.refuse(to, Refusal::MemberIdRequired(id.to_string()));
    }

    /// Takes a new member in.
    fn admit(&mut self, step: &mut Step<'_>, to: ReplyTo, id: MemberId, request: JoinGroup) {
        self.pending.remove(&id);
        if let Some(initial) = self.join_deadline.as_mut().and_then(|deadline| deadline.initial.as_mut()) {
            initial.member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance) = &request.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id.clone(), Member::joining(id, request, to, step.now));
        self.rebalance_or_complete(step);
    }

    fn join_known(&mut self, step: &mut Step<'_>, to: ReplyTo, request: JoinGroup) {
        let id = request.member.clone();
        let same = self.members.get(&id).is_some_and(|member| member.matches(&request.protocols));
        match self.state {
            State::Empty => step.refuse(to, Refusal::UnknownMemberId),
            // The answer to its first join got lost.
            State::CompletingRebalance if same => self.answer_current(step, to, &id),
            // A leader joins again to assign anew (the topics may have changed); a follower that
            // changes nothing needs only be told the generation.
            State::Stable if same && !self.is_leader(&id) => self.answer_current(step, to, &id),
            _ => {
                self.wait_in_join(step, to, &id, &request);
                self.rebalance_or_complete(step);
            }
        }
    }

    fn wait_in_join(&mut self, step: &mut Step<'_>, to: ReplyTo, id: &MemberId, request: &JoinGroup) {
        let Some(member) = self.members.get_mut(id) else { return step.refuse(to, Refusal::UnknownMemberId) };
        member.update(request);
        if let Some(earlier) = member.joining.replace(to) {
            step.refuse(earlier, Refusal::RebalanceInProgress);
        }
    }

    fn answer_current(&mut self, step: &mut Step<'_>, to: ReplyTo, id: &MemberId) {
        self.touch(id, step.now);
        let joined = self.joined(id, self.is_leader(id) && self.state == State::CompletingRebalance);
        step.answer(to, GroupReply::Joined(joined));
    }

    /// The answer to a join of this generation.
    pub(super) fn joined(&self, member: &MemberId, with_members: bool) -> JoinedGroup {
        JoinedGroup {
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            member: member.clone(),
            members: if with_members { self.roster() } else { Vec::new() },
            skip_assignment: false,
        }
    }

    /// A static member came back without its id: a new process under the same instance id (KIP-345).
    /// It takes the old member's place, and the old one is fenced.
    fn replace_static(&mut self, step: &mut Step<'_>, to: ReplyTo, old: MemberId, request: JoinGroup) {
        let Some(mut member) = self.members.remove(&old) else { return step.refuse(to, Refusal::UnknownMemberId) };
        for waiting in [member.joining.take(), member.syncing.take()].into_iter().flatten() {
            step.refuse(waiting, Refusal::FencedInstanceId);
        }
        let id = request.proposed_member.clone();
        member.id = id.clone();
        member.update(&request);
        member.settle(step.now);
        if let Some(instance) = &request.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.unsynced.remove(&old);
        if self.is_leader(&old) {
            self.leader = Some(id.clone());
        }
        self.members.insert(id.clone(), member);
        let record = (self.state == State::Stable && self.keeps_protocol())
            .then(|| self.record(step.now, |member| member.assignment.clone()));
        if let Some(Ok(record)) = record {
            step.out.append(vec![record]);
            let is_leader = self.is_leader(&id);
            let joined = JoinedGroup { skip_assignment: is_leader, ..self.joined(&id, is_leader) };
            return step.answer(to, GroupReply::Joined(joined));
        }
        self.wait_in_join(step, to, &id, &request);
        self.rebalance_or_complete(step);
    }

    /// Whether the members as they are now would choose the protocol of this generation again.
    fn keeps_protocol(&self) -> bool {
        let next: Option<Arc<str>> = self.elect_protocol();
        next.is_some() && next == self.protocol
    }
}
