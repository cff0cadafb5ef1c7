//! The time of day. Granted to interceptors alone: what a partitioner or a job computes must not depend on it, and
//! a module of theirs that uses it is refused at upload.

use crate::host;

/// Milliseconds since the Unix epoch, by the broker's clock. One call to the host; ask once for a batch.
pub fn now_ms() -> i64 {
    host::now_ms()
}
