//! What AlterConfigs and IncrementalAlterConfigs do alike: each resource of a request is checked and altered by itself, in
//! the order of the request, and answered by itself.
//!
//! A resource that stands in the request twice is refused, and so is what is neither a topic nor a broker. What is to
//! become of the configs of a resource is for its API to read; how it comes about is for `topic_configs` and
//! `broker_configs`.

use super::Scope;
use super::scope::repeated;
use crate::auth::{AclOperation, Resource as Protected};
use crate::broker_configs::{self, BrokerChange};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use crate::topic_configs::{self, Change};
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What is to become of the configs of one resource.
pub enum Alteration {
    /// It is to have these and no others.
    Replace(BTreeMap<String, String>),
    /// These are to change, the others stay.
    Change(Vec<(String, Change)>),
}

/// One resource of a request, with its configs as the API writes them.
pub struct Resource<C> {
    /// 2 is a topic, 4 a broker.
    pub resource_type: i8,
    /// The name of the topic; the id of the broker, or nothing for all of them.
    pub resource_name: StrBytes,
    /// What is asked for.
    pub configs: Vec<C>,
}

/// What became of one resource, in the words of both responses.
pub struct Altered {
    /// As in the request.
    pub resource_type: i8,
    /// As in the request.
    pub resource_name: StrBytes,
    /// [`NONE`] when it was altered.
    pub error_code: i16,
    /// Why it was not.
    pub error_message: Option<StrBytes>,
}

/// Alters the resources one by one, or only checks that it could. `read` makes sense of the configs of one.
pub async fn alter_each<C>(
    scope: &Scope,
    resources: Vec<Resource<C>>,
    read: fn(&[C]) -> Result<Alteration, Refusal>,
    validate_only: bool,
) -> Vec<Altered> {
    let once = each_once(resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
    let mut altered = Vec::with_capacity(resources.len());
    for (resource, once) in resources.into_iter().zip(once) {
        let refusal = match once {
            Ok(()) => alter(scope, &resource, read, validate_only).await.err(),
            Err(refusal) => Some(refusal),
        };
        altered.push(Altered {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            error_code: refusal.as_ref().map_or(NONE, |refusal| code(Operation::Admin, refusal)),
            error_message: refusal.map(|refusal| text::wire(&refusal.to_string())),
        });
    }
    altered
}

async fn alter<C>(
    scope: &Scope,
    resource: &Resource<C>,
    read: fn(&[C]) -> Result<Alteration, Refusal>,
    validate_only: bool,
) -> Result<(), Refusal> {
    if resource.resource_type == BROKER {
        scope.require(AclOperation::AlterConfigs, Protected::Cluster)?;
        let change = match read(&resource.configs)? {
            Alteration::Replace(configs) => BrokerChange::Replace(configs),
            Alteration::Change(changes) => BrokerChange::Change(changes),
        };
        return broker_configs::alter(&scope.server, &resource.resource_name, change, validate_only).await;
    }
    let topic = topic(scope, resource.resource_type, &resource.resource_name)?;
    let by = scope.by();
    match read(&resource.configs)? {
        Alteration::Replace(configs) => {
            topic_configs::replace(&scope.server, &topic, configs, &by, validate_only).await
        }
        Alteration::Change(changes) => topic_configs::alter(&scope.server, &topic, changes, &by, validate_only).await,
    }
}

/// The topic that a resource names.
fn topic(scope: &Scope, resource_type: i8, resource_name: &StrBytes) -> Result<Arc<str>, Refusal> {
    if resource_type != TOPIC {
        let why = format!("resources of type {resource_type} are not altered; 2 is a topic, 4 a broker");
        return Err(Refusal::InvalidRequest(why));
    }
    let image = scope.image();
    let (topic, _) = scope.topic(AclOperation::AlterConfigs, &image, &TopicName(resource_name.clone()))?;
    Ok(topic.clone())
}

/// Whether each resource stands in the request only once.
fn each_once<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> Vec<Result<(), Refusal>> {
    let resources: Vec<(i8, &str)> = resources.collect();
    let repeated = repeated(resources.iter().copied());
    let doubled = |(_, name): &(i8, &str)| Refusal::InvalidRequest(format!("the request names {name} more than once"));
    resources.iter().map(|resource| if repeated.contains(resource) { Err(doubled(resource)) } else { Ok(()) }).collect()
}
