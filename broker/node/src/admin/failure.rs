//! Error answers: a status, and `{"error": "..."}`.

use crate::wiring::jobs::JobsError;
use crate::wiring::platform::PlatformError;
use crate::wiring::plugins::PluginError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pelton_core::refusal::Refusal;
use pelton_registry::RegistryError;
use serde::Serialize;

/// An error answer.
#[derive(Debug)]
pub struct Failure(pub StatusCode, pub String);

/// What an error answer says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Error {
    /// One line that says what is wrong and what to do.
    #[schema(example = "there is no topic `ordres`; `pelton topic list` shows what there is")]
    pub error: String,
}

/// Goes with an error answer, for the line that the audit writes.
#[derive(Debug, Clone)]
pub struct Reason(pub String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(Error { error: self.1.clone() })).into_response();
        response.extensions_mut().insert(Reason(self.1));
        response
    }
}

impl Failure {
    /// 400.
    pub fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
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

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let status = match error {
            RegistryError::Taken { .. } => StatusCode::CONFLICT,
            RegistryError::Unknown { .. } => StatusCode::NOT_FOUND,
            RegistryError::Policy(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Registry(error) => error.into(),
            PluginError::Leaving(_) => Self(StatusCode::CONFLICT, error.to_string()),
            PluginError::Module(_) | PluginError::BuiltIn(_) => {
                Self(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
        }
    }
}

impl From<PlatformError> for Failure {
    fn from(error: PlatformError) -> Self {
        let status = match error {
            PlatformError::Registry(error) => return error.into(),
            PlatformError::Jobs(error) => return error.into(),
            PlatformError::InUse { .. } | PlatformError::Leaving(_) => StatusCode::CONFLICT,
            PlatformError::UnknownTopic(_) | PlatformError::NoPartitioner(_) => StatusCode::NOT_FOUND,
            PlatformError::Partitioner(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PlatformError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::UnknownTopicOrPartition => StatusCode::NOT_FOUND,
            Refusal::InvalidConfig(_) | Refusal::InvalidRequest(_) | Refusal::PolicyViolation(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Refusal::ConcurrentChange => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refusal.to_string())
    }
}
