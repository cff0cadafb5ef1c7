//! CreateTopics (key 19), v2-7: makes topics.
//!
//! -1 stands for the broker's default of partitions and replicas (KIP-464; clients send it from v4 on). v5 returns what
//! was made, or would be: partitions, replicas and all configs with their sources (KIP-525), those that Kafka does not have
//! only where somebody set them; v7 the topic's id. An assignment
//! by hand numbers its partitions from 0 and names brokers that there are, which is this one. A name that stands in
//! the request twice is refused; the others are made one by one. Names follow Kafka's rules, also that no two differ in `.` and
//! `_` alone. Configs are checked by the table of topic configs, those of plugins where plugins are known.
//!
//! Charged with: the partitions of the topics that can be made, one topic after the other, also when they are only validated
//! (`controller_mutation_rate`, KIP-599); its time. From v6 on a topic over the quota is refused, THROTTLING_QUOTA_EXCEEDED; before,
//! all are made, and the client is throttled.
//!
//! Left out: the timeout, since creation does not wait for another broker.
//!
//! Memory: a topic of a few bytes is answered with all its configs, some three kilobytes, and takes some hundred bytes for each
//! partition, which are bounded by those of the cluster.

use super::Scope;
use super::charging::{Denied, next_result};
use super::scope::repeated;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use crate::topic_configs::{self, Shown};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse};
use pelton_core::cluster::TopicImage;
use pelton_core::event::{NewTopic, TopicRefusal};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// First version that is refused what is over its client's quota.
const STRICT: i16 = 6;

/// A topic that is to be made, or why it is not.
type Checked = Result<NewTopic, Denied>;

/// Creates the topics, or only checks them.
pub async fn handle(scope: Scope, request: CreateTopicsRequest) -> Option<CreateTopicsResponse> {
    let repeated = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut checked: Vec<Checked> = request
        .topics
        .iter()
        .map(|topic| {
            if repeated.contains(&topic.name) {
                let why = format!("the request names {} more than once", topic.name.0);
                return Err(Refusal::InvalidRequest(why).into());
            }
            Ok(new_topic(&scope, topic)?)
        })
        .collect();
    if scope.charging.is_on() {
        charge(&scope, &mut checked).await;
    }
    let wanted: Vec<NewTopic> = checked.iter().filter_map(|checked| checked.clone().ok()).collect();
    let created = if wanted.is_empty() {
        Ok(Vec::new())
    } else {
        topic_configs::create(&scope.server, wanted, request.validate_only).await
    };
    let mut created = created.map(Vec::into_iter);
    let results = request.topics.into_iter().zip(checked).map(|(topic, checked)| {
        let result = checked.and_then(|new| made(new, &mut created));
        topic_result(&scope, topic, result)
    });
    Some(CreateTopicsResponse::default().with_topics(results.collect()))
}

/// Charges for those that can be made, and denies those that are over the quota.
async fn charge(scope: &Scope, checked: &mut [Checked]) {
    let wanted: Vec<NewTopic> = checked.iter().filter_map(|checked| checked.clone().ok()).collect();
    // Who is refused as a whole is so once more when the topics are to be made, and told why.
    let Ok(possible) = topic_configs::create(&scope.server, wanted, true).await else { return };
    scope.charging.mutate_each(checked, possible, |new| new.partitions, scope.version >= STRICT);
}

/// The topic as it was made, by the next of the results.
fn made(
    new: NewTopic,
    created: &mut Result<std::vec::IntoIter<TopicRefusal>, Refusal>,
) -> Result<(TopicImage, i16), Denied> {
    let image = TopicImage::new(next_result(created)?, new.partitions, new.configs, new.internal);
    Ok((image, new.replication_factor.max(1)))
}

fn new_topic(scope: &Scope, topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let name = topic.name.0.as_str();
    if !scope.authorize(AclOperation::Create, Resource::Cluster) {
        scope.require(AclOperation::Create, Resource::Topic(name))?;
    }
    let mut partitions = topic.num_partitions;
    let mut replication_factor = topic.replication_factor;
    if !topic.assignments.is_empty() {
        check_assignment(scope.server.core.node_id, topic)?;
        partitions = topic.assignments.len() as i32;
        replication_factor = 1;
    }
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let name = config.name.as_str();
        let Some(value) = &config.value else {
            return Err(Refusal::InvalidConfig(format!("{name} has no value; leave it out for its default")));
        };
        configs.insert(name.to_owned(), value.as_str().to_owned());
    }
    Ok(NewTopic {
        name: name.into(),
        id: crate::server::new_topic_id(),
        partitions: if partitions == -1 { scope.server.core.num_partitions } else { partitions },
        replication_factor,
        configs,
        internal: false,
    })
}

fn check_assignment(node: i32, topic: &CreatableTopic) -> Result<(), Refusal> {
    if topic.num_partitions != -1 {
        let message = "an assignment says how many partitions there are; give -1 as their number";
        return Err(Refusal::InvalidRequest(message.to_owned()));
    }
    if topic.replication_factor != -1 {
        let message = "an assignment says how many replicas there are; give -1 as their number";
        return Err(Refusal::InvalidRequest(message.to_owned()));
    }
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
    indexes.sort_unstable();
    if indexes.iter().enumerate().any(|(expected, index)| *index != expected as i32) {
        let message = "number the partitions of an assignment from 0, each once";
        return Err(Refusal::InvalidReplicaAssignment(message.to_owned()));
    }
    topic.assignments.iter().try_for_each(|assignment| check_replicas(node, &assignment.broker_ids))
}

/// Whether a partition can have its replicas on these brokers: on this one, the only one there is.
///
/// # Errors
/// [`Refusal::InvalidReplicaAssignment`].
pub fn check_replicas(node: i32, brokers: &[BrokerId]) -> Result<(), Refusal> {
    let why = match brokers {
        [] => "each partition of an assignment needs a broker".to_owned(),
        brokers => match brokers.iter().find(|broker| broker.0 != node) {
            Some(unknown) => format!("there is no broker {}", unknown.0),
            None if brokers.len() > 1 => {
                format!("broker {node} can have one replica of a partition, not more")
            }
            None => return Ok(()),
        },
    };
    Err(Refusal::InvalidReplicaAssignment(why))
}

fn topic_result(
    scope: &Scope,
    topic: CreatableTopic,
    result: Result<(TopicImage, i16), Denied>,
) -> CreatableTopicResult {
    let response = CreatableTopicResult::default().with_name(topic.name);
    let (image, replication_factor) = match result {
        Ok(made) => made,
        Err(denied) => {
            return response.with_error_code(denied.code()).with_error_message(Some(text::wire(&denied.to_string())));
        }
    };
    let response = response.with_topic_id(text::uuid(image.id)).with_error_message(None);
    if scope.version < 5 {
        return response;
    }
    let name = response.name.0.clone();
    if let Err(refusal) = scope.require(AclOperation::DescribeConfigs, Resource::Topic(&name)) {
        // What was made is not for everybody who may make it.
        return response.with_topic_config_error_code(code(Operation::Admin, &refusal)).with_configs(None);
    }
    let configs = topic_configs::shown_configs(&scope.server, &name, &image);
    response
        .with_num_partitions(image.partitions)
        .with_replication_factor(replication_factor)
        .with_configs(Some(configs.iter().filter(|shown| shown.is_listed()).map(config).collect()))
}

fn config(shown: &Shown) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(text::wire(&shown.name))
        .with_value(shown.value.as_deref().map(text::wire))
        .with_config_source(shown.source as i8)
}
