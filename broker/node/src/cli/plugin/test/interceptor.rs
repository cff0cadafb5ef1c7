//! An interceptor on trial: one link of a chain as the broker makes it, which decides nothing.
//!
//! The chain's policy is `skip`, so that what the module would change is seen even where it refuses a record; what it
//! refuses is read from the recorder beneath the chain.

use super::recording::{Recorded, Recorder, Tape};
use super::records::{self, Difference, Owned};
use super::report::Report;
use super::{Subject, Trial};
use anyhow::{Context, anyhow, bail};
use pelton_api::hooks::{Consumed, Emission, Hooks as _, Origin, Sent, TopicHooks};
use pelton_api::interceptor::{Hook, InterceptorFactory};
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::PartitionerFactory;
use pelton_engine::Plugin;
use pelton_hooks::{Chains, Code, Library, NoEvents, Options};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the module believes that it is.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Topic whose records it sees.
    pub topic: &'a str,
    /// How many partitions that has.
    pub partitions: i32,
    /// Who sends or reads.
    pub principal: &'a str,
    /// Topics that it may emit to.
    pub emit: Option<&'a str>,
}

/// The trial.
pub struct Interception {
    hook: Hook,
    module: Module,
    other: Option<Module>,
    topic: Arc<str>,
    principal: Arc<str>,
    report: Report,
}

/// A module under a chain of its own.
struct Module {
    chains: Chains,
    hooks: Arc<dyn TopicHooks>,
    recorder: Recorder,
}

/// What became of a batch: its records by offset delta, and what was said of it.
struct Outcome {
    records: BTreeMap<i64, Owned>,
    emitted: Vec<Emission>,
    tape: Tape,
    fault: Option<String>,
}

/// The library of a chain with one link.
struct One {
    plugin: PluginRef,
    factory: Arc<Recorded>,
    digest: String,
}

impl Library for One {
    fn interceptor(&self, plugin: &PluginRef) -> Result<Code<dyn InterceptorFactory>, String> {
        if *plugin != self.plugin {
            return Err(format!("{plugin} is not on trial"));
        }
        Ok(Code { factory: self.factory.clone(), digest: self.digest.clone() })
    }

    fn partitioner(&self, plugin: &PluginRef) -> Result<Code<dyn PartitionerFactory>, String> {
        Err(format!("{plugin} is not on trial"))
    }

    fn topic_exists(&self, _: &str) -> bool {
        // What would be emitted is thrown away.
        true
    }
}

