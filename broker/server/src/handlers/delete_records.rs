//! DeleteRecords (key 21), v0-2: deletes the records of partitions below an offset.
//!
//! Offset -1 stands for the high watermark. The answer tells where each partition starts now. Topics that are only
//! compacted and the broker's own are refused (POLICY_VIOLATION, INVALID_TOPIC_EXCEPTION), and so is an offset past the
//! high watermark (OFFSET_OUT_OF_RANGE). What was deleted stays deleted after a crash; the files of whole segments go after
//! `file.delete.delay.ms`. v2 is flexible.

use super::Scope;
use super::of_each_partition::{answered, begin, reply};
use super::scope::unexpected;
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
    let begun = begin(
        request.topics.into_iter().map(|topic| (topic.name, topic.partitions)),
        |name| scope.topic(AclOperation::Delete, &image, name),
        |asked| asked.partition_index,
        |partition, asked| {
            let before = (asked.offset != HIGH_WATERMARK).then_some(asked.offset);
            scope.ask_partition(partition, PartitionRequest::DeleteRecords { before })
        },
    );
    let topics = answered(begun, |index, pending| answer(index, pending, deadline)).await;
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions));
    Some(DeleteRecordsResponse::default().with_topics(topics.collect()))
}

async fn answer(index: i32, pending: Result<Pending, Refusal>, deadline: Instant) -> DeleteRecordsPartitionResult {
    let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
    match low_watermark(pending, deadline).await {
        Ok(low_watermark) => result.with_low_watermark(low_watermark),
        Err(refusal) => result.with_low_watermark(-1).with_error_code(code(Operation::Admin, &refusal)),
    }
}

async fn low_watermark(pending: Result<Pending, Refusal>, deadline: Instant) -> Result<Offset, Refusal> {
    match tokio::time::timeout_at(deadline, reply(pending)).await.map_err(|_| Refusal::RequestTimedOut)?? {
        PartitionReply::RecordsDeleted { low_watermark } => Ok(low_watermark),
        other => Err(unexpected(&other)),
    }
}
