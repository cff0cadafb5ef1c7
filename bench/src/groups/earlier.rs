//! Rounds that an earlier run has written, so that rounds may be measured one by one.

use super::COLUMNS;
use crate::process::Beside;
use crate::versus::contender::Contender;
use crate::versus::sheet::Sample;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// Reads what `Sheet::write` wrote.
pub fn read(path: &Path, contenders: &[Contender]) -> Result<Vec<Sample>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let written: Value = serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))?;
    let samples = written["samples"].as_array().context("no samples")?;
    let read = |(number, sample): (usize, &Value)| {
        of(sample, contenders).with_context(|| format!("sample {number} of {} is none of these", path.display()))
    };
    samples.iter().enumerate().map(read).collect()
}

fn of(sample: &Value, contenders: &[Contender]) -> Option<Sample> {
    let (system, answers_after) = (sample["system"].as_str()?, sample["answers_after"].as_str()?);
    let is_it = |one: &&Contender| one.system() == system && one.answers_after() == answers_after;
    let written = sample["figures"].as_object()?;
    let figure = |(name, figure): (&String, &Value)| {
        Some((COLUMNS.iter().find(|column| column.key == name)?.key, figure.as_f64()?))
    };
    Some(Sample {
        row: sample["row"].as_str()?.to_owned(),
        contender: *contenders.iter().find(is_it)?,
        round: usize::try_from(sample["round"].as_u64()?).ok()?,
        figures: written.iter().map(figure).collect::<Option<_>>()?,
        beside: Beside { others: sample["others_share"].as_f64()?, stolen: sample["stolen_share"].as_f64()? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::sheet::Sheet;

    #[test]
    fn what_a_sheet_wrote_is_read_and_nothing_else() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("groups.json");
        let mut sheet = Sheet::new("groups", &COLUMNS, String::new());
        let beside = Beside { others: 0.25, stolen: 0.5 };
        let figures = vec![("all_ms", 12.5), ("rss_mib", 30.0)];
        sheet.push(Sample { row: "join".to_owned(), contender: Contender::Fsync, round: 2, figures, beside });
        sheet.write(&path).unwrap();
        let read = read(&path, &[Contender::Kafka, Contender::Fsync]).unwrap();
        let [sample] = &read[..] else { panic!("{read:?}") };
        assert_eq!((sample.row.as_str(), sample.contender, sample.round), ("join", Contender::Fsync, 2));
        assert_eq!(sample.figures, [("all_ms", 12.5), ("rss_mib", 30.0)]);
        assert_eq!((sample.beside.others, sample.beside.stolen), (0.25, 0.5));
        assert!(super::read(&path, &[Contender::Kafka]).is_err());
        assert!(super::read(dir.path(), &[Contender::Fsync]).is_err());
    }
}
