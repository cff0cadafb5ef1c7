//! Produce v0-2: listed, never served (KIP-896).
//!
//! These versions carry record formats before version 2. Every partition of such a request is answered
//! UNSUPPORTED_VERSION, in the encoding of its version, so that the client says what is wrong instead of losing
//! its connection. With acks=0 no answer is possible, and the connection is closed.

use super::{Answer, Call, Handling};
use crate::protocol::codec::Malformed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use std::time::Duration;

/// First version whose answer tells the throttle time.
const TIMED: i16 = 1;

/// Refuses the request. Its shape has been checked, so every length in it is there.
pub fn serve(call: &Call) -> Result<Handling, Malformed> {
    let version = call.prelude.version;
    let mut body = call.body.clone();
    let acks = body.get_i16();
    if acks == 0 {
        return Err(Malformed::UnknownVersion { api: call.api.name, version });
    }
    let mut frame = refuse(call.prelude.correlation_id, version, body).ok_or(Malformed::Body {
        api: call.api.name,
        version,
        reason: "an array is null".to_owned(),
    })?;
    Ok(Box::new(move |scope| {
        scope.charging.charge_time(Duration::ZERO);
        let throttle_time_ms = scope.charging.settle(ApiKey::Produce);
        if version >= TIMED {
            frame.put_i32(throttle_time_ms);
        }
        Box::pin(async move {
            let length = i32::try_from(frame.len() - 4).map_err(|error| Malformed::Response(error.to_string()))?;
            frame[..4].copy_from_slice(&length.to_be_bytes());
            Ok(Some(Answer { frame: frame.freeze().into(), admitted: None }))
        })
    }))
}

/// The answer, without its length and without the throttle time at its end.
fn refuse(correlation_id: i32, version: i16, mut body: Bytes) -> Option<BytesMut> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    body.advance(4); // timeout
    let topics = copy_count(&mut body, &mut frame)?;
    for _ in 0..topics {
        let length = usize::try_from(body.get_i16()).ok()?;
        frame.put_i16(length as i16);
        frame.put(body.split_to(length));
        let partitions = copy_count(&mut body, &mut frame)?;
        for _ in 0..partitions {
            frame.put_i32(body.get_i32());
            let records = usize::try_from(body.get_i32()).unwrap_or(0);
            body.advance(records);
            frame.put_i16(ResponseError::UnsupportedVersion.code());
            frame.put_i64(-1);
            if version >= 2 {
                frame.put_i64(-1); // log append time
            }
        }
    }
    Some(frame)
}

fn copy_count(body: &mut Bytes, frame: &mut BytesMut) -> Option<usize> {
    let count = usize::try_from(body.get_i32()).ok()?;
    frame.put_i32(count as i32);
    Some(count)
}
