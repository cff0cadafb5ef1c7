//! What a run costs the broker.

use super::rivals::Server;
use crate::process::{Beside, Machine, Storage};
use anyhow::Result;

/// What it cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU seconds of the broker.
    pub cpu_s: f64,
    /// Largest resident set meanwhile, in MiB.
    pub peak_rss_mib: f64,
    /// Bytes between broker and storage.
    pub storage: Storage,
    /// What the machine did beside it.
    pub beside: Beside,
}

/// Does something, and tells what it cost a broker meanwhile.
pub fn of<T>(server: &Server, work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let process = server.process();
    process.forget_peak()?;
    let (machine, storage, cpu_s) = (Machine::now()?, process.storage()?, process.cpu_seconds()?);
    let done = work()?;
    let cpu_s = process.cpu_seconds()? - cpu_s;
    let now = process.storage()?;
    let storage = Storage { read: now.read - storage.read, written: now.written - storage.written };
    let cost = Cost { cpu_s, peak_rss_mib: process.peak_rss_mib()?, storage, beside: machine.beside(cpu_s)? };
    Ok((done, cost))
}
