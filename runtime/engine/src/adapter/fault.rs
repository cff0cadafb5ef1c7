//! What ended a guest, told apart: the guest's own doing, a limit, or the host.

use crate::host::log::escaped;
use crate::host::{HostData, Stop};
use pelton_api::fault::Fault;
use wasmtime::{Trap, WasmBacktrace};

/// Functions of the guest named in a fault, the innermost first.
const FRAMES_SHOWN: usize = 6;
/// Bytes of a fault's text, for the guest chooses parts of it.
pub(crate) const TEXT_BYTES: usize = 2 << 10;

/// The fault behind an error of a call into the guest.
pub(super) fn of_call(error: &wasmtime::Error, data: &HostData) -> Fault {
    if let Some(Stop(fault)) = error.chain().find_map(|cause| cause.downcast_ref::<Stop>()) {
        return fault.clone();
    }
    if let Some(fault) = refused_by_meter(data) {
        return fault;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => data.clock.is_up(),
        Some(trap) => Fault::Trap(escaped(&format!("{trap}{}", frames(error)), TEXT_BYTES)),
        None if format!("{error:#}").contains("hostcalls has been exhausted") => Fault::Limit {
            limit: "output",
            detail: format!("one call may hand over {} bytes", data.limits().output_bytes),
        },
        // What is left is what the component model refuses: a pointer out of bounds, a string that is none.
        None => Fault::Malformed(escaped(&format!("{error:#}"), TEXT_BYTES)),
    }
}

/// The fault behind an error of making an instance: the guest's start code ran, or the host had no room.
pub(super) fn of_instantiation(error: &wasmtime::Error, data: &HostData) -> Fault {
    let guest_ran = error.chain().any(|cause| cause.is::<Stop>()) || error.is::<Trap>();
    match refused_by_meter(data) {
        Some(fault) => fault,
        None if guest_ran => of_call(error, data),
        None => Fault::Host(format!("no instance could be made: {}", escaped(&format!("{error:#}"), TEXT_BYTES))),
    }
}

fn refused_by_meter(data: &HostData) -> Option<Fault> {
    if let Some(asked) = data.meter.memory_refused {
        let detail = format!("{} bytes are allowed, {asked} were asked for", data.limits().memory_bytes);
        return Some(Fault::Limit { limit: "memory", detail });
    }
    data.meter.table_refused.map(|asked| Fault::Limit {
        limit: "memory",
        detail: format!("a table may have {} elements, not {asked}", crate::limits::TABLE_ELEMENTS),
    })
}

/// ` in f, called by g`, from the names in the module.
fn frames(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<&str> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(FRAMES_SHOWN).collect();
    if names.is_empty() { String::new() } else { format!(", in {}", names.join(" < ")) }
}
