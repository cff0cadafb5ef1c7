//! What is left of WASI for a language whose runtime cannot do without: no files, no environment, no arguments, no
//! waiting. `sdk/wit/FLAT.md` lists it.
//!
//! Invariant: what a transform or a partitioner reads here is the same for each instance, so its outcome can depend on
//! nothing but its input. A guest gets no time and no bytes of this machine that its world does not grant.

use super::instance::slice;
use crate::host::log::escaped;
use crate::host::{HostData, Stop};
use crate::observe::Level;
use pelton_api::fault::Fault;
use pelton_api::manifest::PluginKind;
use wasmtime::{Caller, Linker};

pub(super) const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: i32 = 0;
/// No such file descriptor: what every call about a file answers.
pub(super) const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;

/// Nanoseconds by which the clock moves each time that it is read.
const TICK_NS: u64 = 1_000;
/// Buffers of one write.
const BUFFERS: u32 = 1_024;
/// Bytes of a line that is not yet ended.
const LINE_BYTES: usize = 4 << 10;
/// Bytes that one call of `random_get` gives.
const RANDOM_BYTES: u32 = 64 << 10;
/// Bytes of a `subscription`, and where its parts stand.
const SUBSCRIPTION_BYTES: usize = 48;
const EVENT_BYTES: usize = 32;

/// Functions that do something.
const SERVED: [&str; 12] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_fdstat_get",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// Functions that are there, because runtimes import them, and only say no.
const REFUSED: [&str; 33] = [
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Whether the function may be imported.
pub(super) fn serves(name: &str) -> bool {
    SERVED.contains(&name) || refuses(name)
}

/// Whether the function only says no.
pub(super) fn refuses(name: &str) -> bool {
    REFUSED.contains(&name)
}

/// What is kept for an instance.
#[derive(Debug, Default)]
pub(super) struct State {
    now_ns: u64,
    random: u64,
    /// Lines of standard output and error that are not yet ended.
    lines: [Vec<u8>; 2],
    /// The first line of this call on standard error: what a runtime says before it gives up.
    complaint: Option<String>,
}

impl State {
    pub(super) fn begin_call(&mut self) {
        self.complaint = None;
    }

    /// The next number of a sequence that is the same for each instance (SplitMix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Takes what was written, and gives the lines that have ended.
    fn write(&mut self, to_error: bool, written: &[u8]) -> Vec<String> {
        let line = &mut self.lines[usize::from(to_error)];
        let mut ended = Vec::new();
        for piece in written.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LINE_BYTES - line.len();
            line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                ended.push(String::from_utf8_lossy(line).into_owned());
                line.clear();
            }
        }
        if to_error && self.complaint.is_none() {
            self.complaint = ended.iter().find(|line| !line.trim().is_empty()).cloned();
        }
        ended
    }
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(MODULE, name, |mut caller: Caller<'_, HostData>, count: u32, bytes: u32| {
            write(&mut caller, count, &[0; 4]).and_then(|()| write(&mut caller, bytes, &[0; 4])).map(|()| SUCCESS)
        })?;
    }
    for name in ["args_get", "environ_get"] {
        linker.func_wrap(MODULE, name, |_: Caller<'_, HostData>, _: u32, _: u32| SUCCESS)?;
    }
    linker.func_wrap(MODULE, "clock_res_get", |mut caller: Caller<'_, HostData>, _: u32, to: u32| {
        write(&mut caller, to, &TICK_NS.to_le_bytes()).map(|()| SUCCESS)
    })?;
    linker.func_wrap(MODULE, "clock_time_get", clock_time)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", fdstat)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "poll_oneoff", poll)?;
    linker.func_wrap(MODULE, "random_get", random)?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    linker.func_wrap(MODULE, "proc_exit", |caller: Caller<'_, HostData>, code: i32| -> wasmtime::Result<()> {
        let complaint = caller.data().flat.as_ref().and_then(|guest| guest.wasi.complaint.as_deref());
        let said = complaint.map(|line| format!(": {}", escaped(line, 500))).unwrap_or_default();
        Err(Stop(Fault::Trap(format!("it exits with code {code}{said}"))).into())
    })?;
    Ok(())
}

fn state<'a>(caller: &'a mut Caller<'_, HostData>) -> wasmtime::Result<&'a mut State> {
    let guest = caller.data_mut().flat.as_mut();
    guest.map(|guest| &mut guest.wasi).ok_or_else(|| Stop::malformed("its start function calls WASI").into())
}

