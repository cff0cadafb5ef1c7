//! After a kill -9: how long it takes until every offset that was acknowledged is read back, and whether it is the same.

use super::cores;
use super::crowd::Scale;
use super::ledger::Offsets;
use super::member::{self, Shared};
use super::stages::{self, Row};
use super::wire::Connection;
use crate::process::Machine;
use crate::versus::rivals::Server;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// How long a broker may take to give everything back.
const AT_MOST: Duration = Duration::from_secs(300);
/// Before a broker that is not there is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// When offsets were there.
struct ReadBack {
    first: Instant,
    all: Instant,
    sum: i128,
    count: u64,
}

/// Kills the broker right after its last answer, starts it again, and reads everything back. The clock starts before the
/// kill.
pub fn kill_and_read_back(server: &mut Server, load_core: usize, scale: Scale, offsets: &[Offsets]) -> Result<Row> {
    let shared = stages::shared(server, "measured", scale)?;
    let began = Instant::now();
    server.process_mut().kill()?;
    let machine = Machine::now()?;
    server.revive()?;
    let read = cores::on(load_core, move || cores::run(read_back(&shared, offsets)));
    let read = read.with_context(|| format!("after the kill; the broker says: {}", server.log_tail()))?;
    let cpu_s = server.process().cpu_seconds()?;
    let beside = machine.beside(cpu_s)?;
    let committed = || offsets.iter().flatten().flatten();
    let (count, sum) = (committed().count() as u64, committed().map(|offset| i128::from(*offset)).sum::<i128>());
    ensure!(
        (read.count, read.sum) == (count, sum),
        "void: {} offsets with sum {} were read back, and {count} with sum {sum} were acknowledged",
        read.count,
        read.sum
    );
    server.await_ready()?;
    let ms = |at: Instant| at.duration_since(began).as_secs_f64() * 1e3;
    let rss_mib = server.process().rss_mib()?;
    let figures = vec![("first_ms", ms(read.first)), ("all_ms", ms(read.all)), ("cpu_s", cpu_s), ("rss_mib", rss_mib)];
    Ok(Row { name: "kill -9, all offsets read back".to_owned(), figures, beside })
}

/// Reads the offsets of every group, each compared with what was acknowledged.
async fn read_back(shared: &Shared, offsets: &[Offsets]) -> Result<ReadBack> {
    let began = Instant::now();
    let (mut group, mut first, mut sum, mut count) = (0, None, 0, 0);
    let partitions: Vec<i32> = (0..shared.partitions).collect();
    let mut connection = None;
    while group < offsets.len() {
        ensure!(began.elapsed() < AT_MOST, "the offsets of group {group} are not there after {} s", AT_MOST.as_secs());
        let fetched = match fetch(&mut connection, shared, group, &partitions).await {
            Ok(fetched) => fetched,
            // It is not there yet, or it closed the connection.
            Err(error) if error.chain().any(|cause| cause.is::<std::io::Error>()) => {
                connection = None;
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        first.get_or_insert_with(Instant::now);
        for (partition, offset) in fetched {
            let known = usize::try_from(partition).ok().and_then(|at| offsets[group].get(at)).copied();
            ensure!(
                known == Some(offset),
                "void: after a crash group {group} has {offset:?} of partition {partition}, and {known:?} was acknowledged"
            );
            sum += offset.map_or(0, i128::from);
            count += u64::from(offset.is_some());
        }
        group += 1;
    }
    Ok(ReadBack { first: first.context("there are no groups")?, all: Instant::now(), sum, count })
}

async fn fetch(
    connection: &mut Option<Connection>,
    shared: &Shared,
    group: usize,
    partitions: &[i32],
) -> Result<Vec<(i32, Option<i64>)>> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(&shared.bootstrap).await?),
    };
    member::find_coordinator(connection, &shared.group_id(group)).await?;
    member::fetch_offsets(connection, shared, group, partitions).await
}
