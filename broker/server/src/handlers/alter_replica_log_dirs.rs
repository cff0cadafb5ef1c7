//! AlterReplicaLogDirs (key 34), v1-2: moves logs from one directory of `log.dirs` to another (KIP-113).
//!
//! v2 is flexible. The answer says that a move has begun; DescribeLogDirs shows how far it is. Where the log is in that
//! directory already, a move to another one is given up.
//!
//! Left out: naming the directory of a partition before it is there.

use super::Scope;
use super::scope::{partition_of, resolve};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

/// Begins the moves.
pub async fn handle(scope: Scope, request: AlterReplicaLogDirsRequest) -> Option<AlterReplicaLogDirsResponse> {
    let image = scope.image();
    let allowed = scope.require(AclOperation::Alter, Resource::Cluster);
    let mut results = Vec::new();
    for dir in request.dirs {
        let to = scope.server.directories.named(&dir.path).ok_or_else(|| Refusal::LogDirNotFound(dir.path.to_string()));
        for topic in dir.topics {
            let resolved = resolve(&image, false, &topic.name, Uuid::nil());
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for index in topic.partitions {
                let found = resolved.clone().and_then(|(name, described)| partition_of(name, described, index));
                // Kafka's code for this request, whatever the reason that the log is not here.
                let to = allowed.clone().and_then(|()| to.clone());
                let outcome = match (found.map_err(|_| Refusal::ReplicaNotAvailable), to) {
                    (_, Err(refusal)) | (Err(refusal), _) => Err(refusal),
                    (Ok(partition), Ok(to)) => scope.server.driver.move_log(partition, to).await,
                };
                let error_code = outcome.err().map_or(NONE, |refusal| code(Operation::Admin, &refusal));
                let result = AlterReplicaLogDirPartitionResult::default();
                partitions.push(result.with_partition_index(index).with_error_code(error_code));
            }
            let result = AlterReplicaLogDirTopicResult::default();
            results.push(result.with_topic_name(topic.name).with_partitions(partitions));
        }
    }
    Some(AlterReplicaLogDirsResponse::default().with_results(results))
}
