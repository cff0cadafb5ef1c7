//! A version is switched under load: no client sees an error, and the recorded offset tells the versions apart.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{PATIENCE, Pelton};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Headers, Message};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
const VALUE_BYTES: usize = 1000;
/// What is asked of the broker while it switches.
const BYTES_A_SECOND: u64 = 50_000_000;

/// What the clients were told.
#[derive(Debug, Default)]
struct Told {
    delivered: AtomicU64,
    errors: Mutex<Vec<String>>,
}

struct Watched(Arc<Told>);

impl Watched {
    fn error(&self, text: String) {
        self.0.errors.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

impl ClientContext for Watched {
    fn error(&self, error: KafkaError, reason: &str) {
        Watched::error(self, format!("{error}: {reason}"));
    }
}

impl ProducerContext<NoCustomPartitioner> for Watched {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.0.delivered.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => Watched::error(self, format!("a record was not delivered: {error}")),
        }
    }
}

fn load(bootstrap: &str, told: Arc<Told>, stop: &AtomicBool) -> Result<u64> {
    let producer: ThreadedProducer<Watched> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "131072")
        .set("queue.buffering.max.messages", "500000")
        .set("log_level", "3")
        .create_with_context(Watched(told))?;
    let (value, began) = (vec![b'v'; VALUE_BYTES], Instant::now());
    let mut sent = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let due = began.elapsed().as_micros() as u64 * (BYTES_A_SECOND / VALUE_BYTES as u64) / 1_000_000;
        while sent < due {
            let record = BaseRecord::<(), [u8]>::to("switched").partition((sent % 4) as i32).payload(&value);
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull), _)) => break,
                Err((error, _)) => return Err(error.into()),
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(PATIENCE)?;
    Ok(sent)
}

/// The stamp of every record, by partition in the order of offsets: (first offset, stamp) of each run of equal ones.
fn stamps(bootstrap: &str, wanted: u64) -> Result<BTreeMap<i32, Vec<(i64, String)>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("switched", partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut runs = BTreeMap::<i32, Vec<(i64, String)>>::new();
    let mut next = BTreeMap::<i32, i64>::new();
    let (mut read, mut heard) = (0, Instant::now());
    while read < wanted {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            ensure!(heard.elapsed() < PATIENCE, "only {read} of {wanted} records came");
            continue;
        };
        let message = message?;
        heard = Instant::now();
        read += 1;
        let (partition, offset) = (message.partition(), message.offset());
        let expected = next.insert(partition, offset + 1).unwrap_or(0);
        ensure!(offset == expected, "{partition}: offset {offset} follows {}", expected - 1);
        let stamp = message.headers().and_then(|headers| headers.iter().find(|header| header.key == "stamp"));
        let stamp =
            stamp.and_then(|header| header.value).map_or("none".into(), |v| String::from_utf8_lossy(v).into_owned());
        let runs = runs.entry(partition).or_default();
        if runs.last().is_none_or(|(_, last)| *last != stamp) {
            runs.push((offset, stamp));
        }
    }
    Ok(runs)
}

#[test]
fn a_switch_under_load_is_seen_by_no_client_and_takes_effect_at_its_offset() -> Result<()> {
    let broker = Pelton::start()?;
    for version in 1..=2 {
        broker.upload(&format!("stamp@{version}"), "stamp")?;
    }
    broker.cli(&["topic", "create", "switched", "--partitions", "4"])?;
    let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
    let loader = {
        let (bootstrap, told, stop) = (broker.bootstrap.clone(), told.clone(), stop.clone());
        std::thread::spawn(move || load(&bootstrap, told, &stop))
    };
    let pause = || std::thread::sleep(Duration::from_millis(1500));
    pause();
    for (plugin, config) in [("stamp@1", r#"{"text":"one"}"#), ("stamp@2", r#"{"text":"two"}"#)] {
        broker.configure("switched", &[("pelton.interceptors", plugin), ("pelton.plugin.stamp.config", config)])?;
        pause();
    }
    broker.cli(&["plugin", "rollback", "switched"])?;
    pause();
    broker.cli(&["plugin", "detach", "switched", "stamp"])?;
    pause();
    stop.store(true, Ordering::Relaxed);
    let sent = loader.join().expect("the load did not panic")?;
    let errors = told.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(errors.is_empty(), "the producer was told: {errors:?}\n{}", broker.log());
    ensure!(told.delivered.load(Ordering::Relaxed) == sent, "not everything was acknowledged");
    ensure!(sent * VALUE_BYTES as u64 > 4 * BYTES_A_SECOND, "only {sent} records were sent: that is no load");

    let switches = broker.get("/v1/topics/switched/plugins")?["switches"].clone();
    let switches = switches.as_array().context("the switches")?;
    ensure!(switches.len() == 4, "four switches were made: {switches:#?}");
    for (partition, runs) in stamps(&broker.bootstrap, sent)? {
        let found: Vec<&str> = runs.iter().map(|(_, stamp)| stamp.as_str()).collect();
        ensure!(found == ["none", "one", "two", "one", "none"], "{partition}: {runs:?}");
        for (switch, (offset, stamp)) in switches.iter().zip(&runs[1..]) {
            let recorded = switch["offsets"][partition as usize].as_i64().context("a recorded offset")?;
            ensure!(recorded == *offset, "{partition}: {stamp} begins at {offset}, recorded is {recorded}");
        }
    }
    Ok(())
}
