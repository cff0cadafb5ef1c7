//! DeleteRecords: which records a client may have deleted.

use super::{Partition, is_internal, refusal};
use crate::effect::Effect;
use crate::event::{PartitionReply, Reply, ReplyTo};
use crate::model::Offset;
use crate::refusal::Refusal;
use std::collections::BTreeMap;

impl Partition {
    /// Lets the shell delete what lies below `before`; `None` stands for the high watermark.
    pub(super) fn delete_records(&self, reply_to: ReplyTo, before: Option<Offset>) -> Option<Effect> {
        let before = match self.check_deletion(before) {
            Ok(before) => before,
            Err(why) => return refusal(reply_to, why),
        };
        let log_start = self.watermarks.log_start;
        if before <= log_start {
            let reply = PartitionReply::RecordsDeleted { low_watermark: log_start };
            return Effect::answer(reply_to, Reply::Partition(Ok(reply)));
        }
        let ReplyTo::Shell(token) = reply_to else {
            return refusal(reply_to, Refusal::InvalidRequest("only the shell deletes records".to_owned()));
        };
        Some(Effect::DeleteRecords { token, partition: self.id.clone(), before })
    }

    fn check_deletion(&self, before: Option<Offset>) -> Result<Offset, Refusal> {
        if is_internal(&self.id.topic) {
            return Err(Refusal::InvalidTopicName(format!(
                "Cannot delete records of internal topic {}",
                self.id.topic
            )));
        }
        self.check_storage()?;
        if !self.deletable {
            return Err(Refusal::PolicyViolation(format!(
                "Records of partition {} can not be deleted due to the configured policy",
                self.id
            )));
        }
        let before = before.unwrap_or(self.watermarks.high_watermark);
        if (0..=self.watermarks.high_watermark).contains(&before) { Ok(before) } else { Err(Refusal::OffsetOutOfRange) }
    }
}

/// Whether `cleanup.policy` lets records be deleted: it is not `compact` alone.
pub(super) fn is_deletable(topic_config: &BTreeMap<String, String>) -> bool {
    topic_config
        .get("cleanup.policy")
        .is_none_or(|policies| policies.split(',').any(|policy| policy.trim() == "delete"))
}
