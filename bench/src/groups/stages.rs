//! What is measured of one broker, stage by stage: all groups join, commit at a steady rate, rebalance while they commit,
//! and commit faster and faster until it is not kept up with.
//!
//! Each stage compares what was answered with what was asked; a run in which they differ is an error.

use super::crowd::{Crowd, Scale};
use super::ledger::{Commits, Ledger, Offsets, Settled, spread};
use super::member::Shared;
use super::meter::{Meter, Used};
use super::pace::{Given, Pace};
use crate::process::Beside;
use crate::versus::rivals::Server;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use kafka_protocol::protocol::StrBytes;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, Semaphore};

/// Kafka accepts from a queue of fifty by default (`socket.listen.backlog.size`); who does not fit in waits for a
/// retransmission, which is nobody's rebalance.
const CONNECTING_AT_MOST: usize = 16;
/// A heartbeat and a bit: what groups still have to hear of, they have heard of by then.
const HEARD_OF: Duration = Duration::from_millis(3_500);
/// What is kept up with is answered within this at the 99th percentile.
const KEPT_UP_P99: Duration = Duration::from_millis(100);
/// Commits begin before a rebalance does.
const BEFORE_REBALANCE: Duration = Duration::from_millis(500);
/// Of a warm-up.
const WARM_UP: Pace = Pace { per_s: 2_000, seconds: 5 };

/// The topic that all groups read.
pub const TOPIC: &str = "read-by-groups";

/// What is asked of a broker.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Groups, members, partitions.
    pub scale: Scale,
    /// The steady rate.
    pub steady: Pace,
    /// Rates after it, rising.
    pub ramp_per_s: Vec<u64>,
    /// Seconds of each.
    pub ramp_s: u64,
}

/// A row of the table.
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its figures.
    pub figures: Vec<(&'static str, f64)>,
    /// How quiet the machine was.
    pub beside: Beside,
}

/// What a broker was measured with, and what it acknowledged.
pub struct Measured {
    /// Rows of the table: groups at rest, the steady rate, the highest.
    pub rows: Vec<Row>,
    /// Those of the rates between the two.
    pub ramp: Vec<Row>,
    /// What must be there after a crash.
    pub offsets: Vec<Offsets>,
}

/// What the members of a load share.
pub fn shared(server: &Server, prefix: &str, scale: Scale) -> Result<Shared> {
    Ok(Shared {
        bootstrap: server.bootstrap().to_owned(),
        prefix: prefix.to_owned(),
        topic: StrBytes::from_static_str(TOPIC),
        partitions: scale.partitions,
        ledger: Ledger::new(scale.groups, scale.members, scale.partitions)?,
        connecting: Semaphore::new(CONNECTING_AT_MOST),
        // The members, and who lets them begin.
        connected: Barrier::new(scale.groups * scale.members + 1),
    })
}

/// All of it once, small, with groups that are gone afterwards. Gives the CPU seconds of the broker.
pub async fn warm_up(server: &Server, scale: Scale, part: usize) -> Result<f64> {
    let meter = Meter::start(server)?;
    let mut crowd = Crowd::start(Rc::new(shared(server, &format!("warm-up-{part}"), scale)?), scale);
    crowd.join().await?;
    let giving = crowd.begin_commits(WARM_UP);
    crowd.rebalance().await?;
    crowd.all_answered(giving).await?;
    crowd.leave().await?;
    Ok(meter.stop()?.broker_s)
}

/// A few groups that join, commit once a second each, rebalance without commits, and leave.
pub async fn few(server: &Server, scale: Scale, seconds: u64) -> Result<Vec<Row>> {
    let per_s = u64::try_from(scale.groups * scale.members)?;
    let plan = Plan { scale, steady: Pace { per_s, seconds }, ramp_per_s: Vec::new(), ramp_s: 1 };
    let mut rows = Vec::new();
    let mut crowd = join(server, &plan, Rc::new(shared(server, "few", scale)?), &mut rows).await?;
    steady(server, &plan, &mut crowd, &mut rows).await?;
    let meter = Meter::start(server)?;
    let (began, settled) = crowd.rebalance().await?;
    rows.extend(rest_rows("rebalance", began, &settled, meter.stop()?, None)?);
    crowd.leave().await?;
    Ok(rows.into_iter().map(|row| Row { name: format!("members of the bench: {}", row.name), ..row }).collect())
}

