//! What must be true of the cluster and the plugins before a job runs, and the tasks that come of it.

use super::{JobError, Plugins};
use crate::task::{Target, TaskSpec, dead_letter};
use crate::{names, pass};
use pelton_api::job::{JobSpec, StepSpec};
use pelton_api::ports::{Cluster, Partition};
use pelton_api::store::TaskId;
use pelton_api::transform::TransformFactory;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A task and its code.
pub type PreparedTask = (TaskSpec, Arc<dyn TransformFactory>);

/// Topics and groups that belong to a job alone. Distinct jobs can have equal ones, since `-` may stand in
/// names: job `a-b` with step `c`, and job `a` with step `b-c`.
pub fn owned_names(spec: &JobSpec) -> BTreeSet<String> {
    let mut owned = BTreeSet::new();
    for (number, step) in spec.steps.iter().enumerate() {
        owned.insert(format!("group {}", names::group_id(&spec.name, &step.name)));
        if number > 0 {
            owned.insert(format!("topic {}", names::repartition_topic(&spec.name, &step.name)));
        }
        for store in &step.stores {
            owned.insert(format!("topic {}", names::changelog_topic(&spec.name, &step.name, store)));
        }
    }
    owned
}

/// Checks a (valid) specification against cluster and plugins, makes the internal topics, and gives the tasks
/// of the job by step and partition.
///
/// # Errors
/// [`JobError`], before any topic is made unless it is the cluster that fails.
pub async fn prepare(
    spec: &JobSpec,
    cluster: &dyn Cluster,
    plugins: &dyn Plugins,
) -> Result<Vec<PreparedTask>, JobError> {
    let partitions = source_partitions(spec, cluster).await?;
    let sink = known_topic(spec, &spec.sink, "sink", cluster).await?;
    let code = load(spec, plugins)?;
    let dead_letter = dead_letter_target(spec, partitions, cluster).await?;
    let mut tasks = Vec::new();
    for (number, (step, plugin)) in spec.steps.iter().zip(code).enumerate() {
        make_topics(spec, number, partitions, cluster).await?;
        let output = match spec.steps.get(number + 1) {
            None => Target { topic: spec.sink.clone(), partitions: sink },
            Some(next) => Target { topic: names::repartition_topic(&spec.name, &next.name), partitions },
        };
        let is_last = number + 1 == spec.steps.len();
        for partition in 0..partitions {
            let task =
                TaskSpec { partitioned: is_last, ..task_spec(spec, number, step, partition, &output, &dead_letter) };
            tasks.push((task, plugin.clone()));
        }
    }
    Ok(tasks)
}

async fn known_topic(spec: &JobSpec, topic: &str, role: &'static str, cluster: &dyn Cluster) -> Result<i32, JobError> {
    match cluster.topic(topic).await? {
        Some(found) => Ok(found.partitions),
        None => Err(JobError::UnknownTopic { topic: topic.to_owned(), job: spec.name.clone(), role }),
    }
}

/// The number of partitions that all sources have.
async fn source_partitions(spec: &JobSpec, cluster: &dyn Cluster) -> Result<i32, JobError> {
    let mut first: Option<(&String, i32)> = None;
    for source in &spec.sources {
        let found = known_topic(spec, source, "source", cluster).await?;
        let (name, expected) = *first.get_or_insert((source, found));
        if found != expected {
            let why = format!("all sources of a job have as many as its first, `{name}`");
            return Err(JobError::Partitions { topic: source.clone(), found, expected, why });
        }
    }
    Ok(first.map_or(0, |(_, partitions)| partitions))
}

/// The code of each step, each tried once with its configuration.
fn load(spec: &JobSpec, plugins: &dyn Plugins) -> Result<Vec<Arc<dyn TransformFactory>>, JobError> {
    let mut code = Vec::with_capacity(spec.steps.len());
    for step in &spec.steps {
        let unknown = || JobError::UnknownPlugin { plugin: step.plugin.clone(), step: step.name.clone() };
        let plugin = pass::transform(&step.plugin).or_else(|| plugins.transform(&step.plugin)).ok_or_else(unknown)?;
        let trial = plugin.instantiate(&step.config.to_string(), &step.stores);
        trial.map_err(|fault| JobError::Configuration { step: step.name.clone(), fault })?;
        code.push(plugin);
    }
    Ok(code)
}

async fn dead_letter_target(spec: &JobSpec, partitions: i32, cluster: &dyn Cluster) -> Result<Target, JobError> {
    let topic = spec.dead_letter.clone().unwrap_or_else(|| names::dead_letter_topic(&spec.name));
    let max_bytes = dead_letter::MAX_MESSAGE_BYTES.to_string();
    let found = cluster.ensure_topic(&topic, partitions, &[("max.message.bytes", &max_bytes)]).await?;
    // Whatever number an existing topic has will do.
    Ok(Target { topic, partitions: found.partitions.max(1) })
}

/// What a repartition topic is made with: what lies there was committed by the step before and is read by nobody
/// else, so nothing of it may go before the step behind has taken it in, however long the job is stopped. Nothing
/// purges it after that yet.
const REPARTITION: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// What a changelog is made with.
const CHANGELOG: &[(&str, &str)] = &[("cleanup.policy", "compact")];

async fn make_topics(spec: &JobSpec, number: usize, partitions: i32, cluster: &dyn Cluster) -> Result<(), JobError> {
    let step = &spec.steps[number];
    let mut topics = Vec::new();
    if number > 0 {
        topics.push((names::repartition_topic(&spec.name, &step.name), REPARTITION));
    }
    topics.extend(step.stores.iter().map(|store| (names::changelog_topic(&spec.name, &step.name, store), CHANGELOG)));
    for (topic, configs) in topics {
        let found = cluster.ensure_topic(&topic, partitions, configs).await?;
        if found.partitions != partitions {
            let why = format!("internal topics of job `{}` have as many as its sources", spec.name);
            return Err(JobError::Partitions { topic, found: found.partitions, expected: partitions, why });
        }
    }
    Ok(())
}

fn task_spec(
    spec: &JobSpec,
    number: usize,
    step: &StepSpec,
    partition: i32,
    output: &Target,
    dead_letter: &Target,
) -> TaskSpec {
    let at = |topic: String| Partition { topic, index: partition };
    let sources = match number {
        0 => spec.sources.iter().cloned().map(at).collect(),
        _ => vec![at(names::repartition_topic(&spec.name, &step.name))],
    };
    let changelog = |store: &String| at(names::changelog_topic(&spec.name, &step.name, store));
    TaskSpec {
        id: TaskId { job: spec.name.clone(), step: step.name.clone(), partition },
        plugin: step.plugin.clone(),
        config: step.config.to_string(),
        sources,
        stores: step.stores.clone(),
        changelogs: step.stores.iter().map(changelog).collect(),
        output: output.clone(),
        partitioned: false,
        dead_letter: dead_letter.clone(),
        group: names::group_id(&spec.name, &step.name),
        transactional_id: names::transactional_id(&spec.name, &step.name, partition),
        commit_interval_ms: spec.commit_interval_ms,
    }
}
