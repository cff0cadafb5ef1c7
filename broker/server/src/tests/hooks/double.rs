//! Native plugins, attached by the text of `pelton.interceptors`, and a broker that runs them.

use super::super::client::*;
use crate::topic_configs::Change;
use crate::{Broker, ServerConfig};
use bytes::Bytes;
use pelton_api::hooks::{Acknowledgement, Commit, Consumed, Emission, Hooks, Origin, Sent, TopicHooks};
use pelton_api::interceptor::{Hook, HookSet};
use pelton_record::{BatchBuilder, BatchView};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

pub const CHAIN: &str = "pelton.interceptors";
pub const LONG: Duration = Duration::from_secs(30);

type OnSend = Box<dyn Fn(&Origin, &Bytes) -> Sent + Send + Sync>;
type OnAcknowledgement = Box<dyn Fn(&Origin, &Acknowledgement) -> Vec<Emission> + Send + Sync>;
type OnConsume = Box<dyn Fn(&Origin, &Bytes) -> Result<Consumed, String> + Send + Sync>;
type OnCommit = Box<dyn Fn(&Commit) -> Vec<Emission> + Send + Sync>;
type OnSendWithin = Box<dyn Fn(&Bytes) -> Option<Sent> + Send + Sync>;
type OnSent = Box<dyn Fn(i32, bool) + Send + Sync>;

/// One plugin.
#[derive(Default)]
pub struct Double {
    identity: String,
    send: Option<OnSend>,
    send_within: Option<OnSendWithin>,
    acknowledgement: Option<OnAcknowledgement>,
    consume: Option<OnConsume>,
    commit: Option<OnCommit>,
    sent: Option<OnSent>,
}

impl Double {
    pub fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), ..Self::default() }
    }

    pub fn on_send(mut self, call: impl Fn(&Origin, &Bytes) -> Sent + Send + Sync + 'static) -> Self {
        self.send = Some(Box::new(call));
        self
    }

    /// What on-send does on a thread that others wait for.
    pub fn on_send_within(mut self, call: impl Fn(&Bytes) -> Option<Sent> + Send + Sync + 'static) -> Self {
        self.send_within = Some(Box::new(call));
        self
    }

    pub fn on_acknowledgement(
        mut self,
        call: impl Fn(&Origin, &Acknowledgement) -> Vec<Emission> + Send + Sync + 'static,
    ) -> Self {
        self.acknowledgement = Some(Box::new(call));
        self
    }

    pub fn on_consume(
        mut self,
        call: impl Fn(&Origin, &Bytes) -> Result<Consumed, String> + Send + Sync + 'static,
    ) -> Self {
        self.consume = Some(Box::new(call));
        self
    }

    pub fn on_commit(mut self, call: impl Fn(&Commit) -> Vec<Emission> + Send + Sync + 'static) -> Self {
        self.commit = Some(Box::new(call));
        self
    }

    /// Makes the batches of a partition go one by one.
    pub fn sent(mut self, call: impl Fn(i32, bool) + Send + Sync + 'static) -> Self {
        self.sent = Some(Box::new(call));
        self
    }
}

impl TopicHooks for Double {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn hooks(&self) -> HookSet {
        let has = [
            (self.send.is_some(), Hook::OnSend),
            (self.acknowledgement.is_some(), Hook::OnAcknowledgement),
            (self.consume.is_some(), Hook::OnConsume),
            (self.commit.is_some(), Hook::OnCommit),
        ];
        has.into_iter().filter(|(has, _)| *has).fold(HookSet::default(), |set, (_, hook)| set.with(hook))
    }

    fn one_by_one(&self) -> bool {
        self.sent.is_some()
    }

    fn on_send(&self, from: &Origin, batch: &Bytes) -> Sent {
        self.send.as_ref().expect("it is wanted")(from, batch)
    }

    fn on_send_within(&self, _: Duration, _: &Origin, batch: &Bytes) -> Option<Sent> {
        self.send_within.as_ref().and_then(|call| call(batch))
    }

    fn sent(&self, partition: i32, appended: bool) {
        self.sent.as_ref().expect("it goes one by one")(partition, appended);
    }

    fn on_acknowledgement(&self, from: &Origin, acknowledged: &Acknowledgement) -> Vec<Emission> {
        self.acknowledgement.as_ref().expect("it is wanted")(from, acknowledged)
    }

    fn on_consume(&self, to: &Origin, records: &Bytes) -> Result<Consumed, String> {
        self.consume.as_ref().expect("it is wanted")(to, records)
    }

    fn on_commit(&self, committed: &Commit) -> Vec<Emission> {
        self.commit.as_ref().expect("it is wanted")(committed)
    }
}

