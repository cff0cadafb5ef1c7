//! What answers look like whose types live in other rooms, for the OpenAPI document alone. A test holds each against a
//! real answer.
#![expect(dead_code, reason = "the document is made of these types; nothing makes a value of one")]

use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the registry keeps of a plugin.
#[derive(ToSchema)]
pub struct Manifest {
    /// Name and version.
    #[schema(example = "mask@1")]
    plugin: String,
    /// `transform`, `interceptor` or `partitioner`.
    kind: String,
    /// The interface with its version.
    #[schema(example = "pelton:plugin/interceptor@0.1.1")]
    interface: String,
    /// `component` or `flat`.
    abi: String,
    /// What it imports of the host.
    #[schema(example = json!(["log", "emit"]))]
    imports: Vec<String>,
    /// Of an interceptor: what it declares to need and to do.
    wants: Option<Wants>,
    /// Of a partitioner: the parts of a record that it reads.
    reads: Option<Parts>,
    /// SHA-256 of its bytes, in hexadecimal.
    digest: String,
    /// Size of its bytes.
    size_bytes: u64,
    /// Milliseconds since the Unix epoch.
    uploaded_at_ms: i64,
    /// Who uploaded it.
    uploaded_by: Option<String>,
    /// What the upload said of itself.
    provenance: Provenance,
    /// The name of the trusted key that signed it.
    signed_by: Option<String>,
}

/// What an interceptor declares to need and to do.
#[derive(ToSchema)]
pub struct Wants {
    /// The hooks that are called: `on-send`, `on-acknowledgement`, `on-consume`, `on-commit`.
    hooks: Vec<String>,
    /// Parts that it reads.
    reads: Parts,
    /// Parts that it may change.
    writes: Parts,
    /// Whether it may take records away.
    drops: bool,
    /// `never`, `for-everyone` or `for-principal`.
    reuse: String,
}

/// Parts of a record.
#[derive(ToSchema)]
pub struct Parts {
    key: bool,
    value: bool,
    headers: bool,
}

/// What an upload said of itself.
#[derive(ToSchema)]
pub struct Provenance {
    /// Who wrote it.
    author: Option<String>,
    /// SHA-256 of its source.
    source_digest: Option<String>,
    /// Ed25519 signature, in hexadecimal.
    signature: Option<String>,
    /// The key of the signature, in hexadecimal.
    public_key: Option<String>,
}

/// One plugin of a topic.
#[derive(ToSchema)]
pub struct Link {
    /// Name and version, or the name of a partitioner that is built in.
    plugin: String,
    /// SHA-256 of its bytes; empty when it is built in or could not be loaded.
    digest: String,
    /// `closed`, `open` or `half-open`.
    breaker: String,
    /// Its hooks.
    hooks: Vec<HookNumbers>,
    /// Bytes that its stores hold.
    state_bytes: u64,
    /// Its last fault.
    last_fault: Option<LastFault>,
}

/// One hook of one plugin.
#[derive(ToSchema)]
pub struct HookNumbers {
    /// Which.
    hook: String,
    /// How often it was called.
    calls: u64,
    /// Records that it was given.
    records: u64,
    /// Batches that it changed.
    changed: u64,
    /// Records that it took away.
    dropped: u64,
    /// Records that it refused.
    rejected: u64,
    /// Calls that failed.
    faults: u64,
    /// Calls that were not made because the circuit was open.
    bypassed: u64,
    /// Nanoseconds spent in it.
    busy_ns: u64,
}

/// A fault.
#[derive(ToSchema)]
pub struct LastFault {
    /// What failed.
    text: String,
    /// In which hook.
    hook: String,
    /// Milliseconds since the Unix epoch.
    at_ms: i64,
}

