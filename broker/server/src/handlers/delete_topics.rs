//! DeleteTopics (key 20), v1-6: removes topics, with their logs.
//!
//! v5 added error messages, v6 topic ids in place of names (KIP-516).
//!
//! Left out: the timeout, since deletion does not wait for another broker.

use super::Scope;
use super::scope::resolve;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use pelton_core::model::TopicId;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deletes the topics that exist.
pub async fn handle(scope: Scope, request: DeleteTopicsRequest) -> Option<DeleteTopicsResponse> {
    let image = scope.image();
    let asked: Vec<DeleteTopicState> = if scope.version >= 6 {
        request.topics
    } else {
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
    };
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut resolved: Vec<Result<(Arc<str>, TopicId), Refusal>> = Vec::with_capacity(asked.len());
    for topic in &asked {
        let name = topic.name.clone().unwrap_or_default();
        let found = resolve(&image, topic.name.is_none(), &name, topic.topic_id);
        resolved.push(found.map(|(name, described)| {
            if !names.contains(name) {
                names.push(name.clone());
            }
            (name.clone(), described.id)
        }));
    }
    let results = delete(&scope, names).await;
    let responses = asked.into_iter().zip(resolved).map(|(topic, resolved)| {
        let outcome = match &resolved {
            Ok((name, _)) => match &results {
                Ok(results) => results.get(name).cloned().unwrap_or(Err(Refusal::UnknownTopicOrPartition)),
                Err(refusal) => Err(refusal.clone()),
            },
            Err(refusal) => Err(refusal.clone()),
        };
        let (name, id) = match resolved {
            Ok((name, id)) => (Some(TopicName(text::wire(&name))), text::uuid(id)),
            Err(_) => (topic.name, topic.topic_id),
        };
        let message = outcome.as_ref().err().filter(|_| scope.version >= 5).map(|r| text::wire(&r.to_string()));
        DeletableTopicResult::default()
            .with_name(name)
            .with_topic_id(id)
            .with_error_code(outcome.err().map_or(NONE, |refusal| code(Operation::Admin, &refusal)))
            .with_error_message(message)
    });
    Some(DeleteTopicsResponse::default().with_responses(responses.collect()))
}

async fn delete(scope: &Scope, topics: Vec<Arc<str>>) -> Result<BTreeMap<Arc<str>, Result<TopicId, Refusal>>, Refusal> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(crate::topic_configs::delete(&scope.server, topics).await?.into_iter().collect())
}
