//! From an instance to the traits of `pelton_api`: one file for each kind of plugin.
//!
//! An adapter makes calls (of a component, or of a flat module), and checks what comes back before anyone else reads it. Which records a
//! plugin may change, and what a rejection means, is not decided here.

pub(crate) mod fault;
pub(crate) mod guest;
pub(crate) mod interceptor;
pub(crate) mod partitioner;
pub(crate) mod transform;