/// Measures.
pub async fn measure(server: &Server, plan: &Plan) -> Result<Measured> {
    let shared = Rc::new(shared(server, "measured", plan.scale)?);
    let mut rows = Vec::new();
    let mut crowd = join(server, plan, shared.clone(), &mut rows).await?;
    steady(server, plan, &mut crowd, &mut rows).await?;
    rebalance(server, plan, &mut crowd, &mut rows).await?;
    let (highest, ramp) = ramp(server, plan, &mut crowd).await?;
    let beside = ramp.last().or(rows.last()).context("there are rows before the ramp")?.beside;
    let figures = vec![("highest_per_s", highest as f64)];
    rows.push(Row { name: "highest rate that is kept up with".to_owned(), figures, beside });
    Ok(Measured { rows, ramp, offsets: shared.ledger.offsets() })
}

/// From a thousand connections and no group to all groups at rest.
async fn join(server: &Server, plan: &Plan, shared: Rc<Shared>, rows: &mut Vec<Row>) -> Result<Crowd> {
    let mut crowd = Crowd::start(shared.clone(), plan.scale);
    let meter = Meter::start(server)?;
    let (began, settled) = crowd.join().await?;
    let used = meter.stop()?;
    rows.extend(rest_rows("join from nothing", began, &settled, used, None)?);
    // Who is at rest stays at rest: nothing was left that a member had not heard of.
    let rounds = shared.ledger.rounds();
    crowd.rest(HEARD_OF).await?;
    ensure!(shared.ledger.rounds() == rounds, "void: a group that was at rest rebalanced");
    Ok(crowd)
}

/// At the steady rate, which every broker must keep up with.
async fn steady(server: &Server, plan: &Plan, crowd: &mut Crowd, rows: &mut Vec<Row>) -> Result<()> {
    let (row, kept_up) = commit(server, crowd, plan.steady).await?;
    rows.push(row);
    ensure!(kept_up, "void: {} commits a second are not kept up with", plan.steady.per_s);
    Ok(())
}

/// One member of each group leaves and joins again, all at once, while everybody commits.
async fn rebalance(server: &Server, plan: &Plan, crowd: &mut Crowd, rows: &mut Vec<Row>) -> Result<()> {
    let giving = crowd.begin_commits(Pace { per_s: plan.steady.per_s, seconds: 8 });
    crowd.rest(BEFORE_REBALANCE).await?;
    let meter = Meter::start(server)?;
    let (began, settled) = crowd.rebalance().await?;
    let used = meter.stop()?;
    let (given, commits) = crowd.all_answered(giving).await?;
    ensure!(!given.behind, "void: commits were not kept up with while groups rebalanced");
    rows.extend(rest_rows("rebalance", began, &settled, used, Some(commits.rebalancing))?);
    crowd.rest(HEARD_OF).await
}

/// Faster and faster, until it is not kept up with.
async fn ramp(server: &Server, plan: &Plan, crowd: &mut Crowd) -> Result<(u64, Vec<Row>)> {
    let (mut highest, mut rows) = (plan.steady.per_s, Vec::new());
    for &per_s in &plan.ramp_per_s {
        let (row, kept_up) = commit(server, crowd, Pace { per_s, seconds: plan.ramp_s }).await?;
        rows.push(row);
        if !kept_up {
            break;
        }
        highest = per_s;
    }
    Ok((highest, rows))
}

/// Commits at a rate, and whether it was kept up with.
async fn commit(server: &Server, crowd: &mut Crowd, pace: Pace) -> Result<(Row, bool)> {
    let meter = Meter::start(server)?;
    let giving = crowd.begin_commits(pace);
    let (given, commits) = crowd.all_answered(giving).await?;
    let used = meter.stop()?;
    ensure!(commits.rebalancing == 0, "void: {} commits met a rebalance that nobody caused", commits.rebalancing);
    let kept_up = keeps_up(&given, &commits);
    let name = format!("{} commits/s", pace.per_s);
    let seconds = commits.last.saturating_duration_since(given.first).as_secs_f64().max(0.001);
    let mut figures = quantiles(&commits.latency);
    figures.extend([
        ("per_s", commits.acknowledged as f64 / seconds),
        ("kept_up", f64::from(u8::from(kept_up))),
        ("cpu_us", used.broker_s * 1e6 / commits.acknowledged.max(1) as f64),
        ("rss_mib", used.peak_rss_mib),
    ]);
    figures.extend(used.shares());
    Ok((Row { name, figures, beside: used.beside }, kept_up))
}

