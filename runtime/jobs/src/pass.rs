//! A transform of the platform's own, which passes records on as they are: key, value, headers and timestamp.
//!
//! It is the one step of the jobs behind `pelton.partitioner.mode=route`: such a job reads the topic that producers write
//! to (the ingress) and writes the topic that consumers read, where the partitioner of the ingress, or of the target,
//! places each record. What that job promises is what every job does: each record of the ingress that was committed is
//! in the target once, whatever crashes, and records of one ingress partition that belong to one target partition keep
//! their order. A producer is told the offsets of the ingress.
//!
//! Not here: which topics are routed, and starting and stopping their jobs; the composition root does that.

use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::manifest::PluginRef;
use pelton_api::transform::{Processed, StateAccess, Transform, TransformFactory};
use std::sync::Arc;

/// The name and version under which a job names this transform. No plugin can be uploaded under that name.
pub const PLUGIN: &str = "pelton-pass@1";

/// The transform, if it is this one that is asked for.
pub fn transform(plugin: &PluginRef) -> Option<Arc<dyn TransformFactory>> {
    (plugin.to_string() == PLUGIN).then(|| Arc::new(PassFactory) as Arc<dyn TransformFactory>)
}

/// Makes instances.
struct PassFactory;

impl TransformFactory for PassFactory {
    fn instantiate(&self, config: &str, stores: &[String]) -> Result<Box<dyn Transform>, Fault> {
        let refused = |what: &str| Err(Fault::Refused(format!("{PLUGIN} has no {what}; leave it out")));
        if !matches!(config.trim(), "" | "{}") {
            return refused("configuration");
        }
        if !stores.is_empty() {
            return refused("stores");
        }
        Ok(Box::new(Pass))
    }
}

struct Pass;

impl Transform for Pass {
    fn process(
        &mut self,
        batch: &Bytes,
        state: Box<dyn StateAccess>,
    ) -> (Box<dyn StateAccess>, Result<Processed, Fault>) {
        (state, Ok(Processed { output: batch.clone(), rejected: Vec::new() }))
    }
}

#[cfg(test)]
mod tests;
