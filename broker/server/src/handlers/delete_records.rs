//! DeleteRecords (key 21), v0-2: deletes the records of partitions below an offset.
//!
//! Offset -1 stands for the high watermark. The answer tells where each partition starts now. Topics that are only
//! compacted and the broker's own are refused (POLICY_VIOLATION, INVALID_TOPIC_EXCEPTION), and so is an offset past the
//! high watermark (OFFSET_OUT_OF_RANGE). What was deleted stays deleted after a crash. v2 is flexible.

use super::Scope;
use super::scope::{partition_answer, partition_of, unexpected};
use crate::auth::AclOperation;
use crate::driver::Pending;
use crate::protocol::error_code::{Operation, code};
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use pelton_core::event::{PartitionReply, PartitionRequest};
use pelton_core::model::Offset;
use pelton_core::refusal::Refusal;
use std::time::Duration;
use tokio::time::Instant;

/// Kafka's word for the high watermark.
const HIGH_WATERMARK: Offset = -1;

/// Deletes in every partition that is named.
pub async fn handle(scope: Scope, request: DeleteRecordsRequest) -> Option<DeleteRecordsResponse> {
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let image = scope.image();
    let mut begun = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let resolved = scope.topic(AclOperation::Delete, &image, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let pending = resolved.clone().and_then(|(name, described)| {
                let partition = partition_of(name, described, asked.partition_index)?;
                let before = (asked.offset != HIGH_WATERMARK).then_some(asked.offset);
                Ok(scope.ask_partition(partition, PartitionRequest::DeleteRecords { before }))
            });
            partitions.push((asked.partition_index, pending));
        }
        begun.push((topic.name, partitions));
    }
    let mut topics = Vec::with_capacity(begun.len());
    for (name, asked) in begun {
        let mut partitions = Vec::with_capacity(asked.len());
        for (index, pending) in asked {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
            partitions.push(match low_watermark(pending, deadline).await {
                Ok(low_watermark) => result.with_low_watermark(low_watermark),
                Err(refusal) => result.with_low_watermark(-1).with_error_code(code(Operation::Admin, &refusal)),
            });
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions));
    }
    Some(DeleteRecordsResponse::default().with_topics(topics))
}

async fn low_watermark(pending: Result<Pending, Refusal>, deadline: Instant) -> Result<Offset, Refusal> {
    let reply = tokio::time::timeout_at(deadline, pending?).await.map_err(|_| Refusal::RequestTimedOut)?;
    match partition_answer(reply)? {
        PartitionReply::RecordsDeleted { low_watermark } => Ok(low_watermark),
        other => Err(unexpected(&other)),
    }
}
