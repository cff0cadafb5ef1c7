//! The routes of the admin HTTP and what they answer.

use super::Shared;
use crate::wiring::jobs::JobsError;
use crate::wiring::plugins::PluginError;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use pelton_api::job::{JobReport, JobSpec};
use pelton_api::manifest::{PluginManifest, PluginRef};
use pelton_registry::RegistryError;
use serde::Serialize;
use serde_json::json;

/// The largest job specification that is read.
const SPEC_MAX_BYTES: usize = 1 << 20;

/// What `/v1/status` answers.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    pid: u32,
    cluster_id: String,
    listeners: Vec<String>,
    admin: String,
    topics: usize,
    jobs: usize,
    plugins: usize,
    damaged_plugins: Vec<String>,
}

/// An error answer.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        let status = match error {
            JobsError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            JobsError::Unknown(_) => StatusCode::NOT_FOUND,
            JobsError::NotRecorded(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

/// All routes.
pub(super) fn app(shared: Shared) -> Router {
    Router::new()
        .route("/v1/plugins/{name}/versions/{version}", put(upload))
        .route("/v1/plugins", get(plugins))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{name}", put(run).get(describe))
        .route("/v1/jobs/{name}/stop", post(stop))
        .route("/v1/status", get(status))
        .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such path; try GET /v1/status".to_owned()))
        .method_not_allowed_fallback(async || {
            Failure(StatusCode::METHOD_NOT_ALLOWED, "this path knows other methods".to_owned())
        })
        .layer(middleware::from_fn(local_only))
        .with_state(shared)
}

/// Refuses what a web page could have sent.
async fn local_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if headers.contains_key(header::ORIGIN) || !is_loopback_host(host) {
        let text = "only programs on this machine may ask: the Host must be a loopback address, without an Origin";
        return Failure(StatusCode::FORBIDDEN, text.to_owned()).into_response();
    }
    next.run(request).await
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn upload(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
    body: Body,
) -> Result<(StatusCode, Json<PluginManifest>), Failure> {
    let plugin: PluginRef =
        format!("{name}@{version}").parse().map_err(|e| Failure(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let stopping = |_| Failure(StatusCode::SERVICE_UNAVAILABLE, "the broker is stopping".to_owned());
    let _turn = shared.uploads.acquire().await.map_err(stopping)?;
    let limit = shared.plugins.max_bytes();
    let too_large = |_| {
        let text = format!("the upload is larger than {limit} bytes (`pelton.plugin.max.bytes`), or broke off");
        Failure(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let bytes = to_bytes(body, limit).await.map_err(too_large)?;
    let plugins = shared.plugins.clone();
    let uploaded = tokio::task::spawn_blocking(move || plugins.upload(&plugin, &bytes)).await;
    let manifest = match uploaded {
        Ok(Ok(manifest)) => manifest,
        Ok(Err(error @ PluginError::Module(_))) => {
            return Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()));
        }
        Ok(Err(PluginError::Registry(error))) => return Err(registry_failure(&error)),
        Err(error) => return Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, format!("compiling failed: {error}"))),
    };
    shared.jobs.record_plugin(&manifest).await?;
    Ok((StatusCode::CREATED, Json(manifest)))
}

fn registry_failure(error: &RegistryError) -> Failure {
    let status = match error {
        RegistryError::Taken { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Failure(status, error.to_string())
}

async fn plugins(State(shared): State<Shared>) -> Json<Vec<PluginManifest>> {
    Json(shared.plugins.list())
}

async fn run(State(shared): State<Shared>, Path(name): Path<String>, body: Body) -> Result<Json<JobReport>, Failure> {
    let bad = |text: String| Failure(StatusCode::BAD_REQUEST, text);
    let bytes = to_bytes(body, SPEC_MAX_BYTES)
        .await
        .map_err(|_| bad(format!("the specification is larger than {SPEC_MAX_BYTES} bytes, or broke off")))?;
    let spec: JobSpec = serde_json::from_slice(&bytes).map_err(|e| bad(format!("the job specification: {e}")))?;
    if spec.name != name {
        return Err(bad(format!("the path names the job `{name}`, the specification `{}`", spec.name)));
    }
    shared.jobs.run(spec).await?;
    describe(State(shared), Path(name)).await
}

async fn jobs(State(shared): State<Shared>) -> Json<Vec<JobReport>> {
    Json(shared.jobs.list())
}

async fn describe(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<JobReport>, Failure> {
    match shared.jobs.report(&name) {
        Some(report) => Ok(Json(report)),
        None => Err(JobsError::Unknown(name).into()),
    }
}

async fn stop(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<JobReport>, Failure> {
    shared.jobs.stop(&name).await?;
    describe(State(shared), Path(name)).await
}

async fn status(State(shared): State<Shared>) -> Json<Status> {
    let image = shared.broker.image();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        cluster_id: shared.broker.cluster_id().to_owned(),
        listeners: shared.broker.addresses().iter().map(ToString::to_string).collect(),
        admin: shared.address.to_string(),
        topics: image.topics.values().filter(|topic| !topic.internal).count(),
        jobs: shared.jobs.list().len(),
        plugins: shared.plugins.list().len(),
        damaged_plugins: shared.plugins.damaged(),
    })
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_loopback_names_are_taken_for_this_machine() {
        for host in ["localhost", "LOCALHOST:9644", "127.0.0.1:9644", "127.8.8.8", "[::1]:9644", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "example.org", "example.org:9644", "10.0.0.1:9644", "127.0.0.1.example.org", "[fe80::1]:1"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
