//! What a flat module asks of the host: `pelton.host_0_1` and `pelton.state_0_1`.

use super::instance::{SLACK_BYTES, put, slice};
use super::wire::{Malformed, Reader, Writer};
use super::{HOST, HOST_MODULE, STATE};
use crate::host::{HostData, Stop};
use crate::observe::Level;
use wasmtime::{Caller, Linker};

/// Labels of one series that are read; the host takes fewer still.
const LABELS: usize = 100;
/// Bytes of a line that are looked at; what is written is shorter still.
const LINE_BYTES: usize = 64 << 10;

/// What a host call answers with: nothing, or the pieces of an answer.
enum Answer {
    Nothing,
    Bytes(Vec<u8>),
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST_MODULE, HOST, |caller: Caller<'_, HostData>, call: i32, ptr: u32, len: u32| {
        asked(caller, ptr, len, |data, request| match call {
            1 => log(data, request),
            2..=4 => metric(data, call, request),
            7 => emit(data, request),
            8 => now_ms(data, request),
            9 => random(data, request),
            _ => Err(Stop::malformed(format!("{HOST} has no call {call}"))),
        })
    })?;
    linker.func_wrap(HOST_MODULE, STATE, |caller: Caller<'_, HostData>, call: i32, ptr: u32, len: u32| {
        asked(caller, ptr, len, |data, request| state(data, call, request))
    })?;
    Ok(())
}

/// Runs a host call on the request where it stands, and hands its answer to the guest.
fn asked(
    mut caller: Caller<'_, HostData>,
    ptr: u32,
    len: u32,
    serve: impl FnOnce(&mut HostData, &mut Reader<'_>) -> Result<Answer, Stop>,
) -> wasmtime::Result<u64> {
    let Some(guest) = &caller.data().flat else {
        return Err(Stop::malformed("its start function asks the host").into());
    };
    if guest.in_alloc {
        return Err(Stop::malformed("pelton_alloc asks the host").into());
    }
    let (memory, alloc) = (guest.memory, guest.alloc.clone());
    let allowed = caller.data().limits().output_bytes.saturating_add(SLACK_BYTES);
    if len as usize > allowed {
        return Err(Stop::limit("output", format!("a request to the host may have {allowed} bytes, not {len}")).into());
    }
    let (bytes, data) = memory.data_and_store_mut(&mut caller);
    let request = slice(bytes, ptr as usize, len as usize);
    let request = request.ok_or_else(|| Stop::malformed("a request to the host is not in its memory"))?;
    let Answer::Bytes(answer) = serve(data, &mut Reader(request))? else { return Ok(0) };
    in_alloc(&mut caller, true);
    let (ptr, len) = put(&mut caller, memory, &alloc, &[&answer])?;
    in_alloc(&mut caller, false);
    Ok(u64::from(ptr) << 32 | u64::from(len))
}

fn in_alloc(caller: &mut Caller<'_, HostData>, is: bool) {
    if let Some(guest) = &mut caller.data_mut().flat {
        guest.in_alloc = is;
    }
}

fn bad(what: Malformed) -> Stop {
    Stop::malformed(format!("a request to the host: {what}"))
}

/// An answer with a value that is written by `write`.
fn value(write: impl FnOnce(&mut Writer)) -> Answer {
    let mut answer = Writer::default();
    answer.u8(0);
    write(&mut answer);
    Answer::Bytes(answer.0)
}

fn log(data: &mut HostData, request: &mut Reader<'_>) -> Result<Answer, Stop> {
    let level = match request.u8().map_err(bad)? {
        0 => Level::Error,
        1 => Level::Warn,
        2 => Level::Info,
        3 => Level::Debug,
        _ => return Err(bad("a level is 0 to 3")),
    };
    let text = request.bytes().map_err(bad)?;
    request.end().map_err(bad)?;
    data.log(level, &String::from_utf8_lossy(&text[..text.len().min(LINE_BYTES)]));
    Ok(Answer::Nothing)
}

fn metric(data: &mut HostData, call: i32, request: &mut Reader<'_>) -> Result<Answer, Stop> {
    let name = request.text().map_err(bad)?;
    let count = request.count(8).map_err(bad)?;
    if count > LABELS {
        return Err(bad("a series has more labels than the host takes"));
    }
    let label = |_| Ok((request.text()?, request.text()?));
    let labels = (0..count).map(label).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    match call {
        2 => {
            let by = request.u64().map_err(bad)?;
            request.end().map_err(bad)?;
            data.count(&name, labels, by)?;
        }
        3 => {
            let value = request.f64().map_err(bad)?;
            request.end().map_err(bad)?;
            data.gauge(&name, labels, value)?;
        }
        _ => {
            let count = request.count(8).map_err(bad)?;
            let values = (0..count).map(|_| request.f64()).collect::<Result<Vec<_>, _>>().map_err(bad)?;
            request.end().map_err(bad)?;
            data.observe(&name, labels, &values)?;
        }
    }
    Ok(Answer::Nothing)
}

fn emit(data: &mut HostData, request: &mut Reader<'_>) -> Result<Answer, Stop> {
    let topic = request.text().map_err(bad)?;
    let batch = request.bytes().map_err(bad)?;
    request.end().map_err(bad)?;
    let allowed = data.limits().output_bytes;
    if batch.len() > allowed {
        return Err(Stop::limit("output", format!("one call may emit {allowed} bytes, not {}", batch.len())));
    }
    Ok(match data.emit(&topic, batch.to_vec())? {
        Ok(()) => Answer::Nothing,
        Err(refusal) => {
            let mut answer = Writer::default();
            answer.u8(1);
            answer.text(&refusal);
            Answer::Bytes(answer.0)
        }
    })
}

fn now_ms(data: &mut HostData, request: &Reader<'_>) -> Result<Answer, Stop> {
    request.end().map_err(bad)?;
    let now = data.now_ms()?;
    Ok(value(|answer| answer.i64(now)))
}

fn random(data: &mut HostData, request: &mut Reader<'_>) -> Result<Answer, Stop> {
    let count = request.u32().map_err(bad)?;
    request.end().map_err(bad)?;
    let bytes = data.random(count)?;
    Ok(value(|answer| answer.bytes(&bytes)))
}

fn state(data: &mut HostData, call: i32, request: &mut Reader<'_>) -> Result<Answer, Stop> {
    let store = request.u32().map_err(bad)?;
    let list = request.bytes().map_err(bad)?;
    request.end().map_err(bad)?;
    let mut one = data.lend_store(store)?;
    let answer = match call {
        5 => one.get_many(list).map(|values| value(|answer| answer.bytes(&values))),
        6 => one.put_many(list).map(|()| Answer::Nothing),
        _ => Err(Stop::malformed(format!("{STATE} has no call {call}"))),
    };
    data.take_back(one);
    answer
}
