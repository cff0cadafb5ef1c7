//! Doubles for the tests of this room: plugins that are closures, and a library of them.

use crate::circuit::Clock;
use crate::library::{Code, Event, Events, Library};
use crate::{Chains, Options};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Emission, Hooks, Origin, TopicHooks};
use pelton_api::interceptor::{
    Answered, Call, Change, Hook, HookSet, Interceptor, InterceptorFactory, Parts, Reuse, Wants,
};
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::{Partitioner, PartitionerFactory};
use pelton_api::transform::{Rejection, StateAccess};
use pelton_record::{BatchBuilder, BatchView, Codec, Header, compressed_batch};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub type Act = Arc<dyn Fn(Call<'_>, &mut dyn StateAccess) -> Result<Answered, Fault> + Send + Sync>;

/// An interceptor that is a closure.
#[derive(Clone)]
pub struct Double {
    pub wants: Wants,
    pub has_state: bool,
    pub act: Act,
    /// Instances that were made.
    pub made: Arc<AtomicUsize>,
    pub digest: String,
}

pub fn wants(hooks: &[Hook]) -> Wants {
    Wants {
        hooks: HookSet::from(hooks.to_vec()),
        reads: Parts::ALL,
        writes: Parts::ALL,
        drops: true,
        reuse: Reuse::Never,
    }
}

impl Double {
    pub fn new(
        wants: Wants,
        act: impl Fn(Call<'_>, &mut dyn StateAccess) -> Result<Answered, Fault> + Send + Sync + 'static,
    ) -> Self {
        let (made, digest) = (Arc::default(), "0123456789abcdef".into());
        Self { wants, has_state: false, act: Arc::new(act), made, digest }
    }

    pub fn with_state(mut self) -> Self {
        self.has_state = true;
        self
    }

    /// On-send and on-consume: does `act` with the batch.
    pub fn on_batch(wants: Wants, act: impl Fn(&Bytes) -> Result<Answered, Fault> + Send + Sync + 'static) -> Self {
        Self::new(wants, move |call, _| match call {
            Call::Send(_, batch) | Call::Consume(_, batch) => act(batch),
            _ => Ok(Answered::default()),
        })
    }
}

impl InterceptorFactory for Double {
    fn wants(&self) -> Wants {
        self.wants
    }

    fn has_state(&self) -> bool {
        self.has_state
    }

    fn instantiate(&self, _: &str, config: &str, _: &[String]) -> Result<Box<dyn Interceptor>, Fault> {
        if config.contains("bad") {
            return Err(Fault::Refused("`bad` is unknown".into()));
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Instance { act: self.act.clone(), faulted: false }))
    }
}

struct Instance {
    act: Act,
    faulted: bool,
}

impl Interceptor for Instance {
    fn call(
        &mut self,
        call: Call<'_>,
        mut state: Box<dyn StateAccess>,
        at_most: Option<Duration>,
    ) -> (Box<dyn StateAccess>, Result<Answered, Fault>) {
        assert!(!self.faulted, "an instance is never used after a fault");
        let started = Instant::now();
        let answered = (self.act)(call, &mut *state);
        let late = at_most.filter(|moment| started.elapsed() > *moment);
        let answered = late.map_or(answered, |moment| Err(Fault::Late(moment)));
        self.faulted = answered.is_err();
        (state, answered)
    }
}

/// A partitioner that is a closure over batch and number of partitions.
pub type Place = Arc<dyn Fn(&Bytes, i32) -> Result<Vec<i32>, Fault> + Send + Sync>;

pub struct PlaceFactory(pub Place);

impl PartitionerFactory for PlaceFactory {
    fn reads(&self) -> Parts {
        Parts { key: true, ..Parts::NONE }
    }

    fn instantiate(&self, config: &str) -> Result<Box<dyn Partitioner>, Fault> {
        if config.contains("bad") {
            Err(Fault::Refused("`bad` is unknown".into()))
        } else {
            Ok(Box::new(Placer(self.0.clone())))
        }
    }
}

struct Placer(Place);

impl Partitioner for Placer {
    fn partition(&mut self, batch: &Bytes, _: &str, partitions: i32) -> Result<Vec<i32>, Fault> {
        (self.0)(batch, partitions)
    }
}

#[derive(Default)]
pub struct Shelf {
    pub interceptors: Mutex<BTreeMap<PluginRef, Double>>,
    pub partitioners: Mutex<BTreeMap<PluginRef, Place>>,
}

impl Library for Shelf {
    fn interceptor(&self, plugin: &PluginRef) -> Result<Code<dyn InterceptorFactory>, String> {
        let double = self.interceptors.lock().unwrap().get(plugin).cloned().ok_or("no such plugin")?;
        let digest = double.digest.clone();
        Ok(Code { factory: Arc::new(double), digest })
    }

    fn partitioner(&self, plugin: &PluginRef) -> Result<Code<dyn PartitionerFactory>, String> {
        let place = self.partitioners.lock().unwrap().get(plugin).cloned().ok_or("no such plugin")?;
        Ok(Code { factory: Arc::new(PlaceFactory(place)), digest: "fedcba9876543210".into() })
    }

    fn topic_exists(&self, topic: &str) -> bool {
        topic != "missing"
    }
}

#[derive(Default)]
pub struct Heard(pub Mutex<Vec<Event>>);

impl Events for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Chains over doubles, with a clock that the test sets.
pub struct House {
    pub shelf: Arc<Shelf>,
    pub heard: Arc<Heard>,
    pub now_ms: Arc<AtomicU64>,
    pub chains: Chains,
}

impl House {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let (shelf, heard, now_ms) = (Arc::new(Shelf::default()), Arc::new(Heard::default()), Arc::default());
        let options = Options { clock: Clock::Manual(Arc::clone(&now_ms)), ..options };
        let chains = Chains::new(shelf.clone(), heard.clone(), options);
        Self { shelf, heard, now_ms, chains }
    }

    pub fn shelve(&self, plugin: &str, double: Double) -> &Self {
        self.shelf.interceptors.lock().unwrap().insert(plugin.parse().unwrap(), double);
        self
    }

    pub fn place(
        &self,
        plugin: &str,
        place: impl Fn(&Bytes, i32) -> Result<Vec<i32>, Fault> + Send + Sync + 'static,
    ) -> &Self {
        self.shelf.partitioners.lock().unwrap().insert(plugin.parse().unwrap(), Arc::new(place));
        self
    }

    pub fn attach(&self, pairs: &[(&str, &str)]) -> Arc<dyn TopicHooks> {
        self.chains.attach("orders", 6, &configs(pairs)).expect("something is attached")
    }

    pub fn check(&self, pairs: &[(&str, &str)]) -> Result<(), String> {
        self.chains.check("orders", 6, &configs(pairs))
    }

    pub fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.heard.0.lock().unwrap())
    }
}

