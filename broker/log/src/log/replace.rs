//! Putting new segments in the place of old ones, so that a crash at any moment leaves the old or the new ones, whole.
//!
//! The names are Kafka's. A compaction writes `N.log.cleaned` and its indexes `N.index.cleaned` and so on, and syncs them.
//! 1. `N.log.cleaned` becomes `N.log.swap`, and the directory is synced: from here on the new segment holds.
//! 2. The old segments' files get `.deleted` behind their names, and the directory is synced: no old index can
//!    come to stand beside the new segment.
//! 3. The new files get their own names, and the directory is synced.
//!
//! Opening a log finishes what it finds begun: `.cleaned` and `.deleted` files are removed, and for a `.swap` file the old
//! segments that it covers go, all of their files, before it gets its name. Its indexes are then written anew.

use super::Log;
use crate::compaction::{CleanedSegment, CompactionSource, SealedSegment, SourceSegment};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::recovery::scan_segment;
use crate::segment::{First, INDEX_EXTENSIONS, Segment};
use crate::{Offset, segment_file_name};
use std::path::{Path, PathBuf};

const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";
const DELETED: &str = ".deleted";

/// Where the file of a new segment stands until it takes its place.
pub(crate) fn cleaned_path(dir: &Path, base_offset: Offset, extension: &str) -> PathBuf {
    dir.join(segment_file_name(base_offset, extension) + CLEANED)
}

impl<D: Disk> Log<D> {
    /// The segments that take no more batches, in order.
    pub fn sealed_segments(&self) -> Vec<SealedSegment> {
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        pairs.map(|(segment, next)| sealed(segment, next.base_offset)).collect()
    }

    /// What a compaction of the segments below `end` needs: handles on their files and the aborted transactions among
    /// their batches. `end` is where a sealed segment ends.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn compaction_source(&self, end: Offset) -> Result<CompactionSource<D>, LogError> {
        let mut segments = Vec::new();
        for info in self.sealed_segments().into_iter().filter(|info| info.end_offset <= end) {
            let segment = &self.segments[segments.len()];
            let file = segment.file.try_clone().context("share", &segment.path)?;
            let (path, doubt) = (segment.path.clone(), segment.doubt.clone());
            let chain = segment.chain(First::Begins(segment.base_offset), &self.epochs);
            segments.push(SourceSegment { info, path, file, chain, next_offset: segment.next_offset, doubt });
        }
        let start = segments.first().map_or(end, |first| first.info.base_offset);
        let (disk, dir, config) = (self.disk.clone(), self.dir.clone(), self.config.clone());
        Ok(CompactionSource { disk, dir, config, segments, aborted: self.aborted_in(start, end) })
    }

    /// Puts a new segment in the place of those that it was made from. `None`, and nothing done, when they are not
    /// what they were: retention or a truncation came between. Otherwise gives the files that are of no use any more;
    /// whoever removes them may wait (`file.delete.delay.ms`), and opening the log removes them too.
    ///
    /// # Errors
    /// [`LogError::Fenced`]; [`LogError::Io`]: the log is then fenced, and opening it again finishes or undoes the change.
    pub fn replace(&mut self, cleaned: CleanedSegment<D>) -> Result<Option<Vec<PathBuf>>, LogError> {
        self.check_not_fenced()?;
        let place = self.place_of(&cleaned.replaces).filter(|_| cleaned.dir == self.dir);
        let Some(place) = place else {
            remove_cleaned(&self.disk, &cleaned.dir, cleaned.base_offset())?;
            return Ok(None);
        };
        // Until the last step the names on the medium and the segments in memory differ.
        self.fenced = true;
        let base_offset = cleaned.base_offset();
        let name = |extension: &str| self.dir.join(segment_file_name(base_offset, extension));
        let swap = with_suffix(&name("log"), SWAP);
        self.rename(&cleaned_path(&self.dir, base_offset, "log"), &swap)?;
        self.sync_dir()?;
        let mut removable = Vec::new();
        let covered = place..place + cleaned.replaces.len();
        for segment in &self.segments[covered.clone()] {
            removable.extend(self.rename_deleted(segment.base_offset)?);
        }
        self.sync_dir()?;
        for extension in INDEX_EXTENSIONS {
            let from = cleaned_path(&self.dir, base_offset, extension);
            if self.disk.exists(&from).context("look for", &from)? {
                self.rename(&from, &name(extension))?;
            }
        }
        self.rename(&swap, &name("log"))?;
        self.sync_dir()?;
        let CleanedSegment { file, scan, aborted, .. } = cleaned;
        let mut segment = Segment::load(&self.disk, &self.dir, base_offset, file, scan, aborted, true)?;
        segment.write_digest(&self.disk, true);
        segment.release_digest();
        self.segments.splice(covered, [segment]);
        self.fenced = false;
        Ok(Some(removable))
    }

    /// Takes the name from every file of a segment, for good once the directory is synced. Says what they are called now.
    pub(super) fn rename_deleted(&self, base_offset: Offset) -> Result<Vec<PathBuf>, LogError> {
        let mut renamed = Vec::new();
        // The batches first, so that what a crash leaves behind is known for an orphan.
        for extension in ["log"].into_iter().chain(INDEX_EXTENSIONS) {
            let path = self.dir.join(segment_file_name(base_offset, extension));
            if self.disk.exists(&path).context("look for", &path)? {
                let deleted = with_suffix(&path, DELETED);
                self.rename(&path, &deleted)?;
                renamed.push(deleted);
            }
        }
        Ok(renamed)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), LogError> {
        self.disk.rename(from, to).context("rename", from)
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)
    }

    /// Where the segments stand, if they are all there, sealed and unchanged.
    fn place_of(&self, replaces: &[SealedSegment]) -> Option<usize> {
        let now = self.sealed_segments();
        let place = now.iter().position(|info| info.base_offset == replaces[0].base_offset)?;
        (now.get(place..place + replaces.len())? == replaces).then_some(place)
    }
}

