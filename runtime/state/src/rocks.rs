//! RocksDB behind the port that tasks use.
//!
//! Layout: `ROOT/JOB/STEP/PARTITION/` is one database; stores that were set aside stand beside it as
//! `PARTITION.aside-N`. The column family of a store is `store-NAME`.

use crate::stamp;
use bytes::Bytes;
use pelton_api::store::{Change, ChangelogStamp, StateStore, StoreError, StoreFactory, TaskId};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, ErrorKind,
    Options, WriteBatch, WriteBufferManager, WriteOptions,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Memory of all state stores of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocksConfig {
    /// Block cache that all stores share.
    pub block_cache_bytes: usize,
    /// Write buffers of all stores together; past it stores flush early.
    pub write_buffers_bytes: usize,
    /// Write buffer of one store.
    pub write_buffer_bytes: usize,
}

impl Default for RocksConfig {
    fn default() -> Self {
        Self { block_cache_bytes: 128 << 20, write_buffers_bytes: 128 << 20, write_buffer_bytes: 16 << 20 }
    }
}

/// The state stores of one process, below one directory.
pub struct RocksStores {
    root: PathBuf,
    config: RocksConfig,
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl RocksStores {
    /// Stores below `root`, which is created with the first store.
    pub fn new(root: impl Into<PathBuf>, config: RocksConfig) -> Self {
        Self {
            root: root.into(),
            config,
            cache: Cache::new_lru_cache(config.block_cache_bytes),
            // Without stalling: a commit that waits for another task's flush would hold its transaction open.
            write_buffers: WriteBufferManager::new_write_buffer_manager(config.write_buffers_bytes, false),
        }
    }

    fn dir(&self, task: &TaskId) -> Result<PathBuf, StoreError> {
        for name in [&task.job, &task.step] {
            let mut parts = Path::new(name).components();
            if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name.as_str()) {
                return Err(StoreError::Failed(format!("`{name}` cannot name a directory")));
            }
        }
        Ok(self.root.join(&task.job).join(&task.step).join(task.partition.to_string()))
    }

    fn database_options(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        // A flush of one store must not run ahead of the stamps in the default column family.
        options.set_atomic_flush(true);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_max_total_wal_size(4 * self.config.write_buffer_bytes as u64);
        options.set_max_open_files(128);
        options.set_max_background_jobs(2);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options
    }

    fn store_options(&self) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(self.config.write_buffer_bytes);
        options.set_max_write_buffer_number(2);
        options
    }
}

impl StoreFactory for RocksStores {
    fn open(&self, task: &TaskId, stores: &[String]) -> Result<Box<dyn StateStore>, StoreError> {
        let dir = self.dir(task)?;
        if fs::symlink_metadata(&dir).is_ok_and(|found| !found.is_dir() && !found.is_symlink()) {
            return Err(StoreError::Damaged(format!("{} is no directory", dir.display())));
        }
        fs::create_dir_all(&dir).map_err(|e| StoreError::Failed(format!("cannot create {}: {e}", dir.display())))?;
        let options = self.database_options();
        let mut families: BTreeSet<String> = stores.iter().map(|store| family(store)).collect();
        families.insert(rocksdb::DEFAULT_COLUMN_FAMILY_NAME.to_owned());
        if dir.join("CURRENT").exists() {
            // RocksDB wants every column family opened, also those of stores that the step no longer has.
            families.extend(DB::list_cf(&options, &dir).map_err(store_error)?);
        }
        let descriptors = families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, self.store_options()));
        let db = DB::open_cf_descriptors(&options, &dir, descriptors).map_err(store_error)?;
        Ok(Box::new(RocksStore { db, stores: stores.to_vec() }))
    }

    fn set_aside(&self, task: &TaskId) -> Result<String, StoreError> {
        let dir = self.dir(task)?;
        let aside = (1..=u32::MAX)
            .map(|n| dir.with_file_name(format!("{}.aside-{n}", task.partition)))
            .find(|path| !path.exists())
            .ok_or_else(|| StoreError::Failed(format!("too many stores were set aside beside {}", dir.display())))?;
        fs::rename(&dir, &aside)
            .map_err(|e| StoreError::Failed(format!("cannot rename {} to {}: {e}", dir.display(), aside.display())))?;
        tracing::warn!(
            "the state of task {task} cannot be used and is rebuilt from its changelog; it was kept as {}, which may be deleted",
            aside.display()
        );
        Ok(aside.display().to_string())
    }
}

fn family(store: &str) -> String {
    format!("store-{store}")
}

fn store_error(error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Damaged(error.into_string()),
        // A file that its manifest names is gone.
        ErrorKind::IOError if error.as_ref().contains("No such file") => StoreError::Damaged(error.into_string()),
        _ => StoreError::Failed(error.into_string()),
    }
}

struct RocksStore {
    db: DB,
    stores: Vec<String>,
}

impl RocksStore {
    fn family(&self, store: usize) -> Result<&ColumnFamily, StoreError> {
        let name = self.stores.get(store);
        name.and_then(|name| self.db.cf_handle(&family(name)))
            .ok_or_else(|| StoreError::Failed(format!("there is no store number {store}")))
    }
}

impl StateStore for RocksStore {
    fn get(&self, store: usize, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get_pinned_cf(self.family(store)?, key).map_err(store_error)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn apply(&mut self, changes: &[Change], stamps: &[(usize, ChangelogStamp)]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for change in changes {
            let family = self.family(change.store)?;
            match &change.value {
                Some(value) => batch.put_cf(family, &change.key, value),
                None => batch.delete_cf(family, &change.key),
            }
        }
        for (store, stamp) in stamps {
            self.family(*store)?;
            batch.put(stamp::key(&self.stores[*store]), stamp::encode(stamp));
        }
        let mut options = WriteOptions::default();
        options.set_sync(false);
        self.db.write_opt(batch, &options).map_err(store_error)
    }

    fn stamps(&self) -> Result<Vec<Option<ChangelogStamp>>, StoreError> {
        let read = |store: &String| {
            let value = self.db.get(stamp::key(store)).map_err(store_error)?;
            value.map(|value| stamp::decode(&value)).transpose()
        };
        self.stores.iter().map(read).collect()
    }

    fn estimated_keys(&self) -> u64 {
        let keys = |store| {
            let family = self.family(store).ok()?;
            self.db.property_int_value_cf(family, rocksdb::properties::ESTIMATE_NUM_KEYS).ok().flatten()
        };
        (0..self.stores.len()).filter_map(keys).sum()
    }
}

#[cfg(test)]
mod tests;