/// A shadow chain, compared with the live one.
#[derive(ToSchema)]
pub struct Shadow {
    /// Its plugins.
    interceptors: Vec<Link>,
    /// Batches that both chains have seen.
    batches: u64,
    /// Records of those.
    records: u64,
    /// Batches of which it made something else.
    differing_batches: u64,
    /// The first differences.
    differences: Vec<Differs>,
    /// Calls that were not compared, because its queue was full.
    skipped: u64,
    /// Nanoseconds spent in it.
    busy_ns: u64,
}

/// One difference.
#[derive(ToSchema)]
pub struct Differs {
    /// In which hook.
    hook: String,
    /// Of which partition.
    partition: i32,
    /// Base offset of the batch.
    base_offset: Option<i64>,
    /// Offset delta of the record.
    offset_delta: Option<i32>,
    /// What differs.
    what: String,
}

/// One switch of what is attached to a topic.
#[derive(ToSchema)]
pub struct Switched {
    /// Milliseconds since the Unix epoch.
    at_ms: i64,
    /// Who asked for it.
    by: String,
    /// What was switched to; empty: nothing.
    identity: String,
    /// The `pelton.*` configs that were then in effect.
    configs: BTreeMap<String, String>,
    /// By partition: the first offset that went through what was switched to.
    offsets: Vec<i64>,
}

/// A job.
#[derive(ToSchema)]
pub struct Job {
    /// Its name.
    name: String,
    /// Topics that its first step reads.
    sources: Vec<String>,
    /// Topic that its last step writes.
    sink: String,
    /// Topic for records that a step rejected.
    dead_letter: Option<String>,
    /// `exactly-once`.
    guarantee: Option<String>,
    /// How long a transaction stays open at most, in milliseconds.
    commit_interval_ms: Option<u64>,
    /// The chain, first to last.
    steps: Vec<Step>,
}

/// One step of a job.
#[derive(ToSchema)]
pub struct Step {
    /// Its name.
    name: String,
    /// The plugin to run.
    #[schema(example = "pv-count@1")]
    plugin: String,
    /// Its state stores.
    stores: Option<Vec<String>>,
    /// The plugin's own configuration.
    config: Option<BTreeMap<String, serde_json::Value>>,
}

/// A job and its tasks.
#[derive(ToSchema)]
pub struct JobState {
    /// The specification as it runs.
    spec: Job,
    /// Whether its tasks are meant to run.
    wanted: bool,
    /// Its tasks, by step and partition.
    tasks: Vec<Task>,
    /// Why its tasks could not be started.
    problem: Option<String>,
}

/// One task of a job.
#[derive(ToSchema)]
pub struct Task {
    /// Step name.
    step: String,
    /// Partition of the step's input.
    partition: i32,
    /// `restoring`, `running`, `failed` or `stopped`.
    phase: String,
    /// Why it failed last.
    last_error: Option<String>,
    /// Input records taken in committed transactions since this start.
    records_in: u64,
    /// Records emitted in committed transactions since this start.
    records_out: u64,
    /// Records sent to the dead-letter topic in committed transactions since this start.
    records_rejected: u64,
    /// Transactions committed since this start.
    commits: u64,
    /// Records between the committed input offset and the end of the input.
    lag: i64,
    /// What the last start replayed.
    recovery: Recovery,
}

/// What a task read back when it started.
#[derive(ToSchema)]
pub struct Recovery {
    /// Changelog records applied.
    changelog_records_replayed: u64,
    /// Transactions that they came from.
    commits_replayed: u64,
    /// Keys that the store held before, estimated.
    keys_kept: u64,
    /// How long it took, in milliseconds.
    restore_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_api::manifest::PluginManifest;
    use serde::Serialize;
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    /// Every key of the answer stands in the document, and every key that the document requires in the answer.
    fn agree<Shape: PartialSchema>(answer: &impl Serialize) {
        let schema = serde_json::to_value(Shape::schema()).unwrap();
        let answer = serde_json::to_value(answer).unwrap();
        let described = schema["properties"].as_object().unwrap();
        for key in answer.as_object().unwrap().keys() {
            assert!(described.contains_key(key), "{} does not describe `{key}`", std::any::type_name::<Shape>());
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(answer.get(key).is_some(), "{} requires `{key}`: {answer}", std::any::type_name::<Shape>());
        }
    }