/// Every plugin that there is, by the text that attaches it.
#[derive(Default)]
pub struct Doubles(Mutex<BTreeMap<String, Arc<Double>>>);

impl Doubles {
    pub fn of(doubles: impl IntoIterator<Item = Double>) -> Arc<Self> {
        let named = doubles.into_iter().map(|double| (double.identity.clone(), Arc::new(double)));
        Arc::new(Self(Mutex::new(named.collect())))
    }

    /// One that is attached by another text than its identity.
    pub fn named(name: &str, double: Double) -> Arc<Self> {
        Arc::new(Self(Mutex::new(BTreeMap::from([(name.to_owned(), Arc::new(double))]))))
    }
}

impl Hooks for Doubles {
    fn check(&self, _topic: &str, _partitions: i32, configs: &BTreeMap<String, String>) -> Result<(), String> {
        match configs.get(CHAIN).map(String::as_str) {
            None | Some("") => Ok(()),
            Some(name) if self.0.lock().unwrap().contains_key(name) => Ok(()),
            Some(name) => Err(format!("{CHAIN}: there is no plugin {name}")),
        }
    }

    fn attach(&self, _: &str, _: i32, configs: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>> {
        let double = self.0.lock().unwrap().get(configs.get(CHAIN)?)?.clone();
        Some(double)
    }
}

pub async fn start_with(path: &Path, doubles: &Arc<Doubles>) -> Broker {
    start_configured(config(path), doubles).await
}

pub async fn start_configured(config: ServerConfig, doubles: &Arc<Doubles>) -> Broker {
    let doubles = doubles.clone();
    Broker::start(config, move || Ok(doubles as Arc<dyn Hooks>)).await.expect("a broker starts")
}

/// A broker whose topic `t`, of two partitions, has this plugin; it is attached as `p`.
pub async fn hooked(path: &Path, double: Double) -> (Broker, Client) {
    let broker = start_with(path, &Doubles::named("p", double)).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    attach(&broker, "t", Some("p")).await;
    (broker, client)
}

/// Attaches a plugin, or detaches what there is.
pub async fn attach(broker: &Broker, topic: &str, plugin: Option<&str>) {
    let change = plugin.map_or(Change::Delete, |plugin| Change::Set(plugin.to_owned()));
    broker.alter_topic_configs(topic, vec![(CHAIN.to_owned(), change)], "admin", false).await.unwrap();
}

pub fn pass(changed: Option<Bytes>) -> Sent {
    Sent::Pass { changed, emitted: Vec::new() }
}

/// The batch with other values; `None` takes a record away.
pub fn rewritten(batch: &Bytes, value: impl Fn(&str) -> Option<String>) -> Bytes {
    let view = BatchView::parse(batch).unwrap();
    let header = view.header();
    let mut builder = BatchBuilder::new(header.base_timestamp);
    for record in view.records().unwrap() {
        let record = record.unwrap();
        if let Some(value) = value(std::str::from_utf8(record.value.unwrap()).unwrap()) {
            let timestamp = record.timestamp(header);
            builder.push_at(record.offset_delta, timestamp, record.key, Some(value.as_bytes()), &[]).unwrap();
        }
    }
    builder.set_producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.set_transactional(header.attributes.is_transactional());
    builder.set_last_offset_delta(header.last_offset_delta);
    builder.into_bytes_with_crc().into()
}

/// A plugin that writes its name behind every value.
pub fn marker(name: &str) -> Double {
    let mark = name.to_owned();
    Double::new(name).on_send(move |_, batch| pass(Some(rewritten(batch, |value| Some(format!("{value}:{mark}"))))))
}

/// A plugin that waits inside of each call until it is let go.
pub fn blocked(name: &str) -> (Double, mpsc::Receiver<mpsc::Sender<()>>) {
    let (enter, entered) = mpsc::channel();
    let enter = Mutex::new(enter);
    let double = Double::new(name).on_send(move |_, _| {
        let (go, gone) = mpsc::channel();
        enter.lock().unwrap().send(go).unwrap();
        let _ = gone.recv_timeout(LONG);
        pass(None)
    });
    (double, entered)
}

/// Lets every call of a blocked plugin go, until the plugin is gone.
pub fn let_all_go(entered: mpsc::Receiver<mpsc::Sender<()>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || while entered.recv_timeout(LONG).is_ok() {})
}

/// One record for another topic.
pub fn emission(topic: &str, value: &str) -> Emission {
    let mut builder = BatchBuilder::new(1);
    builder.push(1, None, Some(value.as_bytes()), &[]);
    Emission { topic: topic.into(), batch: builder.into_bytes().into() }
}
