//! Compilation in a child process: a program that runs [`compile_on_stdio`], with limits that it sets on itself before it reads.
//!
//! The child gets a [`Request`] and the module's bytes on its standard input, and answers on its standard output: one byte that says what
//! follows ([`COMPILED`], or why not), its length (u64, little-endian), and the serialized code or a text. A child that
//! answers otherwise, dies or takes too long is a [`ModuleError::Compile`]; it is killed and reaped before the caller goes on.

use super::precompile;
use crate::cache::Trusted;
use crate::compile::shown;
use crate::engine::compiler_config;
use crate::module::Form;
use pelton_api::fault::ModuleError;
use pelton_api::manifest::PluginKind;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Address space of the child.
const ADDRESS_SPACE_BYTES: u64 = 4 << 30;
/// The largest module that a child reads, whatever its parent says.
const INPUT_BYTES: u64 = 1 << 30;
/// The largest code that a parent takes: sixteen times the default limit of a module.
const OUTPUT_BYTES: u64 = 512 << 20;
/// The end of what the child writes to its standard error.
const STDERR_BYTES: u64 = 64 << 10;
/// How long a child may take to end after it closed its output.
const END_TIME: Duration = Duration::from_secs(5);

const COMPILED: u8 = 0;
const NOT_WASM: u8 = 1;
const FORBIDDEN_IMPORT: u8 = 2;
const NOT_COMPILED: u8 = 3;
/// In front of an answer: what it is, and its length.
const ANSWER_HEAD: usize = 9;

/// What the child is asked; in front of the module's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    form: u8,
    fuel: bool,
    cpu_seconds: u32,
    module_bytes: u64,
}

impl Request {
    const MAGIC: [u8; 4] = *b"pwc1";
    const LEN: usize = 18;

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&Self::MAGIC);
        bytes[4] = self.form;
        bytes[5] = u8::from(self.fuel);
        bytes[6..10].copy_from_slice(&self.cpu_seconds.to_le_bytes());
        bytes[10..].copy_from_slice(&self.module_bytes.to_le_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (flags, rest) = rest.split_first_chunk::<2>()?;
        let (cpu_seconds, rest) = rest.split_first_chunk::<4>()?;
        let module_bytes = u64::from_le_bytes(*rest.first_chunk::<8>()?);
        let cpu_seconds = u32::from_le_bytes(*cpu_seconds);
        let whole = *magic == Self::MAGIC && module_bytes <= INPUT_BYTES;
        whole.then_some(Self { form: flags[0], fuel: flags[1] == 1, cpu_seconds, module_bytes })
    }
}

/// The program that compiles, with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Program(Vec<OsString>);

impl Program {
    /// `None` when there is no program among the words.
    pub(crate) fn new(words: Vec<OsString>) -> Option<Self> {
        (!words.is_empty()).then_some(Self(words))
    }

    /// Compiles the module in a child, which may take `time`.
    pub(crate) fn compile(&self, bytes: &[u8], form: Form, fuel: bool, time: Duration) -> Result<Trusted, ModuleError> {
        let failed = |what: &str, error: io::Error| {
            let program = self.0[0].to_string_lossy();
            ModuleError::Compile(format!("the compiler `{program}` {what}: {error}"))
        };
        let mut child = self.command().spawn().map_err(|error| failed("cannot be started", error))?;
        let cpu_seconds = u32::try_from(time.as_secs().saturating_mul(2)).unwrap_or(u32::MAX).max(1);
        let request = Request { form: form.to_byte(), fuel, cpu_seconds, module_bytes: bytes.len() as u64 };
        let (answer, stderr, status) = converse(&mut child, request, bytes, time);
        let status = status.map_err(|error| failed("cannot be waited for", error))?;
        match answer {
            None => Err(ModuleError::Compile(format!("it took more than {time:?}, the limit of a compilation"))),
            Some(answer) if status.success() => understood(answer),
            Some(_) => Err(ModuleError::Compile(died(status, &stderr))),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]).env_clear().process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Gives the child its input, and takes what it answers within `time` (`None`: it did not), what it says on its standard error,
/// and how it ended. The child is dead and reaped when this returns.
fn converse(
    child: &mut Child,
    request: Request,
    bytes: &[u8],
    time: Duration,
) -> (Option<Vec<u8>>, Vec<u8>, io::Result<ExitStatus>) {
    let deadline = Instant::now() + time;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
        // All three were asked for; the child must not outlive the surprise.
        let _ = child.kill();
        return (Some(Vec::new()), Vec::new(), child.wait());
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that does not want the rest has an answer already, or its status tells.
            let _ = stdin.write_all(&request.to_bytes()).and_then(|()| stdin.write_all(bytes));
        });
        let said = scope.spawn(move || read_to_end(stderr, STDERR_BYTES));
        let (answered, answer) = mpsc::sync_channel(1);
        scope.spawn(move || answered.send(read_to_end(stdout, OUTPUT_BYTES)));
        let answer = answer.recv_timeout(time).ok();
        let patience = if answer.is_some() { deadline.min(Instant::now() + END_TIME) } else { Instant::now() };
        let status = end(child, patience);
        (answer, said.join().unwrap_or_default(), status)
    })
}

