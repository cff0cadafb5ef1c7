//! The engine against real guests: `plugins/pv-count`, the hostile guests beside this folder, and modules written by hand.
//!
//! The guests are built by `plugins/build.sh`, and the Makefile says where they are.

mod compiler;
mod cost;
mod fixtures;
mod flat;
mod hooks;
mod hostile;
mod hostile_table;
mod observed;
mod published;
mod pv_count;
mod refused;
mod wat;
