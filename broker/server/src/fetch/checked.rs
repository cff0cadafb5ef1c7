//! Records that an earlier process wrote are checked before anything is said of them, once.
//!
//! Nobody looks at records that leave from their file. So what this process has neither written nor read yet, with the
//! CRC, is read on a thread of the blocking pool before the answer is formed: a damaged partition then gets its error
//! code, CORRUPT_MESSAGE, in the answer, and the others their records. Batches in front of the damage are given first, so
//! a reader comes as far as there is something to read, and can go on behind it.

use super::Stored;
use super::cold::ColdReads;
use crate::driver::refusal;
use crate::server::Server;
use pelton_core::event::{Fetched, Records, StoredRecords};
use pelton_core::refusal::Refusal;
use pelton_log::{LogError, LogSlice, OsDisk};
use std::io;
use std::sync::Arc;

/// Checks what was read of the partitions of a fetch. Costs a comparison for each that is in no doubt.
pub async fn check_all(server: &Server, reads: &mut [Result<Fetched, Refusal>]) {
    for read in reads {
        let Ok(Fetched { records: Records::Stored(stored), .. }) = read else { continue };
        match server.fetching.cold.check(stored).await {
            Ok(None) => {}
            Ok(Some(sound)) => *stored = sound,
            Err(error) => {
                if let LogError::Io { path, .. } = &error {
                    server.driver.worker().suspect_holder(path);
                }
                server.directories.note_unread(&error);
                *read = Err(refusal(error));
            }
        }
    }
}

impl ColdReads {
    /// Checks records that are in doubt. Says what may be given in their place where only their front is sound.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when the first batch is; [`LogError::Io`].
    pub async fn check(&self, stored: &Arc<dyn StoredRecords>) -> Result<Option<Arc<dyn StoredRecords>>, LogError> {
        let Some(slice) = Stored::of(&**stored).filter(|slice| slice.is_in_doubt()) else { return Ok(None) };
        let path = slice.path.clone();
        let stored = stored.clone();
        let checked = self.blocking(move || Ok(Stored::of(&*stored).map_or(Ok(None), sound_front))).await;
        checked.unwrap_or_else(|source: io::Error| Err(LogError::Io { action: "check", path, source }))
    }
}

fn sound_front(slice: &LogSlice<OsDisk>) -> Result<Option<Arc<dyn StoredRecords>>, LogError> {
    let Err(error) = slice.check() else { return Ok(None) };
    match slice.before_damage()? {
        Some(sound) => Ok(Some(Arc::new(Stored::new(sound)))),
        None => Err(error),
    }
}