/// Waits for the child's end until `deadline`, then ends it.
fn end(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            // The whole group: what a program of several processes left would hold the pipes open.
            rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL)?;
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What can be read, at most `limit_bytes` of it; the rest is thrown away, so that the writer does not hang.
fn read_to_end(mut from: impl Read, limit_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is all there is.
    let _ = from.by_ref().take(limit_bytes).read_to_end(&mut bytes);
    let _ = io::copy(&mut from, &mut io::sink());
    bytes
}

fn understood(mut answer: Vec<u8>) -> Result<Trusted, ModuleError> {
    let whole = answer.split_first_chunk::<ANSWER_HEAD>().and_then(|(head, body)| {
        let (kind, len) = head.split_first()?;
        (u64::from_le_bytes(len.try_into().ok()?) == body.len() as u64).then_some(*kind)
    });
    let text = |answer: &[u8]| shown(&String::from_utf8_lossy(&answer[ANSWER_HEAD..]));
    match whole {
        Some(COMPILED) => Ok(Trusted::of_compiler(answer.split_off(ANSWER_HEAD))),
        Some(NOT_WASM) => Err(ModuleError::NotWasm(text(&answer))),
        Some(FORBIDDEN_IMPORT) => Err(ModuleError::ForbiddenImport(text(&answer))),
        Some(NOT_COMPILED) => Err(ModuleError::Compile(text(&answer))),
        _ => Err(ModuleError::Compile(format!("the compiler gave no whole answer of at most {OUTPUT_BYTES} bytes"))),
    }
}

fn died(status: ExitStatus, stderr: &[u8]) -> String {
    let how = match status.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with status {}", status.code().unwrap_or(-1)),
    };
    let stderr = String::from_utf8_lossy(stderr);
    match stderr.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("the compiler {how}: {}", shown(line)),
        None => format!("the compiler {how}, beyond its limits of memory or time"),
    }
}

/// What a compiling child runs: it limits itself, reads one module from standard input, and writes its code to standard output.
pub fn compile_on_stdio() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| say(&format!("the compiler panicked: {panic}").replace('\n', " "))));
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Whoever started this process reads it, or nobody does.
    let _ = writeln!(io::stderr(), "{line}");
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    limit(Resource::As, ADDRESS_SPACE_BYTES)?;
    limit(Resource::Core, 0)?;
    // A parent that dies takes the child with it: nobody would read the answer.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut head = [0; Request::LEN];
    input.read_exact(&mut head)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let request = Request::of_bytes(&head).ok_or_else(|| invalid("not a request to compile"))?;
    let form = form(request.form).ok_or_else(|| invalid("an unknown form of module"))?;
    limit(Resource::Cpu, u64::from(request.cpu_seconds))?;
    let mut bytes = Vec::new();
    input.take(request.module_bytes).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != request.module_bytes {
        return Err(invalid("the module is cut"));
    }
    let engine =
        wasmtime::Engine::new(&compiler_config(request.fuel)).map_err(|error| invalid(&format!("{error:#}")))?;
    let (kind, answer) = match precompile(&engine, &bytes, form) {
        Ok(code) => (COMPILED, code),
        Err(ModuleError::NotWasm(text)) => (NOT_WASM, text.into_bytes()),
        Err(ModuleError::ForbiddenImport(import)) => (FORBIDDEN_IMPORT, import.into_bytes()),
        Err(ModuleError::Compile(text)) => (NOT_COMPILED, text.into_bytes()),
        Err(other) => (NOT_COMPILED, other.to_string().into_bytes()),
    };
    output.write_all(&[kind])?;
    output.write_all(&(answer.len() as u64).to_le_bytes())?;
    output.write_all(&answer)?;
    output.flush()
}

/// The form of a request. The kind of a flat module does not matter to its compiler.
fn form(byte: u8) -> Option<Form> {
    [Form::Component, Form::Core, Form::Flat(PluginKind::Transform)].into_iter().find(|form| form.to_byte() == byte)
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    // A lower limit that is there already stays.
    let hard = rustix::process::getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })?)
}
