//! LeaveGroup: members that go, or that an administrator removes by instance id.

use super::{ClassicGroup, Step};
use crate::event::{GroupReply, LeaveResult, LeavingMember, ReplyTo};
use crate::refusal::Refusal;

impl ClassicGroup {
    /// Decides a leave: each member by itself, then one rebalance for all.
    pub(in crate::group) fn leave(&mut self, step: &mut Step<'_>, to: ReplyTo, leaving: Vec<LeavingMember>) {
        let mut results = Vec::with_capacity(leaving.len());
        let mut any_left = false;
        for leaver in leaving {
            let refusal = self.leave_one(step, &leaver).err();
            any_left |= refusal.is_none();
            results.push(LeaveResult { member: leaver.member, instance: leaver.instance, refusal });
        }
        step.answer(to, GroupReply::Left(results));
        if any_left {
            self.after_departure(step);
        }
    }

    fn leave_one(&mut self, step: &mut Step<'_>, leaver: &LeavingMember) -> Result<(), Refusal> {
        let id = if leaver.member.is_empty() {
            let holder = leaver.instance.as_ref().and_then(|instance| self.instances.get(instance));
            holder.cloned().ok_or(Refusal::UnknownMemberId)?
        } else if self.pending.remove(&leaver.member).is_some() {
            return Ok(());
        } else {
            self.check_member(&leaver.member, leaver.instance.as_ref())?;
            leaver.member.clone()
        };
        self.remove(step, &id, Refusal::UnknownMemberId);
        Ok(())
    }
}
