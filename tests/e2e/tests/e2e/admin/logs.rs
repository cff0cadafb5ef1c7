//! `pelton log verify` on what a broker left.

use anyhow::{Result, ensure};
use pelton_e2e::{PATIENCE, Pelton, pelton_bin, run, run_with_input};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Offsets are missing where compaction took whole batches; only whoever knows what the broker was started with knows why.
#[test]
fn gaps_that_the_broker_s_own_policy_left_are_no_damage() -> Result<()> {
    let settings = ["log.cleanup.policy=compact", "log.cleaner.backoff.ms=50", "log.cleaner.min.cleanable.ratio=0"];
    let mut broker = Pelton::start_with(&settings.map(|setting| ["--set", setting]).concat())?;
    broker.cli(&["topic", "create", "t", "--partitions", "1", "--config", "segment.bytes=600000"])?;
    // librdkafka closes a batch after 10,000 records, of 240 KB here: two in a segment, the first of which goes whole.
    let lines: String = (0..60_000).map(|number| format!("key-{}:{number:010}\n", number % 100)).collect();
    let mut produce = Command::new(pelton_bin());
    produce.args(["produce", "t", "--key-separator", ":"]).env("PELTON_BOOTSTRAP", &broker.bootstrap);
    let produced = run_with_input(&mut produce, &lines)?;
    ensure!(produced.status.success(), "{}", String::from_utf8_lossy(&produced.stderr));

    let data = broker.data_dir();
    let verify = |flags: &[&str]| run(Command::new(pelton_bin()).args(["log", "verify"]).args(flags).arg(&data));
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let deadline = Instant::now() + PATIENCE;
    while !said(&verify(&[])?).contains("are missing") {
        ensure!(Instant::now() < deadline, "nothing is compacted: {}", broker.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    broker.stop()?;
    let unknown = verify(&[])?;
    ensure!(unknown.status.success(), "{}", said(&unknown));
    ensure!(said(&unknown).contains("warning") && said(&unknown).contains("0 damages"), "{}", said(&unknown));
    let known = verify(&["--compacted"])?;
    ensure!(known.status.success() && !said(&known).contains("are missing"), "{}", said(&known));
    let wrong = verify(&["--not-compacted"])?;
    ensure!(wrong.status.code() == Some(1) && said(&wrong).contains("damage "), "{}", said(&wrong));
    let both = verify(&["--compacted", "--not-compacted"])?;
    ensure!(both.status.code() == Some(2), "one of the two, or none");
    Ok(())
}
