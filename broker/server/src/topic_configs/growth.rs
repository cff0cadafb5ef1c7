//! Gives topics more partitions, and lets what is attached to them follow.

use super::{shown_when, to_the_end};
use crate::hooks::effective;
use crate::server::Server;
use pelton_core::event::{ClusterReply, ClusterRequest, MorePartitions, TopicRefusal};
use pelton_core::model::METADATA_TOPIC;
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// Enlarges topics; one result for each, in order. `by` names who does it.
///
/// # Errors
/// A refusal of the request as a whole.
pub async fn grow(
    server: &Arc<Server>,
    topics: Vec<MorePartitions>,
    by: &str,
    validate_only: bool,
) -> Result<Vec<TopicRefusal>, Refusal> {
    to_the_end(enlarge(server.clone(), topics, by.into(), validate_only)).await?
}

async fn enlarge(
    server: Arc<Server>,
    topics: Vec<MorePartitions>,
    by: Arc<str>,
    validate_only: bool,
) -> Result<Vec<TopicRefusal>, Refusal> {
    let _turns = server.altering.turns(topics.iter().map(|topic| &topic.name)).await;
    let mut refused = Vec::with_capacity(topics.len());
    let mut good = Vec::new();
    for topic in &topics {
        let refusal = check(&server, topic).await.err();
        good.extend(refusal.is_none().then(|| topic.clone()));
        refused.push(refusal);
    }
    let mut grown = if good.is_empty() {
        Vec::new().into_iter()
    } else {
        match server.ask_cluster(ClusterRequest::CreatePartitions { topics: good, validate_only }).await? {
            ClusterReply::Topics(results) => results.into_iter(),
            other => return Err(crate::handlers::unexpected(&other)),
        }
    };
    let mut results = Vec::with_capacity(topics.len());
    for (topic, refused) in topics.iter().zip(refused) {
        let (name, mut result) = match refused {
            Some(refusal) => (topic.name.clone(), Err(refusal)),
            None => grown.next().unwrap_or((topic.name.clone(), Err(Refusal::RequestTimedOut))),
        };
        if result.is_ok() && !validate_only {
            let followed = follow(&server, topic, &by).await;
            result = result.and_then(|id| followed.map(|()| id));
        }
        results.push((name, result));
    }
    Ok(results)
}

/// What is attached to a topic must be able to go with so many partitions.
async fn check(server: &Server, topic: &MorePartitions) -> Result<(), Refusal> {
    if *topic.name == *METADATA_TOPIC {
        return Err(Refusal::UnknownTopicOrPartition);
    }
    let image = server.image();
    // What the cluster part refuses anyway, it is left to refuse.
    let Some(described) = image.topic(&topic.name).filter(|described| topic.count > described.partitions) else {
        return Ok(());
    };
    let defaults = effective::defaults(&server.configs);
    let attached = effective::effective(&defaults, described.internal, &described.configs);
    if attached.is_empty() { Ok(()) } else { server.hooks.check(&topic.name, topic.count, &attached).await }
}

/// Waits until every handler sees the partitions, and has the hooks count them.
async fn follow(server: &Server, topic: &MorePartitions, by: &str) -> Result<(), Refusal> {
    shown_when(server, |image| image.topic(&topic.name).is_none_or(|now| now.partitions >= topic.count)).await?;
    server.hooks.grown(&topic.name, by).await
}
