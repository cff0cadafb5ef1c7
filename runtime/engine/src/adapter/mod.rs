//! From an instance to the traits of `pelton_api`: one file for each kind of plugin.

mod fault;
pub(crate) mod transform;
