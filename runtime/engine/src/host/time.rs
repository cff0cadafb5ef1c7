//! `pelton:plugin/clock` and `pelton:plugin/random`: what must not be had by code whose outcome has to replay.

use super::{Grant, HostData, Stop};
use pelton_api::fault::Fault;
use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// Random bytes that one call gives at most.
const RANDOM_BYTES: u32 = 64 << 10;

impl HostData {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> Result<i64, Stop> {
        self.granted(Grant::Clock)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Unpredictable bytes, of the operating system's.
    pub(crate) fn random(&self, count: u32) -> Result<Vec<u8>, Stop> {
        self.granted(Grant::Random)?;
        if count > RANDOM_BYTES {
            return Err(Stop::limit("random", format!("one call gives {RANDOM_BYTES} bytes, not {count}")));
        }
        let mut bytes = vec![0; count as usize];
        entropy(&mut bytes).map_err(|error| Stop(Fault::Host(format!("/dev/urandom cannot be read: {error}"))))?;
        Ok(bytes)
    }
}

fn entropy(bytes: &mut [u8]) -> std::io::Result<()> {
    static SOURCE: OnceLock<File> = OnceLock::new();
    let mut source = match SOURCE.get() {
        Some(source) => source,
        None => {
            let opened = File::open("/dev/urandom")?;
            SOURCE.get_or_init(|| opened)
        }
    };
    source.read_exact(bytes)
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    linker
        .instance("pelton:plugin/clock@0.1.1")?
        .func_wrap("now-ms", |cx: StoreContextMut<'_, HostData>, (): ()| Ok((cx.data().now_ms()?,)))?;
    linker
        .instance("pelton:plugin/random@0.1.1")?
        .func_wrap("bytes", |cx: StoreContextMut<'_, HostData>, (count,): (u32,)| Ok((cx.data().random(count)?,)))
}
