//! SaslAuthenticate (key 36), v0-2: one step of an authentication.
//!
//! No listener of this broker asks for authentication, so no handshake can have come before: ILLEGAL_SASL_STATE, as
//! Kafka answers on a PLAINTEXT listener. v1 added the lifetime of a session, v2 is flexible.
//!
//! Left out: authentication.
//!
//! Memory: the answer is of a constant size; the token of the request is dropped.

use super::Scope;
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

/// Refuses.
pub async fn handle(_: Scope, _: SaslAuthenticateRequest) -> Option<SaslAuthenticateResponse> {
    let message = "this listener asks for no authentication; connect with security.protocol=PLAINTEXT";
    Some(
        SaslAuthenticateResponse::default()
            .with_error_code(ResponseError::IllegalSaslState.code())
            .with_error_message(Some(text::wire(message))),
    )
}
