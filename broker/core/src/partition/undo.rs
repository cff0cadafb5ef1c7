//! Taking back what the log had no room for.
//!
//! A machine decides a write before the shell makes it. When the medium is full, the log is as it was before and can
//! be written again as soon as there is room, so what was decided on top of it is taken back: offsets, sequences,
//! transactions. Every write leaves here what it changed, until the shell has performed it.
//!
//! Invariant: after [`Partition::take_back`] the machine is what it would be had it refused what was not written.

use super::producer_state::Remembered;
use super::{Partition, refusal};
use crate::effect::Effect;
use crate::model::{Offset, ProducerId};
use crate::refusal::Refusal;

/// What one write of a producer changed, beside the end of the log.
#[derive(Debug)]
pub(super) struct Change {
    /// Where it was written.
    pub base_offset: Offset,
    /// Whose it was.
    pub producer_id: ProducerId,
    /// The producer before.
    pub before: Remembered,
    /// The first offset of the transaction that it opened.
    pub begun: Option<Offset>,
    /// The first offset of the transaction that it ended.
    pub decided: Option<Offset>,
}

impl Partition {
    /// The shell has performed what was asked for in all steps but this one, which has this number.
    pub fn performed_before(&mut self, step: u64) {
        if self.step != step {
            self.step = step;
            self.unperformed.clear();
        }
    }

    /// The log had no room and ends at `log_end`: what was decided beyond is taken back and refused.
    pub(super) fn take_back(&mut self, log_end: Offset, message: &str, effects: &mut Vec<Effect>) {
        if log_end >= self.watermarks.log_end {
            return;
        }
        while let Some(change) = self.unperformed.pop_if(|change| change.base_offset >= log_end) {
            if let Some(first) = change.begun {
                self.transactions.not_begun(first);
            }
            if let Some(first) = change.decided {
                self.transactions.not_decided(first);
            }
            self.producers.put_back(change.producer_id, change.before);
        }
        self.watermarks.log_end = log_end;
        self.watermarks.high_watermark = self.watermarks.high_watermark.min(log_end);
        self.syncs.undo_to(log_end);
        self.update_last_stable();
        let why = Refusal::NoRoom(message.to_owned());
        for waiting in self.appends.take_above(log_end) {
            effects.extend(refusal(waiting.reply_to, why.clone()));
        }
    }
}
