//! All routes in one list, from which the OpenAPI document is made too.

use super::failure::Failure;
use super::{Shared, audit, document, health, jobs, metrics, plugins, status, topics};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

fn listed() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::upload, plugins::describe, plugins::delete))
        .routes(routes!(plugins::logs))
        .routes(routes!(topics::describe, topics::change))
        .routes(routes!(topics::rollback))
        .routes(routes!(topics::partition))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::run, jobs::describe))
        .routes(routes!(jobs::stop))
        .routes(routes!(status::status))
        .routes(routes!(metrics::metrics))
        .routes(routes!(document::document))
}

/// The routes that are in front of the guard.
fn unguarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

/// The OpenAPI document of [`app`].
pub(super) fn document() -> OpenApi {
    let mut document = document::with_common_answers(listed().into_openapi());
    document.merge(unguarded().into_openapi());
    document
}

/// All routes, those of [`listed`] behind the guard.
pub(super) fn app(shared: Shared) -> Router {
    let ((router, _), (open, _)) = (listed().split_for_parts(), unguarded().split_for_parts());
    router
        .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such path; try GET /v1/status".to_owned()))
        .method_not_allowed_fallback(async || {
            Failure(StatusCode::METHOD_NOT_ALLOWED, "this path knows other methods".to_owned())
        })
        .layer(middleware::from_fn_with_state(shared.clone(), audit::guard))
        .merge(open)
        .with_state(shared)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn the_document_describes_every_route_with_its_errors() {
        let document = serde_json::to_value(super::document()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let paths = document["paths"].as_object().unwrap();
        let operations: Vec<String> = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
            .collect();
        let expected = [
            "delete /v1/plugins/{name}/versions/{version}",
            "get /healthz",
            "get /metrics",
            "get /readyz",
            "get /v1/jobs",
            "get /v1/jobs/{name}",
            "get /v1/openapi.json",
            "get /v1/plugins",
            "get /v1/plugins/logs",
            "get /v1/plugins/{name}/versions/{version}",
            "get /v1/status",
            "get /v1/topics/{topic}/plugins",
            "post /v1/jobs/{name}/stop",
            "post /v1/topics/{topic}/partition",
            "post /v1/topics/{topic}/plugins/rollback",
            "put /v1/jobs/{name}",
            "put /v1/plugins/{name}/versions/{version}",
            "put /v1/topics/{topic}/plugins",
        ];
        let mut found = operations;
        found.sort();
        assert_eq!(found, expected);
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in paths {
            for operation in item.as_object().unwrap().values() {
                assert!(names.insert(operation["operationId"].as_str().unwrap()), "twice: {operation}");
                for status in ["200", "201", "401", "403"] {
                    let there = operation["responses"].get(status).is_some();
                    let guarded = !["/healthz", "/readyz"].contains(&path.as_str());
                    assert!(there == guarded || status.starts_with('2'), "{operation}");
                }
                assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{operation}");
            }
        }
        let mut checked = 0;
        check_references(&document, &document, &mut checked);
        assert!(checked > 30, "only {checked} references were found");
    }

    /// Every `$ref` leads somewhere.
    fn check_references(document: &Value, value: &Value, checked: &mut usize) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                    *checked += 1;
                }
                map.values().for_each(|value| check_references(document, value, checked));
            }
            Value::Array(values) => values.iter().for_each(|value| check_references(document, value, checked)),
            _ => {}
        }
    }
}
