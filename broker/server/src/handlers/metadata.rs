//! Metadata (key 3), v0-13: brokers, topics and who leads their partitions.
//!
//! This node is the only broker and the controller. No topics asked for means all of them: an empty list in
//! v0, null from v1 on. A topic that does not exist is made when the client allows it (v4; before that it is
//! implied) and `auto.create.topics.enable` does. v7 added leader epochs, v10 topic ids, v12 asking by id.
//!
//! v8 added what the client may do (KIP-430), of the cluster until v10 and of topics. Topics that the client may not see
//! are left out where all are asked for, and as good as none where one is asked for by id. A name that no topic can have is
//! INVALID_TOPIC_EXCEPTION. A topic that stands in the request twice is answered once.
//!
//! Charged with: the partitions of the topics that it makes (`controller_mutation_rate`); one over the quota is not made, and
//! UNKNOWN_TOPIC_OR_PARTITION. Its time.
//!
//! Left out: racks.
//!
//! Memory: some 60 bytes of answer for each partition of the topics that are asked for, each of them once.

use super::Scope;
use super::scope::checked_name;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use pelton_core::cluster::{ClusterImage, TopicImage, check_topic_name};
use pelton_core::event::NewTopic;
use pelton_core::model::METADATA_TOPIC;
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Answers with the cluster as this client should see it.
pub async fn handle(scope: Scope, request: MetadataRequest) -> Option<MetadataResponse> {
    let asked = match request.topics {
        Some(topics) if !(topics.is_empty() && scope.version == 0) => Some(each_once(topics)),
        _ => None,
    };
    let mut refused = BTreeMap::new();
    if let Some(topics) = &asked
        && scope.server.auto_create_topics
        && (request.allow_auto_topic_creation || scope.version < 4)
    {
        refused = create_missing(&scope, topics).await;
    }
    let image = scope.image();
    let node = scope.server.core.node_id;
    let asks_operations = scope.version >= 8 && request.include_topic_authorized_operations;
    let visible = |name: &str| scope.authorize(AclOperation::Describe, Resource::Topic(name));
    let describe = |name: &Arc<str>, topic: &TopicImage| {
        let operations = scope.authorized_operations(asks_operations, Resource::Topic(name));
        describe(node, name, topic).with_topic_authorized_operations(operations)
    };
    let topics = match &asked {
        None => image
            .topics
            .iter()
            .filter(|(name, _)| &***name != METADATA_TOPIC && visible(name))
            .map(|(name, topic)| describe(name, topic))
            .collect(),
        Some(asked) => asked
            .iter()
            .map(|asked| match find(&scope, &image, asked) {
                Ok((name, topic)) => describe(name, topic),
                Err(missing) => {
                    let name = asked.name.clone().unwrap_or_default();
                    let refusal = refused.get(name.0.as_str()).unwrap_or(&missing);
                    // The name is nullable from v12 on only.
                    let without_name = is_by_id(asked) && scope.version >= 12;
                    MetadataResponseTopic::default()
                        .with_error_code(code(Operation::Admin, refusal))
                        .with_topic_id(asked.topic_id)
                        .with_name(if without_name { None } else { Some(name) })
                }
            })
            .collect(),
    };
    let (host, port) = &scope.connection.endpoint;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(node))
        .with_host(text::wire(host))
        .with_port(i32::from(*port));
    let asks_operations = (8..=10).contains(&scope.version) && request.include_cluster_authorized_operations;
    Some(
        MetadataResponse::default()
            .with_cluster_authorized_operations(scope.authorized_operations(asks_operations, Resource::Cluster))
            .with_brokers(vec![broker])
            .with_cluster_id(Some(text::wire(&scope.server.cluster_id)))
            .with_controller_id(BrokerId(node))
            .with_topics(topics),
    )
}

/// The topics, each where it stands first.
fn each_once(mut asked: Vec<MetadataRequestTopic>) -> Vec<MetadataRequestTopic> {
    let mut seen = BTreeSet::new();
    asked.retain(|topic| {
        seen.insert(match is_by_id(topic) {
            true => (None, topic.topic_id),
            false => (topic.name.clone(), Uuid::nil()),
        })
    });
    asked
}

/// The topic, if the client may see it.
fn find<'a>(
    scope: &Scope,
    image: &'a ClusterImage,
    asked: &MetadataRequestTopic,
) -> Result<(&'a Arc<str>, &'a TopicImage), Refusal> {
    if is_by_id(asked) {
        // Ids tell nothing to those who may not see the topic.
        return scope.topic_by_id(AclOperation::Describe, image, asked.topic_id).map_err(|_| Refusal::UnknownTopicId);
    }
    let name = asked.name.clone().unwrap_or_default();
    scope.topic(AclOperation::Describe, image, &name).map_err(|refusal| checked_name(&name.0, refusal))
}

/// Whether the topic is named by its id. Java's clients leave an empty name beside the id, others a null.
fn is_by_id(asked: &MetadataRequestTopic) -> bool {
    asked.name.is_none() || !asked.topic_id.is_nil()
}

/// Makes the topics that are asked for by name and do not exist; says why where it could not.
async fn create_missing(scope: &Scope, asked: &[MetadataRequestTopic]) -> BTreeMap<Arc<str>, Refusal> {
    let image = scope.image();
    let names: BTreeSet<Arc<str>> = asked
        .iter()
        .filter(|topic| !is_by_id(topic))
        .filter_map(|topic| topic.name.as_ref())
        .map(|name| name.0.as_str())
        .filter(|name| image.topic(name).is_none() && *name != METADATA_TOPIC)
        .filter(|name| scope.authorize(AclOperation::Describe, Resource::Topic(name)))
        .map(Arc::from)
        .collect();
    let mut refused = BTreeMap::new();
    let mut plain = Vec::new();
    for name in names {
        let allowed = scope.require(AclOperation::Create, Resource::Cluster);
        if let Err(refusal) = allowed.or_else(|_| scope.require(AclOperation::Create, Resource::Topic(&name))) {
            refused.insert(name, refusal);
        } else if crate::server::is_coordinator_topic(&name) {
            if let Err(refusal) = scope.server.ensure_internal_topic(&name).await {
                refused.insert(name, refusal);
            }
        } else if check_topic_name(&name).is_err()
            || scope.charging.mutate(scope.server.core.num_partitions, true).is_ok()
        {
            // A name that no topic can have is refused below, and free. What is over the quota is not made, so it is not there.
            let id = crate::server::new_topic_id();
            let configs = BTreeMap::new();
            plain.push(NewTopic { name, id, partitions: -1, replication_factor: -1, configs, internal: false });
        }
    }
    if plain.is_empty() {
        return refused;
    }
    match scope.server.create_topics(plain, false).await {
        Ok(results) => refused.extend(
            results
                .into_iter()
                .filter_map(|(name, result)| Some((name, result.err()?)))
                .filter(|(_, refusal)| *refusal != Refusal::TopicAlreadyExists),
        ),
        Err(refusal) => tracing::warn!(%refusal, "topics could not be created for a metadata request"),
    }
    refused
}

fn describe(node: i32, name: &Arc<str>, topic: &TopicImage) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(node))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(node)])
            .with_isr_nodes(vec![BrokerId(node)])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text::wire(name))))
        .with_topic_id(text::uuid(topic.id))
        .with_is_internal(topic.internal)
        .with_partitions((0..topic.partitions).map(partition).collect())
}
