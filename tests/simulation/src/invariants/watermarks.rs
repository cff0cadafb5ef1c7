//! log start offset <= last stable offset <= high watermark <= log end offset; none of them ever goes back, not over a
//! crash either but for the log end; and the last stable offset is the one that the records themselves show.
//!
//! Tried by: the last stable offset moves when a marker is written, not when it is committed (`OpenTransactions::committed`
//! forgets what waits); decisions are not resumed after a restart (a transaction hangs in the end); a transactional batch is
//! appended without asking the coordinator (a late one opens a transaction that nobody ends); a batch from which all
//! records were taken away opens no transaction (`Producers::appended`).

use super::{Decisions, Facts, Invariant};
use pelton_core::model::{TopicPartition, Watermarks};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct WatermarkOrder {
    last: BTreeMap<TopicPartition, Watermarks>,
    decisions: Decisions,
}

impl Invariant for WatermarkOrder {
    fn name(&self) -> &'static str {
        "watermark order"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        self.decisions.take(facts.added)?;
        for (partition, (now, log_end)) in facts.watermarks {
            let at = |what: &str| Err(format!("{partition}: {what}: {now:?}"));
            let ordered = now.log_start <= now.last_stable
                && now.last_stable <= now.high_watermark
                && now.high_watermark <= now.log_end;
            if !ordered {
                return at("out of order");
            }
            // A write that the medium refused leaves the partition's idea of its end ahead, until the restart.
            if *log_end < now.high_watermark || (now.log_end != *log_end && !facts.storage_failed) {
                return at(&format!("the log on the medium ends at {log_end}"));
            }
            let stable = self.decisions.first_open(partition).unwrap_or(now.high_watermark);
            if now.last_stable != stable {
                return at(&format!("by the records, the last stable offset is {stable}"));
            }
            if let Some(before) = self.last.insert(partition.clone(), *now) {
                let back = now.log_start < before.log_start
                    || now.last_stable < before.last_stable
                    || now.high_watermark < before.high_watermark;
                if back {
                    return at(&format!("went back from {before:?}"));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        for (partition, (now, _)) in facts.watermarks {
            if now.last_stable != now.log_end {
                return Err(format!("{partition}: a transaction hangs, or a record is never committed: {now:?}"));
            }
        }
        Ok(())
    }
}