    #[test]
    fn the_document_says_what_is_answered() {
        let parts = json!({ "key": true, "value": true, "headers": false });
        let wants = json!({ "hooks": ["on-send"], "reads": parts, "writes": parts, "drops": true, "reuse": "never" });
        let hex = "ab".repeat(32);
        let manifest: PluginManifest = serde_json::from_value(json!({
            "plugin": "mask@1", "kind": "interceptor", "interface": "i", "imports": ["log"], "wants": wants,
            "reads": parts, "digest": hex, "size_bytes": 1, "uploaded_at_ms": 1, "uploaded_by": "x", "signed_by": "y",
            "provenance": { "author": "a", "source_digest": hex, "signature": hex, "public_key": hex },
        }))
        .unwrap();
        agree::<Manifest>(&manifest);
        agree::<Provenance>(&manifest.provenance);
        agree::<Wants>(&manifest.facts.wants.unwrap());
        agree::<Parts>(&manifest.facts.reads.unwrap());
        let step = json!({ "name": "s", "plugin": "p@1", "stores": ["v"], "config": { "a": 1 } });
        let spec: pelton_api::job::JobSpec = serde_json::from_value(
            json!({ "name": "j", "sources": ["in"], "sink": "out", "dead_letter": "d", "steps": [step] }),
        )
        .unwrap();
        agree::<Job>(&spec);
        agree::<Step>(&spec.steps[0]);
        let task = pelton_api::job::TaskReport {
            step: "s".to_owned(),
            partition: 0,
            phase: pelton_api::job::TaskPhase::Running,
            last_error: None,
            records_in: 0,
            records_out: 0,
            records_rejected: 0,
            commits: 0,
            lag: 0,
            recovery: pelton_api::job::RecoveryReport::default(),
        };
        agree::<Recovery>(&task.recovery);
        agree::<Task>(&task);
        let problem = Some("p".to_owned());
        agree::<JobState>(&pelton_api::job::JobReport { spec, wanted: true, tasks: vec![task], problem });
        let switch = pelton_server::hooks::Switch {
            at_ms: 0,
            by: "x".to_owned(),
            identity: "i".to_owned(),
            configs: BTreeMap::new(),
            offsets: vec![0],
        };
        agree::<Switched>(&switch);
    }

    #[test]
    fn the_document_says_what_is_reported_of_chains() {
        use pelton_api::interceptor::Hook;
        use pelton_hooks::breaker::BreakerState;
        use pelton_hooks::report::{Difference, FaultReport, HookReport, LinkReport, ShadowReport};
        let (hook, text) = (Hook::OnSend, || "x".to_owned());
        let numbers = HookReport {
            hook,
            calls: 0,
            records: 0,
            changed: 0,
            dropped: 0,
            rejected: 0,
            faults: 0,
            bypassed: 0,
            busy_ns: 0,
        };
        agree::<HookNumbers>(&numbers);
        let fault = FaultReport { text: text(), hook, at_ms: 0 };
        agree::<LastFault>(&fault);
        let link = LinkReport {
            plugin: text(),
            digest: text(),
            breaker: BreakerState::Closed,
            hooks: vec![numbers],
            state_bytes: 0,
            last_fault: Some(fault),
        };
        agree::<Link>(&link);
        let difference = Difference { hook, partition: 0, base_offset: Some(1), offset_delta: Some(1), what: text() };
        agree::<Differs>(&difference);
        let shadow = ShadowReport {
            interceptors: vec![link],
            batches: 0,
            records: 0,
            differing_batches: 0,
            differences: vec![difference],
            skipped: 0,
            busy_ns: 0,
        };
        agree::<Shadow>(&shadow);
    }
}
