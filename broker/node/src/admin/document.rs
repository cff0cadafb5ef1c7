//! The OpenAPI document. Routes and document are made of the same list ([`super::routes`]), so neither can lack what the
//! other has.

use super::failure::Error;
use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, OpenApi as Document, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, SecurityRequirement,
};
use utoipa::{Modify, OpenApi};

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pelton admin",
        description = "Plugins, what is attached to topics, jobs, and numbers. With `pelton.admin.token` set, every request \
                       shows it (`Authorization: Bearer TOKEN`); without it, only programs on this machine are answered. Every \
                       error is `{\"error\": \"...\"}`.",
    ),
    tags(
        (name = "plugins", description = "The registry"),
        (name = "topics", description = "What is attached to topics"),
        (name = "jobs", description = "Stream jobs"),
        (name = "broker", description = "The broker itself"),
    ),
    components(schemas(Error)),
    modifiers(&Token),
)]
struct Base;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme("token", SecurityScheme::Http(bearer));
        }
        document.security =
            Some(vec![SecurityRequirement::default(), SecurityRequirement::new::<_, [&str; 0], _>("token", [])]);
    }
}

/// The document without routes.
pub(super) fn base() -> Document {
    OpenApiBuilder::from(Base::openapi()).build()
}

/// The answers of the guard, which every route may give.
pub(super) fn with_common_answers(mut document: Document) -> Document {
    let refused = |text: &str| -> RefOr<Response> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
        ResponseBuilder::new().description(text).content("application/json", content).build().into()
    };
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            let answers = &mut operation.responses.responses;
            answers.insert("401".to_owned(), refused("The token is missing or wrong"));
            answers.insert("403".to_owned(), refused("There is no token, and a web page may have asked"));
        }
    }
    document
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "broker",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object)),
)]
pub(super) async fn document() -> Json<Document> {
    Json(super::routes::document())
}