fn sealed<D: Disk>(segment: &Segment<D>, end_offset: Offset) -> SealedSegment {
    SealedSegment {
        base_offset: segment.base_offset,
        end_offset,
        len_bytes: segment.len,
        first_timestamp: segment.first_timestamp,
        max_timestamp: segment.indexer.max_timestamp,
    }
}

/// Removes the files of a new segment that does not take its place.
pub(crate) fn remove_cleaned<D: Disk>(disk: &D, dir: &Path, base_offset: Offset) -> Result<(), LogError> {
    for extension in ["log"].into_iter().chain(INDEX_EXTENSIONS) {
        let path = cleaned_path(dir, base_offset, extension);
        if disk.exists(&path).context("look for", &path)? {
            disk.remove_file(&path).context("remove", &path)?;
        }
    }
    Ok(())
}

/// Finishes in `dir` what a crash interrupted: removes what has no use, and gives new segments their places. Called
/// before the segments are looked at.
///
/// # Errors
/// [`LogError::Io`]; [`LogError::Damaged`] when a new segment is not whole, which was synced before it got its name.
pub(super) fn finish_replacements<D: Disk>(disk: &D, dir: &Path) -> Result<(), LogError> {
    for name in disk.list(dir).context("list", dir)? {
        if name.ends_with(CLEANED) || name.ends_with(DELETED) {
            let path = dir.join(name);
            disk.remove_file(&path).context("remove", &path)?;
        } else if let Some(base_offset) = name.strip_suffix(SWAP).and_then(|name| base_offset_of(name, "log")) {
            finish_swap(disk, dir, base_offset)?;
        } else if name.ends_with(SWAP) {
            // Kafka renames indexes so too. They are written anew.
            let path = dir.join(name);
            disk.remove_file(&path).context("remove", &path)?;
        }
    }
    Ok(())
}

fn finish_swap<D: Disk>(disk: &D, dir: &Path, base_offset: Offset) -> Result<(), LogError> {
    let target = dir.join(segment_file_name(base_offset, "log"));
    let swap = with_suffix(&target, SWAP);
    let file = disk.open(&swap, false).context("open", &swap)?;
    // Only where it ends matters here, so how often an index would have an entry does not.
    let scan = scan_segment(&file, &swap, base_offset, u32::MAX, true, &mut |_| {})?;
    if let Some(stop) = scan.stop {
        return Err(LogError::Damaged { path: swap, position: scan.valid_len, reason: stop.reason });
    }
    tracing::info!(path = %swap.display(), end = scan.next_offset, "a compacted segment takes the place that it was made for");
    // The file may be in memory only, after a kill; the old segments are about to go.
    file.sync_data().context("sync", &swap)?;
    disk.sync_dir(dir).context("sync", dir)?;
    for name in disk.list(dir).context("list", dir)? {
        let base = ["log"].into_iter().chain(INDEX_EXTENSIONS).find_map(|extension| base_offset_of(&name, extension));
        if base.is_some_and(|base| (base_offset..scan.next_offset.max(base_offset + 1)).contains(&base)) {
            let path = dir.join(name);
            disk.remove_file(&path).context("remove", &path)?;
        }
    }
    disk.sync_dir(dir).context("sync", dir)?;
    disk.rename(&swap, &target).context("rename", &swap)?;
    disk.sync_dir(dir).context("sync", dir)
}

fn base_offset_of(name: &str, extension: &str) -> Option<Offset> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
