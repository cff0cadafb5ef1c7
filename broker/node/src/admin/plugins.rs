//! `/v1/plugins`: upload, list, describe, delete, logs.

use super::Shared;
use super::audit::{By, Detail};
use super::failure::{Error, Failure};
use super::shapes;
use crate::wiring::plugin_log::{Page, Wanted};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use pelton_api::manifest::{PluginManifest, PluginRef, Provenance};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long an upload may be on its way.
const UPLOAD_TIME: Duration = Duration::from_secs(300);
/// Lines of one answer, unless asked otherwise, and at most.
const LINES: usize = 1_000;
const LINES_MAX: usize = 10_000;
/// How long a reader of lines may wait.
const WAIT_MAX_MS: u64 = 60_000;

/// A plugin and who uses it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Described {
    /// What the registry keeps of it.
    #[schema(value_type = shapes::Manifest)]
    manifest: PluginManifest,
    /// Who uses it, in words.
    #[schema(example = json!(["topic orders (interceptor)", "job pv (step count)"]))]
    used_by: Vec<String>,
}

/// What was deleted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Deleted {
    /// Name and version.
    #[schema(example = "audit@2")]
    deleted: String,
}

/// Which lines are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Those of this plugin: a name, or `NAME@VERSION`.
    plugin: Option<String>,
    /// Those after this number (`next` of the answer before). Without it: the last ones.
    after: Option<u64>,
    /// How long to wait for a line when there is none, in milliseconds; at most 60,000.
    #[serde(default)]
    wait_ms: u64,
    /// At most so many lines; 1,000 unless given, 10,000 at most.
    limit: Option<usize>,
}

fn reference(name: &str, version: &str) -> Result<PluginRef, Failure> {
    format!("{name}@{version}").parse().map_err(|error| Failure::bad(format!("{error}")))
}

fn provenance(headers: &HeaderMap) -> Result<Provenance, Failure> {
    let text = |name: &str| match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.to_owned())),
        Some(Err(_)) => Err(Failure::bad(format!("the header {name} must be ASCII"))),
    };
    Ok(Provenance {
        author: text("Pelton-Author")?,
        source_digest: text("Pelton-Source-Digest")?,
        signature: text("Pelton-Signature")?,
        public_key: text("Pelton-Public-Key")?,
    })
}

