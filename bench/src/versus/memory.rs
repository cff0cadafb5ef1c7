//! The state of the machine's memory and disk before a run, which must be the same for everybody.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

/// Bytes of a page.
const PAGE: usize = 4096;
/// How much more than a run's values is touched: keys, headers, indexes, and what the client needs.
const SPARE: f64 = 1.5;

/// Memory of this process that has been touched and is given back when this is dropped.
pub struct Touched(#[expect(dead_code, reason = "it is held, not read")] Vec<u8>);

/// Writes out what is still dirty below `dir`, then touches as much memory as a run of so many bytes will fill. When the
/// result is dropped the run's first pages are ones that the machine already has.
pub fn prepare(dir: &Path, bytes: u64) -> Result<Touched> {
    let file = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    rustix::fs::syncfs(file)?;
    let mut memory = vec![0_u8; (bytes as f64 * SPARE) as usize];
    for page in memory.iter_mut().step_by(PAGE) {
        *page = 1;
    }
    Ok(Touched(black_box(memory)))
}

impl Touched {
    /// Gives it back after a while, while a client of another process starts.
    pub fn give_back_after(self, wait: Duration) {
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            drop(self);
        });
    }
}

/// Empties the page cache. Needs root.
pub fn drop_page_cache(dir: &Path) -> Result<()> {
    rustix::fs::syncfs(File::open(dir)?)?;
    fs::write("/proc/sys/vm/drop_caches", "1").context("cannot empty the page cache; only root can")
}

/// Checks that there is room for so many bytes below `dir`.
pub fn ensure_room(dir: &Path, bytes: u64) -> Result<()> {
    let there = rustix::fs::statvfs(dir)?;
    let free = there.f_bavail * there.f_frsize;
    let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
    ensure!(
        free >= bytes,
        "{} has {:.1} GiB free and {:.1} are needed; name another directory with --dir, or measure less",
        dir.display(),
        gib(free),
        gib(bytes)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_told_from_no_room() {
        let dir = tempfile::TempDir::new().unwrap();
        ensure_room(dir.path(), 1).unwrap();
        let error = ensure_room(dir.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("--dir"), "{error}");
    }
}
