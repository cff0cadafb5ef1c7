//! What a guest may use at most, and the meter that holds it to that.

use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Core instances, tables and memories of one guest. A guest of Rust or C has 3, 2 and 1; one of Python brings
/// its libraries as modules of their own.
pub(crate) const CORE_INSTANCES: usize = 100;
/// See [`CORE_INSTANCES`].
pub(crate) const TABLES: usize = 50;
/// See [`CORE_INSTANCES`].
pub(crate) const MEMORIES: usize = 4;
/// Elements of one table: functions that a guest calls through pointers.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// What one plugin instance may use. The defaults suit a machine that serves others too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of an uploaded module. Default 32 MiB, which a JavaScript or Python guest needs.
    pub module_bytes: usize,
    /// Time that a compilation in a child process may take. Default 3 minutes, which a Python guest needs on a small machine.
    pub compile_time: Duration,
    /// Linear memory of one instance. Default 64 MiB.
    pub memory_bytes: usize,
    /// Time that one call may take, the host's own work for it not counted. Default 2 s. Calls of interceptors and
    /// partitioners about records have [`Limits::hook_time`] instead.
    pub call_time: Duration,
    /// Time that one call of an interceptor or a partitioner may take, beside [`Limits::hook_time_per_record`]. Default 250 ms.
    pub hook_time: Duration,
    /// What each record of the batch adds to [`Limits::hook_time`]. Default 0.1 ms.
    pub hook_time_per_record: Duration,
    /// What one call may give back, and what it may hand to the host in one go. Default 32 MiB.
    pub output_bytes: usize,
    /// Key and value of one state entry together. Default 1 MiB, the most that a Kafka record has by default.
    pub state_entry_bytes: usize,
    /// What one call may write to its stores in all. Default 64 MiB.
    pub state_write_bytes: usize,
    /// Instances at the same time, over all plugins. Default 1,000; each reserves 4 GiB of address space.
    pub instances: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes: 32 << 20,
            compile_time: Duration::from_secs(180),
            memory_bytes: 64 << 20,
            call_time: Duration::from_secs(2),
            hook_time: Duration::from_millis(250),
            hook_time_per_record: Duration::from_micros(100),
            output_bytes: 32 << 20,
            state_entry_bytes: 1 << 20,
            state_write_bytes: 64 << 20,
            instances: 1_000,
        }
    }
}

impl Limits {
    /// Time for one call of an interceptor or a partitioner over that many records.
    pub(crate) fn hook_time(&self, records: usize) -> Duration {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.hook_time.saturating_add(self.hook_time_per_record.saturating_mul(records))
    }
}

/// Counts what an instance asks for, and remembers a refusal: a guest that is refused memory traps a moment
/// later with a message of its own, and the operator must learn the true reason.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    /// Bytes of all memories of the instance so far.
    memory_used: usize,
    /// The size that was asked for and refused.
    pub(crate) memory_refused: Option<usize>,
    /// The table size that was asked for and refused.
    pub(crate) table_refused: Option<usize>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, memory_used: 0, memory_refused: None, table_refused: None }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.memory_used.saturating_add(desired.saturating_sub(current));
        if used > self.memory_bytes {
            self.memory_refused = Some(used);
            return Ok(false);
        }
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.table_refused = Some(desired);
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories_of_an_instance() {
        let mut meter = Meter::new(&Limits { memory_bytes: 300, ..Limits::default() });
        assert!(meter.memory_growing(0, 100, None).unwrap());
        assert!(meter.memory_growing(0, 100, None).unwrap());
        assert!(!meter.memory_growing(100, 250, None).unwrap());
        assert_eq!(meter.memory_refused, Some(350));
        assert!(meter.memory_growing(100, 200, None).unwrap());
    }
}
