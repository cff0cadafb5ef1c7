//! When what was written is made durable, and when it counts as committed.
//!
//! Under `durability=fsync` every write asks for a sync and the high watermark waits for it. Under `replicated` a write
//! is committed at once, and a sync is asked for after `flush.messages` records (then the high watermark waits for it,
//! as Kafka's append does) and after `flush.ms` (then nobody waits).

use super::Partition;
use crate::effect::Effect;
use crate::model::{Offset, PartId, Timestamp};

/// The syncs of one partition.
#[derive(Debug)]
pub(super) struct Syncs {
    /// One past the last offset that the shell was asked to sync.
    asked: Offset,
    /// The high watermark must not pass on its own before everything below this is synced.
    awaited: Option<Offset>,
    /// When `flush.ms` is up.
    due: Option<Timestamp>,
}

impl Syncs {
    /// Everything below `log_end` is durable.
    pub fn through(log_end: Offset) -> Self {
        Self { asked: log_end, awaited: None, due: None }
    }

    /// The log ends at `log_end` after all.
    pub fn undo_to(&mut self, log_end: Offset) {
        self.asked = self.asked.min(log_end);
        self.awaited = self.awaited.map(|awaited| awaited.min(log_end));
    }
}

impl Partition {
    /// After a write: commits it, now or when the shell has synced it.
    pub(super) fn make_durable(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let through = self.watermarks.log_end;
        if self.durability.synced {
            self.ask_sync(effects);
            return;
        }
        if through - self.syncs.asked >= self.durability.flush_messages {
            self.ask_sync(effects);
            self.syncs.awaited = Some(through);
            return;
        }
        if self.syncs.awaited.is_none() {
            self.commit_through(through, effects);
        }
        if let (Some(flush_ms), None) = (self.durability.flush_ms, self.syncs.due) {
            let at = now.plus_ms(flush_ms);
            self.syncs.due = Some(at);
            effects.push(Effect::WakeAt { part: PartId::Partition(self.id.clone()), at });
        }
    }

    /// Everything below `through` is durable.
    pub(super) fn flushed(&mut self, through: Offset, effects: &mut Vec<Effect>) {
        if self.durability.synced || self.syncs.awaited.is_some_and(|awaited| awaited > through) {
            return self.commit_through(through, effects);
        }
        self.syncs.awaited = None;
        self.commit_through(self.watermarks.log_end, effects);
    }

    /// Time has passed: what `flush.ms` lets stay unsynced no longer is synced.
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.syncs.due.is_some_and(|due| due <= now) {
            self.syncs.due = None;
            if self.storage_failure.is_none() && self.watermarks.log_end > self.syncs.asked {
                self.ask_sync(effects);
            }
        }
    }

    fn ask_sync(&mut self, effects: &mut Vec<Effect>) {
        let through = self.watermarks.log_end;
        self.syncs.asked = through;
        effects.push(Effect::Flush { partition: self.id.clone(), through });
    }
}
