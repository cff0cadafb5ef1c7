//! Guests, batches and a state store for these tests.

use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Acknowledgement, Commit, Origin};
use pelton_api::interceptor::{Answered, Call, Hook, Interceptor};
use pelton_api::transform::StateAccess;
use pelton_engine::{Engine, EngineConfig, Limits, Plugin};
use pelton_record::{BatchBuilder, BatchView};
use std::collections::BTreeMap;
use std::time::Duration;

/// The bytes of the guest whose path is in the environment.
pub fn guest(variable: &str, crate_name: &str) -> Vec<u8> {
    let path = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `plugins/build.sh {crate_name} OUT.wasm` and set it to OUT.wasm, or use `make test`")
    });
    std::fs::read(&path).unwrap_or_else(|error| panic!("{variable} names {path}, which cannot be read: {error}"))
}

/// An engine with room for a few instances and a short time limit.
pub fn engine(call_time: Duration) -> Engine {
    let limits = Limits { call_time, hook_time: call_time, output_bytes: 16 << 20, instances: 16, ..Limits::default() };
    Engine::new(EngineConfig { limits, ..EngineConfig::default() }).expect("an engine can be set up here")
}

/// The plugin pv-count.
pub fn pv_count(engine: &Engine) -> Plugin {
    let plugin = "pv-count@1".parse().expect("a good name");
    engine.compile(&plugin, &guest("PELTON_PV_COUNT_WASM", "pv-count")).expect("pv-count is a plugin")
}

/// A batch of records with keys and values, from offset 1,000 on.
pub fn batch<'a>(records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>) -> Bytes {
    let mut builder = BatchBuilder::new(1_431_857_103_000);
    for (n, (key, value)) in records.into_iter().enumerate() {
        builder.push(1_431_857_103_000 + n as i64, key, value, &[]);
    }
    let mut bytes = builder.into_bytes_with_crc();
    pelton_record::patch_offset_and_epoch(&mut bytes, 1_000, 3);
    bytes.into()
}

/// Keys, values and timestamps of a batch; none of empty bytes.
pub fn records(output: &Bytes) -> Vec<(Vec<u8>, Vec<u8>, i64)> {
    if output.is_empty() {
        return Vec::new();
    }
    let view = BatchView::parse(output).expect("the engine lets whole batches through only");
    let records = view.records().expect("the engine lets uncompressed batches through only");
    records
        .map(|record| {
            let record = record.expect("the engine lets whole records through only");
            let bytes = |field: Option<&[u8]>| field.unwrap_or(b"(null)").to_vec();
            (bytes(record.key), bytes(record.value), record.timestamp(view.header()))
        })
        .collect()
}

/// A state store in a map.
#[derive(Default)]
pub struct MapState(pub BTreeMap<(usize, Vec<u8>), Bytes>);

impl MapState {
    /// The map that came back from a call.
    pub fn of(state: Box<dyn StateAccess>) -> Self {
        *state.into_any().downcast().expect("the state that was lent comes back")
    }
}

impl StateAccess for MapState {
    fn get(&mut self, store: usize, key: &[u8]) -> Result<Option<Bytes>, String> {
        Ok(self.0.get(&(store, key.to_vec())).cloned())
    }

    fn put(&mut self, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        match value {
            Some(value) => self.0.insert((store, key.to_vec()), Bytes::copy_from_slice(value)),
            None => self.0.remove(&(store, key.to_vec())),
        };
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

/// Three records, at the offset deltas 0, 1 and 2.
pub fn three_records() -> Bytes {
    batch([(Some(&b"k"[..]), Some(&b"one"[..])), (None, Some(b"two")), (Some(b"k"), None)])
}

/// The sender of the calls of these tests.
pub fn origin() -> Origin {
    Origin {
        principal: "User:alice".into(),
        client_id: "client-1".into(),
        client_address: "/127.0.0.1".into(),
        topic: "orders".into(),
        partition: 3,
    }
}

/// An acknowledgement of [`three_records`].
pub fn acknowledgement() -> Acknowledgement {
    Acknowledgement { base_offset: 1_000, record_count: 3, at_ms: 1_431_857_103_000, error: None }
}

/// A commit of two partitions.
pub fn commit() -> Commit {
    Commit {
        principal: "User:bob".into(),
        client_id: "client-2".into(),
        client_address: "/127.0.0.1".into(),
        group: "g".into(),
        member: "m".into(),
        topic: "orders".into(),
        offsets: vec![(0, 7), (1, 8)],
        transactional: false,
    }
}

/// Calls one hook of an interceptor with the records and the people of these tests.
pub fn call_hook(instance: &mut dyn Interceptor, hook: Hook) -> (MapState, Result<Answered, Fault>) {
    let (origin, batch, acknowledgement, commit) = (origin(), three_records(), acknowledgement(), commit());
    let call = match hook {
        Hook::OnSend => Call::Send(&origin, &batch),
        Hook::OnAcknowledgement => Call::Acknowledgement(&origin, &acknowledgement),
        Hook::OnConsume => Call::Consume(&origin, &batch),
        Hook::OnCommit => Call::Commit(&commit),
    };
    let (state, answered) = instance.call(call, Box::new(MapState::default()), None);
    (MapState::of(state), answered)
}