pub fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn origin(partition: i32) -> Origin {
    Origin {
        principal: "User:alice".into(),
        client_id: "app".into(),
        client_address: "/127.0.0.1".into(),
        topic: "orders".into(),
        partition,
    }
}

pub fn answer(change: Change) -> Result<Answered, Fault> {
    Ok(Answered { change, ..Answered::default() })
}

pub fn rejecting(deltas: &[i32]) -> Answered {
    let rejected =
        deltas.iter().map(|delta| Rejection { offset_delta: *delta, reason: format!("no {delta}") }).collect();
    Answered { rejected, ..Answered::default() }
}

pub fn emitting(topic: &str) -> Answered {
    let emitted = vec![Emission { topic: topic.into(), batch: batch(&["emitted"]) }];
    Answered { emitted, ..Answered::default() }
}

/// What a test reads of a record: offset delta, timestamp, key, value, headers.
pub type Row = (i32, i64, Option<Bytes>, Option<Bytes>, Vec<(String, Option<Bytes>)>);

pub fn rows(batch: &[u8]) -> Vec<Row> {
    let view = BatchView::parse(batch).unwrap();
    let plain = pelton_record::uncompressed_batch(&view, 1 << 30).unwrap();
    let view = BatchView::parse(&plain).unwrap();
    let own = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
    view.records()
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            let headers = record.headers().map(|header| header.unwrap());
            let headers = headers.map(|header| (header.key.to_owned(), own(header.value))).collect();
            (record.offset_delta, record.timestamp(view.header()), own(record.key), own(record.value), headers)
        })
        .collect()
}

pub fn values(batch: &[u8]) -> Vec<String> {
    let text = |value: Option<Bytes>| value.map_or("null".into(), |value| String::from_utf8(value.into()).unwrap());
    rows(batch).into_iter().map(|row| text(row.3)).collect()
}

/// A plain batch as an idempotent producer sends it: key `kN`, the value, header `h` = `N`.
pub fn batch(texts: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new(1_000);
    batch.set_producer(77, 3, 500);
    for (index, text) in texts.iter().enumerate() {
        let (key, header) = (format!("k{index}"), index.to_string());
        let headers = [Header { key: "h", value: Some(header.as_bytes()) }];
        batch.push(1_000 + index as i64, Some(key.as_bytes()), Some(text.as_bytes()), &headers);
    }
    batch.into_bytes_with_crc().into()
}

pub fn compressed(plain: &Bytes, codec: Codec) -> Bytes {
    if codec == Codec::None {
        return plain.clone();
    }
    compressed_batch(&BatchView::parse(plain).unwrap(), codec).unwrap().into()
}

/// A batch whose records at the same places have these values, as a plugin writes it: with a header of its own.
pub fn with_values(given: &[u8], value: impl Fn(i32, &[u8]) -> Option<Vec<u8>>) -> Bytes {
    let view = BatchView::parse(given).unwrap();
    let mut out = BatchBuilder::new(view.header().base_timestamp);
    for record in view.records().unwrap() {
        let record = record.unwrap();
        let time = record.timestamp(view.header());
        if let Some(value) = value(record.offset_delta, record.value.unwrap_or_default()) {
            let (count, headers) = (record.header_count(), record.encoded_headers());
            out.push_raw_headers_at(record.offset_delta, time, record.key, Some(&value), count, headers).unwrap();
        }
    }
    out.into_bytes().into()
}
