//! State stores in memory, with a model of what a crash takes: for tests and simulations.
//!
//! As with files, a store outlives the task that opened it, and is open once at a time. An `apply` is kept
//! or lost as a whole; [`MemoryStores::lose_last`] takes the last ones back, as a power cut does.

use bytes::Bytes;
use pelton_api::store::{Change, ChangelogStamp, StateStore, StoreError, StoreFactory, TaskId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The last applies of a task that a crash may take back.
const KEPT_FOR_UNDO: usize = 64;

/// The contents of one store.
pub type Contents = BTreeMap<Bytes, Bytes>;

#[derive(Debug, Clone, Default)]
struct Snapshot {
    stores: BTreeMap<String, Contents>,
    stamps: BTreeMap<String, ChangelogStamp>,
}

#[derive(Debug, Default)]
struct TaskFiles {
    now: Snapshot,
    /// What each of the last applies replaced: (store, key, value) and (store, stamp).
    undo: VecDeque<Undo>,
    open: bool,
    damaged: bool,
}

#[derive(Debug, Default)]
struct Undo {
    values: Vec<(String, Bytes, Option<Bytes>)>,
    stamps: Vec<(String, Option<ChangelogStamp>)>,
}

#[derive(Debug, Default)]
struct Shared {
    tasks: BTreeMap<TaskId, TaskFiles>,
    set_aside: usize,
}

/// All stores of one machine. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStores(Arc<Mutex<Shared>>);

impl MemoryStores {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back the last `applies` of a task, or as many as are remembered.
    pub fn lose_last(&self, task: &TaskId, applies: usize) {
        let mut shared = self.lock();
        let Some(files) = shared.tasks.get_mut(task) else { return };
        for _ in 0..applies {
            let Some(undo) = files.undo.pop_back() else { return };
            for (store, key, value) in undo.values.into_iter().rev() {
                let contents = files.now.stores.entry(store).or_default();
                match value {
                    Some(value) => contents.insert(key, value),
                    None => contents.remove(&key),
                };
            }
            for (store, stamp) in undo.stamps.into_iter().rev() {
                match stamp {
                    Some(stamp) => files.now.stamps.insert(store, stamp),
                    None => files.now.stamps.remove(&store),
                };
            }
        }
    }

    /// What a store of a task holds.
    pub fn contents(&self, task: &TaskId, store: &str) -> Contents {
        self.lock().tasks.get(task).and_then(|files| files.now.stores.get(store).cloned()).unwrap_or_default()
    }

    /// From now on every read of the task's stores fails as from a damaged file, until they are set aside.
    pub fn damage(&self, task: &TaskId) {
        self.lock().tasks.entry(task.clone()).or_default().damaged = true;
    }

    /// How often stores were set aside.
    pub fn times_set_aside(&self) -> usize {
        self.lock().set_aside
    }
}

impl StoreFactory for MemoryStores {
    fn open(&self, task: &TaskId, stores: &[String]) -> Result<Box<dyn StateStore>, StoreError> {
        let mut shared = self.lock();
        let files = shared.tasks.entry(task.clone()).or_default();
        if files.open {
            return Err(StoreError::Failed(format!("the stores of {task} are open already")));
        }
        files.open = true;
        Ok(Box::new(MemoryStore { shared: self.clone(), task: task.clone(), stores: stores.to_vec() }))
    }

    fn set_aside(&self, task: &TaskId) -> Result<String, StoreError> {
        let mut shared = self.lock();
        if shared.tasks.get(task).is_some_and(|files| files.open) {
            return Err(StoreError::Failed(format!("the stores of {task} are open")));
        }
        shared.tasks.remove(task);
        shared.set_aside += 1;
        Ok(format!("memory:{task}.aside"))
    }
}

struct MemoryStore {
    shared: MemoryStores,
    task: TaskId,
    stores: Vec<String>,
}

impl MemoryStore {
    fn name(&self, store: usize) -> Result<&String, StoreError> {
        self.stores.get(store).ok_or_else(|| StoreError::Failed(format!("there is no store number {store}")))
    }
}

impl StateStore for MemoryStore {
    fn get(&self, store: usize, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let name = self.name(store)?;
        let shared = self.shared.lock();
        if shared.tasks.get(&self.task).is_some_and(|files| files.damaged) {
            return Err(StoreError::Damaged("a block has another checksum".to_owned()));
        }
        Ok(shared.tasks.get(&self.task).and_then(|f| f.now.stores.get(name)?.get(key).cloned()))
    }

    fn apply(&mut self, changes: &[Change], stamps: &[(usize, ChangelogStamp)]) -> Result<(), StoreError> {
        let mut undo = Undo::default();
        for store in changes.iter().map(|c| c.store).chain(stamps.iter().map(|s| s.0)) {
            self.name(store)?;
        }
        let mut shared = self.shared.lock();
        let files = shared.tasks.entry(self.task.clone()).or_default();
        for change in changes {
            let name = self.stores[change.store].clone();
            let contents = files.now.stores.entry(name.clone()).or_default();
            let before = match &change.value {
                Some(value) => contents.insert(change.key.clone(), value.clone()),
                None => contents.remove(&change.key),
            };
            undo.values.push((name, change.key.clone(), before));
        }
        for (store, stamp) in stamps {
            let name = self.stores[*store].clone();
            let before = files.now.stamps.insert(name.clone(), stamp.clone());
            undo.stamps.push((name, before));
        }
        files.undo.push_back(undo);
        if files.undo.len() > KEPT_FOR_UNDO {
            files.undo.pop_front();
        }
        Ok(())
    }

    fn stamps(&self) -> Result<Vec<Option<ChangelogStamp>>, StoreError> {
        let shared = self.shared.lock();
        let stamps = shared.tasks.get(&self.task).map(|files| &files.now.stamps);
        Ok(self.stores.iter().map(|name| stamps.and_then(|s| s.get(name).cloned())).collect())
    }

    fn estimated_keys(&self) -> u64 {
        let shared = self.shared.lock();
        let files = shared.tasks.get(&self.task);
        files.map_or(0, |f| f.now.stores.values().map(BTreeMap::len).sum::<usize>() as u64)
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        if let Some(files) = self.shared.lock().tasks.get_mut(&self.task) {
            files.open = false;
        }
    }
}
