//! A transform that counts records by key, and misbehaves on request.

use crate::scheduler::Plugins;
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::Partitioner;
use pelton_api::transform::{Processed, Rejection, StateAccess, Transform, TransformFactory};
use pelton_record::{BatchBuilder, BatchView, keyed_murmur2};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts records by key and emits each new count. A value of `bad` is rejected, `poison` traps the call
/// after half of it is done, `garbage` makes the answer unreadable, `greedy` exceeds the state's limits.
pub struct Counting {
    stores: usize,
    faulted: bool,
}

impl Counting {
    pub fn new(stores: usize) -> Self {
        Self { stores, faulted: false }
    }

    fn run(&mut self, batch: &Bytes, state: &mut dyn StateAccess) -> Result<Processed, Fault> {
        let malformed = |e: pelton_record::BatchError| Fault::Malformed(e.to_string());
        let view = BatchView::parse(batch).map_err(malformed)?;
        let mut output = BatchBuilder::new(view.header().base_timestamp);
        let mut processed = Processed::default();
        for record in view.records().map_err(malformed)? {
            let record = record.map_err(malformed)?;
            let key = record.key.unwrap_or_default();
            match record.value.unwrap_or_default() {
                b"bad" => {
                    let rejection = Rejection { offset_delta: record.offset_delta, reason: "it is bad".to_owned() };
                    processed.rejected.push(rejection);
                    continue;
                }
                b"poison" => {
                    state.put(0, key, Some(b"999999")).map_err(Fault::Host)?;
                    return Err(Fault::Trap("unreachable".to_owned()));
                }
                b"garbage" => {
                    state.put(0, key, None).map_err(Fault::Host)?;
                    processed.output = Bytes::from_static(b"garbage");
                    return Ok(processed);
                }
                b"greedy" => {
                    // It does not even look at the error.
                    let _ = state.put(0, key, Some(&vec![0; 2 << 20]));
                }
                _ => {}
            }
            let mut count = 1;
            for store in 0..self.stores {
                let before = state.get(store, key).map_err(Fault::Host)?;
                count = before.map_or(0, |b| String::from_utf8_lossy(&b).parse::<u64>().unwrap()) + 1;
                state.put(store, key, Some(count.to_string().as_bytes())).map_err(Fault::Host)?;
            }
            let timestamp = record.timestamp(view.header());
            output.push(timestamp, record.key, Some(count.to_string().as_bytes()), &[]);
        }
        if !output.is_empty() {
            processed.output = output.into_bytes().into();
        }
        Ok(processed)
    }
}

impl Transform for Counting {
    fn process(
        &mut self,
        batch: &Bytes,
        mut state: Box<dyn StateAccess>,
    ) -> (Box<dyn StateAccess>, Result<Processed, Fault>) {
        assert!(!self.faulted, "an instance is not used after a fault");
        let result = self.run(batch, &mut *state);
        self.faulted = result.is_err();
        (state, result)
    }
}

pub struct CountingFactory;

impl TransformFactory for CountingFactory {
    fn instantiate(&self, config: &str, stores: &[String]) -> Result<Box<dyn Transform>, Fault> {
        match config.contains("refuse") {
            true => Err(Fault::Refused("`refuse` is no setting".to_owned())),
            false => Ok(Box::new(Counting::new(stores.len()))),
        }
    }
}

pub struct TestPlugins(pub BTreeMap<PluginRef, Arc<dyn TransformFactory>>);

/// Places by the hash of the key, counted from the last partition, and traps on a batch that holds the key `x`.
pub struct Mirror;

impl Mirror {
    pub fn place(key: &[u8], partitions: i32) -> i32 {
        partitions - 1 - keyed_murmur2(key, partitions)
    }
}

impl Partitioner for Mirror {
    fn partition(&mut self, batch: &Bytes, _topic: &str, partitions: i32) -> Result<Vec<i32>, Fault> {
        let view = BatchView::parse(batch).unwrap();
        let place = |key: Option<&[u8]>| match key {
            Some(b"x") => Err(Fault::Trap("there is no such place".to_owned())),
            Some(key) => Ok(Self::place(key, partitions)),
            None => Ok(-1),
        };
        view.records().unwrap().map(|record| place(record.unwrap().key)).collect()
    }
}

impl Plugins for TestPlugins {
    fn partitioner(&self, job: &str, topic: &str) -> Result<Option<Box<dyn Partitioner>>, Fault> {
        match topic {
            "mirrored" => Ok(Some(Box::new(Mirror))),
            "unplaced" => Err(Fault::Host(format!("the partitioner of {job} cannot be loaded"))),
            _ => Ok(None),
        }
    }

    fn transform(&self, plugin: &PluginRef) -> Option<Arc<dyn TransformFactory>> {
        self.0.get(plugin).cloned()
    }
}
