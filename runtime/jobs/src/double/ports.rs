//! The ports over the cluster in memory.

use super::Cluster;
use bytes::Bytes;
use pelton_api::ports::{
    Cluster as ClusterPort, Partition, PartitionReader, PortError, PortFuture, ReadBatches, TopicDescription,
    TransactionalWriter,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Topic configs by topic, as they were asked for.
type TopicConfigs = BTreeMap<String, Vec<(String, String)>>;

/// A cluster that tasks and a test share. Counts down failures that a test asked for.
#[derive(Clone, Default)]
pub struct SharedCluster {
    pub cluster: Arc<Mutex<Cluster>>,
    pub changed: Arc<Notify>,
    /// Commits that are done but answered with an error.
    pub unknown_commits: Arc<Mutex<u32>>,
    pub configs: Arc<Mutex<TopicConfigs>>,
}

impl SharedCluster {
    pub fn with<T>(&self, f: impl FnOnce(&mut Cluster) -> T) -> T {
        let answer = f(&mut self.cluster.lock().unwrap());
        self.changed.notify_waiters();
        answer
    }
}

impl ClusterPort for SharedCluster {
    fn topic<'a>(&'a self, name: &'a str) -> PortFuture<'a, Option<TopicDescription>> {
        Box::pin(async move { Ok(self.with(|c| c.describe(name))) })
    }

    fn ensure_topic<'a>(
        &'a self,
        name: &'a str,
        partitions: i32,
        configs: &'a [(&'a str, &'a str)],
    ) -> PortFuture<'a, TopicDescription> {
        let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.configs.lock().unwrap().insert(name.to_owned(), configs);
        Box::pin(async move { Ok(self.with(|c| c.make_topic(name, partitions))) })
    }

    fn committed_offset<'a>(&'a self, group: &'a str, source: &'a Partition) -> PortFuture<'a, Option<i64>> {
        Box::pin(async move { Ok(self.with(|c| c.committed_offset(group, source))) })
    }

    fn reader(&self, partition: Partition) -> Box<dyn PartitionReader> {
        Box::new(Reader { shared: self.clone(), partition })
    }

    fn writer(&self, transactional_id: &str) -> Box<dyn TransactionalWriter> {
        Box::new(Writer { shared: self.clone(), id: transactional_id.to_owned(), epoch: 0 })
    }
}

struct Reader {
    shared: SharedCluster,
    partition: Partition,
}

impl PartitionReader for Reader {
    fn read<'a>(&'a mut self, offset: i64, max_bytes: usize, max_wait: Duration) -> PortFuture<'a, ReadBatches> {
        Box::pin(async move {
            let shared = self.shared.clone();
            let changed = shared.changed.notified();
            let read =
                |cluster: &SharedCluster| cluster.cluster.lock().unwrap().read(&self.partition, offset, max_bytes);
            let found = read(&shared)?;
            if !found.batches.is_empty() || found.next_offset > offset {
                return Ok(found);
            }
            let _ = tokio::time::timeout(max_wait, changed).await;
            read(&shared)
        })
    }

    fn bounds<'a>(&'a mut self) -> PortFuture<'a, (i64, i64)> {
        Box::pin(async move { self.shared.with(|c| c.bounds(&self.partition)) })
    }
}

struct Writer {
    shared: SharedCluster,
    id: String,
    epoch: u32,
}

impl TransactionalWriter for Writer {
    fn init<'a>(&'a mut self) -> PortFuture<'a, ()> {
        Box::pin(async move {
            self.epoch = self.shared.with(|c| c.init(&self.id));
            Ok(())
        })
    }

    fn send<'a>(&'a mut self, to: &'a Partition, batch: Bytes) -> PortFuture<'a, ()> {
        Box::pin(async move { self.shared.with(|c| c.send(&self.id, self.epoch, to, &batch)) })
    }

    fn commit<'a>(
        &'a mut self,
        group: &'a str,
        offsets: &'a [(Partition, i64)],
    ) -> PortFuture<'a, BTreeMap<Partition, i64>> {
        Box::pin(async move {
            let ends = self.shared.with(|c| c.commit(&self.id, self.epoch, group, offsets))?;
            let mut unknown = self.shared.unknown_commits.lock().unwrap();
            if *unknown > 0 {
                *unknown -= 1;
                return Err(PortError::Retriable("the answer to the commit was lost".to_owned()));
            }
            Ok(ends)
        })
    }

    fn abort<'a>(&'a mut self) -> PortFuture<'a, ()> {
        Box::pin(async move { self.shared.with(|c| c.abort(&self.id, self.epoch)) })
    }
}
