//! SaslHandshake (key 17), v0-1: which SASL mechanism a connection is to use.
//!
//! No listener of this broker asks for authentication, so nobody may begin one: Kafka answers ILLEGAL_SASL_STATE on a
//! PLAINTEXT listener, with no mechanisms, and leaves the connection open. v1 has the exchange that follows in
//! SaslAuthenticate.
//!
//! Left out: authentication.
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

/// Refuses.
pub async fn handle(_: Scope, _: SaslHandshakeRequest) -> Option<SaslHandshakeResponse> {
    Some(SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code()))
}
