//! ApiVersions (key 18), v0-4: what this broker speaks.
//!
//! The list is [`super::APIS`]. v3 made the request flexible and named the client's software; the response's
//! header stays v0 in every version. From v3 on the features are in it, supported and finalized (KIP-584):
//! `transaction.version` 1, and none for groups, which are classic. v4 may carry features whose minimum is 0; there are none,
//! so that older clients, which throw at such a feature, get the same list. A version that is not known is answered in v0 with error 35 and the list, so that the client
//! can try again with one that is (KIP-511).
//!
//! Left out: v5 (KIP-1242).
//!
//! Memory: the answer is of a constant size.

use super::{APIS, Answer, Handling, Scope};
use crate::protocol::codec::{self, Malformed};
use crate::protocol::newest;
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use std::time::Duration;

/// The features, each supported in one version alone, which is finalized.
pub const FEATURES: &[(&str, i16)] = &[("transaction.version", 1)];

/// Answers with the list.
pub async fn handle(scope: Scope, _: ApiVersionsRequest) -> Option<ApiVersionsResponse> {
    if scope.version < 3 {
        return Some(list(scope.connection.control));
    }
    let supported = |(name, version): &(&str, i16)| {
        SupportedFeatureKey::default().with_name(text::wire(name)).with_min_version(*version).with_max_version(*version)
    };
    let finalized = |(name, version): &(&str, i16)| {
        FinalizedFeatureKey::default()
            .with_name(text::wire(name))
            .with_min_version_level(*version)
            .with_max_version_level(*version)
    };
    Some(
        list(scope.connection.control)
            .with_supported_features(FEATURES.iter().map(supported).collect())
            .with_finalized_features_epoch(0)
            .with_finalized_features(FEATURES.iter().map(finalized).collect()),
    )
}

/// Answers a version that is not known.
pub fn unknown_version(correlation_id: i32, control: bool) -> Result<Handling, Malformed> {
    let response = list(control).with_error_code(ResponseError::UnsupportedVersion.code());
    let frame = codec::response_frame(correlation_id, 0, |frame| newest::write(&response, 0, frame))?;
    Ok(Box::new(move |scope| {
        // What v0 cannot tell its client is done to its connection all the same.
        scope.charging.charge_time(Duration::ZERO);
        scope.charging.settle(ApiKey::ApiVersions);
        Box::pin(async move { Ok(Some(Answer { frame: frame.into(), admitted: None })) })
    }))
}

/// The control listener serves no data, and says so.
fn list(control: bool) -> ApiVersionsResponse {
    let served = APIS.iter().filter(|api| !(control && super::carries_data(api.key)));
    let version = |api: &super::Api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    };
    ApiVersionsResponse::default().with_api_keys(served.map(version).collect())
}
