//! AlterConfigs, IncrementalAlterConfigs, and what a change of a topic's configs brings about.

use super::client::*;
use crate::Broker;
use bytes::Bytes;
use kafka_protocol::messages::*;
use pelton_api::hooks::{Acknowledgement, Commit, Consumed, Emission, Hooks, Origin, Sent, TopicHooks};
use pelton_api::interceptor::{Hook, HookSet};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub type Change<'a> = (&'a str, i8, Option<&'a str>);

fn incremental(kind: i8, name: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = changes.iter().map(|(name, operation, value)| {
        AlterableConfig::default().with_name(text(name)).with_config_operation(*operation).with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn whole(name: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsRequest {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = configs
        .iter()
        .map(|(name, value)| AlterableConfig::default().with_name(text(name)).with_value(value.map(text)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    AlterConfigsRequest::default().with_resources(vec![resource])
}

/// Changes configs of a topic; gives the error code and its message.
pub async fn alter(client: &mut Client, topic: &str, changes: &[Change<'_>]) -> (i16, String) {
    let answer = client.call(1, &incremental(2, topic, changes)).await;
    outcome(&answer.responses[0])
}

fn outcome(response: &incremental_alter_configs_response::AlterConfigsResourceResponse) -> (i16, String) {
    let message = response.error_message.as_ref().map_or_else(String::new, |message| message.as_str().to_owned());
    (response.error_code, message)
}

/// The value and the source of each config that is listed.
pub async fn described(client: &mut Client, topic: &str) -> BTreeMap<String, (String, i8)> {
    described_by_name(client, topic, &[]).await
}

async fn described_by_name(client: &mut Client, topic: &str, names: &[&str]) -> BTreeMap<String, (String, i8)> {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(names.iter().map(|name| text(name)).collect()));
    let answer = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await;
    let configs = answer.results[0].configs.iter();
    configs
        .map(|c| (c.name.as_str().to_owned(), (c.value.clone().unwrap().as_str().to_owned(), c.config_source)))
        .collect()
}

/// The configs that the topic sets itself.
fn own(broker: &Broker, topic: &str) -> Vec<(String, String)> {
    let image = broker.image();
    image.topic(topic).unwrap().configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn segments(path: &Path, partition: &str) -> usize {
    let files = std::fs::read_dir(path.join(partition)).unwrap();
    files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "log")).count()
}

#[tokio::test]
async fn configs_change_at_once_for_partitions_and_their_logs_and_stay_after_a_restart() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert_eq!(client.produce("t", 0, batch(&["first", "second"])).await.error_code, 0);
    assert_eq!(segments(temporary.path(), "t-0"), 1);

    let small = batch(&["x"]);
    let limit = small.len().to_string();
    let changes = [
        ("max.message.bytes", SET, Some(&*limit)),
        ("segment.bytes", SET, Some("100")),
        ("retention.ms", SET, Some("5")),
    ];
    assert_eq!(alter(&mut client, "t", &changes).await, (0, String::new()));
    assert_eq!(client.produce("t", 0, batch(&["larger"])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    assert_eq!(client.produce("t", 0, small.clone()).await.error_code, 0);
    assert_eq!(client.produce("t", 0, small).await.error_code, 0);
    assert_eq!(segments(temporary.path(), "t-0"), 3, "the log goes by the new segment.bytes");
    let shown = described(&mut client, "t").await;
    assert_eq!(shown["retention.ms"], ("5".to_owned(), 1));

    let changes = [("max.message.bytes", DELETE, None), ("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(&mut client, "t", &changes).await.0, 0);
    assert_eq!(client.produce("t", 0, batch(&["larger"])).await.error_code, 87, "a compacted topic wants keys");
    let keyed = keyed_batch("key", Some("larger than the limit that was"));
    assert_eq!(client.produce("t", 0, keyed).await.error_code, 0);
    let expected = [("cleanup.policy", "delete,compact"), ("retention.ms", "5"), ("segment.bytes", "100")];
    assert_eq!(own(&broker, "t"), pairs(&expected));

    let replaced = client.call(2, &whole("t", &[("segment.ms", Some("7000"))])).await;
    assert_eq!(replaced.responses[0].error_code, 0);
    assert_eq!(own(&broker, "t"), pairs(&[("segment.ms", "7000")]), "what was not named has gone");
    broker.stop().await;
    let broker = start(temporary.path()).await;
    assert_eq!(own(&broker, "t"), pairs(&[("segment.ms", "7000")]));
    broker.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason_and_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    super::groups::find_coordinator(&mut client, 0, "g").await;
    let cases: Vec<(&str, Vec<Change<'_>>, i16, &str)> = vec![
        ("missing", vec![("retention.ms", SET, Some("5"))], 3, "does not host"),
        ("__cluster_metadata", vec![("retention.ms", SET, Some("5"))], 3, "does not host"),
        ("t", vec![("retention.hours", SET, Some("5"))], 40, "retention.hours"),
        ("t", vec![("retention.ms", SET, Some("soon"))], 40, "retention.ms"),
        ("t", vec![("retention.ms", APPEND, Some("5"))], 40, "only a list"),
        ("t", vec![("cleanup.policy", SUBTRACT, Some("delete"))], 40, "cleanup.policy"),
        ("t", vec![("retention.ms", SET, None)], 42, "has no value"),
        ("t", vec![("retention.ms", 9, Some("5"))], 42, "operation 9"),
        ("t", vec![("retention.ms", SET, Some("5")), ("retention.ms", DELETE, None)], 42, "more than once"),
        ("t", vec![("retention.ms", SET, Some("5")), ("pelton.interceptors", SET, Some("a@1"))], 40, "without plugins"),
        ("__consumer_offsets", vec![("pelton.interceptors", SET, Some("a@1"))], 40, "belongs to the broker"),
    ];
    for (topic, changes, code, why) in cases {
        let (error, message) = alter(&mut client, topic, &changes).await;
        assert_eq!(error, code, "{topic} {changes:?}: {message}");
        assert!(message.contains(why), "{topic} {changes:?}: {message}");
    }
    let (error, message) = outcome(&client.call(1, &incremental(4, "1", &[("a", SET, Some("b"))])).await.responses[0]);
    assert!(error == 42 && message.contains("a cannot be changed while the broker runs"), "{error}: {message}");
    let (error, _) = outcome(&client.call(1, &incremental(8, "1", &[])).await.responses[0]);
    assert_eq!(error, 42, "loggers are not altered");

    let mut doubled = incremental(2, "t", &[("retention.ms", SET, Some("5"))]);
    doubled.resources.push(doubled.resources[0].clone());
    let answer = client.call(1, &doubled).await;
    assert_eq!(answer.responses.iter().map(|response| response.error_code).collect::<Vec<_>>(), [42, 42]);
    let request = incremental(2, "t", &[("retention.ms", SET, Some("5"))]).with_validate_only(true);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 0);
    for request in [whole("t", &[("retention.ms", None)]), whole("t", &[("a", Some("1")), ("a", Some("2"))])] {
        assert_eq!(client.call(2, &request).await.responses[0].error_code, 42);
    }
    let request = whole("t", &[("retention.ms", Some("5"))]).with_validate_only(true);
    assert_eq!(client.call(2, &request).await.responses[0].error_code, 0);
    assert_eq!(own(&broker, "t"), []);
    // Kafka's own configs of the broker's topics may be changed.
    assert_eq!(alter(&mut client, "__consumer_offsets", &[("segment.bytes", SET, Some("1000000"))]).await.0, 0);
    broker.stop().await;
}

#[tokio::test]
async fn changes_of_one_topic_at_the_same_time_are_all_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 3).await;
    let names = ["retention.ms", "segment.ms", "segment.bytes", "retention.bytes", "flush.ms", "delete.retention.ms"];
    let mut writers = Vec::new();
    for name in names {
        let mut client = Client::connect(&broker).await;
        writers.push(tokio::spawn(async move {
            for value in 1..=10 {
                let value = (value * 1_000).to_string();
                assert_eq!(alter(&mut client, "t", &[(name, SET, Some(&value))]).await, (0, String::new()));
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let kept: BTreeSet<String> = own(&broker, "t").into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(kept, names.iter().map(|name| format!("{name}=10000")).collect());
    broker.stop().await;
}

/// Knows the plugins `audit@1` and `mask@1`, which do nothing.
struct TwoPlugins;

struct Attached(String);

impl Hooks for TwoPlugins {
    fn check(&self, _: &str, _: i32, configs: &BTreeMap<String, String>) -> Result<(), String> {
        let chain = configs.get("pelton.interceptors").map_or("", String::as_str);
        match chain.split(',').find(|plugin| !["", "audit@1", "mask@1"].contains(plugin)) {
            Some(unknown) => Err(format!("pelton.interceptors: there is no plugin {unknown}")),
            None => Ok(()),
        }
    }

    fn attach(&self, _: &str, _: i32, configs: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>> {
        let chain = configs.get("pelton.interceptors").filter(|chain| !chain.is_empty())?;
        Some(Arc::new(Attached(chain.clone())))
    }
}

impl TopicHooks for Attached {
    fn identity(&self) -> &str {
        &self.0
    }

    fn hooks(&self) -> HookSet {
        HookSet::default().with(Hook::OnSend)
    }

    fn one_by_one(&self) -> bool {
        false
    }

    fn on_send(&self, _: &Origin, _: &Bytes) -> Sent {
        Sent::Pass { changed: None, emitted: Vec::new() }
    }

    fn sent(&self, _: i32, _: bool) {}

    fn on_acknowledgement(&self, _: &Origin, _: &Acknowledgement) -> Vec<Emission> {
        Vec::new()
    }

    fn on_consume(&self, _: &Origin, records: &Bytes) -> Result<Consumed, String> {
        Ok(Consumed { records: records.clone(), emitted: Vec::new() })
    }

    fn on_commit(&self, _: &Commit) -> Vec<Emission> {
        Vec::new()
    }
}

async fn start_with_plugins(path: &Path, defaults: &[(&str, &str)]) -> Broker {
    let mut config = config(path);
    config.configs.extend(pairs(defaults));
    Broker::start(config, || Ok(Arc::new(TwoPlugins) as Arc<dyn Hooks>)).await.unwrap()
}

async fn create_with(client: &mut Client, topic: &str, configs: &[(&str, &str)]) -> (i16, String) {
    let made = client.create_with(topic, 2, configs).await;
    (made.error_code, made.error_message.map_or_else(String::new, |message| message.to_string()))
}

#[tokio::test]
async fn plugins_are_checked_before_and_attached_after_a_change() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with_plugins(temporary.path(), &[]).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    assert_eq!(client.produce("t", 1, batch(&["before"])).await.error_code, 0);
    let (code, message) = alter(&mut client, "t", &[("pelton.interceptors", SET, Some("nobody@1"))]).await;
    assert!(code == 40 && message.contains("there is no plugin nobody@1"), "{code}: {message}");
    assert_eq!((own(&broker, "t"), broker.attached("t")), (Vec::new(), None));

    let policy = ("pelton.interceptors.on.error", SET, Some("dead-letter"));
    let changes = [("pelton.interceptors", APPEND, Some("audit@1")), policy];
    assert_eq!(alter(&mut client, "t", &changes).await, (0, String::new()));
    assert_eq!(broker.attached("t").as_deref(), Some("audit@1"));
    let switch = broker.switches("t").pop().unwrap();
    assert_eq!((switch.offsets, switch.identity.as_str()), (vec![0, 1], "audit@1"));
    assert!(switch.by.contains("User:ANONYMOUS") && switch.by.contains("\"test\""), "{}", switch.by);
    let image = broker.image();
    let letters = image.topic("t-dead-letter").expect("the topic for dead letters is made");
    assert_eq!((letters.partitions, letters.configs["pelton.interceptors"].as_str()), (2, ""));

    assert_eq!(alter(&mut client, "t", &[("pelton.interceptors", APPEND, Some("mask@1"))]).await.0, 0);
    assert_eq!(broker.attached("t").as_deref(), Some("audit@1,mask@1"));
    assert_eq!(alter(&mut client, "t", &[("retention.ms", SET, Some("5"))]).await.0, 0);
    assert_eq!(broker.switches("t").len(), 2, "what has nothing to do with plugins switches nothing");
    assert_eq!(client.call(2, &whole("t", &[])).await.responses[0].error_code, 0);
    assert_eq!((own(&broker, "t"), broker.attached("t")), (Vec::new(), None));
    assert_eq!(client.produce("t", 0, batch(&["after"])).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_has_its_plugins_from_its_first_record_to_its_end() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with_plugins(temporary.path(), &[]).await;
    let mut client = Client::connect(&broker).await;
    let (code, message) = create_with(&mut client, "t", &[("pelton.interceptors", "nobody@1")]).await;
    assert!(code == 40 && message.contains("nobody@1"), "{code}: {message}");
    assert!(broker.image().topic("t").is_none());
    let chain = [("pelton.interceptors", "audit@1"), ("pelton.interceptors.on.error", "dead-letter")];
    assert_eq!(create_with(&mut client, "a/b", &chain).await.0, 17, "INVALID_TOPIC_EXCEPTION");
    assert!(broker.image().topics.is_empty(), "no topic for the dead letters of one that cannot be");
    assert_eq!(create_with(&mut client, "t", &chain).await, (0, String::new()));
    assert_eq!(broker.attached("t").as_deref(), Some("audit@1"));
    assert!(broker.image().topic("t-dead-letter").is_some());
    assert_eq!(create_with(&mut client, "t", &[("pelton.interceptors", "mask@1")]).await.0, 36);
    assert_eq!(broker.attached("t").as_deref(), Some("audit@1"), "the topic that exists keeps what it has");

    let state = delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("t")));
    let deleted = client.call(6, &DeleteTopicsRequest::default().with_topics(vec![state])).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!((broker.attached("t"), broker.switches("t").len()), (None, 0));
    client.create("t", 2).await;
    assert_eq!(broker.attached("t"), None, "it is another topic of that name");
    broker.stop().await;
}

#[tokio::test]
async fn the_brokers_defaults_hold_for_the_topics_of_clients_and_are_shown_as_its_own() {
    let temporary = tempfile::tempdir().unwrap();
    let defaults = [("pelton.interceptors", "audit@1"), ("pelton.plugin.max.bytes", "1000"), ("retention.ms", "7")];
    let broker = start_with_plugins(temporary.path(), &defaults).await;
    let mut client = Client::connect(&broker).await;
    super::groups::find_coordinator(&mut client, 0, "g").await;
    client.create("plain", 1).await;
    assert_eq!(create_with(&mut client, "free", &[("pelton.interceptors", "")]).await.0, 0);
    assert_eq!(create_with(&mut client, "other", &[("pelton.interceptors", "mask@1")]).await.0, 0);
    let attached = ["plain", "free", "other", "__consumer_offsets"].map(|topic| broker.attached(topic));
    assert_eq!(attached, [Some("audit@1".to_owned()), None, Some("mask@1".to_owned()), None]);

    let plain = described(&mut client, "plain").await;
    assert_eq!(plain["pelton.interceptors"], ("audit@1".to_owned(), 4));
    let unset = ["pelton.interceptors.on.error", "pelton.interceptors.dead.letter.topic"];
    assert!(unset.iter().all(|name| !plain.contains_key(*name)), "nobody has set them");
    let by_name = described_by_name(&mut client, "plain", &unset).await;
    assert_eq!(by_name[unset[0]], ("reject".to_owned(), 5));
    assert_eq!(by_name[unset[1]], ("plain-dead-letter".to_owned(), 5));
    assert!(!plain.contains_key("pelton.plugin.max.bytes"), "that is a setting of the platform");
    assert_eq!(described(&mut client, "free").await["pelton.interceptors"], (String::new(), 1));
    assert_eq!(described(&mut client, "other").await["pelton.interceptors"], ("mask@1".to_owned(), 1));
    let internal = described_by_name(&mut client, "__consumer_offsets", &["pelton.interceptors"]).await;
    assert_eq!(internal["pelton.interceptors"], (String::new(), 5));
    // What is subtracted from a default leaves the topic a list of its own.
    assert_eq!(alter(&mut client, "plain", &[("pelton.interceptors", SUBTRACT, Some("audit@1"))]).await.0, 0);
    assert_eq!(broker.attached("plain"), None);
    assert_eq!(alter(&mut client, "plain", &[("pelton.interceptors", DELETE, None)]).await.0, 0);
    assert_eq!(broker.attached("plain").as_deref(), Some("audit@1"));
    broker.stop().await;
}

#[tokio::test]
async fn what_the_broker_sets_for_all_topics_holds_and_is_shown_as_its_source() {
    let temporary = tempfile::tempdir().unwrap();
    let mut config = config(temporary.path());
    config.core.cleanup_policy = pelton_core::config::CleanupPolicy { delete: false, compact: true };
    config.log.segment_bytes = 1_000;
    let statics = [("log.cleanup.policy", "compact"), ("log.segment.bytes", "1000"), ("log.retention.hours", "168")];
    config.configs = statics.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let broker = Broker::start(config, no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.create("own", 1).await;
    assert_eq!(alter(&mut client, "own", &[("cleanup.policy", SET, Some("delete"))]).await.0, 0);
    assert_eq!(client.produce("t", 0, batch(&["no key"])).await.error_code, 87, "INVALID_RECORD");
    assert_eq!(client.produce("t", 0, keyed_batch("k", Some("v"))).await.error_code, 0);
    assert_eq!(client.produce("own", 0, batch(&["no key"])).await.error_code, 0);
    let shown = described(&mut client, "t").await;
    assert_eq!(shown["cleanup.policy"], ("compact".to_owned(), 4));
    assert_eq!(shown["segment.bytes"], ("1000".to_owned(), 4));
    assert_eq!(shown["retention.ms"], ("604800000".to_owned(), 5), "Kafka names no source of what is set in hours");
    assert_eq!(described(&mut client, "own").await["cleanup.policy"], ("delete".to_owned(), 1));
    broker.stop().await;
}
