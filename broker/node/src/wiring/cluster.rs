//! The cluster as a job sees it, over the broker in this process.

use super::reader::BrokerReader;
use super::writer::BrokerWriter;
use super::{PATIENCE, ask_group, persistently, port_error};
use pelton_api::job::JobSpec;
use pelton_api::ports::{
    Cluster, Partition, PartitionReader, PortError, PortFuture, TopicDescription, TransactionalWriter,
};
use pelton_core::event::{GroupReply, GroupRequest, NewTopic};
use pelton_core::model::{TopicId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_server::Broker;
use pelton_server::hooks::Client;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a job's transaction may stay open before the coordinator aborts it (`transaction.timeout.ms`). Far
/// above any commit interval that a job may ask for.
const TRANSACTION_TIMEOUT_MS: i32 = 120_000;

/// What a job's own topics take above `message.max.bytes`, so that a record of a source still fits when it goes to
/// the dead-letter topic with its reason and origin as headers.
const HEADROOM_BYTES: i32 = 1 << 20;

/// Says that no interceptor and no partitioner of the broker's defaults stands before a topic.
const WITHOUT_PLUGINS: (&str, &str) = ("pelton.interceptors", "");

/// Which job a task's writer belongs to: plugins are told `Job:NAME`.
#[derive(Debug, Default)]
pub struct JobNames {
    /// Transactional ids up to the partition, and jobs.
    by_id: Mutex<BTreeMap<String, Arc<str>>>,
}

impl JobNames {
    /// Remembers a job that is about to run.
    pub fn note(&self, spec: &JobSpec) {
        let name: Arc<str> = spec.name.as_str().into();
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        for step in &spec.steps {
            let id = pelton_jobs::names::transactional_id(&spec.name, &step.name, 0);
            by_id.insert(of_all_partitions(&id).to_owned(), name.clone());
        }
    }

    /// The job of a transactional id; the id itself when no job has it.
    fn job(&self, transactional_id: &str) -> Arc<str> {
        let by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        by_id.get(of_all_partitions(transactional_id)).cloned().unwrap_or_else(|| transactional_id.into())
    }
}

fn of_all_partitions(transactional_id: &str) -> &str {
    transactional_id.rsplit_once('-').map_or(transactional_id, |(id, _)| id)
}

/// The ports over this broker.
pub struct BrokerCluster {
    broker: Broker,
    names: Arc<JobNames>,
    message_max_bytes: i32,
    transaction_timeout_ms: i32,
}

impl BrokerCluster {
    /// Over `broker`, which was started with these settings.
    pub fn new(broker: Broker, core: &pelton_core::config::CoreConfig, names: Arc<JobNames>) -> Self {
        Self {
            broker,
            names,
            message_max_bytes: core.message_max_bytes,
            transaction_timeout_ms: TRANSACTION_TIMEOUT_MS.min(core.transaction_max_timeout_ms),
        }
    }

    fn describe(&self, name: &str) -> Option<TopicDescription> {
        let image = self.broker.image();
        let topic = image.topic(name)?;
        let own = topic.configs.get("max.message.bytes").and_then(|bytes| bytes.trim().parse().ok());
        let max_message_bytes: i32 = own.unwrap_or(self.message_max_bytes);
        Some(TopicDescription {
            name: name.to_owned(),
            id: format!("{:032x}", topic.id.0),
            partitions: topic.partitions,
            max_message_bytes: usize::try_from(max_message_bytes).unwrap_or(0),
        })
    }

    async fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut configs: BTreeMap<String, String> =
            configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        configs
            .entry("max.message.bytes".to_owned())
            .or_insert_with(|| self.message_max_bytes.saturating_add(HEADROOM_BYTES).to_string());
        configs.entry(WITHOUT_PLUGINS.0.to_owned()).or_insert_with(|| WITHOUT_PLUGINS.1.to_owned());
        let topic = NewTopic {
            name: name.into(),
            id: TopicId(uuid::Uuid::new_v4().as_u128()),
            partitions,
            replication_factor: -1,
            configs,
            internal: false,
        };
        match self.broker.create_topics(vec![topic], false).await?.into_iter().next() {
            Some((_, Ok(_) | Err(Refusal::TopicAlreadyExists))) => Ok(()),
            Some((_, Err(refusal))) => Err(refusal),
            None => Err(Refusal::InvalidRequest("the cluster answered without a result".to_owned())),
        }
    }

    async fn ensure(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<TopicDescription, PortError> {
        if let Some(found) = self.describe(name) {
            return Ok(found);
        }
        let refused = |refusal: &Refusal| port_error(&format!("creating the topic {name}"), refusal);
        persistently(|| self.create(name, partitions, configs)).await.map_err(|refusal| refused(&refusal))?;
        let mut changes = self.broker.image_changes();
        let published = changes.wait_for(|image| image.topic(name).is_some());
        let waited = tokio::time::timeout(PATIENCE, published).await;
        match (waited.is_ok(), self.describe(name)) {
            (true, Some(found)) => Ok(found),
            _ => Err(PortError::Retriable(format!("the topic {name} was created and is not to be seen yet"))),
        }
    }

    async fn committed(&self, group: &str, source: &Partition) -> Result<Option<i64>, PortError> {
        let partition = TopicPartition::new(source.topic.as_str(), source.index);
        let answer = persistently(async || {
            let index = super::group_coordinator(&self.broker, group).await?;
            let request = GroupRequest::FetchOffsets {
                group: group.into(),
                partitions: Some(vec![partition.clone()]),
                require_stable: true,
            };
            ask_group(&self.broker, index, request).await
        });
        match answer.await {
            Ok(GroupReply::Offsets(offsets)) => {
                let found = offsets.into_iter().find(|(of, _)| *of == partition);
                let committed = found.and_then(|(_, committed)| committed);
                let note = self.broker.image().topic(&source.topic).map(|topic| super::offset_note(topic.id));
                let of_another = |metadata: &str| metadata.starts_with("topic=") && Some(metadata) != note.as_deref();
                Ok(committed.filter(|committed| !of_another(&committed.metadata)).map(|committed| committed.offset))
            }
            Ok(other) => Err(port_error(&format!("the group {group}"), &super::strange(&other))),
            Err(refusal) => Err(port_error(&format!("the group {group}"), &refusal)),
        }
    }
}

impl Cluster for BrokerCluster {
    fn topic<'a>(&'a self, name: &'a str) -> PortFuture<'a, Option<TopicDescription>> {
        Box::pin(async move { Ok(self.describe(name)) })
    }

    fn ensure_topic<'a>(
        &'a self,
        name: &'a str,
        partitions: i32,
        configs: &'a [(&'a str, &'a str)],
    ) -> PortFuture<'a, TopicDescription> {
        Box::pin(self.ensure(name, partitions, configs))
    }

    fn committed_offset<'a>(&'a self, group: &'a str, source: &'a Partition) -> PortFuture<'a, Option<i64>> {
        Box::pin(self.committed(group, source))
    }

    fn reader(&self, partition: Partition) -> Box<dyn PartitionReader> {
        Box::new(BrokerReader::new(self.broker.clone(), &partition))
    }

    fn writer(&self, transactional_id: &str) -> Box<dyn TransactionalWriter> {
        let batch_max_bytes = usize::try_from(self.message_max_bytes).unwrap_or(0);
        let timeout_ms = self.transaction_timeout_ms;
        let client = Client {
            principal: format!("Job:{}", self.names.job(transactional_id)).into(),
            client_id: transactional_id.into(),
            client_address: "".into(),
        };
        Box::new(BrokerWriter::new(self.broker.clone(), client, transactional_id, timeout_ms, batch_max_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_knows_its_job_also_where_names_hold_hyphens() {
        let spec = |job: &str, step: &str| -> JobSpec {
            let steps = serde_json::json!([{ "name": step, "plugin": "p@1" }]);
            let spec = serde_json::json!({ "name": job, "sources": ["in"], "sink": "out", "steps": steps });
            serde_json::from_value(spec).unwrap()
        };
        let names = JobNames::default();
        names.note(&spec("a-b", "c"));
        names.note(&spec("x", "y-z"));
        assert_eq!(&*names.job("pelton-a-b-c-17"), "a-b");
        assert_eq!(&*names.job("pelton-x-y-z-0"), "x");
        assert_eq!(&*names.job("someone-else"), "someone-else");
    }
}
