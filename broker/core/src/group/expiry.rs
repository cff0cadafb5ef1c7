//! Forgetting offsets and groups that nobody uses (`offsets.retention.minutes`; KIP-211).
//!
//! - A group that never had members: each offset expires by its own commit.
//! - A group whose members are gone: all expire together, by when the last member left. An offset that was committed
//!   since then, by a tool, is kept for the whole retention; Kafka would forget it with the others.
//! - A stable group of consumers: offsets of topics that no member subscribes to expire by their own commit.
//! - In any of these, an offset that was committed with a retention of its own (OffsetCommit v2 to v4) expires by that.
//! - Of every other group, and where a transaction is open, nothing expires.
//!
//! A group that has neither members nor offsets is forgotten at the next search.

use super::classic::State;
use super::{Group, Groups, Step, offsets};
use crate::config::CoreConfig;
use crate::coordinator::NewRecord;
use crate::model::Timestamp;
use std::sync::Arc;

/// How soon the search goes on when it found more than it may forget at once.
const SWEEP_AGAIN_MS: i64 = 1_000;
/// How many records one search may write, but for those of its last group.
const SWEEP_RECORDS: usize = 10_000;

impl Groups {
    /// When offsets and groups that nobody uses are looked for next.
    pub(super) fn schedule_sweep(&mut self, now: Timestamp) {
        self.next_sweep = Some(now.plus_ms(self.config.offsets_retention_check_interval_ms.max(1)));
    }

    /// Forgets offsets and groups that nobody has used for the retention.
    pub(super) fn sweep(&mut self, step: &mut Step<'_>) {
        let mut records = Vec::new();
        for (id, group) in &self.groups {
            if records.len() >= SWEEP_RECORDS {
                break;
            }
            group.sweep(id, step.now, step.config, &mut records);
        }
        if records.len() >= SWEEP_RECORDS {
            self.next_sweep = Some(step.now.plus_ms(SWEEP_AGAIN_MS));
        } else {
            self.schedule_sweep(step.now);
        }
        step.out.append(records);
    }
}

impl Group {
    fn sweep(&self, id: &Arc<str>, now: Timestamp, config: &CoreConfig, records: &mut Vec<NewRecord>) {
        let classic = &self.classic;
        let retention_ms = config.offsets_retention_ms;
        if classic.is_deserted() {
            let unused_since = classic.has_protocol_type().then(|| classic.state_since());
            let expired = self.offsets.expired(now, retention_ms, unused_since, |_| true);
            let nothing_left = self.offsets.settled_len() == Some(expired.len());
            records.extend(expired.into_iter().map(|partition| offsets::tombstone(id, partition)));
            if nothing_left && classic.is_stored() {
                records.push(NewRecord { key: classic.record_key(), value: None });
            }
        } else if classic.state() == State::Stable && classic.is_of_consumers() && !self.offsets.is_empty() {
            let subscriptions = classic.subscriptions();
            let expired = self.offsets.expired(now, retention_ms, None, |topic| !subscriptions.may_include(topic));
            records.extend(expired.into_iter().map(|partition| offsets::tombstone(id, partition)));
        }
    }
}
