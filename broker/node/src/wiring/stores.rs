//! Where the tasks keep their state: one RocksDB for each task, under `<data>/state/<job>/<step>/<partition>`.

use pelton_api::store::StoreFactory;
use pelton_state::{RocksConfig, RocksStores};
use std::path::Path;
use std::sync::Arc;

/// The state stores below `data_dir`.
pub fn open(data_dir: &Path) -> Arc<dyn StoreFactory> {
    Arc::new(RocksStores::new(data_dir.join("state"), RocksConfig::default()))
}
