//! DeleteTopics (key 20), v1-6: removes topics, with their logs.
//!
//! v5 added error messages, v6 topic ids in place of names (KIP-516). A topic that stands in the request twice is refused each
//! time, and so is an entry with both a name and an id, or neither (INVALID_REQUEST). With `delete.topic.enable=false` every
//! topic is refused: TOPIC_DELETION_DISABLED, which clients know from v3 on.
//!
//! A topic that the client may not see is as good as none where it is named by id, so that ids tell no names; by name he is
//! told that he may not, whether there is one or not.
//!
//! Charged with: the partitions of the topics that can be deleted, one topic after the other (`controller_mutation_rate`, KIP-599);
//! its time. From v5 on a topic over the quota is refused, THROTTLING_QUOTA_EXCEEDED; before, all are deleted, and the client is
//! throttled.
//!
//! Left out: the timeout, since deletion does not wait for another broker.
//!
//! Memory: some 100 bytes of answer for each topic of the request, which takes at least 3.

use super::Scope;
use super::charging::Denied;
use super::scope::repeated;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::NONE;
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use pelton_core::cluster::ClusterImage;
use pelton_core::model::TopicId;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// First version that is refused what is over its client's quota.
const STRICT: i16 = 5;

/// Deletes the topics that exist.
pub async fn handle(scope: Scope, request: DeleteTopicsRequest) -> Option<DeleteTopicsResponse> {
    let asked: Vec<DeleteTopicState> = if scope.version >= 6 {
        request.topics
    } else {
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
    };
    if !scope.server.delete_topics {
        let disabled = asked.into_iter().map(|topic| disabled(scope.version, topic));
        return Some(DeleteTopicsResponse::default().with_responses(disabled.collect()));
    }
    let image = scope.image();
    let found: Vec<_> = asked.iter().map(|topic| find(&scope, &image, topic)).collect();
    let repeated = repeated(found.iter().flatten().map(|(name, _)| name.clone()));
    let (mut once, mut denied) = (Vec::new(), BTreeMap::new());
    for (name, _) in found.iter().flatten().filter(|(name, _)| !repeated.contains(name)) {
        let partitions = image.topic(name).map_or(0, |described| described.partitions);
        match scope.charging.mutate(partitions, scope.version >= STRICT) {
            Ok(()) => once.push(name.clone()),
            Err(over) => drop(denied.insert(name.clone(), over)),
        }
    }
    let deleted = delete(&scope, once).await;
    let outcome = |name: &Arc<str>| match &deleted {
        _ if repeated.contains(name) => Err(Refusal::InvalidRequest("Duplicate topic name.".to_owned()).into()),
        _ if denied.contains_key(name) => Err(denied[name].clone()),
        Ok(deleted) => {
            let result = deleted.get(name).cloned().unwrap_or(Err(Refusal::UnknownTopicOrPartition));
            result.map_err(Denied::from)
        }
        Err(refusal) => Err(refusal.clone().into()),
    };
    let responses = asked.into_iter().zip(found).map(|(topic, found)| {
        let (name, id, outcome) = match found {
            Ok((name, id)) => (Some(TopicName(text::wire(&name))), text::uuid(id), outcome(&name)),
            Err(refusal) => (topic.name, topic.topic_id, Err(refusal.into())),
        };
        let message = outcome.as_ref().err().filter(|_| scope.version >= 5).map(|r| text::wire(&r.to_string()));
        DeletableTopicResult::default()
            .with_name(name)
            .with_topic_id(id)
            .with_error_code(outcome.err().map_or(NONE, |denied| denied.code()))
            .with_error_message(message)
    });
    Some(DeleteTopicsResponse::default().with_responses(responses.collect()))
}

/// The topic, if the client may delete it.
fn find(scope: &Scope, image: &ClusterImage, topic: &DeleteTopicState) -> Result<(Arc<str>, TopicId), Refusal> {
    let (name, described) = match &topic.name {
        Some(_) if !topic.topic_id.is_nil() => {
            let why = "name the topic or give its id, not both";
            return Err(Refusal::InvalidRequest(why.to_owned()));
        }
        Some(name) => scope.topic(AclOperation::Delete, image, name)?,
        None if topic.topic_id.is_nil() => {
            return Err(Refusal::InvalidRequest("name the topic, or give its id".to_owned()));
        }
        None => {
            let found = scope.topic_by_id(AclOperation::Describe, image, topic.topic_id);
            let found = found.map_err(|_| Refusal::UnknownTopicId)?;
            scope.require(AclOperation::Delete, Resource::Topic(found.0))?;
            found
        }
    };
    Ok((name.clone(), described.id))
}

fn disabled(version: i16, topic: DeleteTopicState) -> DeletableTopicResult {
    let error = if version < 3 { ResponseError::InvalidRequest } else { ResponseError::TopicDeletionDisabled };
    let message = (version >= 5).then(|| text::wire("delete.topic.enable is false on this broker"));
    DeletableTopicResult::default()
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
        .with_error_code(error.code())
        .with_error_message(message)
}

async fn delete(scope: &Scope, topics: Vec<Arc<str>>) -> Result<BTreeMap<Arc<str>, Result<TopicId, Refusal>>, Refusal> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(crate::topic_configs::delete(&scope.server, topics).await?.into_iter().collect())
}
