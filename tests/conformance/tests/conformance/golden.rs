//! What Kafka's tools print of the same actions, on Pelton and on Apache Kafka.

use anyhow::{Result, ensure};
use pelton_conformance::{Broker, typed};
use std::thread;

#[test]
fn the_tools_describe_pelton_as_they_describe_apache_kafka() -> Result<()> {
    // Side by side, since each is a JVM's start away.
    let theirs = thread::spawn(|| -> Result<String> {
        let kafka = Broker::kafka()?;
        typed(&kafka, "kafka-tools/preparation.txt")?;
        typed(&kafka, "golden/actions.txt")
    });
    let ours = typed(&Broker::pelton()?, "golden/actions.txt")?;
    let theirs = theirs.join().expect("the thread that runs Kafka does not panic")?;
    let (ours, theirs) = (commands(&ours), commands(&theirs));
    ensure!(ours.len() == theirs.len() && ours.len() > 20, "{} and {} commands", ours.len(), theirs.len());
    let mut differing = Vec::new();
    for ((command, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours != theirs {
            differing.push(format!("{command}\n--- Apache Kafka\n{theirs}\n--- Pelton\n{ours}\n"));
        }
    }
    ensure!(differing.is_empty(), "{} commands print something else:\n{}", differing.len(), differing.join("\n"));
    Ok(())
}

/// The commands of a transcript with what each printed.
fn commands(transcript: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in transcript.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('$') || line.starts_with('%') {
            found.push((line, String::new()));
        } else if let Some((_, printed)) = found.last_mut() {
            printed.push_str(line);
            printed.push('\n');
        }
    }
    found
}
