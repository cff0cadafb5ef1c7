//! `/v1/topics/{topic}`: what is attached to a topic, attaching, rolling back, asking its partitioner.

use super::Shared;
use super::audit::{By, ChangesNothing, Detail};
use super::failure::{Error, Failure};
use super::shapes;
use crate::wiring::platform::Platform;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use pelton_api::hooks::CONFIG_PREFIX;
use pelton_hooks::report::{LinkReport, ShadowReport};
use pelton_server::hooks::Switch;
use pelton_server::topic_configs::Change;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest change that is read.
const CHANGE_MAX_BYTES: usize = 4 << 20;
/// The largest batch that is placed.
const BATCH_MAX_BYTES: usize = 32 << 20;

/// What is attached to a topic.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TopicPlugins {
    /// Its name.
    topic: String,
    /// How many partitions it has.
    partitions: i32,
    /// The `pelton.*` configs in effect: the topic's own over the broker's defaults.
    #[schema(example = json!({"pelton.interceptors": "audit@2,mask@1"}))]
    configs: BTreeMap<String, String>,
    /// Those that are set on the topic.
    own: BTreeMap<String, String>,
    /// Tells this version of what is attached from others.
    #[schema(example = "audit@2[1f3a5c77]")]
    identity: Option<String>,
    /// Since when it is attached, in milliseconds since the Unix epoch.
    attached_at_ms: Option<i64>,
    /// The chain in its order, with its numbers.
    #[schema(value_type = Vec<shapes::Link>)]
    links: Vec<LinkReport>,
    /// The partitioner that verifies, with its numbers.
    #[schema(value_type = Option<shapes::Link>)]
    partitioner: Option<LinkReport>,
    /// The shadow chain, compared with the live one.
    #[schema(value_type = Option<shapes::Shadow>)]
    shadow: Option<ShadowReport>,
    /// Batches that were delivered from the cache of on-consume.
    cache_hits: u64,
    /// Batches that were not in it and might have been.
    cache_misses: u64,
    /// The switches, the last one last: when, by whom, to what, and from which offsets on.
    #[schema(value_type = Vec<shapes::Switched>)]
    switches: Vec<Switch>,
    /// The job that moves the records of this topic to its data topic.
    route: Option<Route>,
}

/// A job that routes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Route {
    /// Its name.
    job: String,
    /// The data topic.
    target: String,
    /// Whether its tasks are there.
    running: bool,
    /// Why they are not.
    problem: Option<String>,
}

/// A change of what is attached.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// Configs to set.
    #[serde(default)]
    #[schema(example = json!({"pelton.interceptors": "audit@2,mask@1"}))]
    set: BTreeMap<String, String>,
    /// Configs to remove: the broker's default holds again.
    #[serde(default)]
    remove: Vec<String>,
    /// Check only.
    #[serde(default)]
    validate_only: bool,
}

/// Where records belong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Placed {
    /// One number for each record of the batch, in order; -1 where any partition will do.
    partitions: Vec<i32>,
}

fn topic_plugins(platform: &Platform, name: &str) -> Result<TopicPlugins, Failure> {
    let topic = platform.topic(name)?;
    let image = platform.broker.image();
    let own = image.topic(name).map(|topic| &topic.configs).into_iter().flat_map(|configs| configs.iter());
    let own = own.filter(|(key, _)| key.starts_with(CONFIG_PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let report = platform.chains.report(name);
    let route = topic.route().map(|spec| {
        let report = platform.jobs.report(&spec.name);
        let (running, problem) = report.map_or((false, None), |report| (!report.tasks.is_empty(), report.problem));
        Route { job: spec.name, target: spec.sink, running, problem }
    });
    let mut view = TopicPlugins {
        topic: topic.name,
        partitions: topic.partitions,
        configs: topic.configs,
        own,
        identity: platform.broker.attached(name),
        attached_at_ms: None,
        links: Vec::new(),
        partitioner: None,
        shadow: None,
        cache_hits: 0,
        cache_misses: 0,
        switches: platform.broker.switches(name),
        route,
    };
    if let Some(report) = report {
        view.attached_at_ms = Some(report.attached_at_ms);
        view.links = report.interceptors;
        view.partitioner = report.partitioner;
        view.shadow = report.shadow;
        (view.cache_hits, view.cache_misses) = (report.cache_hits, report.cache_misses);
    }
    Ok(view)
}

/// What is attached to a topic, with its numbers.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/plugins", operation_id = "describe_topic_plugins", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic")),
    responses(
        (status = 200, description = "The topic", body = TopicPlugins),
        (status = 404, description = "There is no such topic", body = Error),
    ),
)]
pub(super) async fn describe(
    State(shared): State<Shared>,
    Path(topic): Path<String>,
) -> Result<Json<TopicPlugins>, Failure> {
    topic_plugins(shared.platform(), &topic).map(Json)
}

