//! The harness of a [`Partitioner`].

use super::{TestRecord, encode};
use crate::Partitioner;
use crate::guest::partitioner::Instance;
use crate::host::native::{StubHost, lend};
use crate::log::Level;

/// One configured instance of a partitioner. As in Pelton, it sees only the parts of a record that it says it reads.
pub struct PartitionerHarness<P> {
    instance: Instance<P>,
    host: StubHost,
}

impl<P> std::fmt::Debug for PartitionerHarness<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionerHarness").field("host", &self.host).finish_non_exhaustive()
    }
}

impl<P: Partitioner> PartitionerHarness<P> {
    /// Configures an instance with JSON text, as `pelton.plugin.NAME.config` would.
    ///
    /// # Errors
    /// What the plugin has against its configuration.
    pub fn new(config: &str) -> Result<Self, String> {
        let mut host = StubHost::default();
        let instance = lend(&mut host, || Instance::configure(config))?;
        Ok(Self { instance, host })
    }

    /// The partition of each record, for a topic named `topic`; `None` where any will do.
    ///
    /// # Errors
    /// A partition that the topic does not have.
    pub fn partitions(&mut self, records: &[TestRecord], partitions: i32) -> Result<Vec<Option<i32>>, String> {
        let seen: Vec<TestRecord> = records.iter().map(|record| record.projected(P::reads())).collect();
        let batch = encode(0, &seen);
        let answers = lend(&mut self.host, || self.instance.partition(&batch, "topic", partitions))?;
        for answer in &answers {
            if !(-1..partitions).contains(answer) {
                return Err(format!("there is no partition {answer} among {partitions}"));
            }
        }
        Ok(answers.into_iter().map(|answer| (answer != -1).then_some(answer)).collect())
    }

    /// The partition of one record.
    ///
    /// # Errors
    /// As for [`PartitionerHarness::partitions`].
    pub fn partition(&mut self, record: TestRecord, partitions: i32) -> Result<Option<i32>, String> {
        Ok(self.partitions(&[record], partitions)?[0])
    }

    /// The lines that the plugin has logged.
    pub fn log_lines(&self) -> &[(Level, String)] {
        &self.host.lines
    }
}
