//! `pelton:plugin/emit`: batches for other topics, kept until the call has ended well.
//!
//! Invariant: what is kept is one whole uncompressed batch of data records each, its header of the host's making but for the timestamps;
//! a call has at most [`BATCHES_A_CALL`] of them, and together they are no larger than what a call may give back.

use super::{Grant, HostData, Stop};
use crate::records::{self, NormalHeader};
use bytes::Bytes;
use pelton_api::hooks::Emission;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// Batches that one call may emit.
const BATCHES_A_CALL: usize = 1_000;

/// What a guest has emitted during one call.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    batches: Vec<Emission>,
    bytes: usize,
}

impl Emitted {
    pub(super) fn into_batches(self) -> Vec<Emission> {
        self.batches
    }
}

impl HostData {
    /// Keeps a batch for a topic. The inner error is for the guest: the topic is not one of those that the operator named.
    pub(crate) fn emit(&mut self, topic: &str, mut batch: Vec<u8>) -> Result<Result<(), String>, Stop> {
        self.granted(Grant::Emit)?;
        let allowed_bytes = self.limits().output_bytes;
        let Some(emitted) = &mut self.emitted else {
            return Err(Stop::malformed("it emits outside of a hook"));
        };
        let Some(topic) = self.purpose.emit.iter().find(|granted| ***granted == *topic) else {
            let topic = super::log::escaped(topic, 249);
            return Ok(Err(format!(
                "the topic `{topic}` is not granted; the operator names it in pelton.plugin.NAME.emit"
            )));
        };
        if emitted.batches.len() >= BATCHES_A_CALL {
            return Err(Stop::limit("emissions", format!("one call may emit {BATCHES_A_CALL} batches")));
        }
        emitted.bytes = emitted.bytes.saturating_add(batch.len());
        if emitted.bytes > allowed_bytes {
            let detail = format!("one call may emit {allowed_bytes} bytes, not {}", emitted.bytes);
            return Err(Stop::limit("output", detail));
        }
        let checked =
            records::checked(&batch).map_err(|error| Stop::malformed(format!("a batch that it emits: {error}")))?;
        if checked.count > 0 {
            NormalHeader::of(&checked).write_to(&mut batch);
            emitted.batches.push(Emission { topic: topic.clone(), batch: Bytes::from(batch) });
        }
        Ok(Ok(()))
    }
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    linker.instance("pelton:plugin/emit@0.1.1")?.func_wrap(
        "to-topic",
        |mut cx: StoreContextMut<'_, HostData>, (topic, batch): (String, Vec<u8>)| {
            Ok((cx.data_mut().emit(&topic, batch)?,))
        },
    )
}
