//! ElectLeaders (key 43), v0-2: has partitions led by their preferred replica, or by any (KIP-183, KIP-460).
//!
//! Every partition is led by its only replica, so none needs an election: ELECTION_NOT_NEEDED for each that is named. Where
//! none are named (null) all are meant, and those that need none are left out of the answer, as in Kafka. v1 added the type
//! (0 preferred, 1 unclean), v2 is flexible.
//!
//! Left out: the timeout, since nothing is waited for.
//!
//! Memory: some 80 bytes of answer for each 4 bytes that name a partition.

use super::Scope;
use super::scope::{partition_of, resolve};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

/// Says of each partition that its leader is the right one.
pub async fn handle(scope: Scope, request: ElectLeadersRequest) -> Option<ElectLeadersResponse> {
    let allowed = scope.require(AclOperation::Alter, Resource::Cluster);
    let known = matches!(request.election_type, 0 | 1).then_some(()).ok_or_else(|| {
        Refusal::InvalidRequest(format!("{} is no election type: 0 is preferred, 1 unclean", request.election_type))
    });
    let whole = allowed.and(known).err();
    let whole_code = whole.as_ref().map(|refusal| code(Operation::Admin, refusal));
    let image = scope.image();
    let results = request.topic_partitions.unwrap_or_default().into_iter().map(|asked| {
        let topic = resolve(&image, false, &asked.topic, Uuid::nil());
        let partitions = asked.partitions.into_iter().map(|index| {
            let partition = topic.clone().and_then(|(name, described)| partition_of(name, described, index));
            let refusal = whole.clone().or(partition.err());
            let (error, message) = match &refusal {
                Some(refusal) => (code(Operation::Admin, refusal), refusal.to_string()),
                None => {
                    let message = "the partition has its preferred leader";
                    (ResponseError::ElectionNotNeeded.code(), message.to_owned())
                }
            };
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error)
                .with_error_message(Some(text::wire(&message)))
        });
        let partitions = partitions.collect();
        ReplicaElectionResult::default().with_topic(asked.topic).with_partition_result(partitions)
    });
    let results = results.collect();
    // v0 has no place for an error of the whole.
    let error = whole_code.filter(|_| scope.version >= 1).unwrap_or_default();
    Some(ElectLeadersResponse::default().with_error_code(error).with_replica_election_results(results))
}
