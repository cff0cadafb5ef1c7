//! Which core does what: the broker has one, and everything that loads it has another.
//!
//! A thread that is bound to a core hands that on to the threads and processes that it starts. So the thread that starts
//! brokers is bound to theirs, and the load runs on a thread of its own. util-linux's `taskset` does it.

use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::process::Command;
use tokio::task::LocalSet;

/// Binds the calling thread to a core.
pub fn bind(core: usize) -> Result<()> {
    let thread = fs::read_link("/proc/thread-self").context("/proc/thread-self")?;
    let id = thread.file_name().context("/proc/thread-self names no thread")?;
    let said = Command::new("taskset").args(["-pc", &core.to_string()]).arg(id).output();
    let said = said.context("cannot run taskset, which util-linux brings")?;
    ensure!(said.status.success(), "cannot use core {core}: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// Runs something on a core, on a thread that is there for it alone, and waits for it.
pub fn on<T: Send>(core: usize, work: impl Send + FnOnce() -> Result<T>) -> Result<T> {
    std::thread::scope(|scope| {
        let bound = scope.spawn(move || bind(core).and_then(|()| work()));
        bound.join().map_err(|_| anyhow!("the load panicked"))?
    })
}

/// Runs a future with all that it spawns on the calling thread.
pub fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_where_it_was_put() {
        let allowed = |status: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
            line.trim().to_owned()
        };
        let before = allowed(&fs::read_to_string("/proc/thread-self/status").unwrap());
        let first: usize = before.split([',', '-']).next().unwrap().parse().unwrap();
        let bound = on(first, || Ok(allowed(&fs::read_to_string("/proc/thread-self/status")?))).unwrap();
        assert_eq!(bound, first.to_string());
        assert_eq!(allowed(&fs::read_to_string("/proc/thread-self/status").unwrap()), before);
        assert!(on(100_000, || Ok(())).is_err());
    }
}