impl Module {
    fn new(plugin: &Plugin, digest: &str, config: &str, with: &Situation<'_>) -> anyhow::Result<Self> {
        let inner = plugin.interceptor().ok_or_else(|| anyhow!("the module is no interceptor"))?;
        let recorder = Recorder::default();
        let factory = Arc::new(Recorded { inner, plugin: plugin.clone(), recorder: recorder.clone() });
        let name = plugin.name();
        let mut configs: BTreeMap<String, String> = [
            ("pelton.interceptors", name.to_string()),
            ("pelton.interceptors.on.error", "skip".to_owned()),
            ("pelton.interceptors.breaker.faults", "0".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        configs.insert(super::super::chain::config_key(&name.name), config.to_owned());
        if let Some(emit) = with.emit {
            configs.insert(super::super::chain::emit_key(&name.name), emit.to_owned());
        }
        let library = One { plugin: name.clone(), factory, digest: digest.to_owned() };
        let chains = Chains::new(Arc::new(library), Arc::new(NoEvents), Options::default());
        chains.check(with.topic, with.partitions, &configs).map_err(|refusal| anyhow!("{refusal}"))?;
        let hooks = chains.attach(with.topic, with.partitions, &configs);
        let hooks = hooks.context("the chain has no link")?;
        Ok(Self { chains, hooks, recorder })
    }

    /// Runs a batch through the chain. What fails in the guest is part of the outcome.
    fn run(&self, hook: Hook, origin: &Origin, records: &[Owned]) -> anyhow::Result<Outcome> {
        let _ = self.recorder.take();
        let (faults, _) = self.faults(&origin.topic);
        let (after, emitted, refusal) = match hook {
            Hook::OnSend => self.send(origin, records),
            _ => self.consume(origin, records)?,
        };
        let tape = self.recorder.take();
        // The chain finds faults that the module does not know of, such as a change of a part that it may not write.
        let found = match self.faults(&origin.topic) {
            (count, last) if count > faults => Some(last.unwrap_or_else(|| "it failed".to_owned())),
            _ => None,
        };
        let fault = refusal.or_else(|| tape.fault.clone()).or(found);
        let after = records::parse(&after).context("what the chain made of the batch")?;
        Ok(Outcome { records: after.into_iter().map(|record| (record.offset, record)).collect(), emitted, tape, fault })
    }

    /// How often the chain's only link has failed, and the last time how.
    fn faults(&self, topic: &str) -> (u64, Option<String>) {
        let report = self.chains.report(topic);
        let Some(link) = report.as_ref().and_then(|report| report.interceptors.first()) else { return (0, None) };
        let count = link.hooks.iter().map(|hook| hook.faults).sum();
        (count, link.last_fault.as_ref().map(|fault| fault.text.clone()))
    }

    fn send(&self, origin: &Origin, records: &[Owned]) -> (bytes::Bytes, Vec<Emission>, Option<String>) {
        let batch = records::sent(records, pelton_api::interceptor::Parts::ALL);
        let sent = self.hooks.on_send(origin, &batch);
        if self.hooks.one_by_one() {
            self.hooks.sent(origin.partition, true);
        }
        match sent {
            Sent::Pass { changed, emitted } => (changed.unwrap_or(batch), emitted, None),
            Sent::Refuse { message, .. } | Sent::Unavailable { message } => (batch, Vec::new(), Some(message)),
        }
    }

    fn consume(
        &self,
        origin: &Origin,
        records: &[Owned],
    ) -> anyhow::Result<(bytes::Bytes, Vec<Emission>, Option<String>)> {
        let batch = records::stored(records).context("the records make no batch")?;
        Ok(match self.hooks.on_consume(origin, &batch) {
            Ok(Consumed { records, emitted }) => (records, emitted, None),
            Err(message) => (batch, Vec::new(), Some(message)),
        })
    }
}

impl Interception {
    /// One hook of the module.
    ///
    /// # Errors
    /// When the module refuses its configuration, or may not emit where it wants to.
    pub fn new(subject: &Subject, hook: Hook, with: &Situation<'_>) -> anyhow::Result<Self> {
        let other = match &subject.other {
            None => None,
            Some(other) if other.facts().wants.is_some_and(|wants| wants.hooks.has(hook)) => {
                Some(Module::new(other, "other", &subject.config, with)?)
            }
            Some(_) => bail!("the module that --compare gives does not want {}", hook.name()),
        };
        Ok(Self {
            hook,
            module: Module::new(&subject.plugin, &subject.digest, &subject.config, with)?,
            report: Report::new(hook.name(), other.is_some()),
            other,
            topic: with.topic.into(),
            principal: with.principal.into(),
        })
    }

    /// Where in the partition the record of an offset delta is.
    fn offset(&self, records: &[Owned], delta: i64) -> i64 {
        match self.hook {
            Hook::OnSend => usize::try_from(delta).ok().and_then(|nth| records.get(nth)).map_or(-1, |r| r.offset),
            _ => records[0].offset + delta,
        }
    }
}

impl Trial for Interception {
    fn batch(&mut self, partition: i32, records: &[Owned]) -> anyhow::Result<()> {
        let origin = Origin {
            principal: self.principal.clone(),
            client_id: "pelton-cli".into(),
            client_address: "/127.0.0.1".into(),
            topic: self.topic.clone(),
            partition,
        };
        let ours = self.module.run(self.hook, &origin, records)?;
        let other = self.other.as_ref().map(|other| other.run(self.hook, &origin, records)).transpose()?;
        self.report.cost(records.len(), ours.tape.took, ours.tape.fuel);
        if let Some(fault) = &ours.fault {
            self.report.fault(partition, records[0].offset, fault);
        }
        for rejection in &ours.tape.rejected {
            let offset = self.offset(records, i64::from(rejection.offset_delta));
            self.report.reject(partition, offset, &rejection.reason);
        }
        for emission in &ours.emitted {
            let count = records::parse(&emission.batch).map_or(0, |records| records.len() as u64);
            *self.report.emitted.entry(emission.topic.to_string()).or_default() += count;
        }
        for (nth, record) in records.iter().enumerate() {
            let delta = if self.hook == Hook::OnSend { nth as i64 } else { record.offset - records[0].offset };
            let after = ours.records.get(&delta).map(|after| Owned { offset: record.offset, ..after.clone() });
            let found = match &other {
                None => records::differences(partition, record, after.as_ref()),
                Some(other) => between(partition, record.offset, other.records.get(&delta), after.as_ref()),
            };
            self.report.differ(found);
        }
        if let Some(other) = other {
            self.compare_faults(partition, records[0].offset, &ours, &other);
        }
        Ok(())
    }

    fn report(self: Box<Self>) -> Report {
        self.report.finished()
    }
}

impl Interception {
    /// Differences that are not in the records: what is refused, and what fails.
    fn compare_faults(&mut self, partition: i32, offset: i64, ours: &Outcome, other: &Outcome) {
        let reasons = |outcome: &Outcome| -> Vec<String> {
            let rejected = &outcome.tape.rejected;
            rejected.iter().map(|rejection| format!("+{}: {}", rejection.offset_delta, rejection.reason)).collect()
        };
        let shown = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join("; ") };
        let (before, after) = (reasons(other), reasons(ours));
        let mut found = Vec::new();
        if before != after {
            found.push(("rejections", shown(before), shown(after)));
        }
        if ours.fault != other.fault {
            let text = |fault: &Option<String>| fault.clone().unwrap_or_else(|| "none".to_owned());
            found.push(("fault", text(&other.fault), text(&ours.fault)));
        }
        let shortened = |text: String| crate::cli::output::shortened(&text, 200);
        let differences = found.into_iter().map(|(part, before, after)| Difference {
            partition,
            offset,
            part,
            before: shortened(before),
            after: shortened(after),
        });
        self.report.differ(differences.collect());
    }
}

/// What differs between what two modules made of a record.
fn between(partition: i32, offset: i64, theirs: Option<&Owned>, ours: Option<&Owned>) -> Vec<Difference> {
    match (theirs, ours) {
        (None, None) => Vec::new(),
        (Some(theirs), ours) => records::differences(partition, &Owned { offset, ..theirs.clone() }, ours),
        (None, Some(ours)) => {
            let after = crate::cli::text::shown(ours.value.as_deref(), 120);
            vec![Difference { partition, offset, part: "kept", before: "(no record)".to_owned(), after }]
        }
    }
}
