//! Unpredictable bytes. Granted to interceptors alone, as the [clock](crate::clock) is.

use crate::host;

/// The most bytes that the host gives in one call.
const AT_ONCE: usize = 64 << 10;

/// Fills `bytes`.
pub fn fill(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(AT_ONCE) {
        part.copy_from_slice(&host::random(part.len()));
    }
}
