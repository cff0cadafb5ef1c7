//! The configs of brokers that can be changed while they run.

use super::client::*;
use crate::Broker;
use kafka_protocol::messages::*;
use std::path::Path;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

async fn start_with(path: &Path, configs: &[(&str, &str)]) -> Broker {
    let mut config = config(path);
    config.configs.extend(configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Broker::start(config, no_plugins).await.unwrap()
}

async fn alter(client: &mut Client, broker: &str, name: &str, operation: i8, value: Option<&str>) -> (i16, String) {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config =
        AlterableConfig::default().with_name(text(name)).with_config_operation(operation).with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text(broker))
        .with_configs(vec![config]);
    let answer = client.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource])).await;
    let message = answer.responses[0].error_message.as_ref().map_or_else(String::new, |message| message.to_string());
    (answer.responses[0].error_code, message)
}

/// A config of a resource: its value, and the source of each synonym.
async fn described(client: &mut Client, kind: i8, resource: &str, name: &str) -> Option<(Option<String>, Vec<i8>)> {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(Some(vec![text(name)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let answer = client.call(4, &request).await;
    assert_eq!(answer.results[0].error_code, 0);
    let config = answer.results[0].configs.first()?.clone();
    assert!(config.synonyms.first().is_none_or(|first| first.source == config.config_source));
    Some((config.value.map(|value| value.to_string()), config.synonyms.iter().map(|synonym| synonym.source).collect()))
}

#[tokio::test]
async fn a_dynamic_config_is_obeyed_at_once_shown_with_its_sources_and_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let given = [("message.max.bytes", "500000")];
    let broker = start_with(temporary.path(), &given).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let large = "x".repeat(2_000);
    assert_eq!(client.produce("t", 0, batch(&[&large])).await.error_code, 0);
    let name = "message.max.bytes";
    let some = |value: &str, sources: &[i8]| Some((Some(value.to_owned()), sources.to_vec()));
    assert_eq!(described(&mut client, 4, "1", name).await, some("500000", &[4, 5]));
    assert_eq!(described(&mut client, 4, "", name).await, None);

    assert_eq!(alter(&mut client, "", name, SET, Some("1000")).await, (0, String::new()));
    assert_eq!(client.produce("t", 0, batch(&[&large])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    assert_eq!(described(&mut client, 4, "", name).await, some("1000", &[3]));
    assert_eq!(described(&mut client, 4, "1", name).await, some("1000", &[3, 4, 5]));
    assert_eq!(described(&mut client, 2, "t", "max.message.bytes").await, some("1000", &[3, 4, 5]));
    assert_eq!(alter(&mut client, "1", name, SET, Some("3000")).await.0, 0);
    assert_eq!(
        client.produce("t", 0, batch(&[&large])).await.error_code,
        0,
        "this broker's own goes before all brokers'"
    );
    assert_eq!(described(&mut client, 2, "t", "max.message.bytes").await, some("3000", &[2, 3, 4, 5]));
    assert_eq!(alter(&mut client, "1", name, DELETE, None).await.0, 0);
    broker.stop().await;

    let broker = start_with(temporary.path(), &given).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.produce("t", 0, batch(&[&large])).await.error_code, 10);
    assert_eq!(described(&mut client, 2, "t", "max.message.bytes").await, some("1000", &[3, 4, 5]));
    assert_eq!(alter(&mut client, "", name, DELETE, None).await.0, 0);
    assert_eq!(client.produce("t", 0, batch(&[&large])).await.error_code, 0);
    assert_eq!(described(&mut client, 4, "1", name).await, some("500000", &[4, 5]));
    broker.stop().await;
}

#[tokio::test]
async fn a_list_is_appended_to_what_holds_and_what_is_fixed_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with(temporary.path(), &[]).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(alter(&mut client, "", "log.cleanup.policy", APPEND, Some("compact")).await.0, 0);
    let (policy, _) = described(&mut client, 4, "1", "log.cleanup.policy").await.unwrap();
    assert_eq!(policy.as_deref(), Some("delete,compact"));
    for (broker, name, operation, value, why) in [
        ("1", "num.io.threads", SET, "9", "num.io.threads cannot be changed while the broker runs"),
        ("", "log.retention.ms", SET, "soon", "log.retention.ms"),
        ("", "log.retention.ms", APPEND, "5", "only a list"),
        ("7", "log.retention.ms", SET, "5", "there is no broker 7"),
    ] {
        let (code, message) = alter(&mut client, broker, name, operation, Some(value)).await;
        assert!([40, 42].contains(&code) && message.contains(why), "{code}: {message}");
    }
    let replace = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text(""))
        .with_configs(vec![]);
    let answer = client.call(2, &AlterConfigsRequest::default().with_resources(vec![replace])).await;
    assert_eq!(answer.responses[0].error_code, 0);
    assert!(broker.image().broker_configs.is_empty(), "what was not named has gone");
    assert_eq!(described(&mut client, 4, "1", "log.retention.ms").await, Some((None, vec![])), "it has no default");
    broker.stop().await;
}

#[tokio::test]
async fn connections_are_limited_from_the_moment_that_it_is_asked_for() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with(temporary.path(), &[]).await;
    let mut client = Client::connect(&broker).await;
    let started = broker.connections().limits();
    let overrides = "max.connections.per.ip.overrides";
    let (code, message) = alter(&mut client, "", overrides, SET, Some("localhost:2")).await;
    assert!(code == 42 && message.contains("ADDRESS:COUNT"), "{code}: {message}");
    assert_eq!(alter(&mut client, "", "max.connections.per.ip", SET, Some("1")).await, (0, String::new()));
    let mut second = Client::connect(&broker).await;
    assert!(second.frame().await.is_none(), "the address has as many as it may have");
    assert_eq!(alter(&mut client, "1", overrides, SET, Some("127.0.0.1:2")).await, (0, String::new()));
    let mut third = Client::connect(&broker).await;
    assert_eq!(third.call(4, &ApiVersionsRequest::default()).await.error_code, 0);
    assert_eq!(alter(&mut client, "", "max.connections", SET, Some("77")).await.0, 0);
    broker.stop().await;

    let broker = start_with(temporary.path(), &[]).await;
    let limits = broker.connections().limits();
    assert_eq!((limits.total, limits.per_ip, limits.overrides.len()), (77, 1, 1), "it is kept");
    let mut client = Client::connect(&broker).await;
    for (broker, name) in [("", "max.connections"), ("", "max.connections.per.ip"), ("1", overrides)] {
        assert_eq!(alter(&mut client, broker, name, DELETE, None).await.0, 0);
    }
    assert_eq!(broker.connections().limits(), started, "as it was started");
    broker.stop().await;
}

