//! Another place: the directory of a log that is open was given another name.

use super::Log;
use crate::disk::Disk;
use std::path::PathBuf;

impl<D: Disk> Log<D> {
    /// Notes that the log's directory is at `dir` now. Whoever moved it has made that survive a power cut.
    pub fn rehome(&mut self, dir: impl Into<PathBuf>) {
        self.dir = dir.into();
        for segment in &mut self.segments {
            segment.rehome(&self.dir);
        }
    }
}
