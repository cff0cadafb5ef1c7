//! librdkafka's consumers, in a few groups, beside as many of this bench's members: whether what the members measure is what
//! clients see.
//!
//! A consumer of librdkafka has threads and timers of its own and fetches records, so a thousand of them fill the machine
//! by themselves. Fifty do not.

use super::crowd::Scale;
use super::ledger::spread;
use super::meter::Meter;
use super::stages::{self, Row, TOPIC, quantiles};
use super::{COLUMNS, Cores, contenders, cores, rounds, start, warm_up};
use crate::kafka::Home;
use crate::versus::Options;
use crate::versus::contender::Contender;
use crate::versus::rivals::Server;
use crate::versus::sheet::{Column, Sheet};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A few groups of librdkafka's consumers.
#[derive(Debug, Args)]
pub struct GroupConsumers {
    /// `--mb` and `--only` mean nothing here.
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    cores: Cores,
    /// Groups.
    #[arg(long, default_value_t = 5)]
    groups: usize,
    /// Members of each.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Partitions of the topic that all of them read.
    #[arg(long, default_value_t = 100)]
    partitions: i32,
    /// For so many seconds each member commits once a second.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

/// What is compared here are members with consumers, and not one broker with the other.
const NOT_COMPARED: [Column; COLUMNS.len()] = {
    let mut columns = COLUMNS;
    let mut at = 0;
    while at < columns.len() {
        columns[at].compared = false;
        at += 1;
    }
    columns
};

/// How long anything may take.
const AT_MOST: Duration = Duration::from_secs(120);
/// How often consumers are polled. They are told of an assignment by it.
const POLL_EVERY: Duration = Duration::from_millis(1);
/// Threads that commit, each for its share of the consumers, one commit at a time.
const COMMITTERS: usize = 4;

impl GroupConsumers {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("group-consumers")?);
        let scale = Scale { groups: self.groups, members: self.members, partitions: self.partitions };
        scale.check()?;
        ensure!(self.seconds > 0, "--seconds is at least 1");
        self.cores.take()?;
        let head = format!(
            "{} rounds, {} groups of {} members, {} partitions; each member commits once a second for {} s. The broker has \
             one core, the load another.",
            options.rounds, self.groups, self.members, self.partitions, self.seconds
        );
        let mut sheet = Sheet::new("group-consumers", &NOT_COMPARED, head);
        let once = |contender| self.once(home.as_ref(), contender, scale);
        rounds(options, &contenders(home.as_ref()), 0, &mut sheet, once)?;
        options.publish(home.as_ref(), &sheet, true)
    }

    fn once(&self, home: Option<&Home>, contender: Contender, scale: Scale) -> Result<Vec<Row>> {
        let server = start(&self.options, home, contender, scale)?;
        warm_up(&self.options, contender, &server, self.cores, scale)?;
        let core = self.cores.load_core;
        let mut rows = cores::on(core, || cores::run(stages::few(&server, scale, self.seconds)))?;
        rows.extend(cores::on(core, || librdkafka(&server, scale, self.seconds))?);
        Ok(rows)
    }
}

/// What a consumer has been assigned, and when.
struct Seat(Mutex<(BTreeSet<i32>, Instant)>);

impl Seat {
    fn is_given(&self, partitions: BTreeSet<i32>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (partitions, Instant::now());
    }

    fn has(&self) -> (BTreeSet<i32>, Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Seat {}

impl ConsumerContext for Seat {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.is_given(
                    list.elements()
                        .iter()
                        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
                        .collect(),
                );
            }
            Rebalance::Revoke(_) | Rebalance::Error(_) => self.is_given(BTreeSet::new()),
        }
    }
}

type Client = BaseConsumer<Seat>;

/// Joins, commits and rebalances with librdkafka's consumers.
fn librdkafka(server: &Server, scale: Scale, seconds: u64) -> Result<Vec<Row>> {
    let (meter, began) = (Meter::start(server)?, Instant::now());
    let clients: Vec<Vec<Client>> = (0..scale.groups)
        .map(|group| (0..scale.members).map(|_| consumer(server, group)).collect::<Result<_>>())
        .collect::<Result<_>>()?;
    let mut rows = vec![rest_row("join from nothing", began, &at_rest(&clients, scale)?, meter)?];
    rows.push(commits(server, &clients, seconds)?);
    let (meter, began) = (Meter::start(server)?, Instant::now());
    clients.iter().flatten().for_each(|client| client.context().is_given(BTreeSet::new()));
    for leaving in clients.iter().filter_map(|group| group.first()) {
        leaving.unsubscribe();
        leaving.subscribe(&[TOPIC])?;
    }
    rows.push(rest_row("rebalance", began, &at_rest(&clients, scale)?, meter)?);
    Ok(rows)
}

fn consumer(server: &Server, group: usize) -> Result<Client> {
    let seat = Seat(Mutex::new((BTreeSet::new(), Instant::now())));
    let client: Client = ClientConfig::new()
        .set("bootstrap.servers", server.bootstrap())
        .set("group.id", format!("librdkafka-{group}"))
        .set("enable.auto.commit", "false")
        .create_with_context(seat)?;
    client.subscribe(&[TOPIC])?;
    Ok(client)
}

