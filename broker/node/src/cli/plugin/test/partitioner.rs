//! A partitioner on trial: where it would put each record.

use super::records::{self, Difference, Owned};
use super::report::Report;
use super::{Subject, Trial};
use anyhow::{anyhow, bail};
use pelton_api::interceptor::Parts;
use pelton_api::partitioner::{Partitioner, PartitionerFactory};
use std::sync::Arc;
use std::time::Instant;

/// The trial.
pub struct Partitions {
    module: Module,
    other: Option<Module>,
    topic: String,
    partitions: i32,
    /// Whether the records lie in as many partitions as it is asked for.
    placed: bool,
    plugin: pelton_engine::Plugin,
    report: Report,
}

struct Module {
    factory: Arc<dyn PartitionerFactory>,
    instance: Box<dyn Partitioner>,
    config: String,
    reads: Parts,
}

impl Module {
    fn new(plugin: &pelton_engine::Plugin, config: &str) -> anyhow::Result<Self> {
        let factory = plugin.partitioner().ok_or_else(|| anyhow!("the module is no partitioner"))?;
        let instance = factory.instantiate(config).map_err(|fault| anyhow!("--config: {fault}"))?;
        Ok(Self { reads: factory.reads(), factory, instance, config: config.to_owned() })
    }

    fn ask(&mut self, records: &[Owned], topic: &str, partitions: i32) -> anyhow::Result<Result<Vec<i32>, String>> {
        match self.instance.partition(&records::sent(records, self.reads), topic, partitions) {
            Ok(answer) => Ok(Ok(answer)),
            Err(fault) => {
                self.instance = self.factory.instantiate(&self.config).map_err(|fault| anyhow!("--config: {fault}"))?;
                Ok(Err(fault.to_string()))
            }
        }
    }
}

impl Partitions {
    /// Asks for so many partitions.
    ///
    /// # Errors
    /// When the module refuses its configuration.
    pub fn new(subject: &Subject, topic: &str, partitions: i32, placed: bool) -> anyhow::Result<Self> {
        if partitions < 1 {
            bail!("the topic {topic} has no partitions");
        }
        let other = subject.other.as_ref().map(|other| Module::new(other, &subject.config)).transpose()?;
        let mut report = Report::new("partition", other.is_some());
        report.elsewhere = placed.then_some(0);
        let (plugin, topic) = (subject.plugin.clone(), topic.to_owned());
        Ok(Self { module: Module::new(&plugin, &subject.config)?, other, topic, partitions, placed, plugin, report })
    }
}

impl Trial for Partitions {
    fn batch(&mut self, partition: i32, records: &[Owned]) -> anyhow::Result<()> {
        let (fuel, started) = (self.plugin.fuel_used(), Instant::now());
        let answered = self.module.ask(records, &self.topic, self.partitions)?;
        let took = started.elapsed();
        self.report.cost(records.len(), took, self.plugin.fuel_used().saturating_sub(fuel));
        let other = self.other.as_mut().map(|other| other.ask(records, &self.topic, self.partitions)).transpose()?;
        let answer = match answered {
            Ok(answer) => answer,
            Err(fault) => {
                self.report.fault(partition, records[0].offset, &fault);
                return Ok(());
            }
        };
        for (nth, (record, chosen)) in records.iter().zip(&answer).enumerate() {
            *self.report.partitions.entry(*chosen).or_default() += 1;
            let elsewhere = self.placed && *chosen >= 0 && *chosen != partition;
            if let Some(count) = self.report.elsewhere.as_mut().filter(|_| elsewhere) {
                *count += 1;
            }
            let before = match &other {
                None => elsewhere.then(|| partition.to_string()),
                Some(Ok(other)) => other.get(nth).filter(|other| *other != chosen).map(i32::to_string),
                Some(Err(fault)) => Some(fault.clone()),
            };
            if let Some(before) = before {
                let after = format!("{chosen}, key {}", crate::cli::text::shown(record.key.as_deref(), 80));
                let (part, offset) = ("partition", record.offset);
                self.report.differ(vec![Difference { partition, offset, part, before, after }]);
            }
        }
        Ok(())
    }

    fn report(self: Box<Self>) -> Report {
        self.report.finished()
    }
}
