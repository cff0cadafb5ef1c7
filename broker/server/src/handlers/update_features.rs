//! UpdateFeatures (key 57), v0-2: finalizes versions of features (KIP-584).
//!
//! The features are those of ApiVersions, each supported in one version and finalized in it, so nothing can be changed:
//! the version that a feature has already is no error, every other is INVALID_UPDATE_VERSION, and so is a feature that is not
//! known. v1 added the kind of an upgrade and the check alone, v2 has one error for all instead of one for each.
//!
//! Left out: the timeout, since nothing is waited for.
//!
//! Memory: some 150 bytes of answer for each feature of the request.

use super::Scope;
use super::api_versions::FEATURES;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use std::collections::BTreeSet;

/// Answers for each feature.
pub async fn handle(scope: Scope, request: UpdateFeaturesRequest) -> Option<UpdateFeaturesResponse> {
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    if let Err(refusal) = scope.require(AclOperation::Alter, Resource::Cluster) {
        let message = Some(text::wire(&refusal.to_string()));
        return Some(response.with_error_code(code(Operation::Admin, &refusal)).with_error_message(message));
    }
    let node = scope.server.core.node_id;
    let mut names = BTreeSet::new();
    let doubled = request.feature_updates.iter().find(|update| !names.insert(update.feature.clone()));
    if let Some(doubled) = doubled {
        let why = format!("the request names the feature {} more than once", doubled.feature);
        let error = ResponseError::InvalidRequest.code();
        return Some(response.with_error_code(error).with_error_message(Some(text::wire(&why))));
    }
    let checked: Vec<_> = request.feature_updates.iter().map(|update| (update, check(node, update))).collect();
    if scope.version >= 2 {
        let refused = checked.into_iter().find_map(|(_, result)| result.err());
        let error = refused.as_ref().map_or(NONE, |_| ResponseError::InvalidUpdateVersion.code());
        return Some(response.with_error_code(error).with_error_message(refused.as_deref().map(text::wire)));
    }
    let results = checked.into_iter().map(|(update, result)| {
        UpdatableFeatureResult::default()
            .with_feature(update.feature.clone())
            .with_error_code(result.as_ref().map_or_else(|_| ResponseError::InvalidUpdateVersion.code(), |()| NONE))
            .with_error_message(result.err().as_deref().map(text::wire))
    });
    Some(response.with_results(results.collect()))
}

fn check(node: i32, update: &FeatureUpdateKey) -> Result<(), String> {
    let (name, wanted) = (update.feature.as_str(), update.max_version_level);
    let invalid = |why: &str| Err(format!("{name} cannot have version {wanted}: {why}"));
    match FEATURES.iter().find(|(feature, _)| *feature == name) {
        Some((_, version)) if *version == wanted => Ok(()),
        Some((_, version)) => invalid(&format!("broker {node} has version {version} alone")),
        None => invalid(&format!("broker {node} does not know this feature")),
    }
}