/// Writes to the guest's memory. An address outside of it ends the guest: no runtime does that by mistake.
fn write(caller: &mut Caller<'_, HostData>, to: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    state(caller)?;
    let Some(memory) = caller.data().flat.as_ref().map(|guest| guest.memory) else { return Ok(()) };
    let room = memory.data_mut(caller).get_mut(to as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
    let room = room.ok_or_else(|| Stop::malformed("it gives WASI an address that is not in its memory"))?;
    room.copy_from_slice(bytes);
    Ok(())
}

fn read<'a>(caller: &'a Caller<'_, HostData>, from: u32, len: usize) -> Option<&'a [u8]> {
    let memory = caller.data().flat.as_ref()?.memory;
    slice(memory.data(caller), from as usize, len)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

fn clock_time(mut caller: Caller<'_, HostData>, _clock: u32, _precision: u64, to: u32) -> wasmtime::Result<i32> {
    let state = state(&mut caller)?;
    state.now_ns = state.now_ns.saturating_add(TICK_NS);
    let now = state.now_ns;
    write(&mut caller, to, &now.to_le_bytes()).map(|()| SUCCESS)
}

fn fdstat(mut caller: Caller<'_, HostData>, descriptor: u32, to: u32) -> wasmtime::Result<i32> {
    if descriptor > 2 {
        return Ok(BADF);
    }
    // A character device without flags and rights: nothing can be done with it but writing.
    let mut stat = [0; 24];
    stat[0] = 2;
    write(&mut caller, to, &stat).map(|()| SUCCESS)
}

fn fd_write(
    mut caller: Caller<'_, HostData>,
    descriptor: u32,
    buffers: u32,
    count: u32,
    to: u32,
) -> wasmtime::Result<i32> {
    if !(1..=2).contains(&descriptor) {
        return Ok(BADF);
    }
    if count > BUFFERS {
        return Ok(INVAL);
    }
    let mut written = Vec::new();
    let mut total = 0_u32;
    for n in 0..count {
        let Some(buffer) = buffers.checked_add(n * 8).and_then(|at| read(&caller, at, 8)) else { return Ok(FAULT) };
        let (from, len) = (number(buffer, 0), number(buffer, 4));
        let Some(bytes) = read(&caller, from, len as usize) else { return Ok(FAULT) };
        // What does not fit counts as written: a guest must not wait for a log.
        let room = (LINE_BYTES * 4).saturating_sub(written.len());
        written.extend_from_slice(&bytes[..bytes.len().min(room)]);
        total = total.saturating_add(len);
    }
    let to_error = descriptor == 2;
    let level = if to_error { Level::Warn } else { Level::Info };
    for line in state(&mut caller)?.write(to_error, &written) {
        caller.data().log(level, &line);
    }
    write(&mut caller, to, &total.to_le_bytes()).map(|()| SUCCESS)
}

/// One wait for the clock moves the clock there. There is nothing else to wait for.
fn poll(mut caller: Caller<'_, HostData>, from: u32, to: u32, count: u32, events: u32) -> wasmtime::Result<i32> {
    if count != 1 {
        return Ok(NOSYS);
    }
    let Some(subscription) = read(&caller, from, SUBSCRIPTION_BYTES) else { return Ok(FAULT) };
    let (user_data, is_clock) = (subscription[..8].to_vec(), subscription[8] == 0);
    let timeout = u64::from(number(subscription, 24)) | u64::from(number(subscription, 28)) << 32;
    let is_absolute = number(subscription, 40) & 1 != 0;
    if !is_clock {
        return Ok(NOSYS);
    }
    let state = state(&mut caller)?;
    state.now_ns = if is_absolute { state.now_ns.max(timeout) } else { state.now_ns.saturating_add(timeout) };
    let mut event = [0; EVENT_BYTES];
    event[..8].copy_from_slice(&user_data);
    write(&mut caller, to, &event)?;
    write(&mut caller, events, &1_u32.to_le_bytes()).map(|()| SUCCESS)
}

fn random(mut caller: Caller<'_, HostData>, to: u32, len: u32) -> wasmtime::Result<i32> {
    if len > RANDOM_BYTES {
        return Ok(INVAL);
    }
    let bytes = if caller.data().plugin.kind == PluginKind::Interceptor {
        caller.data().random(len)?
    } else {
        let state = state(&mut caller)?;
        (0..len.div_ceil(8)).flat_map(|_| state.next_random().to_le_bytes()).take(len as usize).collect()
    };
    write(&mut caller, to, &bytes).map(|()| SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_line_feeds_and_are_bounded() {
        let mut state = State::default();
        assert_eq!(state.write(true, b"panic: "), Vec::<String>::new());
        assert_eq!(state.write(true, b"no\n\ngoroutine"), ["panic: no", ""]);
        assert_eq!(state.complaint.as_deref(), Some("panic: no"));
        assert_eq!(state.write(false, &[b'x'; 3 * LINE_BYTES]), Vec::<String>::new());
        assert_eq!(state.write(false, b"more\n"), ["x".repeat(LINE_BYTES)]);
        assert_eq!(state.write(false, b"\n"), [""]);
        state.begin_call();
        assert_eq!(state.complaint, None);
    }

    #[test]
    fn each_instance_reads_the_same_sequence() {
        let (mut one, mut other) = (State::default(), State::default());
        let read: Vec<u64> = (0..100).map(|_| one.next_random()).collect();
        assert!(read.iter().all(|number| *number == other.next_random()));
        assert!(read.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
