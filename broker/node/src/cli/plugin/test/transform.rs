//! A transform on trial: what comes out of it, its stores empty at the beginning.

use super::records::{self, Difference, Owned};
use super::report::Report;
use super::state::Memory;
use super::{Subject, Trial};
use anyhow::{Context, anyhow};
use pelton_api::fault::Fault;
use pelton_api::transform::{Processed, StateAccess, Transform, TransformFactory};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The trial.
pub struct Step {
    module: Module,
    other: Option<Module>,
    plugin: pelton_engine::Plugin,
    report: Report,
}

/// An instance and its stores.
type Task = (Box<dyn Transform>, Box<dyn StateAccess>);

/// A module with an instance and stores for each partition, as a job has a task for each.
struct Module {
    factory: Arc<dyn TransformFactory>,
    config: String,
    stores: Vec<String>,
    tasks: BTreeMap<i32, Task>,
}

impl Module {
    fn new(plugin: &pelton_engine::Plugin, config: &str, stores: &[String]) -> anyhow::Result<Self> {
        let factory = plugin.transform().ok_or_else(|| anyhow!("the module is no transform"))?;
        let mut module = Self { factory, config: config.to_owned(), stores: stores.to_vec(), tasks: BTreeMap::new() };
        // A configuration that is refused is known before anything is read.
        let first = module.instance()?;
        module.tasks.insert(0, (first, Box::<Memory>::default()));
        Ok(module)
    }

    fn instance(&self) -> anyhow::Result<Box<dyn Transform>> {
        let made = self.factory.instantiate(&self.config, &self.stores);
        made.map_err(|fault| anyhow!("--config, --stores: {fault}"))
    }

    fn process(&mut self, partition: i32, records: &[Owned]) -> anyhow::Result<Result<Processed, Fault>> {
        let (mut task, state) = match self.tasks.remove(&partition) {
            Some(task) => task,
            None => (self.instance()?, Box::<Memory>::default() as Box<dyn StateAccess>),
        };
        let batch = records::stored(records).context("the records make no batch")?;
        let (state, outcome) = task.process(&batch, state);
        let mut state =
            state.into_any().downcast::<Memory>().map_err(|_| anyhow!("the engine gave back another state"))?;
        match &outcome {
            Ok(_) => state.keep(),
            Err(_) => {
                state.discard();
                task = self.instance()?;
            }
        }
        self.tasks.insert(partition, (task, state));
        Ok(outcome)
    }
}

impl Step {
    /// With these state stores.
    ///
    /// # Errors
    /// When the module refuses its configuration or its stores.
    pub fn new(subject: &Subject, stores: &[String]) -> anyhow::Result<Self> {
        let other = subject.other.as_ref().map(|other| Module::new(other, &subject.config, stores)).transpose()?;
        let mut report = Report::new("process", other.is_some());
        report.records_out = Some(0);
        let plugin = subject.plugin.clone();
        Ok(Self { module: Module::new(&plugin, &subject.config, stores)?, other, plugin, report })
    }
}

impl Trial for Step {
    fn batch(&mut self, partition: i32, records: &[Owned]) -> anyhow::Result<()> {
        let first = records[0].offset;
        let (fuel, started) = (self.plugin.fuel_used(), Instant::now());
        let outcome = self.module.process(partition, records)?;
        self.report.cost(records.len(), started.elapsed(), self.plugin.fuel_used().saturating_sub(fuel));
        let other = self.other.as_mut().map(|other| other.process(partition, records)).transpose()?;
        let processed = match outcome {
            Ok(processed) => processed,
            Err(fault) => {
                self.report.fault(partition, first, &fault.to_string());
                return Ok(());
            }
        };
        for rejection in &processed.rejected {
            self.report.reject(partition, first + i64::from(rejection.offset_delta), &rejection.reason);
        }
        let out = records::parse(&processed.output).context("the output of the module")?;
        *self.report.records_out.get_or_insert(0) += out.len() as u64;
        let Some(other) = other else { return Ok(()) };
        let theirs = match other {
            Ok(other) => records::parse(&other.output).context("the output of the other module")?,
            Err(fault) => {
                let difference = Difference {
                    partition,
                    offset: first,
                    part: "fault",
                    before: fault.to_string(),
                    after: "none".into(),
                };
                self.report.differ(vec![difference]);
                return Ok(());
            }
        };
        // Records that come out have no offset of their own: they are told by where the batch begins.
        for nth in 0..out.len().max(theirs.len()) {
            let found = match (theirs.get(nth), out.get(nth)) {
                (Some(theirs), ours) => records::differences(partition, theirs, ours),
                (None, Some(ours)) => {
                    let after = crate::cli::text::shown(ours.value.as_deref(), 120);
                    vec![Difference { partition, offset: first, part: "added", before: "(no record)".into(), after }]
                }
                (None, None) => Vec::new(),
            };
            self.report.differ(found.into_iter().map(|found| Difference { offset: first, ..found }).collect());
        }
        Ok(())
    }

    fn report(self: Box<Self>) -> Report {
        self.report.finished()
    }
}