/// Polls all consumers until something is done.
fn poll_until(clients: &[Vec<Client>], mut done: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !done() {
        ensure!(began.elapsed() < AT_MOST, "void: it did not come to pass within {} s", AT_MOST.as_secs());
        for client in clients.iter().flatten() {
            if let Some(Err(error)) = client.poll(Duration::ZERO) {
                // Positions lie behind the end of an empty topic: offsets are committed, and nothing is read.
                let reset = rdkafka::error::RDKafkaErrorCode::OffsetOutOfRange;
                ensure!(error.rdkafka_error_code() == Some(reset), "a consumer says: {error}");
            }
        }
        std::thread::sleep(POLL_EVERY);
    }
    Ok(())
}

/// When each group had all partitions assigned, each to one member.
fn at_rest(clients: &[Vec<Client>], scale: Scale) -> Result<Vec<Instant>> {
    let mut rested = vec![None; clients.len()];
    poll_until(clients, || {
        for (group, rested) in clients.iter().zip(&mut rested) {
            if rested.is_none() {
                *rested = rest_of(&group.iter().map(|client| client.context().has()).collect::<Vec<_>>(), scale);
            }
        }
        rested.iter().all(Option::is_some)
    })?;
    Ok(rested.into_iter().flatten().collect())
}

/// When the last member of a group was assigned its part, if all parts together are the topic.
fn rest_of(seats: &[(BTreeSet<i32>, Instant)], scale: Scale) -> Option<Instant> {
    let assigned: usize = seats.iter().map(|(partitions, _)| partitions.len()).sum();
    let all: BTreeSet<i32> = seats.iter().flat_map(|(partitions, _)| partitions).copied().collect();
    let complete = all.len() == assigned && Ok(assigned) == usize::try_from(scale.partitions);
    let everybody = seats.iter().all(|(partitions, _)| !partitions.is_empty());
    if complete && everybody { seats.iter().map(|(_, at)| *at).max() } else { None }
}

fn rest_row(name: &str, began: Instant, rested: &[Instant], meter: Meter<'_>) -> Result<Row> {
    let used = meter.stop()?;
    let spread = spread(rested.iter().map(|at| at.saturating_duration_since(began)))?;
    let mut figures = vec![("all_ms", spread.max() as f64 / 1_000.0)];
    figures.extend(quantiles(&spread));
    figures.push(("cpu_s", used.broker_s));
    figures.extend(used.shares());
    Ok(Row { name: format!("librdkafka: {name}"), figures, beside: used.beside })
}

/// Each consumer commits once a second, synchronously, and in the end what it committed must be there.
fn commits(server: &Server, clients: &[Vec<Client>], seconds: u64) -> Result<Row> {
    let all: Vec<&Client> = clients.iter().flatten().collect();
    let (meter, began) = (Meter::start(server)?, Instant::now());
    let latencies = std::thread::scope(|scope| {
        let committing: Vec<_> = (0..COMMITTERS)
            .map(|of| {
                let all = &all;
                scope.spawn(move || commit_in_turn(all, of, seconds, began))
            })
            .collect();
        let polled = poll_until(clients, || committing.iter().all(std::thread::ScopedJoinHandle::is_finished));
        let mut latencies = Vec::new();
        for one in committing {
            latencies.extend(one.join().map_err(|_| anyhow!("a committer panicked"))??);
        }
        polled.map(|()| latencies)
    })?;
    let used = meter.stop()?;
    for client in &all {
        let expected = offsets(client, seconds)?;
        let committed = client.committed_offsets(expected.clone(), AT_MOST)?;
        ensure!(committed == expected, "void: {committed:?} is committed, and {expected:?} was acknowledged");
    }
    let spread = spread(latencies.iter().copied())?;
    let mut figures = quantiles(&spread);
    figures.extend([
        ("per_s", latencies.len() as f64 / seconds as f64),
        ("cpu_us", used.broker_s * 1e6 / latencies.len().max(1) as f64),
    ]);
    figures.extend(used.shares());
    Ok(Row { name: format!("librdkafka: {} commits/s", all.len()), figures, beside: used.beside })
}

/// The commits of every [`COMMITTERS`]th consumer, each at its time within a second.
fn commit_in_turn(all: &[&Client], of: usize, seconds: u64, began: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for second in 0..seconds {
        for (number, client) in all.iter().enumerate().skip(of).step_by(COMMITTERS) {
            let meant = began + Duration::from_secs(second) + Duration::from_secs(1) * number as u32 / all.len() as u32;
            std::thread::sleep(meant.saturating_duration_since(Instant::now()));
            client.commit(&offsets(client, second + 1)?, CommitMode::Sync).context("a commit was refused")?;
            latencies.push(meant.elapsed());
        }
    }
    Ok(latencies)
}

/// The offset of a second for each partition of a consumer.
fn offsets(client: &Client, second: u64) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in client.context().has().0 {
        list.add_partition_offset(TOPIC, partition, Offset::Offset(second as i64))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_rests_when_each_partition_has_one_reader_and_each_reader_a_partition() {
        let scale = Scale { groups: 1, members: 2, partitions: 3 };
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_millis(5));
        let seat = |partitions: &[i32], at: Instant| (partitions.iter().copied().collect::<BTreeSet<_>>(), at);
        assert_eq!(rest_of(&[seat(&[0, 1], early), seat(&[2], late)], scale), Some(late));
        assert_eq!(rest_of(&[seat(&[0, 1, 2], early), seat(&[], late)], scale), None);
        assert_eq!(rest_of(&[seat(&[0, 1], early), seat(&[1], late)], scale), None);
        assert_eq!(rest_of(&[seat(&[0, 1], early), seat(&[1, 2], late)], scale), None);
    }
}
