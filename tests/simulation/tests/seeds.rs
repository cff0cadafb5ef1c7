//! Runs of many seeds. `PELTON_SIM_SEED=n` runs that one; `PELTON_SIM_SEEDS=count` runs so many.

use pelton_simulation::{Report, Violation, run, run_with_power_cuts};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SEEDS: u64 = 500;
/// Power cuts under the default settings.
const POWER_CUTS: u64 = 1_000;
/// Runs that those may take; one has about ten.
const MAX_POWER_CUT_RUNS: u64 = 400;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Runs one seed; an assertion of the broker that fails counts as well as a violation.
fn run_seed(seed: u64) -> Report {
    tried(seed, "PELTON_SIM_SEED", run)
}

fn tried(seed: u64, variable: &str, run: fn(u64) -> Result<Report, Violation>) -> Report {
    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(Ok(report)) => report,
        Ok(Err(violation)) => panic!("seed {seed}: {violation}\nrun it alone with {variable}={seed}"),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            panic!("seed {seed}: the broker panicked: {what:?}\nrun it alone with {variable}={seed}")
        }
    }
}

/// Runs seeds on every processor until `enough` says so of the reports so far, `max` at most.
fn run_seeds(max: u64, run: impl Fn(u64) -> Report + Sync, enough: impl Fn(&Report) -> bool + Sync) -> Vec<Report> {
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= max || done.load(Ordering::Relaxed) {
                return reports;
            }
            let report = run(seed);
            done.fetch_or(enough(&report), Ordering::Relaxed);
            reports.push(report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let reports = running.into_iter().map(|thread| match thread.join() {
            Ok(reports) => reports,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        reports.collect::<Vec<_>>().concat()
    })
}

#[test]
fn the_invariants_hold_for_every_seed() {
    if let Some(seed) = number("PELTON_SIM_SEED") {
        println!("seed {seed}: {:?}", run_seed(seed));
        return;
    }
    let seeds = number("PELTON_SIM_SEEDS").unwrap_or(SEEDS);
    let reports = run_seeds(seeds, run_seed, |_| false);
    let total = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} seeds: {} events, {} restarts, {} records acknowledged, {} transactions committed, {} not, \
         {} assignments to group members, {} commits of theirs",
        reports.len(),
        total(|report| report.events),
        total(|report| u64::from(report.restarts)),
        total(|report| report.acknowledged as u64),
        total(|report| u64::from(report.committed)),
        total(|report| u64::from(report.not_committed)),
        total(|report| u64::from(report.assignments)),
        total(|report| u64::from(report.member_commits)),
    );
    // A simulator in which nothing happens finds nothing.
    let seeds = reports.len() as u64;
    assert!(total(|report| u64::from(report.restarts)) > seeds, "too few restarts");
    assert!(total(|report| report.acknowledged as u64) > 20 * seeds, "too few records acknowledged");
    assert!(total(|report| u64::from(report.committed)) > seeds, "too few transactions committed");
    assert!(total(|report| u64::from(report.not_committed)) > seeds / 2, "too few transactions aborted");
    assert!(total(|report| u64::from(report.assignments)) > 2 * seeds, "too few rebalances");
    assert!(total(|report| u64::from(report.member_commits)) > 5 * seeds, "too few commits of members");
}

#[test]
fn a_seed_replays_bit_for_bit() {
    for seed in [1, 7, 99] {
        assert_eq!(run_seed(seed), run_seed(seed), "seed {seed}");
    }
    assert_ne!(run_seed(1).trace, run_seed(2).trace);
}

/// Every run checks after every step that no acknowledged record is lost or doubled, and that offsets stay.
#[test]
fn a_thousand_power_cuts_lose_nothing_that_was_acknowledged() {
    let run = |seed| tried(seed, "PELTON_POWER_CUT_SEED", run_with_power_cuts);
    if let Some(seed) = number("PELTON_POWER_CUT_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    let cuts = AtomicU64::new(0);
    let reports = run_seeds(MAX_POWER_CUT_RUNS, run, |report| {
        let these = u64::from(report.restarts);
        cuts.fetch_add(these, Ordering::Relaxed) + these >= POWER_CUTS
    });
    let (cuts, acknowledged) = (cuts.into_inner(), reports.iter().map(|report| report.acknowledged).sum::<usize>());
    println!("{cuts} power cuts in the runs of the seeds below {}: {acknowledged} records acknowledged", reports.len());
    assert!(cuts >= POWER_CUTS, "too few power cuts");
    assert!(acknowledged > 20 * reports.len(), "too few records acknowledged");
}