fn keeps_up(given: &Given, commits: &Commits) -> bool {
    !given.behind && u128::from(commits.latency.value_at_quantile(0.99)) <= KEPT_UP_P99.as_micros()
}

/// Two rows: from the cause until a group is at rest, most of which is waiting for the heartbeats by which members hear of
/// it; and from its last JoinGroup on, which is the broker's part.
fn rest_rows(name: &str, began: Instant, all: &[Settled], used: Used, refused: Option<u64>) -> Result<[Row; 2]> {
    let last = all.iter().map(|settled| settled.at).max().context("there are no groups")?;
    let whole = spread(all.iter().map(|settled| settled.at.saturating_duration_since(began)))?;
    let own = spread(all.iter().map(|settled| settled.at.saturating_duration_since(settled.last_join)))?;
    let mut figures = vec![("all_ms", last.saturating_duration_since(began).as_secs_f64() * 1e3)];
    figures.extend(quantiles(&whole));
    figures.extend([("cpu_s", used.broker_s), ("rss_mib", used.peak_rss_mib)]);
    figures.extend(used.shares());
    figures.extend(refused.map(|refused| ("refused", refused as f64)));
    let whole = Row { name: name.to_owned(), figures, beside: used.beside };
    let name = format!("{name}, from a group's last JoinGroup");
    Ok([whole, Row { name, figures: quantiles(&own), beside: used.beside }])
}

/// Milliseconds of a histogram of microseconds.
pub fn quantiles(of: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    let ms = |quantile: f64| of.value_at_quantile(quantile) as f64 / 1_000.0;
    let mut figures = vec![("p50_ms", ms(0.5)), ("p99_ms", ms(0.99)), ("max_ms", of.max() as f64 / 1_000.0)];
    // Of a hundred groups it would be the slowest.
    figures.extend((of.len() >= 1_000).then(|| ("p999_ms", ms(0.999))));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(behind: bool) -> Given {
        Given { commits: 100, first: Instant::now(), behind }
    }

    #[test]
    fn what_is_late_or_left_lying_is_not_kept_up_with() {
        let ledger = Ledger::new(1, 1, 1).unwrap();
        for _ in 0..100 {
            ledger.acknowledged(0, &[(0, 1)], Instant::now());
        }
        let swift = ledger.take_commits().unwrap();
        assert!(keeps_up(&given(false), &swift));
        assert!(!keeps_up(&given(true), &swift));
        for _ in 0..100 {
            ledger.acknowledged(0, &[(0, 2)], Instant::now() - 2 * KEPT_UP_P99);
        }
        assert!(!keeps_up(&given(false), &ledger.take_commits().unwrap()));
    }

    #[test]
    fn a_rest_is_told_from_its_cause_and_from_the_last_join() {
        let began = Instant::now();
        let settled = |ms: u64| Settled {
            last_join: began + Duration::from_millis(ms),
            at: began + Duration::from_millis(ms + 10),
        };
        let used =
            Used { broker_s: 1.0, percent: None, peak_rss_mib: 30.0, beside: Beside { others: 0.0, stolen: 0.0 } };
        let [whole, own] = rest_rows("rebalance", began, &[settled(100), settled(990)], used, Some(3)).unwrap();
        let figure =
            |row: &Row, key: &str| row.figures.iter().find(|(name, _)| *name == key).map(|(_, figure)| *figure);
        assert_eq!((figure(&whole, "all_ms"), figure(&whole, "refused")), (Some(1_000.0), Some(3.0)));
        assert!((figure(&own, "max_ms").unwrap() - 10.0).abs() < 0.1);
        assert_eq!(figure(&own, "p999_ms"), None);
    }
}
