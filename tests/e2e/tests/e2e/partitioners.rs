//! One partitioner for clients of every language: `verify` refuses what is elsewhere, `route` moves it there.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Client, PATIENCE, Pelton, Produced};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const PARTITIONS: i32 = 6;
const KILLS: usize = 20;

/// The partitioner by which the suite's plugin tests go: keys meet by what stands before the first dash.
const BY_PREFIX: &str = r#"{"by":{"key-until":"-"}}"#;

fn lines(count: usize, client: &str) -> String {
    (0..count).map(|n| format!("user{}-{client}\tvalue {n}\n", n % 50)).collect()
}

/// Where each key is, by the producers' own word; fails when one key is in two places.
fn places(answers: &[Produced]) -> Result<BTreeMap<String, i32>> {
    let mut places = BTreeMap::new();
    for Produced { key, answer } in answers {
        let (partition, _) = answer.clone().map_err(|error| anyhow::anyhow!("{key}: {error}"))?;
        let known = *places.entry(key.clone()).or_insert(partition);
        ensure!(known == partition, "{key} is in partitions {known} and {partition}");
    }
    Ok(places)
}

#[test]
fn verify_lets_producers_of_every_language_agree() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "6"])?;
    broker.configure("orders", &[("pelton.partitioner", "murmur2")])?;
    let same: String = (0..300).map(|n| format!("key{}\tvalue {n}\n", n % 40)).collect();
    let mut agreed: Option<BTreeMap<String, i32>> = None;
    let clients: [(Client, &[&str]); 4] = [
        (Client::Java, &["idempotent"]),
        (Client::Node, &[]),
        (Client::Python, &["murmur2_random"]),
        (Client::Go, &[]),
    ];
    for (client, mode) in clients {
        let Some(answers) = broker.produce_lines(client, "orders", mode, &same)? else { continue };
        let found = places(&answers).with_context(|| format!("{client:?}"))?;
        ensure!(found.len() == 40, "{client:?} placed {} keys", found.len());
        ensure!(agreed.get_or_insert_with(|| found.clone()) == &found, "{client:?} disagrees: {found:?}");
    }
    // librdkafka's own default hashes otherwise, and is told where each record belongs.
    let answers = broker.produce_lines(Client::Python, "orders", &["consistent"], &same)?.context("Python")?;
    let agreed = agreed.context("some client")?;
    let mut refused = 0;
    for Produced { key, answer } in &answers {
        match answer {
            Ok((partition, _)) => ensure!(agreed[key] == *partition, "{key} was let through to {partition}"),
            Err(error) => {
                refused += 1;
                // librdkafka tells the wrong records of a batch from those that went down with them (KIP-467).
                let known = error.contains("INVALID_RECORD") || error.contains("_INVALID_DIFFERENT_RECORD");
                ensure!(known, "{key}: {error}");
            }
        }
    }
    ensure!(refused > 0, "CRC-32 agreed with murmur2 about every key");
    // What was refused is not there.
    let there = broker.cli(&["consume", "orders", "--from-beginning", "--exit-at-end", "--format", "%k %p\\n"])?;
    for line in there.lines() {
        let (key, partition) = line.split_once(' ').context("a key and a partition")?;
        ensure!(agreed[key].to_string() == partition, "{key} is in {partition}");
    }
    Ok(())
}

#[test]
fn verify_with_a_plugin_names_the_right_partition() -> Result<()> {
    let broker = Pelton::start()?;
    broker.upload("by-prefix@1", "key-partitioner")?;
    broker.cli(&["topic", "create", "orders", "--partitions", "6"])?;
    broker
        .configure("orders", &[("pelton.partitioner", "by-prefix@1"), ("pelton.plugin.by-prefix.config", BY_PREFIX)])?;
    let answers = broker.produce_lines(Client::Java, "orders", &["idempotent"], &lines(60, "java"))?.context("Java")?;
    let error = answers.iter().find_map(|produced| produced.answer.clone().err()).context("a record elsewhere")?;
    ensure!(error.contains("InvalidRecord") && error.contains("belongs to partition"), "it says: {error}");
    // The command line asks the partitioner itself, so all of its records are right.
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lines");
    std::fs::write(&path, lines(60, "cli").replace('\t', ":"))?;
    let path = path.to_str().context("a path in UTF-8")?;
    broker.cli(&["produce", "orders", "--file", path, "--key-separator", ":"])?;
    Ok(())
}

#[test]
fn what_is_no_partitioner_is_refused_with_its_config() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders"])?;
    for (configs, word) in [
        ([("pelton.partitioner", "nobody@1")], "nobody@1"),
        ([("pelton.partitioner", "round-robin")], "pelton.partitioner"),
        ([("pelton.partitioner.mode", "sideways")], "pelton.partitioner.mode"),
        ([("pelton.interceptor", "a@1")], "pelton.interceptor"),
    ] {
        let Err(error) = broker.configure("orders", &configs) else { anyhow::bail!("{configs:?} was accepted") };
        ensure!(error.to_string().contains(word), "{configs:?}: {error}");
    }
    Ok(())
}