/// Attach, switch or detach plugins, by the `pelton.*` configs of a topic.
///
/// The same door as Kafka's AlterConfigs. When this answers, the change is in force, and the offsets from which on it holds
/// are among the switches.
#[utoipa::path(
    put, path = "/v1/topics/{topic}/plugins", operation_id = "change_topic_plugins", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic")),
    request_body = ConfigChange,
    responses(
        (status = 200, description = "It is in force, or would be", body = TopicPlugins),
        (status = 400, description = "The change cannot be read", body = Error),
        (status = 404, description = "There is no such topic", body = Error),
        (status = 409, description = "Others changed the topic at the same time; try again", body = Error),
        (status = 422, description = "A config cannot be; the error begins with its name", body = Error),
        (status = 503, description = "It could not be recorded", body = Error),
    ),
)]
pub(super) async fn change(
    State(shared): State<Shared>,
    Extension(By(by)): Extension<By>,
    Path(topic): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let bytes = to_bytes(body, CHANGE_MAX_BYTES)
        .await
        .map_err(|_| Failure::bad(format!("the change is larger than {CHANGE_MAX_BYTES} bytes, or broke off")))?;
    let asked: ConfigChange =
        serde_json::from_slice(&bytes).map_err(|error| Failure::bad(format!("the change: {error}")))?;
    let (changes, detail) = changes(&asked)?;
    // An unknown topic is told before anything is checked.
    shared.platform().topic(&topic)?;
    let done = shared.platform().alter(&topic, changes, &by, asked.validate_only).await;
    let answer = done.map_err(Failure::from).and_then(|()| topic_plugins(shared.platform(), &topic));
    Ok((Extension(Detail(detail)), answer.map(Json)).into_response())
}

/// The changes that are asked for, and the line about them.
fn changes(asked: &ConfigChange) -> Result<(Vec<(String, Change)>, String), Failure> {
    let names = asked.set.keys().chain(&asked.remove);
    if let Some(other) = names.clone().find(|name| !name.starts_with(CONFIG_PREFIX)) {
        return Err(Failure::bad(format!(
            "{other}: only configs that begin with `{CONFIG_PREFIX}` are set here; set others with Kafka's own tools"
        )));
    }
    if let Some(twice) = asked.remove.iter().find(|name| asked.set.contains_key(*name)) {
        return Err(Failure::bad(format!("{twice} is both set and removed")));
    }
    if names.count() == 0 {
        return Err(Failure::bad("nothing is set and nothing removed"));
    }
    let mut detail = if asked.validate_only { "check only: ".to_owned() } else { String::new() };
    let mut changes = Vec::new();
    for (name, value) in &asked.set {
        // A plugin's own configuration may hold what is not for the log: a salt, a key.
        let shown = if name.ends_with(".config") { "..." } else { value };
        detail.push_str(&format!("{name}={shown} "));
        changes.push((name.clone(), Change::Set(value.clone())));
    }
    for name in &asked.remove {
        detail.push_str(&format!("-{name} "));
        changes.push((name.clone(), Change::Delete));
    }
    Ok((changes, detail.trim_end().to_owned()))
}

/// Go back to what was attached before the last switch.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/plugins/rollback", operation_id = "roll_back_topic_plugins", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic")),
    responses(
        (status = 200, description = "It is in force", body = TopicPlugins),
        (status = 404, description = "There is no such topic", body = Error),
        (status = 422, description = "There is nothing to go back to, or it cannot be attached any more", body = Error),
        (status = 503, description = "It could not be recorded", body = Error),
    ),
)]
pub(super) async fn rollback(
    State(shared): State<Shared>,
    Extension(By(by)): Extension<By>,
    Path(topic): Path<String>,
) -> Result<Response, Failure> {
    shared.platform().topic(&topic)?;
    shared.platform().rollback(&topic, &by).await?;
    let view = topic_plugins(shared.platform(), &topic)?;
    let detail = Detail(format!("to {}", view.identity.as_deref().unwrap_or("nothing")));
    Ok((Extension(detail), Json(view)).into_response())
}

/// Ask the topic's partitioner where records belong.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/partition", operation_id = "partition_records", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "One uncompressed record batch, format v2; at most 32 MiB"),
    responses(
        (status = 200, description = "Where they belong", body = Placed),
        (status = 404, description = "There is no such topic, or any partition of it will do", body = Error),
        (status = 413, description = "The batch is too large", body = Error),
        (status = 422, description = "The batch is malformed, or the partitioner failed", body = Error),
    ),
)]
pub(super) async fn partition(
    State(shared): State<Shared>,
    Path(topic): Path<String>,
    body: Body,
) -> (Extension<ChangesNothing>, Result<Json<Placed>, Failure>) {
    let placed = async {
        let batch = to_bytes(body, BATCH_MAX_BYTES).await.map_err(|_| {
            let text = format!("the batch is larger than {BATCH_MAX_BYTES} bytes, or broke off");
            Failure(StatusCode::PAYLOAD_TOO_LARGE, text)
        })?;
        Ok(Json(Placed { partitions: shared.platform().partition(&topic, batch).await? }))
    };
    (Extension(ChangesNothing), placed.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<(Vec<(String, Change)>, String), String> {
        changes(&serde_json::from_str(text).unwrap()).map_err(|failure| failure.1)
    }

    #[test]
    fn a_change_is_told_without_the_parameters_of_plugins() {
        let text = r#"{"set":{"pelton.interceptors":"mask@1","pelton.plugin.mask.config":"{\"salt\":\"s3cret\"}"},
                       "remove":["pelton.partitioner"]}"#;
        let (changes, detail) = asked(text).unwrap();
        assert_eq!(changes.len(), 3);
        assert_eq!(detail, "pelton.interceptors=mask@1 pelton.plugin.mask.config=... -pelton.partitioner");
    }

    #[test]
    fn a_change_that_means_nothing_is_refused() {
        let cases = [
            (r#"{"set":{"retention.ms":"1"}}"#, "retention.ms"),
            (r#"{"remove":["cleanup.policy"]}"#, "Kafka's own tools"),
            (r#"{"set":{"pelton.partitioner":"crc32"},"remove":["pelton.partitioner"]}"#, "both"),
            (r#"{"validate_only":true}"#, "nothing"),
        ];
        for (text, named) in cases {
            let refused = asked(text).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
        assert!(serde_json::from_str::<ConfigChange>(r#"{"sett":{}}"#).is_err());
    }
}
