//! `/healthz` and `/readyz`: whether the process lives, and whether the broker serves.
//!
//! Whoever reaches the admin HTTP is answered, also without the token and under any `Host`: probes come under the address of
//! a container, and nothing is told that a connection to the broker's listener would not tell.

use super::Shared;
use super::failure::Failure;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The process lives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// Always `ok`: a process that does not live does not answer.
    status: &'static str,
}

/// Whether the broker serves.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Ready {
    /// Whether it does.
    ready: bool,
    /// What keeps it from that; empty when it does.
    missing: Vec<String>,
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "broker",
    responses((status = 200, description = "The process lives", body = Health)),
)]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the broker serves: its logs are open, and it does not stop.
#[utoipa::path(
    get, path = "/readyz", tag = "broker",
    responses(
        (status = 200, description = "The broker serves", body = Ready),
        (status = 503, description = "It does not yet, or not any more; the body says what is missing", body = Ready),
    ),
)]
pub(super) async fn readyz(State(shared): State<Shared>) -> Response {
    let missing: Vec<String> = missing(&shared).into_iter().collect();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready: missing.is_empty(), missing })).into_response()
}

/// The answer of every other route as long as the broker does not serve.
pub(super) fn not_ready(shared: &Shared) -> Response {
    let missing = missing(shared).unwrap_or_else(|| "it is about to serve".to_owned());
    let text = format!("the broker does not serve: {missing}; GET /readyz says when it does");
    Failure(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// What keeps the broker from serving.
fn missing(shared: &Shared) -> Option<String> {
    let of_broker = shared.readiness.missing();
    of_broker
        .or_else(|| shared.live.get().is_none().then(|| "the plugins and the jobs are being put together".to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::admin::bind;
    use pelton_server::{Readiness, Stage};
    use serde_json::{Value, json};
    use std::net::SocketAddr;
    use std::sync::Arc;

    /// Asks under a foreign `Host` and without a token; status and JSON.
    async fn get(address: SocketAddr, path: &'static str) -> (u16, Value) {
        let asked = tokio::task::spawn_blocking(move || {
            let request = ureq::http::Request::get(format!("http://{address}{path}"));
            let request = request.header("Host", "pod.example:9644").body(()).unwrap();
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = agent.run(request).unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        });
        let (status, text) = asked.await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    #[tokio::test]
    async fn a_broker_that_starts_or_stops_lives_and_is_not_ready() {
        let readiness = Arc::new(Readiness::default());
        let bound = bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let admin = bound.start(readiness.clone());
        for (stage, said) in [
            (Stage::Starting, "directories"),
            (Stage::Plugins, "plugins"),
            // The broker serves, and the rest of the node is not there yet.
            (Stage::Serving, "jobs"),
            (Stage::Stopping, "stops"),
        ] {
            readiness.reach(stage);
            assert_eq!(get(admin.address(), "/healthz").await, (200, json!({ "status": "ok" })));
            let (status, body) = get(admin.address(), "/readyz").await;
            assert_eq!((status, &body["ready"]), (503, &json!(false)));
            assert!(body["missing"][0].as_str().is_some_and(|missing| missing.contains(said)), "{body}");
        }
    }

    #[tokio::test]
    async fn other_routes_wait_until_the_broker_serves() {
        let token = {
            let mut settings = crate::config::Settings::default();
            settings.flag("--set", "pelton.admin.token", "0123456789abcdef");
            settings.build().unwrap().0.admin_token
        };
        let bound = bind("127.0.0.1:0".parse().unwrap(), token).await.unwrap();
        let admin = bound.start(Arc::default());
        assert_eq!(get(admin.address(), "/v1/status").await.0, 401, "who asks comes first");
        let bound = bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let admin = bound.start(Arc::default());
        let address = admin.address();
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = agent.get(format!("http://{address}/v1/status")).call().unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        });
        let (status, text) = asked.await.unwrap();
        assert!(status == 503 && text.contains("/readyz"), "{status} {text}");
    }
}
