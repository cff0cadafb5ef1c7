//! `/v1/jobs`: run, list, describe, stop.

use super::Shared;
use super::failure::{Error, Failure};
use super::shapes;
use crate::wiring::jobs::JobsError;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use pelton_api::job::{JobReport, JobSpec};

/// The largest job specification that is read.
const SPEC_MAX_BYTES: usize = 1 << 20;

/// Run a job, now and after every restart until it is stopped.
#[utoipa::path(
    put, path = "/v1/jobs/{name}", operation_id = "run_job", tag = "jobs",
    params(("name" = String, Path, description = "Name of the job, as in the specification")),
    request_body(content = shapes::Job, description = "The specification"),
    responses(
        (status = 200, description = "It runs", body = shapes::JobState),
        (status = 400, description = "The specification cannot be read", body = Error),
        (status = 422, description = "It names what is not there, or something in it is wrong", body = Error),
        (status = 503, description = "It could not be recorded", body = Error),
    ),
)]
pub(super) async fn run(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<JobReport>, Failure> {
    let bytes = to_bytes(body, SPEC_MAX_BYTES)
        .await
        .map_err(|_| Failure::bad(format!("the specification is larger than {SPEC_MAX_BYTES} bytes, or broke off")))?;
    let spec: JobSpec =
        serde_json::from_slice(&bytes).map_err(|e| Failure::bad(format!("the job specification: {e}")))?;
    if spec.name != name {
        return Err(Failure::bad(format!("the path names the job `{name}`, the specification `{}`", spec.name)));
    }
    shared.platform().jobs.run(spec).await?;
    describe(State(shared), Path(name)).await
}

/// All jobs, by name. Those that route the records of a topic are among them.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    responses((status = 200, description = "The jobs", body = Vec<shapes::JobState>)),
)]
pub(super) async fn list(State(shared): State<Shared>) -> Json<Vec<JobReport>> {
    Json(shared.platform().jobs.list())
}

/// One job and its tasks.
#[utoipa::path(
    get, path = "/v1/jobs/{name}", operation_id = "describe_job", tag = "jobs",
    params(("name" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "The job", body = shapes::JobState),
        (status = 404, description = "There is no such job", body = Error),
    ),
)]
pub(super) async fn describe(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<JobReport>, Failure> {
    match shared.platform().jobs.report(&name) {
        Some(report) => Ok(Json(report)),
        None => Err(JobsError::Unknown(name).into()),
    }
}

/// Stop a job: its tasks commit and end, and it stays stopped after a restart.
#[utoipa::path(
    post, path = "/v1/jobs/{name}/stop", operation_id = "stop_job", tag = "jobs",
    params(("name" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "It is stopped", body = shapes::JobState),
        (status = 404, description = "There is no such job", body = Error),
        (status = 422, description = "It routes a topic, and ends with the topic's configs", body = Error),
        (status = 503, description = "It could not be recorded", body = Error),
    ),
)]
pub(super) async fn stop(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<JobReport>, Failure> {
    shared.platform().jobs.stop(&name).await?;
    describe(State(shared), Path(name)).await
}
