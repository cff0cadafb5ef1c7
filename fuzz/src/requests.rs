//! A frame, as it stands behind its length on the wire, up to the moment at which its handler would be run.
//!
//! This is all that the bytes of a request decide: header, version, shape, decoder. Key and version are the first bytes of
//! the input; with `PELTON_FUZZ_KEY` in the environment every input is made a request of that key. What is promised is
//! what the broker admits a request to before it reads it: so many bytes for each byte, by API, and a constant.

use crate::allocation::bounded;
use bytes::Bytes;
use pelton_server::handlers::{ANY_REQUEST_BYTES, APIS, admission, receive};
use std::sync::OnceLock;

/// What reading takes beside the decoded request: errors, the client id, the box that holds the request.
const BESIDE_BYTES: usize = 8 * 1024;

/// The key that every input is given, if there is one.
fn pinned() -> Option<i16> {
    static PINNED: OnceLock<Option<i16>> = OnceLock::new();
    *PINNED.get_or_init(|| {
        let key = std::env::var("PELTON_FUZZ_KEY").ok()?;
        let key: i16 = key.parse().unwrap_or_else(|_| panic!("PELTON_FUZZ_KEY={key} is not a number"));
        assert!(APIS.iter().any(|api| api.key as i16 == key), "PELTON_FUZZ_KEY={key}: no such API is served");
        Some(key)
    })
}

/// Reads the input as a request, on a listener for clients and on a control listener.
pub fn run(input: &[u8]) {
    let mut frame = input.to_vec();
    if let (Some(key), Some(place)) = (pinned(), frame.get_mut(..2)) {
        place.copy_from_slice(&key.to_be_bytes());
    }
    let frame = Bytes::from(frame);
    let key = frame.first_chunk::<2>().map_or(-1, |key| i16::from_be_bytes(*key));
    let admitted_bytes = admission(key, frame.len(), false).map_or(0, |(_, bytes)| bytes);
    let most_bytes = admitted_bytes + ANY_REQUEST_BYTES + BESIDE_BYTES;
    let (there, control) = (frame.clone(), frame.clone());
    let received = bounded(most_bytes, || receive(there, false));
    let on_control = bounded(most_bytes, || receive(control, true));
    let carries_data = matches!(key, 0 | 1);
    assert_eq!(on_control.is_ok(), received.is_ok() && !carries_data, "the control listener serves all but data");
    let Ok(received) = received else { return };
    let api = APIS.iter().find(|api| api.key as i16 == received.prelude.key).expect("only what is listed is read");
    let version = received.prelude.version;
    // ApiVersions answers versions that it does not know.
    assert!((api.min..=api.max).contains(&version) || api.name == "ApiVersions", "{} v{version}", api.name);
}
