//! ApiVersions (key 18), v0-4: what this broker speaks.
//!
//! The list is [`super::APIS`]. v3 made the request flexible and named the client's software; the response's
//! header stays v0 in every version. v4 may carry features whose minimum is 0. No feature is finalized: while
//! `transaction.version` is 1 and groups are classic there is none to name, and clients take the absence as
//! exactly that. A version that is not known is answered in v0 with error 35 and the list, so that the client
//! can try again with one that is (KIP-511).
//!
//! Left out: v5 (KIP-1242).

use super::{APIS, Answer, Answering, Scope};
use crate::protocol::codec::{self, Malformed};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

/// Answers with the list.
pub async fn handle(_: Scope, _: ApiVersionsRequest) -> Option<ApiVersionsResponse> {
    Some(list())
}

/// Answers a version that is not known.
pub fn unknown_version(correlation_id: i32) -> Result<Answering, Malformed> {
    let response = list().with_error_code(ResponseError::UnsupportedVersion.code());
    let frame = codec::response_frame(correlation_id, 0, 0, &response)?;
    Ok(Box::pin(async move { Ok(Some(Answer { frame: frame.into(), admitted: None })) }))
}

fn list() -> ApiVersionsResponse {
    let version = |api: &super::Api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    };
    ApiVersionsResponse::default().with_api_keys(APIS.iter().map(version).collect())
}
