//! One instance of a flat module: a request goes into its memory, an answer comes out of it.

use super::wire::{Malformed, Reader, Writer, answer};
use crate::adapter::guest::Called;
use crate::adapter::interceptor::GuestOutcome;
use crate::adapter::transform::GuestProcessed;
use crate::host::{HostData, Stop};
use pelton_api::interceptor::{Call, Parts, Wants};
use wasmtime::{AsContextMut, Memory, Store, TypedFunc};

/// What an answer may have beside the output's bytes: reasons of rejections, in the main. As components have it.
pub(super) const SLACK_BYTES: usize = 4 << 20;

/// Numbers of the plugin's calls.
mod call {
    pub(super) const DESCRIBE: i32 = 0;
    pub(super) const CONFIGURE: i32 = 1;
    pub(super) const PROCESS: i32 = 2;
    pub(super) const PARTITION: i32 = 2;
    pub(super) const ON_SEND: i32 = 2;
    pub(super) const ON_ACKNOWLEDGEMENT: i32 = 3;
    pub(super) const ON_CONSUME: i32 = 4;
    pub(super) const ON_COMMIT: i32 = 5;
}

/// One instance.
pub(crate) struct Instance {
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    function: TypedFunc<(i32, u32, u32), u64>,
}

impl Instance {
    pub(super) fn new(memory: Memory, alloc: TypedFunc<u32, u32>, function: TypedFunc<(i32, u32, u32), u64>) -> Self {
        Self { memory, alloc, function }
    }

    pub(crate) fn describe_interceptor(&self, store: &mut Store<HostData>) -> Called<Wants> {
        self.call(store, call::DESCRIBE, &[], |reader| reader.wants())
    }

    pub(crate) fn describe_partitioner(&self, store: &mut Store<HostData>) -> Called<Parts> {
        self.call(store, call::DESCRIBE, &[], |reader| reader.parts())
    }

    pub(crate) fn configure(&self, store: &mut Store<HostData>, config: &str) -> Called<()> {
        let mut request = Writer::default();
        request.text(config);
        self.call(store, call::CONFIGURE, &[&request.0], |_| Ok(()))
    }

    pub(crate) fn configure_transform(
        &self,
        store: &mut Store<HostData>,
        config: &str,
        stores: &[String],
    ) -> Called<()> {
        let mut request = Writer::default();
        request.text(config);
        request.len(stores.len());
        stores.iter().for_each(|name| request.text(name));
        self.call(store, call::CONFIGURE, &[&request.0], |_| Ok(()))
    }

    pub(crate) fn process(&self, store: &mut Store<HostData>, batch: &[u8]) -> Called<GuestProcessed> {
        let mut len = Writer::default();
        len.len(batch.len());
        self.call(store, call::PROCESS, &[&len.0, batch], |reader| reader.processed())
    }

    pub(crate) fn filter(&self, store: &mut Store<HostData>, call: Call<'_>) -> Called<GuestOutcome> {
        let (number, origin, batch) = match call {
            Call::Send(from, batch) => (call::ON_SEND, from, batch),
            Call::Consume(to, batch) => (call::ON_CONSUME, to, batch),
            Call::Acknowledgement(..) | Call::Commit(_) => return Ok(Ok(GuestOutcome::default())),
        };
        let mut head = Writer::default();
        head.origin(origin);
        head.len(batch.len());
        self.call(store, number, &[&head.0, batch], |reader| reader.outcome())
    }

    pub(crate) fn observe(&self, store: &mut Store<HostData>, call: Call<'_>) -> Called<()> {
        let mut request = Writer::default();
        let number = match call {
            Call::Acknowledgement(from, acknowledged) => {
                request.origin(from);
                request.acknowledgement(acknowledged);
                call::ON_ACKNOWLEDGEMENT
            }
            Call::Commit(commit) => {
                request.commit(commit);
                call::ON_COMMIT
            }
            Call::Send(..) | Call::Consume(..) => return Ok(Ok(())),
        };
        self.call(store, number, &[&request.0], |_| Ok(()))
    }

    pub(crate) fn partition(
        &self,
        store: &mut Store<HostData>,
        batch: &[u8],
        topic: &str,
        partitions: i32,
    ) -> Called<Vec<i32>> {
        let (mut len, mut rest) = (Writer::default(), Writer::default());
        len.len(batch.len());
        rest.text(topic);
        rest.i32(partitions);
        self.call(store, call::PARTITION, &[&len.0, batch, &rest.0], |reader| reader.numbers())
    }

    /// One call: the request's pieces go into the guest's memory back to back, and `read` takes the answer's value where it stands.
    fn call<R>(
        &self,
        store: &mut Store<HostData>,
        number: i32,
        request: &[&[u8]],
        read: impl FnOnce(&mut Reader<'_>) -> Result<R, Malformed>,
    ) -> Called<R> {
        if let Some(guest) = &mut store.data_mut().flat {
            guest.wasi.begin_call();
        }
        let (ptr, len) = put(&mut *store, self.memory, &self.alloc, request)?;
        let packed = self.function.call(&mut *store, (number, ptr, len))?;
        let (ptr, len) = ((packed >> 32) as usize, (packed & u64::from(u32::MAX)) as usize);
        let allowed = store.data().limits().output_bytes.saturating_add(SLACK_BYTES);
        if len > allowed {
            return Err(Stop::limit("output", format!("an answer may have {allowed} bytes, not {len}")).into());
        }
        let memory = self.memory.data(&*store);
        let bytes = slice(memory, ptr, len).ok_or_else(|| Stop::malformed("its answer is not in its memory"))?;
        Ok(answer(bytes, read).map_err(|what| Stop::malformed(format!("its answer: {what}")))?)
    }
}

/// Asks the guest for room and writes the pieces there, back to back. Nothing at all needs no room.
pub(super) fn put(
    mut store: impl AsContextMut<Data = HostData>,
    memory: Memory,
    alloc: &TypedFunc<u32, u32>,
    pieces: &[&[u8]],
) -> wasmtime::Result<(u32, u32)> {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    if total == 0 {
        return Ok((0, 0));
    }
    let len = u32::try_from(total).map_err(|_| Stop::limit("memory", "a request has 4 GiB or more"))?;
    let ptr = alloc.call(&mut store, len)?;
    let room = memory.data_mut(&mut store).get_mut(ptr as usize..).and_then(|rest| rest.get_mut(..total));
    let Some(mut room) = room.filter(|_| ptr != 0) else {
        return Err(Stop::malformed(format!("pelton_alloc({len}) gave {ptr:#x}, where there is no such room")).into());
    };
    for piece in pieces {
        let (here, rest) = room.split_at_mut(piece.len());
        here.copy_from_slice(piece);
        room = rest;
    }
    Ok((ptr, len))
}

/// `len` bytes of the memory, if it has them.
pub(super) fn slice(memory: &[u8], ptr: usize, len: usize) -> Option<&[u8]> {
    memory.get(ptr..)?.get(..len)
}
