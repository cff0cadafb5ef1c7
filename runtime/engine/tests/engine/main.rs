//! The engine against real guests: `plugins/pv-count`, and `tests/hostile`, which misbehaves on request.
//!
//! Both are built by `plugins/build.sh`, and the Makefile says where they are.

mod fixtures;
mod hostile;
mod pv_count;
mod refused;
