//! What may be read, and when: Fetch, Watch and ListOffsets.

use super::{Partition, refusal};
use crate::effect::Effect;
use crate::event::{Fetched, OffsetLookup, PartitionReply, Records, Reply, ReplyTo};
use crate::model::{Isolation, LeaderEpoch, Offset, Token};
use crate::refusal::Refusal;

/// What a reader wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub offset: Offset,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub max_bytes: usize,
    pub isolation: Isolation,
}

impl Partition {
    pub(super) fn fetch(&self, reply_to: ReplyTo, wanted: &Wanted) -> Option<Effect> {
        let checked =
            self.check_leader_epoch(wanted.current_leader_epoch).and_then(|()| self.check_offset(wanted.offset));
        if let Err(why) = checked {
            return refusal(reply_to, why);
        }
        let answer = Fetched {
            records: Records::EMPTY,
            watermarks: self.watermarks,
            leader_epoch: self.leader_epoch,
            aborted: Vec::new(),
        };
        let end = self.watermarks.readable_end(wanted.isolation);
        if wanted.offset >= end {
            return Effect::answer(reply_to, Reply::Partition(Ok(PartitionReply::Fetched(answer))));
        }
        let Some(token) = token_of(&reply_to) else {
            return not_the_shell(reply_to);
        };
        Some(Effect::Read {
            token,
            partition: self.id.clone(),
            from: wanted.offset,
            end,
            max_bytes: wanted.max_bytes,
            with_aborted: wanted.isolation == Isolation::ReadCommitted,
            answer,
        })
    }

    pub(super) fn watch(&mut self, reply_to: ReplyTo, offset: Offset, isolation: Isolation) -> Option<Effect> {
        if let Err(why) = self.check_offset(offset) {
            return refusal(reply_to, why);
        }
        if self.watermarks.readable_end(isolation) > offset {
            return Effect::answer(reply_to, Reply::Partition(Ok(PartitionReply::Readable)));
        }
        let token = token_of(&reply_to);
        let turned_away = self.readers(isolation).park(offset + 1, token, reply_to).err()?;
        refusal(turned_away, Refusal::RequestTimedOut)
    }

    pub(super) fn locate(
        &self,
        reply_to: ReplyTo,
        lookup: OffsetLookup,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Option<Effect> {
        if let Err(why) = self.check_leader_epoch(current_leader_epoch) {
            return refusal(reply_to, why);
        }
        let end = self.watermarks.readable_end(isolation);
        let found = match lookup {
            OffsetLookup::Earliest => self.watermarks.log_start,
            OffsetLookup::Latest => end,
            OffsetLookup::MaxTimestamp | OffsetLookup::AtOrAfter(_) | OffsetLookup::EpochEnd(_) => {
                let Some(token) = token_of(&reply_to) else {
                    return not_the_shell(reply_to);
                };
                let (partition, leader_epoch) = (self.id.clone(), self.leader_epoch);
                return Some(Effect::Locate { token, partition, lookup, end, leader_epoch });
            }
        };
        let located = PartitionReply::Located { found: Some((found, None)), leader_epoch: self.leader_epoch };
        Effect::answer(reply_to, Reply::Partition(Ok(located)))
    }

    fn check_offset(&self, offset: Offset) -> Result<(), Refusal> {
        if (self.watermarks.log_start..=self.watermarks.log_end).contains(&offset) {
            Ok(())
        } else {
            Err(Refusal::OffsetOutOfRange)
        }
    }

    fn check_leader_epoch(&self, current: Option<LeaderEpoch>) -> Result<(), Refusal> {
        match current {
            Some(current) if current < self.leader_epoch => Err(Refusal::FencedLeaderEpoch),
            Some(current) if current > self.leader_epoch => Err(Refusal::UnknownLeaderEpoch),
            Some(_) | None => Ok(()),
        }
    }
}

/// The token under which the shell, which reads the log, gives the answer itself.
fn token_of(reply_to: &ReplyTo) -> Option<Token> {
    match reply_to {
        ReplyTo::Shell(token) => Some(*token),
        ReplyTo::Part(..) | ReplyTo::Nobody => None,
    }
}

fn not_the_shell(reply_to: ReplyTo) -> Option<Effect> {
    refusal(reply_to, Refusal::InvalidRequest("only the shell reads the log".to_owned()))
}