/// A config with all that is shown of it.
async fn shown(client: &mut Client, kind: i8, resource: &str, name: &str) -> (Option<String>, i8, String) {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(Some(vec![text(name)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let answer = client.call(4, &request).await;
    let config = &answer.results[0].configs[0];
    let synonyms = config.synonyms.iter();
    let synonyms = synonyms.map(|s| format!("{}:{}={}", s.source, s.name, s.value.as_ref().unwrap()));
    let synonyms: Vec<String> = synonyms.collect();
    (config.value.as_ref().map(ToString::to_string), config.config_source, synonyms.join(" "))
}

#[tokio::test]
async fn a_default_is_a_default_and_coarser_units_are_shown_as_kafka_shows_them() {
    let temporary = tempfile::tempdir().unwrap();
    let given = [("log.retention.minutes", "5"), ("log.index.interval.bytes", "4096")];
    let broker = start_with(temporary.path(), &given).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let expect = |value: &str, source, synonyms: &str| (Some(value.to_owned()), source, synonyms.to_owned());
    // What was given is shown as given, though it is what the default is.
    assert_eq!(
        shown(&mut client, 4, "1", "log.index.interval.bytes").await,
        expect("4096", 4, "4:log.index.interval.bytes=4096 5:log.index.interval.bytes=4096")
    );
    let cases = [
        ("retention.ms", expect("300000", 5, "")),
        ("segment.ms", expect("604800000", 5, "")),
        ("flush.ms", expect("9223372036854775807", 5, "")),
        ("segment.jitter.ms", expect("0", 5, "")),
        ("cleanup.policy", expect("delete", 5, "5:log.cleanup.policy=delete")),
        ("remote.storage.enable", expect("false", 5, "")),
    ];
    for (name, expected) in cases {
        assert_eq!(shown(&mut client, 2, "t", name).await, expected, "{name}");
    }
    assert_eq!(shown(&mut client, 4, "1", "log.retention.ms").await, (None, 5, String::new()));
    assert_eq!(alter(&mut client, "1", "log.retention.ms", SET, Some("7200000")).await.0, 0);
    let all = "2:log.retention.ms=7200000 4:log.retention.minutes=5 5:log.retention.hours=168";
    assert_eq!(shown(&mut client, 4, "1", "log.retention.ms").await, expect("7200000", 2, all));
    assert_eq!(shown(&mut client, 2, "t", "retention.ms").await, expect("7200000", 2, all));
    broker.stop().await;
}

#[tokio::test]
async fn what_kafka_does_not_have_is_listed_where_somebody_set_it() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with(temporary.path(), &[]).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let listed = |answer: DescribeConfigsResponse| -> Vec<String> {
        answer.results[0].configs.iter().map(|config| config.name.to_string()).collect()
    };
    let all = |keys: Option<Vec<_>>, kind: i8, name: &str| {
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys);
        DescribeConfigsRequest::default().with_resources(vec![resource])
    };
    let kafkas: Vec<String> = pelton_core::cluster::topic_config::TOPIC_CONFIGS
        .iter()
        .map(|config| config.name.to_owned())
        .filter(|name| name != "durability")
        .collect();
    assert_eq!(listed(client.call(4, &all(None, 2, "t")).await), kafkas);
    assert_eq!(listed(client.call(4, &all(Some(vec![]), 2, "t")).await), kafkas, "an empty list asks for all");
    let named = Some(vec![text("durability"), text("pelton.partitioner")]);
    assert_eq!(listed(client.call(4, &all(named, 2, "t")).await), ["durability", "pelton.partitioner"]);
    assert_eq!(alter(&mut client, "", "durability", SET, Some("replicated")).await.0, 0);
    assert!(listed(client.call(4, &all(None, 2, "t")).await).contains(&"durability".to_owned()));
    let of_broker = listed(client.call(4, &all(None, 4, "1")).await);
    for name in
        ["max.connections", "socket.listen.backlog.size", "pelton.log.level", "num.recovery.threads.per.data.dir"]
    {
        assert!(of_broker.contains(&name.to_owned()), "{name}");
    }
    broker.stop().await;
}