/// Sends numbered records to the ingress until told to stop; gives their number.
fn feed(bootstrap: &str, stop: &AtomicBool) -> Result<u64> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.max.ms", "200")
        .set("log_level", "3")
        .create()?;
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let (key, value) = (format!("user{}-feed", sent % 50), sent.to_string());
            let mut record = BaseRecord::<str, str>::to("ingress").key(&key).payload(&value);
            while let Err((error, back)) = producer.send(record) {
                let full = rdkafka::types::RDKafkaErrorCode::QueueFull;
                ensure!(error.rdkafka_error_code() == Some(full), "the producer gave up: {error}");
                record = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    producer.flush(PATIENCE)?;
    Ok(sent)
}

/// How often each number of the feed came, and where each key is.
type Arrived = (BTreeMap<u64, usize>, BTreeMap<String, BTreeSet<i32>>);

/// Reads the target, read_committed, until `wanted` records of the feed were seen.
fn read_target(bootstrap: &str, wanted: usize) -> Result<Arrived> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("orders", partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut seen, mut keys) = (BTreeMap::<u64, usize>::new(), BTreeMap::<String, BTreeSet<i32>>::new());
    let mut heard = Instant::now();
    // Once all are there it listens a while more, so that one too many is heard as well.
    loop {
        let patience = if seen.len() < wanted { PATIENCE } else { Duration::from_secs(2) };
        match consumer.poll(Duration::from_millis(200)) {
            Some(message) => {
                let message = message?;
                heard = Instant::now();
                let key = String::from_utf8_lossy(message.key().context("a key")?).into_owned();
                keys.entry(key.clone()).or_default().insert(message.partition());
                if key.ends_with("-feed") {
                    let number = String::from_utf8_lossy(message.payload().context("a value")?).parse()?;
                    *seen.entry(number).or_default() += 1;
                }
            }
            None if heard.elapsed() > patience => return Ok((seen, keys)),
            None => {}
        }
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "the seed must be on the screen when the test fails")]
fn route_loses_and_doubles_nothing_over_twenty_kills() -> Result<()> {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64 & 0xffff_ffff;
    eprintln!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut broker = Pelton::start()?;
    broker.upload("by-prefix@1", "key-partitioner")?;
    broker.cli(&["topic", "create", "orders", "--partitions", "6"])?;
    broker.cli(&["topic", "create", "ingress", "--partitions", "3"])?;
    broker.configure(
        "ingress",
        &[
            ("pelton.partitioner", "by-prefix@1"),
            ("pelton.partitioner.mode", "route"),
            ("pelton.partitioner.target", "orders"),
            ("pelton.plugin.by-prefix.config", BY_PREFIX),
        ],
    )?;
    let clients: [(Client, &[&str]); 4] = [
        (Client::Java, &["idempotent"]),
        (Client::Node, &[]),
        (Client::Python, &["consistent_random"]),
        (Client::Go, &[]),
    ];
    for (client, mode) in clients {
        // Every client chooses as it likes: the platform moves the records.
        broker.produce_lines(client, "ingress", mode, &lines(200, "many"))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (bootstrap, stop) = (broker.bootstrap.clone(), stop.clone());
        std::thread::spawn(move || feed(&bootstrap, &stop))
    };
    for kill in 1..=KILLS {
        std::thread::sleep(Duration::from_millis(random.random_range(50..900)));
        broker.kill()?;
        broker.restart().with_context(|| format!("after kill {kill}, seed {seed}"))?;
    }
    stop.store(true, Ordering::Relaxed);
    let sent = feeder.join().expect("the feeder did not panic")?;
    ensure!(sent > 500, "only {sent} records were sent: nothing was tested");
    let (seen, keys) = read_target(&broker.bootstrap, sent as usize)?;
    ensure!(seen.len() as u64 == sent, "{} of {sent} records arrived, seed {seed}\n{}", seen.len(), broker.log());
    let doubled: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).take(5).collect();
    ensure!(doubled.is_empty(), "doubled: {doubled:?}, seed {seed}");
    let mut by_prefix = BTreeMap::<&str, BTreeSet<i32>>::new();
    for (key, partitions) in &keys {
        by_prefix.entry(key.split('-').next().unwrap_or_default()).or_default().extend(partitions);
    }
    let split: Vec<_> = by_prefix.iter().filter(|(_, partitions)| partitions.len() != 1).collect();
    ensure!(split.is_empty(), "keys of one prefix are in several partitions: {split:?}");
    ensure!(by_prefix.values().flatten().collect::<BTreeSet<_>>().len() > 1, "everything is in one partition");
    Ok(())
}
