//! How far a restore has come: pure book-keeping for the machine.

use super::changelog::Entry;
use pelton_api::store::ChangelogStamp;
use std::collections::BTreeSet;

/// Commits that are told apart while they are counted; past it the count stands still.
const MAX_COMMITS_COUNTED: usize = 65_536;

/// The changelog of one store as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogBounds {
    /// Identity of the topic.
    pub topic_id: String,
    /// First offset kept.
    pub start: i64,
    /// Last stable offset.
    pub end: i64,
}

/// A restore under way, from the stamps to the ends that the changelogs had when it began.
#[derive(Debug, Default)]
pub struct Restore {
    stores: Vec<StoreProgress>,
    commits: BTreeSet<u64>,
    records: u64,
    /// Highest commit number seen, in stamps and records.
    pub last_commit: u64,
}

#[derive(Debug)]
struct StoreProgress {
    next: ChangelogStamp,
    end: i64,
}

impl Restore {
    /// Plans a restore.
    ///
    /// # Errors
    /// Why the stores cannot be used as they are and must be rebuilt from the changelog's start.
    pub fn plan(stamps: &[Option<ChangelogStamp>], changelogs: Vec<ChangelogBounds>) -> Result<Self, String> {
        let mut restore = Self::default();
        for (number, changelog) in changelogs.into_iter().enumerate() {
            let fresh = ChangelogStamp { topic_id: changelog.topic_id, next_offset: changelog.start, commit: 0 };
            let next = match stamps.get(number).cloned().flatten() {
                None => fresh,
                Some(stamp) if stamp.topic_id != fresh.topic_id => {
                    return Err(format!(
                        "the store was made from topic {} and the changelog is now topic {}",
                        stamp.topic_id, fresh.topic_id
                    ));
                }
                Some(stamp) if stamp.next_offset > changelog.end => {
                    return Err(format!(
                        "the store holds the changelog up to offset {}, which ends at {}",
                        stamp.next_offset, changelog.end
                    ));
                }
                Some(stamp) if stamp.next_offset < changelog.start => {
                    return Err(format!(
                        "the store holds the changelog up to offset {}, which now begins at {}",
                        stamp.next_offset, changelog.start
                    ));
                }
                Some(stamp) => stamp,
            };
            restore.last_commit = restore.last_commit.max(next.commit);
            restore.stores.push(StoreProgress { next, end: changelog.end });
        }
        Ok(restore)
    }

    /// The next (store, offset) to read, or `None` when all is read.
    pub fn next_read(&self) -> Option<(usize, i64)> {
        let store = self.stores.iter().position(|store| store.next.next_offset < store.end)?;
        Some((store, self.stores[store].next.next_offset))
    }

    /// Notes what a read of `store` gave, and answers with the store's stamp after it.
    pub fn advance(&mut self, store: usize, entries: &[Entry], next_offset: i64) -> ChangelogStamp {
        self.records += entries.len() as u64;
        let next = &mut self.stores[store].next;
        next.next_offset = next_offset;
        for commit in entries.iter().filter_map(|entry| entry.commit) {
            next.commit = next.commit.max(commit);
            self.last_commit = self.last_commit.max(commit);
            if self.commits.len() < MAX_COMMITS_COUNTED {
                self.commits.insert(commit);
            }
        }
        next.clone()
    }

    /// (records, distinct commits) replayed so far.
    pub fn replayed(&self) -> (u64, u64) {
        (self.records, self.commits.len() as u64)
    }

    /// The identity of each changelog topic.
    pub fn topic_ids(&self) -> Vec<String> {
        self.stores.iter().map(|store| store.next.topic_id.clone()).collect()
    }
}
