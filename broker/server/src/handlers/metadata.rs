//! Metadata (key 3), v0-13: brokers, topics and who leads their partitions.
//!
//! This node is the only broker and the controller. No topics asked for means all of them: an empty list in
//! v0, null from v1 on. A topic that does not exist is made when the client allows it (v4; before that it is
//! implied) and `auto.create.topics.enable` does. v7 added leader epochs, v10 topic ids, v12 asking by id.
//!
//! Left out: authorized operations (there are no ACLs to report), racks.

use super::Scope;
use super::scope::resolve;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use pelton_core::cluster::TopicImage;
use pelton_core::event::NewTopic;
use pelton_core::model::METADATA_TOPIC;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers with the cluster as this client should see it.
pub async fn handle(scope: Scope, request: MetadataRequest) -> Option<MetadataResponse> {
    let asked = match request.topics {
        Some(topics) if !(topics.is_empty() && scope.version == 0) => Some(topics),
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
    let topics = match &asked {
        None => image
            .topics
            .iter()
            .filter(|(name, _)| &***name != METADATA_TOPIC)
            .map(|(name, topic)| describe(node, name, topic))
            .collect(),
        Some(asked) => asked
            .iter()
            .map(|asked| {
                let name = asked.name.clone().unwrap_or_default();
                let by_id = is_by_id(asked);
                match resolve(&image, by_id, &name, asked.topic_id) {
                    Ok((name, topic)) => describe(node, name, topic),
                    Err(missing) => {
                        let refusal = refused.get(name.0.as_str()).unwrap_or(&missing);
                        // The name is nullable from v12 on only.
                        MetadataResponseTopic::default()
                            .with_error_code(code(Operation::Admin, refusal))
                            .with_topic_id(asked.topic_id)
                            .with_name(if by_id && scope.version >= 12 { None } else { Some(name) })
                    }
                }
            })
            .collect(),
    };
    let (host, port) = &scope.connection.endpoint;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(node))
        .with_host(text::wire(host))
        .with_port(i32::from(*port));
    Some(
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(text::wire(&scope.server.cluster_id)))
            .with_controller_id(BrokerId(node))
            .with_topics(topics),
    )
}

/// Whether the topic is named by its id. Java's clients leave an empty name beside the id, others a null.
fn is_by_id(asked: &MetadataRequestTopic) -> bool {
    asked.name.is_none() || !asked.topic_id.is_nil()
}

/// Makes the topics that are asked for by name and do not exist; says why where it could not.
async fn create_missing(scope: &Scope, asked: &[MetadataRequestTopic]) -> BTreeMap<Arc<str>, Refusal> {
    let image = scope.image();
    let names: std::collections::BTreeSet<Arc<str>> = asked
        .iter()
        .filter(|topic| !is_by_id(topic))
        .filter_map(|topic| topic.name.as_ref())
        .map(|name| name.0.as_str())
        .filter(|name| image.topic(name).is_none() && *name != METADATA_TOPIC)
        .map(Arc::from)
        .collect();
    let mut refused = BTreeMap::new();
    let mut plain = Vec::new();
    for name in names {
        if crate::server::is_coordinator_topic(&name) {
            if let Err(refusal) = scope.server.ensure_internal_topic(&name).await {
                refused.insert(name, refusal);
            }
        } else {
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
