//! CreateTopics (key 19), v2-7: makes topics.
//!
//! From v4 on -1 stands for the broker's default of partitions and replicas (KIP-464). v5 returns what was made
//! (KIP-525), v7 the topic's id. An assignment by hand is accepted when it names this node for partitions that are
//! numbered from 0. A name that stands in the request twice is refused; the others are made one by one.
//!
//! Left out: the configs of the answer (v5), which clients get from DescribeConfigs; the timeout, since creation
//! does not wait for another broker.

use super::Scope;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use crate::topic_configs;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use pelton_core::event::NewTopic;
use pelton_core::model::TopicId;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Creates the topics, or only checks them.
pub async fn handle(scope: Scope, request: CreateTopicsRequest) -> Option<CreateTopicsResponse> {
    let node = scope.server.core.node_id;
    let mut named = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_insert(0usize) += 1;
    }
    let mut wanted = Vec::new();
    let mut checked: Vec<Result<(), Refusal>> = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let new = if named[&topic.name] > 1 {
            Err(Refusal::InvalidRequest(format!("the request names {} more than once", topic.name.0)))
        } else {
            new_topic(node, topic)
        };
        checked.push(new.map(|new| wanted.push(new)));
    }
    let replications: Vec<i16> = wanted.iter().map(|topic| topic.replication_factor.max(1)).collect();
    let partitions: Vec<i32> =
        wanted.iter().map(|t| if t.partitions < 0 { scope.server.core.num_partitions } else { t.partitions }).collect();
    let created = if wanted.is_empty() {
        Ok(Vec::new())
    } else {
        topic_configs::create(&scope.server, wanted, request.validate_only).await
    };
    let mut made = partitions.into_iter().zip(replications);
    let mut created = created.map(Vec::into_iter);
    let results = request.topics.into_iter().zip(checked).map(|(topic, check)| {
        let result = check.and_then(|()| {
            let sizes = made.next();
            match &mut created {
                Ok(results) => match results.next() {
                    Some((_, result)) => result.map(|id| (id, sizes)),
                    None => Err(Refusal::RequestTimedOut),
                },
                Err(refusal) => Err(refusal.clone()),
            }
        });
        topic_result(scope.version, topic, result)
    });
    Some(CreateTopicsResponse::default().with_topics(results.collect()))
}

fn new_topic(node: i32, topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let mut partitions = topic.num_partitions;
    let mut replication_factor = topic.replication_factor;
    if !topic.assignments.is_empty() {
        if partitions != -1 || replication_factor != -1 {
            let message = "give either an assignment, or numbers of partitions and replicas, not both";
            return Err(Refusal::InvalidRequest(message.to_owned()));
        }
        let mut indexes: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
        indexes.sort_unstable();
        if indexes.iter().enumerate().any(|(expected, index)| *index != expected as i32) {
            let message = "number the partitions of an assignment from 0, each once";
            return Err(Refusal::InvalidReplicaAssignment(message.to_owned()));
        }
        if topic.assignments.iter().any(|a| a.broker_ids.len() != 1 || a.broker_ids[0].0 != node) {
            let message = format!("every partition must be on broker {node}, the only one there is");
            return Err(Refusal::InvalidReplicaAssignment(message));
        }
        partitions = topic.assignments.len() as i32;
        replication_factor = 1;
    }
    let configs = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.as_str().to_owned(), config.value.as_ref()?.as_str().to_owned())));
    Ok(NewTopic {
        name: topic.name.0.as_str().into(),
        id: crate::server::new_topic_id(),
        partitions,
        replication_factor,
        configs: configs.collect(),
        internal: false,
    })
}

fn topic_result(
    version: i16,
    topic: CreatableTopic,
    result: Result<(TopicId, Option<(i32, i16)>), Refusal>,
) -> CreatableTopicResult {
    let response = CreatableTopicResult::default().with_name(topic.name);
    match result {
        Ok((id, sizes)) => {
            let (partitions, replication) = sizes.filter(|_| version >= 5).unwrap_or((-1, -1));
            response.with_topic_id(text::uuid(id)).with_num_partitions(partitions).with_replication_factor(replication)
        }
        Err(refusal) => response
            .with_error_code(code(Operation::Admin, &refusal))
            .with_error_message(Some(text::wire(&refusal.to_string()))),
    }
}
