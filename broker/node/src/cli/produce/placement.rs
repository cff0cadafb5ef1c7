//! Where records of a topic with a partitioner go: the broker is asked, many records at a time.
//!
//! librdkafka's own partitioner would put records where the topic's refuses them.

use crate::cli::AdminUrl;
use crate::cli::connect::AdminClient;
use crate::cli::plugin::TopicPlugins;
use anyhow::{Context, ensure};
use pelton_record::BatchBuilder;
use serde::Deserialize;

/// Records in one question, at most.
const RECORDS: usize = 500;
/// Their keys and values, in bytes, at most; one record may be larger alone.
const BYTES: usize = 1 << 20;

/// A record that waits for its place.
#[derive(Debug)]
pub struct Unplaced {
    /// The line that it was read from.
    pub line: u64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Asks the topic's partitioner.
pub struct Placement {
    client: AdminClient,
    path: String,
    waiting: Vec<Unplaced>,
    bytes: usize,
}

/// What this command reads of `/v1/status`.
#[derive(Deserialize)]
struct Cluster {
    cluster_id: String,
}

#[derive(Deserialize)]
struct Placed {
    partitions: Vec<i32>,
}

impl Placement {
    /// The placement of a topic whose partitioner verifies; `None` when it has none, or when the admin HTTP does not answer or
    /// is that of another cluster.
    ///
    /// An ingress topic, whose records are moved to their places, takes them anywhere.
    pub fn of(admin: &AdminUrl, topic: &str, cluster_id: Option<&str>) -> Option<Self> {
        let client = admin.client();
        let asked: Cluster = client.get("/v1/status").ok()?;
        if cluster_id != Some(asked.cluster_id.as_str()) {
            return None;
        }
        let configs = TopicPlugins::get(&client, topic).ok()?.known.configs;
        let set = |key: &str| configs.get(key).map(String::as_str).filter(|value| !value.is_empty());
        set("pelton.partitioner")?;
        if set("pelton.partitioner.mode") == Some("route") {
            return None;
        }
        Some(Self { client, path: format!("/v1/topics/{topic}/partition"), waiting: Vec::new(), bytes: 0 })
    }

    /// Takes a record. Whether it is time to ask.
    pub fn add(&mut self, record: Unplaced) -> bool {
        self.bytes += record.value.len() + record.key.as_ref().map_or(0, Vec::len);
        self.waiting.push(record);
        self.waiting.len() >= RECORDS || self.bytes >= BYTES
    }

    /// Asks for all records that wait, and gives them with their partitions; `None` where any will do.
    ///
    /// # Errors
    /// What the broker says, when the partitioner fails on the records.
    pub fn place(&mut self) -> anyhow::Result<Vec<(Unplaced, Option<i32>)>> {
        if self.waiting.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = BatchBuilder::with_capacity(0, self.bytes);
        for record in &self.waiting {
            batch.push(0, record.key.as_deref(), Some(&record.value), &[]);
        }
        let (first, last) = (self.waiting[0].line, self.waiting[self.waiting.len() - 1].line);
        let what = || {
            format!("asking the topic's partitioner about lines {first} to {last} (--partitioner none leaves it out)")
        };
        let placed: Placed = self.client.post_bytes(&self.path, &batch.into_bytes_with_crc()).with_context(what)?;
        let (asked, told) = (self.waiting.len(), placed.partitions.len());
        ensure!(asked == told, "the broker was asked about {asked} records, and answered about {told}");
        self.bytes = 0;
        let records = std::mem::take(&mut self.waiting).into_iter();
        Ok(records.zip(placed.partitions.into_iter().map(|partition| (partition >= 0).then_some(partition))).collect())
    }
}