/// Upload a module under a name and a version.
///
/// What was uploaded never changes. The same bytes again are fine, and may bring a signature along. The module is checked
/// and compiled before this answers.
#[utoipa::path(
    put, path = "/v1/plugins/{name}/versions/{version}", operation_id = "upload_plugin", tag = "plugins",
    params(
        ("name" = String, Path, description = "Letters, digits, `-` and `_`; at most 100 characters"),
        ("version" = u32, Path, description = "From 1"),
        ("Pelton-Author" = Option<String>, Header, description = "Who wrote it"),
        ("Pelton-Source-Digest" = Option<String>, Header, description = "SHA-256 of its source, in hexadecimal"),
        ("Pelton-Signature" = Option<String>, Header,
            description = "Ed25519 signature over `pelton plugin NAME@VERSION sha256 DIGEST`, in hexadecimal"),
        ("Pelton-Public-Key" = Option<String>, Header, description = "The key of the signature, in hexadecimal"),
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A component or a core module"),
    responses(
        (status = 201, description = "It is there", body = shapes::Manifest),
        (status = 400, description = "The name, the version or a header is malformed", body = Error),
        (status = 408, description = "The upload took too long", body = Error),
        (status = 409, description = "Other bytes have that name and version", body = Error),
        (status = 413, description = "It is larger than `pelton.plugin.max.bytes`", body = Error),
        (status = 422, description = "It is no plugin, or the policy refuses it", body = Error),
    ),
)]
pub(super) async fn upload(
    State(shared): State<Shared>,
    Extension(By(by)): Extension<By>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let plugin = reference(&name, &version)?;
    let provenance = provenance(&headers)?;
    let stopping = |_| Failure(StatusCode::SERVICE_UNAVAILABLE, "the broker is stopping".to_owned());
    let _turn = shared.uploads.acquire().await.map_err(stopping)?;
    let plugins = shared.platform().plugins.clone();
    let limit = plugins.max_bytes();
    let too_large = |_| {
        let text = format!("the upload is larger than {limit} bytes (`pelton.plugin.max.bytes`), or broke off");
        Failure(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let too_slow = |_| {
        let text = format!("the upload took longer than {} s; try again", UPLOAD_TIME.as_secs());
        Failure(StatusCode::REQUEST_TIMEOUT, text)
    };
    let read = tokio::time::timeout(UPLOAD_TIME, to_bytes(body, limit)).await.map_err(too_slow)?;
    let bytes = read.map_err(too_large)?;
    let uploaded = tokio::task::spawn_blocking(move || plugins.upload(&plugin, &bytes, provenance, &by)).await;
    let compiling = |error| Failure(StatusCode::INTERNAL_SERVER_ERROR, format!("compiling failed: {error}"));
    let manifest = uploaded.map_err(compiling)??;
    shared.platform().jobs.record_plugin(&manifest).await?;
    let signed = manifest.signed_by.as_deref().map_or("unsigned".to_owned(), |name| format!("signed by {name}"));
    let detail = Detail(format!("{} sha256 {}, {signed}", manifest.facts.kind, manifest.digest));
    Ok((StatusCode::CREATED, Extension(detail), Json(manifest)).into_response())
}

/// One plugin, and who uses it.
#[utoipa::path(
    get, path = "/v1/plugins/{name}/versions/{version}", operation_id = "describe_plugin", tag = "plugins",
    params(("name" = String, Path, description = "Its name"), ("version" = u32, Path, description = "Its version")),
    responses(
        (status = 200, description = "It is there", body = Described),
        (status = 400, description = "The name or the version is malformed", body = Error),
        (status = 404, description = "There is no such plugin", body = Error),
    ),
)]
pub(super) async fn describe(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Described>, Failure> {
    let plugin = reference(&name, &version)?;
    let Some((manifest, users)) = shared.platform().describe(&plugin) else {
        let text = format!("there is no plugin {plugin}; `pelton plugin list` shows what there is");
        return Err(Failure(StatusCode::NOT_FOUND, text));
    };
    Ok(Json(Described { manifest, used_by: users.iter().map(ToString::to_string).collect() }))
}

/// Delete a plugin that nobody uses.
///
/// A version that a rollback would bring back does not count as used.
#[utoipa::path(
    delete, path = "/v1/plugins/{name}/versions/{version}", operation_id = "delete_plugin", tag = "plugins",
    params(("name" = String, Path, description = "Its name"), ("version" = u32, Path, description = "Its version")),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 400, description = "The name or the version is malformed", body = Error),
        (status = 404, description = "There is no such plugin", body = Error),
        (status = 409, description = "It is in use; the error names by whom", body = Error),
    ),
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Deleted>, Failure> {
    let plugin = reference(&name, &version)?;
    shared.platform().delete(&plugin).await?;
    Ok(Json(Deleted { deleted: plugin.to_string() }))
}

/// All plugins, by name and version.
#[utoipa::path(
    get, path = "/v1/plugins", operation_id = "list_plugins", tag = "plugins",
    responses((status = 200, description = "The plugins", body = Vec<shapes::Manifest>)),
)]
pub(super) async fn list(State(shared): State<Shared>) -> Json<Vec<PluginManifest>> {
    Json(shared.platform().plugins.list())
}

/// What plugins said, and what was noticed about them.
///
/// The broker keeps the last 10,000 lines in memory. Whoever goes on from `next` misses none that is still there.
#[utoipa::path(
    get, path = "/v1/plugins/logs", operation_id = "read_plugin_logs", tag = "plugins", params(LogQuery),
    responses(
        (status = 200, description = "The lines", body = Page),
        (status = 400, description = "A parameter is malformed", body = Error),
    ),
)]
pub(super) async fn logs(
    State(shared): State<Shared>,
    query: Result<Query<LogQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page>, Failure> {
    let Query(query) = query.map_err(|error| Failure::bad(error.body_text()))?;
    let limit = query.limit.unwrap_or(LINES).clamp(1, LINES_MAX);
    let wait = Duration::from_millis(query.wait_ms.min(WAIT_MAX_MS));
    let wanted = Wanted { plugin: query.plugin, after: query.after, limit };
    Ok(Json(shared.platform().log.read(wanted, wait).await))
}
