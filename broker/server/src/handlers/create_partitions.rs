//! CreatePartitions (key 37), v0-3: gives topics more partitions (KIP-195).
//!
//! The count is the total that a topic is to have; fewer or as many as there are is INVALID_PARTITIONS. An assignment by
//! hand must have one list of brokers for each new partition, with this node alone in it. Records and committed offsets stay
//! where they are, and what is attached to a topic counts the new partitions when the answer leaves. A topic that stands in the
//! request twice is refused; the others are enlarged one by one. v2 is flexible.
//!
//! Charged with: the partitions that topics can be given, one topic after the other, also when they are only validated
//! (`controller_mutation_rate`, KIP-599); its time. From v3 on a topic over the quota is refused, THROTTLING_QUOTA_EXCEEDED; before,
//! all are enlarged, and the client is throttled.
//!
//! Left out: the timeout, since nothing waits for another broker; partitions of the topics that the broker keeps its own
//! state in, which are found by their number.
//!
//! Memory: for each topic of the request a result, and some hundred bytes for each new partition, which are bounded by those
//! of the cluster.

use super::Scope;
use super::charging::{Denied, next_result};
use super::create_topics::check_replicas;
use super::scope::repeated;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::NONE;
use crate::protocol::text;
use crate::topic_configs;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use pelton_core::event::MorePartitions;
use pelton_core::refusal::Refusal;

/// First version that is refused what is over its client's quota.
const STRICT: i16 = 3;

/// A topic that is to be enlarged, or why it is not.
type Checked = Result<MorePartitions, Denied>;

/// Enlarges the topics, or only checks that it could.
pub async fn handle(scope: Scope, request: CreatePartitionsRequest) -> Option<CreatePartitionsResponse> {
    let repeated = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut checked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = if repeated.contains(&topic.name) {
            Err(Refusal::InvalidRequest("Duplicate topic name.".to_owned()))
        } else {
            check(&scope, topic)
        };
        let wanted = || MorePartitions { name: topic.name.0.as_str().into(), count: topic.count };
        checked.push(result.map(|()| wanted()).map_err(Denied::from));
    }
    if scope.charging.is_on() {
        charge(&scope, &mut checked).await;
    }
    let wanted: Vec<MorePartitions> = checked.iter().filter_map(|checked| checked.clone().ok()).collect();
    let grown = if wanted.is_empty() {
        Ok(Vec::new())
    } else {
        topic_configs::grow(&scope.server, wanted, &scope.by(), request.validate_only).await
    };
    let mut grown = grown.map(Vec::into_iter);
    let results = request.topics.into_iter().zip(checked).map(|(topic, checked)| {
        let refusal = checked.and_then(|_| next_result(&mut grown)).err();
        CreatePartitionsTopicResult::default()
            .with_name(topic.name)
            .with_error_code(refusal.as_ref().map_or(NONE, Denied::code))
            .with_error_message(refusal.map(|refusal| text::wire(&refusal.to_string())))
    });
    Some(CreatePartitionsResponse::default().with_results(results.collect()))
}

/// Charges for those that can be enlarged, and denies those that are over the quota.
async fn charge(scope: &Scope, checked: &mut [Checked]) {
    let (image, wanted): (_, Vec<_>) =
        (scope.image(), checked.iter().filter_map(|checked| checked.clone().ok()).collect());
    // Who is refused as a whole is so once more when the topics are to be enlarged, and told why.
    let Ok(possible) = topic_configs::grow(&scope.server, wanted, &scope.by(), true).await else { return };
    let added = |more: &MorePartitions| {
        more.count.saturating_sub(image.topic(&more.name).map_or(0, |described| described.partitions))
    };
    scope.charging.mutate_each(checked, possible, added, scope.version >= STRICT);
}

/// What can be said without the cluster part: whether the client may, and whether the assignment fits.
fn check(scope: &Scope, topic: &CreatePartitionsTopic) -> Result<(), Refusal> {
    scope.require(AclOperation::Alter, Resource::Topic(&topic.name.0))?;
    let image = scope.image();
    let Some(described) = image.topic(&topic.name.0) else { return Err(Refusal::UnknownTopicOrPartition) };
    let Some(assignments) = &topic.assignments else { return Ok(()) };
    let more = topic.count.saturating_sub(described.partitions).max(0);
    // Fewer partitions than there are is for the cluster part to refuse.
    if more > 0 && usize::try_from(more).ok() != Some(assignments.len()) {
        return Err(Refusal::InvalidReplicaAssignment(format!(
            "{more} partitions are added and {} assignments given; give one for each",
            assignments.len()
        )));
    }
    assignments.iter().try_for_each(|assignment| check_replicas(scope.server.core.node_id, &assignment.broker_ids))
}
