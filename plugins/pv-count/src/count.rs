//! Counts by key. The whole batch costs two calls to the store: its distinct keys are read at once and
//! written at once.

use pelton_sdk::prelude::*;
use std::collections::HashMap;

/// The step `count`.
pub struct Count {
    views: Store<Vec<u8>, u64>,
}

impl Count {
    /// Counts in `views`: path to count (u64, big-endian).
    pub fn new(views: Store<Vec<u8>, u64>) -> Self {
        Self { views }
    }

    /// Emits the new count for each record of the batch, in its order.
    pub fn process(&mut self, batch: Batch<'_>, out: &mut Output) -> Result<(), String> {
        let mut keys: Vec<&[u8]> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for key in batch.records().filter_map(|record| record.key()) {
            places.entry(key).or_insert_with(|| {
                keys.push(key);
                keys.len() - 1
            });
        }
        let stored = self.views.get_many(keys.iter().copied())?;
        let mut counts: Vec<u64> = stored.into_iter().map(|count| count.unwrap_or(0)).collect();
        for record in batch.records() {
            let Some(key) = record.key() else {
                out.reject(&record, "no path: the key is null");
                continue;
            };
            let count = &mut counts[places[key]];
            *count = count.checked_add(1).ok_or("a count would exceed 2^64")?;
            out.emit(key, count.to_string());
        }
        self.views.put_many(keys.iter().copied().zip(counts.iter().map(Some)));
        Ok(())
    }
}
